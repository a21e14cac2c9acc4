"""Scripts of one item that need no search to be proved the least.

What one content says is changed for the least by changing it: the costs of contents keep the triangle
inequality, so that no chain of other pairs gets from the one to the other for less, and to bring or to take
any span costs more. Where the numbers of spans differ some must have come or gone, and for one span nothing
costs less than a copy, which is always told as one. A move can only be spared by pairs that keep all parents:
there are none where the two trees differ in their bare outlines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from clnrm_nb.diff.model import COSTS
from clnrm_nb.diff.pricing import COST, ITEM

if TYPE_CHECKING:
    from clnrm_nb.diff.matching import Matching
    from clnrm_nb.diff.trees import Tree

__all__ = ["is_least"]

_CHEAPEST: Final = min(COSTS.values())
_ONE_SPAN: Final = COSTS["wrap"]
"""What it costs to bring or take one span, unless it is a copy."""


def is_least(matching: Matching, price: int) -> bool:
    """Whether no other matching can have a lower price.

    Parameters
    ----------
    matching : Matching
    price : int
        Of its script, see :mod:`~clnrm_nb.diff.pricing`.
    """
    a, b = matching.a, matching.b
    cost, n_items = price // COST, price % COST // ITEM
    if cost <= _CHEAPEST:
        return True
    if n_items > 1 or cost > _ONE_SPAN:
        return False
    if a.n != b.n:
        return True
    is_content = any(j >= 0 and a.own[i] != b.own[j] for i, j in enumerate(matching.forth[:-1]))
    return is_content or not _have_one_outline(a, b)


def _have_one_outline(*trees: Tree) -> bool:
    """Whether two trees are one if only parents are looked at; subtrees are numbered from the leaves up."""
    numbers: dict[tuple[int, ...], int] = {}
    tops = set()
    for tree in trees:
        found = [0] * (tree.n + 1)
        for spot in (*range(tree.n - 1, -1, -1), tree.n):
            below = tuple(sorted([found[child] for child in tree.children[spot]]))
            found[spot] = numbers.setdefault(below, len(numbers))
        tops.add(found[tree.n])
    return len(tops) == 1
