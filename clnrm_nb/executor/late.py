"""Spans that came after the end of the test they name, and those of nobody: reported once, as a run ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clnrm_nb.errors import Diagnostic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.executor.attempt import RunContext
    from clnrm_nb.executor.outcome import TestOutcome

__all__ = ["report_late_spans"]


def report_late_spans(outcomes: Sequence[TestOutcome], context: RunContext) -> None:
    """Add a CLN615 for what no test has been told of: to the test that is named, else to the last one."""
    if not outcomes:
        return
    by_id = {outcome.id: outcome for outcome in outcomes}
    for name, count in context.receiver.claim_stray_rest().items():
        outcome = by_id.get(name or "", outcomes[-1])
        spans = f"{count} span{'' if count == 1 else 's'}"
        how = "after the test had ended" if outcome.id == name else "under an unknown token"
        finding = Diagnostic("CLN615", f"{spans} came {how}", test=outcome.id)
        outcome.diagnostics.append(finding)
        context.emit("diagnostic", data=finding.to_json())
