"""What every worker of the cluster gets, those that join or are started again later included."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from distributed import Status, WorkerPlugin

from clnrm_nb.executor.backends.dask.station import station
from clnrm_nb.executor.backends.dask.worker import HANDLERS, sweep_up
from clnrm_nb.executor.loop import run_here

if TYPE_CHECKING:
    from distributed import Worker

__all__ = ["CleanWorker"]

_ENDING: Final = (Status.closing, Status.closing_gracefully, Status.closed)


class CleanWorker(WorkerPlugin):
    """Lets a worker answer our questions, sweeps behind its predecessors, stops its tests when it ends.

    Parameters
    ----------
    inner : str
        The backend that the workers use.
    """

    name = "clnrm_nb"

    def __init__(self, inner: str) -> None:
        self._inner = inner
        self._sweeping: asyncio.Task[Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Only what says what to do."""
        return {"_inner": self._inner, "_sweeping": None}

    async def setup(self, worker: Worker) -> None:
        """Sweep, without keeping the worker from its first test."""
        worker.handlers.update(HANDLERS)
        self._sweeping = asyncio.ensure_future(sweep_up(inner=self._inner))

    async def teardown(self, worker: Worker) -> None:
        """Stop what runs and let go of the engine, if the worker itself ends."""
        if self._sweeping is not None:
            await asyncio.gather(self._sweeping, return_exceptions=True)
        # It is taken off too where another run puts its own in place, and then tests go on.
        if worker.status in _ENDING:
            await run_here(station().close())
