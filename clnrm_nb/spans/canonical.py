"""The form in which two runs of the same thing are equal, and its digest (``format.md`` 8.1).

Own spans, ids, times and volatile items are gone; spans are trees whose children, like events and links, are
multisets, sorted by their canonical JSON. Sorting by a text that may be as long as the whole trace would be
quadratic on deep chains. So equal subtrees are interned bottom-up to numbers, and two different ones are
compared by walking down their first difference: each comparison touches no more than the smaller subtree.
The text itself is only ever written once, piece by piece. Nothing here recurses.
"""

from __future__ import annotations

import hashlib
from functools import cmp_to_key
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.spans.content import canonical_json, parsed_json
from clnrm_nb.spans.model import KINDS, STATUS_CODES
from clnrm_nb.spans.topology import children_of, parents_first, tree_parents
from clnrm_nb.spans.volatile import VOLATILE, keep

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clnrm_nb.spans.model import Event, Link, Resource
    from clnrm_nb.spans.table import SpanTable

__all__ = [
    "BY_POSITION",
    "FORMAT",
    "VOLATILE",
    "canonical",
    "canonical_bytes",
    "of_scenario",
    "positions",
    "trace_digest",
]

FORMAT: Final = "clnrm-trace/1"

BY_POSITION: Final = "clnrm:position"
"""Trace id of a link whose span id is the canonical target itself: traces that come from a canonical form."""

_HEAD: Final = f'{{"format":"{FORMAT}","traces":['
_TAIL: Final = "]}"


def of_scenario(table: SpanTable, scenario: str | None) -> SpanTable:
    """The rows of one scenario (``None``: those at test level), own spans left out.

    Spans below an own span become roots; the parents of all others are kept, be they there or not.
    """
    chosen = table.select(
        [row for row in range(len(table)) if table.scenario[row] == scenario and not table.own[row]]
    )
    own = {span_id for span_id, is_own in zip(table.span_id, table.own, strict=True) if is_own}
    chosen.parent_span_id = [None if parent in own else parent for parent in chosen.parent_span_id]
    return chosen


def trace_digest(table: SpanTable) -> str:
    """SHA-256 of the canonical form of all rows but own ones.

    Parameters
    ----------
    table : SpanTable
        Of one scenario, see :func:`of_scenario`.

    Returns
    -------
    str
        ``sha256:`` and 64 hex digits.
    """
    digest = hashlib.sha256()
    for piece in _pieces(table):
        digest.update(piece.encode())
    return f"sha256:{digest.hexdigest()}"


def canonical_bytes(table: SpanTable) -> bytes:
    """The canonical JSON itself."""
    return "".join(_pieces(table)).encode()


def canonical(table: SpanTable) -> dict[str, Any]:
    """The canonical form as nested dicts, ``{"format": "clnrm-trace/1", "traces": […]}``.

    As deep as the trace is: walk it without recursion.
    """
    forest = _Forest(table)
    traces: list[Any] = []
    todo = [(traces, shape) for shape in reversed(forest.roots)]
    while todo:
        siblings, shape = todo.pop()
        node = parsed_json(forest.before[shape] + forest.after[shape])
        siblings.append(node)
        todo.extend((node["children"], child) for child in reversed(forest.children[shape]))
    return {"format": FORMAT, "traces": traces}


def _pieces(table: SpanTable) -> Iterator[str]:
    forest = _Forest(table)
    yield _HEAD
    # A piece of text, or the number of a subtree that is still to be written.
    todo: list[str | int] = [_TAIL, *_listed(forest.roots)]
    while todo:
        item = todo.pop()
        if isinstance(item, str):
            yield item
        else:
            yield forest.before[item]
            todo.append(forest.after[item])
            todo.extend(_listed(forest.children[item]))


def _listed(shapes: Sequence[int]) -> list[str | int]:
    """Subtrees with commas between them, last first, as a stack wants them."""
    items: list[str | int] = []
    for shape in reversed(shapes):
        items.append(shape)
        items.append(",")
    return items[:-1]


