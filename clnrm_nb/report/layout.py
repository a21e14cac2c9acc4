"""The rows of a trace in the order people read them: tree, waterfall, figure and document show these.

Tests stand one after another; within one, a parent before its children and siblings by start. Nothing here
recurses: a chain of 100,000 spans is a trace like any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clnrm_nb.spans.model import STATUS_CODES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from clnrm_nb.spans.table import SpanTable

__all__ = ["Layout", "Part"]

_ERROR = STATUS_CODES.index("error")


@dataclass(frozen=True, slots=True)
class Part:
    """The spans of one test (or of one file, where `test_id` is ``None``)."""

    test_id: str | None
    table: SpanTable
    scenarios: Sequence[str] = ()
    """In file order, as far as known."""


class Layout:
    """Display order of the spans of some parts.

    Attributes
    ----------
    parts : sequence of Part
    part, row, depth : list of int
        For each place in display order: which part, which row of its table, how deep below its root.
    parent : list of int
        Place of the parent, -1 for roots.
    start_ns : list of (int or None)
        For each part: its earliest start.
    end_ns : list of (int or None)
        For each part: its latest end.
    """

    __slots__ = ("depth", "end_ns", "parent", "part", "parts", "row", "start_ns")

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = parts
        self.part: list[int] = []
        self.row: list[int] = []
        self.depth: list[int] = []
        self.parent: list[int] = []
        self.start_ns: list[int | None] = []
        self.end_ns: list[int | None] = []
        for index, part in enumerate(parts):
            self._add(index, part.table)

    def __len__(self) -> int:
        return len(self.row)

    def _add(self, part: int, table: SpanTable) -> None:
        starts = [start for start in table.start_ns if start is not None]
        self.start_ns.append(min(starts, default=None))
        self.end_ns.append(max((end for end in table.end_ns if end is not None), default=None))
        parents = table.parent_rows()
        children: dict[int, list[int]] = {}
        for row in _by_start(table, range(len(table))):
            parent = parents[row]
            children.setdefault(-1 if parent is None else parent, []).append(row)
        place_of: dict[int, int] = {}
        self._walk(part, children.get(-1, []), children, place_of)
        if len(place_of) < len(table):
            # Spans whose parents lead in a circle: each circle is entered at its earliest span.
            for row in _by_start(table, range(len(table))):
                if row not in place_of:
                    self._walk(part, [row], children, place_of)

    def _walk(
        self, part: int, roots: Sequence[int], children: dict[int, list[int]], place_of: dict[int, int]
    ) -> None:
        pending = [(row, 0, -1) for row in reversed(roots)]
        while pending:
            row, depth, parent = pending.pop()
            if row in place_of:
                continue
            place = place_of[row] = len(self.row)
            self.part.append(part)
            self.row.append(row)
            self.depth.append(depth)
            self.parent.append(parent)
            pending += [(child, depth + 1, place) for child in reversed(children.get(row, ()))]

    def table(self, place: int) -> SpanTable:
        """The table a place is in."""
        return self.parts[self.part[place]].table

    def is_error(self, place: int) -> bool:
        """Whether the span at a place failed."""
        return self.table(place).status_code[self.row[place]] == _ERROR

    def offset_ns(self, place: int) -> int | None:
        """Start of a span, counted from the earliest start of its part."""
        start, first = self.table(place).start_ns[self.row[place]], self.start_ns[self.part[place]]
        return None if start is None or first is None else start - first

    def duration_ns(self, place: int) -> int | None:
        """End minus start; ``None`` where a bound is missing or the end comes first."""
        table, row = self.table(place), self.row[place]
        start, end = table.start_ns[row], table.end_ns[row]
        return None if start is None or end is None or end < start else end - start

    def length_ns(self, part: int) -> int:
        """From the earliest start to the latest end of a part, at least 1."""
        start, end = self.start_ns[part], self.end_ns[part]
        return 1 if start is None or end is None else max(end - start, 1)

    def window(self, limit: int, wanted: Iterable[int] = ()) -> list[int]:
        """At most `limit` places in display order that tell most.

        First `wanted` and failed spans with all above them (half of the window at most), then what comes
        first in display order.
        """
        if len(self) <= limit:
            return list(range(len(self)))
        chosen: set[int] = set()
        errors = (place for place in range(len(self)) if self.is_error(place))
        for place in (*wanted, *errors):
            above = self._up_from(place, chosen)
            if len(chosen) + len(above) > limit // 2:
                break
            chosen.update(above)
        for place in range(len(self)):
            if len(chosen) >= limit:
                break
            chosen.add(place)
        return sorted(chosen)

    def _up_from(self, place: int, chosen: set[int]) -> list[int]:
        above: list[int] = []
        while place != -1 and place not in chosen:
            above.append(place)
            place = self.parent[place]
        return above


def _by_start(table: SpanTable, rows: Iterable[int]) -> list[int]:
    """Rows by start (unknown ones last), equal starts in the order they came."""
    starts = table.start_ns
    return sorted(rows, key=lambda row: (starts[row] is None, starts[row] or 0))
