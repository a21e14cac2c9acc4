"""The bounded pool that runs the tests of a run (``format.md`` 5.5).

Tests share nothing but the receiver and the backend: whatever happens to one, the others go on. Outcomes come
back in the order of the plans, whatever the order of completion.
"""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from clnrm_nb.config.keys import usable_cpus
from clnrm_nb.executor.admission import (
    Admission,
    Capacity,
    TestHistory,
    available_memory_mb,
    queue_order,
)
from clnrm_nb.executor.attempt import RunContext
from clnrm_nb.executor.backends import has_containers
from clnrm_nb.executor.outcome import TestOutcome, fails_run
from clnrm_nb.executor.retry import Retries
from clnrm_nb.executor.scenarios import ScenarioRun, scenarios_of
from clnrm_nb.executor.slow import noticed
from clnrm_nb.executor.test_run import internal_error, run_test
from clnrm_nb.executor.together import cancel_all
from clnrm_nb.executor.tracing import run_span
from clnrm_nb.spans.receiver import Limits, Receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping, Sequence

    from clnrm_nb.config.project import Project
    from clnrm_nb.config.settings import Settings
    from clnrm_nb.executor.backends.protocol import Backend
    from clnrm_nb.executor.events import Listener
    from clnrm_nb.executor.plan import TestPlan
    from clnrm_nb.spans.table import SpanTable

__all__ = ["TestHistory", "run_tests"]

_log = logging.getLogger(__name__)


async def run_tests(
    plans: Sequence[TestPlan],
    backend: Backend,
    *,
    settings: Settings,
    project: Project,
    run_id: str,
    publish: Listener | None = None,
    history: Mapping[str, TestHistory] | None = None,
    evaluate: Callable[[TestPlan, TestOutcome], object] | None = None,
    ended: Callable[[TestOutcome], object] | None = None,
    receiver: Receiver | None = None,
    environ: Mapping[str, str] | None = None,
    tables: MutableMapping[str, SpanTable] | None = None,
) -> list[TestOutcome]:
    """Run tests, each to its end.

    Parameters
    ----------
    plans : sequence of TestPlan
        In path order; ids are unique.
    backend : Backend
        Open; stays open.
    publish : callable, optional
        Takes ``test.queued`` to ``test.end`` and ``diagnostic`` events; ``run.start`` and ``run.end`` belong
        to the caller, who knows the cached tests too.
    history : mapping, optional
        By test id, for the order of the queue.
    evaluate : callable, optional
        Judges the expectations of each attempt and sets ``outcome.status``, before retries and ``max_fail``
        look at it. Called on the event loop.
    ended : callable, optional
        Takes the final outcome of each test as soon as it is there, on the event loop; must return at once.
    receiver : Receiver, optional
        Started; else one is made for this call.
    environ : mapping, optional
        Where ``[secrets]`` are read from (default: the environment of this process).
    tables : mutable mapping, optional
        Filled with each test's growing span table as it starts.

    Returns
    -------
    list of TestOutcome
        In the order of `plans`. After a cancellation too: it is answered by stopping what runs without grace
        (``interrupted``) and starting nothing more (``skipped``); callers see it by these statuses.

    Raises
    ------
    BackendUnavailableError
        CLN601: ``receiver.port`` is taken.
    """
    context = RunContext(
        run_id=run_id,
        backend=backend,
        settings=settings,
        project=project,
        receiver=receiver or Receiver(Limits(max_bytes=settings.receiver.max_request_mb * 1024 * 1024)),
        run_span=run_span(run_id),
        publish=publish,
        environ=os.environ if environ is None else environ,
        tables={} if tables is None else tables,
    )
    if receiver is None:
        await context.receiver.start(settings.receiver.port)
    try:
        pool = _Pool(plans, context, history or {}, evaluate, ended)
        await pool.run()
        return pool.results()
    finally:
        context.run_span.end()
        if receiver is None:
            await context.receiver.stop()


