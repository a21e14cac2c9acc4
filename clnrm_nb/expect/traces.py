"""``otel_validation.expected_traces`` (older form, ``format.md`` 7.9): what whole traces look like.

One trace must have everything a block asks for; the failure tells of the trace that came closest.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from clnrm_nb.expect.claim import NOT_FOUND, Claim, Finding, failed, passed, plural
from clnrm_nb.expect.index import SpanIndex, name_test
from clnrm_nb.expect.values import bound_text, has_upper_limit
from clnrm_nb.scenario.model import NamePattern

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clnrm_nb.expect.claim import Scope
    from clnrm_nb.scenario.model import TraceExpectation

__all__ = ["claims"]


def claims(scope: Scope) -> Iterator[Claim]:
    """One claim a block, one more for its ``trace_count``."""
    for position, block in enumerate(scope.expect.traces):
        yield Claim(
            f"traces[{position}]",
            "traces",
            block.source,
            _expected_text(block),
            partial(_look, block, scope.index),
        )
        if block.trace_count is not None:
            yield Claim(
                f"traces[{position}].trace_count",
                "traces",
                (*block.source, "trace_count"),
                bound_text(block.trace_count),
                partial(_count, block, scope.index),
            )


def _expected_text(block: TraceExpectation) -> str:
    which = f"trace {block.trace_id}" if block.trace_id else "a trace"
    parts = [f"with {', '.join(f'`{name}`' for name in block.span_names)}"]
    parts += [f"`{a}` → `{b}`" for a, b in block.parent_child]
    parts += [word for word in ("complete", "is_tree", "ordered") if getattr(block, word)]
    return f"{which} {', '.join(parts)}"


def _look(block: TraceExpectation, index: SpanIndex) -> Finding:
    candidates = {
        trace: rows
        for trace, rows in index.traces.items()
        if block.trace_id is None or block.trace_id.lower() == trace.lower()
    }
    if not candidates:
        return failed(f"trace {block.trace_id} was not received", None, reason=NOT_FOUND)
    if block.trace_count is not None and block.trace_count.holds(0) and not _holding(block, index):
        return passed("no trace holds all names, as expected", 0)
    closest: tuple[str, list[str]] | None = None
    for trace, rows in candidates.items():
        unmet = list(_unmet(block, rows, index))
        if not unmet:
            settled = not (block.complete or block.is_tree)
            return passed(f"trace {trace} is as expected", trace, rows, is_settled=settled)
        if closest is None or len(unmet) < len(closest[1]):
            closest = (trace, unmet)
    assert closest is not None
    of_how_many = f"closest of {len(candidates)}: " if len(candidates) > 1 else ""
    trace, unmet = closest
    return failed(f"{of_how_many}trace {trace}: {'; '.join(unmet)}", "; ".join(unmet), candidates[trace])


def _unmet(block: TraceExpectation, rows: Sequence[int], index: SpanIndex) -> Iterator[str]:
    """What one trace lacks, in words."""
    names = index.table.name
    tests = [name_test(NamePattern.of(text)) for text in block.span_names]
    found = [[row for row in rows if test(names[row])] for test in tests]
    for text, matching in zip(block.span_names, found, strict=True):
        if not matching:
            yield f"no span `{text}`"
    members = set(rows)
    for a, b in block.parent_child:
        below = [row for row in index.named(b) if row in members]
        if index.child_of(below, index.named(a)) is None:
            yield f"no `{b}` is a direct child of `{a}`"
    if block.complete:
        others = [row for row in rows if not any(test(names[row]) for test in tests)]
        if others:
            yield f"also has {index.names_text(others)}"
    if block.is_tree and (problem := _tree_problem(rows, index)):
        yield problem
    if block.ordered and all(found) and (problem := _order_problem(block.span_names, found, index)):
        yield problem


def _tree_problem(rows: Sequence[int], index: SpanIndex) -> str | None:
    """Exactly one root, every parent present, no cycle."""
    orphans, roots, members = index.orphans(rows), index.roots(rows), set(rows)
    if orphans:
        return f"the parent of {index.title(orphans[0])} was not received"
    if len(roots) != 1:
        return f"has {plural(len(roots), 'root')}"
    cycle = next((cycle for cycle in index.cycles if members.intersection(cycle)), None)
    return f"its parents form a cycle at {index.title(cycle[0])}" if cycle else None


def _order_problem(texts: Sequence[str], found: Sequence[Sequence[int]], index: SpanIndex) -> str | None:
    previous: tuple[str, int] | None = None
    for text, rows in zip(texts, found, strict=True):
        starts = [start for row in rows if (start := index.table.start_ns[row]) is not None]
        if not starts:
            return f"`{text}` has no timestamps"
        if previous is not None and min(starts) < previous[1]:
            return f"`{text}` started at {index.offset_text(min(starts))}, before `{previous[0]}`"
        previous = (text, min(starts))
    return None


def _holding(block: TraceExpectation, index: SpanIndex) -> list[int]:
    """The first row of each trace that holds all names."""
    tests = [name_test(NamePattern.of(text)) for text in block.span_names]
    names = index.table.name
    return [
        rows[0]
        for rows in index.traces.values()
        if all(any(test(names[row]) for row in rows) for test in tests)
    ]


def _count(block: TraceExpectation, index: SpanIndex) -> Finding:
    assert block.trace_count is not None
    rows = _holding(block, index)
    message = f"{plural(len(rows), 'trace')} with all names, expected {bound_text(block.trace_count)}"
    if block.trace_count.holds(len(rows)):
        return passed(message, len(rows), rows, is_settled=not has_upper_limit(block.trace_count))
    return failed(message, len(rows), rows)
