"""The rows of the frames of a diff (``format.md`` 12)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.report.diffwords import edit_status
from clnrm_nb.spans.topology import parents_first, tree_parents

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from clnrm_nb.report.difflayout import Compared, DiffLayout

__all__ = ["edit_rows", "pair_rows"]

_SEPARATOR: Final = "/"
_LONGEST_TRAIL: Final = 32
"""Longer paths keep the root and this many names at their end, as those of a trace's frame."""

_Trail = tuple[str, ...]


def edit_rows(comparisons: Iterable[Compared]) -> list[dict[str, Any]]:
    """One row an edit, in the order of display."""
    return [
        {
            **edit.to_json(),
            "test_id": compared.test_id,
            "scenario": compared.scenario,
            "status": edit_status(edit),
            "path": edit.path if edit.path is not None else edit.baseline_path,
            "review": compared.reviews.get(edit.edit_id),
            "runner_up": edit.runner_up and edit.runner_up.path,
            "runner_up_score": edit.runner_up and edit.runner_up.score,
            "runner_up_cost": edit.runner_up and edit.runner_up.cost,
        }
        for compared in comparisons
        for edit in compared.edits
    ]


def pair_rows(layout: DiffLayout) -> list[dict[str, Any]]:
    """One row a span of either or both sides, in display order."""
    current, baseline = _current_trails(layout), _baseline_trails(layout)
    rows: list[dict[str, Any]] = []
    for place, pair in enumerate(layout.pairs):
        part = layout.parts[layout.part[place]]
        rows.append(
            {
                "test_id": part.test_id,
                "scenario": part.scenario,
                "status": pair.status,
                "path": _joined(current[place]),
                "baseline_path": _joined(baseline[place]),
                "name": pair.name,
                "baseline_name": pair.baseline_name,
                "n_edits": len(pair.edits),
                "duration_ms": _ms(layout.times_ns(place, of_baseline=False)[1]),
                "baseline_duration_ms": _ms(layout.times_ns(place, of_baseline=True)[1]),
            }
        )
    return rows


def _current_trails(layout: DiffLayout) -> list[_Trail]:
    trails: list[_Trail] = []
    for place, pair in enumerate(layout.pairs):
        parent = layout.parent[place]
        above = trails[parent] if parent != -1 else ()
        trails.append(() if pair.name is None else _longer(above, pair.name))
    return trails


def _baseline_trails(layout: DiffLayout) -> list[_Trail]:
    """By the baseline's own tree where there is one: what moved had another parent there."""
    by_row = [_trails_of_table(part) for part in layout.parts]
    trails: list[_Trail] = []
    for place, pair in enumerate(layout.pairs):
        rows, parent = by_row[layout.part[place]], layout.parent[place]
        if pair.baseline_name is None:
            # What is below a span that came between has its old parent above that.
            trails.append(trails[parent] if parent != -1 else ())
        elif rows is not None and pair.baseline_row is not None:
            trails.append(rows[pair.baseline_row])
        else:
            trails.append(_longer(trails[parent] if parent != -1 else (), pair.baseline_name))
    return [
        trail if pair.baseline_name is not None else ()
        for trail, pair in zip(trails, layout.pairs, strict=True)
    ]


def _trails_of_table(part: Compared) -> Sequence[_Trail] | None:
    table = part.baseline
    if table is None:
        return None
    # Names as shown, which may be masked.
    names = {pair.baseline_row: pair.baseline_name for pair in part.spans}
    parents, _ = tree_parents(table)
    trails: list[_Trail] = [()] * len(parents)
    for row in parents_first(parents):
        parent, name = parents[row], names.get(row)
        above = trails[parent] if parent is not None else ()
        # Rows that were not compared, the engine's own, are no part of a path.
        trails[row] = above if name is None else _longer(above, name)
    return trails


def _longer(trail: _Trail, name: str) -> _Trail:
    if len(trail) > _LONGEST_TRAIL + 1:
        return (trail[0], "…", *trail[-_LONGEST_TRAIL + 1 :], name)
    return (*trail, name)


def _joined(trail: _Trail) -> str | None:
    return _SEPARATOR.join(trail) if trail else None


def _ms(duration_ns: int | None) -> float | None:
    return None if duration_ns is None else duration_ns / 1e6
