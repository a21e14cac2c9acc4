"""One run of a command in a container: by one of its shells, or by the engine's exec where there is none.

What a run prints is kept as it comes; how it ended is told by :class:`Ending`. Nobody is told here what that
means, and no limit is kept: that is :mod:`~clnrm_nb.executor.backends.docker.command`.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from docker.errors import APIError

from clnrm_nb.executor.backends.docker.engine import engine_says, in_thread
from clnrm_nb.executor.backends.docker.kill import MARK_VARIABLE, new_mark
from clnrm_nb.executor.backends.docker.snippet import can_be_said, command_snippet, complaint
from clnrm_nb.executor.backends.docker.stream import STDERR, CappedBytes, FrameStream

if TYPE_CHECKING:
    from collections.abc import Callable

    import docker

    from clnrm_nb.executor.backends.docker.channel import Channel
    from clnrm_nb.executor.backends.docker.engine import Engine
    from clnrm_nb.executor.backends.docker.service import Container
    from clnrm_nb.executor.backends.protocol import CommandSpec

__all__ = ["Ending", "Execution"]

# The engine notes an exec's exit code a moment after its output has ended.
_EXIT_NOTED_WITHIN_S: Final = 5.0
_EXIT_POLL_S: Final = 0.005
# How runtimes begin when the program itself could not be started (runc, crun, Podman).
_RUNTIME_WORDS: Final = (
    "OCI runtime exec failed",
    "exec failed",
    "Error: crun",
    "Error: runc",
    "OCI runtime",
)
_NOT_STARTED: Final = (126, 127)
_LONGEST_COMPLAINT_BYTES: Final = 2000


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended.

    Parameters
    ----------
    exit_code : int or None
        ``None``: it was not seen.
    error : str or None
        Why it was not seen.
    complaint : str or None
        The command never started, and a shell or a runtime says so in these words.
    """

    exit_code: int | None
    error: str | None = None
    complaint: str | None = None


class Execution:
    """One run. :meth:`run` is awaited by a task of its own, which nobody cancels."""

    def __init__(self, engine: Engine, container: Container, command: CommandSpec) -> None:
        self.mark = new_mark()
        """What the environment of all its processes holds."""
        self.stdout = CappedBytes(command.max_output_bytes)
        self.stderr = CappedBytes(command.max_output_bytes)
        self.started_s: float | None = None
        """On the clock of :func:`time.perf_counter`."""
        self.is_given_up = False
        """Set by who no longer waits: then it does not start any more."""
        self._engine = engine
        self._container = container
        self._command = command
        self._stop: Callable[[], None] | None = None

    async def run(self) -> Ending:
        """Start it, and wait for its end."""
        channel = await self._container.shells.take() if self._can_be_said() else None
        if self.is_given_up:
            if channel is not None:
                self._container.shells.give_back(channel, is_held=False)
            return Ending(None, "nobody waited for it any more")
        if channel is not None:
            return await self._by_shell(channel)
        call = partial(self._engine.guarded, self._by_engine)
        return await asyncio.wrap_future(in_thread(call))

    def abort(self) -> None:
        """Stop reading; :meth:`run` returns soon."""
        if self._stop is not None:
            self._stop()

    # ------------------------------------------------------------------------------------- in a shell

    def _can_be_said(self) -> bool:
        """Whether a shell runs the command as the engine would."""
        command = self._command
        texts = [*command.argv, *command.env.values(), command.workdir or ""]
        is_program = bool(command.argv) and not command.argv[0].startswith("-")
        return is_program and can_be_said(command.env) and not any("\0" in text for text in texts)

    async def _by_shell(self, channel: Channel) -> Ending:
        self._stop = channel.abort
        self.started_s = time.perf_counter()
        snippet = partial(command_snippet, self._command, self.mark)
        answer = await channel.ask(snippet, self.stdout, self.stderr)
        if answer is None:
            return Ending(None, "the shell that ran it was ended too, so its exit code is not known")
        self._container.shells.give_back(channel, is_held=answer.is_held)
        if said := complaint(self._command, answer.records, bytes(self.stderr)):
            return Ending(None, complaint=said)
        return Ending(answer.exit_code)

    # ------------------------------------------------------------------------------- by the engine's exec

    def _by_engine(self) -> Ending:
        """Start, read until the output ends, and ask for the exit code; in a thread."""
        command, client = self._command, self._engine.client
        env = {**command.env, MARK_VARIABLE: self.mark}
        try:
            exec_id = client.exec_create(
                self._container.id, list(command.argv), environment=env, workdir=command.workdir
            )["Id"]
            self.started_s = time.perf_counter()
            stream = FrameStream(client.exec_start(exec_id, socket=True))
            self._stop = stream.abort
            self._read(stream)
            if stream.broke_off:
                return Ending(None, "the engine broke off its output")
            ending = _ending_of(client, exec_id)
        except APIError as refused:
            says = engine_says(refused)
            return Ending(None, says, complaint=says if _is_complaint(says) else None)
        if ending.exit_code in _NOT_STARTED and (said := _runtime_complaint(bytes(self.stdout))):
            return Ending(None, complaint=said)
        return ending

    def _read(self, stream: FrameStream) -> None:
        try:
            for number, data in stream.frames():
                (self.stderr if number == STDERR else self.stdout).add(data)
        finally:
            stream.close()


def _ending_of(client: docker.APIClient, exec_id: str) -> Ending:
    given_up_s = time.monotonic() + _EXIT_NOTED_WITHIN_S
    while time.monotonic() < given_up_s:
        found: dict[str, Any] = client.exec_inspect(exec_id)
        if not found.get("Running") and found.get("ExitCode") is not None:
            return Ending(int(found["ExitCode"]))
        time.sleep(_EXIT_POLL_S)
    return Ending(None, "the engine did not say how it ended")


def _runtime_complaint(stdout: bytes) -> str | None:
    """The runtime's message that the engine puts in place of a program's output."""
    text = stdout[:_LONGEST_COMPLAINT_BYTES].decode("utf-8", "replace").strip()
    return text if text.startswith(_RUNTIME_WORDS) or "OCI runtime attempted" in text else None


def _is_complaint(error: str) -> bool:
    return "OCI runtime" in error or "executable file not found" in error
