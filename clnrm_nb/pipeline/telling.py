"""Events of tests that do not start: they are queued and have ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clnrm_nb.executor.events import Event

if TYPE_CHECKING:
    from clnrm_nb.executor.events import Listener
    from clnrm_nb.executor.outcome import TestOutcome

__all__ = ["tell_whole"]


def tell_whole(outcome: TestOutcome, listener: Listener, run_id: str) -> None:
    """Publish the whole story of a test that does not start."""
    listener(Event("test.queued", run_id, test=outcome.id))
    data: dict[str, Any] = {
        "duration_ms": round(outcome.duration_ms, 3),
        "span_count": outcome.span_count,
    }
    if outcome.taken_over_from is not None:
        data["taken_over_from"] = outcome.taken_over_from
    else:
        for finding in outcome.diagnostics:
            listener(Event("diagnostic", run_id, test=outcome.id, data=finding.to_json()))
    if outcome.stored_status is not None:
        data["stored_status"] = outcome.stored_status
    listener(Event("test.end", run_id, test=outcome.id, status=outcome.status, data=data))
