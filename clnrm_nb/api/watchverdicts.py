"""The last verdict of every watched test, whichever run it comes from, and what they come to together."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.report.results import Leave, RunResult, TraceDiff

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from clnrm_nb.api.contexts import Context
    from clnrm_nb.api.watchruns import EndedRun
    from clnrm_nb.errors import ClnrmError, Diagnostic
    from clnrm_nb.executor.outcome import TestOutcome
    from clnrm_nb.report.diffs import Compared
    from clnrm_nb.report.text import Mask

__all__ = ["Verdicts"]

_BAD: Final = frozenset({"failed", "error", "incomplete", "interrupted", "flaky"})


@dataclass(slots=True)
class Verdicts:
    """See the module."""

    outcomes: dict[str, TestOutcome] = field(default_factory=dict)
    trouble: ClnrmError | None = None
    """Why the last run had no result."""
    _compared: dict[str, list[Compared]] = field(default_factory=dict)
    _judged_by: dict[str, int] = field(default_factory=dict)
    """The number of the run that a verdict comes from: an earlier one may end later."""
    _started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    _started_s: float = field(default_factory=time.perf_counter)

    @property
    def failing(self) -> set[str]:
        """Ids of tests that do not pass."""
        return {test for test, outcome in self.outcomes.items() if outcome.status in _BAD}

    def put(self, outcome: TestOutcome, number: int) -> None:
        """A verdict that is newer than those of all runs up to a number."""
        self.outcomes[outcome.id] = outcome
        self._judged_by[outcome.id] = number
        self._compared.pop(outcome.id, None)

    def drop(self, tests: Iterable[str]) -> None:
        """These tests are gone."""
        for test in tests:
            self.outcomes.pop(test, None)
            self._compared.pop(test, None)

    def take(self, run: EndedRun, known: Mapping[str, object], *, is_last: bool) -> list[TestOutcome]:
        """The verdicts of a run that count: of tests that are still there and have none that is newer.

        Parameters
        ----------
        is_last : bool
            Nothing is run after this: a test that never had a verdict is told as what it is now.
        """
        assert run.result is not None
        self.trouble = None
        taken: list[TestOutcome] = []
        for outcome in run.result.outcomes:
            is_dropped = outcome.id in run.dropped and not (is_last and outcome.id not in self.outcomes)
            is_old = self._judged_by.get(outcome.id, 0) >= run.number
            if not (is_dropped or is_old) and outcome.id in known:
                self.put(outcome, run.number)
                taken.append(outcome)
        kept = {outcome.id for outcome in taken}
        for part in run.result.diff.comparisons if run.result.diff else ():
            if part.test_id in kept:
                self._compared.setdefault(part.test_id, []).append(part)
        return taken

    def differing(self) -> list[str]:
        """Ids of comparisons with an accepted trace that do not hold, or that have none yet."""
        parts = (part for test in sorted(self._compared) for part in self._compared[test])
        return [part.id for part in parts if part.status in ("changed", "missing")]

    def result(
        self,
        here: Context,
        mask: Mask,
        findings: Iterable[Diagnostic] = (),
        *,
        interrupted: bool = False,
    ) -> RunResult:
        """All of them as the result of one run; `findings` belong to no test."""
        executor = here.settings.executor
        leave = Leave(not_evaluated=executor.allow_not_evaluated, flaky=executor.flaky == "pass")
        findings = [
            *here.settings.diagnostics,
            *findings,
            *([self.trouble.diagnostic] if self.trouble else []),
        ]
        parts = [part for test in sorted(self._compared) for part in self._compared[test]]
        more: dict[str, Any] = {}
        if parts:
            more["diff"] = TraceDiff(parts, command="watch", leave=leave, is_ci=here.ci, mask=mask)
        return RunResult(
            [self.outcomes[test] for test in sorted(self.outcomes)],
            findings,
            command="watch",
            started_at=self._started_at,
            duration_ms=(time.perf_counter() - self._started_s) * 1e3,
            interrupted=interrupted,
            leave=leave,
            mask=mask,
            max_rows=here.settings.notebook.max_rows,
            **more,
        )
