"""Processes of the ``process`` backend: started in a session of their own, found again, ended for certain.

Every process gets an unguessable mark in its environment, which its children inherit: on Linux whatever
carries it is found in ``/proc``, however it was detached. Process ids alone are never trusted after their
process was reaped, as they are given out again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING, Final

from clnrm_nb.executor import reaper
from clnrm_nb.reaper.processes import MARK, command_line, kill_marked, marked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

__all__ = ["Captured", "MarkedProcess", "end_marked"]

_DRAIN_S: Final = 0.2
_LOOK_S: Final = 0.01
_KILL_S: Final = 2.0


async def end_marked(prefix: str) -> list[str]:
    """KILL all processes whose mark begins with `prefix`, and await their end; their command lines."""
    names: dict[int, str] = {}
    deadline_s = time.monotonic() + _KILL_S
    # Again and again: a process may fork between the look and the kill.
    while (alive := marked(prefix)) and time.monotonic() < deadline_s:
        for process_id in alive:
            names.setdefault(process_id, command_line(process_id))
            kill_marked(process_id, prefix)
        await asyncio.sleep(_LOOK_S)
    return [f"{name} ({process_id})" for process_id, name in names.items()]


class Captured(asyncio.Protocol):
    """One output stream: kept up to a limit, read to its end all the same, so that nobody blocks on it.

    Not a pipe of asyncio's subprocess: its ``wait`` does not return while any child holds a pipe open.
    """

    def __init__(self, limit_bytes: int, on_data: Callable[[bytes], None] | None = None) -> None:
        self._limit_bytes = limit_bytes
        self._on_data = on_data
        self._chunks: list[bytes] = []
        self._kept_bytes = 0
        self._transport: asyncio.ReadTransport | None = None
        self.truncated = False
        self.ended = asyncio.Event()

    async def open(self) -> int:
        """Make the pipe; its writing end, which the caller closes."""
        read_end, write_end = os.pipe()
        loop = asyncio.get_running_loop()
        pipe = os.fdopen(read_end, "rb", 0)
        self._transport, _ = await loop.connect_read_pipe(lambda: self, pipe)
        return write_end

    def data_received(self, data: bytes) -> None:
        """Keep what there is room for."""
        kept = data[: self._limit_bytes - self._kept_bytes]
        self.truncated = self.truncated or len(kept) < len(data)
        if kept:
            self._chunks.append(kept)
            self._kept_bytes += len(kept)
        if self._on_data is not None:
            self._on_data(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature.
        """All writers have ended."""
        self.ended.set()

    def close(self) -> None:
        """Stop reading."""
        if self._transport is not None:
            self._transport.close()

    @property
    def data(self) -> bytes:
        """What was kept so far."""
        return b"".join(self._chunks)


class MarkedProcess:
    """A process with its own session, its mark, and both outputs read all the time."""

    def __init__(
        self, process: asyncio.subprocess.Process, mark: str, stdout: Captured, stderr: Captured
    ) -> None:
        self._process = process
        self._mark = mark
        self._streams = (stdout, stderr)
        self._waiting = asyncio.ensure_future(process.wait())
        # By its group too, as a program may give its children an environment without the mark.
        if (group := reaper.group_fact(process.pid)) is not None:
            reaper.keep(group)
            self._waiting.add_done_callback(lambda _: reaper.drop(group))

    @classmethod
    async def start(
        cls,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        directory: Path,
        mark: str,
        stdout: Captured,
        stderr: Captured,
    ) -> MarkedProcess:
        """Start a program. Raises OSError or ValueError if it cannot be."""
        ends = []
        try:
            for stream in (stdout, stderr):
                ends.append(await stream.open())  # noqa: PERF401  # What was opened before a failure is closed.
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=ends[0],
                stderr=ends[1],
                env={**env, MARK: mark},
                cwd=directory,
                start_new_session=True,
            )
        except BaseException:
            stdout.close()
            stderr.close()
            raise
        finally:
            for end in ends:
                os.close(end)
        return cls(process, mark, stdout, stderr)

    @property
    def is_running(self) -> bool:
        """Whether the process itself still runs."""
        return self._process.returncode is None

    async def ended(self) -> int:
        """Wait for its end; the exit code as a shell gives it (128 + signal)."""
        code = await asyncio.shield(self._waiting)
        return 128 - code if code < 0 else code

    async def drained(self) -> None:
        """Wait for the rest of its output; a child that keeps the pipe open is not waited for."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_S):
                for stream in self._streams:
                    await stream.ended.wait()

    async def end(self, grace_s: float) -> bool:
        """TERM the whole tree, `grace_s` seconds later KILL it; whether it had to be killed.

        Without grace there is no TERM: on a busy machine a program would answer it before the KILL.
        """
        is_killed = False
        if grace_s > 0:
            self._signal(signal.SIGTERM)
            await asyncio.wait([self._waiting], timeout=grace_s)
        if self.is_running:
            is_killed = True
            self._signal(signal.SIGKILL)
            await asyncio.wait([self._waiting], timeout=_KILL_S)
        # Children that left the group, or outlived its leader.
        await end_marked(self._mark)
        return is_killed

    def _signal(self, number: signal.Signals) -> None:
        # Only while the leader is not reaped is its number surely still that of its group.
        if self.is_running:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    def release(self) -> None:
        """Stop reading."""
        for stream in self._streams:
            stream.close()
