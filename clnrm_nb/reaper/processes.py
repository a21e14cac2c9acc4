"""Processes told apart, found again and killed: by ``/proc``, or by ``ps`` where there is none.

A process id alone is never trusted, as it is given out again. Two things go with it: the time the process
started, or a mark in its environment, which its children inherit however they detach themselves.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MARK", "command_line", "kill_marked", "kill_session", "marked", "marks", "start_time"]

MARK = "CLNRM_PROCESS"
"""Name of the environment variable with the mark: ``<owner>/<unit>.<number>.``, a point ending each part."""

_SESSION_FIELD = 3  # Field 6 of /proc/PID/stat, counted behind the command's closing parenthesis.
_START_TIME_FIELD = 19  # Field 22.
_LONGEST_NAME = 200


def start_time(pid: int) -> str | None:
    """When a process started, in the system's own terms; ``None`` if none of that id is alive."""
    if sys.platform != "linux":
        return _start_time_by_ps(pid)
    fields = _stat(pid)
    # A zombie has ended; its parent only has not looked yet.
    return fields[_START_TIME_FIELD] if fields and fields[0] not in "ZX" else None


def _start_time_by_ps(pid: int) -> str | None:
    import hashlib
    import subprocess

    command = ("ps", "-o", "lstart=", "-p", str(pid))
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return None
    started = done.stdout.strip()
    return hashlib.sha256(started.encode()).hexdigest()[:16] if started else None


def _stat(pid: int) -> list[str]:
    return _read(pid, "stat").decode("utf-8", "replace").rpartition(")")[2].split()


def _read(pid: int, name: str) -> bytes:
    """A file of ``/proc``; empty for processes that are gone, or another user's: not ours either way."""
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read()
    except OSError:
        return b""


def _pids() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    except OSError:
        return []


def _mark_of(pid: int) -> str | None:
    wanted = f"{MARK}=".encode()
    for variable in _read(pid, "environ").split(b"\0"):
        if variable.startswith(wanted):
            return variable[len(wanted) :].decode("utf-8", "replace")
    return None


def marks() -> dict[int, str]:
    """Id and mark of all living processes that have one; nothing where there is no ``/proc``."""
    return {pid: mark for pid in _pids() if (mark := _mark_of(pid)) is not None}


def marked(prefix: str) -> list[int]:
    """Ids of all living processes whose mark begins with `prefix`."""
    return [pid for pid, mark in marks().items() if mark.startswith(prefix)]


def kill_marked(pid: int, prefix: str) -> None:
    """KILL a process if its mark still begins with `prefix`."""
    _kill_if(pid, lambda: (_mark_of(pid) or "").startswith(prefix))


def kill_session(leader: int, started: str) -> None:
    """KILL a session and its first process group, if its leader is still the one that started then."""
    if start_time(leader) != started:
        return
    for pid in _pids():
        fields = _stat(pid)
        if pid != leader and fields and fields[_SESSION_FIELD] == str(leader):
            _kill_if(pid, lambda: start_time(leader) == started)
    with contextlib.suppress(OSError):
        os.killpg(leader, signal.SIGKILL)


def _kill_if(pid: int, is_right: Callable[[], bool]) -> None:
    """KILL a process, held by its descriptor while it is looked at, so that no other gets its place."""
    try:
        held = os.pidfd_open(pid) if sys.platform == "linux" else -1
    except OSError:
        return
    try:
        if is_right():
            if sys.platform == "linux":
                signal.pidfd_send_signal(held, signal.SIGKILL)
            else:
                os.kill(pid, signal.SIGKILL)
    except OSError:
        pass
    finally:
        if held >= 0:
            os.close(held)


def command_line(pid: int) -> str:
    """The words of a process, for people; ``?`` if it has none."""
    words = _read(pid, "cmdline").split(b"\0")
    return b" ".join(words).decode("utf-8", "replace").strip()[:_LONGEST_NAME] or "?"
