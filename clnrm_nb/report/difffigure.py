"""The plotly figure of a diff: baseline and current in one picture. Imported only when somebody asks for it.

Two bar traces, two bars a row, so that 700 rows stay within the 1,400 bars that browsers bear. The baseline's
bars are hollow. Accepted traces hold no times, so that they stand where the run's spans do, which the legend
says; a span that is missing is a ghost row: hatched, where it was, or along its parent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import plotly.graph_objects as go

from clnrm_nb.report.diffwords import edit_text, edits_of, pair_name
from clnrm_nb.report.figures import PAPER, plain
from clnrm_nb.report.palette import HATCHINGS, LIGHT
from clnrm_nb.report.signs import UNICODE
from clnrm_nb.report.text import duration_text, number_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.report.difflayout import DiffLayout, Window

__all__ = ["MOST_ROWS", "diff_waterfall"]

MOST_ROWS: Final = 700
_ROW_PX: Final = 26
_LONGEST_LABEL: Final = 60
_EDITS_IN_HOVER: Final = 8
_LONGEST_FACT: Final = 120

_Bar = tuple[float, float, bool]
"""Start and duration in ms, and whether they are known."""


def diff_waterfall(layout: DiffLayout, rows: int = MOST_ROWS, *, only_differences: bool = True) -> go.Figure:
    """One row a span of either or both sides; the baseline's bar above the current one."""
    window = layout.window(min(rows, MOST_ROWS), only_differences=only_differences)
    sides = [_trace(layout, window, of_baseline=of_baseline) for of_baseline in (True, False)]
    figure = go.Figure(sides, PAPER)
    labels = [_label(layout, place, level) for place, level in _levels(window)]
    figure.update_layout(
        title={"text": _title(layout, window), "font": {"size": 14}},
        barmode="overlay",
        legend={"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "itemclick": False},
        margin={"l": 10, "r": 10, "t": 80, "b": 50},
        uirevision="clnrm",
        hovermode="closest",
        height=max(190, _ROW_PX * len(window.places) + 140),
    )
    figure.update_xaxes(title="ms since the first span of each side")
    figure.update_yaxes(tickvals=list(range(len(labels))), ticktext=labels, autorange="reversed")
    return figure


def _levels(window: Window) -> list[tuple[int, int]]:
    return [(window.places[item.row], item.level) for item in window.items() if not item.is_note]


def _trace(layout: DiffLayout, window: Window, *, of_baseline: bool) -> go.Bar:
    ys: list[int] = []
    bars: list[_Bar] = []
    for y, place in enumerate(window.places):
        bar = _bar(layout, place, of_baseline=of_baseline)
        if bar is not None:
            ys.append(y)
            bars.append(bar)
    places = [window.places[y] for y in ys]
    statuses = [layout.pairs[place].status for place in places]
    colours = [LIGHT[status] for status in statuses]
    return go.Bar(
        orientation="h",
        name=_legend(bars) if of_baseline else "current",
        legendrank=2 if of_baseline else 1,
        showlegend=True,
        base=[start for start, _, _ in bars],
        x=[duration for _, duration, _ in bars],
        y=ys,
        offset=-0.42 if of_baseline else -0.04,
        width=0.32 if of_baseline else 0.46,
        marker={
            "color": ["rgba(0,0,0,0)"] * len(bars) if of_baseline else colours,
            "line": {"color": colours, "width": 1.5 if of_baseline else 1},
            "pattern": {
                "shape": [
                    HATCHINGS.get(status, "") if (status == "missing") == of_baseline else ""
                    for status in statuses
                ],
                "fillmode": "overlay",
                "fgcolor": colours if of_baseline else "#ffffff",
                "size": 6,
            },
        },
        customdata=[[place, *layout.pairs[place].edits[:_EDITS_IN_HOVER]] for place in places],
        hovertext=[_hover(layout, place, bar, of_baseline) for place, bar in zip(places, bars, strict=True)],
        hoverinfo="text",
    )


def _bar(layout: DiffLayout, place: int, *, of_baseline: bool) -> _Bar | None:
    """Where a side's bar stands; ``None`` where there is nothing to draw."""
    pair = layout.pairs[place]
    if (pair.baseline if of_baseline else pair.current) is None:
        return None
    offset, duration = layout.times_ns(place, of_baseline=of_baseline)
    if offset is not None and duration is not None:
        return offset / 1e6, duration / 1e6, True
    if of_baseline and pair.current is not None:
        offset, duration = layout.times_ns(place, of_baseline=False)
        if offset is not None and duration is not None:
            return offset / 1e6, duration / 1e6, False
    return _beside(layout, place)


def _legend(bars: Sequence[_Bar]) -> str:
    has_times = any(is_known for _, _, is_known in bars)
    return "baseline" if has_times else "baseline (holds no times: drawn where the run's spans are)"


def _beside(layout: DiffLayout, place: int) -> _Bar:
    """The time of the nearest span above that has one; of the whole side where none has."""
    above = layout.parent[place]
    while above != -1:
        offset, duration = layout.times_ns(above, of_baseline=False)
        if offset is not None and duration is not None:
            return offset / 1e6, duration / 1e6, False
        above = layout.parent[above]
    part = layout.part[place]
    length_ns = max(layout.length_ns(part, of_baseline=side) for side in (True, False))
    return 0.0, (length_ns or 1e6) / 1e6, False


def _title(layout: DiffLayout, window: Window) -> str:
    totals = layout.totals()
    words = [f"{UNICODE.status[word]} {number_text(n)} {word}" for word, n in totals.items() if n]
    title = ", ".join(words) or "no spans"
    if len(window.places) < len(layout):
        title += f" (showing {number_text(len(window.places))} of {number_text(len(layout))})"
    return title


def _label(layout: DiffLayout, place: int, level: int) -> str:
    pair = layout.pairs[place]
    name = plain(pair_name(pair)[:_LONGEST_LABEL])
    # Labels are flush right: a dot a level shows what blanks could not.
    return f"{'·' * min(level, 12)} {UNICODE.status[pair.status]} {name}"


def _hover(layout: DiffLayout, place: int, bar: _Bar, of_baseline: bool) -> str:  # noqa: FBT001  # private
    pair = layout.pairs[place]
    side = "baseline" if of_baseline else "current"
    took = duration_text(bar[1]) if bar[2] else "time unknown"
    words = [f"{UNICODE.status[pair.status]} {pair.status}: {plain(pair_name(pair))}"]
    words.append(f"{plain(pair.service)}, {side}, {took}")
    edits: Sequence[Any] = edits_of(layout, place) if pair.edits else ()
    words += [plain(edit_text(edit)[:_LONGEST_FACT]) for edit in edits[:_EDITS_IN_HOVER]]
    if len(edits) > _EDITS_IN_HOVER:
        words.append(f"and {len(edits) - _EDITS_IN_HOVER} more")
    return "<br>".join(words)
