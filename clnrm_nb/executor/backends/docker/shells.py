"""The shells of one container: one a command at a time, opened when all others are busy.

The main process of a runner container is the first. Others come by the engine's exec, which costs a hundred
times what a command in an open shell does; so shells stay until their container goes. One whose streams are
held by what a command left behind is not used until a second look finds them free: late output is nobody's.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final

from docker.errors import APIError

from clnrm_nb.errors import BackendUnavailableError
from clnrm_nb.executor.backends.docker.channel import Channel
from clnrm_nb.executor.backends.docker.engine import in_thread
from clnrm_nb.executor.backends.docker.snippet import SETUP, can_be_said, plain_snippet, second_look
from clnrm_nb.executor.backends.docker.stream import CappedBytes, FrameStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Future

    from clnrm_nb.executor.backends.docker.channel import Answer
    from clnrm_nb.executor.backends.docker.engine import Engine

__all__ = ["Shells"]

_SHELL: Final = "/bin/sh"
# A shell answers in milliseconds; what has not by now is none.
_ANSWERS_WITHIN_S: Final = 10.0
# Of those whose streams are held, the last: each costs a look whenever none is free.
_MOST_HELD: Final = 8
_MOST_PRINTED_BYTES: Final = 1024 * 1024
_NOT_THERE: Final = (126, 127)


class Shells:
    """Where commands of one container are run.

    Parameters
    ----------
    environment : iterable of str
        Names of the container's own variables; some a shell would not hand on.
    """

    def __init__(self, engine: Engine, container_id: str, environment: Iterable[str] = ()) -> None:
        self._engine = engine
        self._container_id = container_id
        self._idle: list[Channel] = []
        self._held: list[Channel] = []
        self._main: Channel | None = None
        self._is_usable = can_be_said(environment)

    def main(self, stream: FrameStream) -> Channel:
        """Take the container's own main process, a shell, as the first; who calls reads it."""
        self._main = Channel(stream)
        self._idle.append(self._main)
        return self._main

    async def reset(self, script: bytes, within_s: float) -> bytes | None:
        """Run a script that ends all other shells in the main one, which alone is used from then on.

        Returns
        -------
        bytes or None
            What it printed; ``None`` if the main shell is busy or gone, or does not answer in time.
        """
        main = self._main
        if main is None or main not in [*self._idle, *self._held]:
            return None
        self._idle, self._held = [], []
        if not main.is_set_up and not await _set_up(main):
            return None
        printed, nowhere = CappedBytes(_MOST_PRINTED_BYTES), CappedBytes(0)
        try:
            async with asyncio.timeout(within_s):
                answer = await main.ask(partial(plain_snippet, script), printed, nowhere)
        except TimeoutError:
            return None
        if answer is None or printed.dropped_bytes:
            return None
        self._idle.append(main)
        return bytes(printed)

    async def take(self) -> Channel | None:
        """A shell that waits; ``None`` if none can be had, so that commands need the engine's exec."""
        while self._is_usable:
            while self._idle:
                channel = self._idle.pop()
                if not channel.has_ended and (channel.is_set_up or await _set_up(channel)):
                    return channel
            if (found := await self._freed() or await self._open()) is None:
                return None
            self._idle.append(found)
        return None

    async def warm_up(self) -> None:
        """Have one wait for the first command."""
        if (channel := await self.take()) is not None:
            self.give_back(channel, is_held=False)

    def give_back(self, channel: Channel, *, is_held: bool) -> None:
        """Let the next command have it, unless something may still write to its streams."""
        (self._held if is_held else self._idle).append(channel)

    async def _freed(self) -> Channel | None:
        """One that was held and no longer is."""
        held, self._held = self._held[-_MOST_HELD:], []
        freed: Channel | None = None
        for channel in held:
            answer = None if freed else await _ask(channel, second_look)
            if answer is not None and not answer.is_held:
                freed = channel
            elif not channel.has_ended:
                self._held.append(channel)
        return freed

    async def _open(self) -> Channel | None:
        """Start one more; ``None`` if the image has none or the container has ended."""
        try:
            exec_id, stream = await self._engine.call(self._attach)
        except (APIError, BackendUnavailableError):
            return None
        channel = Channel(stream)
        _forget(in_thread(partial(self._engine.guarded, channel.read)))
        if await _set_up(channel):
            return channel
        self._is_usable = not await self._has_no_shell(exec_id)
        channel.abort()
        return None

    def _attach(self) -> tuple[str, FrameStream]:
        client = self._engine.client
        exec_id: str = client.exec_create(self._container_id, [_SHELL], stdin=True)["Id"]
        return exec_id, FrameStream(client.exec_start(exec_id, socket=True))

    async def _has_no_shell(self, exec_id: str) -> bool:
        try:
            found = await self._engine.call(self._engine.client.exec_inspect, exec_id)
        except (APIError, BackendUnavailableError):
            return False
        # What runs and does not answer is no shell either.
        return bool(found.get("Running")) or found.get("ExitCode") in _NOT_THERE


async def _set_up(channel: Channel) -> bool:
    """Prepare a new shell; whether it is one."""
    channel.is_set_up = await _ask(channel, partial(plain_snippet, SETUP)) is not None
    return channel.is_set_up


async def _ask(channel: Channel, snippet: Callable[[bytes], bytes]) -> Answer | None:
    """Have something of our own run; ``None`` if the shell has ended or does not answer, and is let go."""
    nowhere = CappedBytes(0)
    try:
        async with asyncio.timeout(_ANSWERS_WITHIN_S):
            return await channel.ask(snippet, nowhere, nowhere)
    except TimeoutError:
        channel.abort()
        return None


def _forget(reading: Future[None]) -> None:
    """Look at the outcome of a thread nobody waits for."""
    reading.add_done_callback(lambda done: done.exception())
