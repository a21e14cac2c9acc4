"""The waterfall of a run that is going on: the newest spans, redrawn about once a second.

Importing this module imports plotly's figure widget (3 s); do it off the run's path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np
import plotly.graph_objects as go

from clnrm_nb.notebook.views.figure import LAYOUT, figure_widget, label_text
from clnrm_nb.report.palette import LIGHT
from clnrm_nb.report.text import number_text

if TYPE_CHECKING:
    from clnrm_nb.api.live import Recent

__all__ = ["GrowingFigure"]

_ROWS: Final = 120
_LABELS: Final = 20
_HEIGHT_PX: Final = 320


class GrowingFigure:
    """A figure widget with one bar for each of the newest spans.

    Its blue is seen on every ground: while a cell runs the kernel cannot hear which theme it is shown in.

    Attributes
    ----------
    widget : FigureWidget
        Whoever shows it closes it.
    """

    open_messages: ClassVar = 5
    """What showing a new one sends, besides what opens it: four of its own, and its place in the panel."""

    draw_messages: ClassVar = 4
    """What one drawing sends (plotly 7.1; both are measured by a test)."""

    def __init__(self) -> None:
        bars = go.Bar(
            orientation="h", x=[], y=[], base=[], hoverinfo="none", marker={"color": LIGHT["plain"]}
        )
        axis = {**LAYOUT["yaxis"], "autorange": "reversed"}
        self.widget = figure_widget(bars, layout={**LAYOUT, "height": _HEIGHT_PX, "yaxis": axis})

    def draw(self, recent: Recent, total: int) -> None:
        """Show the newest spans of `total`; four messages, the largest some 10 kB."""
        layout = recent(_ROWS).layout
        places = range(len(layout))
        step = max(1, -(-len(layout) // _LABELS))
        labelled = list(places)[::step]
        with self.widget.batch_update():
            bars = self.widget.data[0]
            # Single precision in binary: half the message, and exact to a tenth of a pixel.
            bars.base = np.array([(layout.offset_ns(p) or 0) / 1e6 for p in places], dtype="float32")
            bars.x = np.array([(layout.duration_ns(p) or 0) / 1e6 for p in places], dtype="float32")
            bars.y = np.arange(len(layout), dtype="int16")
            names = [layout.table(p).name[layout.row[p]] for p in labelled]
            self.widget.layout.yaxis.tickvals = labelled
            self.widget.layout.yaxis.ticktext = [
                label_text(name, layout.depth[p]) for name, p in zip(names, labelled, strict=True)
            ]
            shown = f"showing the newest {number_text(len(layout))} of {number_text(total, 'span')}"
            self.widget.layout.title.text = shown
