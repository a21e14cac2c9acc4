"""Canonical forms as nested dicts, read into sides and written from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clnrm_nb.diff.interner import Interner, Parts
from clnrm_nb.diff.side import build
from clnrm_nb.spans.canonical import FORMAT
from clnrm_nb.spans.content import canonical_json, parsed_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clnrm_nb.diff.side import Side

__all__ = ["content_of", "document_of", "from_canonical", "part_text", "parts_of"]

_MULTISETS = frozenset({"events", "links"})


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
    side = build(interner, parents, owns, range(len(parents)), [None] * len(parents))
    if side.linked:
        # What links name can only be told by writing out every position.
        for position in set(side.positions):
            interner.positions.text(position)
    return side


def document_of(side: Side) -> dict[str, Any]:
    """The canonical form of a side as nested dicts."""
    nodes = [{**content_of(side.parts(number)), "children": []} for number in range(side.n)]
    traces: list[Any] = []
    for number, node in enumerate(nodes):
        parent = side.parent[number]
        (traces if parent == side.n else nodes[parent]["children"]).append(node)
    return {"format": FORMAT, "traces": traces}


def content_of(parts: Parts) -> dict[str, Any]:
    """A span in canonical form, without its children."""
    return {name: parsed_json(text) for name, text in zip(Parts._fields, parts, strict=True)}


def parts_of(content: Mapping[str, Any]) -> Parts:
    """The texts of a span in canonical form."""
    return Parts(*(part_text(name, content[name]) for name in Parts._fields))


def part_text(name: str, value: Any) -> str:
    """The canonical text of one part of a span, such as its ``attributes``."""
    if name in _MULTISETS:
        return f"[{','.join(sorted(map(canonical_json, value)))}]"
    return canonical_json(value)
