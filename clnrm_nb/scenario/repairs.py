"""Repairs on their way: what would put a finding right, by key path, before anybody knows a line.

Whoever reads a document names the change (:class:`Rename` a key, :class:`Reword` a string, :class:`Rewrite` a
value, :class:`Insert` or :class:`Delete` a statement). Only when there is something to say does
:class:`Editor` turn it into edits of the file a person edits, and only where every touched character is
literal text of that very file: what a macro, an include or an expression wrote has no repair here.

``safe`` means that the file cannot come to mean something else than it did, or than its author can have
meant: it says the same after the repair, or it said nothing valid before and there is one way to read it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

from clnrm_nb.errors import Fix, TextEdit

if TYPE_CHECKING:
    from clnrm_nb.scenario.model import KeyPath
    from clnrm_nb.scenario.parse import RenderedText
    from clnrm_nb.scenario.positions import Positions, Span

__all__ = [
    "Change",
    "Delete",
    "Editor",
    "Insert",
    "JoinKeys",
    "Move",
    "Rename",
    "Repair",
    "Restate",
    "Reword",
    "Rewrite",
    "Splice",
    "bare_or_quoted",
    "basic_string",
]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_KEY_PART = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
_DOTTED = re.compile(rf"(?:{_KEY_PART.pattern})(?:[ \t]*\.[ \t]*(?:{_KEY_PART.pattern}))*")
_REST_OF_LINE = re.compile(r"[^\n]*")
_BLANK_REST = re.compile(r"[ \t]*(?P<comment>#[^\n]*)?(?:\n|\Z)")
_SILENCER = "# clnrm: ignore"
"""Such a comment goes with its statement: alone on its line it would silence the next one."""
_MARKERS = ("{{", "{%", "{#")
_ESCAPES = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}

_Splices = list[tuple["Span", str]]
"""Spans of the rendered text, and what each becomes."""


class Change(Protocol):
    """One step of a repair."""

    def splices(self, positions: Positions) -> _Splices | None:
        """The spans it touches with their new text; ``None`` where the text does not allow it."""
        ...


@dataclass(frozen=True, slots=True)
class Repair:
    """A repair on offer: its title (an imperative), what it changes, and whether it is safe."""

    title: str
    changes: tuple[Change, ...]
    safe: bool = True


@dataclass(frozen=True, slots=True)
class Splice:
    """New text for a span of the rendered text."""

    span: Span
    text: str

    def splices(self, positions: Positions) -> _Splices | None:  # noqa: ARG002  # The protocol's signature.
        """Itself."""
        return [(self.span, self.text)]


@dataclass(frozen=True, slots=True)
class Rename:
    """Another name for a key, wherever it is mentioned; `to` may be dotted."""

    path: KeyPath
    to: str

    def splices(self, positions: Positions) -> _Splices | None:
        """Every mention: in headers, in dotted keys, in an inline table."""
        if not self.path or not isinstance(self.path[-1], str):
            return None
        found = [
            (span, self.to)
            for statement, path in positions.statements_of(self.path)
            if (span := _part_of(statement, path, self.path, positions.text)) is not None
        ]
        if not found and self.path in positions.keys:
            found = [(positions.keys[self.path], self.to)]
        return found or None


@dataclass(frozen=True, slots=True)
class Move:
    """A table, or an element of an array of tables, as another: its headers ``[old.x]`` become ``[to.x]``."""

    path: KeyPath
    to: str

    def splices(self, positions: Positions) -> _Splices | None:
        """The headers; ``None`` where a part of the table is written any other way."""
        found: _Splices = []
        for statement, _ in positions.statements_of(self.path):
            if positions.text[statement[0]] != "[":
                continue
            names = [match.span() for match in _KEY_PART.finditer(positions.text, *statement)]
            length = sum(isinstance(name, str) for name in self.path)
            found.append(((names[0][0], names[length - 1][1]), self.to))
        return found or None


def _part_of(statement: Span, path: KeyPath, part: KeyPath, text: str) -> Span | None:
    """Where the last key of `part` stands in the header or dotted key that defines `path`."""
    names = [match.span() for match in _KEY_PART.finditer(text, *statement)]
    from_end = sum(isinstance(name, str) for name in path[len(part) :])
    # The keys ahead of these stand in the header above.
    return names[-1 - from_end] if from_end < len(names) else None


@dataclass(frozen=True, slots=True)
class JoinKeys:
    """A dotted key as one quoted key: ``http.method`` becomes ``"http.method"``."""

    path: KeyPath
    parts: int

    def splices(self, positions: Positions) -> _Splices | None:
        """The dotted key, where it is written in one piece."""
        span = positions.keys.get(self.path)
        if span is None:
            return None
        line = positions.text.rfind("\n", 0, span[0]) + 1
        for match in _DOTTED.finditer(positions.text, line, span[1]):
            if match.end() == span[1]:
                names = list(_KEY_PART.finditer(match[0]))
                if len(names) < self.parts:
                    return None
                start = match.start() + names[-self.parts].start()
                return [((start, span[1]), basic_string(".".join(map(str, self.path[-self.parts :]))))]
        return None


@dataclass(frozen=True, slots=True)
class Reword:
    """Another content for a string; its quotes stay."""

    path: KeyPath
    word: str

    def splices(self, positions: Positions) -> _Splices | None:
        """The string."""
        span = positions.values.get(self.path)
        if span is None:
            return None
        written = positions.text[slice(*span)]
        if written.startswith(("'''", '"""')):
            return None
        is_literal = written.startswith("'") and not re.search(r"['\x00-\x08\x0a-\x1f\x7f]", self.word)
        return [(span, f"'{self.word}'" if is_literal else basic_string(self.word))]


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Another text for a value; a path among `parts` stands for the text of that value as it is written."""

    path: KeyPath
    parts: tuple[str | KeyPath, ...]

    def splices(self, positions: Positions) -> _Splices | None:
        """The value, unless a comment would be lost."""
        span = positions.values.get(self.path)
        if span is None:
            return None
        if _has_comment(positions.text[slice(*span)]):
            return None
        text = ""
        for part in self.parts:
            if isinstance(part, str):
                text += part
            elif part in positions.values:
                text += positions.text[slice(*positions.values[part])]
            else:
                return None
        return [(span, text)]


def _has_comment(written: str) -> bool:
    """Whether a value may hold a comment; a ``#`` in a string counts too where lines break."""
    return "\n" in written and "#" in written


