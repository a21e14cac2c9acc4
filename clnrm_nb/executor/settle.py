"""How a test ended, before anybody has judged its expectations: the status of each part and its own."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from clnrm_nb.errors import Diagnostic
from clnrm_nb.executor.judge import status_of_findings
from clnrm_nb.executor.outcome import CommandOutcome, ScenarioOutcome, worst

if TYPE_CHECKING:
    from clnrm_nb.codes import Status
    from clnrm_nb.executor.outcome import TestOutcome

__all__ = ["internal_error", "settle"]


def internal_error(error: Exception) -> Diagnostic:
    """CLN901 with the place of the bug, so that it can be reported without running again."""
    frames = traceback.extract_tb(error.__traceback__)
    hint = f"raised in {frames[-1].name}, {frames[-1].filename}:{frames[-1].lineno}" if frames else None
    return Diagnostic("CLN901", f"internal error, please report: {type(error).__name__}: {error}", hint=hint)


def settle(outcome: TestOutcome, ended_by: Status) -> None:
    """Statuses at the end: what was under way when the test ended shares the cause."""
    if ended_by == "skipped":
        outcome.status = "skipped"
        return
    commands = (command for scenario in outcome.scenarios for command in scenario.commands)
    unfinished: list[ScenarioOutcome | CommandOutcome] = [*outcome.scenarios, *commands]
    for part in unfinished:
        if part.status == "interrupted" and ended_by != "interrupted":
            part.status = ended_by if ended_by != "passed" else "error"
            part.reason = part.reason or "the test ended before it did"
    parts = [scenario.status for scenario in outcome.scenarios if scenario.status != "skipped"]
    found = status_of_findings(outcome.diagnostics)
    outcome.status = worst([*parts, ended_by, found] if parts or ended_by != "passed" else [found])
    if outcome.status == "passed" and outcome.scenarios and not parts:
        outcome.status = "skipped"
    if outcome.reason is None and outcome.status not in ("passed", "flaky", "skipped"):
        errors = (finding for finding in outcome.diagnostics if finding.severity == "error")
        outcome.reason = next((str(finding.message) for finding in errors), None)
