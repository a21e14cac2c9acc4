"""The life of one test, from its unit to its teardown (``format.md`` 5.1, steps 3 to 9).

A life has three parts: what can be made ready before anybody waits for it (unit, services), what the test
does when its turn has come, and removal. Which parts stand within the turn is all the difference between the
isolation levels ``fresh`` and ``warm``.

Everything that can go wrong ends here as findings and statuses of that one test: a stop carries its code, an
unexpected exception is CLN901, and whatever happens the unit is closed. Expectations are judged elsewhere.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from clnrm_nb.errors import BackendUnavailableError, ClnrmError, Diagnostic, RefusedError
from clnrm_nb.executor.artifacts import places_of_files
from clnrm_nb.executor.attempt import Attempt, HeldContext
from clnrm_nb.executor.backends import has_containers
from clnrm_nb.executor.backends.protocol import Distributing, Publishing, UnitSpec
from clnrm_nb.executor.ending import Ending
from clnrm_nb.executor.environment import read_secrets
from clnrm_nb.executor.judge import is_leak_asserted, status_of_findings
from clnrm_nb.executor.late import report_late_spans
from clnrm_nb.executor.masking import mask_outcome, masked_finding
from clnrm_nb.executor.outcome import TestOutcome
from clnrm_nb.executor.plan import refuse
from clnrm_nb.executor.scenarios import ScenarioRun, run_scenarios, scenarios_of
from clnrm_nb.executor.services import ServiceWatch, start_services
from clnrm_nb.executor.settle import internal_error, settle
from clnrm_nb.executor.together import together
from clnrm_nb.executor.tracing import TestTracer
from clnrm_nb.spans.collector import Collector
from clnrm_nb.spans.phases import Place, at, move

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from contextlib import AbstractAsyncContextManager

    from clnrm_nb.codes import Severity, Status
    from clnrm_nb.executor.attempt import RunContext
    from clnrm_nb.executor.backends.protocol import Backend, Unit
    from clnrm_nb.executor.plan import TestPlan
    from clnrm_nb.spans.model import Span

__all__ = ["Life", "prepares_ahead", "run_test", "unit_spec"]

_LIMIT_LAG_S: Final = 1.0
"""How long after the test's limit its commands may take to report that they were stopped."""

_TEARDOWN_S: Final = 60.0
_SHORTEST_TEARDOWN_S: Final = 2.0
_INTERRUPTED_TEARDOWN_S: Final = 1.5
"""Then the report is written, while the removal goes on without anybody waiting for it."""


async def run_test(
    plan: TestPlan,
    context: RunContext,
    turn: AbstractAsyncContextManager[object] | None = None,
    *,
    is_awaited: bool = True,
) -> TestOutcome:
    """Run one attempt of one test; never raises for what the test does.

    Being cancelled is answered by teardown without grace and an outcome with status ``interrupted``;
    ``skipped`` if its turn had not come.

    Parameters
    ----------
    turn : async context manager, optional
        Entered when the test may begin, left when somebody else may. What a test needs that is neither
        ``fresh`` nor on this very machine is made and started before that (:func:`prepares_ahead`).
    is_awaited : bool
        Whether somebody waits for it already, so that making it ready is a part of it.
    """
    root = context.run_span
    with at(Place(root.trace_id, root.span_id, run=context.run_id, test=plan.id)):
        return await _lived(plan, context, turn or nullcontext(), is_awaited=is_awaited)


async def _lived(
    plan: TestPlan, context: RunContext, turn: AbstractAsyncContextManager[object], *, is_awaited: bool
) -> TestOutcome:
    life = Life(plan, context)
    if is_awaited:
        life.begin()
    ended_by: Status = "passed"
    try:
        if prepares_ahead(plan, context.backend):
            ended_by = await _warm(life, turn)
        else:
            ended_by = await _fresh(life, turn)
    except asyncio.CancelledError:
        ended_by = "interrupted" if life.begun_s else "skipped"
        life.outcome.reason = "interrupted" if life.begun_s else "not started: the run was interrupted"
    except ClnrmError as error:
        life.report(error.diagnostic)
        ended_by = status_of_findings([error.diagnostic])
    except Exception as error:  # noqa: BLE001  # One bad test never harms another; it is reported as CLN901.
        life.report(internal_error(error))
        ended_by = "error"
    settle(life.outcome, ended_by)
    mask_outcome(life.outcome, context.masker)
    if life.begun_s is not None:
        life.outcome.duration_ms = (time.perf_counter() - life.begun_s) * 1e3
        if context.spares is not None and ended_by in ("passed", "failed"):
            context.spares.note(plan, context)
    return life.outcome


