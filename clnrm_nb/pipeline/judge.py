"""From what happened to what it means: expectations evaluated, places found, statuses set.

Every status of a finished test is decided here, by the precedence of ``format.md`` 5.1, and nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clnrm_nb.codes import CODES, Status
from clnrm_nb.errors import Diagnostic
from clnrm_nb.executor.outcome import worst
from clnrm_nb.expect import evaluate
from clnrm_nb.spans.canonical import trace_digest

if TYPE_CHECKING:
    from clnrm_nb.executor.outcome import ExpectationResult, TestOutcome
    from clnrm_nb.pipeline.load import LoadedTest

__all__ = ["consequence", "errored", "judge"]

# What never came to be judged stays as the executor left it: a verdict on it would be made up.
_UNJUDGED: frozenset[Status] = frozenset({"skipped", "interrupted"})

_DECIDING_WARNINGS = frozenset({"CLN612", "CLN614"})


def errored(loaded: LoadedTest, backend: str) -> TestOutcome:
    """The outcome of a test whose file holds errors: nothing was started."""
    from clnrm_nb.executor.outcome import TestOutcome

    errors = [finding for finding in loaded.diagnostics if finding.severity == "error"]
    return TestOutcome(
        id=loaded.test_id,
        name=loaded.checked.test.metadata.name if loaded.checked and loaded.checked.test else loaded.test_id,
        status="error",
        backend=backend,
        hermetic=False,
        reason=str(errors[0]) if errors else None,
        diagnostics=list(loaded.diagnostics),
    )


def judge(loaded: LoadedTest, outcome: TestOutcome) -> TestOutcome:
    """Evaluate the expectations of a test that ran and set its final statuses.

    Parameters
    ----------
    loaded : LoadedTest
        The test; holds no errors.
    outcome : TestOutcome
        As the executor left it; completed in place and returned.
    """
    assert loaded.test is not None
    said = set(outcome.diagnostics)
    outcome.diagnostics = [*(f for f in loaded.diagnostics if f not in said), *outcome.diagnostics]
    _describe_traces(outcome)
    if outcome.status in _UNJUDGED:
        return outcome
    outcome.expectations = evaluate(loaded.test, outcome)
    for result in outcome.expectations:
        location = loaded.locate(result.source)
        if location:
            result.file, result.line = location.file, location.line
    _set_statuses(outcome)
    return outcome


def _describe_traces(outcome: TestOutcome) -> None:
    """Span count and trace digest of each scenario, own spans left out."""
    table = outcome.spans
    if table is None:
        return
    rows: dict[str | None, list[int]] = {}
    for row, scenario in enumerate(table.scenario):
        if not table.own[row]:
            rows.setdefault(scenario, []).append(row)
    for part in outcome.scenarios:
        mine = rows.get(part.name, [])
        part.span_count = len(mine)
        part.trace_digest = trace_digest(table.select(mine)) if mine else None
    everything = sorted(row for mine in rows.values() for row in mine)
    parts = [part.trace_digest for part in outcome.scenarios if part.span_count == len(everything)]
    if everything and parts:
        outcome.trace_digest = parts[0]  # One scenario has all spans.
    else:
        outcome.trace_digest = trace_digest(table.select(everything)) if everything else None


def _set_statuses(outcome: TestOutcome) -> None:
    for scenario in outcome.scenarios:
        verdicts = [_as_status(result) for result in outcome.expectations if result.scenario == scenario.name]
        if scenario.status not in ("skipped", "interrupted", "error"):
            scenario.status = worst([scenario.status, *verdicts])
    parts: list[Status] = [
        *((outcome.status,) if outcome.status != "passed" else ()),
        *(scenario.status for scenario in outcome.scenarios if scenario.status != "skipped"),
        *(_as_status(result) for result in outcome.expectations),
        *(status for finding in outcome.diagnostics if (status := consequence(finding))),
    ]
    skipped = any(scenario.status == "skipped" for scenario in outcome.scenarios)
    outcome.status = worst(parts) if parts or not skipped else "skipped"


def _as_status(result: ExpectationResult) -> Status:
    return {"passed": "passed", "failed": "failed", "not-evaluated": "incomplete"}[result.status]  # type: ignore[return-value]  # a closed table of words


def consequence(finding: Diagnostic) -> Status | None:
    """The status a finding gives the test, if any."""
    if finding.severity == "error" or finding.code in _DECIDING_WARNINGS:
        return CODES[finding.code].status
    return None
