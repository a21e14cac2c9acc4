"""A span table read into one side of a diff: volatile items dropped, contents interned, column by column.

Whatever many spans say alike (a name, a status, a resource) is written once.
"""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.diff.interner import Memo
from clnrm_nb.diff.positions import TOP, Label
from clnrm_nb.diff.side import build
from clnrm_nb.spans.canonical import BY_POSITION
from clnrm_nb.spans.content import canonical_json, direct_json, is_direct
from clnrm_nb.spans.model import KINDS, STATUS_CODES
from clnrm_nb.spans.topology import depth_first, tree_parents
from clnrm_nb.spans.volatile import fate, keep

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from clnrm_nb.diff.interner import Interner
    from clnrm_nb.diff.side import Side
    from clnrm_nb.spans.model import Event, Link, Resource
    from clnrm_nb.spans.table import SpanTable

__all__ = ["from_table"]

_KIND_TEXTS: Final = [canonical_json(kind) for kind in KINDS]


def from_table(table: SpanTable, interner: Interner, *, own_spans: bool = False) -> Side:
    """The side of a table's rows, own spans left out unless asked for."""
    rows = [row for row in range(len(table)) if own_spans or not table.own[row]]
    program = table if len(rows) == len(table) else table.select(rows)
    parents, n_cycles = program.parent_rows(), 0
    layout = depth_first(parents)
    if len(layout[0]) != len(parents):
        parents, n_cycles = tree_parents(program)
        layout = depth_first(parents)
    reader = _Reader(program, parents, interner)
    side = build(interner, parents, reader.owns(), _ages(program), rows, layout=layout)
    side.table = table
    side.ignored = reader.ignored
    orphans = sum(
        1
        for parent, wanted in zip(parents, program.parent_span_id, strict=True)
        if parent is None and wanted is not None
    )
    if n_cycles:
        subject = "1 parent cycle was" if n_cycles == 1 else f"{n_cycles} parent cycles were"
        side.notes.append(f"{subject} cut")
    if orphans - n_cycles > 0:
        lost = orphans - n_cycles
        subject = "1 span has" if lost == 1 else f"{lost} spans have"
        side.notes.append(f"{subject} a parent that is not in the trace")
    return side


def _ages(table: SpanTable) -> Sequence[Any]:
    """What rows are sorted by in time: their starts, where these are different and all there.

    Rows without any times are all of one age, which leaves them in canonical order.
    """
    starts = table.start_ns
    if not any(starts):
        return [0] * len(table)
    if None not in starts and len(set(starts)) == len(starts):
        return starts
    times = zip(starts, table.end_ns, table.span_id, strict=True)
    return [(start is None, start or 0, end or 0, span_id) for start, end, span_id in times]


class _Reader:
    """Columns of a table as canonical texts."""

    def __init__(self, table: SpanTable, parents: Sequence[int | None], interner: Interner) -> None:
        self.ignored: Counter[str] = Counter()
        self._table = table
        self._parents = parents
        self._interner = interner
        self._texts = interner.texts
        self._rows: dict[tuple[str, str], int] | None = None
        self._positions: dict[int, int] = {}

    def owns(self) -> list[int]:
        """The number of every row's content."""
        table, texts = self._table, self._texts
        # In the order of `Parts`.
        columns = (
            self._attributes(table.attributes),
            self._events(table.events),
            map(_KIND_TEXTS.__getitem__, table.kind),
            [self._links(links) if links else "[]" for links in table.links],
            map(texts.__getitem__, table.name),
            self._resources(table.resource),
            [texts[scope.name] for scope in table.scope],
            map(Memo(_status).__getitem__, zip(table.status_code, table.status_message, strict=True)),
        )
        return self._interner.owns(zip(*columns, strict=True))

    def _attributes(self, column: Sequence[dict[str, Any]]) -> list[str]:
        rows = self._kept(column)
        if is_direct(chain.from_iterable(map(dict.values, rows))):
            try:
                return list(map(direct_json, rows))
            except TypeError:  # Some rows need the slower way.
                pass
        return list(map(canonical_json, rows))

    def _kept(self, column: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
        """Attributes without what varies, and the count of that by key."""
        fates = {key: fate("attribute", key) for key in set(chain.from_iterable(column))}
        dropped = [key for key, found in fates.items() if found == "dropped"]
        doubtful = {key for key, found in fates.items() if found == "open"}
        if not dropped and not doubtful:
            return column
        rows = []
        for attributes in column:
            if doubtful.isdisjoint(attributes):
                kept = attributes.copy()
                for key in dropped:
                    kept.pop(key, None)
            else:
                kept = keep("attribute", attributes)
            rows.append(kept)
        for key in (*dropped, *doubtful):
            if count := sum(key in row for row in column) - sum(key in row for row in rows):
                self.ignored[key] += count
        return rows

    def _resources(self, column: Iterable[Resource]) -> list[str]:
        """Tables share one object among spans of equal resources, so each object is read once."""
        texts: dict[int, str] = {}
        for resource in column:
            if id(resource) not in texts:
                kept = keep("resource", resource.attributes)
                self.ignored.update(key for key in resource.attributes if key not in kept)
                texts[id(resource)] = canonical_json(kept)
        return [texts[id(resource)] for resource in column]

    def _events(self, column: Sequence[tuple[Event, ...]]) -> list[str]:
        attributes = iter(self._attributes([event.attributes for events in column for event in events]))
        return [self._listed(events, attributes) if events else "[]" for events in column]

    def _listed(self, events: tuple[Event, ...], attributes: Iterator[str]) -> str:
        """Events with the texts of their attributes, which come in the same order."""
        texts = (
            f'{{"attributes":{written},"name":{self._texts[event.name]}}}'
            for event, written in zip(events, attributes, strict=False)
        )
        return f"[{','.join(sorted(texts))}]"

    def _links(self, links: tuple[Link, ...]) -> str:
        texts = (
            canonical_json({"attributes": keep("attribute", link.attributes), "target": self._target(link)})
            for link in links
        )
        return f"[{','.join(sorted(texts))}]"

    def _target(self, link: Link) -> str:
        if link.trace_id == BY_POSITION:
            return link.span_id
        if self._rows is None:
            ids = zip(self._table.trace_id, self._table.span_id, strict=True)
            self._rows = dict(zip(ids, range(len(self._table)), strict=True))
        row = self._rows.get((link.trace_id, link.span_id))
        return "external" if row is None else self._interner.positions.text(self._position(row))

    def _position(self, row: int) -> int:
        """The position of one row; of the others no more than those above it are worked out."""
        way: list[int] = []
        above: int | None = row
        while above is not None and above not in self._positions:
            way.append(above)
            above = self._parents[above]
        position = TOP if above is None else self._positions[above]
        for step in reversed(way):
            position = self._positions[step] = self._interner.positions.below(position, self._label(step))
        return position

    def _label(self, row: int) -> Label:
        table, texts = self._table, self._texts
        kind, scope = _KIND_TEXTS[table.kind[row]], texts[table.scope[row].name]
        return Label(table.resource[row].service, scope, kind, texts[table.name[row]])


def _status(status: tuple[int, str]) -> str:
    code, message = status
    return canonical_json({"code": STATUS_CODES[code], "message": message})
