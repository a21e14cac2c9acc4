"""Orders that no run can have: CLN403, CLN404, CLN406."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from clnrm_nb.validation.walk import all_expects, is_written

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from clnrm_nb.scenario.findings import Findings
    from clnrm_nb.scenario.model import Edge, Expect, KeyPath, TestFile
    from clnrm_nb.validation.walk import Document

__all__ = ["check_cycles"]


class _Graph:
    """A directed graph that is grown edge by edge and kept free of cycles."""

    def __init__(self) -> None:
        self._next: defaultdict[str, list[str]] = defaultdict(list)

    def add(self, start: str, end: str) -> list[str] | None:
        """Add an edge; if it would close a cycle, leave it out and return that cycle."""
        back = self.way(end, start)
        if back is None:
            self._next[start].append(end)
            return None
        return [start, *back]

    def way(self, start: str, end: str) -> list[str] | None:
        """A shortest way, both ends included; just ``[start]`` where they are the same."""
        came_from: dict[str, str | None] = {start: None}
        waiting = [start]
        for here in waiting:
            if here == end:
                return list(_trace(came_from, end))[::-1]
            for there in self._next.get(here, ()):
                if there not in came_from:
                    came_from[there] = here
                    waiting.append(there)
        return None


def _trace(came_from: dict[str, str | None], end: str) -> Iterator[str]:
    here: str | None = end
    while here is not None:
        yield here
        here = came_from[here]


def check_cycles(test: TestFile, document: Document, findings: Findings) -> None:
    """No cycle in ``depends_on``, none in the orders of one scope; no order between a span and its inside."""
    _check_dependencies(test, document, findings)
    for expect in all_expects(test):
        _check_order(expect, findings)


def _check_dependencies(test: TestFile, document: Document, findings: Findings) -> None:
    graph = _Graph()
    for name, service in test.services.items():
        path = service.path_of("depends_on")
        for index, needed in enumerate(service.depends_on):
            cycle = graph.add(name, needed)
            if cycle:
                by_name = is_written(document, (*path, needed))
                way = " → ".join(cycle)
                message = f"services wait for each other: {way}"
                findings.add("CLN403", (*path, needed if by_name else index), message)


def _check_order(expect: Expect, findings: Findings) -> None:
    order, inside = _Graph(), _Graph()
    for parent, child in (edge for graph in expect.graph for edge in graph.must_include):
        if parent.mode == child.mode == "exact":
            inside.add(parent.text, child.text)
    for (before, after), path in _orders(expect):
        cycle = order.add(before.text, after.text)
        if cycle:
            findings.add("CLN404", path, f"no trace has this order: {' → '.join(cycle)}")
        if before.mode == after.mode == "exact" and before.text != after.text:
            _check_ancestors(before.text, after.text, inside, path, findings)


def _orders(expect: Expect) -> Iterable[tuple[Edge, KeyPath]]:
    """Every ``(before, after)`` pair asked for, with where it is written."""
    for order in expect.order:
        for index, edge in enumerate(order.must_precede):
            yield edge, order.path_of("must_precede", index)
        for index, (after, before) in enumerate(order.must_follow):
            yield (before, after), order.path_of("must_follow", index)


def _check_ancestors(before: str, after: str, inside: _Graph, path: KeyPath, findings: Findings) -> None:
    if inside.way(before, after):
        findings.add(
            "CLN406", path, f"`{after}` is inside `{before}`; `{before}` cannot end before it starts"
        )
    elif inside.way(after, before):
        findings.add("CLN406", path, f"`{before}` is inside `{after}`; it cannot precede it")
