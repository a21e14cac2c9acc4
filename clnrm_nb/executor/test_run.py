"""The life of one test, from its unit to its teardown (``format.md`` 5.1, steps 3 to 9).

Everything that can go wrong ends here as findings and statuses of that one test: a stop carries its code, an
unexpected exception is CLN901, and whatever happens the unit is closed. Expectations are judged elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from clnrm_nb.errors import ClnrmError, Diagnostic
from clnrm_nb.executor.attempt import Attempt
from clnrm_nb.executor.backends.protocol import Replaying, UnitSpec
from clnrm_nb.executor.environment import Masker, read_secrets
from clnrm_nb.executor.judge import is_leak_asserted, status_of_findings
from clnrm_nb.executor.outcome import TestOutcome, worst
from clnrm_nb.executor.readiness import Probing, accepts, await_ready, not_ready, until
from clnrm_nb.executor.scenarios import ScenarioRun, run_scenarios, scenarios_of
from clnrm_nb.executor.services import external_address, start_in_order
from clnrm_nb.executor.tracing import TestTracer

if TYPE_CHECKING:
    from clnrm_nb.codes import Status
    from clnrm_nb.executor.attempt import RunContext
    from clnrm_nb.executor.backends.protocol import Unit
    from clnrm_nb.executor.plan import TestPlan
    from clnrm_nb.scenario.model import Service
    from clnrm_nb.spans.model import Span

__all__ = ["STOP_GRACE_S", "run_test"]

_log = logging.getLogger(__name__)

STOP_GRACE_S: Final = 5.0
"""Between TERM and KILL of a service at the end: as long as an SDK may take for its last export."""

_LIMIT_LAG_S: Final = 1.0
"""How long after the test's limit its commands may take to report that they were stopped."""

_TEARDOWN_S: Final = 60.0
_DRAIN_PAUSE_S: Final = 0.005


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
        await life.live()
    except asyncio.CancelledError:
        ended_by = "interrupted"
        outcome.reason = "interrupted"
    except ClnrmError as error:
        life.report(error.diagnostic)
        ended_by = status_of_findings([error.diagnostic])
    except Exception as error:
        _log.exception("%s", plan.id)
        life.report(Diagnostic("CLN901", f"internal error, please report: {type(error).__name__}: {error}"))
        ended_by = "error"
    _settle(outcome, ended_by)
    outcome.duration_ms = (time.perf_counter() - started) * 1e3
    return outcome


def _settle(outcome: TestOutcome, ended_by: Status) -> None:
    """Statuses at the end: what was under way when the test ended shares the cause."""
    for part in (*outcome.scenarios, *(c for scenario in outcome.scenarios for c in scenario.commands)):
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

    async def live(self) -> None:
        """Everything, in order."""
        self._refuse()
        spec = self._spec()
        refused = self._context.backend.policy_findings(spec)
        secrets, unset = read_secrets(self._plan, self._context.environ)
        for finding in (*refused, *unset):
            self.report(finding)
        if status_of_findings([*refused, *unset]) == "error":
            return
        opened = time.perf_counter()
        unit = await self._context.backend.open_unit(spec)
        self._outcome.timings_ms["open"] = (time.perf_counter() - opened) * 1e3
        try:
            await self._context.receiver.listen(unit.listen_address)
            try:
                await self._within(unit, secrets)
            finally:
                await asyncio.shield(self._close(unit))
        except BaseException:
            # Listening may have failed before the inner block could close the unit; closing twice is allowed.
            await asyncio.shield(self._close(unit))
            raise
