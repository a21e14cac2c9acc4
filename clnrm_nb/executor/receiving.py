"""The receiver of a run; runs that go on at the same time share it where the configuration fixes its port."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from clnrm_nb.spans.receiver import Limits, Receiver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from clnrm_nb.config.settings import Settings

__all__ = ["receiver_of"]


@dataclass(slots=True)
class _Shared:
    """A receiver on a port that only one can have."""

    receiver: Receiver
    started: asyncio.Task[None]
    users: int = 0


_shared: Final[dict[tuple[asyncio.AbstractEventLoop, int], _Shared]] = {}


@asynccontextmanager
async def receiver_of(settings: Settings) -> AsyncIterator[Receiver]:
    """A receiver that has started.

    Raises
    ------
    BackendUnavailableError
        CLN601: ``receiver.port`` is taken.
    """
    port = settings.receiver.port
    if not port:
        receiver = _made(settings)
        await receiver.start(0)
        try:
            yield receiver
        finally:
            await receiver.stop()
        return
    key = (asyncio.get_running_loop(), port)
    if key not in _shared:
        receiver = _made(settings)
        _shared[key] = _Shared(receiver, asyncio.ensure_future(receiver.start(port)))
    shared = _shared[key]
    shared.users += 1
    try:
        await asyncio.shield(shared.started)
        yield shared.receiver
    finally:
        shared.users -= 1
        if not shared.users:
            del _shared[key]
            await shared.receiver.stop()


def _made(settings: Settings) -> Receiver:
    return Receiver(Limits(max_bytes=settings.receiver.max_request_mb * 1024 * 1024))
