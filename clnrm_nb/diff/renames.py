"""Renames: leftovers under the same paired parent that say or hold the same under another label."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from clnrm_nb.diff.assign import MAX_GROUP, assign
from clnrm_nb.diff.content import PER_MILLE
from clnrm_nb.diff.matching import Matching
from clnrm_nb.diff.rounds import drain
from clnrm_nb.diff.structure import unpaired

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["pair_renames"]

_MIN_LEAF: Final = 660
_MIN_INNER: Final = 500


def pair_renames(matching: Matching) -> None:
    """Pair leftovers of different label under paired parents, if they are alike enough."""
    a, b, forth, back = matching.a, matching.b, matching.forth, matching.back
    for i in sorted({a.parent[i] for i in unpaired(forth)}):
        j = forth[i]
        if j < 0:
            continue
        mine = [child for child in a.children[i] if forth[child] < 0]
        theirs = [child for child in b.children[j] if back[child] < 0]
        if mine and theirs:
            _pair_alike(matching, mine[:MAX_GROUP], theirs[:MAX_GROUP])
    drain(matching)


def _pair_alike(matching: Matching, mine: Sequence[int], theirs: Sequence[int]) -> None:
    scores = [[_score(matching, i, j) for j in theirs] for i in mine]
    pairs = assign([[-score for score in line] for line in scores])
    for row, column in pairs:
        if scores[row][column]:
            matching.pair(mine[row], theirs[column], "rename")


def _score(matching: Matching, i: int, j: int) -> int:
    """How surely one span is the other renamed, in per mille; 0 below the threshold."""
    a, b = matching.a, matching.b
    overlap = matching.contents.overlap(a.own[i], b.own[j])
    words = matching.contents.words(a.own[i], b.own[j])
    if not a.children[i] and not b.children[j]:
        score = (overlap + words) // 2
        return score if score >= _MIN_LEAF else 0
    score = (55 * _children(matching, i, j) + 25 * overlap + 20 * words) // 100
    return score if score >= _MIN_INNER else 0


def _children(matching: Matching, i: int, j: int) -> int:
    """Share of the children that are the same: paired with each other, equal, of one shape or label."""
    a, b, forth, back = matching.a, matching.b, matching.forth, matching.back
    most = max(len(a.children[i]), len(b.children[j]))
    if not most:
        return PER_MILLE
    own = [child for child in a.children[i] if forth[child] < 0]
    others = [child for child in b.children[j] if back[child] < 0]
    common = sum(forth[child] >= 0 and b.parent[forth[child]] == j for child in a.children[i])
    full = _both(a.full, own, b.full, others)
    shape = max(_both(a.shape, own, b.shape, others) - full, 0)
    label = max(_both(a.label, own, b.label, others) - full - shape, 0)
    return (PER_MILLE * (common + full) + 900 * shape + 600 * label) // most


def _both(mine: Sequence[int], own: Sequence[int], theirs: Sequence[int], others: Sequence[int]) -> int:
    return (Counter(mine[spot] for spot in own) & Counter(theirs[spot] for spot in others)).total()
