"""Both sides in one tree: every span once, with its one status. What is missing stands where it stood."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from clnrm_nb.diff.model import SpanPair
from clnrm_nb.diff.structure import unpaired

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.diff.model import Edit, SpanStatus
    from clnrm_nb.diff.side import Side

__all__ = ["merge"]

_STRUCTURAL: Final = frozenset({"insert", "delete", "wrap", "unwrap", "count", "order"})

_Place = tuple[int, int, int | None, int]
"""Number in the baseline or -1, in the current side or -1, index of the parent, depth."""


def merge(
    baseline: Side, current: Side, forth: Sequence[int], back: Sequence[int], edits: Sequence[Edit]
) -> tuple[SpanPair, ...]:
    """The merged tree in pre-order: siblings of the current side by start, then those that are missing."""
    touched = _touched(edits)
    ghosts: dict[int, list[int]] = {}
    for i in unpaired(forth):
        ghosts.setdefault(baseline.parent[i], []).append(i)
    made: list[SpanPair] = []
    children, start = current.children, current.start
    same = _Same(baseline, current)
    todo: list[_Place] = [(baseline.n, current.n, None, -1)]
    while todo:
        place = i, j, above, depth = todo.pop()
        index = None
        if depth >= 0:
            index = len(made)
            is_same = i >= 0 and j >= 0 and j not in touched.current
            made.append(same.of(i, j, above, depth) if is_same else _span(baseline, current, place, touched))
        if i in ghosts:
            todo.extend([(child, -1, index, depth + 1) for child in reversed(ghosts[i])])
        if j >= 0:
            below = children[j]
            if len(below) > 1:
                below = sorted(below, key=start.__getitem__, reverse=True)
            todo.extend([(back[child], child, index, depth + 1) for child in below])
    return tuple(made)


class _Same:
    """Spans that no edit concerns, which are nearly all: made without asking."""

    def __init__(self, baseline: Side, current: Side) -> None:
        self._names_a, self._names_b, self._services = baseline.names, current.names, current.services
        self._rows_a, self._rows_b = baseline.row, current.row

    def of(self, i: int, j: int, above: int | None, depth: int) -> SpanPair:
        return SpanPair._make(
            (
                "same",
                self._names_b[j],
                self._names_a[i],
                self._services[j],
                i,
                j,
                self._rows_a[i],
                self._rows_b[j],
                above,
                depth,
                (),
            )
        )


class _Touched(NamedTuple):
    """What edits say about spans: statuses that are not ``same``, by current number; ids, by number."""

    statuses: dict[int, SpanStatus]
    baseline: dict[int, list[str]]
    current: dict[int, list[str]]


def _touched(edits: Sequence[Edit]) -> _Touched:
    statuses: dict[int, SpanStatus] = {}
    ids_a: dict[int, list[str]] = {}
    ids_b: dict[int, list[str]] = {}
    for edit in edits:
        if not edit.counted:
            continue
        for number in edit.baseline_spans:
            ids_a.setdefault(number, []).append(edit.edit_id)
        for number in edit.current_spans:
            ids_b.setdefault(number, []).append(edit.edit_id)
            if edit.op == "move":
                statuses[number] = "moved"
            elif edit.op == "rename":
                if statuses.get(number) != "moved":
                    statuses[number] = "renamed"
            elif edit.op not in _STRUCTURAL or edit.op == "order":
                statuses.setdefault(number, "changed")
    return _Touched(statuses, ids_a, ids_b)


def _span(baseline: Side, current: Side, place: _Place, touched: _Touched) -> SpanPair:
    i, j, parent, depth = place
    if j < 0:
        name, service, row = baseline.names[i], baseline.services[i], baseline.row[i]
        edits = tuple(touched.baseline.get(i, ()))
        return SpanPair("missing", None, name, service, i, None, row, None, parent, depth, edits)
    name, service, row = current.names[j], current.services[j], current.row[j]
    edits = tuple(touched.current.get(j, ()))
    if i < 0:
        return SpanPair("added", name, None, service, None, j, None, row, parent, depth, edits)
    status, old_name, old_row = touched.statuses.get(j, "same"), baseline.names[i], baseline.row[i]
    return SpanPair(status, name, old_name, service, i, j, old_row, row, parent, depth, edits)
