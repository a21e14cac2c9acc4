"""At most one start for each fencing id, at most one commit for each attempt of a test.

Dask promises to run a task at least once, so a task alone decides nothing. A fencing id is made for each try
to run an attempt; one token of that name waits at the scheduler, and a worker runs the test only if it takes
it. A second start of the same task finds no token and says so, which is how the client knows that the first
one was lost. The same token, taken back by the client, is a test that can never start any more.
"""

from __future__ import annotations

import secrets
from typing import Any

__all__ = ["Ledger", "Token", "new_fence", "take_token"]


def new_fence() -> str:
    """An id that no other try to run any test has or ever had."""
    return f"clnrm-{secrets.token_hex(8)}"


class Token:
    """The right to start once, waiting at the scheduler until somebody takes it."""

    def __init__(self, client: Any, fence: str) -> None:
        self._client = client
        self.fence = fence
        self._queue: Any = None

    async def issue(self) -> None:
        """Put it there, before anybody can ask for it."""
        from distributed import Queue

        self._queue = await Queue(self.fence, client=self._client)
        await self._queue.put(True)

    async def take_back(self) -> bool:
        """Whether it was still there: then the test has not started and cannot any more."""
        return bool(self._queue is not None and await self._queue.get(batch=True))

    def drop(self) -> None:
        """Let the scheduler forget it."""
        if self._queue is not None:
            # Awaiting the queue counted it a second time; the scheduler forgets it at zero.
            self._queue.close()
            self._queue.close()
            self._queue = None


async def take_token(scheduler: Any, fence: str) -> bool:
    """On a worker: whether this start may run the test.

    Parameters
    ----------
    scheduler : rpc
        The worker's own connection to the scheduler: a client of its own would be one more on each worker.
    """
    try:
        return bool(await scheduler.queue_get(name=fence, batch=True))
    except KeyError:
        # Dropped: whoever asked for the test has its verdict, or has gone.
        return False


class Ledger:
    """Which fencing id stands for which attempt now, and what has been committed.

    The first commit of the id that stands wins; everything else is late and changes nothing.
    """

    def __init__(self) -> None:
        self._standing: dict[tuple[str, int], str] = {}
        self._committed: set[str] = set()
        self.late = 0
        """Answers that came for an id that did not stand any more."""

    def begin(self, test_id: str, attempt: int) -> str:
        """A new id for this attempt; an older one stands no more."""
        fence = self._standing[test_id, attempt] = new_fence()
        return fence

    def commit(self, test_id: str, attempt: int, fence: str) -> bool:
        """Whether this answer is the one that counts."""
        if self._standing.get((test_id, attempt)) != fence or fence in self._committed:
            self.late += 1
            return False
        self._committed.add(fence)
        return True
