"""Rows as a plotly waterfall in a widget: a bar is a span of the run, a dashed frame a span of the baseline.

The state of a bar is in its hatching and the sign before its name first, in its colour last. All frames are
one line with gaps, a single node of the page, so that both sides cost no more than one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

# Looked up once here: plotly makes the class when it is first touched, which takes seconds.
from plotly.graph_objects import FigureWidget

from clnrm_nb.notebook.views.style import FIGURE_CLASS
from clnrm_nb.report.palette import HATCHINGS, INK, palette
from clnrm_nb.report.text import clipped, duration_text, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clnrm_nb.notebook.views.rows import Row

__all__ = [
    "LAYOUT",
    "ROWS_IN_VIEW",
    "bars",
    "figure_widget",
    "frames",
    "label_text",
    "view_layout",
]

ROWS_IN_VIEW: Final = 28
_NOTHING: Final = "rgba(0,0,0,0)"
_ROW_PX: Final = 19
_DEEPEST: Final = 12
_LABEL_CELLS: Final = 44
_HALF_FRAME: Final = 0.47
"""Half the height of a frame, in rows: a little more than that of a bar."""

LAYOUT: Final[Mapping[str, Any]] = {
    "title": {"text": "", "font": {"size": 12}, "x": 0, "xanchor": "left"},
    "autosize": True,
    "barmode": "overlay",
    "bargap": 0.25,
    "showlegend": False,
    "margin": {"l": 10, "r": 14, "t": 26, "b": 40},
    "uirevision": "clnrm",
    "template": "none",
    "paper_bgcolor": _NOTHING,
    "plot_bgcolor": _NOTHING,
    "font": {"size": 11},
    "dragmode": "pan",
    # Stays on: clicks need it. The text itself is shown at the side.
    "hovermode": "closest",
    "xaxis": {"title": {"text": "ms since the first span", "font": {"size": 11}}, "zeroline": False},
    # The ticks nobody sees keep labels away from bars.
    "yaxis": {
        "automargin": True,
        "showgrid": False,
        "zeroline": False,
        "ticks": "outside",
        "tickcolor": _NOTHING,
    },
}


def figure_widget(*traces: Any, layout: Mapping[str, Any] = LAYOUT) -> FigureWidget:
    """A figure that is as wide as its place, follows the theme, and goes without a complaint.

    Plotly asks for its views to be counted. The browser sends the count when a view goes, and where the model
    has gone first it complains of a missing channel; nobody here needs the count.
    """
    figure = FigureWidget(list(traces), layout=dict(layout))
    with figure.hold_sync():
        figure.add_class(FIGURE_CLASS)
        # No tools that a click could miss a bar for.
        figure._config = {**figure._config, "responsive": True, "displayModeBar": False}  # noqa: SLF001  # No public name for it.
        figure._view_count = None  # noqa: SLF001  # As above.
    return figure


def bars(rows: Sequence[Row], *, is_dark: bool = False) -> dict[str, Any]:
    """Properties of the one bar trace that shows these rows from top to bottom."""
    of_state = palette(is_dark=is_dark)
    fills = [of_state[row.state] for row in rows]
    # What the run lacks is hollow: nothing but its edge and its hatching.
    is_hollow = [row.is_hollow for row in rows]
    return {
        "base": [row.start_ms for row in rows],
        "x": [row.duration_ms or 0.0 for row in rows],
        "y": list(range(len(rows))),
        "customdata": [row.place for row in rows],
        "marker": {
            "color": [_NOTHING if hollow else fill for hollow, fill in zip(is_hollow, fills, strict=True)],
            "line": {"color": fills, "width": [1.2 if row.state != "plain" else 0 for row in rows]},
            "pattern": {
                "shape": [HATCHINGS.get(row.state, "") for row in rows],
                "fgcolor": [
                    fill if hollow else "#ffffff" for hollow, fill in zip(is_hollow, fills, strict=True)
                ],
                "size": 5,
            },
        },
        "hovertext": [_hover(row) for row in rows],
        "hoverinfo": "text",
    }


def frames(rows: Sequence[Row], *, is_dark: bool = False) -> dict[str, Any]:
    """Properties of the one line that frames every row the baseline has."""
    xs: list[float | None] = []
    ys: list[float | None] = []
    for index, row in enumerate(rows):
        if row.baseline_ms is not None:
            left, right = row.baseline_ms[0], sum(row.baseline_ms)
            top, bottom = index - _HALF_FRAME, index + _HALF_FRAME
            xs += [left, right, right, left, left, None]
            ys += [top, top, bottom, bottom, top, None]
    return {
        "x": xs,
        "y": ys,
        "mode": "lines",
        "line": {"color": INK[is_dark], "width": 1, "dash": "dot", "simplify": False},
        "hoverinfo": "skip",
    }


def view_layout(rows: Sequence[Row], title: str = "") -> dict[str, Any]:
    """The layout for these rows: a screenful in view, the rest by dragging or from the list."""
    in_view = min(max(len(rows), 6), ROWS_IN_VIEW)
    return {
        **LAYOUT,
        "title": {**LAYOUT["title"], "text": title},
        "height": _ROW_PX * in_view + 80,
        "yaxis": {
            **LAYOUT["yaxis"],
            "range": [in_view - 0.5, -0.5],
            "tickvals": list(range(len(rows))),
            "ticktext": [label_text(row.label, row.depth) for row in rows],
        },
    }


def label_text(name: str, depth: int) -> str:
    """A label for plotly, which reads tags and entities in it: those of strangers are shown, not obeyed."""
    text = clipped(one_line(name), _LABEL_CELLS)
    plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "\u2003" * min(depth, _DEEPEST) + plain


def _hover(row: Row) -> str:
    words = (label_text(row.label, 0), label_text(row.service, 0), duration_text(row.duration_ms), row.state)
    return "<br>".join(word for word in words if word != "plain")
