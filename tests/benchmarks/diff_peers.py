"""What others would say about a pair of traces: the peers of the diff's benchmark (`diff.md` 9).

Each peer takes two tables and says how many items it shows. Installed: `apted` and `zss` (ordered tree edit
distance, siblings by start), `deepdiff` (JSON, order ignored). Re-implemented from their published rule, and
labelled so: the set of names; Jaeger's comparison, which counts spans by the path of services and operations
down to them with "is a leaf" inside the path (`ancestralPathParentOrLeaf` of jaeger-ui); path with the index
among siblings. Peers that read contents get them as generously as can be: without ids, times and what
`format.md` calls volatile, which they could not know by themselves.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from apted import APTED
from apted import Config as AptedConfig
from deepdiff import DeepDiff
from zss import distance

from clnrm_nb.diff import compare
from clnrm_nb.spans.canonical import canonical
from clnrm_nb.spans.table import SpanTable
from clnrm_nb.spans.volatile import keep

Peer = Callable[[SpanTable, SpanTable], int]


@dataclass
class Node:
    """A span in a tree of siblings by start."""

    label: str
    content: str
    name: str
    service: str
    children: list[Node] = field(default_factory=list)


def trees(table: SpanTable) -> list[Node]:
    """The roots of a table."""
    nodes = [_node(table, row) for row in range(len(table))]
    roots: list[Node] = []
    rows = sorted(range(len(table)), key=lambda row: (table.start_ns[row] or 0, row))
    parents = table.parent_rows()
    for row in rows:
        parent = parents[row]
        (roots if parent is None else nodes[parent].children).append(nodes[row])
    return roots


def _node(table: SpanTable, row: int) -> Node:
    service, name = table.resource[row].service, table.name[row]
    content = {
        "attributes": keep("attribute", table.attributes[row]),
        "status": [table.status_code[row], table.status_message[row]],
        "events": sorted(
            [event.name, _text(keep("attribute", event.attributes))] for event in table.events[row]
        ),
        "links": len(table.links[row]),
    }
    label = f"{service} {table.scope[row].name} {table.kind[row]} {name}"
    return Node(label, _text(content), name, service)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=repr)


def ours(a: SpanTable, b: SpanTable) -> int:
    """Counted edits of clnrm_nb."""
    return len(compare(a, b).counted)


def name_set(a: SpanTable, b: SpanTable) -> int:
    """Names on one side only."""
    return len(set(a.name) ^ set(b.name))


def jaeger_paths(a: SpanTable, b: SpanTable) -> int:
    """Paths, ending in whether the span is a leaf, whose counts differ."""
    counts = []
    for table in (a, b):
        found: Counter[str] = Counter()
        todo = [("", root) for root in trees(table)]
        while todo:
            above, node = todo.pop()
            leaf = "" if node.children else "\t__LEAF__"
            path = f"{above}\v{node.service}\t{node.name}{leaf}"
            found[path] += 1
            todo.extend((path, child) for child in node.children)
        counts.append(found)
    return sum(counts[0][path] != counts[1][path] for path in counts[0].keys() | counts[1].keys())


def path_index(a: SpanTable, b: SpanTable) -> int:
    """Spans by name and rank among their siblings, all the way down: missing, added, or of another content."""
    found: list[dict[str, str]] = []
    for table in (a, b):
        places: dict[str, str] = {}
        todo = [(f"{rank}", root) for rank, root in enumerate(trees(table))]
        while todo:
            place, node = todo.pop()
            places[f"{place} {node.label}"] = node.content
            todo.extend((f"{place}/{rank} {child.name}", child) for rank, child in enumerate(node.children))
        found.append(places)
    old, new = found
    return sum(old.get(place) != new.get(place) for place in old.keys() | new.keys())


def _one_root(table: SpanTable) -> Node:
    return Node("top", "", "", "", trees(table))


class _Config(AptedConfig):
    def rename(self, one: Node, other: Node) -> int:
        return _rename(one, other)

    def children(self, node: Node) -> list[Node]:
        return node.children


def _rename(one: Node, other: Node) -> int:
    return int((one.label, one.content) != (other.label, other.content))


def apted(a: SpanTable, b: SpanTable) -> int:
    """Distance of ordered trees: each span removed, added or changed is one."""
    return round(APTED(_one_root(a), _one_root(b), _Config()).compute_edit_distance())


def zss(a: SpanTable, b: SpanTable) -> int:
    """The same distance by Zhang and Shasha's algorithm."""
    roots = _one_root(a), _one_root(b)
    found = distance(*roots, lambda node: node.children, lambda _: 1, lambda _: 1, _rename)
    return round(found)


def deepdiff(a: SpanTable, b: SpanTable) -> int:
    """Changes between our canonical forms as JSON, the order of lists ignored."""
    found = DeepDiff(canonical(a), canonical(b), ignore_order=True)
    return sum(len(changes) for changes in found.values())


PEERS: dict[str, tuple[Peer, int]] = {
    "clnrm_nb": (ours, 10**6),
    "name set (re-implemented)": (name_set, 10**6),
    "Jaeger's paths (re-implemented)": (jaeger_paths, 10**6),
    "path + index (re-implemented)": (path_index, 10**6),
    "apted": (apted, 100),
    "zss": (zss, 90),
    "deepdiff": (deepdiff, 25),
}
"""Each with the most spans it is asked about: what some seconds allow."""
