"""The state of one pass of the matcher: who is paired with whom and why, and what a pair about costs."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Final

from clnrm_nb.diff.assign import assign
from clnrm_nb.diff.content import PER_MILLE
from clnrm_nb.diff.model import COSTS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from clnrm_nb.diff.content import Contents
    from clnrm_nb.diff.trees import Tree

__all__ = ["Matching", "similarity", "subtree_cost"]

_CHILD_SHAPE, _CHILD_LABEL, _CHILD_OTHER = 2, 4, 6
_SHARE_OWN: Final = 450
_SHARE_CHILDREN: Final = 400
_SHARE_LABELS: Final = 150


def subtree_cost(size: int) -> int:
    """Cost of inserting or deleting `size` spans at one place."""
    return COSTS["insert"] + 2 * size


class Matching:
    """Pairs of spans of two trees; -1 is nobody. The tops are paired from the beginning."""

    def __init__(self, a: Tree, b: Tree, contents: Contents) -> None:
        self.a, self.b, self.contents = a, b, contents
        self.forth = [-1] * (a.n + 1)
        self.back = [-1] * (b.n + 1)
        self.rule: dict[int, str] = {}
        """What paired them, by span of `a`."""
        self.queue: deque[tuple[int, int]] = deque()
        self.made: list[int] = []
        """Spans of `a` in the order in which they were paired, for who tries something out."""
        self.proved: tuple[set[int], set[int]] = (set(), set())
        """Spans of both sides whose edits are proved minimal."""
        self.forth[a.n], self.back[b.n] = b.n, a.n
        self.queue.append((a.n, b.n))

    def copy(self) -> Matching:
        """The same pairs, to go on from."""
        twin = Matching(self.a, self.b, self.contents)
        twin.forth, twin.back = self.forth[:], self.back[:]
        twin.rule, twin.queue = self.rule.copy(), self.queue.copy()
        return twin

    def pair(self, i: int, j: int, rule: str) -> None:
        """Two spans are one; their children are looked at later."""
        self.forth[i], self.back[j] = j, i
        self.rule[i] = rule
        self.made.append(i)
        self.queue.append((i, j))

    def unpair(self, i: int) -> None:
        """They are not."""
        self.back[self.forth[i]] = -1
        self.forth[i] = -1
        self.rule.pop(i, None)

    def pair_equal(self, i: int, j: int, rule: str) -> None:
        """Two equal subtrees are one, span by span, identical siblings by start order."""
        a, b = self.a, self.b
        if a.is_aligned and b.is_aligned:
            here, there = range(i, i + a.size[i]), range(j, j + b.size[j])
            self.forth[here.start : here.stop], self.back[there.start : there.stop] = there, here
            self.rule.update(dict.fromkeys(here, rule))
            self.made.extend(here)
            return
        todo = [(i, j)]
        while todo:
            one, other = todo.pop()
            self.forth[one], self.back[other] = other, one
            self.rule[one] = rule
            self.made.append(one)
            mine, theirs = a.children[one], b.children[other]
            if len(mine) == 1:
                todo.append((mine[0], theirs[0]))
            elif mine:
                mine = sorted(mine, key=lambda child: (a.full[child], a.start[child]))
                theirs = sorted(theirs, key=lambda child: (b.full[child], b.start[child]))
                todo.extend(zip(mine, theirs, strict=True))

    @property
    def is_complete(self) -> bool:
        """Whether nobody is left to pair."""
        return -1 not in self.forth and -1 not in self.back

    def free(self, i: int) -> bool:
        """Whether nothing in the subtree of a span of `a` is paired."""
        return max(self.forth[i : i + self.a.size[i]]) < 0

    def free_b(self, j: int) -> bool:
        """Whether nothing in the subtree of a span of `b` is paired."""
        return max(self.back[j : j + self.b.size[j]]) < 0

    def nearest(self) -> tuple[Callable[[int], int], Callable[[int], int]]:
        """Nearest paired spans above those of `a` and of `b`, true until another pair is made.

        Below a large unpaired subtree every way up is long; no part of one is walked twice.
        """
        return _nearest(self.a, self.forth), _nearest(self.b, self.back)

    def estimate(self, i: int, j: int) -> int:
        """About what pairing two spans costs, their children included."""
        a, b = self.a, self.b
        cost = self.contents.cost(a.own[i], b.own[j])
        mine, theirs = a.children[i], b.children[j]
        if not mine and not theirs:
            return cost
        by_full = _n_common(a.full, mine, b.full, theirs)
        if by_full == len(mine) == len(theirs):
            return cost
        shapes = _n_common(a.shape, mine, b.shape, theirs)
        labels = _n_common(a.label, mine, b.label, theirs)
        by_shape = max(shapes - by_full, 0)
        by_label = max(labels - by_full - by_shape, 0)
        rest = len(mine) + len(theirs) - 2 * (by_full + by_shape + by_label)
        return cost + _CHILD_SHAPE * by_shape + _CHILD_LABEL * by_label + _CHILD_OTHER * rest

    def similarity(self, i: int, j: int) -> int:
        """How alike two spans of one label are, in per mille."""
        return similarity(self.a, self.b, self.contents, i, j)

    def pair_cheapest(self, mine: Sequence[int], theirs: Sequence[int], rule: str, extra: int = 0) -> None:
        """Pair two groups for the least total cost; a pair dearer than leaving both is not made.

        Parameters
        ----------
        mine, theirs : sequence of int
            No more than :data:`~clnrm_nb.diff.assign.MAX_GROUP` each.
        rule : str
            For the reason.
        extra : int
            Cost of each pair beside its content, such as a move's.
        """
        if len(mine) == len(theirs) == 1:
            if self._is_worth(mine[0], theirs[0], extra):
                self.pair(mine[0], theirs[0], rule)
            return
        a, b = self.a, self.b
        estimates = [[self.estimate(i, j) + extra for j in theirs] for i in mine]
        ranks = {j: rank for rank, j in enumerate(sorted(theirs, key=b.start.__getitem__))}
        my_ranks = {i: rank for rank, i in enumerate(sorted(mine, key=a.start.__getitem__))}
        pairs = assign(
            [
                [
                    (min(cost, self._apart(i, j)) << 20)
                    - (self.similarity(i, j) << 8)
                    + abs(my_ranks[i] - ranks[j])
                    for j, cost in zip(theirs, line, strict=True)
                ]
                for i, line in zip(mine, estimates, strict=True)
            ]
        )
        for row, column in pairs:
            i, j = mine[row], theirs[column]
            if estimates[row][column] <= self._apart(i, j):
                self.pair(i, j, rule)

    def _is_worth(self, i: int, j: int, extra: int) -> bool:
        """Whether a pair costs no more than both apart; a bound that takes no look at the children first."""
        apart = self._apart(i, j) - extra
        n_children = len(self.a.children[i]) + len(self.b.children[j])
        most = self.contents.cost(self.a.own[i], self.b.own[j]) + _CHILD_OTHER * n_children
        return most <= apart or self.estimate(i, j) <= apart

    def _apart(self, i: int, j: int) -> int:
        return subtree_cost(self.a.size[i]) + subtree_cost(self.b.size[j])


def similarity(a: Tree, b: Tree, contents: Contents, i: int, j: int) -> int:
    """How alike what two spans say and hold is, their own labels aside, in per mille."""
    score = _SHARE_OWN * contents.overlap(a.own[i], b.own[j])
    mine, theirs = a.children[i], b.children[j]
    score += _SHARE_CHILDREN * _common([a.shape[k] for k in mine], [b.shape[k] for k in theirs])
    score += _SHARE_LABELS * _common([a.label[k] for k in mine], [b.label[k] for k in theirs])
    return score // PER_MILLE


def _nearest(tree: Tree, mates: Sequence[int]) -> Callable[[int], int]:
    parent, known = tree.parent, dict[int, int]()

    def nearest(spot: int) -> int:
        way = [spot]
        above = parent[spot]
        while mates[above] < 0 and above not in known:
            way.append(above)
            above = parent[above]
        found = above if mates[above] >= 0 else known[above]
        known.update(dict.fromkeys(way, found))
        return found

    return nearest


def _n_common(column: list[int], mine: Sequence[int], column_b: list[int], theirs: Sequence[int]) -> int:
    """How many of two groups carry the same number, each counted once."""
    if len(mine) == len(theirs) == 1:
        return int(column[mine[0]] == column_b[theirs[0]])
    return (Counter([column[k] for k in mine]) & Counter([column_b[k] for k in theirs])).total()


def _common(mine: Sequence[int], theirs: Sequence[int]) -> int:
    if mine == theirs:
        return PER_MILLE
    one, other = Counter(mine), Counter(theirs)
    return PER_MILLE * (one & other).total() // (one | other).total()
