"""``[expect.graph]`` (``format.md`` 7.4): edges, paths and the shape of traces."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from clnrm_nb.expect.claim import NOT_FOUND, Claim, Finding, failed, not_evaluated, passed, plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clnrm_nb.expect.claim import Scope
    from clnrm_nb.expect.index import SpanIndex
    from clnrm_nb.scenario.model import Edge, GraphExpectation

__all__ = ["claims", "missing_edge_text"]

_CYCLE_SHOWN = 6


def claims(scope: Scope) -> Iterator[Claim]:
    """One claim an edge, one a shape."""
    index = scope.index
    for block in scope.expect.graph:
        yield from _edges(block, index)
        yield from _shapes(block, index)
    if scope.expect.should_have_parent_child_edges:
        source = ("otel_expectations", "should_have_parent_child_edges")
        yield Claim(
            "should_have_parent_child_edges", "graph", source, "a direct edge", partial(_any_edge, index)
        )


def _edges(block: GraphExpectation, index: SpanIndex) -> Iterator[Claim]:
    relation = "a descendant" if block.descendant else "a direct child"
    for position, (a, b) in enumerate(block.must_include):
        yield Claim(
            f"graph.must_include[{a}→{b}]",
            "graph",
            (*block.source, "must_include", position),
            f"some `{b}` is {relation} of a `{a}`",
            partial(_include, (a, b), index, descendant=block.descendant),
        )
    joined = "joined by a direct edge" if block.mode == "edge" else "joined by a path"
    for position, (a, b) in enumerate(block.must_not_cross):
        yield Claim(
            f"graph.must_not_cross[{a}→{b}]",
            "graph",
            (*block.source, "must_not_cross", position),
            f"no `{a}` and `{b}` {joined}",
            partial(_not_cross, block, (a, b), index),
        )


def _shapes(block: GraphExpectation, index: SpanIndex) -> Iterator[Claim]:
    if block.acyclic:
        yield Claim("graph.acyclic", "graph", (*block.source, "acyclic"), True, partial(_acyclic, index))
    if block.max_depth is not None:
        look = partial(_depth, block.max_depth, index)
        yield Claim("graph.max_depth", "graph", (*block.source, "max_depth"), block.max_depth, look)
    if block.must_be_connected:
        source = (*block.source, "must_be_connected")
        yield Claim("graph.must_be_connected", "graph", source, True, partial(_connected, index))


# ---------------------------------------------------------------------------------------------- edges


def _include(edge: Edge, index: SpanIndex, *, descendant: bool) -> Finding:
    above, below = index.named(edge[0]), index.named(edge[1])
    pair = index.ancestor_in(below, above) if descendant else index.child_of(below, above)
    if pair is not None:
        message = f"{index.title(pair[1])} is below {index.title(pair[0])}"
        return passed(message, None, pair, is_settled=True)
    return failed(*missing_edge_text(edge, index, descendant=descendant))


def missing_edge_text(
    edge: Edge, index: SpanIndex, *, descendant: bool = False
) -> tuple[str, str, list[int]]:
    """Why no such edge was found: message, what there is instead, the spans concerned."""
    above, below = index.named(edge[0]), index.named(edge[1])
    missing = [str(pattern) for pattern, rows in zip(edge, (above, below), strict=True) if not rows]
    if missing:
        names = " and no ".join(f"span `{name}`" for name in missing)
        return f"no {names} was received", "not received", [*above, *below]
    actual = _parents_text(below, index)
    relation = "a descendant" if descendant else "a direct child"
    count = plural(len(below), "span")
    message = f"none of {count} `{edge[1]}` is {relation} of any `{edge[0]}`; their parents: {actual}"
    return message, actual, below


def _parents_text(rows: Sequence[int], index: SpanIndex) -> str:
    absent = sum(index.parent[row] is None and index.table.parent_span_id[row] is not None for row in rows)
    known = [
        index.parent[row]
        for row in rows
        if index.table.parent_span_id[row] is None or index.parent[row] is not None
    ]
    parts = [index.names_text(known)] if known else []
    if absent:
        parts.append(f"not received ×{absent}" if absent > 1 else "not received")
    return ", ".join(parts)


def _not_cross(block: GraphExpectation, edge: Edge, index: SpanIndex) -> Finding:
    left, right = index.named(edge[0]), index.named(edge[1])
    for pattern, rows in zip(edge, (left, right), strict=True):
        if not rows:
            message = f"no span `{pattern}` was received"
            return passed(message) if block.allow_missing else not_evaluated(message, NOT_FOUND)
    find = index.child_of if block.mode == "edge" else index.ancestor_in
    pair = find(right, left) or find(left, right)
    if pair is None:
        return passed(f"nothing joins `{edge[0]}` and `{edge[1]}`")
    message = f"{index.title(pair[1])} is below {index.title(pair[0])}"
    return failed(message, _chain_text(pair, index), pair, is_settled=True)


def _chain_text(pair: tuple[int, int], index: SpanIndex) -> str:
    """``a → … → b``."""
    top, row = pair
    above = index.parent[row]
    middle = " → " if above == top else " → … → "
    return f"{index.table.name[top]}{middle}{index.table.name[row]}"


def _any_edge(index: SpanIndex) -> Finding:
    pair = index.child_of(index.program, index.program)
    if pair is None:
        return failed(f"none of {plural(len(index.program), 'span')} is the child of another", 0)
    return passed(f"{index.title(pair[1])} is below {index.title(pair[0])}", None, pair, is_settled=True)


# ---------------------------------------------------------------------------------------------- shapes


def _acyclic(index: SpanIndex) -> Finding:
    if not index.cycles:
        return passed("following parents never repeats a span", True)
    cycle = index.cycles[0]
    message = f"following parents repeats a span: {_cycle_text(cycle, index)}"
    return failed(message, False, cycle, is_settled=True)


def _cycle_text(cycle: Sequence[int], index: SpanIndex) -> str:
    names = [f"`{index.table.name[row]}`" for row in cycle[:_CYCLE_SHOWN]]
    more = [f"… ({len(cycle)} spans)"] if len(cycle) > _CYCLE_SHOWN else []
    return " → ".join([*names, *more, names[0]])


def _depth(limit: int, index: SpanIndex) -> Finding:
    if index.cycles:
        cycle = index.cycles[0]
        return failed(f"no depth: the parents form a cycle, {_cycle_text(cycle, index)}", None, cycle)
    depths = _depths(index)
    deepest = max(index.program, key=lambda row: depths[row])
    message = f"the longest chain has {plural(depths[deepest], 'span')} and ends at {index.title(deepest)}"
    if depths[deepest] <= limit:
        return passed(message, depths[deepest], [deepest])
    return failed(f"{message}, expected at most {limit}", depths[deepest], [deepest], is_settled=True)


def _depths(index: SpanIndex) -> list[int]:
    """Spans of the program from each row's root down to it; own spans do not count."""
    own = index.table.own
    depths = [0] * len(own)
    for start in index.program:
        chain: list[int] = []
        row: int | None = start
        while row is not None and not own[row] and not depths[row]:
            chain.append(row)
            row = index.parent[row]
        depth = depths[row] if row is not None else 0
        for member in reversed(chain):
            depth += 1
            depths[member] = depth
    return depths


def _connected(index: SpanIndex) -> Finding:
    for trace_id, rows in index.traces.items():
        orphans = index.orphans(rows)
        if orphans:
            first = orphans[0]
            message = (
                f"the parent of {index.title(first)} was not received "
                f"({plural(len(orphans), 'such span')} in trace {trace_id})"
            )
            return failed(message, f"{plural(len(orphans), 'orphan')}", orphans)
        roots = index.roots(rows)
        if len(roots) != 1:
            names = f": {index.names_text(roots)}" if roots else ""
            message = f"trace {trace_id} has {plural(len(roots), 'root')}{names}"
            return failed(message, plural(len(roots), "root"), roots, is_settled=True)
    return passed(f"each of {plural(len(index.traces), 'trace')} has one root and no orphan", True)
