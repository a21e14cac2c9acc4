"""Styled lines: what the terminal and ``text/plain`` are made of.

A line is a list of ``(text, style)``; styles are words of :data:`clnrm_nb.report.signs.STYLES`. Text in a
line is already safe to show. The same lines give plain text and, through rich, coloured text, so that the two
can never say different things.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len

from clnrm_nb.report.signs import STYLES
from clnrm_nb.report.text import clipped, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Line", "columns", "line", "to_ansi", "to_plain"]

Line = list[tuple[str, str]]


def line(*parts: str | tuple[str, str]) -> Line:
    """A line of plain and ``(text, style)`` parts."""
    return [(part, "") if isinstance(part, str) else part for part in parts]


def to_plain(lines: Iterable[Line], width: int | None = None, ellipsis: str = "…") -> str:
    """Text without styles; each line clipped to `width` cells where one is given. Ends with a line feed."""
    texts = ("".join(text for text, _ in parts).rstrip() for parts in lines)
    return "".join(f"{clipped(text, width, ellipsis) if width else text}\n" for text in texts)


def to_ansi(lines: Iterable[Line], width: int | None = None, ellipsis: str = "…") -> str:
    """The same text in the sixteen colours of the terminal's own theme."""
    from rich.style import Style

    styles = {word: Style.parse(style) for word, style in STYLES.items()}
    output: list[str] = []
    for parts in lines:
        room = width or 10**9
        for text, word in parts:
            shown = clipped(text, room, ellipsis)
            room -= cell_len(shown)
            output.append(styles[word].render(shown) if word and shown else shown)
            if shown != text or room <= 0:
                break
        output.append("\n")
    return "".join(output)


def columns(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> list[Line]:
    """An aligned table; `right` lists the columns that are set flush right (numbers)."""
    cells = [[one_line(cell) for cell in row] for row in rows]
    widths = [max([cell_len(head), *(cell_len(row[i]) for row in cells)]) for i, head in enumerate(header)]

    def aligned(row: Sequence[str]) -> str:
        padded = []
        for index, cell in enumerate(row):
            gap = " " * (widths[index] - cell_len(cell))
            padded.append(gap + cell if index in right else cell + gap)
        return "  ".join(padded).rstrip()

    lines = [line((aligned(header), "dim"))] if any(header) else []
    return lines + [line(aligned(row)) for row in cells]
