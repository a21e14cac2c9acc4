"""The span of a run that goes on in another process: the parent of the spans that a worker records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clnrm_nb.executor.tracing import RunSpan
from clnrm_nb.spans.phases import RUN, Phase

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["remote_run", "run_document"]


def run_document(run: RunSpan) -> dict[str, str]:
    """What a worker must know of the run's span."""
    return {"trace_id": run.trace_id, "span_id": run.span_id}


def remote_run(document: Mapping[str, str]) -> RunSpan:
    """Stands for the span of the run; only the process that records it has the whole of it.

    Parameters
    ----------
    document : mapping
        Of :func:`run_document`.
    """
    return RunSpan(Phase(RUN, trace_id=document["trace_id"], span_id=document["span_id"]))
