"""Spans to click on: a list that is the tree, a waterfall beside it, and everything about the chosen span.

The list is the view for keyboards and screen readers, as marks of a plot have neither focus nor names; both
show the same window of the same rows. One figure, at most 3,000 nodes in the page at any size of trace.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal

import ipywidgets
from plotly.graph_objects import Bar, Scatter

from clnrm_nb.notebook.frontend import PANEL_CLASS, PANEL_STYLE, STATUS_CLASS, TOOLBAR_CLASS, FrontEnd
from clnrm_nb.notebook.models import Models
from clnrm_nb.notebook.opened import Opened
from clnrm_nb.notebook.views.facts import facts_html
from clnrm_nb.notebook.views.figure import ROWS_IN_VIEW, bars, figure_widget, frames, view_layout
from clnrm_nb.notebook.views.rows import rows_of
from clnrm_nb.notebook.views.style import FIGURE_STYLE
from clnrm_nb.report.html import escape, fragment
from clnrm_nb.report.palette import INK
from clnrm_nb.report.text import clipped, duration_text, number_text, one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from clnrm_nb.notebook.views.rows import Row, Rows

__all__ = ["MOST_DIFF_ROWS", "MOST_ROWS", "Explorer", "Side"]

Side = Literal["old", "new", "both"]
"""Which side of a diff is drawn; a trace has only one."""

MOST_ROWS: Final = 800
"""Of a trace: two nodes a bar and one in the list, below 3,000 with all else (``tests/ui`` counts them)."""

MOST_DIFF_ROWS: Final = 450
"""Of a diff, where each hatching is three nodes more."""

_INDENT: Final = "\u2003"
_DEEPEST: Final = 12
_LABEL_CELLS: Final = 60
_FEWEST_ROWS: Final = 6
_QUIET: Final = frozenset({"plain", "own", "same"})
_STYLE: Final = f"""<style>{PANEL_STYLE}{FIGURE_STYLE}
.clnrm-body{{flex-flow:row wrap;gap:8px;align-items:stretch}}
.clnrm-body>*{{min-width:0;overflow:hidden}}
.clnrm-side .clnrm table{{width:100%}}
.clnrm-side .clnrm tbody th{{min-width:0;overflow-wrap:break-word}}
</style>"""


class Explorer(Opened):
    """The widget over some rows.

    Parameters
    ----------
    thing : Trace, RunResult or TraceDiff
        What is looked at.
    on_close : callable, optional
        Called by the Close button (default: the saved form takes the widget's place).
    has_close : bool
        Whether there is such a button.
    side : str
        ``old``, ``new`` or ``both`` sides of a diff.
    limit : int, optional
        Rows of the window, if fewer than the page bears.

    Attributes
    ----------
    selected : int or None
        Place of the chosen row.
    """

    def __init__(
        self,
        thing: Any,
        *,
        on_close: Callable[[], None] | None = None,
        has_close: bool = True,
        side: Side = "both",
        limit: int | None = None,
    ) -> None:
        super().__init__()
        self._thing = thing
        self._rows: Rows = rows_of(thing)
        most = MOST_DIFF_ROWS if self._rows.is_diff else MOST_ROWS
        self._limit = most if limit is None else min(limit, most)
        self._side = side
        self._only_differences = self._rows.is_diff
        self._models = Models()
        self._shown: list[Row] = []
        self.selected: int | None = None
        self._is_filling = False
        own = self._models.own
        self._front = own(FrontEnd(shortcuts=["n", "p"], label="spans"))
        self._head = own(ipywidgets.HTML())
        self._head.add_class(STATUS_CLASS)
        self._list = own(ipywidgets.Select(tooltip="spans", layout={"width": "auto", "margin": "2px"}))
        self._figure = own(figure_widget(Bar(orientation="h"), _outline(), Scatter()))
        self._facts = own(ipywidgets.HTML())
        self._box = self._assemble((on_close or self.close) if has_close else None)
        self._list.observe(self._on_list, "index")
        self._figure.data[0].on_click(self._on_click)
        self._front.observe(lambda _: self._fill(), "is_dark")
        self._front.on_key(lambda key: self.step(1 if key == "n" else -1))
        self._fill()

    @property
    def widget(self) -> Any:
        """See the base."""
        return self._box

    def durable(self) -> object:
        """What was looked at."""
        return self._thing

    def _assemble(self, on_close: Callable[[], None] | None) -> ipywidgets.VBox:
        own = self._models.own
        tools: list[Any] = [self._head]
        is_diff = self._rows.is_diff
        words = "only differences" if is_diff else "the engine's own spans"
        box = own(
            ipywidgets.Checkbox(value=is_diff, description=words, indent=False, layout={"width": "auto"})
        )
        box.observe(self._on_only if is_diff else self._on_own, "value")
        tools.append(box)
        if on_close is not None:
            button = own(ipywidgets.Button(description="Close", tooltip="Put the saved form in its place"))
            button.on_click(lambda _: on_close())
            tools.append(button)
        top = own(ipywidgets.HBox(tools))
        top.add_class(TOOLBAR_CLASS)
        body = own(
            ipywidgets.HBox(
                [
                    own(ipywidgets.VBox([self._list], layout={"flex": "1 1 240px"})),
                    own(ipywidgets.VBox([self._figure], layout={"flex": "2 1 360px"})),
                    own(ipywidgets.VBox([self._facts], layout={"flex": "1.3 1 300px"})),
                ]
            )
        )
        body.add_class("clnrm-body")
        body.children[-1].add_class("clnrm-side")
        box = own(ipywidgets.VBox([own(ipywidgets.HTML(_STYLE)), self._front, top, body]))
        box.add_class(PANEL_CLASS)
        return box

    # ------------------------------------------------------------------------------------- what is shown

    def _fill(self) -> None:
        """Everything anew: the window, the list, the figure."""
        places = self._rows.window(self._limit, only_differences=self._only_differences)
        sides = (_of_side(self._rows.row(place), self._side) for place in places)
        self._shown = [row for row in sides if row is not None]
        loudest = next((row for row in self._shown if row.state not in _QUIET), None)
        first = loudest or (self._shown[0] if self._shown else None)
        is_still_there = any(row.place == self.selected for row in self._shown)
        chosen = self.selected if is_still_there else (first.place if first else None)
        self._is_filling = True
        try:
            self._list.options = [(_list_label(row), row.place) for row in self._shown]
            self._list.rows = min(max(len(self._shown), _FEWEST_ROWS), ROWS_IN_VIEW)
            self._list.index = None
        finally:
            self._is_filling = False
        self._head.value = _head_html(self._rows, len(self._shown))
        is_dark = self._front.is_dark
        with self._figure.batch_update():
            self._figure.data[0].update(bars(self._shown, is_dark=is_dark), overwrite=False)
            self._figure.data[2].update(frames(self._shown, is_dark=is_dark), overwrite=False)
            self._figure.layout.update(view_layout(self._shown))
        self.select(chosen)

    def show(self, thing: Any) -> None:
        """Look at something else of the same kind; the browser keeps the figure, which is 5 MB to send."""
        self._thing = thing
        self._rows = rows_of(thing)
        self.selected = None
        self._fill()

    def show_side(self, side: Side) -> None:
        """Draw one side of a diff, or both."""
        self._side = side
        self._fill()

    def select(self, place: int | None) -> None:
        """Choose the row at `place`: list, outline and side list follow."""
        self.selected = place
        index = next((i for i, row in enumerate(self._shown) if row.place == place), None)
        if index is None or place is None:
            self._facts.value = fragment("span", "<p>nothing to show</p>")
            return
        row = self._shown[index]
        if self._list.index != index:
            self._list.index = index
        facts = facts_html(row.label, self._rows.facts(place), is_diff=self._rows.is_diff)
        self._facts.value = f'<div class=clnrm role=region aria-label="selected span">{facts}</div>'
        self._outline_row(index, row)

    def _outline_row(self, index: int, row: Row) -> None:
        outline = self._figure.data[1]
        low = self._first_in_view(index)
        with self._figure.batch_update():
            outline.base, outline.x, outline.y = [row.start_ms], [row.duration_ms or 0.0], [index]
            outline.marker.line.color = INK[self._front.is_dark]
            if low is not None:
                in_view = min(max(len(self._shown), _FEWEST_ROWS), ROWS_IN_VIEW)
                self._figure.layout.yaxis.range = [low + in_view - 0.5, low - 0.5]

    def _first_in_view(self, index: int) -> int | None:
        """Where the view must begin to hold a row; ``None`` where it does already."""
        bottom, top = sorted(self._figure.layout.yaxis.range, reverse=True)
        if top <= index <= bottom:
            return None
        return max(0, min(index - ROWS_IN_VIEW // 2, len(self._shown) - ROWS_IN_VIEW))

    # ------------------------------------------------------------------------------------- what is done

    def step(self, by: int) -> None:
        """Go to the next (1) or previous (-1) difference; in a trace, to the next failed span."""
        loud = [row.place for row in self._shown if row.state not in _QUIET]
        here = -1 if self.selected is None else self.selected
        ahead = [place for place in loud if (place > here if by > 0 else place < here)]
        if ahead:
            self.select(ahead[0] if by > 0 else ahead[-1])

    def _on_list(self, change: dict[str, Any]) -> None:
        index = change["new"]
        if not self._is_filling and index is not None and self._shown[index].place != self.selected:
            self.select(self._shown[index].place)

    def _on_click(self, _: Any, points: Any, __: Any) -> None:
        if points.point_inds and points.point_inds[0] < len(self._shown):
            self.select(self._shown[points.point_inds[0]].place)

    def _on_only(self, change: dict[str, Any]) -> None:
        self._only_differences = bool(change["new"])
        self._fill()

    def _on_own(self, change: dict[str, Any]) -> None:
        self._rows = rows_of(self._thing, with_own=bool(change["new"]))
        self.selected = None
        self._fill()

    def close_models(self) -> None:
        """See the base."""
        self._models.close()


def _outline() -> Bar:
    """The one bar that shows which row is chosen."""
    marker = {"color": "rgba(0,0,0,0)", "line": {"color": INK[False], "width": 3}}
    return Bar(orientation="h", hoverinfo="skip", marker=marker)


def _of_side(row: Row, side: Side) -> Row | None:
    """A row as one side shows it; ``None`` where that side has no such span."""
    if side == "both":
        return row
    if side == "new":
        return None if row.is_hollow else replace(row, baseline_ms=None)
    if row.baseline_ms is None:
        return None
    start_ms, duration_ms = row.baseline_ms
    return replace(row, start_ms=start_ms, duration_ms=duration_ms, baseline_ms=None, is_hollow=True)


def _list_label(row: Row) -> str:
    name = clipped(one_line(row.label), _LABEL_CELLS)
    # The bar of a span that the run lacks may only stand along its parent.
    is_known = row.duration_ms is not None and not row.is_hollow
    duration = f" · {duration_text(row.duration_ms)}" if is_known else ""
    word = f" ({row.state})" if row.state not in ("plain", "same") else ""
    return f"{_INDENT * min(row.depth, _DEEPEST)}{name}{duration}{word}"


def _head_html(rows: Rows, shown: int) -> str:
    note = ""
    if shown < len(rows):
        note = f" · showing {number_text(shown)} of {number_text(len(rows))}"
        if rows.is_diff:
            note += f" · … {number_text(len(rows) - shown)} unchanged or beyond the window"
    legend = f"<div class=q>{escape(rows.legend)}</div>" if rows.legend else ""
    return f"<div class=clnrm><b>{escape(rows.heading)}</b>{escape(note)}{legend}</div>"
