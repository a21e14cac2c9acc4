"""Spans to click on: a list that is the tree, a waterfall beside it, and everything about the chosen span.

The list is the view for keyboards and screen readers, as marks of a plot have neither focus nor names; both
show the same window of the same rows. One figure, at most 3,000 nodes in the page at any size of trace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import ipywidgets
from plotly.graph_objects import Bar, FigureWidget

from clnrm_nb.notebook.frontend import PANEL_CLASS, FrontEnd
from clnrm_nb.notebook.models import Models
from clnrm_nb.notebook.opened import Opened
from clnrm_nb.notebook.views.facts import facts_html
from clnrm_nb.notebook.views.figure import MOST_BARS, ROWS_IN_VIEW, bars, colours, view_layout
from clnrm_nb.notebook.views.rows import rows_of
from clnrm_nb.report.html import STYLE, escape, fragment
from clnrm_nb.report.text import clipped, duration_text, number_text, one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from clnrm_nb.notebook.views.rows import Row, Rows

__all__ = ["Explorer"]

_INDENT: Final = "\u2003"
_DEEPEST: Final = 12
_LABEL_CELLS: Final = 60
_STYLE: Final = f"""<style>{STYLE}
.clnrm-figure .main-svg text{{fill:var(--jp-ui-font-color1,currentColor)!important}}
.clnrm-figure .main-svg .hoverlayer text{{fill:#fff!important}}
.clnrm-figure .modebar{{display:none!important}}
.clnrm-list select{{font-family:var(--jp-code-font-family,monospace);font-size:12px}}
.{PANEL_CLASS} :focus-visible{{outline:2px solid var(--jp-brand-color1,#5b8def)!important}}
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
    limit : int
        Rows of the window.

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
        limit: int = MOST_BARS,
    ) -> None:
        super().__init__()
        self._thing = thing
        self._rows: Rows = rows_of(thing)
        self._limit = min(limit, MOST_BARS)
        self._only_differences = self._rows.is_diff
        self._models = Models()
        self._shown: list[Row] = []
        self.selected: int | None = None
        self._is_filling = False
        own = self._models.own
        self._front = own(FrontEnd(shortcuts=["n", "p"], label="spans"))
        self._head = own(ipywidgets.HTML())
        self._list = own(ipywidgets.Select(rows=ROWS_IN_VIEW, layout={"width": "97%"}))
        self._list.add_class("clnrm-list")
        self._figure = own(FigureWidget([Bar(orientation="h"), _outline()]))
        self._figure.add_class("clnrm-figure")
        # As wide as its place, and without tools that a click could miss a bar for.
        settings = {"responsive": True, "displayModeBar": False}
        self._figure._config = {**self._figure._config, **settings}  # noqa: SLF001  # No public name for it.
        self._facts = own(ipywidgets.HTML(layout={"overflow": "auto", "max_height": "620px"}))
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
        top = own(ipywidgets.HBox(tools, layout={"align_items": "center", "flex_flow": "row wrap"}))
        places = {"align_items": "stretch", "grid_gap": "8px"}
        left = own(ipywidgets.VBox([self._list], layout={"flex": "0 0 30%", "min_width": "0"}))
        middle = own(ipywidgets.VBox([self._figure], layout={"flex": "1 1 40%", "min_width": "0"}))
        right = own(ipywidgets.VBox([self._facts], layout={"flex": "0 0 28%", "min_width": "0"}))
        body = own(ipywidgets.HBox([left, middle, right], layout=places))
        style = own(ipywidgets.HTML(_STYLE))
        box = own(ipywidgets.VBox([style, self._front, top, body]))
        box.add_class(PANEL_CLASS)
        return box

    def _fill(self) -> None:
        """Everything anew: the window, the list, the figure."""
        places = self._rows.window(self._limit, only_differences=self._only_differences)
        self._shown = [self._rows.row(place) for place in places]
        chosen = self.selected if self.selected in places else (places[0] if places else None)
        self._is_filling = True
        try:
            self._list.options = [(_list_label(row), row.place) for row in self._shown]
            self._list.index = places.index(chosen) if chosen is not None else None
        finally:
            self._is_filling = False
        self._head.value = _head_html(self._rows, len(self._shown))
        with self._figure.batch_update():
            self._figure.data[0].update(bars(self._shown, is_dark=self._front.is_dark), overwrite=False)
            self._figure.layout.update(view_layout(self._shown, ""))
        self.select(chosen)

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
            outline.marker.line.color = "#ffffff" if self._front.is_dark else "#111111"
            if low is not None:
                in_view = min(max(len(self._shown), 6), ROWS_IN_VIEW)
                self._figure.layout.yaxis.range = [low + in_view - 0.5, low - 0.5]

    def _first_in_view(self, index: int) -> int | None:
        """Where the view must begin to hold a row; ``None`` where it does already."""
        bottom, top = sorted(self._figure.layout.yaxis.range, reverse=True)
        if top <= index <= bottom:
            return None
        return max(0, min(index - ROWS_IN_VIEW // 2, len(self._shown) - ROWS_IN_VIEW))

    def step(self, by: int) -> None:
        """Go to the next (1) or previous (-1) difference; in a trace, to the next failed span."""
        loud = [row.place for row in self._shown if row.state not in ("plain", "own", "same")]
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
    return Bar(
        orientation="h",
        hoverinfo="skip",
        marker={"color": "rgba(0,0,0,0)", "line": {"color": colours(is_dark=False)["plain"], "width": 3}},
    )


def _list_label(row: Row) -> str:
    name = clipped(one_line(row.label), _LABEL_CELLS)
    duration = f" · {duration_text(row.duration_ms)}" if row.duration_ms is not None else ""
    word = f" ({row.state})" if row.state not in ("plain", "same") else ""
    return f"{_INDENT * min(row.depth, _DEEPEST)}{name}{duration}{word}"


def _head_html(rows: Rows, shown: int) -> str:
    note = ""
    if shown < len(rows):
        note = f" · showing {number_text(shown)} of {number_text(len(rows))}"
        if rows.is_diff:
            note += f" · … {number_text(len(rows) - shown)} unchanged or beyond the window"
    return f"<div class=clnrm role=status><b>{escape(rows.heading)}</b>{escape(note)}</div>"
