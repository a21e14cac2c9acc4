"""The engine's own spans: what clnrm_nb did, told by its own method (``format.md`` 5.3).

Recorded by opentelemetry-sdk with a provider of our own, never the global one, so that a program or
notebook that instruments itself is left alone. There is no processor and no exporter: an ended span goes
straight to whoever asked for it.

Each scenario attempt has a trace id of its own, so that a span's trace id says which scenario it belongs
to; the span id of its parent, the test, stays, and a link names the real one
(:meth:`~clnrm_nb.spans.table.SpanTable.parent_rows` resolves it).
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.spans.model import Event, Link, Scope, Span
from clnrm_nb.spans.phases import OWN_RESOURCE, RUN, SCOPE, Phase, at, here

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace import Span as SdkSpan
    from opentelemetry.sdk.trace import Tracer as SdkTracer
    from opentelemetry.trace import SpanContext

    from clnrm_nb.spans.table import SpanTable

__all__ = ["OwnSpan", "RunSpan", "TestTracer", "own_trace", "run_span"]

_MAX_EVENTS: Final = 1_000


@cache
def _tracer() -> SdkTracer:
    """One for the process: a provider registers itself with the interpreter and is never let go."""
    from opentelemetry.sdk.resources import Resource as SdkResource
    from opentelemetry.sdk.trace import SpanLimits, TracerProvider
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON

    # Everything is said here: the user's OTEL_* variables are meant for the user's own programs.
    provider = TracerProvider(
        sampler=ALWAYS_ON,
        resource=SdkResource(OWN_RESOURCE.attributes),
        shutdown_on_exit=False,
        span_limits=SpanLimits(max_span_attributes=128, max_events=_MAX_EVENTS, max_links=128),
    )
    provider._disabled = False  # noqa: SLF001  # OTEL_SDK_DISABLED is the user's, too, and has no parameter.
    return provider.get_tracer(SCOPE)  # type: ignore[return-value]  # The provider's annotation names the interface.


class OwnSpan:
    """One span being recorded; ends once, whatever happens."""

    def __init__(
        self,
        name: str,
        deliver: Callable[[Span, str | None], None],
        *,
        parent: OwnSpan | RunSpan | None = None,
        own_trace: bool = False,
        scenario: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        from opentelemetry.context import Context
        from opentelemetry.trace import Link as SdkLink
        from opentelemetry.trace import NonRecordingSpan, set_span_in_context

        context, links = Context(), []
        if parent is not None:
            origin = parent.context
            if own_trace:
                links = [SdkLink(origin)]
                origin = _in_new_trace(origin)
            context = set_span_in_context(NonRecordingSpan(origin), context)
        span = _tracer().start_span(name, context=context, links=links, attributes=dict(attributes or {}))
        self._span: SdkSpan = span  # type: ignore[assignment]  # Ours always record.
        self._deliver = deliver
        self.scenario = scenario

    @property
    def context(self) -> SpanContext:
        """Its SDK context."""
        return self._span.get_span_context()

    @property
    def trace_id(self) -> str:
        """32 hex digits."""
        return f"{self.context.trace_id:032x}"

    @property
    def span_id(self) -> str:
        """16 hex digits."""
        return f"{self.context.span_id:016x}"

    @property
    def traceparent(self) -> str:
        """Sampled W3C context with this span as parent."""
        return f"00-{self.trace_id}-{self.span_id}-01"

    def entered(self) -> AbstractContextManager[None]:
        """Be in it: what is logged meanwhile names it."""
        return at(trace_id=self.trace_id, span_id=self.span_id)

    def event(self, name: str, **attributes: Any) -> None:
        """Add an event that happens now."""
        known = {key: value for key, value in attributes.items() if value is not None}
        self._span.add_event(name, known)

    def attribute(self, key: str, value: Any) -> None:
        """Set an attribute."""
        self._span.set_attribute(key, value)

    def fail(self, message: str) -> None:
        """Give it the status error."""
        from opentelemetry.trace import Status, StatusCode

        self._span.set_status(Status(StatusCode.ERROR, message))

    def end(self) -> None:
        """End and deliver it; again: nothing."""
        if self._span.is_recording():
            self._span.end()
            self._deliver(_converted(self._span), self.scenario)


def _in_new_trace(context: SpanContext) -> SpanContext:
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
    from opentelemetry.trace import SpanContext, TraceFlags

    return SpanContext(
        trace_id=RandomIdGenerator().generate_trace_id(),
        span_id=context.span_id,
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )


class RunSpan:
    """The root of the own spans of tests: a phase, of this process or of the one that started the run.

    Parameters
    ----------
    phase : Phase
        Ends by itself, after the tests.
    """

    def __init__(self, phase: Phase) -> None:
        self._phase = phase

    @property
    def trace_id(self) -> str:
        """32 hex digits."""
        return self._phase.trace_id

    @property
    def span_id(self) -> str:
        """16 hex digits."""
        return self._phase.span_id

    @property
    def context(self) -> SpanContext:
        """Of a sampled parent that the SDK has not made."""
        from opentelemetry.trace import SpanContext, TraceFlags

        return SpanContext(
            trace_id=int(self.trace_id, 16),
            span_id=int(self.span_id, 16),
            is_remote=True,
            trace_flags=TraceFlags(TraceFlags.SAMPLED),
        )

    def snapshot(self) -> Span:
        """As it is, with the present as its end, and as the root it is for a test: the rest is not there."""
        return replace(self._phase.span(), parent_span_id=None)


def own_trace(run: Phase, tables: Iterable[SpanTable]) -> SpanTable:
    """The whole own trace of a run: its phases, what it is a part of, and the own spans of its tests.

    Parameters
    ----------
    tables : iterable of SpanTable
        Of its tests.
    """
    from clnrm_nb.spans.table import SpanTable

    whole = SpanTable(phase.span() for phase in run.top.walk())
    known = set(whole.span_id)
    for table in tables:
        rows = [row for row in range(len(table)) if table.own[row] and table.span_id[row] not in known]
        whole.extend(table.select(rows))
    return whole


def run_span(run_id: str) -> RunSpan:
    """The root of all own spans of a run; each test takes a snapshot of it, as a run ends after its tests."""
    place = here()
    run = place.phase.run if place is not None and place.phase is not None else None
    return RunSpan(run or Phase(RUN, attributes={"clnrm.run.id": run_id}))


class TestTracer:
    """The own spans of one test attempt, delivered as they end.

    Parameters
    ----------
    run : RunSpan
    test_id : str
    deliver : callable
        Takes each ended span and the scenario it belongs to (``None``: the test).
    """

    __test__ = False

    def __init__(self, run: RunSpan, test_id: str, deliver: Callable[[Span, str | None], None]) -> None:
        self._run = run
        self._deliver = deliver
        self._open: list[OwnSpan] = []
        self.test = self._started("clnrm.test", parent=run, attributes={"clnrm.test.id": test_id})

    def _started(self, name: str, **options: Any) -> OwnSpan:
        span = OwnSpan(name, self._deliver, **options)
        self._open.append(span)
        return span

    def service(self, name: str) -> OwnSpan:
        """Start ``clnrm.service.start``."""
        return self._started("clnrm.service.start", parent=self.test, attributes={"clnrm.service.name": name})

    def scenario(self, name: str) -> OwnSpan:
        """Start ``clnrm.scenario:<name>`` in a trace of its own."""
        return self._started(
            f"clnrm.scenario:{name}",
            parent=self.test,
            own_trace=True,
            scenario=name,
            attributes={"clnrm.scenario": name},
        )

    def step(self, name: str, scenario: OwnSpan) -> OwnSpan:
        """Start ``clnrm.step:<name>`` under its scenario."""
        return self._started(
            f"clnrm.step:{name}",
            parent=scenario,
            scenario=scenario.scenario,
            attributes={"clnrm.step.name": name},
        )

    def end(self) -> None:
        """End whatever is still open, innermost first, and deliver the run's span as it stands."""
        for span in reversed(self._open):
            span.end()
        self._deliver(self._run.snapshot(), None)


def _converted(span: ReadableSpan) -> Span:
    context, parent = span.get_span_context(), span.parent
    assert context is not None
    return Span(
        trace_id=f"{context.trace_id:032x}",
        span_id=f"{context.span_id:016x}",
        name=span.name,
        parent_span_id=None if parent is None else f"{parent.span_id:016x}",
        kind="internal",
        start_ns=span.start_time,
        end_ns=span.end_time,
        status_code=span.status.status_code.name.lower(),
        status_message=span.status.description or "",
        attributes=dict(span.attributes or {}),
        events=tuple(Event(e.name, e.timestamp, dict(e.attributes or {})) for e in span.events),
        links=tuple(
            Link(f"{link.context.trace_id:032x}", f"{link.context.span_id:016x}", dict(link.attributes or {}))
            for link in span.links
        ),
        resource=OWN_RESOURCE,
        scope=Scope(SCOPE),
        own=True,
    )