class _Forest:
    """Every distinct subtree once, by number.

    The text of a subtree is ``before`` + its children's, joined by commas + ``after``.
    """

    def __init__(self, table: SpanTable) -> None:
        self.before: list[str] = []
        self.after: list[str] = []
        self.children: list[tuple[int, ...]] = []
        self._numbers: dict[tuple[str, str, tuple[int, ...]], int] = {}
        # Bound once: a key function is made for every list that is sorted.
        self._key = cmp_to_key(self._compare)
        program = table.select([row for row in range(len(table)) if not table.own[row]])
        parents, _ = tree_parents(program)
        shapes = [0] * len(program)
        below = children_of(parents)
        texts = _Texts(program, parents)
        for row in reversed(parents_first(parents)):
            shapes[row] = self._intern(*texts.of(row), self._sorted([shapes[child] for child in below[row]]))
        self.roots = self._sorted([shapes[row] for row, parent in enumerate(parents) if parent is None])

    def _intern(self, before: str, after: str, children: tuple[int, ...]) -> int:
        key = (before, after, children)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self.before)
            self.before.append(before)
            self.after.append(after)
            self.children.append(children)
        return number

    def _sorted(self, shapes: list[int]) -> tuple[int, ...]:
        return tuple(sorted(shapes, key=self._key)) if len(shapes) > 1 else tuple(shapes)

    def _compare(self, one: int, other: int) -> int:
        """Order of the two texts, found without writing them.

        JSON objects are prefix-free, so the first difference decides: in what stands before the children,
        else in the first children that differ, else in their number (``,`` sorts before ``]``, which sorts
        before ``{``), else in what stands behind.
        """
        while one != other:
            if self.before[one] != self.before[other]:
                return -1 if self.before[one] < self.before[other] else 1
            mine, theirs = self.children[one], self.children[other]
            for my_child, their_child in zip(mine, theirs, strict=False):
                if my_child != their_child:
                    one, other = my_child, their_child
                    break
            else:
                if len(mine) != len(theirs):
                    # After equal children the longer list goes on with a comma; an empty one ends at once.
                    shorter_first = not mine or not theirs
                    return -1 if (len(mine) < len(theirs)) == shorter_first else 1
                return -1 if self.after[one] < self.after[other] else 1
        return 0


class _Texts:
    """What each span itself contributes to the text."""

    def __init__(self, table: SpanTable, parents: Sequence[int | None]) -> None:
        self._table = table
        self._parents = parents
        self._resources: dict[int, str] = {}
        self._targets: dict[tuple[str, str], str] | None = None

    def of(self, row: int) -> tuple[str, str]:
        table = self._table
        attributes = canonical_json(keep("attribute", table.attributes[row]))
        status = {"code": STATUS_CODES[table.status_code[row]], "message": table.status_message[row]}
        after = (
            f'],"events":{_events(table.events[row])}'
            f',"kind":"{KINDS[table.kind[row]]}"'
            f',"links":{self._links(table.links[row])}'
            f',"name":{canonical_json(table.name[row])}'
            f',"resource":{self._resource(table.resource[row])}'
            f',"scope":{canonical_json(table.scope[row].name)}'
            f',"status":{canonical_json(status)}}}'
        )
        return f'{{"attributes":{attributes},"children":[', after

    def _resource(self, resource: Resource) -> str:
        text = self._resources.get(id(resource))
        if text is None:
            text = self._resources[id(resource)] = canonical_json(keep("resource", resource.attributes))
        return text

    def _links(self, links: tuple[Link, ...]) -> str:
        if not links:
            return "[]"
        if self._targets is None:
            self._targets = positions(self._table, self._parents)
        texts = (
            canonical_json(
                {
                    "attributes": keep("attribute", link.attributes),
                    "target": self._target(link),
                }
            )
            for link in links
        )
        return f"[{','.join(sorted(texts))}]"

    def _target(self, link: Link) -> str:
        if link.trace_id == BY_POSITION:
            return link.span_id
        assert self._targets is not None
        return self._targets.get((link.trace_id, link.span_id), "external")


def _events(events: tuple[Event, ...]) -> str:
    if not events:
        return "[]"
    texts = (
        canonical_json({"attributes": keep("attribute", event.attributes), "name": event.name})
        for event in events
    )
    return f"[{','.join(sorted(texts))}]"


def positions(table: SpanTable, parents: Sequence[int | None]) -> dict[tuple[str, str], str]:
    """Where a link points, without ids: the name, and a hash of the labels from the root down to it."""
    chains = [b""] * len(parents)
    for row in parents_first(parents):
        parent = parents[row]
        label = canonical_json(
            [table.resource[row].service, table.scope[row].name, KINDS[table.kind[row]], table.name[row]]
        )
        above = chains[parent] if parent is not None else b""
        chains[row] = hashlib.sha256(above + label.encode()).digest()
    return {
        (table.trace_id[row], table.span_id[row]): f"{table.name[row]}#{chains[row].hex()[:12]}"
        for row in range(len(parents))
    }
