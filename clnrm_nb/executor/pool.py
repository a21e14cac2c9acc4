"""The bounded pool that runs the tests of a run (``format.md`` 5.5).

Tests share nothing but the receiver and the backend: whatever happens to one, the others go on. Outcomes come
back in the order of the plans, whatever the order of completion.
"""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from clnrm_nb.executor.admission import Admission, Capacity, TestHistory, queue_order
from clnrm_nb.executor.attempt import RunContext
from clnrm_nb.executor.backends import has_containers
from clnrm_nb.executor.late import report_late_spans
from clnrm_nb.executor.outcome import TestOutcome
from clnrm_nb.executor.scenarios import ScenarioRun, scenarios_of
from clnrm_nb.executor.test_run import internal_error, run_test
from clnrm_nb.executor.tracing import run_span
from clnrm_nb.spans.receiver import Limits, Receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping, Sequence

    from clnrm_nb.codes import Status
    from clnrm_nb.config.project import Project
    from clnrm_nb.config.settings import Settings
    from clnrm_nb.executor.backends.protocol import Backend
    from clnrm_nb.executor.events import Listener
    from clnrm_nb.executor.plan import TestPlan
    from clnrm_nb.spans.table import SpanTable

__all__ = ["TestHistory", "run_tests"]

_log = logging.getLogger(__name__)

_RETRIED: frozenset[Status] = frozenset({"failed", "incomplete"})
_FAILURES: frozenset[Status] = frozenset({"failed", "error"})


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
        pool = _Pool(plans, context, history or {}, evaluate)
        await pool.run()
        outcomes = pool.results()
        report_late_spans(outcomes, context)
        return outcomes
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
    ) -> None:
        executor = context.settings.executor
        self._plans = plans
        self._context = context
        self._evaluate = evaluate
        self._admission = Admission(
            queue_order(plans, history),
            Capacity(
                workers=executor.effective_worker_count,
                containers=executor.max_concurrent_containers,
                memory_mb=executor.effective_memory_budget_mb,
                groups=executor.groups,
                counts_containers=has_containers(context.backend.name),
            ),
        )
        self._outcomes: dict[str, TestOutcome] = {}
        self._tasks: dict[asyncio.Task[TestOutcome], TestPlan] = {}
        self._failures = 0
        self._skip_reason: str | None = None

    async def run(self) -> None:
        """Until all tests have ended, or nothing more may start and what runs has ended."""
        for plan in self._plans:
            self._context.emit("test.queued", test=plan.id)
        try:
            while self._start_what_fits():
                done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    self._end(task)
        except asyncio.CancelledError:
            await self._interrupt()
        for plan in self._plans:
            if plan.id not in self._outcomes:
                self._put(plan, _skipped(plan, self._context, self._skip_reason or "not started"))

    def results(self) -> list[TestOutcome]:
        """One outcome a plan, in their order."""
        return [self._outcomes[plan.id] for plan in self._plans]

    def _start_what_fits(self) -> bool:
        """Whether anything runs now."""
        while self._skip_reason is None and (plan := self._admission.next()):
            task = asyncio.create_task(self._with_retries(plan), name=plan.id)
            self._tasks[task] = plan
        return bool(self._tasks)

    async def _with_retries(self, plan: TestPlan) -> TestOutcome:
        """Run one test until it passes or its attempts are used up."""
        self._context.emit("test.start", test=plan.id)
        attempts = self._context.settings.executor.retries + 1
        for number in range(1, attempts + 1):
            outcome = await run_test(plan, self._context)
            self._judge(plan, outcome)
            if outcome.status not in _RETRIED:
                break
            _log.info("%s: attempt %d of %d %s", plan.id, number, attempts, outcome.status)
        if number > 1 and outcome.status == "passed":
            outcome.status, outcome.reason = "flaky", f"passed in attempt {number}"
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

    def _end(self, task: asyncio.Task[TestOutcome]) -> None:
        plan = self._tasks.pop(task)
        self._admission.release(plan)
        if task.cancelled() or task.exception() is not None:
            # Only a bug between the tests gets here; even that is one test's matter.
            outcome = _skipped(plan, self._context, f"internal error: {task}")
            outcome.status = "interrupted" if task.cancelled() else "error"
        else:
            outcome = task.result()
        self._put(plan, outcome)
        self._failures += outcome.status in _FAILURES
        limit = self._context.settings.executor.effective_max_fail
        if limit and self._failures >= limit and self._skip_reason is None:
            self._skip_reason = f"not started: {self._failures} failed (--max-fail {limit})"

    def _put(self, plan: TestPlan, outcome: TestOutcome) -> None:
        self._outcomes[plan.id] = outcome
        self._context.emit(
            "test.end",
            test=plan.id,
            status=outcome.status,
            data={"duration_ms": round(outcome.duration_ms, 3), "span_count": outcome.span_count},
        )

    async def _interrupt(self) -> None:
        """Stop everything without grace and wait until it is gone."""
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
