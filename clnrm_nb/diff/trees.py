"""A side as the matcher sees it: labels, shapes and subtrees as numbers both sides share, aliases applied.

``shape`` is a label with the shapes below it, ``full`` adds all content. Under an alias the current side is
read as if it still used the baseline's words, so that one renamed service does not break every label.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clnrm_nb.diff.content import blank
from clnrm_nb.diff.document import part_text
from clnrm_nb.diff.interner import Memo, Parts
from clnrm_nb.diff.positions import TOP
from clnrm_nb.spans.content import canonical_json

if TYPE_CHECKING:
    from clnrm_nb.diff.aliases import Aliases
    from clnrm_nb.diff.interner import Interner
    from clnrm_nb.diff.positions import Label
    from clnrm_nb.diff.side import Side

__all__ = ["Numbers", "Tree", "grow"]


class Numbers:
    """Numbers for whatever can be hashed, shared by both sides."""

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}
        self.shapes: dict[int, int] = {}
        """Of subtrees: equal ones, which most are, have equal shapes."""
        self.names: dict[int, tuple[int, int]] = {-1: (-1, -1)}
        """Label and template of contents."""

    def of(self, key: Any) -> int:
        """The number of `key`, a new one if it is new."""
        return self._numbers.setdefault(key, len(self._numbers))


@dataclass(slots=True)
class Tree:
    """Columns over the spans of one side; the last entry is the top of the traces."""

    n: int
    parent: list[int]
    children: list[list[int]]
    size: list[int]
    start: list[Any]
    own: list[int]
    full: list[int]
    label: list[int]
    template: list[int]
    shape: list[int]
    is_aligned: bool
    """Whether equal subtrees have equal spans in the same order; read in other words they may not."""


def grow(side: Side, numbers: Numbers, aliases: Aliases | None) -> Tree:
    """The tree of a side read in the baseline's words, if there are `aliases` (for both sides or neither)."""
    own, full = side.own, side.full
    if aliases is not None:
        own = _translated(side, aliases)
        full = _summed(side, own, numbers)
    names = numbers.names
    by_label: dict[Label, tuple[int, int]] = {}
    for number in own:
        if number not in names:
            label = side.interner.label(number)
            named = by_label.get(label)
            if named is None:
                template = label._replace(name=blank(label.name))
                named = by_label[label] = (numbers.of(("label", label)), numbers.of(("template", template)))
            names[number] = named
    labels = [names[number][0] for number in own]
    shape, shapes = [-1] * (side.n + 1), numbers.shapes
    for spot in range(side.n - 1, -1, -1):
        known = shapes.get(full[spot])
        if known is None:
            below = [shape[child] for child in side.children[spot]]
            below.sort()
            known = shapes[full[spot]] = numbers.of((labels[spot], tuple(below)))
        shape[spot] = known
    return Tree(
        n=side.n,
        parent=side.parent,
        children=side.children,
        size=side.size,
        start=side.start,
        own=own,
        full=full,
        label=labels,
        template=[names[number][1] for number in own],
        shape=shape,
        is_aligned=aliases is None,
    )


def _translated(side: Side, aliases: Aliases) -> list[int]:
    words = _OldWords(side.interner, aliases)
    return [words.of(own) if own in aliases.contents else own for own in side.own]


class _OldWords:
    """Contents read in the baseline's words; each content and each text is translated once."""

    def __init__(self, interner: Interner, aliases: Aliases) -> None:
        self._interner = interner
        self._aliases = aliases
        self._resources = Memo(self._resource)
        self._labels = Memo(self._label)
        self._owns: dict[int, int] = {}
        self._positions = {TOP: TOP}

    def of(self, own: int) -> int:
        """The number of a content in the old words."""
        found = self._owns.get(own)
        if found is None:
            found = self._owns[own] = self._interner.own(self._parts(self._interner.parts[own]))
        return found

    def _parts(self, parts: Parts) -> Parts:
        attributes, events, kind, links, name, resource, scope, status = parts
        if resource in self._aliases.resources:
            resource = self._resources[resource]
        if self._aliases.scopes:
            scope = self._scope(scope)
        if self._aliases.keys:
            renamed = {
                self._aliases.keys.get(key, key): value for key, value in json.loads(attributes).items()
            }
            attributes = canonical_json(renamed)
        if links != "[]":
            links = part_text("links", list(map(self._link, json.loads(links))))
        return Parts(attributes, events, kind, links, name, resource, scope, status)

    def _resource(self, text: str) -> str:
        return canonical_json({"service.name": self._service(self._interner.service(text))})

    def _service(self, service: str) -> str:
        return self._aliases.services.get(service, service)

    def _scope(self, text: str) -> str:
        scope = self._interner.text(text)
        return canonical_json(self._aliases.scopes.get(scope, scope))

    def _link(self, link: dict[str, Any]) -> dict[str, Any]:
        """A link, whose target is named by the labels down to it."""
        positions = self._interner.positions
        target = positions.named(link["target"])
        return link if target is None else {**link, "target": positions.text(self._position(target))}

    def _position(self, number: int) -> int:
        way: list[tuple[int, Label]] = []
        while number not in self._positions:
            above, label = self._interner.positions.place(number)
            way.append((number, label))
            number = above
        found = self._positions[number]
        for step, label in reversed(way):
            old = self._labels[label]
            found = self._positions[step] = self._interner.positions.below(found, old)
        return found

    def _label(self, label: Label) -> Label:
        service, scope = self._service(label.service), self._scope(label.scope)
        return label._replace(service=service, scope=scope)


def _summed(side: Side, own: list[int], numbers: Numbers) -> list[int]:
    """Numbers of subtrees read in other words, which change the order of siblings: it is none here."""
    full = [-1] * (side.n + 1)
    for spot in range(side.n - 1, -1, -1):
        below = sorted([full[child] for child in side.children[spot]])
        full[spot] = numbers.of(("full", own[spot], *below))
    return full
