"""Spans as pandas frames, with exactly the columns and dtypes of ``format.md`` 12.

The one module here that needs pandas; import it when a frame is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from clnrm_nb.spans.model import KINDS, STATUS_CODES
from clnrm_nb.spans.topology import depths, parents_first, tree_parents

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.spans.table import SpanTable

__all__ = ["EVENT_COLUMNS", "KIND_CATEGORIES", "SPAN_COLUMNS", "STATUS_CATEGORIES", "events_frame", "frame"]

KIND_CATEGORIES: Final = ("internal", "server", "client", "producer", "consumer", "unspecified")
STATUS_CATEGORIES: Final = STATUS_CODES

_TIME: Final = "datetime64[ns, UTC]"

SPAN_COLUMNS: Final = {
    "test_id": "string",
    "scenario": "string",
    "trace_id": "string",
    "span_id": "string",
    "parent_span_id": "string",
    "name": "string",
    "kind": "category",
    "service": "string",
    "start": _TIME,
    "end": _TIME,
    "duration_ms": "Float64",
    "status": "category",
    "status_message": "string",
    "error": "boolean",
    "depth": "Int64",
    "path": "string",
    "n_events": "Int64",
    "attributes": "object",
    "resource": "object",
    "scope": "string",
    "own": "boolean",
}
"""Columns of span frames and their dtypes, in order."""

EVENT_COLUMNS: Final = {
    "test_id": "string",
    "scenario": "string",
    "trace_id": "string",
    "span_id": "string",
    "name": "string",
    "time": _TIME,
    "attributes": "object",
}
"""Columns of event frames and their dtypes, in order."""

PATH_SEPARATOR: Final = " / "
_PATH_NAMES: Final = 32
"""Longer paths keep the root and this many names at their end: a chain of 100,000 would take 50 GB."""

_MAX_NS: Final = 2**63 - 1


def frame(table: SpanTable, test_id: str = "", *, scenarios: Sequence[str] = ()) -> pd.DataFrame:
    """All spans, one a row.

    Parameters
    ----------
    table : SpanTable
        May still be growing; the rows that are whole now are taken.
    test_id : str
        For the column of that name.
    scenarios : sequence of str
        Scenarios in file order; others follow in the order of their first span. Spans at test level come
        first.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`SPAN_COLUMNS`, sorted by scenario, then start (parents before children);
        possibly empty.
    """
    table = _whole(table)
    parents, _ = tree_parents(table)
    depth = depths(parents)
    rows = _order(table, depth, scenarios)
    path = _paths(table, parents)
    ordered = table.select(rows)
    values = {
        "test_id": pd.array([test_id] * len(rows), dtype="string"),
        "scenario": _strings(ordered.scenario),
        "trace_id": _strings(ordered.trace_id),
        "span_id": _strings(ordered.span_id),
        "parent_span_id": _strings(ordered.parent_span_id),
        "name": _strings(ordered.name),
        "kind": _categories(ordered.kind, KINDS, KIND_CATEGORIES),
        "service": _strings([resource.service for resource in ordered.resource]),
        "start": _times(ordered.start_ns),
        "end": _times(ordered.end_ns),
        "duration_ms": pd.array(
            [_duration_ms(start, end) for start, end in zip(ordered.start_ns, ordered.end_ns, strict=True)],
            dtype="Float64",
        ),
        "status": _categories(ordered.status_code, STATUS_CODES, STATUS_CATEGORIES),
        "status_message": _strings(ordered.status_message),
        "error": pd.array([code == _ERROR for code in ordered.status_code], dtype="boolean"),
        "depth": pd.array([depth[row] for row in rows], dtype="Int64"),
        "path": _strings([path[row] for row in rows]),
        "n_events": pd.array([len(events) for events in ordered.events], dtype="Int64"),
        "attributes": _objects(ordered.attributes),
        "resource": _objects([resource.attributes for resource in ordered.resource]),
        "scope": _strings([scope.name for scope in ordered.scope]),
        "own": pd.array(ordered.own, dtype="boolean"),
    }
    return pd.DataFrame(values, columns=list(SPAN_COLUMNS), copy=False)


def events_frame(table: SpanTable, test_id: str = "", *, scenarios: Sequence[str] = ()) -> pd.DataFrame:
    """All events of all spans, one a row, in the order of their spans.

    Parameters
    ----------
    table, test_id, scenarios
        As for :func:`frame`.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`EVENT_COLUMNS`, possibly empty.
    """
    table = _whole(table)
    parents, _ = tree_parents(table)
    rows = [row for row in _order(table, depths(parents), scenarios) for _ in table.events[row]]
    events = [event for row in dict.fromkeys(rows) for event in table.events[row]]
    values = {
        "test_id": pd.array([test_id] * len(rows), dtype="string"),
        "scenario": _strings([table.scenario[row] for row in rows]),
        "trace_id": _strings([table.trace_id[row] for row in rows]),
        "span_id": _strings([table.span_id[row] for row in rows]),
        "name": _strings([event.name for event in events]),
        "time": _times([event.time_ns for event in events]),
        "attributes": _objects([event.attributes for event in events]),
    }
    return pd.DataFrame(values, columns=list(EVENT_COLUMNS), copy=False)


_ERROR: Final = STATUS_CODES.index("error")


def _whole(table: SpanTable) -> SpanTable:
    """The rows that are whole now, standing still."""
    return table.select(range(len(table)))


def _order(table: SpanTable, depth: Sequence[int], scenarios: Sequence[str]) -> list[int]:
    starts = [_MAX_NS + 1 if start is None else start for start in table.start_ns]
    place: dict[str | None, int] = {None: -1}
    for name in scenarios:
        place.setdefault(name, len(place))
    for row in sorted(range(len(table)), key=starts.__getitem__):
        place.setdefault(table.scenario[row], len(place))
    return sorted(
        range(len(table)), key=lambda row: (place[table.scenario[row]], starts[row], depth[row], row)
    )


def _paths(table: SpanTable, parents: Sequence[int | None]) -> list[str]:
    """Names from the root down, long ones with their middle left out."""
    trails: list[tuple[str, ...]] = [()] * len(parents)
    for row in parents_first(parents):
        parent = parents[row]
        trail = ((*trails[parent], table.name[row])) if parent is not None else (table.name[row],)
        if len(trail) > _PATH_NAMES + 2:
            trail = (trail[0], "…", *trail[-_PATH_NAMES:])
        trails[row] = trail
    return [PATH_SEPARATOR.join(trail) for trail in trails]


def _duration_ms(start_ns: int | None, end_ns: int | None) -> float | None:
    return None if start_ns is None or end_ns is None or end_ns < start_ns else (end_ns - start_ns) / 1e6


def _strings(values: Sequence[str | None]) -> Any:
    return pd.array(list(values), dtype="string")


def _times(values: Sequence[int | None]) -> pd.DatetimeIndex:
    """Unknown times, and those beyond what 64 bits of nanoseconds hold (the year 2262), are NaT."""
    nothing = np.iinfo(np.int64).min
    numbers = np.fromiter(
        (nothing if value is None or value > _MAX_NS else value for value in values), np.int64, len(values)
    )
    return pd.DatetimeIndex(numbers.view("datetime64[ns]"), tz="UTC")


def _categories(codes: Sequence[int], words: Sequence[str], categories: Sequence[str]) -> Any:
    place = [categories.index(word) for word in words]
    return pd.Categorical.from_codes(
        [place[code] for code in codes], dtype=pd.CategoricalDtype(list(categories))
    )


def _objects(values: Sequence[Any]) -> Any:
    """An object column; numpy would try to make more of equal-sized containers."""
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column
