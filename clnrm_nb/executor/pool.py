"""The bounded pool that runs the tests of a run (``format.md`` 5.5).

Tests share nothing but the receiver and the backend: whatever happens to one, the others go on. Outcomes come
back in the order of the plans, whatever the order of completion.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from clnrm_nb.executor.admission import (
    Admission,
    TestHistory,
    available_memory_mb,
    queue_order,
)
from clnrm_nb.executor.ahead import Ahead
from clnrm_nb.executor.attempt import RunContext
from clnrm_nb.executor.backends.protocol import Distributing
from clnrm_nb.executor.capacity import capacity_of, workers_of
from clnrm_nb.executor.control import Control
from clnrm_nb.executor.late import report_late_spans
from clnrm_nb.executor.masking import mask_outcome, masker_of_plans
from clnrm_nb.executor.outcome import TestOutcome, fails_run
from clnrm_nb.executor.receiving import receiver_of
from clnrm_nb.executor.retry import Retries
from clnrm_nb.executor.scenarios import ScenarioRun, scenarios_of
from clnrm_nb.executor.settle import internal_error
from clnrm_nb.executor.slow import noticed
from clnrm_nb.executor.test_run import prepares_ahead, run_test
from clnrm_nb.executor.together import cancel_all
from clnrm_nb.executor.tracing import run_span
from clnrm_nb.executor.turns import Turns
from clnrm_nb.spans.phases import at

if TYPE_CHECKING:
    from collections.abc import (
        AsyncIterator,
        Callable,
        Coroutine,
        Mapping,
        MutableMapping,
        Sequence,
    )

    from clnrm_nb.codes import Status
    from clnrm_nb.config.project import Project
    from clnrm_nb.config.settings import Settings
    from clnrm_nb.executor.backends.protocol import Backend
    from clnrm_nb.executor.events import Listener
    from clnrm_nb.executor.plan import TestPlan
    from clnrm_nb.secrets import Masker
    from clnrm_nb.spans.receiver import Receiver
    from clnrm_nb.spans.redaction import Hidden
    from clnrm_nb.spans.table import SpanTable

__all__ = ["TestHistory", "run_tests"]

_log = logging.getLogger(__name__)

T = TypeVar("T")

_UNJUDGED: frozenset[Status] = frozenset({"interrupted", "skipped"})


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
    control: Control | None = None,
    masker: Masker | None = None,
    redact: Callable[[str, SpanTable], Hidden] | None = None,
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
    control : Control, optional
        Lets tests be made ready and wait, or be given up one by one, while the run goes on.
    masker : Masker, optional
        Hides secrets (default: those of ``[secrets]`` in `plans`).
    redact : callable, optional
        Hides in the spans of a test, by its id, what rules say, and returns what it has hidden.

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
    environ = os.environ if environ is None else environ
    async with nullcontext(receiver) if receiver else receiver_of(settings) as listening:
        context = RunContext(
            run_id=run_id,
            backend=backend,
            settings=settings,
            project=project,
            receiver=listening,
            run_span=run_span(run_id),
            publish=publish,
            environ=environ,
            masker=masker_of_plans(plans, environ) if masker is None else masker,
            tables={} if tables is None else tables,
            redact=redact,
            spares=control.spares if control else None,
        )
        pool = _Pool(plans, context, history or {}, evaluate=evaluate, ended=ended, control=control)
        await pool.run()
        outcomes = pool.results()
        report_late_spans(outcomes, context)
        return outcomes


class _Pool:
    """The tests of one run and what has become of them."""

    def __init__(
        self,
        plans: Sequence[TestPlan],
        context: RunContext,
        history: Mapping[str, TestHistory],
        *,
        evaluate: Callable[[TestPlan, TestOutcome], object] | None,
        ended: Callable[[TestOutcome], object] | None,
        control: Control | None,
    ) -> None:
        executor = context.settings.executor
        self._plans = plans
        self._context = context
        self._evaluate = evaluate
        self._ended = ended
        self._control = control or Control()
        self._workers = self._control.workers(workers_of(context))
        self._max_fail = executor.effective_max_fail
        queue = queue_order(plans, history)
        self._rank = {plan.id: rank for rank, plan in enumerate(queue)}
        self._ahead = Ahead(
            self._workers if any(prepares_ahead(plan, context.backend) for plan in plans) else 0,
            size=executor.pool.size,
            durations_ms=[known.duration_ms for known in history.values() if known.duration_ms],
        )
        self._admission = Admission(
            queue,
            capacity_of(context, most=len(plans)),
            available_memory_mb,
        )
        self._turns = Turns(0)
        self._may_begin = False
        self._in_flight: set[str] = set()
        """Tests whose turn is still to come or going on; the others are being torn down."""
        self._on_turn: set[str] = set()
        self._begun: set[str] = set()
        self._queued_s = time.perf_counter()
        self._waited_ms: dict[str, float] = {}
        self._retries = Retries(context.run_id, executor)
        self._outcomes: dict[str, TestOutcome] = {}
        self._tasks: dict[asyncio.Task[TestOutcome], TestPlan] = {}
        self._pauses: dict[asyncio.Task[None], TestPlan] = {}
        self._again: dict[str, TestOutcome] = {}
        """Tests that are to have another attempt, with the outcome of the last."""
        self._changed = asyncio.Event()
        self._failures = 0
        self._skip_reason: str | None = None
        self._is_interrupted = False
        self._control.bind(self._drop)

    async def run(self) -> None:
        """Until all tests have ended, or nothing more may start and what runs has ended."""
        for plan in self._plans:
            self._context.emit("test.queued", test=plan.id)
        opening = asyncio.ensure_future(self._open())
        try:
            if (spares := self._context.spares) is not None:
                await spares.make_room(self._plans, capacity_of(self._context, most=len(self._plans)))
            if self._control.go is None:
                await opening
            while self._start_what_fits():
                await self._changed.wait()
                self._changed.clear()
                for task in [task for task in (*self._pauses, *self._tasks) if task.done()]:
                    self._end(task)
        except asyncio.CancelledError:
            await self._interrupt()
        await cancel_all([opening, *self._pauses])
        for plan in self._plans:
            if plan.id not in self._outcomes:
                self._put(plan, self._not_started(plan))

    async def _open(self) -> None:
        """Let the workers work."""
        if self._control.go is not None:
            await self._control.go.wait()
        self._may_begin = True
        self._turns.release(self._workers)

    def results(self) -> list[TestOutcome]:
        """One outcome a plan, in their order."""
        return [self._outcomes[plan.id] for plan in self._plans]

    # ------------------------------------------------------------------------------------------ starting

    def _start_what_fits(self) -> bool:
        """Whether anything is under way now."""
        while (
            self._skip_reason is None
            and len(self._in_flight) < self._workers + self._ahead.count
            and (plan := self._admission.next())
        ):
            if self._control.why_dropped(plan.id):
                # Given up before the run had begun, or while it waited.
                self._admission.release(plan)
                self._put(plan, self._not_started(plan))
                continue
            self._in_flight.add(plan.id)
            if self._may_begin and len(self._in_flight) <= self._workers and self._control.has_room:
                # A worker is free: making it ready is a part of it already.
                self._begin(plan)
            self._tasks[self._watched(self._attempt(plan), plan)] = plan
        return bool(self._tasks or (self._pauses and self._skip_reason is None))

    def _watched(self, work: Coroutine[Any, Any, T], plan: TestPlan) -> asyncio.Task[T]:
        task = asyncio.create_task(work, name=plan.id)
        task.add_done_callback(lambda _: self._changed.set())
        return task

    def _begin(self, plan: TestPlan) -> None:
        if plan.id not in self._begun:
            self._begun.add(plan.id)
            self._waited_ms[plan.id] = (time.perf_counter() - self._queued_s) * 1e3
            self._context.emit("test.start", test=plan.id)

    async def _attempt(self, plan: TestPlan) -> TestOutcome:
        """Run one test once."""
        backend = self._context.backend
        if isinstance(backend, Distributing):
            async with self._turn(plan):
                number = self._retries.attempts(plan.id) + 1
                outcome = await backend.run_test(plan, self._context, number)
        else:
            is_awaited = plan.id in self._begun
            outcome = await run_test(plan, self._context, self._turn(plan), is_awaited=is_awaited)
        self._judge(plan, outcome)
        prepare_ms, teardown_ms = (
            sum(outcome.timings_ms.get(phase, 0.0) for phase in phases)
            for phases in (("open", "services"), ("teardown",))
        )
        self._ahead.observe(prepare_ms, outcome.duration_ms - teardown_ms)
        return outcome

    @asynccontextmanager
    async def _turn(self, plan: TestPlan) -> AsyncIterator[None]:
        """A worker slot; where failures are counted, until the verdict on the attempt is counted."""
        await self._turns.acquire(self._rank[plan.id])
        self._on_turn.add(plan.id)
        try:
            async with self._control.slot():
                self._begin(plan)
                with noticed(plan, self._context):
                    yield
        finally:
            if not self._max_fail:
                self._let_go(plan)

    def _let_go(self, plan: TestPlan) -> None:
        """Give the slot to the next test, if this one still holds it."""
        if plan.id in self._on_turn:
            self._on_turn.discard(plan.id)
            self._turns.release()
        self._in_flight.discard(plan.id)
        self._changed.set()

    def _judge(self, plan: TestPlan, outcome: TestOutcome) -> None:
        if self._evaluate is None or outcome.status in _UNJUDGED:
            return
        try:
            self._evaluate(plan, outcome)
            mask_outcome(outcome, self._context.masker)
        except Exception as error:  # noqa: BLE001  # One bad test never harms another; it is reported as CLN901.
            finding = replace(internal_error(error), test=plan.id)
            outcome.diagnostics.append(finding)
            outcome.status, outcome.reason = "error", finding.message
            mask_outcome(outcome, self._context.masker)

    # -------------------------------------------------------------------------------------------- ending

    def _end(self, task: asyncio.Task[Any]) -> None:
        """An attempt is over, or the pause before the next one."""
        if task in self._pauses:
            self._admission.put_back(self._pauses.pop(task))
            return
        plan = self._tasks.pop(task)
        self._admission.release(plan)
        if plan.id not in self._begun or self._is_given_up(task, plan):
            # Made ready at most, or not wanted any more.
            self._put(plan, self._not_started(plan))
        else:
            outcome = self._outcome_of(task, plan)
            pause_s = self._retries.pause_after(outcome)
            if pause_s is None or self._skip_reason is not None or self._control.why_dropped(plan.id):
                self._put(plan, outcome)
            else:
                self._pause(plan, outcome, pause_s)
        self._let_go(plan)

    def _is_given_up(self, task: asyncio.Task[TestOutcome], plan: TestPlan) -> bool:
        """Whether it was stopped because it was dropped; one that had its verdict by then keeps it."""
        if self._control.why_dropped(plan.id) is None or self._is_interrupted:
            return False
        return task.cancelled() or task.exception() is not None or task.result().status in _UNJUDGED

    def _drop(self, test_id: str) -> None:
        """Stop one test, wherever it stands; the others do not notice."""
        for task, plan in (*self._pauses.items(), *self._tasks.items()):
            if plan.id == test_id:
                task.cancel()
        self._changed.set()

    def _outcome_of(self, task: asyncio.Task[TestOutcome], plan: TestPlan) -> TestOutcome:
        if not task.cancelled() and task.exception() is None:
            return task.result()
        # Only a bug between the tests gets here; even that is one test's matter.
        outcome = _skipped(plan, self._context, f"internal error: {task}")
        outcome.status = "interrupted" if task.cancelled() else "error"
        return outcome

    def _pause(self, plan: TestPlan, outcome: TestOutcome, pause_s: float) -> None:
        """Let a test wait for its next attempt, holding nothing."""
        attempts = self._context.settings.executor.retries + 1
        _log.info(
            "%s: attempt %d of %d %s", plan.id, self._retries.attempts(plan.id), attempts, outcome.status
        )
        data = {"attempt": self._retries.attempts(plan.id) + 1, "pause_ms": round(pause_s * 1e3, 3)}
        self._context.emit("test.retry", test=plan.id, status=outcome.status, data=data)
        self._again[plan.id] = outcome
        self._pauses[self._watched(asyncio.sleep(pause_s), plan)] = plan

    def _not_started(self, plan: TestPlan) -> TestOutcome:
        """The outcome of a test that is not to start, or not again."""
        dropped = self._control.why_dropped(plan.id)
        reason = dropped or self._skip_reason or "not started"
        outcome = self._again.pop(plan.id, None)
        if outcome is None or dropped:
            return _skipped(plan, self._context, reason)
        outcome.reason = f"{outcome.why}; no further attempt: {reason}"
        if self._is_interrupted:
            outcome.status = "interrupted"
        return outcome

    def _put(self, plan: TestPlan, outcome: TestOutcome) -> None:
        outcome = self._retries.conclude(outcome)
        if plan.id in self._waited_ms:
            outcome.timings_ms = {"queue": self._waited_ms[plan.id], **outcome.timings_ms}
        self._outcomes[plan.id] = outcome
        self._count(outcome)
        if self._ended is not None:
            self._ended(outcome)
        with at(test=plan.id):
            _log.info("%s: %s after %.0f ms", plan.id, outcome.status, outcome.duration_ms)
        self._context.emit(
            "test.end",
            test=plan.id,
            status=outcome.status,
            data={"duration_ms": round(outcome.duration_ms, 3), "span_count": outcome.span_count},
        )

    def _count(self, outcome: TestOutcome) -> None:
        """After enough failures nothing more starts; what is only being made ready is given up."""
        self._failures += fails_run(outcome.status, self._context.settings.executor)
        if self._max_fail and self._failures >= self._max_fail and self._skip_reason is None:
            self._skip_reason = f"not started: {self._failures} failed (--max-fail {self._max_fail})"
            for waiting, plan in self._tasks.items():
                if plan.id not in self._begun:
                    waiting.cancel()

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
