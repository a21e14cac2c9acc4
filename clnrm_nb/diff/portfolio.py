"""Several passes over the same two trees; the cheapest script is kept.

No single order of steps will do: top-down first mistakes moves and copies, regions first mistake attribute
edits where much is alike, and regions that stay whole are dearer where large parts have moved. Passes are
cheap where little changed. The two sides are put into an order that depends on their content alone, so that a
diff and its inverse come from the same matching.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from clnrm_nb.diff.containers import vote_containers
from clnrm_nb.diff.least import is_least
from clnrm_nb.diff.matching import Matching, subtree_cost
from clnrm_nb.diff.model import COSTS
from clnrm_nb.diff.moves import pair_between, pair_moves
from clnrm_nb.diff.pricing import COST, ITEM
from clnrm_nb.diff.pruning import prune
from clnrm_nb.diff.regions import pair_regions
from clnrm_nb.diff.renames import pair_renames
from clnrm_nb.diff.repair import repair
from clnrm_nb.diff.rounds import drain, revisit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clnrm_nb.diff.content import Contents
    from clnrm_nb.diff.pricing import Prices
    from clnrm_nb.diff.trees import Tree

__all__ = ["match"]

_FEW: Final = 128
"""A matching of no more items is repaired even if another one costs less before that: it takes little."""


def match(a: Tree, b: Tree, prices: Prices, *, repaired: bool = True) -> Matching:
    """The matching of two trees whose script costs least, ties to fewer items, then to the earlier pass.

    Parameters
    ----------
    repaired : bool
        False: what is conflicted is left as the passes found it, in a third of the time.
    """
    found: list[tuple[int, Matching]] = []
    passed: list[list[int]] = []
    for matching in _passes(a, b, prices.contents):
        if matching.forth in passed:
            continue
        passed.append(matching.forth[:])
        _part(matching)
        found.append((prices.total(matching.forth, matching.back), matching))
        if _n_items(found[-1][0]) <= 1:
            # One item that a pass finds is not bettered by another one's.
            break
    least, best = min(found, key=_price)
    if is_least(best, least):
        best.proved[0].update(range(a.n + 1))
        best.proved[1].update(range(b.n + 1))
        return best
    if repaired:
        for place, (price, matching) in enumerate(found):
            if matching is best or _n_items(price) <= _FEW:
                repair(matching, prices)
                found[place] = prices.total(matching.forth, matching.back), matching
    # No answer may cost more than all anew.
    nothing = Matching(a, b, prices.contents)
    found.append((prices.total(nothing.forth, nothing.back), nothing))
    return min(found, key=_price)[1]


def _price(found: tuple[int, Matching]) -> int:
    return found[0]


def _n_items(price: int) -> int:
    return price % COST // ITEM


def _passes(a: Tree, b: Tree, contents: Contents) -> Iterator[Matching]:
    """Top-down first, then regions first, then regions that stay whole."""
    top_down = Matching(a, b, contents)
    drain(top_down)
    _find_the_rest(top_down)
    yield top_down
    for is_whole in (False, True):
        regional = Matching(a, b, contents)
        pair_regions(regional, is_whole=is_whole)
        vote_containers(regional)
        drain(regional)
        revisit(regional)
        _find_the_rest(regional)
        yield regional


def _find_the_rest(matching: Matching) -> None:
    if matching.is_complete:
        return
    pair_moves(matching)
    pair_between(matching)
    pair_renames(matching)
    vote_containers(matching)
    revisit(matching)
    pair_moves(matching)
    pair_renames(matching)


def _part(matching: Matching) -> None:
    """Subtrees that cost more together than apart are two: a pair of leaves, and larger ones."""
    a, b, forth = matching.a, matching.b, matching.forth
    has_changed = False
    for i, j in enumerate(forth[:-1]):
        if j >= 0 and a.own[i] != b.own[j]:
            has_changed = True
            if not a.children[i] and not b.children[j]:
                moved = forth[a.parent[i]] != b.parent[j]
                cost = matching.contents.cost(a.own[i], b.own[j]) + COSTS["move"] * moved
                if cost > 2 * subtree_cost(1):
                    matching.unpair(i)
    if has_changed and not matching.is_complete:
        prune(matching)
