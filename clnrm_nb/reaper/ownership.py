"""Who made an object, and whether that process is still there (``format.md`` 5.2, Ownership).

Everything that outlives a process (containers, networks, volumes, scratch directories) carries the owner
string ``<machine-id>:<boot-id>:<pid>:<start-time>``. A pid alone says nothing: it is reused, counted anew
after a boot, and means another process in another container. So only all four together name a process, and
nothing of another machine is ever judged.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import uuid
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Self

from clnrm_nb.reaper.processes import start_time

__all__ = ["Owner", "is_gone", "this_process"]

# The kernel gives the first pid namespace this inode (PROC_PID_INIT_INO in linux/proc_ns.h).
_FIRST_PID_NAMESPACE: Final = "pid:[4026531836]"


@dataclass(frozen=True, slots=True)
class Owner:
    """A process, told apart from every other one that ever was.

    Parameters
    ----------
    machine, boot : str
        The machine (or the container with pids of its own) and its present boot.
    pid : int
    start : str
        When the process started, in the system's own terms.
    """

    machine: str
    boot: str
    pid: int
    start: str

    def __str__(self) -> str:
        """The label's value."""
        return f"{self.machine}:{self.boot}:{self.pid}:{self.start}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read a label's value; ``None`` for anything that this package did not write."""
        parts = text.split(":")
        if len(parts) != 4 or not parts[2].isdecimal():  # noqa: PLR2004  # The four fields.
            return None
        return cls(parts[0], parts[1], int(parts[2]), parts[3])


def this_process() -> Owner:
    """The owner that objects made now belong to."""
    return _owner(os.getpid())


def is_gone(owner: Owner) -> bool:
    """Whether an owner of *this* machine has ended; ``False`` for owners elsewhere."""
    if owner.machine != _machine_id():
        return False
    if owner.boot != _boot_id():
        return True
    return start_time(owner.pid) != owner.start


@cache
def _owner(pid: int) -> Owner:
    return Owner(_machine_id(), _boot_id(), pid, start_time(pid) or "0")


@cache
def _machine_id() -> str:
    """Of the machine; in a container with pids of its own, of that container while it lives.

    Containers often share a machine-id baked into their image. Judged by it alone, a live owner in the one
    would be a dead pid in the other.
    """
    machine = next(filter(None, map(_read, ("/etc/machine-id", "/var/lib/dbus/machine-id"))), "")
    machine = machine or f"{uuid.getnode():012x}"
    namespace = _link("/proc/self/ns/pid")
    if namespace in ("", _FIRST_PID_NAMESPACE):
        return machine
    return hashlib.sha256(f"{machine} {namespace}".encode()).hexdigest()[:32]


@cache
def _boot_id() -> str:
    if boot := _read("/proc/sys/kernel/random/boot_id"):
        return boot
    return _answer("sysctl", "-n", "kern.bootsessionuuid") or "unknown"


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return str(Path(path).readlink())
    except OSError:
        return ""


def _answer(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
