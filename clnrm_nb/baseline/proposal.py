"""What accepting would make of a baseline, worked out before anything is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from clnrm_nb.baseline.difference import difference, options_from, patched
from clnrm_nb.baseline.files import parse, write
from clnrm_nb.spans.canonical import canonical

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.baseline.files import Baseline
    from clnrm_nb.baseline.latest import Latest
    from clnrm_nb.diff import Diff, DiffOptions
    from clnrm_nb.state.reviews import PendingReview

__all__ = ["Proposal", "Session", "propose", "refusal"]

_PASSED: Final = frozenset({"passed", "flaky", "cached"})


@dataclass(frozen=True, slots=True)
class Proposal:
    """A baseline as it would be.

    Parameters
    ----------
    id : str
    latest : Latest
        The trace it comes from.
    content : bytes or None
        The file; ``None`` if it need not be written, or the trace is refused.
    is_new : bool
        Whether it is a new version; else only its ``composed`` mark goes.
    version : int or None
    digest, previous : str or None
        Trace digests after and before.
    edits : tuple of str
        Newly accepted edits, with those they required; empty for a whole trace.
    accepted : tuple of str
        All edits accepted from `session`'s base so far.
    left : int
        Counted edits still open.
    refused : str or None
        Why it must not be accepted.
    session : Session or None
        For accepting some edits only.
    """

    id: str
    latest: Latest
    content: bytes | None
    is_new: bool
    version: int | None
    digest: str | None
    previous: str | None
    edits: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()
    left: int = 0
    refused: str | None = None
    session: Session | None = None


def propose(latest: Latest, current: Baseline | None, version: int, *, force: bool) -> Proposal:
    """The whole trace as baseline.

    Parameters
    ----------
    current : Baseline or None
        What it would replace.
    version : int
        The next free number.
    force : bool
        Also a trace of a test that did not pass.
    """
    previous = current.digest if current else None
    refused = _refused(latest, force=force)
    if refused:
        return refusal(latest, refused, current)
    if current is not None and current.digest == latest.digest:
        content = None
        if current.composed:
            content = write(current.id, current.version, canonical(current.table), before=current.table)
        return Proposal(latest.id, latest, content, False, current.version, previous, previous)
    content = write(latest.id, version, canonical(latest.table), before=current.table if current else None)
    return Proposal(latest.id, latest, content, True, version, latest.digest, previous)


def refusal(latest: Latest, why: str, current: Baseline | None = None) -> Proposal:
    """Nothing is to be accepted."""
    number, digest = (current.version, current.digest) if current else (None, None)
    return Proposal(latest.id, latest, None, False, number, digest, digest, refused=why)


def _refused(latest: Latest, *, force: bool) -> str | None:
    if not len(latest.table):
        return f"the latest trace of `{latest.id}` has no spans"
    if not latest.complete:
        return f"the latest trace of `{latest.id}` is incomplete"
    if latest.test_status not in _PASSED and not force:
        way = f"`clnrm baseline accept --force '{latest.id}'` accepts it anyway"
        return f"the test of `{latest.id}` is {latest.test_status}, not passed; {way}"
    return None


@dataclass(frozen=True, slots=True)
class Session:
    """A review in which edits are decided one by one.

    All decisions are about one diff, from the baseline the review began with, so that the ids of its edits
    stay what they are and the order of decisions does not matter. Where the file has become something else
    meanwhile the session starts over from it.

    Parameters
    ----------
    current : Baseline
        The file as it is.
    base : Baseline
        What the diff starts from.
    accepted : tuple of str
        Edits that are in `current` already.
    is_fresh : bool
        Whether it started over.
    """

    latest: Latest
    current: Baseline
    base: Baseline
    accepted: tuple[str, ...]
    diff: Diff
    is_fresh: bool = False

    @classmethod
    def of(
        cls,
        review: PendingReview,
        latest: Latest,
        current: Baseline,
        base: Baseline | None,
        options: DiffOptions | None = None,
    ) -> Session:
        """The session of a pending review; what counts is as it was kept, if no `options` are given."""
        options = options or options_from(review.options)
        if base is not None:
            diff = difference(base.table, latest.table, options, digest=base.digest)
            known = [edit for edit in review.accepted if edit in diff.by_id]
            digest = base.digest
            if known:
                form = patched(base.table, diff.closure(known))
                digest = parse(write(base.id, 1, form), base.id, name="").digest
            if digest == current.digest:
                return cls(latest, current, base, tuple(known), diff)
        diff = difference(current.table, latest.table, options, digest=current.digest)
        return cls(latest, current, current, (), diff, is_fresh=True)

    @property
    def open(self) -> tuple[str, ...]:
        """Counted edits that are not accepted yet."""
        return tuple(edit.edit_id for edit in self.diff.counted if edit.edit_id not in self.accepted)

    def has(self, wanted: str) -> bool:
        """Whether an edit or a cause of this diff is called that."""
        return wanted in self.diff.by_id or any(cause.cause_id == wanted for cause in self.diff.causes)

    def propose(self, wanted: Sequence[str], version: int, *, force: bool) -> Proposal:
        """The baseline with some more edits.

        Parameters
        ----------
        wanted : sequence of str
            Edit and cause ids that :meth:`has` knows.
        version : int
            The next free number.
        """
        before = self.current.digest
        refused = _refused(self.latest, force=force)
        if refused:
            return Proposal(
                self.latest.id,
                self.latest,
                None,
                False,
                self.current.version,
                before,
                before,
                refused=refused,
            )
        edits = self.diff.closure([*self.accepted, *wanted])
        accepted = tuple(edit.edit_id for edit in edits)
        fresh = tuple(edit for edit in accepted if edit not in self.accepted)
        content = write(
            self.latest.id, version, patched(self.base.table, edits), before=self.current.table, composed=True
        )
        digest = parse(content, self.latest.id, name="").digest
        if digest == self.latest.digest:
            content = content.replace(b'"composed":true', b'"composed":false', 1)
        is_new = digest != before
        return Proposal(
            self.latest.id,
            self.latest,
            content if is_new else None,
            is_new,
            version if is_new else self.current.version,
            digest,
            before,
            edits=fresh,
            accepted=accepted,
            left=sum(edit.edit_id not in accepted for edit in self.diff.counted),
            session=self,
        )
