"""The container vote: an unpaired span is the one of its label that holds most of what it held."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from clnrm_nb.diff.matching import Matching, subtree_cost
from clnrm_nb.diff.structure import unpaired

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["vote_containers"]

_MAX_HELD: Final = 64

_MAX_LIFT: Final = 4
"""Unpaired spans between a child and its old container that the vote looks through."""


def vote_containers(matching: Matching) -> None:
    """Pair unpaired spans with those of their label that hold what they held, the lowest first."""
    a, forth = matching.a, matching.forth
    # What an unpaired span held goes on to the span above it.
    held: dict[int, list[int]] = {}
    for i in reversed(unpaired(forth)):
        inside = [child for child in a.children[i] if forth[child] >= 0]
        for child in a.children[i]:
            inside.extend(held.pop(child, ()))
        if not inside:
            continue
        votes = _votes(matching, i, inside)
        best = min(votes, key=lambda holder: (-votes[holder], holder), default=-1)
        if best >= 0 and _is_container(matching, i, best):
            matching.pair(i, best, "container")
        else:
            held[i] = inside[:_MAX_HELD]


def _votes(matching: Matching, i: int, inside: Sequence[int]) -> Counter[int]:
    """For each unpaired span of the label of `i` the spans of `inside` it holds, by size."""
    a, b, back = matching.a, matching.b, matching.back
    votes: Counter[int] = Counter()
    for child in inside:
        holder, best, least = b.parent[matching.forth[child]], -1, 0
        for _ in range(_MAX_LIFT):
            if back[holder] >= 0:
                break
            if b.label[holder] == a.label[i]:
                cost = matching.contents.cost(a.own[i], b.own[holder])
                if best < 0 or cost < least:
                    best, least = holder, cost
            holder = b.parent[holder]
        if best >= 0:
            votes[best] += a.size[child]
    return votes


def _is_container(matching: Matching, i: int, holder: int) -> bool:
    """Whether pairing costs less than both apart, and no span just above says it better."""
    a, b, contents = matching.a, matching.b, matching.contents
    cost = contents.cost(a.own[i], b.own[holder])
    if cost > 2 * subtree_cost(1):
        return False
    above = a.parent[i]
    for _ in range(_MAX_LIFT):
        if cost == 0 or matching.forth[above] >= 0:
            return True
        if a.label[above] == a.label[i] and contents.cost(a.own[above], b.own[holder]) < cost:
            return False
        above = a.parent[above]
    return True
