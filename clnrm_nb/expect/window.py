"""``[[expect.window]]`` (``format.md`` 7.5): what lies within a stretch of time, and how long that is.

A window is an outer span (one candidate must satisfy the whole block), the time from one span to another, or
the whole trace. Of the spans to be contained only the extremes of each trace matter, and the numbers of spans
inside many windows come from one sweep, so that ten thousand outer spans are as quick as one.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

from clnrm_nb.expect.claim import NO_TIMESTAMPS, NOT_FOUND, Claim, Finding, failed, passed, plural
from clnrm_nb.expect.values import comparison_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from clnrm_nb.expect.claim import Scope
    from clnrm_nb.expect.index import SpanIndex
    from clnrm_nb.scenario.model import NamePattern, WindowExpectation

__all__ = ["claims"]


@dataclass(frozen=True, slots=True)
class _Window:
    """A stretch of time. ``outer`` is the row of its span; ``trace`` restricts it to that trace."""

    start_ns: int
    end_ns: int
    title: str
    outer: int | None = None
    trace: str | None = None

    @property
    def duration_ms(self) -> float:
        return (self.end_ns - self.start_ns) / 1e6


@dataclass(frozen=True, slots=True)
class _Extent:
    """What is to be known of the spans of one name: how many, from when to when, how many without times."""

    rows: tuple[int, ...] = ()
    start_ns: int = 0
    end_ns: int = 0
    timeless: int = 0


@dataclass(frozen=True, slots=True)
class _Check:
    """One thing a window must satisfy."""

    text: str
    holds: Callable[[_Window], bool]
    actual: Callable[[_Window], str]
    is_timeless: Callable[[_Window], bool] = lambda _: False


def claims(scope: Scope) -> Iterator[Claim]:
    """One claim a block."""
    for position, block in enumerate(scope.expect.windows):
        look = partial(_look, block, scope.index)
        yield Claim(f"window[{position}]", "window", block.source, _expected_text(block), look)


def _expected_text(block: WindowExpectation) -> str:
    parts = [f"contains {', '.join(f'`{name}`' for name in block.contains)}"] if block.contains else []
    parts += [check for check, _ in _bounds(block)]
    return f"{_window_text(block)}: {', '.join(parts)}"


def _window_text(block: WindowExpectation) -> str:
    if block.outer is not None:
        return f"some `{block.outer}`"
    if block.start_span is not None and block.end_span is not None:
        return f"from `{block.start_span}` to `{block.end_span}`"
    return "the whole trace"


def _look(block: WindowExpectation, index: SpanIndex) -> Finding:
    windows = _windows(block, index)
    if isinstance(windows, Finding):
        return windows
    checks = [_contains_check(name, index) for name in block.contains]
    checks += [*_duration_checks(block), *_count_checks(block, windows, index)]
    best = max(windows, key=lambda window: sum(check.holds(window) for check in checks))
    unmet = [check for check in checks if not check.holds(best)]
    rows = [] if best.outer is None else [best.outer]
    actual = ", ".join(f"{check.text} (is {check.actual(best)})" for check in unmet or checks)
    if not unmet:
        is_settled = block.outer is not None and not block.contains and block.max_span_count is None
        return passed(f"{best.title}: {actual}", actual, rows, is_settled=is_settled)
    reason = NO_TIMESTAMPS if any(check.is_timeless(best) for check in unmet) else None
    closest = f"closest of {len(windows)}: " if len(windows) > 1 else ""
    message = f"{closest}{best.title} meets {len(checks) - len(unmet)} of {len(checks)}, unmet: {actual}"
    return failed(message, actual, rows, reason=reason)


# -------------------------------------------------------------------------------------------- windows


def _windows(block: WindowExpectation, index: SpanIndex) -> list[_Window] | Finding:
    if block.outer is not None:
        return _outer_windows(block.outer, index)
    if block.start_span is not None and block.end_span is not None:
        return _window_between(block.start_span, block.end_span, index)
    extent = _extent(index.program, index)
    if extent.timeless == len(index.program):
        return failed("no span has a start and an end: no timestamps", None, reason=NO_TIMESTAMPS)
    return [_Window(extent.start_ns, extent.end_ns, "the whole trace")]


def _outer_windows(pattern: NamePattern, index: SpanIndex) -> list[_Window] | Finding:
    rows = index.named(pattern)
    if not rows:
        return _absent(pattern)
    table = index.table
    windows = [
        _Window(start, end, index.title(row), row, table.trace_id[row])
        for row in rows
        if (start := table.start_ns[row]) is not None
        and (end := table.end_ns[row]) is not None
        and end >= start
    ]
    if windows:
        return windows
    message = f"{plural(len(rows), 'span')} `{pattern}` without start and end: no timestamps"
    return failed(message, None, rows, reason=NO_TIMESTAMPS)


def _window_between(first: NamePattern, last: NamePattern, index: SpanIndex) -> list[_Window] | Finding:
    first_rows, last_rows = index.named(first), index.named(last)
    for pattern, rows in ((first, first_rows), (last, last_rows)):
        if not rows:
            return _absent(pattern)
    starts = [start for row in first_rows if (start := index.table.start_ns[row]) is not None]
    ends = [end for row in last_rows if (end := index.table.end_ns[row]) is not None]
    title = f"the time from `{first}` to `{last}`"
    if not starts or not ends:
        return failed(f"{title} is unknown: no timestamps", None, reason=NO_TIMESTAMPS)
    if max(ends) < min(starts):
        message = (
            f"the last `{last}` ended at {index.offset_text(max(ends))}, "
            f"before the first `{first}` started at {index.offset_text(min(starts))}"
        )
        return failed(message, None, [*first_rows[:1], *last_rows[-1:]])
    return [_Window(min(starts), max(ends), title)]


def _absent(pattern: NamePattern) -> Finding:
    return failed(f"no span `{pattern}` was received", None, reason=NOT_FOUND)


# --------------------------------------------------------------------------------------------- checks


def _extent(rows: Sequence[int], index: SpanIndex) -> _Extent:
    timed = [row for row in rows if index.duration_ms(row) is not None]
    if not timed:
        return _Extent(tuple(rows[:2]), timeless=len(rows))
    starts, ends = cast("list[int]", index.table.start_ns), cast("list[int]", index.table.end_ns)
    earliest, latest = min(starts[row] for row in timed), max(ends[row] for row in timed)
    return _Extent(tuple(rows[:2]), earliest, latest, len(rows) - len(timed))


def _contains_check(pattern: NamePattern, index: SpanIndex) -> _Check:
    rows = index.named(pattern)
    by_trace: dict[str, list[int]] = {}
    for row in rows:
        by_trace.setdefault(index.table.trace_id[row], []).append(row)
    extents: dict[str | None, _Extent] = {trace: _extent(found, index) for trace, found in by_trace.items()}
    extents[None] = _extent(rows, index)

    def extent(window: _Window) -> _Extent:
        return extents.get(window.trace, _Extent())

    def is_found(window: _Window) -> bool:
        """Whether there is one besides the outer span itself."""
        return any(row != window.outer for row in extent(window).rows)

    def holds(window: _Window) -> bool:
        found = extent(window)
        is_inside = window.start_ns <= found.start_ns and found.end_ns <= window.end_ns
        return is_found(window) and not found.timeless and is_inside

    def actual(window: _Window) -> str:
        found = extent(window)
        if not is_found(window):
            return "not in that trace" if rows else "not received"
        if found.timeless:
            return f"{plural(found.timeless, 'span')} with no timestamps"
        where = "inside" if holds(window) else "not all inside"
        span = _stretch_text(found.start_ns, found.end_ns, index)
        return f"{where}: {span}, the window is {_stretch_text(window.start_ns, window.end_ns, index)}"

    return _Check(f"contains `{pattern}`", holds, actual, lambda window: extent(window).timeless > 0)


def _stretch_text(start_ns: int, end_ns: int, index: SpanIndex) -> str:
    return f"{index.offset_text(start_ns)} to {index.offset_text(end_ns)}"


def _bounds(block: WindowExpectation) -> list[tuple[str, float]]:
    """The limits that are set, in words."""
    limits = {
        "duration_ms >=": block.min_duration_ms,
        "duration_ms <=": block.max_duration_ms,
        "spans inside >=": block.min_span_count,
        "spans inside <=": block.max_span_count,
    }
    return [
        (f"{text} {comparison_text(limit)}", limit) for text, limit in limits.items() if limit is not None
    ]


def _duration_checks(block: WindowExpectation) -> Iterator[_Check]:
    for text, limit in _bounds(block):
        if text.startswith("duration_ms >="):
            yield _Check(
                text, partial(_is_as_long, limit), lambda window: comparison_text(window.duration_ms)
            )
        elif text.startswith("duration_ms <="):
            yield _Check(
                text, partial(_is_as_short, limit), lambda window: comparison_text(window.duration_ms)
            )


def _is_as_long(limit: float, window: _Window) -> bool:
    return window.duration_ms >= limit


def _is_as_short(limit: float, window: _Window) -> bool:
    return window.duration_ms <= limit


def _count_checks(block: WindowExpectation, windows: Sequence[_Window], index: SpanIndex) -> Iterator[_Check]:
    least, most = block.min_span_count, block.max_span_count
    if least is None and most is None:
        return
    counts = _counts_inside(windows, index)

    def actual(window: _Window) -> str:
        return str(counts[window])

    if least is not None:
        yield _Check(f"spans inside >= {least}", lambda window: counts[window] >= least, actual)
    if most is not None:
        yield _Check(f"spans inside <= {most}", lambda window: counts[window] <= most, actual)


def _counts_inside(windows: Sequence[_Window], index: SpanIndex) -> dict[_Window, int]:
    """Program spans fully inside each window; an outer span is not inside itself."""
    counts: dict[_Window, int] = {}
    by_trace: dict[str | None, list[_Window]] = {}
    for window in windows:
        by_trace.setdefault(window.trace, []).append(window)
    for trace, members in by_trace.items():
        rows = index.program if trace is None else index.traces.get(trace, [])
        for window, count in _sweep(members, rows, index):
            is_counted = window.outer is not None and not index.table.own[window.outer]
            counts[window] = count - is_counted
    return counts


def _sweep(
    windows: Sequence[_Window], rows: Sequence[int], index: SpanIndex
) -> Iterator[tuple[_Window, int]]:
    """From the latest start to the earliest, keeping the ends of all spans that started since."""
    starts, table_ends = cast("list[int]", index.table.start_ns), cast("list[int]", index.table.end_ns)
    waiting = sorted((row for row in rows if index.duration_ms(row) is not None), key=lambda row: starts[row])
    ends: list[int] = []
    for window in sorted(windows, key=lambda window: window.start_ns, reverse=True):
        while waiting and starts[waiting[-1]] >= window.start_ns:
            insort(ends, table_ends[waiting.pop()])
        yield window, bisect_right(ends, window.end_ns)
