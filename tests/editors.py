"""Ten ways in which editors and tools save a file, as steps on any disk: a real directory, or one that is only thought of.

Each way gives steps to take one after the other with a pause before each, so that whoever plays them owns the
clock. What the file holds in the end is what counts; on the way it may be empty, half or gone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Protocol

# Share of saves that bring back what the file held before the last one.
UNDONE = 0.2
Step = tuple[float, Callable[[], None]]


class Disk(Protocol):
    """What the ways of saving need of a disk."""

    def read(self, path: str) -> bytes: ...
    def write(self, path: str, content: bytes) -> None: ...
    def touch(self, path: str) -> None: ...
    def replace(self, source: str, target: str) -> None: ...
    def remove(self, path: str) -> None: ...
    def link(self, target: str, path: str) -> None: ...
    def make(self, directory: str) -> None: ...
    def move(self, source: str, target: str) -> None: ...


class RealDisk:
    """Files of this machine."""

    def read(self, path: str) -> bytes:
        return Path(path).read_bytes()

    def write(self, path: str, content: bytes) -> None:
        Path(path).write_bytes(content)

    def touch(self, path: str) -> None:
        os.utime(path)

    def replace(self, source: str, target: str) -> None:
        Path(source).replace(target)

    def remove(self, path: str) -> None:
        Path(path).unlink()

    def link(self, target: str, path: str) -> None:
        Path(path).symlink_to(target)

    def make(self, directory: str) -> None:
        Path(directory).mkdir(parents=True, exist_ok=True)

    def move(self, source: str, target: str) -> None:
        Path(source).rename(target)


@dataclass
class Save:
    """One save: where, what the file holds afterwards, in which way, and whether that is a change."""

    path: str
    content: bytes
    way: str
    is_change: bool


class Editor:
    """Saves files in random ways.

    Each file lies alone in a directory of its own, so that the directory can be moved, and its content may be
    kept behind a symlink: `directory/versions/N`.
    """

    def __init__(self, disk: Disk, random: Random) -> None:
        self.disk = disk
        self.random = random
        self.count = 0
        self.earlier: dict[str, bytes] = {}

    def save(self, path: str, way: str | None = None) -> tuple[Save, list[Step]]:
        """A save in a random way, or in this one."""
        way = way or self.random.choice(WAYS)
        before = self.disk.read(path)
        self.count += 1
        if way in ("touch only", "identical content"):
            content = before
        elif self.random.random() < UNDONE:
            content = self.earlier.get(path, before)
        else:
            content = b"%d\n" % self.count + b"x" * self.random.randrange(40)
        self.earlier[path] = before
        steps = list(getattr(self, "_" + way.replace(" ", "_"))(path, content))
        return Save(path, content, way, is_change=content != before), steps

    def _pause(self, most_ms: float) -> float:
        return self.random.uniform(0, most_ms)

    def _in_place(self, path: str, content: bytes) -> Iterator[Step]:
        yield 0, lambda: self.disk.write(path, b"")
        yield self._pause(4), lambda: self.disk.write(path, content)

    def _atomic_rename(self, path: str, content: bytes) -> Iterator[Step]:
        folder, _, name = path.rpartition("/")
        beside = f"{folder}/.{name}.{self.count}.tmp"
        yield 0, lambda: self.disk.write(beside, content)
        yield self._pause(10), lambda: self.disk.replace(beside, path)

    def _backup_file(self, path: str, content: bytes) -> Iterator[Step]:
        yield 0, lambda: self.disk.replace(path, f"{path}~")
        yield self._pause(6), lambda: self.disk.write(path, content)
        yield self._pause(30), lambda: self.disk.remove(f"{path}~")

    def _swap_file(self, path: str, content: bytes) -> Iterator[Step]:
        folder, _, name = path.rpartition("/")
        swap, probe = f"{folder}/.{name}.swp", f"{folder}/4913"
        yield 0, lambda: self.disk.write(swap, content[:3])
        yield self._pause(5), lambda: self.disk.write(probe, b"")
        yield 0, lambda: self.disk.remove(probe)
        yield self._pause(5), lambda: self.disk.write(path, content)
        yield self._pause(20), lambda: self.disk.remove(swap)

    def _delete_and_recreate(self, path: str, content: bytes) -> Iterator[Step]:
        yield 0, lambda: self.disk.remove(path)
        yield self._pause(12), lambda: self.disk.write(path, content)

    def _touch_only(self, path: str, _content: bytes) -> Iterator[Step]:
        yield 0, lambda: self.disk.touch(path)

    def _identical_content(self, path: str, content: bytes) -> Iterator[Step]:
        way = self.random.choice([self._in_place, self._atomic_rename, self._backup_file, self._swap_file])
        yield from way(path, content)

    def _burst(self, path: str, content: bytes) -> Iterator[Step]:
        for part in range(self.random.randrange(2, 8)):
            yield self._pause(9), lambda part=part: self.disk.write(path, content + b"%d" % part)
        yield self._pause(9), lambda: self.disk.write(path, content)

    def _directory_move(self, path: str, content: bytes) -> Iterator[Step]:
        folder, _, name = path.rpartition("/")
        new, old = f"{folder}.new{self.count}", f"{folder}.old{self.count}"
        yield 0, lambda: self.disk.make(new)
        yield 0, lambda: self.disk.write(f"{new}/{name}", content)
        yield self._pause(10), lambda: self.disk.move(folder, old)
        yield self._pause(8), lambda: self.disk.move(new, folder)

    def _symlink_swap(self, path: str, content: bytes) -> Iterator[Step]:
        folder, _, name = path.rpartition("/")
        version, link = f"{folder}/versions/{self.count}", f"{folder}/{name}.{self.count}.tmp"
        yield 0, lambda: self.disk.make(f"{folder}/versions")
        yield 0, lambda: self.disk.write(version, content)
        yield self._pause(4), lambda: self.disk.link(version, link)
        yield self._pause(4), lambda: self.disk.replace(link, path)


WAYS = (
    "in place",
    "atomic rename",
    "backup file",
    "swap file",
    "delete and recreate",
    "touch only",
    "identical content",
    "burst",
    "directory move",
    "symlink swap",
)
