"""What a worker is asked to do. All of it is found by name: no code travels, only data.

One task, and questions that are answered at once whatever the worker is doing. These run on Dask's event
loop, hand over to the engine's, and return what Dask sends back.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.executor.backends.dask.fence import send_reply, take_token
from clnrm_nb.executor.backends.dask.payload import VERSIONS, Reply
from clnrm_nb.executor.backends.dask.station import station
from clnrm_nb.executor.backends.dask.sweep import sweep
from clnrm_nb.executor.loop import run_here

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from distributed import Worker

    from clnrm_nb.executor.backends.dask.payload import Parcel

__all__ = ["HANDLERS", "RECALL", "REPORT", "SWEEP", "TOPIC", "hello", "run_parcel", "sweep_up"]

TOPIC: Final = "clnrm_nb"
"""Of the events that say where tests run; Dask's dashboard shows them too."""

REPORT: Final = "clnrm_report"
RECALL: Final = "clnrm_recall"
SWEEP: Final = "clnrm_sweep"


async def run_parcel(parcel: Parcel) -> str:
    """The task: run one test, if this start is the one that may; the kind of the reply it has sent."""
    from distributed import get_worker

    worker = get_worker()
    seat, fence = parcel.seat, parcel.fence
    if await take_token(worker.scheduler, seat, fence):
        reply = await _ran(parcel, worker)
    else:
        reply = Reply("fenced", worker.address)
    await send_reply(worker.scheduler, seat, fence, reply.message())
    return reply.kind


async def _ran(parcel: Parcel, worker: Worker) -> Reply:
    said = {"test": parcel.test_id, "fence": parcel.fence, "worker": worker.address}
    worker.log_event([TOPIC, worker.address], {"action": "test-started", **said})
    reply = await run_here(station().perform(parcel, worker.address, worker.local_directory))
    worker.log_event([TOPIC, worker.address], {"action": "test-ended", "answer": reply.kind, **said})
    return reply


async def hello() -> dict[str, Any]:
    """Who this worker is: versions and clock. Asked first, of workers that may know nothing of us."""
    return {"versions": VERSIONS, "now_ns": time.time_ns()}


async def report(*, asked: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
    """See :meth:`~clnrm_nb.executor.backends.dask.station.Station.report`."""
    return await run_here(station().report(asked))


async def recall(*, fence: str) -> bool:
    """See :meth:`~clnrm_nb.executor.backends.dask.station.Station.recall`."""
    return await run_here(station().recall(fence))


async def sweep_up(*, inner: str) -> bool:
    """See :func:`~clnrm_nb.executor.backends.dask.sweep.sweep`."""
    return await run_here(sweep(inner))


HANDLERS: Final[dict[str, Callable[..., Any]]] = {REPORT: report, RECALL: recall, SWEEP: sweep_up}
"""By the names under which a worker is asked."""
