"""The life of one test, from its unit to its teardown (``format.md`` 5.1, steps 3 to 9).

Everything that can go wrong ends here as findings and statuses of that one test: a stop carries its code, an
unexpected exception is CLN901, and whatever happens the unit is closed. Expectations are judged elsewhere.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from typing import TYPE_CHECKING, Final

from clnrm_nb.errors import BackendUnavailableError, ClnrmError, Diagnostic
from clnrm_nb.executor.attempt import Attempt
from clnrm_nb.executor.backends.protocol import UnitSpec
from clnrm_nb.executor.ending import Ending
from clnrm_nb.executor.environment import Masker, read_secrets
from clnrm_nb.executor.judge import is_leak_asserted, status_of_findings
from clnrm_nb.executor.outcome import CommandOutcome, ScenarioOutcome, TestOutcome, worst
from clnrm_nb.executor.plan import refuse
from clnrm_nb.executor.scenarios import ScenarioRun, run_scenarios, scenarios_of
from clnrm_nb.executor.services import start_services
from clnrm_nb.executor.tracing import TestTracer
from clnrm_nb.spans.collector import Collector

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clnrm_nb.codes import Severity, Status
    from clnrm_nb.executor.attempt import RunContext
    from clnrm_nb.executor.backends.protocol import Unit
    from clnrm_nb.executor.plan import TestPlan
    from clnrm_nb.spans.model import Span

__all__ = ["internal_error", "run_test"]

_LIMIT_LAG_S: Final = 1.0
"""How long after the test's limit its commands may take to report that they were stopped."""

_TEARDOWN_S: Final = 60.0
_SHORTEST_TEARDOWN_S: Final = 2.0


async def run_test(plan: TestPlan, context: RunContext) -> TestOutcome:
    """Run one attempt of one test; never raises for what the test does.

    Being cancelled is answered by teardown without grace and an outcome with status ``interrupted``.
    """
    backend = context.backend
    outcome = TestOutcome(
        id=plan.id,
        name=plan.test.metadata.name,
        backend=backend.name,
        hermetic=backend.hermetic and plan.is_hermetic_by_file,
        replayed=backend.replayed,
        isolation="fresh",
        matrix=dict(plan.test.matrix),
        hash=plan.hash,
    )
    started = time.perf_counter()
    life = _Life(plan, context, outcome)
    ended_by: Status = "passed"
    try:
        ended_by = await life.live()
    except asyncio.CancelledError:
        ended_by = "interrupted"
        outcome.reason = "interrupted"
    except ClnrmError as error:
        life.report(error.diagnostic)
        ended_by = status_of_findings([error.diagnostic])
    except Exception as error:  # noqa: BLE001  # One bad test never harms another; it is reported as CLN901.
        life.report(internal_error(error))
        ended_by = "error"
    _settle(outcome, ended_by)
    outcome.duration_ms = (time.perf_counter() - started) * 1e3
    return outcome


def internal_error(error: Exception) -> Diagnostic:
    """CLN901 with the place of the bug, so that it can be reported without running again."""
    frames = traceback.extract_tb(error.__traceback__)
    hint = f"raised in {frames[-1].name}, {frames[-1].filename}:{frames[-1].lineno}" if frames else None
    return Diagnostic("CLN901", f"internal error, please report: {type(error).__name__}: {error}", hint=hint)


def _settle(outcome: TestOutcome, ended_by: Status) -> None:
    """Statuses at the end: what was under way when the test ended shares the cause."""
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