@dataclass(frozen=True, slots=True)
class Insert:
    """A key that is missing from a table; behind the key `after`, or at the end of the table."""

    table: KeyPath
    key: str
    value: str
    after: str | None = None

    def splices(self, positions: Positions) -> _Splices | None:
        """One place: a line of its own, or an entry of the inline table."""
        entry = f"{self.key} = {self.value}"
        if self.table in positions.headers:
            return [self._line(positions, entry)]
        span = positions.values.get(self.table)
        if span is None or positions.text[span[0]] != "{":
            return None
        inner = positions.text[span[0] + 1 : span[1] - 1]
        if "\n" in inner:
            return None
        if not inner.strip():
            return [((span[0] + 1, span[1] - 1), f" {entry} ")]
        end = span[0] + 1 + len(inner.rstrip())
        comma = "" if inner.rstrip().endswith(",") else ","
        return [((end, end), f"{comma} {entry}")]

    def _line(self, positions: Positions, entry: str) -> tuple[Span, str]:
        wanted = (*self.table, self.after) if self.after else None
        own = [
            path
            for _, path in positions.statements_of(self.table)
            if path[:-1] == self.table and path in positions.values and path not in positions.headers
        ]
        anchor = wanted if wanted in own else (own[-1] if own and wanted is None else None)
        start = positions.values[anchor][1] if anchor is not None else positions.headers[self.table][1]
        rest = _REST_OF_LINE.match(positions.text, start)
        end = rest.end() if rest else start
        return (end, end), f"\n{entry}"


@dataclass(frozen=True, slots=True)
class Restate:
    """Other lines in place of a statement; a path among `parts` stands for a value as it is written."""

    path: KeyPath
    parts: tuple[str | KeyPath, ...]

    def splices(self, positions: Positions) -> _Splices | None:
        """Key and value as one; the comment behind them stays behind the last line."""
        spans = [span for span, path in positions.statements_of(self.path) if path == self.path]
        value = Rewrite(self.path, self.parts).splices(positions)
        if len(spans) != 1 or value is None or positions.text[spans[0][0]] == "[":
            return None
        ((_, end), text) = value[0]
        return [((spans[0][0], end), text)]