def prepares_ahead(plan: TestPlan, backend: Backend) -> bool:
    """Whether network, containers and services of a test are made before its turn comes.

    What is used again is there already, and should be taken late: then fewer are needed.
    """
    is_here = not isinstance(backend, Distributing) and has_containers(backend.name)
    return is_here and plan.isolation != "fresh" and not _uses_again(plan)


def _uses_again(plan: TestPlan) -> bool:
    """Whether a test asks for a used runner container, and has a use for it."""
    return plan.isolation == "verified" and None in plan.commands_in


def unit_spec(plan: TestPlan, run_id: str) -> UnitSpec:
    """What a backend is told about an attempt."""
    return UnitSpec(
        run_id=run_id,
        test_id=plan.id,
        services={name: one for name, one in plan.services.items() if one.plugin != "network_service"},
        directory=plan.directory,
        project_root=plan.project_root,
        runner_image=plan.runner_image,
        memory_mb=plan.runner_memory_mb,
        cpu_millicores=plan.runner_cpu_millicores,
        allow=plan.allow,
        scenarios=[scenario.name for scenario in scenarios_of(plan.test)],
        commands_in=plan.commands_in,
        files_of=places_of_files(plan.test),
        isolation="verified" if _uses_again(plan) else "fresh",
    )


async def _fresh(life: Life, turn: AbstractAsyncContextManager[object]) -> Status:
    """Everything within the turn, from the unit to its removal."""
    async with turn:
        life.begin()
        async with life.closed():
            await life.prepare()
            return await life.run()


async def _warm(life: Life, turn: AbstractAsyncContextManager[object]) -> Status:
    """Only what the test itself does within the turn: its unit waits for it, and is removed after it.

    A test that is waited for takes its turn at once, so that nobody later in the queue overtakes it.
    """
    async with life.closed():
        if life.begun_s is None:
            await life.prepare()
            await life.watch_services()
        async with turn:
            life.begin()
            await life.make_ready()
            return await life.run()


