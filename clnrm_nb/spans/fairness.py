"""Fair sharing among the tests that send to one receiver: of memory, of time, and of what is reported.

Everything is counted by :class:`Account`, one a test (all its tokens together) and one for all strangers, so
that nobody gets a second share by a second token or connection.

Memory is shared by a dynamic threshold: an account may hold as much as is left free *after* it has taken
more. One alone may fill half, two a third each, and whoever comes next always finds room. Time is shared by
turns: each account decodes one step, then the next account does.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Account", "Fingerprint", "Reservation", "Shares", "Turns"]

Fingerprint = tuple[int | None, bytes | None]
"""Length and last bytes of a body as sent, ``None`` for what is not known. The last bytes of gzip and zlib
bodies are a checksum of what they hold, so packing the same spans again gives the same fingerprint."""

_MAX_OPEN: Final = 10_000
"""Fingerprints remembered for one account; beyond that, what is put off counts as lost at once."""


class Account:
    """What one test has in flight, has delivered, and still owes."""

    __slots__ = ("_n_known_lost", "_open", "awaited_until_s", "held", "received")

    def __init__(self) -> None:
        self.held = 0
        """Unpacked bytes in flight."""
        self.received = 0
        """Unpacked bytes taken so far."""
        self._open: Counter[Fingerprint] = Counter()
        self._n_known_lost = 0
        self.awaited_until_s = float("-inf")
        """:func:`time.monotonic` until which what was put off may well come again."""

    def put_off(self, fingerprint: Fingerprint) -> None:
        """A request was asked to come again, or was cut off: it is a loss unless it does."""
        if len(self._open) < _MAX_OPEN:
            self._open[fingerprint] += 1
        else:
            self._n_known_lost += 1

    def came(self, fingerprint: Fingerprint) -> None:
        """A whole request has come; it may be one that was put off."""
        if not self._open:
            return
        for known in (fingerprint, (fingerprint[0], None)):
            if self._open[known]:
                self._open[known] -= 1
                if not self._open[known]:
                    del self._open[known]
                return

    @property
    def n_open(self) -> int:
        """Requests that were put off or cut off and have not come again."""
        return self._open.total() + self._n_known_lost


class Shares:
    """The bytes that may be in flight, shared among accounts.

    Parameters
    ----------
    max_bytes : int
        Of all accounts together.
    """

    __slots__ = ("_max_bytes", "_total")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._total = 0

    def take(self, account: Account, size: int) -> bool:
        """Whether `size` more bytes are all right; they then count until :meth:`give_back`."""
        if account.held + size > self._max_bytes - self._total - size:
            return False
        account.held += size
        self._total += size
        return True

    def give_back(self, account: Account, size: int) -> None:
        """Bytes that are no longer in flight."""
        account.held -= size
        self._total -= size


class Reservation:
    """What one request holds of its account's share.

    Parameters
    ----------
    shares : Shares
    account : Account
    """

    __slots__ = ("_shares", "account", "size")

    def __init__(self, shares: Shares, account: Account) -> None:
        self._shares = shares
        self.account = account
        self.size = 0

    def grow(self, size: int) -> bool:
        """Hold `size` more bytes, if that is all right."""
        if not self._shares.take(self.account, size):
            return False
        self.size += size
        return True

    def release(self) -> None:
        """Hold nothing any more; safe to call twice."""
        self._shares.give_back(self.account, self.size)
        self.size = 0


class Turns:
    """Let work of all accounts advance side by side, one step of one account after another."""

    __slots__ = ("_waiting", "_worker")

    def __init__(self) -> None:
        # Insertion order is the order of turns: who has had one goes to the end.
        self._waiting: dict[Account, deque[tuple[Iterator[None], asyncio.Future[None]]]] = {}
        self._worker: asyncio.Task[None] | None = None

    async def run(self, account: Account, steps: Iterator[None]) -> None:
        """Run `steps` to their end, raising what they raise."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._waiting.setdefault(account, deque()).append((steps, done))
        if self._worker is None or self._worker.done():
            self._worker = loop.create_task(self._work())
        await done

    async def _work(self) -> None:
        while self._waiting:
            account, queue = next(iter(self._waiting.items()))
            del self._waiting[account]
            self._step(queue)
            if queue:
                self._waiting[account] = queue
            await asyncio.sleep(0)

    def _step(self, queue: deque[tuple[Iterator[None], asyncio.Future[None]]]) -> None:
        steps, done = queue[0]
        try:
            next(steps)
        except StopIteration:
            queue.popleft()
            if not done.done():
                done.set_result(None)
        except Exception as error:  # noqa: BLE001  # Whoever waits for this work gets it.
            queue.popleft()
            if not done.done():
                done.set_exception(error)
