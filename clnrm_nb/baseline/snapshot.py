"""``.clnrm/baseline.json``: what ``record`` saw, and ``repro`` holds a new run against (``format.md`` 8.4).

Not to be mixed up with the accepted traces of ``.clnrm/baselines/``: this is one run as it was, its pass
flags, the digest of all its spans, and what it was started with. ``digest`` vouches for the flags; what
``--verify-digest`` checks besides is the copy of it in ``baseline.sha256`` and the recording.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.errors import ClnrmError, UsageError
from clnrm_nb.spans.content import canonical_json

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["RecordedResult", "Snapshot"]

_KEYS: Final = ("timestamp", "version", "test_results", "digest")
_HINT: Final = "`clnrm record` writes one."


@dataclass(frozen=True, slots=True)
class RecordedResult:
    """One test of a snapshot; ``name`` is its id, ``file_path`` runs from the project root."""

    name: str
    passed: bool
    duration_ms: float
    file_path: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The document.

    Parameters
    ----------
    timestamp : str
        When it was recorded, RFC 3339.
    version : str
        Of this package.
    test_results : tuple of RecordedResult
    spans_file : str or None
        The recording; from the project root, or absolute.
    trace_digest : str or None
        Of the spans of all tests together; ``None``: there were none.
    seed, freeze_clock
        As in ``[determinism]``, if all tests agree on it.
    vars : mapping
        Template variables that were given from outside.
    """

    timestamp: str
    version: str
    test_results: tuple[RecordedResult, ...]
    spans_file: str | None = None
    trace_digest: str | None = None
    seed: int | None = None
    freeze_clock: str | None = None
    vars: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256, 64 hex digits, of the results with their time and version."""
        covered = {
            "test_results": [asdict(result) for result in self.test_results],
            "timestamp": self.timestamp,
            "version": self.version,
        }
        return hashlib.sha256(canonical_json(covered).encode()).hexdigest()

    def to_bytes(self) -> bytes:
        """The file."""
        document = {
            "timestamp": self.timestamp,
            "version": self.version,
            "test_results": [asdict(result) for result in self.test_results],
            "digest": self.digest,
            "spans_file": self.spans_file,
            "trace_digest": self.trace_digest,
            "seed": self.seed,
            "freeze_clock": self.freeze_clock,
            "vars": dict(self.vars),
        }
        return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def parse(cls, content: bytes, name: str) -> Snapshot:
        """Read a file back.

        Parameters
        ----------
        name : str
            What messages call it.

        Raises
        ------
        UsageError
            It is something else.
        ClnrmError
            CLN702: its digest is not that of its content.
        """
        try:
            document = json.loads(content)
            if not all(key in document for key in _KEYS):
                raise ValueError(f"it has no {' or '.join(key for key in _KEYS if key not in document)}")  # noqa: TRY301  # One message for all that is wrong.
            found = cls(
                timestamp=str(document["timestamp"]),
                version=str(document["version"]),
                test_results=tuple(RecordedResult(**result) for result in document["test_results"]),
                **{key: document.get(key) for key in ("spans_file", "trace_digest", "seed", "freeze_clock")},
                vars=dict(document.get("vars") or {}),
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UsageError(f"`{name}` is not what `clnrm record` writes: {error}", hint=_HINT) from None
        if found.digest != document["digest"]:
            raise ClnrmError(
                f"digest in `{name}` differs from its content",
                "CLN702",
                hint="it was changed or damaged since it was recorded; record again, or take it from git",
            )
        return found
