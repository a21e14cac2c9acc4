"""Who is below whom: parents resolved, cycles cut, depth, and an order in which parents come first.

Iterative throughout: a chain may be as deep as the table is long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.spans.table import SpanTable

__all__ = ["children_of", "depth_first", "depths", "parents_first", "tree_parents"]


def tree_parents(table: SpanTable) -> tuple[list[int | None], int]:
    """Row of each span's parent, as a forest.

    A parent that is not in the table is none; a cycle is cut at its span with the smallest start.

    Returns
    -------
    tuple of (list of (int or None), int)
        The parents, and how many cycles were cut.
    """
    parents = table.parent_rows()
    unseen, on_path, done = 0, 1, 2
    state = bytearray(len(parents))
    n_cycles = 0
    for first in range(len(parents)):
        if state[first] == done:
            continue
        path: list[int] = []
        row: int | None = first
        while row is not None and state[row] == unseen:
            state[row] = on_path
            path.append(row)
            row = parents[row]
        if row is not None and state[row] == on_path:
            cycle = path[path.index(row) :]
            parents[min(cycle, key=lambda member: _age(table, member))] = None
            n_cycles += 1
        for member in path:
            state[member] = done
    return parents, n_cycles


def _age(table: SpanTable, row: int) -> tuple[bool, int, str, str]:
    start_ns = table.start_ns[row]
    return (start_ns is None, start_ns or 0, table.name[row], table.span_id[row])


def children_of(parents: Sequence[int | None]) -> list[list[int]]:
    """Rows of each span's children, in row order."""
    children: list[list[int]] = [[] for _ in parents]
    for row, parent in enumerate(parents):
        if parent is not None:
            children[parent].append(row)
    return children


def parents_first(parents: Sequence[int | None]) -> list[int]:
    """All rows, each after its parent."""
    children = children_of(parents)
    order = [row for row, parent in enumerate(parents) if parent is None]
    for row in order:  # Grows while it is walked.
        order.extend(children[row])
    return order


def depths(parents: Sequence[int | None]) -> list[int]:
    """Levels below its root, for each row."""
    depth = [0] * len(parents)
    for row in parents_first(parents):
        parent = parents[row]
        if parent is not None:
            depth[row] = depth[parent] + 1
    return depth


def depth_first(parents: Sequence[int | None]) -> tuple[list[int], list[int]]:
    """Rows depth first, children in row order.

    Returns
    -------
    tuple of (list of int, list of int)
        The rows, and for each of them the place of its parent in that list; the number of rows for roots.
        Rows of cycles and below them are missing.
    """
    n = len(parents)
    first, following = [-1] * (n + 1), [-1] * n
    for spot in range(n - 1, -1, -1):
        parent = parents[spot]
        if parent is None:
            parent = n
        following[spot] = first[parent]
        first[parent] = spot
    order: list[int] = []
    above: list[int] = []
    todo = [(first[n], n)] if n else []
    while todo:
        spot, parent = todo.pop()
        while spot >= 0:
            if following[spot] >= 0:
                todo.append((following[spot], parent))
            above.append(parent)
            parent = len(order)
            order.append(spot)
            spot = first[spot]
    return order, above
