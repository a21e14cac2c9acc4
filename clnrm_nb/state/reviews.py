"""What this machine remembers about baselines: traces that wait for a decision, and files as they were.

Both are local. What was decided stands in the project itself, in version control; this is what makes undo
exact and lets a review go on after a crash or a restarted kernel.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.state.store import State

__all__ = ["Change", "PendingReview", "ReviewState", "Reviews"]

ReviewState = Literal["pending", "accepted", "rejected", "rule"]

_PACKED_LEVEL: Final = 6


@dataclass(frozen=True, slots=True)
class PendingReview:
    """The latest trace of one scenario that was not equal to its baseline.

    Parameters
    ----------
    id, test_id, scenario
        Whose trace it is; `scenario` is ``None`` for the test level.
    run, at : str
        The run it comes from, and when that was (UTC, ISO 8601).
    digest : str
        Trace digest.
    trace : str
        Object of its spans, packed (see :meth:`Reviews.spans`).
    base : str or None
        Object of the baseline file it was compared with; ``None`` without one.
    accepted : tuple of str
        Ids of those edits from `base` that were accepted one by one.
    state : {"pending", "accepted", "rejected", "rule"}
        ``rule``: what was left of it is allowed by a rule that was made of it.
    source_hash, vars_hash : str or None
        Hashes of the rendered scenario file and of its variables.
    options : dict
        What counted when it was compared, as plain values.
    """

    id: str
    test_id: str
    scenario: str | None
    run: str
    at: str
    digest: str
    trace: str
    span_count: int
    test_status: str
    complete: bool
    base: str | None = None
    accepted: tuple[str, ...] = ()
    state: ReviewState = "pending"
    source_hash: str | None = None
    vars_hash: str | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """What one decision did to a file: objects of its bytes before and after; ``None``: no file."""

    decision: str
    id: str
    version: int | None
    digest: str | None
    before: str | None
    after: str | None


class Reviews:
    """Pending reviews and changes of one project.

    Parameters
    ----------
    state : State
        Where they are kept. Writing never raises for the disk: it returns whether it is kept.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    # ------------------------------------------------------------------------------------------ reviews

    def put_spans(self, otlp_json: bytes) -> str | None:
        """Keep the spans of a trace, packed; the object's digest, or ``None`` if it cannot be written."""
        return self._state.put_object(zlib.compress(otlp_json, _PACKED_LEVEL))

    def spans(self, review: PendingReview) -> bytes | None:
        """The spans of a review as OTLP/JSON; ``None`` if they are gone."""
        packed = self._state.get_object(review.trace)
        return None if packed is None else zlib.decompress(packed)

    def put(self, review: PendingReview) -> bool:
        """Keep a review in place of an earlier one of the same id."""
        document = json.dumps(asdict(review), separators=(",", ":"))
        return self._state.write(
            lambda db: _discard(
                db.execute(
                    "INSERT OR REPLACE INTO reviews (id, run, document) VALUES (?, ?, ?)",
                    (review.id, review.run, document),
                )
            )
        )

    def get(self, review_id: str) -> PendingReview | None:
        """The review of one id, whatever its state."""
        found = self._read("SELECT document FROM reviews WHERE id = ?", (review_id,))
        return found[0] if found else None

    def all(self) -> list[PendingReview]:
        """All reviews by id, whatever their state."""
        return self._read("SELECT document FROM reviews ORDER BY id", ())

    def mark(self, review: PendingReview, state: ReviewState) -> bool:
        """Keep a review with another state."""
        return self.put(replace(review, state=state))

    def remove(self, ids: Sequence[str]) -> bool:
        """Forget reviews: their traces are equal now."""
        if not ids:
            return True
        return self._state.write(
            lambda db: _discard(db.executemany("DELETE FROM reviews WHERE id = ?", [(one,) for one in ids]))
        )

    def _read(self, sql: str, parameters: Sequence[object]) -> list[PendingReview]:
        documents = (json.loads(row["document"]) for row in self._state.read(sql, parameters))
        return [
            PendingReview(**{**document, "accepted": tuple(document["accepted"])}) for document in documents
        ]

    # ------------------------------------------------------------------------------------------ changes

    def put_file(self, content: bytes) -> str | None:
        """Keep the bytes of a file; ``None`` if that cannot be done."""
        return self._state.put_object(content)

    def file(self, digest: str) -> bytes | None:
        """Bytes kept before; ``None`` if they are gone."""
        return self._state.get_object(digest)

    def add_change(self, change: Change) -> bool:
        """Remember what a decision did."""
        return self._state.write(
            lambda db: _discard(
                db.execute(
                    "INSERT OR REPLACE INTO baseline_changes (decision, id, version, digest, before, after) "
                    "VALUES (:decision, :id, :version, :digest, :before, :after)",
                    asdict(change),
                )
            )
        )

    def changes(self, changed_id: str) -> list[Change]:
        """All changes of one id, oldest first."""
        rows = self._state.read(
            "SELECT decision, id, version, digest, before, after FROM baseline_changes "
            "WHERE id = ? ORDER BY seq",
            (changed_id,),
        )
        return [Change(**dict(row)) for row in rows]


def _discard(_: object) -> None:
    """A transaction returns nothing."""
