"""JSON objects cut out of a stream of any text, whatever pieces it comes in.

An object may stand on one line or spread over many. A line that opens a bracket starts a candidate, which
ends where its brackets close. Text that is no JSON costs one look a line. When a candidate turns out to be
none, the lines behind its first are looked at again; that is rationed, so that all work stays linear.
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

from clnrm_nb.spans.intake import MAX_NESTING

__all__ = ["Objects"]

_MAX_OBJECT_BYTES: Final = 4 * 1024 * 1024
"""Of one printed object; a span with its largest attributes is far below."""

_MAX_PARSED_BYTES: Final = 8 * 1024 * 1024
"""Of a line whose value is kept at once; longer ones are for whoever reads them to take apart."""

_MAX_PRINTED_BYTES: Final = 256 * 1024
"""Of an object over lines whose end is guessed."""

_MAX_DEPTH: Final = 4 * MAX_NESTING

_MAX_SECOND_LOOKS: Final = 4
"""Bytes looked at again over bytes read; beyond, a failed candidate is skipped as a whole."""

_ARRAY: Final = ord("[")
_FREE_SECOND_LOOKS: Final = 64 * 1024

_TOKEN: Final = re.compile(rb'"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"|["\[\]{}]')
_START: Final = re.compile(rb"(?m)^[ \t\r]*(?=[\[{][ \t\r]*(?:[\"\[{\]}\-0-9tfn\n]|\Z))")
_NEXT: Final = re.compile(rb"[ \t\r]*(?=[\[{])")


class Objects:
    """Cut the top-level JSON objects and arrays out of a stream of text.

    Parameters
    ----------
    max_bytes : int
        A longer object is taken for text.
    """

    __slots__ = ("_buffer", "_looked_again", "_max_bytes", "_offset", "_open", "_scanned", "_start", "_tried")

    def __init__(self, max_bytes: int = _MAX_OBJECT_BYTES) -> None:
        self._buffer = bytearray()
        self._max_bytes = max_bytes
        self._offset = 0
        self._start: int | None = None
        self._scanned = 0
        self._open = bytearray()
        self._looked_again = 0
        self._tried = 0

    @property
    def undecided(self) -> int:
        """Byte offset of the first text that may still be part of an object."""
        return self._offset

    def skip(self, n_bytes: int) -> None:
        """Count bytes that are not fed, at a place that no object spans."""
        self._offset += n_bytes

    def feed(self, data: bytes) -> list[tuple[int, bytes, Any]]:
        """The objects that are whole now; `data` may begin and end anywhere.

        Returns
        -------
        list of (int, bytes, any)
            Byte offset, text, and its value where that is known already, else ``None``.
        """
        self._buffer += data
        return self._cut(final=False)

    def end(self) -> list[tuple[int, bytes, Any]]:
        """The objects that are whole when nothing more comes."""
        found = self._cut(final=True)
        self._buffer.clear()
        self._start = None
        return found

    def _cut(self, *, final: bool) -> list[tuple[int, bytes, Any]]:
        found: list[tuple[int, bytes, Any]] = []
        position = 0
        # What lies behind the last line break may still grow; strings never span lines.
        stop = len(self._buffer) if final else self._buffer.rfind(b"\n") + 1
        while True:
            if self._start is None:
                # One object may follow another on the same line.
                opening = _NEXT.match(self._buffer, position, stop) if found else None
                opening = opening or _START.search(self._buffer, position, stop)
                if opening is None:
                    position = stop
                    break
                self._start = self._scanned = opening.end()
                self._open.clear()
            line_end, value = self._whole_line(stop)
            if not line_end:
                line_end, value = self._printed(stop)
            end = line_end or self._scan(stop)
            if end is None and final:
                end = 0
            if end is None:
                position = self._start
                break
            if end > 0:
                found.append((self._offset + self._start, bytes(self._buffer[self._start : end]), value))
                position = end
            else:
                position = self._behind_failure(stop)
            self._start = None
        self._forget(position)
        return found

    def _whole_line(self, stop: int) -> tuple[int, Any]:
        """End and value of the candidate if it is all of its line, the common case; else 0."""
        assert self._start is not None
        if self._open:
            return 0, None
        line_break = self._buffer.find(b"\n", self._start, stop)
        line = self._buffer[self._start : stop if line_break < 0 else line_break].rstrip()
        if not line.endswith((b"}", b"]")) or len(line) > _MAX_PARSED_BYTES:
            return 0, None
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError:
            return 0, None
        return self._start + len(line), value

    def _printed(self, stop: int) -> tuple[int, Any]:
        """End and value of a candidate printed over lines, its last bracket at the begin of one; else 0.

        As with whole lines the parser is asked first, which is faster; tries are rationed like second looks.
        """
        start = self._start
        assert start is not None
        if self._scanned != start or self._buffer[start + 1 : start + 2].strip(b"\r\n"):
            return 0, None
        closing = b"\n]" if self._buffer[start] == _ARRAY else b"\n}"
        end = self._buffer.find(closing, start, min(stop, start + _MAX_PRINTED_BYTES)) + len(closing)
        if end < len(closing):
            return 0, None
        self._tried += end - start
        if self._tried > _FREE_SECOND_LOOKS + _MAX_SECOND_LOOKS * (self._offset + end):
            return 0, None
        try:
            return end, orjson.loads(self._buffer[start:end])
        except orjson.JSONDecodeError:
            return 0, None

    def _scan(self, stop: int) -> int | None:
        """End of the candidate; 0 if it is none after all, ``None`` if it goes on."""
        for token in _TOKEN.finditer(self._buffer, self._scanned, stop):
            at = token.start()
            byte = self._buffer[at]
            if byte in b"[{":
                if len(self._open) > _MAX_DEPTH or not self._may_open(at):
                    self._scanned = at
                    return 0
                self._open.append(byte)
            elif byte in b"]}":
                if self._open.pop() != byte - 2:  # "[" and "]", "{" and "}" are two code points apart.
                    self._scanned = at
                    return 0
                if not self._open:
                    return token.end()
            elif token.end() - at == 1:
                self._scanned = at
                return 0  # A string that does not end on its line.
        assert self._start is not None
        if stop - self._start > self._max_bytes:
            return 0
        self._scanned = stop
        return None

    def _may_open(self, position: int) -> bool:
        """Whether a bracket may stand here in JSON: a torn line must not swallow the ones behind it."""
        if not self._open:
            return True
        before = position - 1
        while self._buffer[before] in b" \t\r\n":
            before -= 1
        return self._buffer[before] in (b",[" if self._open[-1] == _ARRAY else b":")

    def _behind_failure(self, stop: int) -> int:
        """Where to go on after a candidate that is none: the next line, while looking again is affordable."""
        assert self._start is not None
        self._looked_again += self._scanned - self._start
        if self._looked_again > _FREE_SECOND_LOOKS + _MAX_SECOND_LOOKS * (self._offset + self._scanned):
            failing_line = self._buffer.rfind(b"\n", self._start, self._scanned) + 1
            if failing_line > self._start:
                self._looked_again -= self._scanned - failing_line
                return failing_line
        return self._next_line(self._start, stop)

    def _next_line(self, position: int, stop: int) -> int:
        line_break = self._buffer.find(b"\n", position, stop)
        return stop if line_break < 0 else line_break + 1

    def _forget(self, position: int) -> None:
        del self._buffer[:position]
        self._offset += position
        if self._start is not None:
            self._start -= position
            self._scanned -= position
        elif len(self._buffer) > self._max_bytes:
            self._offset += len(self._buffer)
            self._buffer.clear()