class _Pool:
    """The tests of one run and what has become of them."""

    def __init__(
        self,
        plans: Sequence[TestPlan],
        context: RunContext,
        history: Mapping[str, TestHistory],
        evaluate: Callable[[TestPlan, TestOutcome], object] | None,
        ended: Callable[[TestOutcome], object] | None,
    ) -> None:
        executor = context.settings.executor
        self._plans = plans
        self._context = context
        self._evaluate = evaluate
        self._ended = ended
        self._admission = Admission(
            queue_order(plans, history),
            Capacity(
                workers=executor.effective_worker_count,
                containers=executor.max_concurrent_containers,
                memory_mb=executor.effective_memory_budget_mb,
                cpu_millicores=usable_cpus() * 1000,
                groups=executor.groups,
                counts_containers=has_containers(context.backend.name),
            ),
            available_memory_mb,
        )
        self._retries = Retries(context.run_id, executor)
        self._outcomes: dict[str, TestOutcome] = {}
        self._tasks: dict[asyncio.Task[TestOutcome], TestPlan] = {}
        self._pauses: dict[asyncio.Task[None], TestPlan] = {}
        self._again: dict[str, TestOutcome] = {}
        """Tests that are to have another attempt, with the outcome of the last."""
        self._failures = 0
        self._skip_reason: str | None = None
        self._is_interrupted = False

    async def run(self) -> None:
        """Until all tests have ended, or nothing more may start and what runs has ended."""
        for plan in self._plans:
            self._context.emit("test.queued", test=plan.id)
        try:
            while self._start_what_fits():
                under_way = [*self._tasks, *self._pauses]
                done, _ = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    self._end(task)
        except asyncio.CancelledError:
            await self._interrupt()
        await cancel_all(self._pauses)
        for plan in self._plans:
            if plan.id not in self._outcomes:
                self._put(plan, self._not_started(plan))

    def results(self) -> list[TestOutcome]:
        """One outcome a plan, in their order."""
        return [self._outcomes[plan.id] for plan in self._plans]

    def _start_what_fits(self) -> bool:
        """Whether anything is under way now."""
        while self._skip_reason is None and (plan := self._admission.next()):
            task = asyncio.create_task(self._attempt(plan), name=plan.id)
            self._tasks[task] = plan
        return bool(self._tasks or (self._pauses and self._skip_reason is None))

    async def _attempt(self, plan: TestPlan) -> TestOutcome:
        """Run one test once."""
        if self._again.pop(plan.id, None) is None:
            self._context.emit("test.start", test=plan.id)
        with noticed(plan, self._context):
            outcome = await run_test(plan, self._context)
        self._judge(plan, outcome)
        return outcome

    def _judge(self, plan: TestPlan, outcome: TestOutcome) -> None:
        if self._evaluate is None or outcome.status == "interrupted":
            return
        try:
            self._evaluate(plan, outcome)
        except Exception as error:  # noqa: BLE001  # One bad test never harms another; it is reported as CLN901.
            finding = replace(internal_error(error), test=plan.id)
            outcome.diagnostics.append(finding)
            outcome.status, outcome.reason = "error", finding.message

    def _end(self, task: asyncio.Task[Any]) -> None:
        """An attempt is over, or the pause before the next one."""
        if task in self._pauses:
            self._admission.put_back(self._pauses.pop(task))
            return
        plan = self._tasks.pop(task)
        self._admission.release(plan)
        if task.cancelled() or task.exception() is not None:
            # Only a bug between the tests gets here; even that is one test's matter.
            outcome = _skipped(plan, self._context, f"internal error: {task}")
            outcome.status = "interrupted" if task.cancelled() else "error"
        else:
            outcome = task.result()
        pause_s = self._retries.pause_after(outcome)
        if pause_s is None or self._skip_reason is not None:
            self._put(plan, outcome)
        else:
            self._pause(plan, outcome, pause_s)

    def _pause(self, plan: TestPlan, outcome: TestOutcome, pause_s: float) -> None:
        """Let a test wait for its next attempt, holding nothing."""
        data = {"attempt": self._retries.attempts(plan.id) + 1, "pause_ms": round(pause_s * 1e3, 3)}
        self._context.emit("test.retry", test=plan.id, status=outcome.status, data=data)
        self._again[plan.id] = outcome
        self._pauses[asyncio.create_task(asyncio.sleep(pause_s))] = plan

    def _not_started(self, plan: TestPlan) -> TestOutcome:
        """The outcome of a test that is not to start, or not again."""
        reason = self._skip_reason or "not started"
        outcome = self._again.pop(plan.id, None)
        if outcome is None:
            return _skipped(plan, self._context, reason)
        outcome.reason = f"{outcome.why}; no further attempt: {reason}"
        if self._is_interrupted:
            outcome.status = "interrupted"
        return outcome

    def _put(self, plan: TestPlan, outcome: TestOutcome) -> None:
        outcome = self._retries.conclude(outcome)
        self._outcomes[plan.id] = outcome
        self._count(outcome)
        if self._ended is not None:
            self._ended(outcome)
        self._context.emit(
            "test.end",
            test=plan.id,
            status=outcome.status,
            data={"duration_ms": round(outcome.duration_ms, 3), "span_count": outcome.span_count},
        )

    def _count(self, outcome: TestOutcome) -> None:
        settings = self._context.settings.executor
        self._failures += fails_run(outcome.status, settings)
        limit = settings.effective_max_fail
        if limit and self._failures >= limit and self._skip_reason is None:
            self._skip_reason = f"not started: {self._failures} failed (--max-fail {limit})"

    async def _interrupt(self) -> None:
        """Stop everything without grace and wait until it is gone."""
        self._is_interrupted = True
        self._skip_reason = "not started: the run was interrupted"
        for task in self._tasks:
            task.cancel()
        while self._tasks:
            try:
                done, _ = await asyncio.wait(self._tasks)
            except asyncio.CancelledError:
                # Asked again: the tests' own clean-up is already as fast as it can be.
                continue
            for task in done:
                self._end(task)
        current = asyncio.current_task()
        assert current is not None
        while current.cancelling():
            current.uncancel()


def _skipped(plan: TestPlan, context: RunContext, reason: str) -> TestOutcome:
    return TestOutcome(
        id=plan.id,
        name=plan.test.metadata.name,
        status="skipped",
        backend=context.backend.name,
        hermetic=context.backend.hermetic and plan.is_hermetic_by_file,
        replayed=context.backend.replayed,
        matrix=dict(plan.test.matrix),
        hash=plan.hash,
        reason=reason,
        scenarios=[ScenarioRun.prepared(scenario, reason) for scenario in scenarios_of(plan.test)],
    )
