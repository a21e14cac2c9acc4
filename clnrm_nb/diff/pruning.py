"""Pruning: pairs that cost more than both spans apart are given up, alone or with all around them.

A pair saves what it costs to delete the one span and to insert the other, less what its own edits cost.
Where a pair is given up next to one that is kept, another subtree comes or goes; where it is kept below one
that is given up, it moves. What is best for every pair with all that hangs below it is worked out from the
leaves up, once for that it is kept and once for that it is not; then it is decided from the top down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from clnrm_nb.diff.model import COSTS

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from clnrm_nb.diff.matching import Matching
    from clnrm_nb.diff.trees import Tree

__all__ = ["SAVED", "prune"]

SAVED: Final = 4
"""What pairing two spans saves inside subtrees: 2 for the one as inserted, 2 for the other as deleted."""

_SUBTREE: Final = COSTS["insert"]
_MOVE: Final = COSTS["move"]
_COPY: Final = COSTS["count"] + 1
_MAX_SIBLINGS: Final = 64
"""Among more the next copy is not looked for."""


def prune(matching: Matching) -> None:
    """Give up the pairs without which the script costs less.

    Parameters
    ----------
    matching : Matching
        Changed. What whole traces share, and links, are left out.
    """
    _Pruning(matching).run()


class _Pruning:
    def __init__(self, matching: Matching) -> None:
        self._matching = matching
        a, b, forth = matching.a, matching.b, matching.forth
        self._changed = [i for i, j in enumerate(forth[:-1]) if j >= 0 and a.full[i] != b.full[j]]
        """Paired spans that differ, or below which anything does."""
        self._kept: dict[int, int] = {}
        self._given_up: dict[int, int] = {}
        self._holder: dict[int, int] = {}
        """The changed pair that such a pair hangs below, also through spans that came between or went."""

    def run(self) -> None:
        self._weigh()
        lost: set[int] = set()
        for i in self._changed:
            if not self._is_kept(i, lost):
                lost.add(i)
        for i in lost:
            self._matching.unpair(i)

    def _weigh(self) -> None:
        a, forth = self._matching.a, self._matching.forth
        kept, given_up = self._kept, self._given_up
        kept.update(dict.fromkeys(self._changed, 0))
        given_up.update(kept)
        above, above_b = self._matching.nearest()
        for i in reversed(self._changed):
            own, equal = self._own(i)
            kept[i] += own + sum(equal)
            given_up[i] += sum(max(saved - _MOVE, 0) for saved in equal) + _MOVE * self._n_lifted(i)
            top = above(i)
            if top != a.n and forth[top] == above_b(forth[i]) and top in kept:
                self._holder[i] = top
                kept[top] += max(kept[i], given_up[i] - self._apart(i))
                given_up[top] += max(given_up[i], kept[i] - _MOVE)

    def _own(self, i: int) -> tuple[int, list[int]]:
        """What a pair saves by itself, with what is unpaired right below it; and its equal subtrees."""
        matching = self._matching
        a, b, forth, back = matching.a, matching.b, matching.forth, matching.back
        j = forth[i]
        mine, theirs = a.children[i], b.children[j]
        n_subtrees = sum(forth[child] < 0 for child in mine) + sum(back[child] < 0 for child in theirs)
        cost = matching.contents.edits(a.own[i], b.own[j])[0] + _SUBTREE * n_subtrees
        mates = ((child, forth[child]) for child in mine)
        equal = [
            SAVED * a.size[child]
            for child, mate in mates
            if mate >= 0 and a.full[child] == b.full[mate] and b.parent[mate] == j
        ]
        return SAVED - cost, equal

    def _n_lifted(self, i: int) -> int:
        """How many pairs would be where they were, if a pair above one side of them came or went."""
        matching = self._matching
        a, b, forth, back = matching.a, matching.b, matching.forth, matching.back
        j = forth[i]
        above, above_b = forth[a.parent[i]], back[b.parent[j]]
        mates = [forth[child] for child in a.children[i]]
        mates_b = [back[child] for child in b.children[j]]
        return sum(mate >= 0 and b.parent[mate] == above for mate in mates) + sum(
            mate >= 0 and a.parent[mate] == above_b for mate in mates_b
        )

    def _apart(self, i: int, lost: Container[int] = ()) -> int:
        """What it costs beside their sizes to give up a pair, where what is above is kept on either side."""
        matching = self._matching
        a, b, forth, back = matching.a, matching.b, matching.forth, matching.back
        j = forth[i]
        cost = 0
        if forth[a.parent[i]] >= 0 and a.parent[i] not in lost:
            cost += self._alone(a, b, forth, i)
        if back[b.parent[j]] >= 0 and back[b.parent[j]] not in lost:
            cost += self._alone(b, a, back, j)
        return cost

    def _alone(self, tree: Tree, other: Tree, mates: Sequence[int], spot: int) -> int:
        """What a subtree that comes or goes costs beside its size; a copy of a sibling is only counted."""
        siblings, full = tree.children[tree.parent[spot]], tree.full[spot]
        if len(siblings) <= _MAX_SIBLINGS:
            for one in siblings:
                if (
                    tree.full[one] == full
                    and one != spot
                    and mates[one] >= 0
                    and other.full[mates[one]] == full
                ):
                    return _COPY - 2 * tree.size[spot]
        return _SUBTREE

    def _is_kept(self, i: int, lost: set[int]) -> bool:
        left = self._given_up[i] - self._apart(i, lost)
        holder = self._holder.get(i)
        if holder is not None and holder not in lost:
            return self._kept[i] >= left
        matching = self._matching
        above = matching.a.parent[i]
        has_moved = matching.forth[above] != matching.b.parent[matching.forth[i]] or above in lost
        return self._kept[i] - _MOVE * has_moved >= left
