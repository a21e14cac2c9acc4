"""What the reaper does when the process it watched has died.

It looks again and again until nothing has been found for a while, since calls that were under way when the
process died may still make something; it waits for an engine that is busy or away; and all of it has an end.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import threading
import time
from typing import TYPE_CHECKING, Any

from clnrm_nb.reaper import engine, processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["LASTING", "OWNER_SUFFIX", "remove", "remove_directory"]

OWNER_SUFFIX = ".owner"
"""Ends the name of the link beside a scratch directory that says whose it is."""

_PATIENCE_S = 60.0
_QUIET_S = 3.0
_QUIET_CALLS = 20
"""Quiet lasts as long as so many calls to the engine: one that is slow may still be making something."""
_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 0.5
LASTING = ("owner", "engine", "marked")
"""Kinds of facts that say where to look, not that something is there."""

_DIES_WITHIN_S = 30.0


def remove(lines: Iterable[str], *, patience_s: float = _PATIENCE_S) -> None:
    """Remove what facts say is there, if the owner they name has really died.

    Parameters
    ----------
    lines : iterable of str
        Facts as JSON objects of one key: ``owner`` (its label), ``engine``
        (:class:`~clnrm_nb.reaper.engine.EngineFact`), ``marked`` (prefix of marks of processes), ``group``
        ([pid, start time]), ``directory``, and ``unit`` for whatever is under way.
    """
    facts = [next(iter(json.loads(line).items())) for line in lines]
    if not _has_died([value for kind, value in facts if kind == "owner"]):
        return
    # With nothing under way one look is enough.
    quiet_s = _QUIET_S if any(kind not in LASTING for kind, _ in facts) else 0.0
    deadline_s = time.monotonic() + patience_s
    looks = [_engine_look(value) for kind, value in facts if kind == "engine"]
    looks.append(_local_look(facts))
    threads = [
        threading.Thread(target=_until_quiet, args=(each, quiet_s, deadline_s), daemon=True) for each in looks
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline_s - time.monotonic()))


def _has_died(owners: list[str]) -> bool:
    """Whether the owner is gone; one that has only let go of its pipe goes on living, with all it has."""
    given_up_s = time.monotonic() + _DIES_WITHIN_S
    for owner in owners:
        _, _, pid, started = owner.split(":")
        # Its files are closed a moment before it is gone.
        while processes.start_time(int(pid)) == started:
            if time.monotonic() > given_up_s:
                return False
            time.sleep(0.001)
    return bool(owners)


def _until_quiet(look: Callable[[], bool], quiet_s: float, deadline_s: float) -> None:
    """Repeat a look, which says whether it found anything, until it has found nothing for a while."""
    last_s, pause_s, slowest_s = time.monotonic(), _FIRST_PAUSE_S, 0.0
    while time.monotonic() < deadline_s:
        begun_s = time.monotonic()
        try:
            found = look()
        except (OSError, ValueError, http.client.HTTPException):
            # To say nothing is not to have nothing.
            last_s = time.monotonic()
        else:
            if found:
                last_s, pause_s = time.monotonic(), _FIRST_PAUSE_S
            else:
                slowest_s = max(slowest_s, time.monotonic() - begun_s)
                enough_s = max(quiet_s, slowest_s * _QUIET_CALLS) if quiet_s else 0.0
                if time.monotonic() - last_s >= enough_s:
                    return
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)


def _engine_look(fact: engine.EngineFact) -> Callable[[], bool]:
    def look() -> bool:
        owned = engine.look(fact)
        if owned:
            engine.remove_owned(fact, owned)
        return bool(owned)

    return look


def _local_look(facts: list[tuple[str, Any]]) -> Callable[[], bool]:
    marked = [value for kind, value in facts if kind == "marked"]
    groups = [value for kind, value in facts if kind == "group"]
    directories = [value for kind, value in facts if kind == "directory"]

    def look() -> bool:
        alive = [(pid, prefix) for prefix in marked for pid in processes.marked(prefix)]
        for pid, prefix in alive:
            processes.kill_marked(pid, prefix)
        led = [(leader, started) for leader, started in groups if processes.start_time(leader) == started]
        for leader, started in led:
            processes.kill_session(leader, started)
        there = [
            each for each in directories for path in (each, each + OWNER_SUFFIX) if os.path.lexists(path)
        ]
        for each in there:
            remove_directory(each)
        return bool(alive or led or there)

    return look


def remove_directory(path: str) -> bool:
    """Remove a scratch directory and, once it is gone, the link that says whose it is; whether it is gone."""
    # It brings compression along, which is a quarter of all that is loaded before a container can be removed.
    import shutil

    shutil.rmtree(path, ignore_errors=True)
    if os.path.isdir(path) and not os.path.islink(path):
        _open_up(path)
        shutil.rmtree(path, ignore_errors=True)
    if os.path.lexists(path):
        return False
    with contextlib.suppress(OSError):
        os.unlink(path + OWNER_SUFFIX)
    return True


def _open_up(path: str) -> None:
    """Give ourselves the right to remove what is in directories that a program left closed."""
    with contextlib.suppress(OSError):
        os.chmod(path, 0o700)
        for root, directories, _ in os.walk(path):
            for name in directories:
                if not os.path.islink(os.path.join(root, name)):
                    os.chmod(os.path.join(root, name), 0o700)
