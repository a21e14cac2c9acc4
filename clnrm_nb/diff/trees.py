"""A side as the matcher sees it: labels, shapes and subtrees as numbers both sides share, aliases applied.

``shape`` is a label with the shapes below it, ``full`` adds all content. Under an alias the current side is
read as if it still used the baseline's words, so that one renamed service does not break every label.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clnrm_nb.diff.content import blank
from clnrm_nb.spans.content import canonical_json

if TYPE_CHECKING:
    from clnrm_nb.diff.aliases import Aliases
    from clnrm_nb.diff.interner import Interner, Parts
    from clnrm_nb.diff.side import Side

__all__ = ["Numbers", "Tree", "grow"]


class Numbers:
    """Numbers for whatever can be hashed, shared by both sides."""

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}

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
    start: list[int]
    own: list[int]
    full: list[int]
    label: list[int]
    template: list[int]
    shape: list[int]


def grow(side: Side, numbers: Numbers, aliases: Aliases | None) -> Tree:
    """The tree of a side read in the baseline's words, if there are `aliases` (for both sides or neither)."""
    own, full = side.own, side.full
    if aliases is not None:
        own = _translated(side, aliases)
        full = _summed(side, own, numbers)
    names: dict[int, tuple[int, int]] = {-1: (-1, -1)}
    by_label: dict[tuple[str, str, str, str], tuple[int, int]] = {}
    for number in own:
        if number not in names:
            label = side.interner.label(number)
            known = by_label.get(label)
            if known is None:
                known = by_label[label] = (
                    numbers.of(("label", *label)),
                    numbers.of(("template", *label[:3], blank(label[3]))),
                )
            names[number] = known
    labels = [names[number][0] for number in own]
    shape = [-1] * (side.n + 1)
    for spot in range(side.n - 1, -1, -1):
        below = tuple(sorted([shape[child] for child in side.children[spot]]))
        shape[spot] = numbers.of((labels[spot], below))
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
    )


def _translated(side: Side, aliases: Aliases) -> list[int]:
    made: dict[int, int] = {-1: -1}
    for number in side.own:
        if number not in made:
            made[number] = side.interner.own(_in_old_words(side.interner, number, aliases))
    return [made[number] for number in side.own]


def _in_old_words(interner: Interner, own: int, aliases: Aliases) -> Parts:
    parts = interner.parts[own]
    if aliases.resources:
        service = interner.service(parts.resource)
        resource = {"service.name": aliases.services.get(service, service)}
        parts = parts._replace(resource=canonical_json(resource))
    scope = json.loads(parts.scope)
    if scope in aliases.scopes:
        parts = parts._replace(scope=canonical_json(aliases.scopes[scope]))
    if aliases.keys:
        attributes = json.loads(parts.attributes)
        if not aliases.keys.keys().isdisjoint(attributes):
            renamed = {aliases.keys.get(key, key): value for key, value in attributes.items()}
            parts = parts._replace(attributes=canonical_json(renamed))
    return parts


def _summed(side: Side, own: list[int], numbers: Numbers) -> list[int]:
    """Numbers of subtrees whose order under aliases is no longer the canonical one."""
    full = [-1] * (side.n + 1)
    for spot in range(side.n - 1, -1, -1):
        below = tuple(sorted([full[child] for child in side.children[spot]]))
        full[spot] = numbers.of(("full", own[spot], below))
    return full