class Life:
    """One attempt: prepared, lived through, closed.

    Events and findings from before the test has begun are held back until then, so that listeners see a test
    start before they see anything of it.

    Parameters
    ----------
    lasting : AsyncExitStack, optional
        Left when everything is removed: what it uses and the run does not give, such as a receiver.
    """

    def __init__(self, plan: TestPlan, context: RunContext, lasting: AsyncExitStack | None = None) -> None:
        self.outcome = TestOutcome(
            id=plan.id,
            name=plan.test.metadata.name,
            backend=context.backend.name,
            hermetic=context.backend.hermetic and plan.is_hermetic_by_file,
            replayed=context.backend.replayed,
            isolation="warm" if prepares_ahead(plan, context.backend) else "fresh",
            matrix=dict(plan.test.matrix),
            hash=plan.hash,
        )
        self.begun_s: float | None = None
        """:func:`time.perf_counter` when it was first waited for."""
        self._plan = plan
        self._context = HeldContext.of(context)
        self._receiver = context.receiver
        self._lasting = lasting
        self._unborn()

    def _unborn(self) -> None:
        """The state before anything was made."""
        self._left_s = self._plan.timeout_s
        self._unit: Unit | None = None
        self._is_listening = self._is_interrupted = False
        self._attempt: Attempt | None = None
        self._ending: Ending | None = None
        self._runs: list[ScenarioRun] = []
        self._failure: Exception | None = None
        self._is_prepared = self._is_refused = False
        self._watch = ServiceWatch()
        scenarios = scenarios_of(self._plan.test)
        self.outcome.scenarios = [ScenarioRun.prepared(scenario, "not started") for scenario in scenarios]

    def report(self, finding: Diagnostic) -> None:
        """Add a finding, also before and after the attempt proper."""
        if self._attempt is not None:
            self._attempt.report(finding)
            return
        finding = masked_finding(finding, self._context.masker)
        self.outcome.diagnostics.append(finding)
        self._context.emit("diagnostic", test=self._plan.id, data=finding.to_json())

    def begin(self) -> None:
        """Its turn has come, or somebody waits for it; again: nothing."""
        if self.begun_s is None:
            self.begun_s = time.perf_counter()
            if prepares_ahead(self._plan, self._context.backend):
                self.outcome.was_ready = self._is_prepared
            self._context.let_go()
            if self._attempt is not None:
                # Where the waiting ends in the timeline of the test.
                self._attempt.tracer.test.event("clnrm.turn")

    async def make_ready(self) -> None:
        """Prepare unless it is; again, if a service that was ready has ended while the test waited."""
        if self._watch.has_lost_one:
            await self.close()
            self.outcome.diagnostics.clear()
            self.outcome.timings_ms.clear()
            self.outcome.was_ready = False
            self._unborn()
        if not self._is_prepared:
            await self.prepare()

    # ---------------------------------------------------------------------------------- before its turn

    async def prepare(self) -> None:
        """Everything up to the first scenario: refusals, unit, receiver, services until ready.

        What goes wrong is kept for :meth:`run` to tell, since the test may never be run.
        """
        started_s = time.monotonic()
        self._is_prepared = True
        try:
            await self._prepare()
        except Exception as failure:  # noqa: BLE001  # Raised again by `run`.
            self._failure = failure
        self._left_s = max(self._left_s - (time.monotonic() - started_s), 0.0)

    async def _prepare(self) -> None:
        self._refuse()
        # Made ahead of any run it takes no port from this machine.
        is_spare = self._lasting is not None
        spec = replace(unit_spec(self._plan, self._context.run_id), holds_ports=is_spare)
        secrets, findings = read_secrets(self._plan, self._context.environ)
        findings = [*self._context.backend.policy_findings(spec), *findings]
        for finding in findings:
            self.report(finding)
        if status_of_findings(findings) == "error":
            self._is_refused = True
            return
        if self._context.spares is not None and await self._has_spare(spec, secrets):
            return
        opened = time.perf_counter()
        unit = self._unit = await self._context.backend.open_unit(spec)
        self.outcome.timings_ms["open"] = (time.perf_counter() - opened) * 1e3
        self.outcome.addresses = unit.addresses()
        if unit.isolation == "verified":
            self.outcome.isolation = "verified"
        await self._context.receiver.listen(unit.listen_address, grpc=self._plan.test.otel.uses_grpc)
        self._is_listening = True
        attempt = self._made(unit, secrets)
        self._lead(attempt)
        self.outcome.hermetic = self.outcome.hermetic and unit.hermetic
        self._refuse()
        async with self._in_time(attempt):
            with attempt.timed("services"):
                await self._start(attempt)

    async def _has_spare(self, spec: UnitSpec, secrets: Mapping[str, str]) -> bool:
        """Whether all of it has been made ready before this run began."""
        assert self._context.spares is not None
        started = time.perf_counter()
        spare = await self._context.spares.take(self._plan, spec, secrets, self._context)
        if spare is None:
            return False
        unit = self._go_on_from(spare).unit
        if isinstance(unit, Publishing):
            await unit.publish()
        self.outcome.timings_ms["take"] = (time.perf_counter() - started) * 1e3
        self._refuse()
        return True

    def _go_on_from(self, spare: Life) -> Attempt:
        """Take over what another life has made ready from the very same things; nothing is left to it."""
        attempt, outcome, context = spare._attempt, self.outcome, self._context
        assert attempt is not None
        context.receiver = spare._context.receiver
        self._lasting, self._unit, self._is_listening = spare._lasting, spare._unit, spare._is_listening
        self._watch, self._left_s = spare._watch, spare._left_s
        spare._unborn()
        spare._lasting = None
        outcome.addresses, outcome.hermetic = spare.outcome.addresses, spare.outcome.hermetic
        outcome.was_ready = True
        outcome.timings_ms["ahead"] = sum(spare.outcome.timings_ms.values())
        attempt.plan, attempt.context, attempt.outcome = self._plan, context, outcome
        attempt.tracer.adopt(context.run_span)
        context.tables[self._plan.id] = attempt.collector.table
        for name, given in spare._context.held or ():
            # Findings from before the unit was opened have been made again by now.
            if name != "diagnostic":
                context.emit(name, **given)
        self._lead(attempt)
        return attempt

    @property
    def is_ready(self) -> bool:
        """Whether it can begin at once: all is made, nothing went wrong, and no service has ended since."""
        is_made = self._attempt is not None and self._is_prepared and self._failure is None
        return is_made and not self._watch.has_lost_one

    async def _start(self, attempt: Attempt) -> None:
        """Services, and what commands are run in."""
        wanted = self._plan.commands_in
        runner = [attempt.unit.warm_up(None)] if None in wanted else []
        await together([start_services(attempt), *runner])
        await together([attempt.unit.warm_up(name) for name in wanted if name in attempt.running])

    async def watch_services(self) -> None:
        """From here on it is noticed if a service ends before the test's turn comes."""
        if self._attempt is not None and self._failure is None:
            await self._watch.begin(self._attempt.running.values())

    def _refuse(self) -> None:
        refuse(self._plan, backend=self.outcome.backend, is_hermetic=self.outcome.hermetic)
        if self._attempt is not None:
            return
        for scenario in self._plan.test.scenarios:
            for key in ("max_memory_mb", "max_cpu_usage"):
                if getattr(scenario.policy, key) is not None:
                    text = f"`policy.{key}` of scenario `{scenario.name}`: only services have such limits"
                    self.report(Diagnostic("CLN611", text, file=self._plan.test.file, test=self._plan.id))

    # --------------------------------------------------------------------------------------- its turn

    async def run(self) -> Status:
        """The scenarios and the end of the trace; the status of what ended the test early, else passed.

        Raises what leaves nothing to collect: interrupts, no engine, refusals, bugs.
        """
        attempt, failure = self._attempt, self._failure
        if attempt is None or isinstance(failure, (BackendUnavailableError, RefusedError)):
            if failure is not None:
                raise failure
            assert self._is_refused
            return "error"
        assert self._ending is not None
        attempt.deadline_s = time.monotonic() + self._left_s
        ended_by: Status = "passed"
        try:
            if failure is not None:
                raise failure
            async with self._in_time(attempt):
                await run_scenarios(attempt, self._runs)
        except BackendUnavailableError:
            raise
        except ClnrmError as error:
            # Said before what the end may add; the spans so far are still collected.
            self.report(error.diagnostic)
            ended_by = status_of_findings([error.diagnostic])
        await self._ending.end()
        return ended_by

    def _made(self, unit: Unit, secrets: Mapping[str, str]) -> Attempt:
        plan, context = self._plan, self._context
        collector = Collector(plan.id, context.receiver)
        context.tables[plan.id] = collector.table
        deliver = _nobody if context.backend.replayed else collector.add_own
        tracer = TestTracer(context.run_span, plan.id, deliver)
        collector.know_parent(tracer.test.span_id)
        attempt = Attempt(
            plan=plan,
            context=context,
            outcome=self.outcome,
            unit=unit,
            collector=collector,
            tracer=tracer,
            secrets=secrets,
            deadline_s=time.monotonic() + self._left_s,
            places=unit.environment(),
        )
        collector.subscribe(attempt.emit_spans)
        return attempt

    def _lead(self, attempt: Attempt) -> None:
        """From here on it is about this attempt."""
        self._attempt = attempt
        move(trace_id=attempt.tracer.test.trace_id, span_id=attempt.tracer.test.span_id)
        pairs = zip(scenarios_of(self._plan.test), self.outcome.scenarios, strict=True)
        self._runs = [ScenarioRun(attempt, scenario, outcome) for scenario, outcome in pairs]
        self._ending = Ending(attempt, self._runs)

    @asynccontextmanager
    async def _in_time(self, attempt: Attempt) -> AsyncIterator[None]:
        """Within the limit of the test, which its commands keep by themselves; this is the last resort."""
        longest_grace_s = max((run.scenario.grace_period_s for run in self._runs), default=0.0)
        limit = asyncio.timeout(attempt.remaining_s + longest_grace_s + _LIMIT_LAG_S)
        try:
            async with limit:
                yield
        except TimeoutError:
            if not limit.expired():
                raise
            raise ClnrmError(
                f"the test was stopped after {self._plan.timeout_s:g} s, its limit", "CLN604"
            ) from None

    # ------------------------------------------------------------------------------------------ after

    @asynccontextmanager
    async def closed(self) -> AsyncIterator[None]:
        """Whatever happens inside, everything is removed afterwards."""
        try:
            yield
        except asyncio.CancelledError:
            self._is_interrupted = True
            raise
        finally:
            await self.close()

    async def close(self) -> None:
        """Remove everything, in any state. A second cancellation ends the waiting, not the clean-up."""
        if self._ending is not None and self._attempt is not None:
            # What an interrupted or broken test has received is still shown.
            if self.begun_s is not None:
                self._ending.take_spans()
            self._attempt.collector.close()
        self._watch.end()
        unit, lasting = self._unit, self._lasting
        self._unit = self._lasting = None
        if unit is not None or lasting is not None:
            await asyncio.shield(asyncio.ensure_future(self._removed(unit, lasting)))

    async def abandon(self) -> None:
        """Remove everything, of whatever state, at once: nobody will use it."""
        self._is_interrupted = True
        await self.close()

    async def _removed(self, unit: Unit | None, lasting: AsyncExitStack | None) -> None:
        if unit is not None:
            await self._close(unit)
        if lasting is not None:
            if self.begun_s is not None:
                # The run looks at its own receiver only.
                report_late_spans([self.outcome], self._context)
            self._context.receiver = self._receiver
            await lasting.aclose()

    async def _close(self, unit: Unit) -> None:
        """Remove the unit, and say what should not have been there any more."""
        started = time.perf_counter()
        limit_ms = self._plan.test.cleanup.cleanup_timeout_ms
        limit_s = _TEARDOWN_S if limit_ms is None else max(limit_ms / 1e3, _SHORTEST_TEARDOWN_S)
        if self._is_interrupted:
            limit_s = _INTERRUPTED_TEARDOWN_S
        try:
            async with asyncio.timeout(limit_s):
                leftovers = await unit.close()
            self.outcome.leftovers = [(leftover.type, leftover.name) for leftover in leftovers]
            self._report_leftovers()
        except TimeoutError:
            # An interrupt is answered in time; what then goes on was not left by the test.
            if not self._is_interrupted:
                text = f"the clean-up did not end within {limit_s:g} s; it goes on, not waited for"
                self.report(self._leak(text))
        except ClnrmError as error:
            self.report(error.diagnostic)
        except Exception as error:  # noqa: BLE001  # As above: the other tests go on.
            self.report(internal_error(error))
        finally:
            if self._is_listening:
                self._is_listening = False
                await self._context.receiver.unlisten(unit.listen_address)
            self.outcome.timings_ms["teardown"] = (time.perf_counter() - started) * 1e3

    def _report_leftovers(self) -> None:
        for kind, name in self.outcome.leftovers:
            self.report(self._leak(f"{kind} `{name}` was left by the test; it has been removed"))

    def _leak(self, message: str) -> Diagnostic:
        severity: Severity = "error" if is_leak_asserted(self._plan.test) else "warning"
        return Diagnostic("CLN610", message, severity=severity)


def _nobody(span: Span, scenario: str | None) -> None:
    """A replay shows the own spans that were recorded, not its own."""
