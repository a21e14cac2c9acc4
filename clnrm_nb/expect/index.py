"""The spans of one scope, arranged for questions: by name, by trace, by parent.

Made once for each scope (the test, or one scenario) and shared by all its expectations. Rows stand in a
canonical order (start, end, ids, name), so that no verdict and no message depends on the order of arrival.
Everything is a column or a dictionary of rows, and nothing recurses: a chain of 100,000 spans is a list.

Own spans (``format.md`` 5.3) are in the table but in no total. A pattern sees them only if its text starts
with ``clnrm``: ``clnrm.step:*`` names them, ``*`` means the spans of the program under test.
"""

from __future__ import annotations

import re
from collections import Counter
from fnmatch import translate
from functools import cached_property
from typing import TYPE_CHECKING, Final

from clnrm_nb.config.nearest import nearest
from clnrm_nb.patterns import compiled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from clnrm_nb.scenario.model import NamePattern
    from clnrm_nb.spans.table import SpanTable

__all__ = ["SpanIndex"]

_OWN_PREFIX: Final = "clnrm"

# A distance takes some 50 µs (2026-11): a hint must not cost more than the verdict.
_HINT_NAMES: Final = 100


class SpanIndex:
    """Columns of one scope and what is asked of them.

    Parameters
    ----------
    table : SpanTable
        Spans, own ones included.
    rows : sequence of int
        The rows in scope.
    framework_spans : bool
        Whether patterns can name own spans at all.
    """

    def __init__(self, table: SpanTable, rows: Sequence[int], *, framework_spans: bool = True) -> None:
        self.table = table.select(sorted(rows, key=lambda row: _canonical_key(table, row)))
        self.program: list[int] = [row for row, own in enumerate(self.table.own) if not own]
        """Rows of the program under test."""
        self._framework_spans = framework_spans
        self._matched: dict[tuple[str, str], list[int]] = {}

    # ------------------------------------------------------------------------------------------ names

    @cached_property
    def _rows_by_name(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for row, name in enumerate(self.table.name):
            found.setdefault(name, []).append(row)
        return found

    def named(self, pattern: NamePattern) -> list[int]:
        """Rows whose name matches, in canonical order; own spans only where the pattern names them."""
        key = (pattern.mode, pattern.text)
        if key not in self._matched:
            rows = self._find(pattern)
            if not (self._framework_spans and _names_own(pattern)):
                own = self.table.own
                rows = [row for row in rows if not own[row]]
            self._matched[key] = rows
        return self._matched[key]

    def _find(self, pattern: NamePattern) -> list[int]:
        if pattern.mode == "exact":
            return self._rows_by_name.get(pattern.text, [])
        matches = name_test(pattern)
        groups = [rows for name, rows in self._rows_by_name.items() if matches(name)]
        return groups[0] if len(groups) == 1 else sorted(row for rows in groups for row in rows)

    def nearest_name(self, pattern: NamePattern) -> str | None:
        """A received name that looks like the pattern: probably what was meant."""
        names = sorted({self.table.name[row] for row in self.program})
        if pattern.mode == "regex" or len(names) > _HINT_NAMES:
            return None
        return nearest(pattern.text, names)

    # -------------------------------------------------------------------------------------- structure

    @cached_property
    def parent(self) -> list[int | None]:
        """Row of each span's parent in the same trace.

        Own spans also across traces: a scenario's own span starts the trace its program continues.
        """
        table = self.table
        by_ids = {ids: row for row, ids in enumerate(zip(table.trace_id, table.span_id, strict=True))}
        own_rows = {table.span_id[row]: row for row, own in enumerate(table.own) if own}
        parents: list[int | None] = []
        for row, parent_id in enumerate(table.parent_span_id):
            found = None if parent_id is None else by_ids.get((table.trace_id[row], parent_id))
            if found is None and parent_id is not None and table.own[row]:
                found = own_rows.get(parent_id)
            parents.append(found)
        return parents

    @cached_property
    def traces(self) -> dict[str, list[int]]:
        """Program rows by trace id, traces in order of their first span."""
        found: dict[str, list[int]] = {}
        for row in self.program:
            found.setdefault(self.table.trace_id[row], []).append(row)
        return found

    def ancestor_in(self, rows: Sequence[int], ancestors: Sequence[int]) -> tuple[int, int] | None:
        """The first of `rows` below one of `ancestors`, as (ancestor, row); ``None`` if there is none."""
        wanted = set(ancestors)
        fruitless: set[int] = set()
        for row in rows:
            above = self.parent[row]
            while above is not None and above not in fruitless:
                if above in wanted:
                    return above, row
                fruitless.add(above)
                above = self.parent[above]
        return None

    def child_of(self, rows: Sequence[int], parents: Sequence[int]) -> tuple[int, int] | None:
        """The first of `rows` directly below one of `parents`, as (parent, row)."""
        wanted = set(parents)
        for row in rows:
            above = self.parent[row]
            if above in wanted and above is not None:
                return above, row
        return None

    def orphans(self, rows: Sequence[int]) -> list[int]:
        """Those whose parent was not received."""
        return [
            row for row in rows if self.parent[row] is None and self.table.parent_span_id[row] is not None
        ]

    def roots(self, rows: Sequence[int]) -> list[int]:
        """Those without parent. All below the runner's own span hang together: it is their one root."""
        own = self.table.own
        roots = [row for row in rows if self.table.parent_span_id[row] is None]
        injected = [above for row in rows if (above := self.parent[row]) is not None and own[above]]
        return [*roots, *injected[:1]]

    @cached_property
    def cycles(self) -> list[list[int]]:
        """Cycles of parent links, each from child to parent."""
        found: list[list[int]] = []
        walk_of: dict[int, int] = {}
        for start in range(len(self.table)):
            row: int | None = start
            while row is not None and row not in walk_of:
                walk_of[row] = start
                row = self.parent[row]
            if row is not None and walk_of[row] == start:
                found.append(self._cycle_from(row))
        return found

    def _cycle_from(self, row: int) -> list[int]:
        found = [row]
        above = self.parent[row]
        while above is not None and above != row:
            found.append(above)
            above = self.parent[above]
        return found

    # ------------------------------------------------------------------------------------------ times

    def duration_ms(self, row: int) -> float | None:
        """End minus start; ``None`` if a bound is missing or end < start."""
        start, end = self.table.start_ns[row], self.table.end_ns[row]
        return None if start is None or end is None or end < start else (end - start) / 1e6

    @cached_property
    def origin_ns(self) -> int:
        """Earliest known start in scope: the zero of the times in messages."""
        return min((start for start in self.table.start_ns if start is not None), default=0)

    def offset_text(self, time_ns: int) -> str:
        """A time as ``+12.5 ms`` from the earliest start."""
        return f"{(time_ns - self.origin_ns) / 1e6:+.3f} ms"

    # ---------------------------------------------------------------------------------------- wording

    def ids(self, row: int) -> tuple[str, str]:
        """(trace_id, span_id)."""
        return self.table.trace_id[row], self.table.span_id[row]

    def title(self, row: int) -> str:
        """```name` (span 00f067aa0ba902b7)``."""
        return f"`{self.table.name[row]}` (span {self.table.span_id[row]})"

    def names_text(self, rows: Sequence[int | None], *, limit: int = 5) -> str:
        """Distinct names with their counts, most frequent first; ``None`` stands for no span."""
        counts = Counter(None if row is None else self.table.name[row] for row in rows)
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0] is None, item[0] or ""))
        parts = [
            ("none" if name is None else f"`{name}`") + (f" ×{count}" if count > 1 else "")
            for name, count in ordered[:limit]
        ]
        if len(ordered) > limit:
            parts.append(f"{len(ordered) - limit} more names")
        return ", ".join(parts)


def name_test(pattern: NamePattern) -> Callable[[str], object]:
    """A compiled form of :meth:`NamePattern.matches`, for many names."""
    if pattern.mode == "exact":
        return pattern.text.__eq__
    if pattern.mode == "glob":
        return re.compile(translate(pattern.text)).match
    return compiled(pattern.text).search


def _names_own(pattern: NamePattern) -> bool:
    text = pattern.text.lstrip("^(") if pattern.mode == "regex" else pattern.text
    return text.startswith(_OWN_PREFIX)


def _canonical_key(table: SpanTable, row: int) -> tuple[bool, int, bool, int, str, str, str]:
    start, end = table.start_ns[row], table.end_ns[row]
    return (
        start is None,
        start or 0,
        end is None,
        end or 0,
        table.trace_id[row],
        table.span_id[row],
        table.name[row],
    )
