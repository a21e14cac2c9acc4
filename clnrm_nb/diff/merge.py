"""Both sides in one tree: every span once, with its one status. What is missing stands where it stood."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from clnrm_nb.diff.model import SpanPair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.diff.model import Edit, SpanStatus
    from clnrm_nb.diff.side import Side

__all__ = ["merge"]

_STRUCTURAL: Final = frozenset({"insert", "delete", "wrap", "unwrap", "count", "order"})


def merge(
    baseline: Side, current: Side, forth: Sequence[int], back: Sequence[int], edits: Sequence[Edit]
) -> tuple[SpanPair, ...]:
    """The merged tree in pre-order: siblings of the current side by start, then those that are missing."""
    touched = _touched(edits)
    made: list[SpanPair] = []
    # (number in the baseline or -1, in the current side or -1, index of the parent, depth)
    todo: list[tuple[int, int, int, int]] = [(baseline.n, current.n, -1, -1)]
    while todo:
        i, j, parent, depth = todo.pop()
        index = len(made) - (0 if depth >= 0 else 1)
        if depth >= 0:
            made.append(_span((baseline, current), (i, j), (parent, depth), touched))
        ghosts = [child for child in baseline.children[i] if forth[child] < 0] if i >= 0 else []
        todo.extend((child, -1, index, depth + 1) for child in reversed(ghosts))
        if j >= 0:
            below = current.children[j]
            if len(below) > 1:
                below = sorted(below, key=current.start.__getitem__)
            todo.extend((back[child], child, index, depth + 1) for child in reversed(below))
    return tuple(made)


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


def _span(
    sides: tuple[Side, Side], numbers: tuple[int, int], place: tuple[int, int], touched: _Touched
) -> SpanPair:
    (baseline, current), (i, j), (parent, depth) = sides, numbers, place
    status: SpanStatus = "missing" if j < 0 else "added" if i < 0 else touched.statuses.get(j, "same")
    return SpanPair(
        status=status,
        name=current.name(j) if j >= 0 else None,
        baseline_name=baseline.name(i) if i >= 0 else None,
        service=current.service(j) if j >= 0 else baseline.service(i),
        baseline=i if i >= 0 else None,
        current=j if j >= 0 else None,
        baseline_row=baseline.row[i] if i >= 0 else None,
        current_row=current.row[j] if j >= 0 else None,
        parent=parent if parent >= 0 else None,
        depth=depth,
        edits=tuple((touched.current.get(j) if j >= 0 else touched.baseline.get(i)) or ()),
    )
