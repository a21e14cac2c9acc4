"""One started service: its output, its end, and where this process reaches its ports."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import requests
from docker.errors import APIError

from clnrm_nb.errors import BackendUnavailableError
from clnrm_nb.executor.backends.docker.engine import in_thread
from clnrm_nb.executor.backends.docker.log import ServiceLog
from clnrm_nb.executor.backends.docker.shells import Shells

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from clnrm_nb.executor.backends.docker.engine import Engine
    from clnrm_nb.executor.backends.docker.stream import FrameStream

__all__ = ["Container", "Reach"]

KILLED: Final = 137
# A killed process may still hang in a driver; then its removal waits for it, and not the end of the test.
_DIES_WITHIN_S: Final = 10.0
# The engine notes the end of a container a moment after its output has ended, and a crowded one much later.
_SILENT_END_WITHIN_S: Final = 1.0
_END_NOTED_WITHIN_S: Final = 10
_LOG_BYTES: Final = 10 * 1024 * 1024


class Reach:
    """How this process gets to the ports of a container.

    Parameters
    ----------
    address : str or None
        The container's own address, where this machine has a route to it.
    published : mapping of int to tuple
        Container port → host and port, where the engine publishes instead.
    """

    def __init__(
        self, address: str | None = None, published: Mapping[int, tuple[str, int]] | None = None
    ) -> None:
        self.address = address
        self._published = dict(published or {})

    def to(self, port: int) -> tuple[str, int] | None:
        """Where a TCP port is reached; ``None``: from here, nowhere."""
        if port in self._published:
            return self._published[port]
        return (self.address, port) if self.address else None

    @classmethod
    def of(cls, inspected: Mapping[str, Any]) -> Reach:
        """Read the engine's description of a running container."""
        settings = inspected["NetworkSettings"]
        if inspected["HostConfig"]["NetworkMode"] == "host":
            return cls("127.0.0.1")
        published = {
            int(key.partition("/")[0]): (bindings[0]["HostIp"], int(bindings[0]["HostPort"]))
            for key, bindings in (settings.get("Ports") or {}).items()
            if bindings and key.endswith("/tcp")
        }
        networks = (settings.get("Networks") or {}).values()
        address = next((network["IPAddress"] for network in networks if network.get("IPAddress")), None)
        return cls(address, published)


