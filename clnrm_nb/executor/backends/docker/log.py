"""What a service prints, kept as bytes for artifacts and as lines for people and readiness patterns.

Written by the thread that reads the container's output, read and listened to on the event loop. Memory is
bounded whatever is printed: bytes keep the beginning, lines the end.
"""

from __future__ import annotations

import threading
from collections import deque
from itertools import count, pairwise
from typing import TYPE_CHECKING, Final

from clnrm_nb.executor.backends.docker.stream import STDERR, CappedBytes

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["ServiceLog"]

_KEPT_LINES: Final = 10_000
# A line that never ends is handed on in pieces, so that a pattern can match and memory stays small.
_LINE_BYTES: Final = 16 * 1024


class _Piece(str):
    """The beginning of a line whose rest is the next entry."""

    __slots__ = ()


class ServiceLog:
    """The output of one container.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
        Where listeners are called.
    limit_bytes : int
        Kept of each stream.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, limit_bytes: int) -> None:
        self._loop = loop
        self._streams = {False: CappedBytes(limit_bytes), True: CappedBytes(limit_bytes)}
        self._unfinished = {False: b"", True: b""}
        self._lock = threading.Lock()
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._count = 0
        self._listeners: dict[int, tuple[Callable[[str], None], int]] = {}
        self._keys = count()
        self._is_scheduled = False

    # ------------------------------------------------------------------------------ the reading thread

    def add(self, stream: int, data: bytes) -> None:
        """Take in a piece of output."""
        is_error = stream == STDERR
        self._streams[is_error].add(data)
        *lines, rest = (self._unfinished[is_error] + data).split(b"\n")
        self._append([_decoded(line) for line in lines])
        while len(rest) >= _LINE_BYTES:
            self._append([_Piece(_decoded(rest[:_LINE_BYTES]))])
            rest = rest[_LINE_BYTES:]
        self._unfinished[is_error] = rest

    def end(self) -> None:
        """Nothing more will come: what has no line end is a line too."""
        self._append([_decoded(rest) for rest in self._unfinished.values() if rest])
        self._unfinished = {False: b"", True: b""}

    def _append(self, lines: list[str]) -> None:
        if not lines:
            return
        with self._lock:
            self._lines.extend(lines)
            self._count += len(lines)
            must_schedule = bool(self._listeners) and not self._is_scheduled
            self._is_scheduled = self._is_scheduled or must_schedule
        if must_schedule and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._deliver)

    # ---------------------------------------------------------------------------------- the event loop

    def stdout(self) -> bytes:
        """The beginning of stdout."""
        return bytes(self._streams[False])

    def stderr(self) -> bytes:
        """The beginning of stderr."""
        return bytes(self._streams[True])

    def tail(self, lines: int) -> list[str]:
        """The last lines, the unfinished ones included; of one that was handed on in pieces the end.

        That is its last piece with the one before: what stands across their border is whole.
        """
        with self._lock:
            kept = list(self._lines)
        kept += [_decoded(rest) for rest in self._unfinished.values() if rest]
        whole: list[str] = []
        for before, line in pairwise(["", *kept]):
            if isinstance(line, _Piece):
                continue
            whole.append(before + line if isinstance(before, _Piece) else line)
        return whole[-lines:] if lines > 0 else []

    def listen(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Call `listener` with every line, those already there first; returns what ends that."""
        key = next(self._keys)
        with self._lock:
            self._listeners[key] = (listener, 0)
        self._deliver()

        def end() -> None:
            with self._lock:
                self._listeners.pop(key, None)

        return end

    def _deliver(self) -> None:
        with self._lock:
            self._is_scheduled = False
            first = self._count - len(self._lines)
            due = [
                (listener, list(self._lines)[max(seen - first, 0) :])
                for listener, seen in self._listeners.values()
                if seen < self._count
            ]
            self._listeners = {key: (listener, self._count) for key, (listener, _) in self._listeners.items()}
        for listener, lines in due:
            for line in lines:
                listener(line)


def _decoded(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r")
