"""The watched side of the reaper: starts it when there is first something to remove, and tells it what.

The reaper (:mod:`clnrm_nb.reaper`) waits at a pipe whose only writing end is held here, so that it learns of
this process's death from the kernel, whatever the death. A child that is forked closes its copy; one that is
executed never gets it. Whatever is kept here is kept there: a reaper that has died is replaced at the next
use and told everything again.

At a normal end it is sent home, unless something is still there: after a second Ctrl-C, or where an engine
took too long, it goes on with what this process leaves.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import clnrm_nb.reaper
from clnrm_nb.reaper.ownership import this_process
from clnrm_nb.reaper.processes import start_time
from clnrm_nb.reaper.removal import LASTING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["drop", "group_fact", "is_needed", "keep"]

_log = logging.getLogger(__name__)

# Not the rest: within a test, the mark of that test's processes is in it.
_PASSED_ON: Final = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_SCRIPT: Final = Path(clnrm_nb.reaper.__file__).resolve().with_name("process.py")


class _Reaper:
    """The one of this process: what is kept, and the pipe to whoever knows it too."""

    def __init__(self) -> None:
        self._kept: Counter[str] = Counter()
        self._pipe: int | None = None
        self._lock = threading.Lock()
        self._has_complained = False

    def keep(self, fact: Mapping[str, Any], *, starts: bool) -> None:
        with self._lock:
            line = json.dumps(fact, separators=(",", ":"))
            self._kept[line] += 1
            # Also where nothing is new: this is how a reaper that has died is noticed.
            if starts or self._pipe is not None:
                self._tell(f"+{line}\n")

    def drop(self, fact: Mapping[str, Any]) -> None:
        with self._lock:
            line = json.dumps(fact, separators=(",", ":"))
            if self._kept[line] > 1:
                self._kept[line] -= 1
            elif self._kept.pop(line, None) and self._pipe is not None:
                self._tell(f"-{line}\n")

    def is_needed(self) -> bool:
        lasting = tuple(f'{{"{kind}"' for kind in LASTING)
        return any(not line.startswith(lasting) for line in self._kept)

    def _tell(self, text: str) -> None:
        if self._pipe is not None and _written(self._pipe, text):
            return
        if self._pipe is not None:
            # It has died, or stands still. The latter, once it goes on, sees that this process is alive.
            os.close(self._pipe)
            self._pipe = None
        self._start()

    def _start(self) -> None:
        """Start a reaper and tell it everything."""
        if not sys.executable or sys.platform == "win32":
            return
        read_end, write_end = os.pipe()
        try:
            started = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_SCRIPT)],
                stdin=read_end,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
                start_new_session=True,
            )
        except OSError as error:
            os.close(write_end)
            if not self._has_complained:
                self._has_complained = True
                _log.warning("no reaper can be started, so a kill would leave things behind: %s", error)
            return
        finally:
            os.close(read_end)
        # It forks at once and ends, so that the reaper proper is no child of this process.
        threading.Thread(target=started.wait, name="clnrm-reaper", daemon=True).start()
        os.set_blocking(write_end, False)
        self._pipe = write_end
        owner = json.dumps({"owner": str(this_process())})
        if not _written(write_end, "".join(f"+{line}\n" for line in (owner, *self._kept))):
            _log.warning("the reaper does not listen, so a kill would leave things behind")

    def part(self) -> None:
        """The end of this process: a farewell, unless something is left to do."""
        with self._lock:
            if self._pipe is not None:
                if not self.is_needed():
                    _written(self._pipe, ".\n")
                os.close(self._pipe)
                self._pipe = None

    def forked(self) -> None:
        """In a child: the pipe, and what is kept, are the parent's, the lock whoever's."""
        if self._pipe is not None:
            os.close(self._pipe)
        self._pipe, self._lock = None, threading.Lock()
        self._kept.clear()


def _written(pipe: int, text: str) -> bool:
    """Whether all of it went in; a reaper that does not read is no better than none."""
    data = text.encode()
    try:
        while data:
            data = data[os.write(pipe, data) :]
    except OSError:
        return False
    return True


_reaper: Final = _Reaper()
atexit.register(_reaper.part)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reaper.forked)


def keep(fact: Mapping[str, Any], *, starts: bool = True) -> None:
    """Have something removed should this process die; starts the reaper if need be.

    Parameters
    ----------
    fact : mapping
        Of one key, as :func:`clnrm_nb.reaper.removal.remove` takes it. ``engine`` and ``marked`` say where to
        look and are kept for good; any other says that something is there, until :func:`drop`.
    starts : bool
        ``False``: only tell a reaper that there is anyway.
    """
    _reaper.keep(fact, starts=starts)


def drop(fact: Mapping[str, Any]) -> None:
    """Say that it is gone; never starts anything, and unknown facts are fine."""
    _reaper.drop(fact)


def is_needed() -> bool:
    """Whether something is there that this process has not removed."""
    return _reaper.is_needed()


def group_fact(pid: int) -> Mapping[str, Any] | None:
    """The fact of a process group by its leader; ``None`` if that has ended."""
    started = start_time(pid)
    return None if started is None else {"group": [pid, started]}
