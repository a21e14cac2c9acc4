"""Spans in columns: 100,000 of them stay cheap, objects are made only for rows someone looks at.

A table only ever grows at its end, so a reader on the same event loop may look at a live one at any time:
``len(table)`` rows are whole. Equal resources and scopes are shared objects. Identity is (trace, span):
:meth:`SpanTable.deduplicated` resolves repeats when a trace is taken as finished.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clnrm_nb.spans.model import KINDS, STATUS_CODES, Event, Link, Resource, Scope, Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["SpanTable"]


class SpanTable:
    """Columns of spans, one entry a row.

    Attributes
    ----------
    trace_id, span_id : list of str
    parent_span_id : list of (str or None)
    name : list of str
    kind, status_code : list of int
        Indices into :data:`~clnrm_nb.spans.model.KINDS` and :data:`~clnrm_nb.spans.model.STATUS_CODES`.
    start_ns, end_ns : list of (int or None)
    status_message : list of str
    attributes : list of dict
    events, links : list of tuple
    resource : list of Resource
    scope : list of Scope
    own : list of bool
    scenario : list of (str or None)
        Name of the scenario a span belongs to (``None``: the test), as :mod:`clnrm_nb.spans.owner` decided it.
    """

    __slots__ = (
        "_appended",
        "attributes",
        "end_ns",
        "events",
        "kind",
        "links",
        "name",
        "own",
        "parent_span_id",
        "resource",
        "scenario",
        "scope",
        "span_id",
        "start_ns",
        "status_code",
        "status_message",
        "trace_id",
    )

    COLUMNS = tuple(slot for slot in __slots__ if not slot.startswith("_"))

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        self.trace_id: list[str] = []
        self.span_id: list[str] = []
        self.parent_span_id: list[str | None] = []
        self.name: list[str] = []
        self.kind: list[int] = []
        self.start_ns: list[int | None] = []
        self.end_ns: list[int | None] = []
        self.status_code: list[int] = []
        self.status_message: list[str] = []
        self.attributes: list[dict[str, Any]] = []
        self.events: list[tuple[Event, ...]] = []
        self.links: list[tuple[Link, ...]] = []
        self.resource: list[Resource] = []
        self.scope: list[Scope] = []
        self.own: list[bool] = []
        self.scenario: list[str | None] = []
        self._appended: list[Callable[[SpanTable, int], None]] = []
        for span in spans:
            self.append(span)

    def __len__(self) -> int:
        return len(self.span_id)

    def append(self, span: Span, scenario: str | None = None) -> None:
        """Add one span at the end."""
        self.trace_id.append(span.trace_id)
        self.span_id.append(span.span_id)
        self.parent_span_id.append(span.parent_span_id)
        self.name.append(span.name)
        self.kind.append(KINDS.index(span.kind))
        self.start_ns.append(span.start_ns)
        self.end_ns.append(span.end_ns)
        self.status_code.append(STATUS_CODES.index(span.status_code))
        self.status_message.append(span.status_message)
        self.attributes.append(span.attributes)
        self.events.append(span.events)
        self.links.append(span.links)
        self.resource.append(span.resource)
        self.scope.append(span.scope)
        self.own.append(span.own)
        self.scenario.append(scenario)

    def span(self, row: int) -> Span:
        """The span of one row."""
        return Span(
            trace_id=self.trace_id[row],
            span_id=self.span_id[row],
            name=self.name[row],
            parent_span_id=self.parent_span_id[row],
            kind=KINDS[self.kind[row]],
            start_ns=self.start_ns[row],
            end_ns=self.end_ns[row],
            status_code=STATUS_CODES[self.status_code[row]],
            status_message=self.status_message[row],
            attributes=self.attributes[row],
            events=self.events[row],
            links=self.links[row],
            resource=self.resource[row],
            scope=self.scope[row],
            own=self.own[row],
        )

    def spans(self) -> list[Span]:
        """All rows as objects, for small tables."""
        return [self.span(row) for row in range(len(self))]

    def select(self, rows: Sequence[int]) -> SpanTable:
        """A new table of the given rows, in the given order."""
        chosen = SpanTable()
        for column in self.COLUMNS:
            values = getattr(self, column)
            setattr(chosen, column, [values[row] for row in rows])
        return chosen

    def parent_rows(self) -> list[int | None]:
        """Row of each span's parent: by (trace, span id), else by span id alone where that is unique.

        The second rule serves the engine's own tree, whose scenario spans start a trace of their own.
        """
        by_both = {key: row for row, key in enumerate(zip(self.trace_id, self.span_id, strict=True))}
        by_span: dict[str, int | None] = {}
        for row, span_id in enumerate(self.span_id):
            by_span[span_id] = None if span_id in by_span else row
        parents: list[int | None] = []
        for trace_id, parent in zip(self.trace_id, self.parent_span_id, strict=True):
            row = None if parent is None else by_both.get((trace_id, parent))
            parents.append(by_span.get(parent) if row is None and parent is not None else row)
        return parents
