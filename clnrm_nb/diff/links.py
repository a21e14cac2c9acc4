"""Where links point, before and after: a link follows its target through renames and moves.

A target is named by the labels from the root down to it, so renaming a span changes the text of every link to
it or below it. That is no edit of the link: the text is written anew wherever edits are applied.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clnrm_nb.diff.side import position_texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from clnrm_nb.diff.interner import Interner, Parts
    from clnrm_nb.diff.side import Side

__all__ = ["Translation", "followed", "has_links", "position_labels", "positions_of", "translation"]


@dataclass(frozen=True, slots=True)
class Translation:
    """Old target text to new."""

    targets: Mapping[str, str]

    def of(self, link: dict[str, Any]) -> dict[str, Any]:
        """The link as it reads afterwards."""
        target = link["target"]
        return {**link, "target": self.targets.get(target, target)}


def position_labels(spans: Iterable[Parts], interner: Interner) -> list[tuple[str, str, str, str]]:
    """Service, scope, kind and name of each span."""
    known: dict[tuple[str, ...], tuple[str, str, str, str]] = {}
    labels = []
    for parts in spans:
        key = (parts.resource, parts.scope, parts.kind, parts.name)
        label = known.get(key)
        if label is None:
            text = interner.text
            label = known[key] = (
                interner.service(parts.resource),
                text(parts.scope),
                text(parts.kind),
                text(parts.name),
            )
        labels.append(label)
    return labels


def has_links(side: Side) -> bool:
    """Whether any span links to one of the same trace."""
    return any(parts.links != "[]" for parts in map(side.parts, range(side.n)))


def positions_of(side: Side) -> list[str]:
    """The position text of every span of a side."""
    if side.known_positions is None:
        labels = position_labels(map(side.parts, range(side.n)), side.interner)
        parents = [None if parent == side.n else parent for parent in side.parent[:-1]]
        side.known_positions = position_texts(labels, parents)
    return side.known_positions


def translation(baseline: Side, current: Side, forth: Sequence[int]) -> Translation:
    """What becomes of each position in the baseline."""
    before, after = positions_of(baseline), positions_of(current)
    stayed = [(text, after[forth[number]]) for number, text in enumerate(before) if forth[number] >= 0]
    return followed(stayed, before, after)


def followed(stayed: Iterable[tuple[str, str]], before: Iterable[str], after: Iterable[str]) -> Translation:
    """The translation from the old and new position of every span that stays.

    A position is followed if it is gone, the new one is new, and its spans and no others went there: read
    backwards, the same positions are followed back.

    Parameters
    ----------
    stayed : iterable of (str, str)
    before, after : iterable of str
        Positions of all spans of both sides.
    """
    old, new = set(before), set(after)
    forwards: dict[str, set[str]] = {}
    backwards: dict[str, set[str]] = {}
    for one, other in stayed:
        if one != other:
            forwards.setdefault(one, set()).add(other)
            backwards.setdefault(other, set()).add(one)
    return Translation(
        {
            one: next(iter(others))
            for one, others in forwards.items()
            if len(others) == 1
            and one not in new
            and not others & old
            and len(backwards[next(iter(others))]) == 1
        }
    )
