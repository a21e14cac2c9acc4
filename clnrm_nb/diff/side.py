"""One side of a diff, normalised: spans in canonical pre-order, volatile items gone, content as numbers.

A side comes from a span table or from a canonical form read back. It knows nothing of the other side but
shares its :class:`~clnrm_nb.diff.interner.Interner`. Numbers of spans are their places in the pre-order of
the canonical form, so a subtree is a range of numbers. The top of the traces is a span too, number ``n``,
without content: roots are its children like any others.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from clnrm_nb.diff.interner import Interner, Parts
from clnrm_nb.spans.canonical import FORMAT
from clnrm_nb.spans.content import canonical_json
from clnrm_nb.spans.model import KINDS, STATUS_CODES
from clnrm_nb.spans.topology import children_of, parents_first, tree_parents
from clnrm_nb.spans.volatile import TEMPLATED, keep

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from clnrm_nb.spans.model import Event, Link, Resource
    from clnrm_nb.spans.table import SpanTable

__all__ = [
    "Side",
    "build",
    "content_of",
    "document_of",
    "from_canonical",
    "from_table",
    "parts_of",
    "position_texts",
]

_PLAIN: Final = frozenset({str, bool, type(None)})
_INT_LIMIT: Final = 2**63
_ANY_PORT: Final = 65_535


@dataclass(slots=True)
class Side:
    """Spans by number, each after its parent.

    Attributes
    ----------
    n : int
        Number of spans, and the number of the top.
    parent : list of int
        ``n`` for roots, -1 for the top itself.
    children : list of list of int
        In canonical order.
    size : list of int
        Spans of the subtree, itself included.
    own, full : list of int
        Numbers of the interner; -1 for the top.
    row : list of (int or None)
        Rows of the table the side was made of.
    start : list of int
        Rank by start time; canonical order where there are no times.
    """

    interner: Interner
    n: int
    parent: list[int]
    children: list[list[int]]
    size: list[int]
    own: list[int]
    full: list[int]
    row: list[int | None]
    start: list[int]
    table: SpanTable | None = None
    ignored: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    known_digest: str = ""
    known_positions: list[str] | None = None

    @property
    def digest(self) -> str:
        """The trace digest (``format.md`` 8.1)."""
        if not self.known_digest:
            self.known_digest = _digest(self.interner, [self.full[root] for root in self.children[self.n]])
        return self.known_digest

    def digest_of(self, root: int, nodes: Sequence[int]) -> str:
        """A digest of some spans of a subtree: of their contents and how they hang together."""
        if len(nodes) == self.size[root]:
            return _digest(self.interner, [self.full[root]])
        depth = {root: 0}
        digest = hashlib.sha256()
        for number in nodes:
            depth.setdefault(number, depth.get(self.parent[number], 0) + 1)
            parts = self.parts(number)
            digest.update(f"{depth[number]} {parts.before}{parts.after}".encode())
        return f"sha256:{digest.hexdigest()}"

    def parts(self, number: int) -> Parts:
        """What a span says."""
        return self.interner.parts[self.own[number]]

    def name(self, number: int) -> str:
        """Name of a span."""
        return self.interner.name(self.own[number])

    def service(self, number: int) -> str:
        """Service of a span."""
        return self.interner.service(self.parts(number).resource)

    def path(self, number: int) -> str:
        """Names from the root down to a span."""
        names: list[str] = []
        while number != self.n:
            names.append(self.name(number))
            number = self.parent[number]
        return "/".join(reversed(names))

    def subtree(self, number: int) -> range:
        """Numbers of a span and all below it."""
        return range(number, number + self.size[number])


def content_of(parts: Parts) -> dict[str, Any]:
    """A span in canonical form, without its children."""
    return {name: json.loads(text) for name, text in parts._asdict().items()}


def from_table(table: SpanTable, interner: Interner, *, own_spans: bool = False) -> Side:
    """The side of a table's rows, own spans left out unless asked for."""
    rows = [row for row in range(len(table)) if own_spans or not table.own[row]]
    program = table if len(rows) == len(table) else table.select(rows)
    parents, n_cycles = tree_parents(program)
    reader = _Reader(program, parents)
    owns = [interner.own(reader.parts(row)) for row in range(len(program))]
    times = list(zip(program.start_ns, program.end_ns, program.span_id, strict=True))
    ages = [(start is None, start or 0, end or 0, span_id) for start, end, span_id in times]
    side = build(interner, parents, owns, ages, rows)
    side.table = table
    side.ignored = reader.ignored
    orphans = sum(
        1
        for parent, wanted in zip(parents, program.parent_span_id, strict=True)
        if parent is None and wanted is not None
    )
    if n_cycles:
        side.notes.append(f"{n_cycles} parent cycles were cut")
    if orphans - n_cycles > 0:
        side.notes.append(f"{orphans - n_cycles} spans have a parent that is not in the trace")
    return side


