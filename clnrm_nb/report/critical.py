"""Which spans the end of a trace waited for.

From the end of the root backwards: the child that ended last is what its parent waited for, from that child's
start on the one that had ended by then, and so on; what no child covers is the span's own time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pandas import DataFrame

    from clnrm_nb.report.layout import Part
    from clnrm_nb.spans.table import SpanTable

__all__ = ["critical_path", "path_of"]


def path_of(table: SpanTable) -> list[tuple[int, int, int]]:
    """Rows on the critical path of each trace of a table and the nanoseconds of each.

    Returns
    -------
    list of (root row, row, nanoseconds)
        Traces by the start of their root; within one in order of time. Spans without both times are left out.
    """
    children: dict[int | None, list[int]] = {}
    for row, parent in enumerate(table.parent_rows()):
        start, end = table.start_ns[row], table.end_ns[row]
        if start is not None and end is not None and end >= start:
            children.setdefault(parent, []).append(row)
    longest: dict[str, int] = {}
    for row in children.get(None, ()):
        best = longest.get(table.trace_id[row])
        if best is None or _length(table, row) > _length(table, best):
            longest[table.trace_id[row]] = row
    roots = sorted(longest.values(), key=lambda row: table.start_ns[row] or 0)
    return [(root, row, ns) for root in roots for row, ns in _one_path(table, root, children)]


def _bounds(table: SpanTable, row: int) -> tuple[int, int]:
    start, end = table.start_ns[row], table.end_ns[row]
    assert start is not None
    assert end is not None
    return start, end


def _length(table: SpanTable, row: int) -> int:
    start, end = _bounds(table, row)
    return end - start


def _one_path(table: SpanTable, root: int, children: dict[int | None, list[int]]) -> list[tuple[int, int]]:
    spent: dict[int, int] = {}
    order: list[int] = []
    # (row, from, until): the time within which a span is on the path; taken from the end of the trace on.
    pending = [(root, *_bounds(table, root))]
    while pending:
        row, since, cursor = pending.pop()
        if row not in spent:
            spent[row] = 0
            order.append(row)
        within: list[tuple[int, int, int]] = []
        by_end = sorted(children.get(row, ()), key=lambda child: _bounds(table, child)[1], reverse=True)
        for child in by_end:
            start, end = _bounds(table, child)
            start, end = max(start, since), min(end, cursor)
            if start >= end or cursor <= since:
                continue
            spent[row] += cursor - end
            within.append((child, start, end))
            cursor = start
        spent[row] += max(cursor - since, 0)
        pending += reversed(within)
    first = {row: _bounds(table, row)[0] for row in order}
    return [(row, spent[row]) for row in sorted(order, key=first.__getitem__)]


def critical_path(parts: Sequence[Part]) -> DataFrame:
    """See :meth:`clnrm_nb.report.trace.Trace.critical_path`."""
    from clnrm_nb.report.frames import frame_of

    rows = []
    for part in parts:
        table = part.table
        for root, row, spent_ns in path_of(table):
            rows.append(
                {
                    "test_id": part.test_id,
                    "trace_id": table.trace_id[row],
                    "span_id": table.span_id[row],
                    "name": table.name[row],
                    "service": table.resource[row].service,
                    "on_path_ms": spent_ns / 1e6,
                    "share": spent_ns / max(_length(table, root), 1),
                }
            )
    dtypes = dict.fromkeys(("test_id", "trace_id", "span_id", "name", "service"), "string")
    return frame_of({**dtypes, "on_path_ms": "Float64", "share": "Float64"}, rows)
