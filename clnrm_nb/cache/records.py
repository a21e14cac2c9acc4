"""Whether a file holds what it held: by its record in the file system, and by its content only in doubt.

A record (size, both times, inode, device) that is equal and old enough means an untouched file: the system
sets the second time itself at every change. *Old enough*, because a change within one tick of the disk's
clock leaves no trace: a file that was younger than two seconds when it was recorded, or from the future, is
read again. The record is always taken before the content, so it is never newer than what was read.
"""

from __future__ import annotations

import os
import stat
import time
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from clnrm_nb.cache.fingerprint import FRESH_NS, UnreadableError, file_digest

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FileRecord", "Files", "changed_lines", "line_prints"]


class FileRecord(NamedTuple):
    """A file as it was when its content was read.

    Parameters
    ----------
    size, mtime_ns, ctime_ns, inode, device : int
        Of what a link leads to.
    digest : str
        SHA-256 of the content, 64 hex digits.
    is_settled : bool
        It was old enough for an equal record to mean equal content.
    target : str
        Where a link leads in the end; empty for what is no link.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int
    digest: str
    is_settled: bool
    target: str

    @classmethod
    def of(cls, path: str) -> Self | None:
        """Record and content as they are now; ``None`` if there is no file that can be read."""
        at_ns = time.time_ns()
        try:
            found = os.stat(path)  # noqa: PTH116  # Texts, of thousands.
            if not stat.S_ISREG(found.st_mode):
                return None
            digest = file_digest(path).hex()
        except (OSError, UnreadableError, ValueError):
            return None
        is_settled = max(found.st_mtime_ns, found.st_ctime_ns) < at_ns - FRESH_NS
        return cls(*_seen(found), digest, is_settled, _target(path))


class Files:
    """Files as they are now, each looked at once: whoever decides about a thousand tests stats a macro once.

    Attributes
    ----------
    renewed : dict of str to FileRecord
        By path: records to keep in place of those that no longer matched files of equal content.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, ...] | None] = {}
        self._now: dict[str, FileRecord | None] = {}
        self.renewed: dict[str, FileRecord] = {}

    def is_there(self, path: str) -> bool:
        """Whether anything is found there; what a broken link leads to is not."""
        return self._look(path) is not None

    def holds(self, path: str, record: FileRecord) -> bool:
        """Whether a file holds what it held, and a link leads where it led."""
        if record.is_settled and self._look(path) == record[:5]:
            return True
        now = self.now(path)
        if now is None or now.digest != record.digest or now.target != record.target:
            return False
        if now != record:
            self.renewed[path] = now
        return True

    def now(self, path: str) -> FileRecord | None:
        """The file as it is now, read at most once."""
        if path not in self._now:
            self._now[path] = FileRecord.of(path)
        return self._now[path]

    def content(self, path: str) -> bytes:
        """Bytes of a file, for whoever has its record; empty if it cannot be read any more."""
        try:
            with open(path, "rb") as file:  # noqa: PTH123  # As above.
                return file.read()
        except OSError:
            return b""

    def _look(self, path: str) -> tuple[int, ...] | None:
        try:
            return self._seen[path]
        except KeyError:
            pass
        try:
            found = _seen(os.stat(path))  # noqa: PTH116  # As above.
        except (OSError, ValueError):
            found = None
        self._seen[path] = found
        return found


def _seen(found: os.stat_result) -> tuple[int, int, int, int, int]:
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev


def _target(path: str) -> str:
    """Also where a directory on the way is a link: the same name may lead out of the project tomorrow."""
    real = os.path.realpath(path)
    return "" if real == os.path.abspath(path) else real  # noqa: PTH100  # As above.


# ------------------------------------------------------------------------------------------------ lines

_MOST_LINES: Final = 20_000


def line_prints(content: bytes) -> list[int]:
    """CRC-32 of each line: enough to say later how many of them changed, and to give nothing away."""
    return [zlib.crc32(line) for line in content.split(b"\n")[:_MOST_LINES]]


def changed_lines(before: Sequence[int], after: Sequence[int]) -> int:
    r"""How many lines were changed, added or removed; a changed line counts once.

    Examples
    --------
    >>> changed_lines(line_prints(b"a\nb\nc"), line_prints(b"a\nB\nc\nd"))
    2
    """
    from difflib import SequenceMatcher

    start, most = 0, min(len(before), len(after))
    while start < most and before[start] == after[start]:
        start += 1
    end = 0
    while end < most - start and before[-1 - end] == after[-1 - end]:
        end += 1
    matcher = SequenceMatcher(None, before[start : len(before) - end], after[start : len(after) - end])
    return sum(
        max(ends[1] - ends[0], ends[3] - ends[2]) for kind, *ends in matcher.get_opcodes() if kind != "equal"
    )
