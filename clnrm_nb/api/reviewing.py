"""What a review shows and where its decisions go, for front ends that draw it themselves.

The decisions are those of :mod:`clnrm_nb.baseline.review`; each opens the state anew, so that a review that
stays open for a day holds no lock and sees what other processes did.
"""

from __future__ import annotations

from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.api.contexts import Context, context_of
from clnrm_nb.baseline.review import BaselineReview
from clnrm_nb.errors import ClnrmError, UsageError
from clnrm_nb.report.diffs import Compared, TraceDiff
from clnrm_nb.report.results import Table
from clnrm_nb.state import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clnrm_nb.api.reviewqueue import Place
    from clnrm_nb.baseline.offers import Offer
    from clnrm_nb.diff import Edit
    from clnrm_nb.spans.table import SpanTable

__all__ = ["ReviewDesk", "review"]

_CAUSES_LISTED: Final = 3
_EDIT = "e"
"""What ids of edits begin with."""


class ReviewDesk:
    """Pending differences of a project, and decisions about them.

    Parameters
    ----------
    context : Context
        Under ``--ci`` every decision is refused.
    by, message : str, optional
        Who decides and why, for the log.
    """

    def __init__(self, context: Context, *, by: str | None = None, message: str = "") -> None:
        self._context = context
        self._by = by
        self._message = message

    @contextmanager
    def _review(self) -> Iterator[BaselineReview]:
        with State.open(self._context.project.state_dir) as state:
            yield BaselineReview(self._context.project, state, read_only=self._context.ci)

    def pending(self, ids: Sequence[str] = ()) -> list[str]:
        """Ids that wait for a decision; only those that match one of `ids` (names or globs), if any.

        Raises
        ------
        UsageError
            Nothing that waits is called like one of them.
        """
        with self._review() as review:
            waiting = [one.id for one in review.pending()]
        for wanted in ids:
            if not any(_matches(one, wanted) for one in waiting):
                hint = f"waiting: {', '.join(waiting[:5])}" if waiting else "nothing waits for a decision"
                raise UsageError(f"no pending difference is called {wanted!r}", hint=hint)
        return [one for one in waiting if not ids or any(_matches(one, wanted) for wanted in ids)]

    def compared(self, review_id: str) -> TraceDiff:
        """The difference of one scenario as it is now, to be looked at."""
        with self._review() as review:
            try:
                review.show(review_id)
                session = review.session(review_id)
                rules = review.rules_made(review_id)
            except ClnrmError as error:
                latest = review.latest(review_id)
                return _without_diff(review_id, latest.table if latest else None, error)
        open_edits, made = set(session.open), set(rules)
        test_id, _, scenario = review_id.partition("::")
        part = Compared(
            test_id,
            scenario or None,
            "changed" if session.diff else "same",
            session.diff,
            baseline=session.base.table,
            current=session.latest.table,
            composed=session.current.composed,
            version=session.current.version,
            reviews={
                edit.edit_id: state
                for edit in session.diff.edits
                if (state := _state(edit, open_edits, made)) is not None
            },
        )
        return TraceDiff([part], command="review")

    def accept(self, review_id: str, causes: Sequence[str] = ()) -> int:
        """Make the latest trace the baseline, or only some causes or edits of it; how many edits stay open.

        Ids say which of the two they are of.
        """
        edits = [one for one in causes if one.startswith(_EDIT)]
        causes = [one for one in causes if not one.startswith(_EDIT)]
        with self._review() as review:
            decided = review.accept(
                [review_id], edits=edits, causes=causes, by=self._by, message=self._message
            )
        return sum(one.left for one in decided)

    def reject(self, review_id: str) -> None:
        """Refuse the latest trace."""
        with self._review() as review:
            review.reject(review_id, by=self._by, message=self._message)

    def offers(self, review_id: str, cause: str) -> list[Offer]:
        """Rules that would allow a cause or an edit, narrowest first, each with its back-test.

        Raises
        ------
        UsageError
            No rule can allow it.
        """
        with self._review() as review:
            return review.offers(review_id, [cause])

    def make_rule(
        self, review_id: str, offer: Offer, place: Place = "project", *, confirmed: bool = False
    ) -> int:
        """Write a rule that was offered; how many counted edits stay open."""
        with self._review() as review:
            return review.make_rule(
                review_id,
                offer.rule,
                place=place,
                confirmed=confirmed,
                causes=offer.causes,
                by=self._by,
                message=self._message,
            ).left

    def undo(self, review_id: str) -> None:
        """Take back the last decision about it."""
        with self._review() as review:
            review.undo(review_id, by=self._by, message=self._message)


def _state(edit: Edit, open_edits: set[str], made: set[str]) -> str | None:
    """Where one edit stands in a review; of what never counted, nothing."""
    if edit.counted:
        return "pending" if edit.edit_id in open_edits else "accepted"
    return "rule" if not made.isdisjoint(edit.rule.split(", ")) else None


def _without_diff(review_id: str, current: SpanTable | None, error: ClnrmError) -> TraceDiff:
    """A trace that has nothing to be held against, and why."""
    test_id, _, scenario = review_id.partition("::")
    part = Compared(test_id, scenario or None, "missing", current=current, diagnostics=[error.diagnostic])
    return TraceDiff([part], command="review")


def _matches(review_id: str, wanted: str) -> bool:
    return review_id == wanted or review_id.startswith(f"{wanted}::") or fnmatchcase(review_id, wanted)


def review(ids: Sequence[str] = (), *, context: Context | None = None, **options: Any) -> Table:
    """What waits for a decision, as a list: exit status 1 if there is anything.

    Returns
    -------
    Table
        One row a scenario: how many edits of it are undecided, and in which causes.
    """
    here = context_of(context, options)
    desk = ReviewDesk(here)
    rows: list[list[Any]] = []
    for review_id in desk.pending(ids):
        (compared,) = desk.compared(review_id).comparisons
        open_edits = {edit for edit, state in compared.reviews.items() if state == "pending"}
        causes = [cause.message for cause in compared.causes if not open_edits.isdisjoint(cause.edits)]
        more = len(causes) - _CAUSES_LISTED
        named = [*causes[:_CAUSES_LISTED], *([f"{more} more"] if more > 0 else [])]
        rows.append([review_id, compared.status, len(open_edits), "; ".join(named)])
    how = (
        "Decide with `clnrm review` at a terminal, `%clnrm review` in a notebook, or "
        "`clnrm baseline accept` and `reject`."
    )
    header = ("id", "difference", "edits", "causes")
    return Table(
        "pending differences",
        header,
        rows,
        command="review",
        exit_code=1 if rows else 0,
        notes=[how if rows else "Nothing waits for a decision."],
        dtypes={"edits": "Int64"},
    )
