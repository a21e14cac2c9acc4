"""Several passes over the same two trees; the cheapest script is kept.

No single order of steps will do: top-down first mistakes moves, anchors first mistakes attribute edits on
self-similar chains. Passes are cheap where little changed. The two sides are put into an order that depends
on their content alone, so that a diff and its inverse come from the same matching.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from clnrm_nb.diff.anchors import anchor_spans, anchor_subtrees, vote_containers
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

_MANY: Final = 4
"""Of fewer changed pairs no subtree costs more than both apart but a leaf."""


def match(a: Tree, b: Tree, prices: Prices, *, repaired: bool = True) -> Matching:
    """The matching of two trees whose script costs least, ties to fewer items, then to the earlier pass.

    Parameters
    ----------
    repaired : bool
        False: what is conflicted is left as the passes found it, in a third of the time.
    """
    best: Matching | None = None
    least = 0
    for matching in _passes(a, b, prices.contents):
        _part(matching)
        price = prices.total(matching.forth, matching.back)
        if best is None or price < least:
            best, least = matching, price
        if least % COST // ITEM <= 1:
            # One item that a pass finds is not bettered by another one's.
            break
    assert best is not None
    if is_least(best, least):
        best.proved[0].update(range(a.n + 1))
        best.proved[1].update(range(b.n + 1))
    elif repaired:
        repair(best, prices)
    return best


def _passes(a: Tree, b: Tree, contents: Contents) -> Iterator[Matching]:
    """Top-down first; anchors first; single contents too; and nothing, which no answer may cost more than."""
    top_down = Matching(a, b, contents)
    drain(top_down)
    _find_the_rest(top_down)
    yield top_down
    anchored = Matching(a, b, contents)
    anchor_subtrees(anchored)
    by_contents = anchored.copy()
    _from_anchors(anchored)
    yield anchored
    anchor_spans(by_contents)
    _from_anchors(by_contents)
    yield by_contents
    regional = Matching(a, b, contents)
    pair_regions(regional)
    _from_anchors(regional)
    yield regional
    nothing = Matching(a, b, contents)
    nothing.queue.clear()
    yield nothing


def _from_anchors(matching: Matching) -> None:
    vote_containers(matching)
    drain(matching)
    revisit(matching)
    _find_the_rest(matching)


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
    n_dear = 0
    for i, j in enumerate(forth[:-1]):
        if j >= 0 and a.own[i] != b.own[j]:
            n_dear += 1
            if not a.children[i] and not b.children[j]:
                moved = forth[a.parent[i]] != b.parent[j]
                cost = matching.contents.cost(a.own[i], b.own[j]) + COSTS["move"] * moved
                if cost > 2 * subtree_cost(1):
                    matching.unpair(i)
    if n_dear >= _MANY:
        prune(matching)
