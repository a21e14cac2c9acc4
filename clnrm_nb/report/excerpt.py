"""The lines a finding is about, as a person typed them, the place underlined; and its repair as a diff.

Positions count code points; what is underlined counts cells, as terminals do: a tab is four, a wide character
two, a control character the length of its escape.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from rich.cells import cell_len

from clnrm_nb.report.lines import Line, line
from clnrm_nb.report.text import clipped, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from clnrm_nb.report.signs import Signs

__all__ = [
    "Excerpt",
    "Source",
    "excerpt_html",
    "excerpt_lines",
    "excerpt_of",
    "repair_html",
    "repair_lines",
    "repair_of",
]

_MOST_LINES: Final = 3
_MOST_CHANGED: Final = 8
_LONGEST_LINE: Final = 240


@dataclass(frozen=True)
class Source:
    """A file that findings point into.

    Parameters
    ----------
    text : str
        As the person typed it.
    href : str, optional
        Where a reader of the notebook finds it: relative to the notebook's directory.
    """

    text: str
    href: str | None = None

    @cached_property
    def lines(self) -> list[str]:
        """Its lines, as positions count them; the first has number 1."""
        return self.text.replace("\r\n", "\n").split("\n")

    @property
    def lines_only(self) -> list[str]:
        """Its lines without what stands behind the last line break where that is nothing."""
        return self.lines if self.lines[-1] else self.lines[:-1]


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Some lines of a file: number, text, and the underlined part as 0-based start and exclusive end."""

    rows: tuple[tuple[int, str, tuple[int, int] | None], ...]


def excerpt_of(source: Source | None, finding: Mapping[str, Any]) -> Excerpt | None:
    """What to show of a finding's file: the line before it, and at most three of its own.

    Parameters
    ----------
    source : Source or None
        The finding's file.
    finding : mapping
        In its JSON form (``format.md`` 4).
    """
    first = finding.get("line")
    if source is None or not first or first > len(source.lines):
        return None
    last = min(max(finding.get("end_line") or first, first), first + _MOST_LINES - 1, len(source.lines))
    # A range that ends before a line's first character does not reach into that line.
    if last > first and last == finding.get("end_line") and (finding.get("end_column") or 1) <= 1:
        last -= 1
    rows: list[tuple[int, str, tuple[int, int] | None]] = []
    if first > 1 and source.lines[first - 2].strip():
        rows.append((first - 1, source.lines[first - 2], None))
    rows += [
        (number, source.lines[number - 1], _marked(source.lines[number - 1], number, finding))
        for number in range(first, last + 1)
    ]
    return Excerpt(tuple(rows))


def _marked(text: str, number: int, finding: Mapping[str, Any]) -> tuple[int, int]:
    """The part of a line that a finding covers; at least one character."""
    indent = len(text) - len(text.lstrip())
    start = (finding.get("column") or 1) - 1 if number == finding["line"] else indent
    end_line, end_column = finding.get("end_line"), finding.get("end_column")
    end = len(text.rstrip()) if end_line and number < end_line else (end_column or start + 2) - 1
    start = min(start, len(text))
    return start, max(min(end, len(text)), start + 1)


# ----------------------------------------------------------------------------------------------- as text


def excerpt_lines(excerpt: Excerpt, severity: str, *, signs: Signs, width: int) -> list[Line]:
    """An excerpt for a terminal: numbers, text, and carets under the place."""
    gutter = len(str(excerpt.rows[-1][0])) + 2
    room = max(width - gutter - 3, 20)
    lines: list[Line] = []
    for number, text, marked in excerpt.rows:
        left, shown, mark = _window(text, marked, room)
        head = f"{number:>{gutter}} {signs.quote} "
        lines.append(line((head, "dim"), f"{signs.ellipsis if left else ''}{visible(shown)}"))
        if mark is not None:
            before = cell_len(visible(shown[: mark[0]])) + (cell_len(signs.ellipsis) if left else 0)
            under = max(cell_len(visible(shown[slice(*mark)])), 1)
            blank = f"{'':>{gutter}} {signs.quote} "
            lines.append(line((blank, "dim"), " " * before, ("^" * under, severity)))
    return lines


