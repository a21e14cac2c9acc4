"""The span of a run that goes on in another process: the parent of the spans that a worker records."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from clnrm_nb.executor.tracing import OwnSpan
from clnrm_nb.spans.model import Span

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import SpanContext

__all__ = ["RemoteRun", "run_document"]


def run_document(run: OwnSpan) -> dict[str, str]:
    """What a worker must know of the run's span."""
    return {"trace_id": run.trace_id, "span_id": run.span_id}


class RemoteRun(OwnSpan):
    """Stands for the span of the run; only the process that recorded it has the whole of it.

    Parameters
    ----------
    document : mapping
        Of :func:`run_document`.
    """

    def __init__(self, document: Mapping[str, str]) -> None:
        self._document = document
        self.scenario = None

    @property
    def context(self) -> SpanContext:
        """Of a remote, sampled parent."""
        from opentelemetry.trace import SpanContext, TraceFlags

        return SpanContext(
            trace_id=int(self._document["trace_id"], 16),
            span_id=int(self._document["span_id"], 16),
            is_remote=True,
            trace_flags=TraceFlags(TraceFlags.SAMPLED),
        )

    def end(self) -> None:
        """Not ours to end."""

    def snapshot(self) -> Span:
        """A place for it; the run puts its own in."""
        now_ns = time.time_ns()
        return Span(self.trace_id, self.span_id, "clnrm.run", start_ns=now_ns, end_ns=now_ns, own=True)
