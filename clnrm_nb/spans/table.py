"""Spans in columns: 100,000 of them stay cheap, objects are made only for rows someone looks at.

A table only ever grows at its end, and its length is raised after all columns have grown, so a reader on any
thread may look at a live one at any time: ``len(table)`` rows are whole. (A row may be replaced by a later
version of the *same* span.) Equal resources and scopes are shared objects. Identity is (trace, span).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clnrm_nb.spans.content import row_bytes
from clnrm_nb.spans.model import KINDS, STATUS_CODES, Event, Link, Resource, Scope, Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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
        Name of the scenario a span belongs to (``None``: the test), as :mod:`~clnrm_nb.spans.owner` decided.
    """

    __slots__ = (
        "_size",
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
        self._size = 0
        for span in spans:
            self.append(span)

    def __len__(self) -> int:
        return self._size

    def __eq__(self, other: object) -> bool:
        """Same rows in the same order; not-a-number equals itself."""
        if not isinstance(other, SpanTable):
            return NotImplemented
        return (
            len(self) == len(other)
            and self.own == other.own
            and self.scenario == other.scenario
            and all(row_bytes(self, row) == row_bytes(other, row) for row in range(len(self)))
        )

    __hash__ = None  # type: ignore[assignment]  # tables grow

    def __repr__(self) -> str:
        """How many rows, no content."""
        return f"<SpanTable of {len(self)} spans>"

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
        self._size += 1

    def extend(self, other: SpanTable) -> None:
        """Add all rows of `other` at the end; shares their values."""
        for column in self.COLUMNS:
            getattr(self, column).extend(getattr(other, column))
        self._size += len(other)

    def seal(self) -> None:
        """Take the columns, all grown by the same number of values from outside, as whole rows."""
        self._size = len(self.span_id)

    def replace(self, row: int, other: SpanTable, other_row: int) -> None:
        """Put another version of a span into its row; the row keeps its scenario."""
        for column in self.COLUMNS:
            if column != "scenario":
                getattr(self, column)[row] = getattr(other, column)[other_row]

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
        chosen.seal()
        return chosen

    def parent_rows(self) -> list[int | None]:
        """Row of each span's parent: by (trace, span id), else by span id alone where that is unique.

        The second rule serves the engine's own tree, whose scenario spans start a trace of their own.
        """
        size = self._size
        rows: dict[str | None, int] = dict(zip(self.span_id, range(size), strict=False))
        if len(rows) == size:  # No two traces share a span id, as nearly always.
            return list(map(rows.get, self.parent_span_id[:size]))
        by_span: dict[str, int] = {}
        twins: dict[tuple[str, str], int] = {}
        for row in range(size):
            span_id = self.span_id[row]
            first = by_span.setdefault(span_id, row)
            if first != row:
                twins.setdefault((self.trace_id[first], span_id), first)
                twins.setdefault((self.trace_id[row], span_id), row)
        shared = {span_id for _, span_id in twins}
        parents: list[int | None] = []
        for row in range(size):
            parent = self.parent_span_id[row]
            if parent is None:
                parents.append(None)
            elif parent in shared:
                parents.append(twins.get((self.trace_id[row], parent)))
            else:
                parents.append(by_span.get(parent))
        return parents
