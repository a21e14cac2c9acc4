"""Whole subtrees that may have been taken for the wrong ones are matched the other way round.

A window of a few spans cannot exchange subtrees that are larger than itself. So below each two paired spans,
subtrees of one label in which something is conflicted are tried with each other, matched top down as in a
first pass, and kept that way if it costs less.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from clnrm_nb.diff.assign import MAX_GROUP
from clnrm_nb.diff.exact import price_within, window_of
from clnrm_nb.diff.model import COSTS
from clnrm_nb.diff.rounds import drain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from clnrm_nb.diff.conflicts import Conflicts
    from clnrm_nb.diff.exact import Window
    from clnrm_nb.diff.matching import Matching
    from clnrm_nb.diff.pricing import Prices, SharedPrice
    from clnrm_nb.diff.trees import Tree

__all__ = ["rematch"]

_MAX_SIZE: Final = 96
"""Larger subtrees are told apart by what they hold; a wrong pair of them costs more than any edit."""

_MAX_GROUP: Final = 12
_TRIALS_PER_SPAN: Final = 4
_MAX_AROUND: Final = 1024
"""Subtrees whose price hangs on more spans around them are left as they are."""


def rematch(matching: Matching, prices: Prices, shared: SharedPrice, found: Conflicts) -> None:
    """Try conflicted subtrees with each other's partners.

    Parameters
    ----------
    matching : Matching
        Changed where that costs less.
    prices : Prices
    shared : SharedPrice
        Of the matching; kept in step with it.
    found : Conflicts
        Of the matching.
    """
    left = _TRIALS_PER_SPAN * len(found.atom_of)
    for i, j in _candidates(matching, found):
        if left <= 0:
            return
        if matching.forth[i] != j:
            left -= 1
            _try(matching, prices, shared, i, j)


def _candidates(matching: Matching, found: Conflicts) -> list[tuple[int, int]]:
    """Subtrees of one label below the same paired spans, or both without a partner, the most alike first."""
    a, b, forth, back = matching.a, matching.b, matching.forth, matching.back
    spots = found.atom_of
    dirty = _with_above(a, (spot for spot in spots if spot < found.first_b))
    dirty_b = _with_above(b, (spot - found.first_b for spot in spots if spot >= found.first_b))
    groups: dict[tuple[int, int], tuple[list[int], list[int]]] = {}
    for i in dirty:
        above = forth[a.parent[i]]
        groups.setdefault((above, a.label[i]), ([], []))[0].append(i)
        if forth[i] < 0 <= above:
            groups.setdefault((-1, a.label[i]), ([], []))[0].append(i)
    # A pair whose labels differ may be wrong as a whole.
    is_dirty = set(dirty)
    for i, j in ((i, forth[i]) for i in dirty if forth[i] >= 0 and a.label[i] != b.label[forth[i]]):
        groups.setdefault((forth[a.parent[i]], b.label[j]), ([], []))[0].append(i)
        for other in sorted(a.children[a.parent[i]]):
            if other in is_dirty and other != i:
                groups.setdefault((forth[a.parent[i]], b.label[j]), ([], []))[0].append(other)
    for j in dirty_b:
        above = b.parent[j] if back[b.parent[j]] >= 0 else -1
        groups.setdefault((above, b.label[j]), ([], []))[1].append(j)
        if back[j] < 0 <= above:
            groups.setdefault((-1, b.label[j]), ([], []))[1].append(j)
    pairs = [
        (matching.estimate(i, j), i, j)
        for here, there in groups.values()
        for i in here[:_MAX_GROUP]
        for j in there[:_MAX_GROUP]
        if forth[i] != j and (a.children[i] or b.children[j])
    ]
    return [(i, j) for _, i, j in sorted(set(pairs))]


def _with_above(tree: Tree, spots: Iterable[int]) -> list[int]:
    """Spans and all above them, but for large subtrees."""
    marked: set[int] = set()
    for spot in spots:
        above = spot
        while above != tree.n and above not in marked and tree.size[above] <= _MAX_SIZE:
            marked.add(above)
            above = tree.parent[above]
    return sorted(marked)


def _try(matching: Matching, prices: Prices, shared: SharedPrice, i: int, j: int) -> None:
    a, b, forth, back = matching.a, matching.b, matching.forth, matching.back
    old, old_b = forth[i], back[j]
    here = _closed(a, (i, old_b))
    there = _closed(b, (j, old))
    if len(here) + len(there) > 4 * _MAX_SIZE:
        return
    here.update(back[spot] for spot in tuple(there) if back[spot] >= 0)
    there.update(forth[spot] for spot in tuple(here) if forth[spot] >= 0)
    here.update(back[spot] for spot in tuple(there) if back[spot] >= 0)
    window = window_of(matching, sorted(here), sorted(there), _MAX_AROUND)
    if window is None:
        return
    kept = [(spot, forth[spot]) for spot in window.here if forth[spot] >= 0]
    matching.made.clear()
    rules = {spot: matching.rule[spot] for spot in window.here if spot in matching.rule}
    shared.add(kept, -1)
    before = price_within(matching, prices, shared, window)
    _part(matching, window.here)
    matching.pair(i, j, "subtree")
    drain(matching)
    if old >= 0 and old_b >= 0 and forth[old_b] < 0 and back[old] < 0 and a.label[old_b] == b.label[old]:
        matching.pair(old_b, old, "subtree")
        drain(matching)
    for above in sorted({a.parent[spot] for spot in window.here if forth[spot] < 0}):
        if forth[above] >= 0:
            matching.queue.append((above, forth[above]))
    drain(matching)
    _pair_leftovers(matching, window)
    is_within = here.issuperset(matching.made) and there.issuperset(forth[spot] for spot in matching.made)
    if not is_within or price_within(matching, prices, shared, window) >= before:
        _part(matching, matching.made)
        for spot, mate in kept:
            forth[spot], back[mate] = mate, spot
        matching.rule.update(rules)
    shared.add([(spot, forth[spot]) for spot in window.here if forth[spot] >= 0])


def _pair_leftovers(matching: Matching, window: Window) -> None:
    """Pair what is left of a window wherever it stands: equal subtrees, then spans of one label."""
    a, b = matching.a, matching.b
    for equal, others in _alike(matching, window, a.full, b.full):
        for i in equal:
            j = next((j for j in others if matching.back[j] < 0 and matching.free_b(j)), -1)
            if j >= 0 and matching.forth[i] < 0 and matching.free(i):
                matching.pair_equal(i, j, "moved")
    for mine, theirs in _alike(matching, window, a.label, b.label):
        if len(mine) <= MAX_GROUP and len(theirs) <= MAX_GROUP:
            matching.pair_cheapest(mine, theirs, "moved by label", COSTS["move"])
    drain(matching)


def _alike(
    matching: Matching, window: Window, column: Sequence[int], column_b: Sequence[int]
) -> list[tuple[list[int], list[int]]]:
    """Unpaired spans of a window that carry the same number, on both sides."""
    groups: dict[int, tuple[list[int], list[int]]] = {}
    for i in window.here:
        if matching.forth[i] < 0:
            groups.setdefault(column[i], ([], []))[0].append(i)
    for j in window.there:
        if matching.back[j] < 0 and column_b[j] in groups:
            groups[column_b[j]][1].append(j)
    return [group for group in groups.values() if group[1]]


def _closed(tree: Tree, roots: Iterable[int]) -> set[int]:
    """Whole subtrees."""
    return {spot for root in roots if root >= 0 for spot in range(root, root + tree.size[root])}


def _part(matching: Matching, spots: Iterable[int]) -> None:
    for spot in spots:
        if matching.forth[spot] >= 0:
            matching.unpair(spot)