def from_canonical(document: Mapping[str, Any], interner: Interner) -> Side:
    """The side of a canonical form, as :func:`clnrm_nb.spans.canonical.canonical` makes it.

    Raises
    ------
    ValueError
        It is of another format.
    """
    if document.get("format") != FORMAT:
        message = f"a canonical form of format {FORMAT!r} is needed, this is {document.get('format')!r}"
        raise ValueError(message)
    parents: list[int | None] = []
    owns: list[int] = []
    todo: list[tuple[int | None, Any]] = [(None, node) for node in reversed(document["traces"])]
    while todo:
        parent, node = todo.pop()
        number = len(parents)
        parents.append(parent)
        owns.append(interner.own(parts_of(node)))
        todo.extend((number, child) for child in reversed(node["children"]))
    ages = [(False, number, 0, "") for number in range(len(parents))]
    return build(interner, parents, owns, ages, [None] * len(parents))


def parts_of(content: Mapping[str, Any]) -> Parts:
    """The texts of a span in canonical form."""
    return Parts(
        attributes=canonical_json(content["attributes"]),
        events=f"[{','.join(sorted(canonical_json(item) for item in content['events']))}]",
        kind=canonical_json(content["kind"]),
        links=f"[{','.join(sorted(canonical_json(item) for item in content['links']))}]",
        name=canonical_json(content["name"]),
        resource=canonical_json(content["resource"]),
        scope=canonical_json(content["scope"]),
        status=canonical_json(content["status"]),
    )


def document_of(side: Side) -> dict[str, Any]:
    """The canonical form of a side as nested dicts."""
    nodes = [{**content_of(side.parts(number)), "children": []} for number in range(side.n)]
    traces: list[Any] = []
    for number, node in enumerate(nodes):
        parent = side.parent[number]
        (traces if parent == side.n else nodes[parent]["children"]).append(node)
    return {"format": FORMAT, "traces": traces}


def build(
    interner: Interner,
    parents: Sequence[int | None],
    owns: Sequence[int],
    ages: Sequence[tuple[Any, ...]],
    rows: Sequence[int | None],
) -> Side:
    """A side from spans in any order.

    Parameters
    ----------
    parents : sequence of (int or None)
    owns : sequence of int
        Contents, by the interner.
    ages : sequence of tuple
        Order in time; equal subtrees are sorted by it.
    rows : sequence of (int or None)

    Raises
    ------
    IndexError
        The parents form a cycle.
    """
    below = children_of(parents)
    roots = [spot for spot, parent in enumerate(parents) if parent is None]
    downwards = roots[:]
    for spot in downwards:  # Grows while it is walked.
        downwards.extend(below[spot])
    fulls = [0] * len(parents)
    sizes = [1] * len(parents)
    for spot in reversed(downwards):
        _sort(interner, below[spot], fulls, ages)
        fulls[spot] = interner.full(owns[spot], tuple([fulls[child] for child in below[spot]]))
        sizes[spot] += sum([sizes[child] for child in below[spot]])
    _sort(interner, roots, fulls, ages)
    order: list[int] = []
    todo = roots[::-1]
    while todo:
        spot = todo.pop()
        order.append(spot)
        todo.extend(reversed(below[spot]))
    number = [0] * len(parents)
    for place, spot in enumerate(order):
        number[spot] = place
    n = len(order)
    if n != len(parents):
        raise IndexError("parents form a cycle")
    parent_of = [n if (parent := parents[spot]) is None else number[parent] for spot in order]
    children = [[number[child] for child in below[spot]] for spot in order]
    children.append([number[spot] for spot in roots])
    by_age = sorted(range(n), key=lambda place: ages[order[place]])
    start = [0] * (n + 1)
    for rank, place in enumerate(by_age):
        start[place] = rank
    return Side(
        interner=interner,
        n=n,
        parent=[*parent_of, -1],
        children=children,
        size=[*(sizes[spot] for spot in order), n],
        own=[*(owns[spot] for spot in order), -1],
        full=[*(fulls[spot] for spot in order), -1],
        row=[*(rows[spot] for spot in order), None],
        start=start,
    )


def _sort(
    interner: Interner, spots: list[int], fulls: Sequence[int], ages: Sequence[tuple[Any, ...]]
) -> None:
    """In canonical order, equal ones by start."""
    if len(spots) > 1:
        if len({fulls[spot] for spot in spots}) < len(spots):
            spots.sort(key=lambda spot: ages[spot])
        spots.sort(key=lambda spot: interner.key(fulls[spot]))


def _digest(interner: Interner, roots: Sequence[int]) -> str:
    digest = hashlib.sha256()
    for piece in _pieces(interner, roots):
        digest.update(piece.encode())
    return f"sha256:{digest.hexdigest()}"


def _pieces(interner: Interner, roots: Sequence[int]) -> Iterator[str]:
    yield f'{{"format":"{FORMAT}","traces":['
    todo: list[str | int] = ["]}", *_listed(roots)]
    while todo:
        item = todo.pop()
        if isinstance(item, str):
            yield item
        else:
            parts = interner.parts[interner.own_of[item]]
            yield parts.before
            todo.append(parts.after)
            todo.extend(_listed(interner.children_of[item]))


