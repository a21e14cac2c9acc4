"""One command in a running container: its limit, its end, and what an exit code alone does not tell.

How it gets into the container is :mod:`~clnrm_nb.executor.backends.docker.execution`'s part. The event loop
keeps the limit and ends the command's whole process tree.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from docker.errors import APIError

from clnrm_nb.errors import BackendUnavailableError
from clnrm_nb.executor.backends.docker.execution import Ending, Execution
from clnrm_nb.executor.backends.docker.kill import kill_container, signal_tree
from clnrm_nb.executor.backends.protocol import CommandResult

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from clnrm_nb.executor.backends.docker.engine import Engine
    from clnrm_nb.executor.backends.docker.service import Container
    from clnrm_nb.executor.backends.protocol import CommandSpec

__all__ = ["failed_to_start", "run_command"]

_END_NOTED_WITHIN_S: Final = 0.5
# After the last KILL the output must end; if it does not, the engine hangs, or the shell that ran it does.
_AFTER_KILL_S: Final = 3.0
_CALL_WITHIN_S: Final = 10.0
_KILLED: Final = 137


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
    running = Execution(engine, container, command)
    begun_s, begun_at = time.perf_counter(), time.time()
    reading = asyncio.ensure_future(running.run())
    # Whoever gave up waiting for it may be gone when it ends.
    reading.add_done_callback(_retrieve)
    is_timed_out = False
    try:
        await asyncio.wait({reading}, timeout=command.timeout_s)
        if not reading.done():
            is_timed_out = True
            await _end_tree(engine, container.id, running, reading, command.grace_s)
    except asyncio.CancelledError:
        running.is_given_up = True
        in_background(_end_tree(engine, container.id, running, reading, 0.0))
        raise
    duration_ms = (time.perf_counter() - (running.started_s or begun_s)) * 1e3
    if not reading.done():
        running.is_given_up = True
        running.abort()
        await asyncio.wait({reading}, timeout=1.0)
    ending = reading.result() if reading.done() else Ending(None, "the engine did not end it")
    if ending.complaint is not None and not is_timed_out:
        return CommandResult(None, b"", b"", duration_ms, error=_not_started(command, ending.complaint))
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


def _retrieve(reading: asyncio.Task[Ending]) -> None:
    """Look at the outcome of a reading nobody awaits, so that asyncio does not complain about it."""
    if not reading.cancelled():
        reading.exception()


async def _end_tree(
    engine: Engine, container_id: str, running: Execution, reading: asyncio.Task[Ending], grace_s: float
) -> None:
    """TERM, wait, KILL; the container as a whole where its image has no tools for that."""
    if grace_s > 0 and await _signalled(engine, container_id, running.mark, "TERM"):
        await asyncio.wait({reading}, timeout=grace_s)
    if not await _signalled(engine, container_id, running.mark, "KILL"):
        await _call_quietly(engine, partial(kill_container, engine.client, container_id))
    await asyncio.wait({reading}, timeout=_AFTER_KILL_S)
    if not reading.done():
        # All is dead, but the shell that ran it does not say so (somebody stopped it): done without it.
        running.abort()


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
    """Tell apart what an exit code alone does not: killed for memory, container gone."""
    if result.exit_code == 0 or result.timed_out:
        return result
    if result.exit_code in (None, _KILLED):
        # The end of a container kills its commands first; the engine notes its end a moment later.
        await container.ends_within(_END_NOTED_WITHIN_S)
    state = await _state(engine, container.id)
    is_oom = bool(state and state.get("OOMKilled"))
    if state is None or not state.get("Running"):
        return replace(result, exit_code=None, oom_killed=is_oom, error=_gone(command, state))
    if result.error is None:
        is_oom = await _had_oom(engine, container.id, begun_at)
    return replace(result, oom_killed=is_oom)


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
