"""Traces shown by ``spans`` and ``graph``, and a piece of text as a result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clnrm_nb.report.graph import edges_json, to_dot, to_mermaid
from clnrm_nb.report.lines import Line, line, to_plain
from clnrm_nb.report.signs import UNICODE, Signs
from clnrm_nb.report.text import json_ready, one_line, visible
from clnrm_nb.report.trace import Trace
from clnrm_nb.report.tracetext import Details
from clnrm_nb.report.view import HTML_BYTES, View

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pandas import DataFrame

    from clnrm_nb.report.graph import MissingEdge
    from clnrm_nb.report.text import Mask
    from clnrm_nb.spans.loaders import LoadReport
    from clnrm_nb.spans.table import SpanTable

__all__ = ["GraphView", "SpanList", "Text"]


class SpanList(Trace):
    """A trace that shows attributes and events below its spans.

    Parameters
    ----------
    source : as :class:`Trace`
    attributes, events : bool
        What is shown below each span.
    """

    def __init__(
        self,
        source: SpanTable | Sequence[tuple[str | None, SpanTable]],
        *,
        attributes: bool,
        events: bool,
        mask: Mask | None = None,
        loading: LoadReport | None = None,
    ) -> None:
        super().__init__(source, mask=mask, loading=loading)
        self._shown = Details(attributes=attributes, events=events)


class Text(View):
    """Text made for another tool: a drawing, a report that was written.

    Parameters
    ----------
    text : str
    command : str
    data : mapping, optional
        ``data`` of the document (default: the text).
    """

    def __init__(self, text: str, *, command: str, data: Mapping[str, Any] | None = None) -> None:
        self.text = text
        self.label = command
        super().__init__(command, data=data if data is not None else {"text": text})

    @property
    def frame(self) -> DataFrame:
        """One row a line of the text."""
        from clnrm_nb.report.frames import frame_of

        return frame_of({"text": "string"}, [{"text": row} for row in self.text.splitlines()])

    def lines(self, *, signs: Signs = UNICODE, width: int = 100, verbose: bool = False) -> list[Line]:
        """See the base."""
        del signs, width, verbose
        return [line(row) for row in visible(self.text).splitlines()]

    def __repr__(self) -> str:
        return to_plain(self.lines())

    def html(self) -> str:
        """See the base."""
        from clnrm_nb.report.html import escape_block

        return f"<pre dir=auto>{escape_block(self.text, HTML_BYTES)}</pre>"


class GraphView(Text):
    """The trees of a trace in one of four forms.

    Parameters
    ----------
    trace : Trace
    view : {"ascii", "dot", "json", "mermaid"}
    missing : sequence of MissingEdge
        Edges that are demanded and not there.
    """

    def __init__(self, trace: Trace, view: str = "ascii", missing: Sequence[MissingEdge] = ()) -> None:
        self.trace = trace
        self.view = view
        self.missing = tuple(missing)
        data = json_ready(edges_json(trace.table, missing))
        super().__init__(self._drawn(data), command="graph", data=data)

    def _drawn(self, data: Mapping[str, Any]) -> str:
        match self.view:
            case "dot":
                return to_dot(self.trace.table, self.missing)
            case "mermaid":
                return to_mermaid(self.trace.table, self.missing)
            case "json":
                from clnrm_nb.report.render import render_json

                return render_json(data)
        return to_plain(self._tree())

    def _tree(self, signs: Signs = UNICODE, width: int = 100) -> list[Line]:
        head = (f"{signs.status['failed']} missing ", "failed")
        missing = [line(head, f"{one_line(edge.parent)} -> {one_line(edge.child)}") for edge in self.missing]
        return [*self.trace.lines(signs=signs, width=width), *missing]

    @property
    def frame(self) -> DataFrame:
        """The spans."""
        return self.trace.frame

    def lines(self, *, signs: Signs = UNICODE, width: int = 100, verbose: bool = False) -> list[Line]:
        """See the base."""
        if self.view == "ascii":
            return self._tree(signs, width)
        return super().lines(signs=signs, width=width, verbose=verbose)

    def html(self) -> str:
        """See the base."""
        from clnrm_nb.report.html import escape

        if self.view != "ascii":
            return super().html()
        edges = "".join(
            f"<li>missing: <bdi>{escape(edge.parent)}</bdi> → <bdi>{escape(edge.child)}</bdi></li>"
            for edge in self.missing
        )
        return self.trace.html() + (f"<ul>{edges}</ul>" if edges else "")
