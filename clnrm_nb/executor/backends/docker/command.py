"""One command in a running container, by the engine's exec: its output, its end, its limit.

A thread blocks on the command's output; the event loop keeps the limit and ends the command's whole process
tree. The seam for a faster channel is :func:`run_command`: it alone knows how commands get into containers.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from docker.errors import APIError

from clnrm_nb.errors import BackendUnavailableError
from clnrm_nb.executor.backends.docker.engine import engine_says, in_thread
from clnrm_nb.executor.backends.docker.kill import MARK_VARIABLE, kill_container, new_mark, signal_tree
from clnrm_nb.executor.backends.docker.stream import STDERR, CappedBytes, FrameStream
from clnrm_nb.executor.backends.protocol import CommandResult

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    import docker

    from clnrm_nb.executor.backends.docker.engine import Engine
    from clnrm_nb.executor.backends.docker.service import Container
    from clnrm_nb.executor.backends.protocol import CommandSpec

__all__ = ["failed_to_start", "run_command"]

# The engine notes an exec's exit code a moment after its output has ended.
_EXIT_NOTED_WITHIN_S: Final = 5.0
_EXIT_POLL_S: Final = 0.005
_END_NOTED_WITHIN_S: Final = 0.5
# After the last KILL the output must end; if it does not, the engine hangs.
_AFTER_KILL_S: Final = 5.0
_CALL_WITHIN_S: Final = 10.0
# How runtimes begin when the program itself could not be started (runc, crun, Podman).
_RUNTIME_WORDS: Final = (
    "OCI runtime exec failed",
    "exec failed",
    "Error: crun",
    "Error: runc",
    "OCI runtime",
)
_NOT_STARTED: Final = (126, 127)
_KILLED: Final = 137


@dataclass(frozen=True, slots=True)
class _Ending:
    """How the exec ended, as seen by the thread that read it."""

    exit_code: int | None
    error: str | None = None


class _Exec:
    """The blocking half: one exec, read to its end in a thread."""

    def __init__(self, client: docker.APIClient, container_id: str, command: CommandSpec, mark: str) -> None:
        self._client = client
        self._container_id = container_id
        self._command = command
        self._mark = mark
        self._stream: FrameStream | None = None
        self.started_s: float | None = None
        self.stdout = CappedBytes(command.max_output_bytes)
        self.stderr = CappedBytes(command.max_output_bytes)

    def run(self) -> _Ending:
        """Start, read until the output ends, and ask for the exit code."""
        command = self._command
        env = {**command.env, MARK_VARIABLE: self._mark}
        try:
            exec_id = self._client.exec_create(
                self._container_id, list(command.argv), environment=dict(env), workdir=command.workdir
            )["Id"]
            self.started_s = time.perf_counter()
            self._stream = FrameStream(self._client.exec_start(exec_id, socket=True))
            self._read(self._stream)
            if self._stream.broke_off:
                return _Ending(None, "the engine broke off its output")
            return self._ending(exec_id)
        except APIError as refused:
            return _Ending(None, engine_says(refused))

    def abort(self) -> None:
        """Stop reading; :meth:`run` returns soon."""
        if self._stream is not None:
            self._stream.abort()

    def _read(self, stream: FrameStream) -> None:
        try:
            for number, data in stream.frames():
                (self.stderr if number == STDERR else self.stdout).add(data)
        finally:
            stream.close()

    def _ending(self, exec_id: str) -> _Ending:
        given_up_s = time.monotonic() + _EXIT_NOTED_WITHIN_S
        while time.monotonic() < given_up_s:
            found: dict[str, Any] = self._client.exec_inspect(exec_id)
            if not found.get("Running") and found.get("ExitCode") is not None:
                return _Ending(int(found["ExitCode"]))
            time.sleep(_EXIT_POLL_S)
        return _Ending(None, "the engine did not say how it ended")


async def run_command(
    engine: Engine,
    container: Container,
    command: CommandSpec,
    *,
    in_background: Callable[[Coroutine[Any, Any, object]], object],
) -> CommandResult:
    """Run a command to its end or its limit.

    Parameters
    ----------
    in_background : callable
        Takes the coroutine that ends the process tree of a command nobody waits for any more.
    """
    mark = new_mark()
    running = _Exec(engine.client, container.id, command, mark)
    begun_s, begun_at = time.perf_counter(), time.time()
    reading = asyncio.wrap_future(in_thread(partial(engine.guarded, running.run)))
    # Whoever gave up waiting for it may be gone when it ends.
    reading.add_done_callback(_retrieve)
    is_timed_out = False
    try:
        await asyncio.wait({reading}, timeout=command.timeout_s)
        if not reading.done():
            is_timed_out = True
            await _end_tree(engine, container.id, mark, reading, command.grace_s)
    except asyncio.CancelledError:
        in_background(_end_tree(engine, container.id, mark, reading, 0.0))
        raise
    duration_ms = (time.perf_counter() - (running.started_s or begun_s)) * 1e3
    if not reading.done():
        running.abort()
        await asyncio.wait({reading}, timeout=1.0)
    ending = _ending_of(reading)
    result = CommandResult(
        ending.exit_code,
        bytes(running.stdout),
        bytes(running.stderr),
        duration_ms,
        truncated=bool(running.stdout.dropped_bytes or running.stderr.dropped_bytes),
        timed_out=is_timed_out,
        error=ending.error,
    )
    return await _explained(engine, container, command, result, begun_at)


def failed_to_start(why: str) -> CommandResult:
    """The result of a command that was not even tried."""
    return CommandResult(None, b"", b"", 0.0, error=why)


def _ending_of(reading: asyncio.Future[_Ending]) -> _Ending:
    return reading.result() if reading.done() else _Ending(None, "the engine did not end it")


def _retrieve(reading: asyncio.Future[_Ending]) -> None:
    """Look at the outcome of a reading nobody awaits, so that asyncio does not complain about it."""
    if not reading.cancelled():
        reading.exception()


async def _end_tree(
    engine: Engine, container_id: str, mark: str, reading: asyncio.Future[_Ending], grace_s: float
) -> None:
    """TERM, wait, KILL; the container as a whole where its image has no tools for that."""
    if grace_s > 0 and await _signalled(engine, container_id, mark, "TERM"):
        await asyncio.wait({reading}, timeout=grace_s)
    if not await _signalled(engine, container_id, mark, "KILL"):
        await _call_quietly(engine, partial(kill_container, engine.client, container_id))
    await asyncio.wait({reading}, timeout=_AFTER_KILL_S)
    if not reading.done():
        await _call_quietly(engine, partial(kill_container, engine.client, container_id))
        await asyncio.wait({reading}, timeout=_AFTER_KILL_S)


async def _signalled(engine: Engine, container_id: str, mark: str, signal: str) -> bool:
    told = await _call_quietly(engine, partial(signal_tree, engine, container_id, mark, signal))
    return bool(told)


async def _call_quietly(engine: Engine, function: Callable[[], object]) -> object:
    """A call whose failure means only that it had no effect; what follows finds out."""
    try:
        async with asyncio.timeout(_CALL_WITHIN_S):
            return await engine.call(function)
    except (APIError, BackendUnavailableError, TimeoutError):
        return None


async def _explained(
    engine: Engine, container: Container, command: CommandSpec, result: CommandResult, begun_at: float
) -> CommandResult:
    """Tell apart what an exit code alone does not: never started, killed for memory, container gone."""
    if result.exit_code == 0 or result.timed_out:
        return result
    if result.exit_code in _NOT_STARTED and (why := _runtime_complaint(result.stdout)):
        return replace(result, exit_code=None, stdout=b"", error=_not_started(command, why))
    if result.error is not None and _says_not_found(result.error):
        return replace(result, error=_not_started(command, result.error))
    if result.exit_code == _KILLED:
        # The end of a container kills its commands first; the engine notes its end a moment later.
        await container.ends_within(_END_NOTED_WITHIN_S)
    state = await _state(engine, container.id)
    is_oom = bool(state and state.get("OOMKilled"))
    if state is None or not state.get("Running"):
        return replace(result, exit_code=None, oom_killed=is_oom, error=_gone(command, state))
    if result.error is None:
        is_oom = await _had_oom(engine, container.id, begun_at)
    return replace(result, oom_killed=is_oom)


def _runtime_complaint(stdout: bytes) -> str | None:
    """The runtime's message that the engine puts in place of a program's output."""
    text = stdout[:2000].decode("utf-8", "replace").strip()
    return text if text.startswith(_RUNTIME_WORDS) or "OCI runtime attempted" in text else None


def _says_not_found(error: str) -> bool:
    return "OCI runtime" in error or "executable file not found" in error


def _not_started(command: CommandSpec, complaint: str) -> str:
    program = command.argv[0] if command.argv else ""
    place = f"service `{command.service}`" if command.service else "the runner container"
    lower = complaint.lower()
    if "chdir" in lower or "cwd" in lower:
        return f"working directory {command.workdir!r} cannot be used in {place}"
    if "permission denied" in lower:
        return f"program {program!r} may not be executed in {place}"
    if "not found" in lower or "no such file" in lower:
        return f"program {program!r} is not there in {place}"
    return f"program {program!r} did not start in {place}: {' '.join(complaint.split())}"


def _gone(command: CommandSpec, state: dict[str, Any] | None) -> str:
    place = f"the container of service `{command.service}`" if command.service else "the runner container"
    if state is None:
        return f"{place} was removed by somebody else while the command ran"
    if state.get("OOMKilled"):
        return f"{place} was killed for using more memory than its limit"
    return f"{place} had ended (exit code {state.get('ExitCode')})"


async def _state(engine: Engine, container_id: str) -> dict[str, Any] | None:
    """The container's state; ``None`` if it is gone."""
    try:
        found: dict[str, Any] = await engine.call(engine.client.inspect_container, container_id)
    except APIError:
        return None
    state: dict[str, Any] = found["State"]
    return state


async def _had_oom(engine: Engine, container_id: str, since: float) -> bool:
    """Whether the kernel killed something of the container for its memory since then.

    A command killed so leaves its container running, and only the engine's events tell.
    """

    def ask() -> bool:
        # The SDK's annotation knows whole seconds only; the engine takes fractions. An end in the future
        # would make it wait.
        since_text: Any = f"{since:.9f}"
        until_text: Any = f"{time.time():.9f}"
        filters = {"container": [container_id], "event": ["oom"]}
        events = engine.client.events(since=since_text, until=until_text, filters=filters, decode=True)
        return any(True for _ in events)

    return bool(await _call_quietly(engine, ask))
