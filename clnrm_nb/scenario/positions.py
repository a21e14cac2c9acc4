"""Where every key and value of a TOML text stands: the small reader that keeps positions.

It runs only when there is something to say about a file. It knows TOML 1.1 well enough to find the spans of
headers, keys and values; what the values *are*, and whether the text is TOML at all, is the authority's word
(tomli, see :mod:`clnrm_nb.scenario.parse`). On a text that is not TOML it stops at the first thing it does
not understand and keeps what it has; it never raises.

All positions are offsets in code points; :meth:`Positions.line_column` turns one into line and column.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import tomli

if TYPE_CHECKING:
    from clnrm_nb.scenario.findings import Part
    from clnrm_nb.scenario.model import KeyPath

__all__ = ["Positions", "Span", "read_positions"]

Span = tuple[int, int]
"""Start and exclusive end, as offsets in the text."""

_BLANK = re.compile(r"[ \t]*")
_TRIVIA = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_LINE_END = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\r?\n|\Z)")
_KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
_SCALAR = re.compile(
    r'"""(?:[^"\\]++|\\[\s\S]|"{1,2}(?!"))*+"{3,5}'
    r"|'''(?:[^']++|'{1,2}(?!'))*+'{3,5}"
    r'|"(?:[^"\\\n]++|\\.)*+"'
    r"|'[^'\n]*'"
    r"|[0-9]{4}-[0-9]{2}-[0-9]{2}[ ][0-9]{2}:[^\s,\]}#]+"
    r"|[^\s,\[\]{}#\"'=]+"
)
_NEW_ESCAPE = re.compile(r"\\(?:(e|x)|[\s\S])")
_SHORT_TIME = re.compile(r"(?:^|[Tt ])[0-9]{2}:[0-9]{2}(?![0-9:])")


@dataclass(slots=True)
class Positions:
    """The spans of one text, by key path.

    ``keys`` has the first mention of every key, implicit tables included; ``headers`` the brackets of every
    ``[table]`` and ``[[element]]``; ``statements`` the start of each statement with what it defines, in file
    order; ``modern`` the first character of everything that TOML 1.0 does not know, with its name.
    """

    text: str
    keys: dict[KeyPath, Span] = field(default_factory=dict)
    values: dict[KeyPath, Span] = field(default_factory=dict)
    headers: dict[KeyPath, Span] = field(default_factory=dict)
    statements: list[tuple[Span, KeyPath]] = field(default_factory=list)
    modern: list[tuple[Span, str]] = field(default_factory=list)
    _line_starts: list[int] = field(default_factory=list)
    _statements_of: dict[KeyPath, list[tuple[Span, KeyPath]]] = field(default_factory=dict)

    def statements_of(self, path: KeyPath) -> list[tuple[Span, KeyPath]]:
        """The statements that define `path` or something inside it, in file order.

        From an index made once: a file with ten thousand findings asks ten thousand times.
        """
        if not self._statements_of:
            for statement in self.statements:
                for length in range(1, len(statement[1]) + 1):
                    self._statements_of.setdefault(statement[1][:length], []).append(statement)
        return self._statements_of.get(path, [])

    def find(self, path: KeyPath, part: Part = "value") -> Span:
        """The span of `part` of `path`, or of the nearest thing that stands for it."""
        if part == "file" or not path:
            return (0, 0)
        places = {
            "key": (self.keys, self.headers, self.values),
            "value": (self.values, self.headers, self.keys),
            "header": (self.headers, self.values, self.keys),
        }[part]
        for known in places:
            if path in known:
                return known[path]
        return self.find_parent(path)

    def find_parent(self, path: KeyPath) -> Span:
        """The span of the nearest enclosing thing that has one."""
        for length in range(len(path) - 1, 0, -1):
            for known in (self.values, self.headers, self.keys):
                if path[:length] in known:
                    return known[path[:length]]
        return (0, 0)

    def line_column(self, offset: int) -> tuple[int, int]:
        """1-based line and column of `offset`."""
        if not self._line_starts:
            self._line_starts = [0, *(match.end() for match in re.finditer("\n", self.text))]
        line = bisect_right(self._line_starts, offset)
        return line, offset - self._line_starts[line - 1] + 1


class _NotUnderstoodError(Exception):
    """The text stops being TOML here."""


@dataclass(slots=True)
class _Open:
    """An array or inline table whose closing bracket is still to come."""

    kind: Literal["array", "table"]
    path: KeyPath
    start: int
    index: int = 0
    is_modern: bool = False


def read_positions(text: str) -> Positions:
    """Read the spans of `text`, as far as it is understood."""
    reader = _Reader(text)
    with suppress(_NotUnderstoodError):
        reader.read()
    return reader.found


class _Reader:
    """One pass over a text; iterative, so that depth of nesting is no limit."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found = Positions(text)
        self.table: KeyPath = ()
        self.array_lengths: dict[KeyPath, int] = {}
        self.pending: KeyPath = ()

    def read(self) -> None:
        while self._skip(_TRIVIA) < len(self.text):
            if self.text[self.at] == "[":
                self._header()
            else:
                self._pair(self.table)
                self._value(self.pending)
            end = _LINE_END.match(self.text, self.at)
            if end is None:
                raise _NotUnderstoodError
            self.at = end.end()

    def _skip(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.at

    def _expect(self, token: str) -> None:
        if not self.text.startswith(token, self.at):
            raise _NotUnderstoodError
        self.at += len(token)

    def _key_parts(self) -> list[tuple[str, Span]]:
        parts = []
        while True:
            self._skip(_BLANK)
            match = _KEY.match(self.text, self.at)
            if match is None:
                raise _NotUnderstoodError
            parts.append((self._key_name(match[0]), match.span()))
            self.at = match.end()
            self._skip(_BLANK)
            if not self.text.startswith(".", self.at):
                return parts
            self.at += 1

    def _key_name(self, written: str) -> str:
        if written[0] == '"' and "\\" in written:
            return _decoded(written)
        return written[1:-1] if written[0] in "\"'" else written

    def _header(self) -> None:
        start = self.at
        is_element = self.text.startswith("[[", start)
        self.at += 2 if is_element else 1
        parts = self._key_parts()
        self._expect("]]" if is_element else "]")
        span = (start, self.at)
        path: KeyPath = ()
        for number, (name, key_span) in enumerate(parts, start=1):
            path = (*path, name)
            self.found.keys.setdefault(path, key_span)
            if path in self.array_lengths and (number < len(parts) or not is_element):
                path = (*path, self.array_lengths[path] - 1)
        if is_element:
            index = self.array_lengths.get(path, 0)
            self.array_lengths[path] = index + 1
            path = (*path, index)
        self.found.headers.setdefault(path, span)
        self.found.statements.append((span, path))
        self.table = path

    def _pair(self, base: KeyPath) -> None:
        """Read ``key =``; its full path is then ``self.pending``."""
        parts = self._key_parts()
        self._expect("=")
        self._skip(_BLANK)
        path = base
        for name, span in parts:
            path = (*path, name)
            self.found.keys.setdefault(path, span)
        self.found.statements.append(((parts[0][1][0], parts[-1][1][1]), path))
        self.pending = path

    def _value(self, path: KeyPath) -> None:
        opened: list[_Open] = []
        while True:
            inner = self._open(path, opened)
            if inner is not None:
                path = inner
                continue
            following = self._close(opened)
            if following is None:
                return
            path = following

    def _open(self, path: KeyPath, opened: list[_Open]) -> KeyPath | None:
        """Read a scalar (``None``) or an opening bracket, and then the path of what stands in it first."""
        start = self.at
        first = self.text[start : start + 1]
        if first == "[":
            self.at += 1
            self._skip(_TRIVIA)
            opened.append(_Open("array", path, start))
            return None if self._at("]") else (*path, 0)
        if first == "{":
            self.at += 1
            opened.append(_Open("table", path, start))
            self._inline_trivia(opened[-1])
            if self._at("}"):
                return None
            self._pair(path)
            return self.pending
        match = _SCALAR.match(self.text, start)
        if match is None:
            raise _NotUnderstoodError
        self.at = match.end()
        self.found.values.setdefault(path, match.span())
        self._note_modern_scalar(match[0], match.span())
        return None

    def _close(self, opened: list[_Open]) -> KeyPath | None:
        """After a value: close what ends here; the path of the next value, or ``None`` at the end of all."""
        while opened:
            frame = opened[-1]
            closer = "]" if frame.kind == "array" else "}"
            self._between(frame)
            if self._at(","):
                comma = self.at
                self.at += 1
                self._between(frame)
                if not self._at(closer):
                    return self._next(frame)
                if frame.kind == "table":
                    self._note_modern(frame, "trailing comma in an inline table", (comma, comma + 1))
            self._expect(closer)
            opened.pop()
            self.found.values.setdefault(frame.path, (frame.start, self.at))
        return None

    def _next(self, frame: _Open) -> KeyPath:
        if frame.kind == "array":
            frame.index += 1
            return (*frame.path, frame.index)
        self._pair(frame.path)
        return self.pending

    def _at(self, character: str) -> bool:
        return self.text.startswith(character, self.at)

    def _between(self, frame: _Open) -> None:
        if frame.kind == "array":
            self._skip(_TRIVIA)
        else:
            self._inline_trivia(frame)

    def _inline_trivia(self, frame: _Open) -> None:
        start = self.at
        if "\n" in self.text[start : self._skip(_TRIVIA)]:
            self._note_modern(frame, "multi-line inline table", (frame.start, frame.start + 1))

    def _note_modern(self, frame: _Open, what: str, span: Span) -> None:
        if not frame.is_modern:
            self.found.modern.append((span, what))
            frame.is_modern = True

    def _note_modern_scalar(self, written: str, span: Span) -> None:
        if written[0] == '"' and "\\" in written:
            for escape in _NEW_ESCAPE.finditer(written):
                if escape[1]:
                    start = span[0] + escape.start()
                    self.found.modern.append(((start, start + 2), f"escape `\\{escape[1]}`"))
                    return
        elif written[0].isdigit() and ":" in written and _SHORT_TIME.search(written):
            self.found.modern.append((span, "time without seconds"))


def _decoded(written: str) -> str:
    try:
        return str(tomli.loads(f"key = {written}")["key"])
    except ValueError as error:
        raise _NotUnderstoodError from error