class Container:
    """A container whose output is followed: a service, or the runner of the test.

    Created when its output is attached and before it starts, so that nothing is missed.
    """

    def __init__(
        self,
        engine: Engine,
        container_id: str,
        name: str,
        stop_signal: str = "SIGTERM",
        environment: Iterable[str] = (),
    ) -> None:
        self.id = container_id
        self.name = name
        self.stop_signal = stop_signal
        self.shells = Shells(engine, container_id, environment)
        self.reach = Reach()
        self.host_ports: dict[int, int] = {}
        """Container port → port on this machine's loopback, of those the file publishes."""
        self._engine = engine
        self._log = ServiceLog(asyncio.get_running_loop(), _LOG_BYTES)
        self._stream: FrameStream | None = None
        self._exit: asyncio.Future[int] | None = None
        self._is_silent = False
        self.has_lost_output = False
        """Whether it lived on when its output had broken off."""

    def follow(self, stream: FrameStream) -> None:
        """Read the output in a thread until it ends, then wait for the exit code."""
        self._follow(stream, partial(self._log_all, stream))

    def command(self, stream: FrameStream) -> None:
        """The same for a container whose main process is a shell that runs commands."""
        self._follow(stream, self.shells.main(stream).read)

    def _follow(self, stream: FrameStream, read: Callable[[], None]) -> None:
        self._stream = stream
        ending = partial(self._engine.guarded, partial(self._read, read))
        self._exit = asyncio.wrap_future(in_thread(ending))
        self._exit.add_done_callback(_retrieve)

    def _log_all(self, stream: FrameStream) -> None:
        try:
            for number, data in stream.frames():
                self._log.add(number, data)
        finally:
            self._log.end()
            stream.close()
            self._is_silent = True
        if stream.broke_off:
            raise self._broken_off()

    def _read(self, read: Callable[[], None]) -> int:
        read()
        try:
            return self._exit_code()
        except APIError as gone:
            if gone.status_code == 404:  # noqa: PLR2004  # Removed, by us or by somebody else.
                return KILLED
            raise

    def _exit_code(self) -> int:
        """How it ended, once its output has; its init holds the output open for as long as it lives."""
        client = self._engine.client
        try:
            return int(client.wait(self.id, timeout=_END_NOTED_WITHIN_S)["StatusCode"])
        except APIError:
            raise
        except requests.RequestException as late:
            state: dict[str, Any] = client.inspect_container(self.id)["State"]
            if state.get("Running"):
                raise self._broken_off() from late
            return int(client.wait(self.id)["StatusCode"])

    def _broken_off(self) -> BackendUnavailableError:
        return BackendUnavailableError(f"the engine broke off the output of `{self.name}`", "CLN601")

    @property
    def has_ended(self) -> bool:
        """Whether its end was seen."""
        return self._exit is not None and self._exit.done()

    async def ends_within(self, seconds: float) -> bool:
        """Whether its end is seen within a time."""
        if self._exit is not None and not self._exit.done():
            await asyncio.wait({self._exit}, timeout=seconds)
        return self.has_ended

    def let_go(self) -> None:
        """Stop following; the reading thread ends by itself."""
        if self._stream is not None:
            self._stream.abort()

    # ------------------------------------------------------------------------- the RunningService part

    def address(self, container_port: int) -> tuple[str, int] | None:
        """See :class:`~clnrm_nb.executor.backends.protocol.RunningService`."""
        return self.reach.to(container_port)

    async def exited(self) -> int:
        """Wait for its main process to end; 137 too if somebody removed the container.

        Raises
        ------
        BackendUnavailableError
            CLN601: the engine is gone, so nobody knows.
        """
        if self._exit is None:
            return KILLED
        return await asyncio.shield(self._exit)

    async def oom_killed(self) -> bool:
        """Whether the kernel ended it for its memory."""
        try:
            found: dict[str, Any] = await self._engine.call(self._engine.client.inspect_container, self.id)
        except (APIError, BackendUnavailableError):
            return False
        return bool(found["State"].get("OOMKilled"))

    def log_tail(self, lines: int = 20) -> list[str]:
        """Its last lines."""
        return self._log.tail(lines)

    def on_log_line(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Follow its lines."""
        return self._log.listen(listener)

    def stdout(self) -> bytes:
        """What it printed, at most 10 MiB."""
        return self._log.stdout()

    def stderr(self) -> bytes:
        """What it printed as errors, at most 10 MiB."""
        return self._log.stderr()

    # --------------------------------------------------------------------------------------- signals

    async def signal(self, name: str) -> None:
        """Send a signal to its main process; one that has ended is fine."""
        try:
            await self._engine.call(self._engine.client.kill, self.id, name)
        except APIError as ended:
            if ended.status_code not in (404, 409):
                raise

    async def stop(self, grace_s: float) -> bool:
        """End it as its image wants to be ended, then by force.

        Returns
        -------
        bool
            Whether force was needed, or it had been killed before, or what it printed last was lost.
        """
        if self._exit is None:
            return False
        if self._is_silent:
            self.has_lost_output = await self._lives_on_silent()
        if not self._exit.done() and grace_s > 0:
            await self._signal_soon(self.stop_signal)
            await self.ends_within(grace_s)
        was_forced = not self._exit.done()
        if was_forced:
            await self._signal_soon("SIGKILL")
            await self.ends_within(_DIES_WITHIN_S)
        return was_forced or self.has_lost_output or (await self.exited()) == KILLED

    async def _lives_on_silent(self) -> bool:
        """Whether it still runs although its output has ended."""
        assert self._exit is not None
        if await self.ends_within(_SILENT_END_WITHIN_S):
            return isinstance(self._exit.exception(), BackendUnavailableError)
        try:
            found: dict[str, Any] = await self._engine.call(self._engine.client.inspect_container, self.id)
        except APIError:
            return False
        return bool(found["State"].get("Running"))

    async def _signal_soon(self, name: str) -> None:
        """Send a signal, unless the engine takes too long to do it or refuses: the next step finds out."""
        with suppress(APIError, TimeoutError):
            async with asyncio.timeout(_DIES_WITHIN_S):
                await self.signal(name)


def _retrieve(end: asyncio.Future[int]) -> None:
    """Look at the outcome, so that asyncio does not complain where nobody asked for it."""
    if not end.cancelled():
        end.exception()
