"""Where the time of a run went, per phase (``--timings``): the phases of its own trace, added up by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.report.lines import Line, line, to_plain
from clnrm_nb.report.text import duration_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from clnrm_nb.spans.phases import Phase

__all__ = ["timing_lines", "timing_text", "timings"]

_TEST: Final = "clnrm.test"


def timings(root: Phase, tests: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The document.

    Parameters
    ----------
    root : Phase
        The run, or the change it was run for.
    tests : iterable of mapping
        Documents of its tests. Those that ran are phases of the run; where several ran at once, they add up
        to more than the time that passed.

    Returns
    -------
    dict
        ``trace_id``, and ``phases`` in the order in which they began: ``name``, ``parent`` (its place in
        ``phases``, ``None`` for the root), ``count``, ``start_ms`` (of the first, since the root began),
        ``duration_ms`` (of all together).
    """
    rows: list[dict[str, Any]] = []
    places: dict[tuple[int | None, str], int] = {}
    place_of: dict[int, int] = {}

    def add(name: str, parent: int | None, start_ms: float | None, duration_ms: float) -> int:
        place = places.setdefault((parent, name), len(rows))
        if place == len(rows):
            rows.append(
                {"name": name, "parent": parent, "count": 0, "start_ms": start_ms, "duration_ms": 0.0}
            )
        rows[place]["count"] += 1
        rows[place]["duration_ms"] += duration_ms
        return place

    runs = []
    for phase in root.walk():
        above = None if phase.parent is None else place_of.get(id(phase.parent))
        place_of[id(phase)] = add(
            phase.name, above, (phase.start_ns - root.start_ns) / 1e6, phase.duration_ms
        )
        if phase.run is phase:
            runs.append(place_of[id(phase)])
    ran = [test for test in tests if not test["cached"] and test.get("timings_ms")]
    for test in ran if runs else ():
        place = add(_TEST, runs[-1], None, test["duration_ms"])
        for name, spent_ms in test["timings_ms"].items():
            add(name, place, None, spent_ms)
    for row in rows:
        row["duration_ms"] = round(row["duration_ms"], 3)
        row["start_ms"] = None if row["start_ms"] is None else round(row["start_ms"], 3)
    return {"trace_id": root.trace_id, "phases": rows}


def timing_text(document: Mapping[str, Any]) -> str:
    """The same as plain text, without its heading."""
    return to_plain(timing_lines(document)[1:])


def timing_lines(document: Mapping[str, Any]) -> list[Line]:
    """The phases as an indented list."""
    phases: Sequence[Mapping[str, Any]] = document["phases"]
    below: dict[int | None, list[int]] = {}
    for place, phase in enumerate(phases):
        below.setdefault(phase["parent"], []).append(place)
    lines = [line(("where the time went", "bold"))]
    waiting = [(place, 1) for place in reversed(below.get(None, []))]
    names = max((len(phase["name"]) for phase in phases), default=0) + 8
    while waiting:
        place, depth = waiting.pop()
        phase = phases[place]
        label = f"{'  ' * depth}{phase['name']}".ljust(names)
        times = f"  {phase['count']} times" if phase["count"] > 1 else ""
        lines.append(line(f"{label} {duration_text(phase['duration_ms']):>9}", (times, "dim")))
        waiting += [(inner, depth + 1) for inner in reversed(below.get(place, []))]
    return lines