def _listed(fulls: Sequence[int]) -> list[str | int]:
    """Subtrees with commas between them, last first, as a stack wants them."""
    items: list[str | int] = []
    for full in reversed(fulls):
        items.append(full)
        items.append(",")
    return items[:-1]


class _Reader:
    """Rows of a table as texts. Equal small things are written once."""

    def __init__(self, table: SpanTable, parents: Sequence[int | None]) -> None:
        self.ignored: Counter[str] = Counter()
        self._table = table
        self._parents = parents
        self._resources: dict[int, str] = {}
        self._texts: dict[str, str] = {}
        self._plain: set[str] = set()
        self._statuses: dict[tuple[int, str], str] = {}
        self._targets: dict[tuple[str, str], str] | None = None

    def parts(self, row: int) -> Parts:
        table = self._table
        return Parts(
            attributes=self._kept(table.attributes[row]),
            events=self._events(table.events[row]),
            kind=f'"{KINDS[table.kind[row]]}"',
            links=self._links(table.links[row]),
            name=self._text(table.name[row]),
            resource=self._resource(table.resource[row]),
            scope=self._text(table.scope[row].name),
            status=self._status(table.status_code[row], table.status_message[row]),
        )

    def _text(self, text: str) -> str:
        found = self._texts.get(text)
        if found is None:
            found = self._texts[text] = canonical_json(text)
        return found

    def _status(self, code: int, message: str) -> str:
        found = self._statuses.get((code, message))
        if found is None:
            status = {"code": STATUS_CODES[code], "message": message}
            found = self._statuses[(code, message)] = canonical_json(status)
        return found

    def _kept(self, attributes: dict[str, Any]) -> str:
        if attributes.keys() <= self._plain:
            return _json(attributes)
        watched = [key for key in attributes if key not in self._plain and self._is_watched(key)]
        if not watched:
            return _json(attributes)
        kept = keep("attribute", {key: attributes[key] for key in watched})
        self.ignored.update([key for key in watched if key not in kept])
        rest = {key: value for key, value in attributes.items() if key not in watched}
        return _json(rest | kept)

    def _is_watched(self, key: str) -> bool:
        """Whether the list of volatile items may say something about a key: most are asked once a trace."""
        probe = {key: _ANY_PORT}
        is_plain = key not in TEMPLATED and keep("attribute", probe) == probe
        if is_plain:
            self._plain.add(key)
        return not is_plain

    def _resource(self, resource: Resource) -> str:
        text = self._resources.get(id(resource))
        if text is None:
            kept = keep("resource", resource.attributes)
            self.ignored.update(key for key in resource.attributes if key not in kept)
            text = self._resources[id(resource)] = canonical_json(kept)
        return text

    def _events(self, events: tuple[Event, ...]) -> str:
        if not events:
            return "[]"
        texts = (
            f'{{"attributes":{self._kept(event.attributes)},"name":{self._text(event.name)}}}'
            for event in events
        )
        return f"[{','.join(sorted(texts))}]"

    def _links(self, links: tuple[Link, ...]) -> str:
        if not links:
            return "[]"
        if self._targets is None:
            self._targets = self._positions()
        texts = (
            canonical_json(
                {
                    "attributes": keep("attribute", link.attributes),
                    "target": self._targets.get((link.trace_id, link.span_id), "external"),
                }
            )
            for link in links
        )
        return f"[{','.join(sorted(texts))}]"

    def _positions(self) -> dict[tuple[str, str], str]:
        table = self._table
        names = [
            (table.resource[row].service, table.scope[row].name, KINDS[table.kind[row]], table.name[row])
            for row in range(len(table))
        ]
        texts = position_texts(names, self._parents)
        return dict(zip(zip(table.trace_id, table.span_id, strict=True), texts, strict=True))


def _json(attributes: dict[str, Any]) -> str:
    """Canonical JSON; attributes that are plain already, nearly all, are not rebuilt for it."""
    if not _PLAIN.issuperset(map(type, attributes.values())):
        for value in attributes.values():
            kind = type(value)
            if kind not in _PLAIN and not (kind is int and -_INT_LIMIT <= value < _INT_LIMIT):
                return canonical_json(attributes)
    return orjson.dumps(attributes, option=orjson.OPT_SORT_KEYS).decode() if attributes else "{}"


def position_texts(labels: Sequence[tuple[str, str, str, str]], parents: Sequence[int | None]) -> list[str]:
    """Where a link points, without ids: the name, and a hash of the labels from the root down to it.

    Parameters
    ----------
    labels : sequence of (service, scope, kind, name)
    parents : sequence of (int or None)
    """
    chains = [b""] * len(labels)
    written = {label: canonical_json(list(label)).encode() for label in set(labels)}
    for spot in parents_first(parents):
        parent = parents[spot]
        above = chains[parent] if parent is not None else b""
        chains[spot] = hashlib.sha256(above + written[labels[spot]]).digest()
    return [f"{label[3]}#{chain.hex()[:12]}" for label, chain in zip(labels, chains, strict=True)]
