"""Rows as a plotly waterfall: one bar a row, its state in shape and sign first and in colour last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.report.text import clipped, duration_text, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clnrm_nb.notebook.views.rows import Row

__all__ = ["COLOURS", "LAYOUT", "MOST_BARS", "ROWS_IN_VIEW", "bars", "colours", "label_text", "view_layout"]

MOST_BARS: Final = 800
"""Bars of an interactive view: two nodes each and one in the list beside them, below 3,000 with all else."""

ROWS_IN_VIEW: Final = 28
_ROW_PX: Final = 19
_DEEPEST: Final = 12
_LABEL_CELLS: Final = 44

COLOURS: Final[Mapping[str, str]] = {
    "plain": "#5B8DEF",
    "error": "#D01A00",
    "own": "#808080",
    "same": "#737373",
    "added": "#5B8DEF",
    "missing": "#8A1C07",
    "changed": "#C77700",
    "renamed": "#C77700",
    "moved": "#3A0A52",
}
_ON_DARK: Final[Mapping[str, str]] = {
    "same": "#808080",
    "added": "#6CBBFF",
    "missing": "#D01A00",
    "changed": "#EBD53A",
    "renamed": "#EBD53A",
    "moved": "#A314CC",
}
_PATTERNS: Final[Mapping[str, str]] = {
    "error": "/",
    "missing": "x",
    "added": ".",
    "moved": "|",
    "renamed": "-",
}

LAYOUT: Final[Mapping[str, Any]] = {
    "title": {"text": "", "font": {"size": 12}, "x": 0, "xanchor": "left"},
    "autosize": True,
    "barmode": "overlay",
    "bargap": 0.25,
    "showlegend": False,
    "margin": {"l": 10, "r": 14, "t": 26, "b": 36},
    "uirevision": "clnrm",
    "template": "none",
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"size": 11},
    "dragmode": "pan",
    # Stays on: clicks need it. The text itself is shown at the side.
    "hovermode": "closest",
    "xaxis": {"title": {"text": "ms since the first span", "font": {"size": 11}}, "zeroline": False},
    "yaxis": {"automargin": True, "showgrid": False, "zeroline": False},
}


def colours(*, is_dark: bool) -> Mapping[str, str]:
    """Colour of each state on one theme (``diff.md`` 12: told apart with every kind of colour vision)."""
    return {**COLOURS, **_ON_DARK} if is_dark else COLOURS


def bars(rows: Sequence[Row], *, is_dark: bool = False, selected: int | None = None) -> dict[str, Any]:
    """Properties of the one bar trace that shows these rows from top to bottom."""
    of_state = colours(is_dark=is_dark)
    fills = [of_state[row.state] for row in rows]
    # A ghost is hollow: nothing but its edge and its hatching.
    edges = [2.5 if row.place == selected else (1.2 if row.state != "plain" else 0) for row in rows]
    ink = "#ffffff" if is_dark else "#111111"
    lines = [ink if row.place == selected else of_state[row.state] for row in rows]
    shown = [
        "rgba(0,0,0,0)" if row.state == "missing" else fill for row, fill in zip(rows, fills, strict=True)
    ]
    return {
        "base": [row.start_ms for row in rows],
        "x": [row.duration_ms or 0.0 for row in rows],
        "y": list(range(len(rows))),
        "customdata": [row.place for row in rows],
        "marker": {
            "color": shown,
            "line": {"color": lines, "width": edges},
            "pattern": {
                "shape": [_PATTERNS.get(row.state, "") for row in rows],
                "fgcolor": ["#ffffff" if row.state != "missing" else of_state["missing"] for row in rows],
                "size": 5,
            },
        },
        "hovertext": [_hover(row) for row in rows],
        "hoverinfo": "text",
    }


def view_layout(rows: Sequence[Row], title: str) -> dict[str, Any]:
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
