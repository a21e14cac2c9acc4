"""What a file is: its content. A save that writes the same bytes, a touch, a new mode are no changes.

Looking and remembering are two calls, so that somebody who sees a file in the middle of being written can
wait and look again.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from clnrm_nb.watch.changes import Change

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from clnrm_nb.watch.changes import Reading

__all__ = ["Identity", "Sight", "look_at"]

_UNKNOWN: Final = "unknown"
_ABSENT: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO})
_REFUSED: Final = frozenset({errno.EACCES, errno.EPERM})
_EMPTY: Final = hashlib.sha256(b"").hexdigest()
# Larger files are known by size and times: hashing 16 MiB takes as long as a save may take to be noticed.
_LARGEST_BYTES: Final = 16 * 1024 * 1024

# So much is read to know files before they change, in some tenths of a second; the rest by size and times.
_LEARNT_BYTES: Final = 256 * 1024 * 1024
# So many changes of a file are remembered, to tell what readers can have seen.
_TELLINGS: Final = 8


@dataclass(frozen=True, slots=True)
class Sight:
    """A file as it was seen.

    Parameters
    ----------
    content : str or None
        SHA-256 of its content in hex; for what cannot or should not be read, a word about it; None: no file.
    target : str or None
        Where it leads, if it is a symlink.
    written_ns : int or None
        Its modification time.
    size_bytes : int
        How much of it was read.
    """

    content: str | None
    target: str | None = None
    written_ns: int | None = None
    size_bytes: int = 0

    @property
    def is_unknown(self) -> bool:
        """Whether it could not be looked at just now, as when too many files are open."""
        return self.content == _UNKNOWN

    @property
    def is_unfinished(self) -> bool:
        """Gone or empty: what a file looks like in the middle of many ways to save it."""
        return self.content is None or self.content == _EMPTY


_NOTHING: Final = Sight(None)
_NOT_NOW: Final = Sight(_UNKNOWN)


class Identity:
    """What is known of the files that count.

    Parameters
    ----------
    see : callable, optional
        Looks at a file; another in tests.
    """

    def __init__(self, see: Callable[[str], Sight] | None = None) -> None:
        self._see = see or look_at
        self._known: dict[str, Sight] = {}
        self._unlearnt_bytes = _LEARNT_BYTES
        self._doubts: dict[str, dict[str, str | None]] = {}
        self._tellings: dict[str, deque[tuple[int, str | None, str | None]]] = {}

    def __contains__(self, path: str) -> bool:
        """Whether anything is known of it, be it that it is gone."""
        return path in self._known

    def learn(self, paths: Iterable[str]) -> None:
        """Take files as they are now, without calling that a change; those already known stay as known."""
        for path in paths:
            if path not in self._known:
                sight = self._see(path) if self._unlearnt_bytes > 0 else look_at(path, largest_bytes=0)
                self._unlearnt_bytes -= sight.size_bytes
                if not sight.is_unknown:
                    self._known[path] = sight

    def expect(self, reading: Reading) -> None:
        """Somebody has read files; if they held what was never told, what they hold is a change for him."""
        for path, content in reading.contents.items():
            if path not in self._known:
                self._known[path] = Sight(content)
            elif content not in self._told_since(path, reading.since_ns):
                self._doubts.setdefault(path, {})[reading.test] = content

    def _told_since(self, path: str, since_ns: int) -> list[str | None]:
        """What a file held at some time, as far as it was told, and what it became since."""
        later = [telling for telling in self._tellings.get(path, ()) if telling[0] >= since_ns]
        at_first = later[0][1] if later else self._known[path].content
        return [at_first, *(after for _told_ns, _before, after in later)]

    def look(self, path: str) -> tuple[Change | None, Sight]:
        """What became of a file since it was remembered (None: nothing), and how it looks now."""
        old = self._known.get(path, _NOTHING)
        new = self._see(path)
        if new.is_unknown:
            return None, new
        targets = tuple(dict.fromkeys(sight.target for sight in (old, new) if sight.target is not None))
        if old.content != new.content:
            return Change(path, old.content, new.content, targets, new.written_ns), new
        if old != new and path in self._known:
            self._known[path] = new
        doubts = self._doubts.get(path)
        if doubts is None:
            return None, new
        readers = () if "" in doubts else tuple(sorted(doubts))
        return Change(path, next(iter(doubts.values())), new.content, targets, new.written_ns, readers), new

    def remember(self, path: str, sight: Sight, now_ns: int) -> None:
        """A change was told at this time: from now on the file is this."""
        before = self._known.get(path, _NOTHING).content
        self._tellings.setdefault(path, deque(maxlen=_TELLINGS)).append((now_ns, before, sight.content))
        self._known[path] = sight
        self._doubts.pop(path, None)


def look_at(path: str, *, largest_bytes: int = _LARGEST_BYTES) -> Sight:
    """Look at a file; never raises, never waits for a pipe, never reads from a device or more than this."""
    try:
        # O_NONBLOCK: opening a FIFO that nobody writes to must not hang.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        return _unopened(path, error)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            return _NOTHING
        target = os.path.realpath(path) if os.path.islink(path) else None
        if not stat.S_ISREG(status.st_mode) or status.st_size > largest_bytes:
            return Sight(_by_status(status), target, status.st_mtime_ns)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = hashlib.sha256(file.read()).hexdigest()
        return Sight(content, target, status.st_mtime_ns, status.st_size)
    except OSError:
        return _NOT_NOW
    finally:
        os.close(descriptor)


def _unopened(path: str, error: OSError) -> Sight:
    if error.errno in _ABSENT:
        return _NOTHING
    if error.errno not in _REFUSED:
        return _NOT_NOW
    try:
        status = os.stat(path)
    except OSError:
        return _NOTHING
    return Sight(f"unreadable:{_by_status(status)}", None, status.st_mtime_ns)


def _by_status(status: os.stat_result) -> str:
    return f"{status.st_ino}:{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}"
