"""The latest trace of a scenario that this machine knows: from a pending review, or from a stored run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.baseline.files import scenario_of
from clnrm_nb.spans.canonical import of_scenario, trace_digest
from clnrm_nb.spans.loaders import load
from clnrm_nb.spans.table import SpanTable
from clnrm_nb.state.store import MADE_OF

if TYPE_CHECKING:
    from clnrm_nb.codes import Status
    from clnrm_nb.state import State
    from clnrm_nb.state.reviews import PendingReview, Reviews

__all__ = ["Latest", "Latests", "own_status"]

_NO_TRACE: Final = ("skipped", "interrupted", "error")
_COMPARISON: Final = "CLN70"
"""Codes of comparisons: they fail a test that passed all it was judged by."""


@dataclass(frozen=True, slots=True)
class Latest:
    """A trace that may become a baseline.

    Parameters
    ----------
    id : str
    table : SpanTable
        Its spans, with their times.
    digest, run, at : str
    test_status : str
        Of the test, comparisons aside.
    complete : bool
    source_hash, vars_hash : str or None
    """

    id: str
    table: SpanTable
    digest: str
    run: str
    at: str
    test_status: str
    complete: bool
    source_hash: str | None = None
    vars_hash: str | None = None


class Latests:
    """Looks latest traces up.

    Parameters
    ----------
    state : State
    reviews : Reviews
    """

    def __init__(self, state: State, reviews: Reviews) -> None:
        self._state = state
        self._reviews = reviews
        self._run: dict[str, Any] = {}

    def ids(self) -> list[str]:
        """Ids, sorted, of all that has a latest trace: of reviews, and of the last run of every test."""
        found = {review.id for review in self._reviews.all()}
        for test_id in self._state.last_results():
            _, test = self._last(test_id) or (None, {})
            names = [part["name"] for part in test.get("scenarios", ())]
            found.update(f"{test_id}::{name}" for name in names if _has_run(test, name))
            if test:
                found.add(test_id)
        return sorted(found)

    def of(self, baseline_id: str) -> Latest | None:
        """The latest one; ``None`` if the scenario never ran here."""
        review = self._reviews.get(baseline_id)
        stored = self._stored(baseline_id, after=review.run if review else "")
        return stored or (self.reviewed(review) if review else None)

    def reviewed(self, review: PendingReview) -> Latest | None:
        """The trace of a review; ``None`` if it is gone."""
        content = self._reviews.spans(review)
        if content is None:
            return None
        table, _ = load(content, allow_empty=True)
        return Latest(
            review.id,
            table,
            review.digest,
            review.run,
            review.at,
            review.test_status,
            review.complete,
            review.source_hash,
            review.vars_hash,
        )

    def _stored(self, baseline_id: str, *, after: str) -> Latest | None:
        """From the last run that got to a verdict, if it is later than the review's."""
        row, test = self._last(scenario_of(baseline_id)[0]) or ({"run": ""}, {})
        # Ids of runs ascend with time.
        return self._made(baseline_id, row, test) if row["run"] > after else None

    def of_run(self, baseline_id: str, run_id: str) -> Latest | None:
        """The trace that one stored run has of an id; ``None`` if it has none."""
        test_id, _ = scenario_of(baseline_id)
        test = next((test for test in self._tests(run_id) if test["id"] == test_id), None)
        if test is None or test["status"] in _NO_TRACE:
            return None
        return self._made(baseline_id, {"run": run_id, "at": self._run.get("started_at", "")}, test)

    def _made(self, baseline_id: str, row: dict[str, Any], test: dict[str, Any]) -> Latest | None:
        test_id, scenario = scenario_of(baseline_id)
        if not _has_run(test, scenario):
            return None
        content = self._state.spans_of(test_id, row["run"])
        if content is None and test.get("span_count"):
            return None
        whole = load(content, allow_empty=True)[0] if content is not None else SpanTable()
        table = of_scenario(whole, scenario)
        return Latest(
            baseline_id,
            table,
            trace_digest(table),
            row["run"],
            row["at"],
            own_status(test),
            bool(test.get("complete", True)),
            *(self._run["data"].get(MADE_OF, {}).get(test_id) or (None, None)),
        )

    def _last(self, test_id: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """The last run of a test that got to a verdict: its row of the history, and the test's document."""
        for row in self._state.history([test_id]):
            if row["test_id"] == test_id and row["status"] not in _NO_TRACE:
                test = next((test for test in self._tests(row["run"]) if test["id"] == test_id), None)
                return None if test is None else (row, test)
        return None

    def _tests(self, run_id: str) -> list[dict[str, Any]]:
        """The tests of a run; tests are asked for in turn, and most have the same last run."""
        if self._run.get("run") != run_id:
            self._run = self._state.run(run_id) or {"run": run_id, "data": {"tests": []}}
        tests: list[dict[str, Any]] = self._run["data"]["tests"]
        return tests


def _has_run(test: dict[str, Any], scenario: str | None) -> bool:
    return scenario is None or any(
        part["name"] == scenario and part.get("status") not in _NO_TRACE for part in test.get("scenarios", ())
    )


def own_status(test: dict[str, Any]) -> Status:
    """The test's status without what comparisons made of it."""
    errors = [found["code"] for found in test.get("diagnostics", ()) if found.get("severity") == "error"]
    is_otherwise_fine = all(
        part.get("status") in ("passed", "skipped") for part in test.get("scenarios", ())
    ) and all(part.get("status") == "passed" for part in test.get("expectations", ()))
    if errors and is_otherwise_fine and all(code.startswith(_COMPARISON) for code in errors):
        return "passed"
    status: Status = test["status"]
    return status
