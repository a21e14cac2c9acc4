"""The run's side: an attempt of a test is sent, looked after, and committed once.

What ends an attempt without a verdict (its worker died or was lost, its start was one too many) makes it
start anew under a new fencing id, a bounded number of times; then the test is an error. The bound is small: a
test that kills its worker would otherwise kill them all.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import warnings
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.errors import BackendUnavailableError, ClnrmError, Diagnostic, InternalError
from clnrm_nb.executor.backends.dask.address import checked
from clnrm_nb.executor.backends.dask.arrival import arrived, unrun
from clnrm_nb.executor.backends.dask.fence import Ledger, Seats
from clnrm_nb.executor.backends.dask.files import archive, mounted, relative_directory
from clnrm_nb.executor.backends.dask.parent import run_document
from clnrm_nb.executor.backends.dask.payload import (
    Parcel,
    Reply,
    file_document,
    settings_document,
)
from clnrm_nb.executor.outcome import TestOutcome

if TYPE_CHECKING:
    from clnrm_nb.config.settings import Settings
    from clnrm_nb.executor.attempt import RunContext
    from clnrm_nb.executor.backends.dask.cluster import Cluster
    from clnrm_nb.executor.backends.dask.fence import Seat
    from clnrm_nb.executor.backends.dask.pulse import Errand, Pulse
    from clnrm_nb.executor.backends.protocol import Unit, UnitSpec
    from clnrm_nb.executor.plan import TestPlan

__all__ = ["MOST_STARTS", "DaskBackend"]

_log = logging.getLogger(__name__)

MOST_STARTS: Final = 2
"""Of one attempt of a test, when starts are lost."""

_LAG_S: Final = 90.0
"""How much longer than its own limit a started test may take to answer, teardown included."""

_RECALL_S: Final = 5.0
_REPLY_S: Final = 5.0
_WORD_S: Final = 1.0
"""How long after its start a test may be unknown to have started."""

_SWEEP_S: Final = 15.0


class _LostError(Exception):
    """A start that ended without an answer; its text says how."""


class DaskBackend:
    """Runs whole tests on a cluster. See :class:`~clnrm_nb.executor.backends.protocol.Distributing`.

    Parameters
    ----------
    settings : Settings
        ``executor.dask.*`` are read.
    """

    name = "dask"
    replayed = False

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._inner = settings.executor.dask.inner
        self._sent_settings = settings_document(settings)
        self.hermetic = self._inner == "docker"
        self._cluster: Cluster | None = None
        self._pulse: Pulse | None = None
        self._ledger = Ledger()
        self._seats: Seats
        self._background: set[asyncio.Future[Any]] = set()
        self._is_sweeping = False

    async def open(self) -> None:
        """Reach the cluster.

        Raises
        ------
        ConfigError
            CLN802: no address, or one that others than this machine could reach unencrypted.
        BackendUnavailableError
            CLN601: nobody answers, there is no worker, or one that does not fit.
        """
        address = checked(self._settings.executor.dask.address)
        from clnrm_nb.executor.backends.dask.cluster import connect

        self._cluster = await connect(address)
        self._seats = Seats(self._cluster.client)
        from clnrm_nb.executor.backends.dask.plugin import CleanWorker
        from clnrm_nb.executor.backends.dask.pulse import Pulse

        await self._cluster.client.register_plugin(CleanWorker(self._inner))
        self._pulse = Pulse(self._cluster, self._sweep)
        self._pulse.open()

    @property
    def capacity(self) -> int:
        """Tests that the cluster runs at once."""
        return self._cluster.capacity if self._cluster else 1

    def policy_findings(self, spec: UnitSpec) -> list[Diagnostic]:  # noqa: ARG002  # The protocol's.
        """None here: each worker has its own engine to ask."""
        return []

    async def open_unit(self, spec: UnitSpec) -> Unit:
        """Not here: whole tests go to the workers."""
        raise InternalError(f"the dask backend was asked for a unit of its own for {spec.test_id!r}")

    async def close(self) -> None:
        """Let go of the cluster."""
        if self._pulse is not None:
            await self._pulse.close()
        await asyncio.gather(*self._background, return_exceptions=True)
        if self._cluster is not None:
            self._seats.drop()
            await self._cluster.close()
            self._cluster = None

    # ------------------------------------------------------------------------------------------- one test

    async def run_test(self, plan: TestPlan, context: RunContext, attempt: int) -> TestOutcome:
        """Run one attempt on some worker; never raises for what the test or the cluster does.

        Being cancelled is answered as a local run does: what runs is stopped without grace, and the outcome
        says ``interrupted``.
        """
        losses: list[str] = []
        try:
            while len(losses) < MOST_STARTS:
                try:
                    return await self._start(plan, context, attempt)
                except _LostError as lost:
                    losses.append(str(lost))
                    _log.warning("%s: start %d was lost: %s", plan.id, len(losses), lost)
                    self._sweep()
        except ClnrmError as error:
            return unrun(plan, context, error.diagnostic, inner=self._inner)
        text = f"the test was started {MOST_STARTS} times and lost each time; last: {losses[-1]}"
        hint = "A test that takes all the memory, or ends its worker, looks like this; see the worker's log."
        return unrun(plan, context, Diagnostic("CLN601", text, hint=hint), inner=self._inner)

    async def _start(self, plan: TestPlan, context: RunContext, attempt: int) -> TestOutcome:
        from clnrm_nb.executor.backends.dask.pulse import Errand

        assert self._cluster is not None
        assert self._pulse is not None
        fence = self._ledger.begin(plan.id, attempt)
        seat = await self._seats.take()
        errand = Errand(plan, context, fence)
        context.tables[plan.id] = errand.table
        try:
            parcel, findings = await self._parcel(errand, seat, attempt)
            self._pulse.add(errand)
            reply = await self._sent(errand, seat, parcel, attempt)
        except BaseException:
            seat.drop()
            self._call_off(errand)
            raise
        finally:
            self._pulse.remove(errand)
        # What else may still come to this seat would be in the way of the next test.
        if reply is not None and reply.kind in ("done", "refused"):
            self._seats.give_back(seat)
        else:
            seat.drop()
        if reply is None:
            return unrun(plan, context, inner=self._inner, status="interrupted", reason="interrupted")
        if reply.kind == "refused":
            return unrun(plan, context, *reply.diagnostics(), inner=self._inner)
        if reply.kind != "done":
            raise _LostError(_SAID[reply.kind].format(worker=reply.worker))
        if not self._ledger.commit(plan.id, attempt, fence):
            raise _LostError("another start has been committed")
        worker = self._cluster.workers.get(reply.worker)
        return await arrived(errand, reply, findings, worker.clock.ahead_ns if worker else 0)

    async def _parcel(self, errand: Errand, seat: Seat, attempt: int) -> tuple[Parcel, list[Diagnostic]]:
        """What is sent, and what is other than in a local run."""
        plan, context = errand.plan, errand.context
        found = mounted(plan, by_process=self._inner == "process")
        files = await asyncio.to_thread(archive, found.sources) if found.sources else b""
        secrets = {name: context.environ[name] for name in plan.test.secrets.env if name in context.environ}
        document = {
            "run": context.run_id,
            "test": plan.id,
            "attempt": attempt,
            "label": f"{attempt}/{errand.fence}",
            "file": file_document(found.test),
            "directory": relative_directory(plan),
            "settings": self._sent_settings,
            "inner": self._inner,
            "hash": plan.hash,
            "run_span": run_document(context.run_span),
        }
        parcel = Parcel.of(errand.fence, document, seat=seat.name, files=files, secrets=secrets)
        return parcel, found.findings

    async def _sent(self, errand: Errand, seat: Seat, parcel: Parcel, attempt: int) -> Reply | None:
        """Have it run; its answer, or ``None`` if it was called back before it began."""
        assert self._cluster is not None
        cluster = self._cluster
        future = self._submit(errand, parcel, attempt)
        answer = asyncio.ensure_future(seat.reply(errand.fence))
        try:
            # A moment after the task: a start waits for its token.
            await seat.issue(errand.fence)
            return await self._answer(errand, answer, future)
        except asyncio.CancelledError:
            # A second cancellation ends the waiting, not the calling back.
            recall = asyncio.ensure_future(self._recall(errand, seat, answer, future))
            return await asyncio.shield(recall)
        finally:
            answer.cancel()
            cluster.over(future, parcel.size_bytes)

    def _submit(self, errand: Errand, parcel: Parcel, attempt: int) -> Any:
        from clnrm_nb.executor.backends.dask.worker import run_parcel

        assert self._cluster is not None
        plan = errand.plan
        with warnings.catch_warnings():
            # Files up to a known size are sent with the test on purpose.
            warnings.filterwarnings("ignore", message="Sending large graph")
            return self._cluster.client.submit(
                run_parcel,
                parcel,
                key=f"clnrm-test/{errand.context.run_id}/{plan.id}/{attempt}/{errand.fence}",
                pure=False,
                retries=0,
                priority=plan.priority,
                resources=self._cluster.needs(containers=plan.container_count, memory_mb=plan.memory_mb)
                or None,
            )

    async def _answer(self, errand: Errand, answer: asyncio.Future[Any], future: Any) -> Reply:
        """The reply; raises what came in its place."""
        watch = asyncio.ensure_future(_ended(future))
        overdue = asyncio.ensure_future(_overdue(errand))
        try:
            await asyncio.wait([answer, watch, overdue], return_when=asyncio.FIRST_COMPLETED)
            if not answer.done() and not overdue.done():
                # The task is over without a reply, unless that one is still on its way.
                await asyncio.wait([answer], timeout=0 if await watch else _REPLY_S)
            if answer.done():
                return Reply.of(answer.result())
            if overdue.done():
                await future.cancel(force=True)
                raise _LostError(f"worker {errand.worker} has not answered within the test's limit")
            if (text := watch.result()) is not None:
                raise _LostError(text)
            raise _LostError(f"worker {errand.worker} ended the test without an answer")
        except OSError:
            address = self._settings.executor.dask.address
            raise BackendUnavailableError(f"the scheduler at {address} is gone", "CLN601") from None
        finally:
            watch.cancel()
            overdue.cancel()

    async def _recall(
        self, errand: Errand, seat: Seat, answer: asyncio.Future[Any], future: Any
    ) -> Reply | None:
        """Stop a test wherever it is; what it came to, if it had begun."""
        from clnrm_nb.executor.backends.dask.worker import RECALL

        assert self._cluster is not None
        with contextlib.suppress(OSError):
            if await seat.take_back(errand.fence):
                await future.cancel(force=True)
                return None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_WORD_S):
                await errand.started.wait()
        if errand.worker is not None:
            await self._cluster.ask(errand.worker, RECALL, fence=errand.fence)
        else:
            await self._cluster.ask_all(RECALL, fence=errand.fence)
        await asyncio.wait([answer], timeout=_RECALL_S)
        await future.cancel(force=True)
        return Reply.of(answer.result()) if answer.done() and not answer.exception() else None

    # ------------------------------------------------------------------------------------------ clean-up

    def _call_off(self, errand: Errand) -> None:
        """Nobody waits for this start any more; should it still run somewhere, it is stopped there."""
        from clnrm_nb.executor.backends.dask.worker import RECALL

        if self._cluster is not None and errand.worker in self._cluster.workers:
            asked = asyncio.ensure_future(self._cluster.ask(errand.worker, RECALL, fence=errand.fence))
            self._background.add(asked)
            asked.add_done_callback(self._background.discard)

    def _sweep(self) -> None:
        """Have all workers look for what a dead one left, unless they are at it."""
        from clnrm_nb.executor.backends.dask.worker import SWEEP

        if self._cluster is not None and not self._is_sweeping:
            self._is_sweeping = True
            asked = asyncio.ensure_future(self._cluster.ask_all(SWEEP, inner=self._inner, timeout_s=_SWEEP_S))
            self._background.add(asked)
            asked.add_done_callback(self._swept)

    def _swept(self, asked: asyncio.Future[Any]) -> None:
        self._is_sweeping = False
        self._background.discard(asked)


_SAID: Final = {
    "fenced": "it had started on a worker that died (worker {worker} was to start it again)",
    "abandoned": "worker {worker} had not heard of this run for too long",
    "stopped": "worker {worker} was shut down",
    "nothing": "worker {worker} was told to stop before it began",
}


async def _ended(future: Any) -> str | None:
    """Wait for the end of a task; what is wrong with it, ``None`` if it has just ended.

    Raises
    ------
    ConnectionError
        The scheduler is gone.
    """
    from distributed.client import FutureCancelledError
    from distributed.scheduler import KilledWorker

    try:
        error = await future.exception()
        if future.status == "finished":
            return None
        if future.status != "error":
            raise ConnectionError(f"the task is {future.status}")
    except FutureCancelledError as cancelled:
        raise ConnectionError(str(cancelled)) from None
    if isinstance(error, KilledWorker):
        return f"worker {error.last_worker.address} died"
    return f"the task failed: {type(error).__name__}: {error}"


async def _overdue(errand: Errand) -> None:
    """Return when a started test should have answered long ago."""
    await errand.started.wait()
    await asyncio.sleep(errand.plan.timeout_s + _LAG_S)
