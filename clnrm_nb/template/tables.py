"""Which lines of a source hold variables, matrix and determinism, read before anything is rendered.

``format.md`` 3.3: the statements of a few tables are taken from the *source text*, markers opaque,
because the rest of the file is rendered with what they say. This module only finds them;
:mod:`clnrm_nb.template.rendering` renders and reads those that hold markers.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any, Final

import tomli

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Statement", "find_statements", "parse_statement"]

_TABLES: Final = (
    ("vars",),
    ("template", "vars"),
    ("template", "otel"),
    ("template", "matrix"),
    ("matrix",),
    ("determinism",),
)
_OPEN_ENDED: Final = frozenset({("vars",), ("template", "vars"), ("template", "otel")})
_INTERESTING: Final = re.compile(r'"""|\'\'\'|["\'\[\]{}#\n]')
_STRING_ENDS: Final = {
    '"': re.compile(r'(?:\\.)|(["\n])'),
    "'": re.compile(r"(['\n])"),
    '"""': re.compile(r'(?:\\.)|(""")', re.DOTALL),
    "'''": re.compile(r"(''')"),
}
_OUR_HEADER: Final = re.compile(r"""\[[ \t]*["']?(?:vars|template|matrix|determinism)\b""")
_HEADER: Final = re.compile(r"\[[^\[\]\n]+\][ \t]*(?:#[^\n]*)?\r?$")


@dataclass(frozen=True, slots=True)
class Statement:
    """One ``key = value`` of a table that is read before rendering.

    Parameters
    ----------
    table : tuple of str
        The table it belongs to, e.g. ``("vars",)``.
    inner : tuple of str
        Tables below it, e.g. ``("database",)`` for ``[vars.database]``.
    start, end : int
        Offsets in the source, without indentation and trailing comment.
    is_dynamic : bool
        Whether it holds a marker.
    values : dict or None
        What a static statement says; None where it is dynamic or not TOML.
    """

    table: tuple[str, ...]
    inner: tuple[str, ...]
    start: int
    end: int
    is_dynamic: bool
    values: dict[str, Any] | None


def parse_statement(text: str) -> dict[str, Any] | None:
    """The values of a rendered statement; None where it is not TOML."""
    try:
        parsed = tomli.loads(text)
    except (tomli.TOMLDecodeError, RecursionError, ValueError):
        return None
    return {key: _plain(value) for key, value in parsed.items()}


def _plain(value: Any) -> Any:
    """TOML values as template values: date-times become RFC 3339 strings."""
    if isinstance(value, (datetime, date, time)):
        text = value.isoformat()
        return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text
    if not isinstance(value, (dict, list)):
        return value
    # Containers are ours alone, fresh from the parser: replaced in place, with a stack instead of recursion.
    pending: list[Any] = [value]
    while pending:
        container = pending.pop()
        entries = container.items() if isinstance(container, dict) else enumerate(container)
        for key, item in list(entries):
            if isinstance(item, (dict, list)):
                pending.append(item)
            else:
                container[key] = _plain(item)
    return value


class _Reader:
    """Walks the lines of a source; markers are jumped over, whatever they hold."""

    def __init__(self, source: str, opaque: Sequence[tuple[int, int]]) -> None:
        self.source = source
        self.opaque = opaque
        self.starts = [start for start, _ in opaque]
        self.unclosed = 0

    def marker_from(self, position: int) -> tuple[int, int]:
        """The first marker that starts at or behind a position; beyond the end if there is none."""
        index = bisect_left(self.starts, position)
        size = len(self.source)
        return self.opaque[index] if index < len(self.opaque) else (size, size)

    def search(self, pattern: re.Pattern[str], position: int) -> re.Match[str] | None:
        """The first match outside markers."""
        while True:
            start, end = self.marker_from(position)
            match = pattern.search(self.source, position, start)
            if match or start == end:
                return match
            position = end

    def line_end(self, position: int) -> int:
        """Offset of the line break that ends the line, markers jumped over."""
        match = self.search(_LINE_BREAK, position)
        return match.start() if match else len(self.source)

    def value_end(self, position: int) -> int:
        """Offset behind a statement: its line break or comment outside strings and brackets."""
        if self.unclosed > _MAX_UNCLOSED:
            return self.line_end(position)
        depth = 0
        cursor = position
        while match := self.search(_INTERESTING, cursor):
            mark, cursor = match.group(), match.end()
            if mark in _STRING_ENDS:
                cursor = self._string_end(mark, cursor)
            elif mark in "[{":
                depth += 1
            elif mark in "]}":
                depth = max(depth - 1, 0)
            elif depth == 0:
                return match.start()
            elif mark == "#":
                cursor = self.line_end(cursor)
        if depth == 0:
            return len(self.source)
        # A bracket that never closes must not hide the rest of the file.
        self.unclosed += 1
        return self.line_end(position)

    def _string_end(self, quote: str, position: int) -> int:
        while match := self.search(_STRING_ENDS[quote], position):
            position = match.end()
            if match.group(1) == "\n":
                return match.start()
            if match.group(1):
                return position
        return len(self.source)


_LINE_BREAK: Final = re.compile(r"\n")
_MAX_UNCLOSED: Final = 50
"""Brackets whose end is looked for through all of the file, in vain, before values end with their lines."""


def find_statements(source: str, opaque: Sequence[tuple[int, int]]) -> list[Statement]:
    """Every statement of the tables of ``format.md`` 3.3, in file order."""
    last_header = max((match.start() for match in _OUR_HEADER.finditer(source)), default=-1)
    reader = _Reader(source, opaque)
    found: list[Statement] = []
    region: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    position, size = 0, len(source)
    while position < size and (region or position <= last_header):
        start = _skip_blanks(source, position)
        marker_start, marker_end = reader.marker_from(start)
        if marker_start == start and source.startswith("{#", start):
            position = marker_end  # a comment is no part of the line it stands on
            continue
        char = source[start : start + 1]
        if source.startswith(("{%", "{{"), start):
            region, end = None, reader.line_end(start)
        elif char in ("", "\n", "\r", "#"):
            end = reader.line_end(start)
        elif char == "[":
            end = reader.line_end(start)
            region = _region(source[start:end])
        else:
            end = reader.value_end(start)
            if region:
                found.append(_statement(reader, region, start, end))
            end = reader.line_end(end)
        position = end + 1
    return found


def _skip_blanks(source: str, position: int) -> int:
    while position < len(source) and source[position] in " \t":
        position += 1
    return position


def _region(line: str) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """The table a header opens and the path below it, if it is one of ours."""
    if not _HEADER.match(line) or "{{" in line:
        return None
    try:
        # A carriage return alone is no line break to TOML; the line feed after it is beyond this line.
        document: Any = tomli.loads(line.rstrip("\r"))
    except tomli.TOMLDecodeError:
        return None
    path: list[str] = []
    while document:
        ((key, document),) = document.items()
        path.append(key)
    for table in _TABLES:
        if tuple(path[: len(table)]) == table:
            inner = tuple(path[len(table) :])
            return (table, inner) if not inner or table in _OPEN_ENDED else None
    return None


def _statement(
    reader: _Reader, region: tuple[tuple[str, ...], tuple[str, ...]], start: int, end: int
) -> Statement:
    text = reader.source[start:end].rstrip(" \t\r")
    end = start + len(text)
    is_dynamic = reader.marker_from(start)[0] < end
    values = None if is_dynamic else parse_statement(text)
    return Statement(region[0], region[1], start, end, is_dynamic, values)
