"""Worker slots, given to the waiting test that comes first in the queue, whoever was ready first."""

from __future__ import annotations

import asyncio
import heapq
from itertools import count

__all__ = ["Turns"]


class Turns:
    """A semaphore whose waiters have ranks.

    Parameters
    ----------
    slots : int
        Tests that may run at once.
    """

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._arrivals = count()

    async def acquire(self, rank: int) -> None:
        """Wait for a slot; of those who wait, the lowest rank is next. A cancelled wait takes none."""
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (rank, next(self._arrivals), granted))
        self._grant()
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self.release()
            raise

    def release(self, slots: int = 1) -> None:
        """Give a slot back, or open further ones."""
        self._free += slots
        self._grant()

    def _grant(self) -> None:
        while self._free and self._waiting:
            _, _, granted = heapq.heappop(self._waiting)
            if not granted.done():
                self._free -= 1
                granted.set_result(None)
