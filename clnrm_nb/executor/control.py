"""What somebody outside may do to the tests of a run while it goes on, one by one.

A watcher learns during a run that some of its tests are obsolete: their files have just been saved again.
Only those are stopped; the others go on as if nothing had happened. It also knows which tests will be run
before it knows that they will, and bounds what several runs do at once.
"""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractAsyncContextManager

__all__ = ["Control", "Slots"]


class Slots(asyncio.Semaphore):
    """How many tests have their turn at once, in all runs that share it together."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.most = most


class Control:
    """The strings of one run. Every method is called on the loop of the run.

    Parameters
    ----------
    go : asyncio.Event, optional
        Until it is set tests are only made ready: nothing of them has happened yet.
    slots : Slots, optional
        Shared by runs of one process that go on at the same time.

    Examples
    --------
    >>> control = Control()
    >>> control.drop(["a.clnrm.toml"], "obsolete: a.clnrm.toml changed")
    >>> control.why_dropped("a.clnrm.toml")
    'obsolete: a.clnrm.toml changed'
    """

    def __init__(self, *, go: asyncio.Event | None = None, slots: Slots | None = None) -> None:
        self.go = go
        self._slots = slots
        self._reasons: dict[str, str] = {}
        self._stop: Callable[[str], None] | None = None

    def drop(self, test_ids: Iterable[str], reason: str) -> None:
        """Give tests up: what is queued does not start, what runs is stopped without grace.

        They end ``skipped`` with `reason`. Tests that have ended, or were dropped before, stay as they are.
        """
        for test_id in test_ids:
            if self._reasons.setdefault(test_id, reason) is reason and self._stop is not None:
                self._stop(test_id)

    def why_dropped(self, test_id: str) -> str | None:
        """The reason, if the test was given up."""
        return self._reasons.get(test_id)

    def bind(self, stop: Callable[[str], None]) -> None:
        """Have `stop` called with each test that is given up from now on."""
        self._stop = stop

    def workers(self, workers: int) -> int:
        """As many of them as may be at work at once."""
        return workers if self._slots is None else min(workers, self._slots.most)

    @property
    def has_room(self) -> bool:
        """Whether a slot is free just now."""
        return self._slots is None or not self._slots.locked()

    def slot(self) -> AbstractAsyncContextManager[object]:
        """Held by a test while it has its turn."""
        return self._slots if self._slots is not None else nullcontext()
