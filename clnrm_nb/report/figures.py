"""Plotly figures of a trace. Imported, and plotly with it, only when somebody asks for a figure.

One bar trace a figure, so that 1,400 spans stay 2,800 nodes; what is not shown is stated in the title. A
figure by itself does not know the theme it is shown in and stands on white paper, where its colours are told
apart; the widgets of ``clnrm_nb.notebook`` follow the theme.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import plotly.graph_objects as go

from clnrm_nb.report.palette import GROUNDS, HATCHINGS, INK, LIGHT
from clnrm_nb.report.text import clipped, duration_text, number_text, one_line
from clnrm_nb.report.tracetext import heading
from clnrm_nb.spans.model import STATUS_CODES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clnrm_nb.report.layout import Layout

__all__ = ["MOST_BARS", "PAPER", "evolution_figure", "flame", "history_figure", "plain", "waterfall"]

MOST_BARS: Final = 1_400
PAPER: Final = {
    "template": "none",
    "paper_bgcolor": GROUNDS[False],
    "plot_bgcolor": GROUNDS[False],
    "font": {"color": INK[False]},
    "xaxis": {"gridcolor": "#e0e0e0", "zeroline": False},
    # The ticks nobody sees keep labels away from bars.
    "yaxis": {
        "gridcolor": "#e0e0e0",
        "zeroline": False,
        "automargin": True,
        "ticks": "outside",
        "tickcolor": GROUNDS[False],
    },
}
"""The layout all figures start from."""

_ROW_PX: Final = 18
_LONGEST_LABEL: Final = 60
_SHORT_SHARE: Final = 0.002
"""Of the whole: about a pixel where figures are usually shown."""


def waterfall(layout: Layout, rows: int = MOST_BARS) -> go.Figure:
    """One row a span, parents above their children."""
    places = layout.window(min(rows, MOST_BARS))
    figure = _bars(layout, places, list(range(len(places))))
    labels = ["\u2003" * min(layout.depth[p], 12) + _label(layout, p) for p in places]
    figure.update_yaxes(tickvals=list(range(len(places))), ticktext=labels, autorange="reversed")
    figure.update_layout(height=max(160, _ROW_PX * len(places) + 110))
    return figure


def flame(layout: Layout, rows: int = MOST_BARS) -> go.Figure:
    """One row a level, so that a span stands below the one it is part of; overlapping siblings overlap."""
    places = layout.window(min(rows, MOST_BARS))
    figure = _bars(layout, places, [layout.depth[place] for place in places])
    deepest = max((layout.depth[place] for place in places), default=0)
    figure.update_yaxes(title="depth", autorange="reversed")
    figure.update_layout(height=max(160, 2 * _ROW_PX * (deepest + 1) + 110))
    return figure


def _bars(layout: Layout, places: Sequence[int], levels: Sequence[int]) -> go.Figure:
    hover = [_hover(layout, place) for place in places]
    states = [_state(layout, place) for place in places]
    offsets = [(layout.offset_ns(place) or 0) / 1e6 for place in places]
    durations = [(layout.duration_ns(place) or 0) / 1e6 for place in places]
    whole = max(map(sum, zip(offsets, durations, strict=True)), default=0.0)
    figure = go.Figure(
        go.Bar(
            orientation="h",
            base=offsets,
            x=durations,
            y=list(levels),
            marker={
                "color": [LIGHT[state] for state in states],
                # Short spans of a long trace are drawn as a line, as a bar of them would not be seen.
                "line": {
                    "color": [LIGHT[state] for state in states],
                    "width": [float(each < _SHORT_SHARE * whole) for each in durations],
                },
                "pattern": {"shape": [HATCHINGS.get(state, "") for state in states]},
            },
            customdata=[layout.table(place).span_id[layout.row[place]] for place in places],
            hovertext=hover,
            hoverinfo="text",
        ),
        PAPER,
    )
    title = heading(layout)
    if len(places) < len(layout):
        title += f" (showing {number_text(len(places))} of {number_text(len(layout))})"
    figure.update_layout(
        title={"text": title, "font": {"size": 14}},
        barmode="overlay",
        bargap=0.25,
        showlegend=False,
        margin={"l": 10, "r": 10, "t": 50, "b": 50},
        uirevision="clnrm",
    )
    figure.update_xaxes(title="ms since the first span of the test")
    return figure


def _state(layout: Layout, place: int) -> str:
    table, row = layout.table(place), layout.row[place]
    return "own" if table.own[row] else ("error" if layout.is_error(place) else "plain")


def _label(layout: Layout, place: int) -> str:
    table, row = layout.table(place), layout.row[place]
    sign = "✗ " if layout.is_error(place) else ""
    return sign + plain(table.name[row][:_LONGEST_LABEL])


def _hover(layout: Layout, place: int) -> str:
    table, row = layout.table(place), layout.row[place]
    duration_ns = layout.duration_ns(place)
    duration = duration_text(None if duration_ns is None else duration_ns / 1e6)
    words = [plain(table.name[row]), plain(table.resource[row].service), duration]
    return "<br>".join([*words, STATUS_CODES[table.status_code[row]]])


def plain(text: str) -> str:
    """Plotly reads a few tags and entities in labels; those of strangers are shown, not obeyed."""
    return one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


_MARKS: Final = {
    "passed": ("circle", LIGHT["plain"]),
    "failed": ("x", LIGHT["error"]),
    "error": ("cross", LIGHT["error"]),
    "incomplete": ("diamond", LIGHT["changed"]),
    "flaky": ("star", LIGHT["moved"]),
}
_OTHER_MARK: Final = ("square-open", LIGHT["own"])
"""Of a test that was not run."""


def history_figure(rows: Sequence[dict[str, Any]]) -> go.Figure:
    """Durations over time, one line a test; colour and shape of a mark tell its status."""
    shown = rows[-MOST_BARS:]
    figure = go.Figure(layout=PAPER)
    for test in dict.fromkeys(row["test_id"] for row in shown):
        mine = [row for row in shown if row["test_id"] == test]
        marks = [_MARKS.get(row["status"], _OTHER_MARK) for row in mine]
        figure.add_scatter(
            x=[row["at"] for row in mine],
            y=[row["duration_ms"] for row in mine],
            name=plain(str(test)),
            mode="lines+markers",
            line={"width": 1},
            marker={"symbol": [sign for sign, _ in marks], "color": [color for _, color in marks], "size": 9},
            hovertext=[plain(f"{test}: {row['status']}, run {row['run']}") for row in mine],
        )
    if len(shown) < len(rows):
        title = f"showing the last {number_text(len(shown))} of {number_text(len(rows))}"
        figure.update_layout(title={"text": title, "font": {"size": 14}})
    figure.update_layout(yaxis_title="ms", margin={"l": 60, "r": 10, "t": 30, "b": 40})
    return figure


_CHANGES: Final = ("missing", "added", "changed", "renamed", "moved")


def evolution_figure(rows: Sequence[Mapping[str, Any]]) -> go.Figure:
    """What each accepted version changed, spans by status stacked, and how many spans it has as a line.

    Parameters
    ----------
    rows : sequence of mappings
        As :class:`~clnrm_nb.baseline.evolution.Version` writes them, oldest first.
    """
    shown = rows[-(MOST_BARS // len(_CHANGES)) :]
    places = list(range(len(shown)))
    hover = [_version_hover(row) for row in shown]
    figure = go.Figure(layout=PAPER)
    for status in _CHANGES:
        counts = [row[status] or 0 for row in shown]
        if any(counts):
            figure.add_bar(
                x=places,
                y=counts,
                name=status,
                marker={
                    "color": LIGHT[status],
                    "pattern": {
                        "shape": HATCHINGS.get(status, ""),
                        "fillmode": "overlay",
                        "fgcolor": GROUNDS[False],
                        "fgopacity": 0.7,
                    },
                },
                hovertext=hover,
                hoverinfo="text+y+name",
            )
    figure.add_scatter(
        x=places,
        y=[row["spans"] for row in shown],
        name="spans in all",
        mode="lines+markers",
        yaxis="y2",
        line={"color": INK[False], "width": 1, "shape": "hv"},
        marker={"symbol": "diamond", "size": 8},
        hovertext=hover,
        hoverinfo="text+y+name",
    )
    lost = sum(row["spans"] is None for row in shown)
    heights = [sum(row[status] or 0 for status in _CHANGES) for row in shown]
    title = f"{plain(str(shown[0]['scenario_id']))}: {number_text(len(shown), 'version')}" if shown else ""
    if len(shown) < len(rows):
        title += f" (the last of {number_text(len(rows))})"
    if lost:
        title += f", {number_text(lost)} without content at hand"
    figure.update_layout(
        title={"text": title, "font": {"size": 14}},
        barmode="stack",
        bargap=0.5,
        legend={"orientation": "h", "y": -0.2},
        margin={"l": 60, "r": 60, "t": 40, "b": 40},
        yaxis={"title": "spans that changed", "rangemode": "tozero", **_whole(heights)},
        yaxis2={
            "title": "spans in all",
            **_whole([row["spans"] or 0 for row in shown]),
            "overlaying": "y",
            "side": "right",
            "rangemode": "tozero",
            "showgrid": False,
            "zeroline": False,
        },
        xaxis={"tickvals": places, "ticktext": [f"v{row['version']}" for row in shown]},
    )
    return figure


def _whole(numbers: Sequence[int]) -> dict[str, Any]:
    """Ticks of an axis that counts: there is no half a span."""
    if max(numbers, default=0) <= _FEW:
        return {"tickmode": "linear", "tick0": 0, "dtick": 1}
    return {"tickmode": "auto", "tickformat": ",d"}


_FEW: Final = 8


def _version_hover(row: Mapping[str, Any]) -> str:
    who = str(row["accepted_by"] or "").partition(" <")[0]
    words = [
        f"version {row['version']}",
        str(row["accepted_at"] or "")[:10],
        who,
        row["reason"],
        row["change"],
    ]
    return "<br>".join(plain(clipped(str(word), 100)) for word in words if word)
