"""Spans among what a program prints: JSON objects found in a stream of any text, whatever pieces it comes in.

An object may stand on one line (OTLP JSON, flat spans) or spread over many (the SDK's console exporter). A
line that opens a bracket starts a candidate, which ends where its brackets close. Text that is no JSON costs
one look a line; JSON without any word of a span is never parsed. All work is linear in the text, but for a
bounded number of lines that are looked at again when a candidate turns out to be none.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from clnrm_nb.spans.intake import MAX_NESTING, Intake
from clnrm_nb.spans.loaders import documents

if TYPE_CHECKING:
    from clnrm_nb.spans.intake import Shared

__all__ = ["Objects", "PrintedSpans"]

_MAX_OBJECT_BYTES: Final = 4 * 1024 * 1024
"""Of one printed object; a span with its largest attributes is far below."""

_MAX_DEPTH: Final = 4 * MAX_NESTING

_TOKEN: Final = re.compile(rb'"(?:[^"\\\n]|\\.)*"|["\[\]{}]')
_START: Final = re.compile(rb"(?m)^[ \t\r]*(?=[\[{][ \t\r]*(?:[\"\[{\]}\-0-9tfn\n]|\Z))")
_NEXT: Final = re.compile(rb"[ \t\r]*(?=[\[{])")


class Objects:
    """Cut the top-level JSON objects and arrays out of a stream of text."""

    __slots__ = ("_buffer", "_depth", "_scanned", "_start")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._start: int | None = None
        self._scanned = 0
        self._depth = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The objects that are whole now; `data` may begin and end anywhere."""
        self._buffer += data
        return self._cut(final=False)

    def end(self) -> list[bytes]:
        """The objects that are whole when nothing more comes."""
        found = self._cut(final=True)
        self._buffer.clear()
        self._start = None
        return found

    def _cut(self, *, final: bool) -> list[bytes]:
        found: list[bytes] = []
        position = 0
        # What lies behind the last line break may still grow; strings never span lines.
        stop = len(self._buffer) if final else self._buffer.rfind(b"\n") + 1
        while True:
            if self._start is None:
                # One object may follow another on the same line.
                opening = found and _NEXT.match(self._buffer, position, stop)
                opening = opening or _START.search(self._buffer, position, stop)
                if opening is None:
                    position = stop
                    break
                self._start = self._scanned = opening.end()
                self._depth = 0
            end = self._scan(stop)
            if end is None:
                position = self._start
                break
            if end > 0:
                found.append(bytes(self._buffer[self._start : end]))
                position = end
            else:
                position = self._next_line(self._start, stop)
            self._start = None
        self._forget(position)
        return found

    def _scan(self, stop: int) -> int | None:
        """End of the candidate; 0 if it is none after all, ``None`` if it goes on."""
        for token in _TOKEN.finditer(self._buffer, self._scanned, stop):
            byte = self._buffer[token.start()]
            if byte in b"[{":
                self._depth += 1
                if self._depth > _MAX_DEPTH:
                    return 0
            elif byte in b"]}":
                self._depth -= 1
                if self._depth == 0:
                    return token.end()
            elif token.end() - token.start() == 1:
                return 0  # A string that does not end on its line.
        assert self._start is not None
        if stop - self._start > _MAX_OBJECT_BYTES:
            return 0
        self._scanned = stop
        return None

    def _next_line(self, position: int, stop: int) -> int:
        line_break = self._buffer.find(b"\n", position, stop)
        return stop if line_break < 0 else line_break + 1

    def _forget(self, position: int) -> None:
        del self._buffer[:position]
        if self._start is not None:
            self._start -= position
            self._scanned -= position
        elif len(self._buffer) > _MAX_OBJECT_BYTES:
            self._buffer.clear()


class PrintedSpans:
    """Find spans in one stream of printed text.

    Parameters
    ----------
    shared : Shared
        Store of equal content.
    """

    __slots__ = ("_objects", "_shared")

    def __init__(self, shared: Shared) -> None:
        self._objects = Objects()
        self._shared = shared

    def feed(self, data: bytes) -> Intake | None:
        """What the next piece of text completes; ``None`` if that holds nothing about spans."""
        return self._read(self._objects.feed(data))

    def end(self) -> Intake | None:
        """What is left when the stream has ended."""
        return self._read(self._objects.end())

    def _read(self, texts: list[bytes]) -> Intake | None:
        intake = Intake(self._shared)
        for text in texts:
            document = _parse(text)
            if document is not None:
                documents.read(document, intake)
        return intake if len(intake.table) or intake.refused else None


def _parse(text: bytes) -> Any:
    if not any(mark in text for mark in documents.SPAN_MARKS):
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
