"""What the parts of one test attempt share: its plan, its unit, its spans, its clock, its findings."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.errors import ClnrmError, Diagnostic
from clnrm_nb.executor.backends.protocol import CommandResult, CommandSpec
from clnrm_nb.executor.environment import Telemetry, combined, injected
from clnrm_nb.executor.events import Event
from clnrm_nb.executor.masking import masked_finding
from clnrm_nb.secrets import Masker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, MutableMapping

    from clnrm_nb.config.project import Project
    from clnrm_nb.config.settings import Settings
    from clnrm_nb.executor.backends.protocol import Backend, RunningService, Unit
    from clnrm_nb.executor.events import EventName, Listener
    from clnrm_nb.executor.outcome import TestOutcome
    from clnrm_nb.executor.plan import TestPlan
    from clnrm_nb.executor.spares import Spares
    from clnrm_nb.executor.tracing import OwnSpan, RunSpan, TestTracer
    from clnrm_nb.scenario.model import KeyPath, Step
    from clnrm_nb.spans.collector import Collector
    from clnrm_nb.spans.receiver import Receiver
    from clnrm_nb.spans.redaction import Hidden
    from clnrm_nb.spans.table import SpanTable

__all__ = ["Attempt", "HeldContext", "RunContext"]

_log = logging.getLogger(__name__)

ENGINE_LAG_S: Final = 15.0
"""How much later than its limit a command may be reported as stopped before the backend counts as hung."""


@dataclass(slots=True)
class RunContext:
    """What all tests of a run share.

    Parameters
    ----------
    publish : callable
        Takes every event; if it fails it is not called again, and the run goes on.
    environ : mapping
        Where ``[secrets]`` are read from.
    masker : Masker
        Hides the secrets of all tests of the run.
    tables : mutable mapping
        Filled with the growing span table of each test as it starts.
    redact : callable, optional
        Hides in the spans of a test, by its id, what rules say, and returns what it has hidden.
    spares : Spares, optional
        What was made ready for tests of this run before it began.
    """

    run_id: str
    backend: Backend
    settings: Settings
    project: Project
    receiver: Receiver
    run_span: RunSpan
    publish: Listener | None = None
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    masker: Masker = field(default_factory=Masker)
    tables: MutableMapping[str, SpanTable] = field(default_factory=dict)
    redact: Callable[[str, SpanTable], Hidden] | None = None
    spares: Spares | None = None

    def emit(self, event: EventName, **fields: Any) -> None:
        """Publish an event of this run, secrets masked."""
        if self.publish is None:
            return
        try:
            self.publish(Event(event, self.run_id, **self.masker.value(fields)))
        except Exception:  # noqa: BLE001  # A listener is not ours; what it raises must not end a test.
            _log.warning("a listener failed at %s; it gets no more events", event, exc_info=True)
            self.publish = None


@dataclass(slots=True)
class HeldContext(RunContext):
    """The context of a test whose turn has not come: its events are held until :meth:`let_go`."""

    held: list[tuple[EventName, dict[str, Any]]] | None = field(default_factory=list)

    @classmethod
    def of(cls, context: RunContext) -> HeldContext:
        """The same context for one test."""
        return cls(**{each.name: getattr(context, each.name) for each in fields(RunContext)})

    def emit(self, event: EventName, **fields: Any) -> None:
        """Publish an event, now or when events are let go."""
        if self.held is None:
            RunContext.emit(self, event, **fields)
        else:
            self.held.append((event, fields))

    def let_go(self) -> None:
        """Publish what was held, and from now on everything at once."""
        held, self.held = self.held or [], None
        for event, given in held:
            RunContext.emit(self, event, **given)


@dataclass(slots=True)
class Attempt:
    """One attempt of one test, while it is alive.

    Parameters
    ----------
    deadline_s : float
        :func:`time.monotonic` at which the test's own limit is reached.
    running : dict
        Services that were started, by name.
    """

    plan: TestPlan
    context: RunContext
    outcome: TestOutcome
    unit: Unit
    collector: Collector
    tracer: TestTracer
    secrets: Mapping[str, str] = field(repr=False)
    deadline_s: float
    running: dict[str, RunningService] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    """All tokens given out so far."""
    places: Mapping[str, str] = field(default_factory=dict)
    """Where the services are found, as the unit says."""

    @property
    def masker(self) -> Masker:
        """Of the run."""
        return self.context.masker

    @property
    def remaining_s(self) -> float:
        """Until the test's own limit; never below 0."""
        return max(self.deadline_s - time.monotonic(), 0.0)

    # -------------------------------------------------------------------------------------- reporting

    def emit(self, event: EventName, **fields: Any) -> None:
        """Publish an event of this test."""
        self.context.emit(event, test=self.plan.id, **fields)

    def emit_spans(self, first_row: int, n_rows: int) -> None:
        """Publish how many spans of the programs under test have come; own spans are no news."""
        own = self.collector.table.own[first_row : first_row + n_rows]
        if count := n_rows - sum(own):
            self.emit("span", data={"count": count})

    def report(self, finding: Diagnostic, source: KeyPath = ()) -> None:
        """Add a finding, at the block it is about where that is known."""
        finding = replace(
            masked_finding(finding, self.masker),
            test=finding.test or self.plan.id,
            file=finding.file or self.plan.test.file,
        )
        if finding.line is None and source and self.plan.locate is not None:
            finding = finding.at(self.plan.locate(source))
        self.outcome.diagnostics.append(finding)
        self.emit("diagnostic", scenario=finding.scenario, data=finding.to_json())

    def report_error(self, error: ClnrmError, source: KeyPath = ()) -> None:
        """Add a stop as a finding."""
        self.report(error.diagnostic, source)

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Add the time spent inside to a phase."""
        started = time.perf_counter()
        try:
            yield
        finally:
            spent_ms = (time.perf_counter() - started) * 1e3
            self.outcome.timings_ms[phase] = self.outcome.timings_ms.get(phase, 0.0) + spent_ms

    # --------------------------------------------------------------------------------------- commands

    def secrets_of(self, service: str | None) -> Mapping[str, str]:
        """The secrets that a service and its commands are given."""
        chosen = self.plan.test.secrets.services
        return self.secrets if not chosen or service in chosen else {}

    def telemetry(self, token: str, span: OwnSpan, scenario: str | None) -> Telemetry:
        """Where programs that run under `span` send their spans."""
        self.tokens.add(token)
        is_grpc = self.plan.test.otel.uses_grpc
        endpoint = self.context.receiver.endpoint(token, self.unit.receiver_host, grpc=is_grpc)
        return Telemetry(endpoint, token, span.traceparent, scenario)

    def environment(
        self, telemetry: Telemetry, service: str | None, step: Step | None = None
    ) -> dict[str, str]:
        """The whole environment that a service, or a command in it, is given."""
        known = service is not None and service in self.plan.services
        of_service = self.plan.services[service].env if known and service else {}
        return combined(
            {**injected(self.plan, telemetry, service), **self.places},
            of_service,
            step.env if step else {},
            secrets=self.secrets_of(service),
        )

    async def execute(self, command: CommandSpec) -> CommandResult:
        """Run a command; a backend that does not keep its limit is not waited for."""
        limit_s = None if command.timeout_s is None else command.timeout_s + command.grace_s + ENGINE_LAG_S
        started = time.perf_counter()
        try:
            async with asyncio.timeout(limit_s):
                return await self.unit.execute(command)
        except TimeoutError:
            spent_ms = (time.perf_counter() - started) * 1e3
            return CommandResult(
                None, b"", b"", spent_ms, timed_out=True, error="the backend did not stop the command in time"
            )
