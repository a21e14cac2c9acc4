"""What dead owners left on this machine itself: processes and scratch directories (``format.md`` 5.2).

The engine's part is :mod:`clnrm_nb.executor.backends.docker.gc`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from clnrm_nb.executor.scratch import abandoned
from clnrm_nb.reaper.ownership import Owner, is_gone
from clnrm_nb.reaper.processes import command_line, kill_marked, marks

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Removed", "collect_local", "sweep_local"]

_log = logging.getLogger(__name__)

_KILL_S: Final = 2.0
_LOOK_S: Final = 0.01


@dataclass(frozen=True, slots=True)
class Removed:
    """Something that a dead owner left.

    Parameters
    ----------
    run, test : str
        What it was made for; empty where nothing says so.
    removed : bool
        ``False`` in a dry run, or where it would not go.
    """

    type: Literal["container", "directory", "network", "process", "volume"]
    name: str
    run: str
    test: str
    owner: str
    removed: bool


def collect_local(*places: Path, dry_run: bool = False) -> list[Removed]:
    """KILL the processes, and remove the scratch directories, of dead owners of this machine.

    Parameters
    ----------
    *places : Path
        Where scratch directories may be, besides the system's temporary directory.
    dry_run : bool
        Only say what would go.

    Returns
    -------
    list of Removed
        Directories first, then processes, each by name.
    """
    processes = _dead_processes()
    names = {pid: f"{command_line(pid)} ({pid})" for pid in processes}
    if not dry_run:
        # First, as they may be writing into the directories.
        _kill(processes)
    left = _dead_processes() if processes and not dry_run else processes
    found = [
        Removed("process", names[pid], "", "", mark.partition("/")[0], removed=pid not in left)
        for pid, mark in processes.items()
    ]
    for each in abandoned(*places):
        is_gone_now = not dry_run and each.remove()
        found.append(Removed("directory", str(each.path), "", "", str(each.owner), removed=is_gone_now))
    return sorted(found, key=lambda each: (each.type, each.name))


def _dead_processes() -> dict[int, str]:
    owners = {pid: (mark, Owner.parse(mark.partition("/")[0])) for pid, mark in marks().items()}
    return {pid: mark for pid, (mark, owner) in owners.items() if owner is not None and is_gone(owner)}


def _kill(processes: dict[int, str]) -> None:
    deadline_s = time.monotonic() + _KILL_S
    # Again and again: a process may fork between the look and the kill.
    while processes and time.monotonic() < deadline_s:
        for pid, mark in processes.items():
            kill_marked(pid, f"{mark.partition('/')[0]}/")
        time.sleep(_LOOK_S)
        processes = _dead_processes()


async def sweep_local() -> None:
    """Collect at the start of a run, without bothering anybody."""
    for each in await asyncio.to_thread(collect_local):
        _log.info("removed %s %s, left by a run that was killed", each.type, each.name)
