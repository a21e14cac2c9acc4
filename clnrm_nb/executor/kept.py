"""A backend that stays open between the runs of one process: kernels and watchers run again and again.

What can be used again (runner containers proved clean, the connection, what is known of the engine) is there
when the next run begins. It is let go of after a time without runs; at the end of the process the reaper
removes what is left. Runs that go on at the same time share it: a watcher starts what has just been saved
beside what still runs. What it counts is then counted for all of them together.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from clnrm_nb.executor.backends import open_backend
from clnrm_nb.executor.backends.protocol import Waking
from clnrm_nb.spans.phases import phase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from clnrm_nb.config.settings import Settings
    from clnrm_nb.executor.backends.protocol import Backend

__all__ = ["IDLE_S", "keep_backends", "lent_backend", "let_go"]

IDLE_S: Final = 300.0
"""How long an idle backend is kept in a notebook."""


@dataclass(slots=True, eq=False)
class _Lent:
    """An open backend and how many runs use it now."""

    key: tuple[object, ...]
    backend: Backend
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    users: int = 0
    timer: asyncio.TimerHandle | None = None

    def use(self) -> None:
        """One more run."""
        self.users += 1
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


@dataclass(slots=True)
class _Keeper:
    """The one of this process."""

    idle_s: float | None = None
    """``None``: nothing is kept."""
    kept: _Lent | None = None

    async def take(self, key: tuple[object, ...]) -> _Lent | None:
        """The kept one, if it is of this kind and still answers."""
        lent = self.kept
        if lent is None or lent.loop is not asyncio.get_running_loop() or (lent.users and lent.key != key):
            return None
        # Counted before anything is awaited, so that nobody closes it meanwhile.
        lent.use()
        is_fit = False
        try:
            assert isinstance(lent.backend, Waking)
            is_fit = lent.key == key and await lent.backend.wake(is_shared=lent.users > 1)
        finally:
            if not is_fit:
                if self.kept is lent:
                    self.kept = None
                await self.put(lent, keep=False)
        return lent if is_fit else None

    async def put(self, lent: _Lent, *, keep: bool = True) -> None:
        """A run is over: let what it used wait for the next one, or close it with its last user."""
        lent.users -= 1
        if lent.users:
            return
        if keep:
            self.keep(lent)
        if self.kept is lent and self.idle_s is not None:
            lent.timer = lent.loop.call_later(self.idle_s, self._give_up)
            return
        if self.kept is lent:
            self.kept = None
        await lent.backend.close()

    def keep(self, lent: _Lent) -> None:
        """From now on it is the kept one, if one is kept at all and there is none."""
        if self.idle_s is not None and self.kept is None and isinstance(lent.backend, Waking):
            self.kept = lent

    async def let_go(self) -> None:
        """Close what waits; what is in use is closed by its last user."""
        lent = self.kept
        if lent is None or lent.users:
            return
        self.kept = None
        if lent.timer is not None:
            lent.timer.cancel()
        await lent.backend.close()

    def _give_up(self) -> None:
        closing = asyncio.ensure_future(self.let_go())
        # Held until it is done: the loop itself would let it be collected.
        closing.add_done_callback(lambda _: closing.cancelled())


_keeper: Final = _Keeper()


def keep_backends(idle_s: float | None) -> float | None:
    """From now on a backend stays open after a run of this process; how it was before.

    Parameters
    ----------
    idle_s : float or None
        Without a run for so long it is closed after all, and everything it holds is removed; ``None``: from
        the next run on none is kept.
    """
    before, _keeper.idle_s = _keeper.idle_s, idle_s
    return before


async def let_go() -> None:
    """Close the backend that waits, if any. On the loop of the runs."""
    await _keeper.let_go()


@asynccontextmanager
async def lent_backend(name: str, settings: Settings) -> AsyncIterator[Backend]:
    """An open backend for one run.

    Raises
    ------
    BackendUnavailableError
        CLN601.
    ConfigError
        CLN802: no backend has this name.
    """
    key = _key(name, settings)
    with phase("clnrm.open"):
        lent = await _keeper.take(key)
        if lent is None:
            lent = _Lent(key, await open_backend(name, settings))
            lent.use()
            _keeper.keep(lent)
    try:
        yield lent.backend
    finally:
        await _keeper.put(lent)


def _key(name: str, settings: Settings) -> tuple[object, ...]:
    """Everything an open backend depends on."""
    environ = tuple(os.environ.get(word) for word in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CERT_PATH"))
    return (os.getpid(), name, settings.executor.docker_host, settings.containers.pull_policy, environ)
