"""From rendered text back to what the person typed.

The generated code yields each piece of output from a line of its own, and lines stand for segments
(:mod:`clnrm_nb.template.compiler`). Watching where the generator stops while the same inputs are
rendered once more therefore gives the segment of every piece, without any mark in the text. That second
rendering happens when a position is first asked for, which is when there is something to report.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clnrm_nb.errors import Location, Related

if TYPE_CHECKING:
    from collections.abc import Callable

    from clnrm_nb.template.compiler import Unit

__all__ = ["Piece", "SourceMap"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of rendered text from one segment.

    Parameters
    ----------
    start : int
        Offset in the rendered text.
    segment : int
        Number of the segment in the file being rendered.
    parts : tuple
        For the output of a macro or include: file, unit and segment of each part inside, with its offset
        from `start`.
    """

    start: int
    segment: int
    parts: tuple[tuple[int, str, Unit, int], ...] = ()


class SourceMap:
    """Maps 1-based lines and columns of rendered text to locations in the source.

    Parameters
    ----------
    file : str
        How findings name the source.
    unit : Unit or None
        The compiled source; None where text and source are the same.
    text : str
        The rendered text.
    trace : callable
        Renders again and gives the pieces.
    """

    def __init__(self, file: str, unit: Unit | None, text: str, trace: Callable[[], list[Piece]]) -> None:
        self.file = file
        self._unit = unit
        self._text = text
        self._trace = trace
        self._pieces: list[Piece] | None = None
        self._starts: list[int] = []
        self._lines: list[int] = []

    def to_source(self, line: int, column: int) -> Location:
        """The place in the source that a rendered position comes from.

        Literal text maps to itself, character by character; the output of an expression, macro call or
        include to its marker, with the marker's end.
        """
        if self._unit is None:
            return Location(self.file, line, column)
        found = self._piece_at(line, column)
        if found is None:
            return Location(self.file)
        piece, offset = found
        return self._location(self._unit, piece.segment, offset - piece.start)

    def related(self, line: int, column: int) -> tuple[Related, ...]:
        """For output of a macro or include: the line of the other file it was written on."""
        if self._unit is None:
            return ()
        found = self._piece_at(line, column)
        if found is None:
            return ()
        piece, offset = found
        inner = [part for part in piece.parts if part[0] <= offset - piece.start]
        if not inner:
            return ()
        start, file, unit, segment = inner[-1]
        place = self._location(unit, segment, offset - piece.start - start, file)
        return (Related(file, place.line, place.column, "written here"),)

    def _piece_at(self, line: int, column: int) -> tuple[Piece, int] | None:
        """The piece a position lies in and the position's offset; None where nothing was rendered."""
        if self._pieces is None:
            self._pieces = self._trace()
            self._starts = [piece.start for piece in self._pieces]
            self._lines = _line_starts(self._text)
        if not self._pieces:
            return None
        line = min(max(line, 1), len(self._lines))
        offset = min(self._lines[line - 1] + max(column, 1) - 1, max(len(self._text) - 1, 0))
        index = max(bisect_right(self._starts, offset) - 1, 0)
        return self._pieces[index], self._lines[line - 1] + max(column, 1) - 1

    def _location(self, unit: Unit, number: int, offset: int, file: str | None = None) -> Location:
        segments = unit.parsed.segments
        segment = segments[number - 1]
        name = file or self.file
        if segment.kind == "text":
            line, column = unit.position(min(segment.start + max(offset, 0), len(unit.source)))
            return Location(name, line, column)
        line, column = unit.position(segment.start)
        end_line, end_column = unit.position(segment.end)
        return Location(name, line, column, end_line, end_column)


def _line_starts(text: str) -> list[int]:
    starts = [0]
    position = text.find("\n")
    while position >= 0:
        starts.append(position + 1)
        position = text.find("\n", position + 1)
    return starts