def _window(text: str, marked: tuple[int, int] | None, room: int) -> tuple[bool, str, tuple[int, int] | None]:
    """The part of a long line that holds the place: whether something is left out before it, text, place."""
    if cell_len(visible(text)) <= room:
        return False, text, marked
    left = max((marked[0] if marked else 0) - room // 3, 0)
    shown = text[left : left + room]
    # Wide characters and escapes take more than a cell.
    while cell_len(visible(shown)) > room - 2:
        shown = shown[:-1]
    if marked is None:
        return left > 0, shown, None
    start = min(marked[0] - left, len(shown))
    return left > 0, shown, (start, max(min(marked[1] - left, len(shown)), start + 1))


# ----------------------------------------------------------------------------------------------- as HTML


def excerpt_html(excerpt: Excerpt, severity: str) -> str:
    """An excerpt as a block: numbers, text, and the place in a ``mark``."""
    from clnrm_nb.report.html import escape

    gutter = len(str(excerpt.rows[-1][0]))
    shown = []
    for number, text, marked in excerpt.rows:
        head = f"<i>{number:>{gutter}}</i> "
        left, part, mark = _window(text, marked, _LONGEST_LINE)
        start, end = mark or (0, 0)
        before = ("…" if left else "") + escape(part[:start], _LONGEST_LINE)
        kind = " class=odd" if severity == "warning" else (" class=note" if severity == "info" else "")
        inner = escape(part[start:end], _LONGEST_LINE) or "&nbsp;"
        inside = f"<mark{kind}>{inner}</mark>" if mark else ""
        shown.append(f"{head}{before}{inside}{escape(part[end:], _LONGEST_LINE)}")
    return "<pre class=src dir=ltr>" + "\n".join(shown) + "</pre>"


# ----------------------------------------------------------------------------------------------- repairs


def repair_of(source: Source | None, fix: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """What a fix would change: ``("-", line)`` and ``("+", line)``, in order of the file.

    Nothing where the file is not at hand or the edits lie outside it. A long repair ends with ``("…", …)``.
    """
    if source is None or not fix or not fix.get("edits"):
        return []
    edits = sorted(fix["edits"], key=lambda edit: (edit["line"], edit["column"]))
    first, last = edits[0]["line"], max(edit["end_line"] for edit in edits)
    if not 1 <= first <= len(source.lines):
        return []
    old = source.lines[first - 1 : last]
    new = _edited(old, first, edits).split("\n")
    rows = list(_changes(old, new))
    left = len(rows) - _MOST_CHANGED
    return [*rows[:_MOST_CHANGED], ("…", f"{left} more lines")] if left > 0 else rows


def _edited(old: Sequence[str], first: int, edits: Sequence[Mapping[str, Any]]) -> str:
    """The lines from `first` on, edits applied from the last to the first."""
    text = "\n".join(old)
    starts = [0]
    for row in old:
        starts.append(starts[-1] + len(row) + 1)

    def offset(number: int, column: int) -> int:
        index = min(max(number - first, 0), len(starts) - 1)
        return min(starts[index] + column - 1, len(text))

    for edit in reversed(edits):
        start = offset(edit["line"], edit["column"])
        end = max(offset(edit["end_line"], edit["end_column"]), start)
        text = text[:start] + edit["text"] + text[end:]
    return text


def _changes(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[str, str]]:
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for what, old_from, old_to, new_from, new_to in matcher.get_opcodes():
        if what != "equal":
            yield from (("-", text) for text in old[old_from:old_to])
            yield from (("+", text) for text in new[new_from:new_to])


def repair_lines(rows: Sequence[tuple[str, str]], *, width: int) -> list[Line]:
    """A repair for a terminal."""
    styles = {"-": "missing", "+": "ok"}
    return [
        line((f"       {sign} ", styles.get(sign, "dim")), clipped(visible(text), max(width - 9, 20)))
        for sign, text in rows
    ]


def repair_html(rows: Sequence[tuple[str, str]]) -> str:
    """A repair as a block: ``del`` and ``ins``, the sign before each."""
    from clnrm_nb.report.html import escape

    tags = {"-": "del", "+": "ins"}
    shown = [
        f"<{tags[sign]}>{sign} {escape(text, _LONGEST_LINE)}</{tags[sign]}>"
        if sign in tags
        else escape(f"{sign} {text}")
        for sign, text in rows
    ]
    return "<pre class=src dir=ltr>" + "\n".join(shown) + "</pre>" if rows else ""
