"""``Trace``: the spans of a run or a file, to look at and to compute with."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from clnrm_nb.report.layout import Layout, Part
from clnrm_nb.report.lines import to_plain
from clnrm_nb.report.signs import ASCII, UNICODE, in_ascii
from clnrm_nb.report.text import Mask, json_ready
from clnrm_nb.report.tracetext import Details, heading, tree_lines
from clnrm_nb.spans.model import Event, Link, Resource, Scope
from clnrm_nb.spans.table import SpanTable

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping, Sequence

    from pandas import DataFrame

    from clnrm_nb.errors import Diagnostic
    from clnrm_nb.report.lines import Line
    from clnrm_nb.report.signs import Signs
    from clnrm_nb.spans.loaders import LoadReport

__all__ = ["Trace"]

ROWS_IN_DOCUMENT = 1_000
ROWS_IN_HTML = 500
ROWS_IN_TEXT = 36
_HTML_BYTES = 54_500
_DOCUMENT_BYTES = 60_000
_TEXT_WIDTH = 110


class Trace:
    """Spans, by test.

    Parameters
    ----------
    source : SpanTable or sequence of (test id or None, SpanTable)
        A table, or one for each test.
    mask : callable, optional
        Applied to every text that leaves this object.
    scenarios : mapping, optional
        Test id → its scenarios in file order, for the order of frames.
    test_id : str, optional
        The test of a single table.
    findings : iterable of Diagnostic
        What came up while the spans were read.
    max_rows : int
        Most spans of a durable output (``notebook.max_rows``).
    loading : LoadReport, optional
        What there is to say about the file the spans were read from.

    Attributes
    ----------
    parts : tuple of Part
        Tables by test, masked.

    Examples
    --------
    >>> trace = Trace(SpanTable())
    >>> len(trace), trace.ok
    (0, True)
    """

    def __init__(
        self,
        source: SpanTable | Sequence[tuple[str | None, SpanTable]] = (),
        *,
        mask: Mask | None = None,
        scenarios: Mapping[str, Sequence[str]] | None = None,
        test_id: str | None = None,
        findings: Iterable[Diagnostic] = (),
        max_rows: int = ROWS_IN_DOCUMENT,
        command: str = "spans",
        loading: LoadReport | None = None,
    ) -> None:
        pairs: Sequence[tuple[str | None, SpanTable]]
        pairs = [(test_id, source)] if isinstance(source, SpanTable) else source
        self.loading = loading
        self._findings = [json_ready(finding.to_json(), mask) for finding in findings]
        self._shown = Details()
        order = scenarios or {}
        self._unmasked = tuple(Part(test_id, table, order.get(test_id or "", ())) for test_id, table in pairs)
        self._mask = mask
        self._max_rows = max_rows
        self._command = command

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """See the class."""
        if self._mask is None:
            return self._unmasked
        mask = self._mask
        return tuple(replace(part, table=_masked(part.table, mask)) for part in self._unmasked)

    @cached_property
    def layout(self) -> Layout:
        """The spans in display order."""
        return Layout(self.parts)

    def __len__(self) -> int:
        return sum(len(part.table) for part in self._unmasked)

    @property
    def ok(self) -> bool:
        """A trace by itself is never wrong."""
        return True

    @property
    def exit_code(self) -> int:
        """0."""
        return 0

    @property
    def raw(self) -> dict[str, Any]:
        """The JSON document of ``format.md`` 11.3; ``data.trace`` is the MIME document with every span."""
        from clnrm_nb.report.documents import trace_document

        layout = self.layout
        data: dict[str, Any] = {"trace": trace_document(layout, range(len(layout)))}
        loading: list[dict[str, Any]] = []
        if self.loading is not None:
            data["loading"] = json_ready(self.loading.to_json(), self._mask)
            loading = [json_ready(finding.to_json(), self._mask) for finding in self.loading.diagnostics]
        return {
            "format": "clnrm-report/1",
            "command": self._command,
            "ok": True,
            "exit_code": 0,
            "started_at": None,
            "duration_ms": 0.0,
            "summary": {"spans": len(self)},
            "diagnostics": [*self._findings, *loading],
            "data": data,
        }

    @property
    def frame(self) -> DataFrame:
        """One row a span (``format.md`` 12), sorted by test, scenario and start."""
        from clnrm_nb.spans.frame import frame

        return self._joined(frame)

    @property
    def events(self) -> DataFrame:
        """One row an event of a span."""
        from clnrm_nb.spans.frame import events_frame

        return self._joined(events_frame)

    def _joined(self, build: Any) -> DataFrame:
        import pandas as pd

        parts = self.parts or (Part(None, SpanTable()),)
        frames: list[DataFrame] = [
            build(part.table, part.test_id or "", scenarios=part.scenarios) for part in parts
        ]
        filled = [frame for frame in frames if len(frame)] or frames[:1]
        # Equal categories on both sides, so that joining keeps every dtype.
        return filled[0] if len(filled) == 1 else pd.concat(filled, ignore_index=True)

    @cached_property
    def table(self) -> SpanTable:
        """All spans in one table; of several tests one after another."""
        if len(self.parts) == 1:
            return self.parts[0].table
        joined = SpanTable()
        for column in SpanTable.COLUMNS:
            setattr(joined, column, [value for part in self.parts for value in getattr(part.table, column)])
        return joined

    def select(self, rows: Sequence[int]) -> Trace:
        """The spans in some rows of :attr:`table`, in that order."""
        chosen: list[Part] = []
        first = 0
        for part in self.parts:
            end = first + len(part.table)
            mine = [row - first for row in rows if first <= row < end]
            chosen.append(replace(part, table=part.table.select(mine)))
            first = end
        return self._with(tuple(chosen))

    def _with(self, parts: tuple[Part, ...]) -> Trace:
        """A trace of other, already masked parts."""
        other = Trace(max_rows=self._max_rows, command=self._command)
        other._unmasked, other._findings, other._shown = parts, self._findings, self._shown
        return other

    def tree(self, *, width: int = _TEXT_WIDTH, ascii_only: bool = False, rows: int | None = None) -> str:
        """The trace as a text tree with a bar for each span.

        Parameters
        ----------
        width : int
            Cells of a line.
        ascii_only : bool
            Draw with ASCII characters only.
        rows : int, optional
            At most so many spans; default: all.
        """
        signs = ASCII if ascii_only else UNICODE
        text = to_plain(self.lines(signs=signs, width=width, rows=rows), width, signs.ellipsis)
        return in_ascii(text) if ascii_only else text

    def lines(
        self,
        *,
        signs: Signs = UNICODE,
        width: int = _TEXT_WIDTH,
        rows: int | None = None,
        verbose: bool = False,
    ) -> list[Line]:
        """The tree as styled lines."""
        from clnrm_nb.report.resulttext import finding_lines

        del verbose
        layout = self.layout
        places = layout.window(len(layout) if rows is None else rows)
        tree = tree_lines(layout, places, signs=signs, width=width, details=self._shown)
        findings = [
            text for finding in self._findings for text in finding_lines(finding, signs=signs, width=width)
        ]
        said = [[(f"note: {remark}", "dim")] for remark in self._remarks]
        return [[(heading(layout), "bold")], *tree, *findings, *said]

    def waterfall(self, *, rows: int = 1_400) -> Any:
        """A plotly figure: one bar a span, at most `rows` of them (at most 1,400, which browsers bear)."""
        from clnrm_nb.report.figures import waterfall

        return waterfall(self.layout, rows)

    def flame(self, *, rows: int = 1_400) -> Any:
        """A plotly figure: one bar a span, children below their parents."""
        from clnrm_nb.report.figures import flame

        return flame(self.layout, rows)

    def critical_path(self) -> DataFrame:
        """The spans that the end of each trace waited for, and how long.

        Returns
        -------
        DataFrame
            ``test_id, trace_id, span_id, name, service`` (string), ``on_path_ms``, ``share`` (Float64), in
            the order of time; the ``on_path_ms`` of a trace add up to the duration of its root.
        """
        from clnrm_nb.report.critical import critical_path

        return critical_path(self.parts)

    def __repr__(self) -> str:
        return self.tree(rows=ROWS_IN_TEXT)

    def html(self, *, budget_bytes: int = _HTML_BYTES, rows: int = ROWS_IN_HTML) -> str:
        """The trace as a table, without a frame around it."""
        from html import escape

        from clnrm_nb.report.traceview import trace_html

        layout = self.layout
        places = layout.window(min(rows, self._max_rows))
        rest = "(all of them: .frame)"
        notes = "".join(f"<p class=q>note: {escape(remark)}</p>" for remark in self._remarks)
        budget_bytes -= len(notes.encode())
        return trace_html(layout, places, budget_bytes=budget_bytes, rest=rest, details=self._shown) + notes

    @property
    def _remarks(self) -> list[str]:
        """What there is to say about the file the spans come from."""
        return self.loading.remarks if self.loading is not None else []

    def document(self, rows: int = ROWS_IN_DOCUMENT) -> dict[str, Any]:
        """The MIME document of the spans a view shows: at most `rows`, fewer where their texts are long."""
        from clnrm_nb.report.documents import saved_bytes, trace_document

        rows = min(rows, self._max_rows)
        while True:
            document = trace_document(self.layout, self.layout.window(rows))
            weight = saved_bytes(document)
            if weight <= _DOCUMENT_BYTES or rows <= 1:
                return document
            rows = min(rows, document["shown"]) * _DOCUMENT_BYTES // (weight + 1)

    def _repr_mimebundle_(
        self, include: Container[str] | None = None, exclude: Container[str] | None = None
    ) -> Mapping[str, Any]:
        from clnrm_nb.report.documents import MIME
        from clnrm_nb.report.html import fragment
        from clnrm_nb.report.mime import bundle

        makers: dict[str, Callable[[], Any]] = {
            MIME["trace"]: self.document,
            "text/html": lambda: fragment("trace", self.html()),
            "text/plain": lambda: repr(self),
        }
        return bundle(makers, include, exclude)


def _masked(table: SpanTable, mask: Mask) -> SpanTable:
    """A copy with every text masked; equal names and shared resources are masked once."""
    copy = table.select(range(len(table)))
    for column in ("name", "status_message"):
        texts: dict[str, str] = {text: mask(text) for text in set(getattr(table, column))}
        setattr(copy, column, [texts[text] for text in getattr(table, column)])
    copy.attributes = [json_ready(attributes, mask) for attributes in table.attributes]
    copy.events = [
        tuple(Event(mask(e.name), e.time_ns, json_ready(e.attributes, mask)) for e in events)
        for events in table.events
    ]
    copy.links = [
        tuple(Link(one.trace_id, one.span_id, json_ready(one.attributes, mask)) for one in links)
        for links in table.links
    ]
    resources = {id(one): one for one in table.resource}
    scopes = {id(one): one for one in table.scope}
    shown_resources = {key: Resource(json_ready(one.attributes, mask)) for key, one in resources.items()}
    shown_scopes = {key: Scope(mask(one.name), mask(one.version)) for key, one in scopes.items()}
    copy.resource = [shown_resources[id(one)] for one in table.resource]
    copy.scope = [shown_scopes[id(one)] for one in table.scope]
    return copy
