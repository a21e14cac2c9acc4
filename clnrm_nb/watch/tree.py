"""The directories that are watched, and a quick look at all that counts in them.

Events make watching fast; looking makes it true. Queues overflow, limits are reached, mounts tell nothing,
and a directory may fill before anybody watches it: whatever happened, the next look finds it by size, times
and inode of each file that counts.
"""

from __future__ import annotations

import os
import stat
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from clnrm_nb.watch.changes import Place

__all__ = ["Look", "Tree"]

# Inode, size, modification and status change time of a file; inode of the symlink to it, or 0.
Stamp = tuple[int, int, int, int, int]

# A file written so shortly before it was looked at may be written again without looking any different: the
# coarsest clocks of file systems in use tick every two seconds.
_TOO_FRESH_NS: Final = 2_000_000_000
# How much of what is below a directory is watched: nothing, what discovery finds, all of it.
_ALONE, _BELOW, _WHOLE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Look:
    """What a look has found.

    Parameters
    ----------
    paths : tuple of str
        Files that count and may be others than before, new ones and those that are gone included.
    is_moved : bool
        Whether the directories to watch are others than before, or others stand in their place.
    cost_ns : int
        How long it took.
    """

    paths: tuple[str, ...]
    is_moved: bool
    cost_ns: int


class Tree:
    """Watched directories.

    Parameters
    ----------
    counts : callable
        Whether a file counts, by its path.
    enters : callable
        Whether a directory below a recursive place is watched, by its path and whether all of the place
        counts.
    """

    def __init__(self, counts: Callable[[str], bool], enters: Callable[[str, bool], bool]) -> None:
        self._counts = counts
        self._enters = enters
        self.places: tuple[Place, ...] = ()
        self.directories: dict[str, tuple[int, int]] = {}
        # Places that are not there, directories that may not be read, and from a file to the symlinks to it.
        self.missing: tuple[str, ...] = ()
        self.unreadable: tuple[str, ...] = ()
        self.aliases: dict[str, tuple[str, ...]] = {}
        self._depths: dict[str, int] = {}
        self._stamps: dict[str, Stamp | None] = {}

    @property
    def files(self) -> Collection[str]:
        """Files that count, as of the last look."""
        return self._stamps.keys()

    def look(self, now_ns: int | None = None) -> Look:
        """Look at everything.

        Parameters
        ----------
        now_ns : int, optional
            Nanoseconds since 1970; default: the machine's clock.

        Raises
        ------
        OSError
            If directories cannot be read just now, as when too many files are open; all stays as it was.
        """
        began_ns = time.perf_counter_ns()
        now_ns = time.time_ns() if now_ns is None else now_ns
        directories: dict[str, tuple[int, int]] = {}
        depths: dict[str, int] = {}
        stamps: dict[str, Stamp | None] = {}
        links: list[str] = []
        for entry in self._walk(directories, depths):
            if self._counts(entry.path) and (stamp := _stamp(entry)) is not None:
                is_fresh = now_ns - max(stamp[2], stamp[3]) < _TOO_FRESH_NS
                stamps[entry.path] = None if is_fresh else stamp
                if stamp[-1]:
                    links.append(entry.path)
        self._follow(links, directories)
        old = self._stamps
        different = [path for path, stamp in stamps.items() if stamp is None or old.get(path) != stamp]
        different.extend(path for path in old if path not in stamps)
        is_moved = directories != self.directories
        self._stamps, self.directories, self._depths = stamps, directories, depths
        return Look(tuple(different), is_moved, time.perf_counter_ns() - began_ns)

    def is_concerned(self, path: str) -> bool:
        """Whether an event at this path may mean that other directories have to be watched."""
        if path in self.directories:
            return True
        if not os.path.isdir(path):
            return False
        depth = self._depths.get(os.path.dirname(path), _ALONE)
        if depth > _ALONE and self._enters(path, depth == _WHOLE):
            return True
        return any(place == path or place.startswith(f"{path}/") for place in self.missing)

    def _follow(self, links: list[str], directories: dict[str, tuple[int, int]]) -> None:
        """Files that symlinks lead to are watched where they are."""
        self.aliases = {}
        for link in links:
            real = os.path.realpath(link)
            self.aliases[real] = (*self.aliases.get(real, ()), link)
            place = os.path.dirname(real)
            if place not in directories and os.path.isdir(place):
                status = os.stat(place)
                directories[place] = (status.st_dev, status.st_ino)

    def _walk(
        self, directories: dict[str, tuple[int, int]], depths: dict[str, int]
    ) -> Iterator[os.DirEntry[str]]:
        """Notes the directories to watch, and gives what is in them that is no directory, once each."""
        unreadable: list[str] = []
        pending = list(self._standing())
        while pending:
            directory, depth = pending.pop()
            seen = depths.get(directory, -1)
            if depth <= seen:
                continue
            depths[directory] = depth
            try:
                status = os.stat(directory)
                entries = list(os.scandir(directory))
            except (FileNotFoundError, NotADirectoryError):
                continue
            except PermissionError:
                unreadable.append(directory)
                continue
            directories[directory] = (status.st_dev, status.st_ino)
            for entry in entries:
                if not _is_directory(entry):
                    if seen < 0:
                        yield entry
                elif depth > _ALONE and self._enters(entry.path, depth == _WHOLE):
                    pending.append((entry.path, depth))
        self.unreadable = tuple(sorted(unreadable))

    def _standing(self) -> Iterator[tuple[str, int]]:
        """Places with how deep they go; for a missing one the nearest directory in which it may appear."""
        missing: list[str] = []
        for place in self.places:
            depth = _ALONE if not place.recursive else _WHOLE if place.whole else _BELOW
            if os.path.isdir(place.path):
                yield place.path, depth
            else:
                missing.append(place.path)
                yield _nearest(place.path), _ALONE
            if os.path.islink(place.path):
                yield os.path.dirname(place.path), _ALONE
        self.missing = tuple(missing)


def _nearest(path: str) -> str:
    while not os.path.isdir(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    return path


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _stamp(entry: os.DirEntry[str]) -> Stamp | None:
    try:
        status = entry.stat(follow_symlinks=False)
        link = 0
        if stat.S_ISLNK(status.st_mode):
            link = status.st_ino
            status = os.stat(entry.path)
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, link
