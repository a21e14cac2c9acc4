"""A backend that stays open between the runs of one process: kernels and watchers run again and again.

What can be used again (runner containers proved clean, the connection, what is known of the engine) is there
when the next run begins. It is let go of after a time without runs; at the end of the process the reaper
removes what is left. A run that comes while another one has the kept backend opens one of its own.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from clnrm_nb.executor.backends import open_backend
from clnrm_nb.executor.backends.protocol import Waking

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from clnrm_nb.config.settings import Settings
    from clnrm_nb.executor.backends.protocol import Backend

__all__ = ["IDLE_S", "keep_backends", "lent_backend", "let_go"]

IDLE_S: Final = 300.0
"""How long an idle backend is kept in a notebook."""


@dataclass(slots=True)
class _Keeper:
    """The one of this process."""

    idle_s: float | None = None
    """``None``: nothing is kept."""
    key: tuple[object, ...] = ()
    backend: Backend | None = None
    """Open and not in use."""
    loop: asyncio.AbstractEventLoop | None = None
    timer: asyncio.TimerHandle | None = None

    async def take(self, key: tuple[object, ...]) -> Backend | None:
        """The one that waits, if it is of this kind and still answers."""
        if self.backend is None or self.loop is not asyncio.get_running_loop():
            return None
        backend = self._out()
        assert isinstance(backend, Waking)
        if self.key == key and await backend.wake():
            return backend
        await backend.close()
        return None

    async def put(self, key: tuple[object, ...], backend: Backend) -> None:
        """Let it wait for the next run, or close it."""
        if self.idle_s is None or self.backend is not None or not isinstance(backend, Waking):
            await backend.close()
            return
        self.key, self.backend, self.loop = key, backend, asyncio.get_running_loop()
        self.timer = self.loop.call_later(self.idle_s, self._give_up)

    async def let_go(self) -> None:
        """Close what waits."""
        if self.backend is not None:
            await self._out().close()

    def _out(self) -> Backend:
        assert self.backend is not None
        backend, self.backend = self.backend, None
        if self.timer is not None:
            self.timer.cancel()
        return backend

    def _give_up(self) -> None:
        closing = asyncio.ensure_future(self.let_go())
        # Held until it is done: the loop itself would let it be collected.
        closing.add_done_callback(lambda _: closing.cancelled())


_keeper: Final = _Keeper()


def keep_backends(idle_s: float | None) -> None:
    """From now on a backend stays open after a run of this process.

    Parameters
    ----------
    idle_s : float or None
        Without a run for so long it is closed after all, and everything it holds is removed; ``None``: from
        the next run on none is kept.
    """
    _keeper.idle_s = idle_s


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
    backend = await _keeper.take(key) or await open_backend(name, settings)
    try:
        yield backend
    finally:
        await _keeper.put(key, backend)


def _key(name: str, settings: Settings) -> tuple[object, ...]:
    """Everything an open backend depends on."""
    environ = tuple(os.environ.get(word) for word in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CERT_PATH"))
    return (os.getpid(), name, settings.executor.docker_host, settings.containers.pull_policy, environ)
