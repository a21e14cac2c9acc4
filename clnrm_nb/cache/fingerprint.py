"""What mounted files hold: a digest before a run, and whether it still holds after it.

A tree is its names, kinds, permissions and contents; times do not count. After a run the files' own records
(size, times, inode) say at once that nothing was touched, unless they are so fresh that a change might hide
in one tick of the disk's clock: then contents are read again.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

__all__ = [
    "FRESH_NS",
    "MOST_BYTES",
    "MOST_FILES",
    "Fingerprints",
    "TreePrint",
    "UnreadableError",
    "file_digest",
]

MOST_FILES: Final = 20_000
MOST_BYTES: Final = 1024**3
"""Of one mount; beyond them reading would take longer than most tests."""

FRESH_NS: Final = 2_000_000_000
"""A file that changed within this time may change again without a trace: some disks count in seconds."""

_MOST_MEMBERS: Final = 5_000
_CHUNK_BYTES: Final = 1024 * 1024
_BYTECODE: Final = "__pycache__"
"""Interpreters write it beside the sources it is made of, also in the middle of a run."""


class UnreadableError(Exception):
    """A file cannot be read, or there are too many of them; the text says which."""


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    path: str
    mode: int
    size: int
    record: tuple[int, ...]
    """Equal records, old enough, mean an untouched file."""
    newest_ns: int


class TreePrint(NamedTuple):
    """A file or directory as it was when its content was read.

    Parameters
    ----------
    digest : str
        Of names, kinds, permissions and contents.
    records : str
        Of what the file system said of each file.
    is_settled : bool
        All of it was old enough for equal records to mean equal contents.
    """

    digest: str
    records: str
    is_settled: bool


class Fingerprints:
    """Digests of the files of one run: tests that mount the same directory read it once.

    Parameters
    ----------
    ignore : collection of Path
        Directories that do not count, such as the state directory, which every run changes.
    """

    def __init__(self, ignore: Collection[Path] = ()) -> None:
        self._ignore = frozenset(os.path.realpath(path) for path in ignore)
        self._taken: dict[Path, TreePrint] = {}
        self._members: dict[Path, dict[str, int]] = {}

    def of(self, path: Path) -> str | None:
        """Digest of a file or directory as it was when it was first asked for; ``None``: there is nothing.

        Raises
        ------
        UnreadableError
            It cannot be read whole.
        """
        taken = self.taken(path)
        return None if taken is None else taken.digest

    def taken(self, path: Path) -> TreePrint | None:
        """The same with what it takes to find out cheaply whether it still holds.

        Raises
        ------
        UnreadableError
            It cannot be read whole.
        """
        if path not in self._taken:
            if not _is_there(path):
                return None
            self._taken[path] = self._take(path, time.time_ns(), self._list(path))
        return self._taken[path]

    def holds(self, path: Path, before: TreePrint | None) -> bool:
        """Whether a file or directory is what an earlier run found; contents are read only in doubt."""
        if path in self._taken or before is None or not _is_there(path):
            now = self._taken.get(path)
            is_gone = now is None and not _is_there(path)
            return is_gone if before is None else now is not None and now.digest == before.digest
        try:
            at_ns, entries = time.time_ns(), self._list(path)
            if before.is_settled and _digest_of(entries) == before.records:
                self._taken[path] = before
            else:
                self._taken[path] = self._take(path, at_ns, entries)
        except UnreadableError:
            return False
        return self._taken[path].digest == before.digest

    def members(self, path: Path) -> dict[str, int]:
        """CRC-32 of each file of a tree by its name below it: enough to say later which of them changed.

        Empty for what is not there, cannot be read, or holds too many files to remember each.
        """
        if path not in self._members:
            try:
                self._take(path, time.time_ns(), self._list(path))
            except UnreadableError:
                return {}
        members = self._members[path]
        return members if len(members) <= _MOST_MEMBERS else {}

    def now(self, path: Path) -> str | None:
        """The digest as it is now; ``None`` where nothing is, or what cannot be read."""
        try:
            return self.of(path)
        except UnreadableError:
            return None

    def has_changed(self, path: Path) -> bool:
        """Whether a file or directory is not what it was."""
        before = self._taken.get(path)
        if before is None:
            return _is_there(path)
        try:
            at_ns, entries = time.time_ns(), self._list(path)
            if before.is_settled and _digest_of(entries) == before.records:
                return False
            return self._take(path, at_ns, entries).digest != before.digest
        except UnreadableError:
            return True

    def _list(self, path: Path) -> list[_Entry]:
        return list(self._entries(path))

    def _take(self, path: Path, at_ns: int, entries: list[_Entry]) -> TreePrint:
        if sum(entry.size for entry in entries) > MOST_BYTES:
            raise UnreadableError(f"`{path.name}` holds more than {MOST_BYTES // 1024**2} MiB")
        whole = hashlib.sha256()
        members = self._members[path] = {}
        for entry in entries:
            head = f"{entry.name}\0{entry.mode:o}\0".encode("utf-8", "surrogateescape")
            content = _content(entry)
            whole.update(len(head).to_bytes(8, "big") + head + content)
            members[entry.name] = zlib.crc32(head + content)
        newest_ns = max(entry.newest_ns for entry in entries)
        return TreePrint(whole.hexdigest(), _digest_of(entries), newest_ns < at_ns - FRESH_NS)

    def _entries(self, path: Path) -> Iterator[_Entry]:
        """The path itself (named "") and everything below it, in an order that depends on names alone."""
        todo = [("", os.path.realpath(path))]
        seen = 0
        while todo:
            name, place = todo.pop()
            seen += 1
            if seen > MOST_FILES:
                raise UnreadableError(f"`{path.name}` holds more than {MOST_FILES} files")
            try:
                found = os.lstat(place)
                if stat.S_ISDIR(found.st_mode):
                    todo += [(f"{name}/{each}", f"{place}/{each}") for each in self._inner(place)]
                yield _entry(name, place, found)
            except OSError as error:
                raise UnreadableError(f"`{place}` cannot be read: {error.strerror}") from error

    def _inner(self, directory: str) -> list[str]:
        names = sorted(os.listdir(directory), reverse=True)  # noqa: PTH208  # Texts, of thousands.
        return [name for name in names if name != _BYTECODE and f"{directory}/{name}" not in self._ignore]


def _is_there(path: Path) -> bool:
    """Whether anything can be seen there; unlike :meth:`Path.exists` this never raises."""
    return os.path.exists(path)  # noqa: PTH110  # As above.


def _entry(name: str, place: str, found: os.stat_result) -> _Entry:
    record, seen = _record(found), [found]
    if stat.S_ISLNK(found.st_mode) and os.path.isfile(place):  # noqa: PTH113  # As above.
        # What the link leads to is read, so it is watched.
        behind = os.stat(place)  # noqa: PTH116  # As above.
        record, seen = record + _record(behind), [found, behind]
    newest_ns = max(
        (max(one.st_mtime_ns, one.st_ctime_ns) for one in seen if not stat.S_ISDIR(one.st_mode)), default=0
    )
    size = seen[-1].st_size if stat.S_ISREG(seen[-1].st_mode) else 0
    return _Entry(name, place, found.st_mode, size, record, newest_ns)


def _digest_of(entries: Iterable[_Entry]) -> str:
    """One for the records of all files."""
    text = repr([(entry.name, entry.record) for entry in entries])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _record(found: os.stat_result) -> tuple[int, ...]:
    """What the file system says of a file; of a directory only what files that do not count leave alone."""
    if stat.S_ISDIR(found.st_mode):
        return (found.st_mode,)
    return (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev)


def _content(entry: _Entry) -> bytes:
    """32 bytes for what a file holds; a link is where it leads and, if that is a file, what is there."""
    if stat.S_ISLNK(entry.mode):
        target = os.readlink(entry.path).encode("utf-8", "surrogateescape")  # noqa: PTH115  # As above.
        held = file_digest(entry.path) if os.path.isfile(entry.path) else b""  # noqa: PTH113  # As above.
        return hashlib.sha256(len(target).to_bytes(8, "big") + target + held).digest()
    return file_digest(entry.path) if stat.S_ISREG(entry.mode) else bytes(32)


def file_digest(path: str) -> bytes:
    """SHA-256 of a file.

    Raises
    ------
    UnreadableError
        It cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    except OSError as error:
        raise UnreadableError(f"`{path}` cannot be read: {error.strerror}") from error
    return digest.digest()