class _Life:
    """One attempt: opened, lived through, closed."""

    def __init__(self, plan: TestPlan, context: RunContext, outcome: TestOutcome) -> None:
        self._plan = plan
        self._context = context
        self._outcome = outcome
        self._deadline_s = time.monotonic() + plan.timeout_s
        self._attempt: Attempt | None = None
        self._runs: list[ScenarioRun] = []
        scenarios = scenarios_of(plan.test)
        outcome.scenarios = [ScenarioRun.prepared(scenario, "not started") for scenario in scenarios]

    def report(self, finding: Diagnostic) -> None:
        """Add a finding, also before and after the attempt proper."""
        if self._attempt is not None:
            self._attempt.report(finding)
            return
        self._outcome.diagnostics.append(finding)
        self._context.emit("diagnostic", test=self._plan.id, data=finding.to_json())

    async def live(self) -> Status:
        """Everything, in order; the status of what ended the test early, else passed.

        Raises, after the unit has been closed, what leaves nothing to collect: interrupts, no engine, bugs.
        """
        self._refuse()
        spec = self._spec()
        secrets, findings = read_secrets(self._plan, self._context.environ)
        findings = [*self._context.backend.policy_findings(spec), *findings]
        for finding in findings:
            self.report(finding)
        if status_of_findings(findings) == "error":
            return "error"
        opened = time.perf_counter()
        unit = await self._context.backend.open_unit(spec)
        self._outcome.timings_ms["open"] = (time.perf_counter() - opened) * 1e3
        self._outcome.addresses = unit.addresses()
        is_listening = False
        try:
            await self._context.receiver.listen(unit.listen_address, grpc=self._plan.test.otel.uses_grpc)
            is_listening = True
            return await self._within(unit, secrets)
        finally:
            # A second cancellation ends the waiting, not the clean-up.
            await asyncio.shield(asyncio.ensure_future(self._close(unit, is_listening=is_listening)))

    # ----------------------------------------------------------------------------------------- before

    def _refuse(self) -> None:
        refuse(self._plan, backend=self._outcome.backend, is_hermetic=self._outcome.hermetic)
        if self._attempt is not None:
            return
        for scenario in self._plan.test.scenarios:
            for key in ("max_memory_mb", "max_cpu_usage"):
                if getattr(scenario.policy, key) is not None:
                    text = f"`policy.{key}` of scenario `{scenario.name}`: only services have such limits"
                    self.report(Diagnostic("CLN611", text, file=self._plan.test.file, test=self._plan.id))

    def _spec(self) -> UnitSpec:
        plan = self._plan
        return UnitSpec(
            run_id=self._context.run_id,
            test_id=plan.id,
            services={name: one for name, one in plan.services.items() if one.plugin != "network_service"},
            directory=plan.directory,
            project_root=plan.project_root,
            runner_image=plan.runner_image,
            memory_mb=plan.runner_memory_mb,
            cpu_millicores=plan.runner_cpu_millicores,
            allow=plan.allow,
            scenarios=[scenario.name for scenario in scenarios_of(plan.test)],
        )

    # ------------------------------------------------------------------------------------ while alive

    async def _within(self, unit: Unit, secrets: Mapping[str, str]) -> Status:
        """All that happens between the making and the closing of the unit."""
        attempt = self._attempt = self._made(unit, secrets)
        self._outcome.hermetic = self._outcome.hermetic and unit.hermetic
        ending = Ending(attempt, self._runs)
        ended_by: Status = "passed"
        try:
            self._refuse()
            try:
                await self._in_time(attempt)
            except BackendUnavailableError:
                raise
            except ClnrmError as error:
                # Said before what the end may add; the spans so far are still collected.
                self.report(error.diagnostic)
                ended_by = status_of_findings([error.diagnostic])
            await ending.end()
        finally:
            # What an interrupted or broken test has received is still shown.
            ending.take_spans()
            attempt.collector.close()
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
            outcome=self._outcome,
            unit=unit,
            collector=collector,
            tracer=tracer,
            secrets=secrets,
            masker=Masker(tuple(secrets.values())),
            deadline_s=self._deadline_s,
            places=unit.environment(),
        )
        collector.subscribe(attempt.emit_spans)
        pairs = zip(scenarios_of(plan.test), self._outcome.scenarios, strict=True)
        self._runs = [ScenarioRun(attempt, scenario, outcome) for scenario, outcome in pairs]
        return attempt

    async def _in_time(self, attempt: Attempt) -> None:
        """Services and scenarios, within the limit of the test."""
        longest_grace_s = max((run.scenario.grace_period_s for run in self._runs), default=0.0)
        limit = asyncio.timeout(attempt.remaining_s + longest_grace_s + _LIMIT_LAG_S)
        try:
            async with limit:
                with attempt.timed("services"):
                    await start_services(attempt)
                await run_scenarios(attempt, self._runs)
        except TimeoutError:
            if not limit.expired():
                raise
            raise ClnrmError(
                f"the test was stopped after {self._plan.timeout_s:g} s, its limit", "CLN604"
            ) from None

    # ------------------------------------------------------------------------------------------ after

    async def _close(self, unit: Unit, *, is_listening: bool) -> None:
        """Remove everything, and say what should not have been there any more."""
        started = time.perf_counter()
        limit_ms = self._plan.test.cleanup.cleanup_timeout_ms
        limit_s = _TEARDOWN_S if limit_ms is None else max(limit_ms / 1e3, _SHORTEST_TEARDOWN_S)
        try:
            async with asyncio.timeout(limit_s):
                leftovers = await unit.close()
            self._outcome.leftovers = [(leftover.type, leftover.name) for leftover in leftovers]
            self._report_leftovers()
        except TimeoutError:
            self.report(
                self._leak(f"the clean-up did not end within {limit_s:g} s; `clnrm gc` goes on with it")
            )
        except ClnrmError as error:
            self.report(error.diagnostic)
        except Exception as error:  # noqa: BLE001  # As above: the other tests go on.
            self.report(internal_error(error))
        finally:
            if is_listening:
                await self._context.receiver.unlisten(unit.listen_address)
            self._outcome.timings_ms["teardown"] = (time.perf_counter() - started) * 1e3

    def _report_leftovers(self) -> None:
        for kind, name in self._outcome.leftovers:
            self.report(self._leak(f"{kind} `{name}` was left by the test; it has been removed"))

    def _leak(self, message: str) -> Diagnostic:
        severity: Severity = "error" if is_leak_asserted(self._plan.test) else "warning"
        return Diagnostic("CLN610", message, severity=severity)


def _nobody(span: Span, scenario: str | None) -> None:
    """A replay shows the own spans that were recorded, not its own."""
