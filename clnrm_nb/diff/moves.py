"""Moves: leftover subtrees that stand somewhere else on the other side, the largest first.

By equality, then by shape, then by label; what still stands below the same paired span goes first, so that a
span that came between, or went, leaves its children where they are (``wrap``, ``unwrap``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from clnrm_nb.diff.assign import MAX_GROUP
from clnrm_nb.diff.content import PER_MILLE
from clnrm_nb.diff.matching import Matching
from clnrm_nb.diff.model import COSTS
from clnrm_nb.diff.rounds import drain
from clnrm_nb.diff.structure import unpaired

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["pair_between", "pair_moves"]

_MIN_OVERLAP: Final = PER_MILLE // 2
"""A span is taken for another one elsewhere only if half of what it says is equal."""


def pair_moves(matching: Matching) -> None:
    """Pair leftover subtrees anywhere, by equality, then by shape."""
    a, b = matching.a, matching.b
    # Equal subtrees are paired whole, so what is above the others stays the same.
    nearest = matching.nearest()
    for here, there in _leftovers(matching, a.full, b.full):
        for i, j in _nearest(matching, here, there, nearest):
            if matching.free(i) and matching.free_b(j):
                matching.pair_equal(i, j, "moved")
    for here, there in _leftovers(matching, a.shape, b.shape):
        _pair_close(matching, here, there, "moved by shape", COSTS["move"])
    drain(matching)


def pair_between(matching: Matching) -> None:
    """Pair leftovers of one label below the same paired span, whatever came or went between them."""
    a, b = matching.a, matching.b
    above, above_b = matching.nearest()
    for here, there in _leftovers(matching, a.label, b.label):
        groups: dict[int, tuple[list[int], list[int]]] = {}
        for i in here:
            groups.setdefault(matching.forth[above(i)], ([], []))[0].append(i)
        for j in there:
            group = groups.get(above_b(j))
            if group:
                group[1].append(j)
        n_pairs = len(matching.queue)
        for mine, theirs in groups.values():
            if theirs:
                _pair_close(matching, mine, theirs, "moved by label", COSTS["wrap"])
        if len(matching.queue) > n_pairs:
            above, above_b = matching.nearest()
    drain(matching)


def _leftovers(
    matching: Matching, column: Sequence[int], column_b: Sequence[int]
) -> list[tuple[list[int], list[int]]]:
    """Unpaired spans of both sides with the same number, the largest subtrees first."""
    there: dict[int, list[int]] = {}
    for j in unpaired(matching.back):
        there.setdefault(column_b[j], []).append(j)
    here: dict[int, list[int]] = {}
    if there:
        for i in unpaired(matching.forth):
            if column[i] in there:
                here.setdefault(column[i], []).append(i)
    size = matching.a.size
    groups = [(spots, there[number]) for number, spots in here.items()]
    return sorted(groups, key=lambda group: (-size[group[0][0]], group[0][0]))


def _nearest(
    matching: Matching,
    here: Sequence[int],
    there: Sequence[int],
    nearest: tuple[Callable[[int], int], Callable[[int], int]],
) -> list[tuple[int, int]]:
    """Pairs of two groups of equal subtrees: below the same paired span first, then in start order."""
    here = [i for i in here if matching.forth[i] < 0]
    there = [j for j in there if matching.back[j] < 0]
    if len(here) == len(there) == 1:
        return [(here[0], there[0])]
    above, above_b = nearest
    by_above: dict[int, list[int]] = {}
    for j in sorted(there, key=matching.b.start.__getitem__, reverse=True):
        by_above.setdefault(above_b(j), []).append(j)
    pairs: list[tuple[int, int]] = []
    rest: list[int] = []
    for i in sorted(here, key=matching.a.start.__getitem__):
        near = by_above.get(matching.forth[above(i)])
        if near:
            pairs.append((i, near.pop()))
        else:
            rest.append(i)
    far = sorted((j for spots in by_above.values() for j in spots), key=matching.b.start.__getitem__)
    pairs.extend(zip(rest, far, strict=False))
    return pairs


def _pair_close(matching: Matching, here: Sequence[int], there: Sequence[int], rule: str, extra: int) -> None:
    a, b = matching.a, matching.b
    mine = [i for i in here if matching.forth[i] < 0]
    theirs = [j for j in there if matching.back[j] < 0]
    if not mine or not theirs or len(mine) > MAX_GROUP or len(theirs) > MAX_GROUP:
        return
    close = [
        i for i in mine if any(matching.contents.overlap(a.own[i], b.own[j]) >= _MIN_OVERLAP for j in theirs)
    ]
    if close:
        matching.pair_cheapest(close, theirs, rule, extra)
