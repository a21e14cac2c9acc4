"""At most one start for each fencing id, at most one commit for each attempt of a test.

Dask promises to run a task at least once, so a task alone decides nothing. A fencing id is made for each try
to run an attempt; one token with that id waits at the scheduler, and a worker runs the test only if it takes
it. A second start of the same task finds no token and says so, which is how the client knows that the first
one was lost. The same token, taken back by the client, is a test that can never start any more.

Token and reply go through a *seat*: two queues of the scheduler, used by one test after another. A reply that
waits there is safe from the death of its worker, and is there a few exchanges sooner than a task's result.
"""

from __future__ import annotations

import secrets
from typing import Any, Final

__all__ = ["Ledger", "Seat", "Seats", "new_fence", "send_reply", "take_token"]

_TOKEN_S: Final = 1.0
"""How long a start waits for its token, which may be a moment later than the task."""


def new_fence() -> str:
    """An id that no other try to run any test has or ever had."""
    return f"clnrm-{secrets.token_hex(8)}"


class Seat:
    """Where one test at a time has its token and its reply.

    Parameters
    ----------
    client : Client
    name : str
        Of no other seat.
    """

    def __init__(self, client: Any, name: str) -> None:
        from distributed import Queue

        self.name = name
        self._tokens = Queue(_tokens(name), client=client)
        self._replies = Queue(_replies(name), client=client)

    async def open(self) -> None:
        """Have the scheduler make it."""
        await self._tokens
        await self._replies

    async def issue(self, fence: str) -> None:
        """Put the token there."""
        await self._tokens.put(fence)

    async def take_back(self, fence: str) -> bool:
        """Whether the token was still there: then the test has not started and cannot any more."""
        return fence in await self._tokens.get(batch=True)

    async def reply(self, fence: str) -> dict[str, Any]:
        """Wait for the answer of the start that took the token, or of one that did not get it."""
        while True:
            message: dict[str, Any] = await self._replies.get()
            if message["fence"] == fence:
                return message

    def drop(self) -> None:
        """Let the scheduler forget it."""
        for queue in (self._tokens, self._replies):
            # Awaiting a queue counted it a second time; the scheduler forgets it at zero.
            queue.close()
            queue.close()


class Seats:
    """The seats of one run: taken and given back, made when all are taken."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._free: list[Seat] = []

    async def take(self) -> Seat:
        """One that nobody sits on."""
        if self._free:
            return self._free.pop()
        seat = Seat(self._client, f"clnrm-seat-{secrets.token_hex(8)}")
        await seat.open()
        return seat

    def give_back(self, seat: Seat) -> None:
        """Its test has answered and nothing more of it will come."""
        self._free.append(seat)

    def drop(self) -> None:
        """Forget all that are free."""
        while self._free:
            self._free.pop().drop()


def _tokens(seat: str) -> str:
    return f"{seat}-token"


def _replies(seat: str) -> str:
    return f"{seat}-reply"


async def take_token(scheduler: Any, seat: str, fence: str) -> bool:
    """On a worker: whether this start may run the test.

    Parameters
    ----------
    scheduler : rpc
        The worker's own connection to the scheduler: a client of its own would be one more on each worker.
    """
    try:
        token = (await scheduler.queue_get(name=_tokens(seat), timeout=_TOKEN_S))["value"]
        if token != fence:
            # We are late, and it is another test's turn.
            await scheduler.queue_put(name=_tokens(seat), data=token)
    except (KeyError, TimeoutError):
        # Dropped, or taken: whoever asked has an answer, or another start is at it.
        return False
    return bool(token == fence)


async def send_reply(scheduler: Any, seat: str, fence: str, message: dict[str, Any]) -> bool:
    """On a worker: leave the answer; false if nobody waits for it any more."""
    try:
        await scheduler.queue_put(name=_replies(seat), data={**message, "fence": fence})
    except KeyError:
        return False
    return True


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