@dataclass(frozen=True, slots=True)
class Delete:
    """A statement, or the header of a table without content, taken out with its line; its comment stays."""

    path: KeyPath

    def splices(self, positions: Positions) -> _Splices | None:
        """The line, or what stands on it ahead of a comment; ``None`` beside other statements."""
        spans = [span for span, path in positions.statements_of(self.path) if path == self.path]
        if len(spans) != 1:
            return None
        start = spans[0][0]
        line = positions.text.rfind("\n", 0, start) + 1
        end = max(spans[0][1], positions.values.get(self.path, (0, 0))[1])
        rest = _BLANK_REST.match(positions.text, end)
        if positions.text[line:start].strip() or rest is None:
            return None
        if rest["comment"] and not rest["comment"].startswith(_SILENCER):
            return [((start, rest.start("comment")), "")]
        return [((line, rest.end()), "")]


def basic_string(text: str) -> str:
    """`text` as a TOML basic string."""
    escaped = "".join(
        _ESCAPES.get(c) or (f"\\u{ord(c):04X}" if ord(c) < 32 or ord(c) == 127 else c)  # noqa: PLR2004  # Controls.
        for c in text
    )
    return f'"{escaped}"'


def bare_or_quoted(key: str) -> str:
    """`key` as TOML writes it."""
    return key if _BARE.fullmatch(key) else basic_string(key)


class Editor:
    """Turns repairs into edits of the source of one rendered file."""

    def __init__(self, rendered: RenderedText, positions: Positions) -> None:
        self._rendered = rendered
        self._positions = positions

    @cached_property
    def _lines(self) -> list[str]:
        return self._rendered.source.replace("\r\n", "\n").split("\n")

    def fix(self, repair: Repair) -> Fix | None:
        """The repair as edits; ``None`` where it would touch what is not literal text of the file."""
        edits: list[TextEdit] = []
        for change in repair.changes:
            splices = change.splices(self._positions)
            if splices is None:
                return None
            for span, text in splices:
                edit = self._edit(span, text)
                if edit is None:
                    return None
                edits.append(edit)
        # A loop writes the same text many times; a person has typed it once.
        once = tuple(dict.fromkeys(sorted(edits, key=_place)))
        return Fix(repair.title, once, repair.safe) if once and not _overlap(once) else None

    def _edit(self, span: Span, text: str) -> TextEdit | None:
        if self._rendered.templated:
            around = self._positions.text
            if any(
                mark in around[span[0] - 1 : span[0]] + text + around[span[1] : span[1] + 1]
                for mark in _MARKERS
            ):
                return None
            places = self._in_template(span)
        else:
            places = (self._positions.line_column(span[0]), self._positions.line_column(span[1]))
        return TextEdit(*places[0], *places[1], text) if places else None

    def _in_template(self, span: Span) -> tuple[tuple[int, int], tuple[int, int]] | None:
        """A span of the rendered text in the template, if all of it is literal text there."""
        start, end = span
        if start == end:
            # Nothing is replaced; what stands before it must be literal.
            before = self._literal(start - 1) if start else None
            if before is None:
                return None
            here = self._behind(before, start - 1)
            return here, here
        first, last = self._literal(start), self._literal(end - 1)
        if first is None or last is None:
            return None
        places = first, self._behind(last, end - 1)
        return places if self._written(*places) == self._positions.text[start:end] else None

    def _literal(self, offset: int) -> tuple[int, int] | None:
        place = self._rendered.source_map.to_source(*self._positions.line_column(offset))
        if place.end_line is not None or place.file != self._rendered.file:
            return None
        return place.line, place.column

    def _behind(self, place: tuple[int, int], offset: int) -> tuple[int, int]:
        is_break = self._positions.text[offset] == "\n"
        return (place[0] + 1, 1) if is_break else (place[0], place[1] + 1)

    def _written(self, start: tuple[int, int], end: tuple[int, int]) -> str:
        lines = self._lines[start[0] - 1 : end[0]]
        if not lines:
            return ""
        lines = [*lines[:-1], lines[-1][: end[1] - 1]]
        return "\n".join([lines[0][start[1] - 1 :], *lines[1:]])


def _place(edit: TextEdit) -> tuple[int, int, int, int]:
    return edit.line, edit.column, edit.end_line, edit.end_column


def _overlap(edits: tuple[TextEdit, ...]) -> bool:
    return any(
        (before.end_line, before.end_column) > (after.line, after.column) for before, after in pairwise(edits)
    )
