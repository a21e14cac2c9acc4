"""What a matching says about structure: which spans came, went, moved, came between, or are repeated.

An unpaired span with paired ones below it has either come between (``wrap``; on the other side ``unwrap``),
or is inserted and what is below it has moved there: whichever costs less. Both sides are read by the same
code, so the structure of an inverse diff is the inverse structure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from clnrm_nb.diff.model import COSTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.diff.trees import Tree

__all__ = ["Repeat", "Structure", "Subtree", "structure_of", "unpaired"]

_MAX_ROUNDS: Final = 8
"""Each round only turns wraps into inserts; what is not settled by then is inserted."""


@dataclass(frozen=True, slots=True)
class Subtree:
    """Spans inserted or deleted as one: a root and what is unpaired below it without a gap."""

    root: int
    nodes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """Surplus copies of a subtree that both sides have at this place."""

    parent: int
    parent_b: int
    n: int
    m: int
    roots: tuple[int, ...]
    """In the current side if ``m > n``, else in the baseline."""


@dataclass(frozen=True, slots=True)
class Structure:
    """The structural items of a script."""

    inserts: tuple[Subtree, ...]
    deletes: tuple[Subtree, ...]
    wraps: tuple[int, ...]
    unwraps: tuple[int, ...]
    moves: tuple[tuple[int, int], ...]
    repeats: tuple[Repeat, ...]
    held: tuple[tuple[int, int], ...]
    """Pairs that stay in place below a wrap or an unwrap."""

    @property
    def n_items(self) -> int:
        """Number of edits."""
        return sum(map(len, (self.inserts, self.deletes, self.wraps, self.unwraps, self.moves, self.repeats)))

    @property
    def cost(self) -> int:
        """By ``format.md`` 8.2."""
        cost = COSTS["wrap"] * (len(self.wraps) + len(self.unwraps)) + COSTS["move"] * len(self.moves)
        cost += sum(COSTS["insert"] + 2 * len(tree.nodes) for tree in (*self.inserts, *self.deletes))
        return cost + sum(COSTS["count"] + abs(item.m - item.n) for item in self.repeats)


def unpaired(mates: Sequence[int]) -> list[int]:
    """The spans of a side that have no partner, mostly few."""
    found: list[int] = []
    for _ in range(mates.count(-1)):
        found.append(mates.index(-1, found[-1] + 1 if found else 0))
    return found


def structure_of(forth: Sequence[int], back: Sequence[int], a: Tree, b: Tree) -> Structure:
    """Read the structure off a matching.

    Parameters
    ----------
    forth, back : sequence of int
        Partner of each span of `a` and of `b`; -1 for none. The tops are partners.
    """
    loose = [(i, j) for i, j in enumerate(forth) if j >= 0 and i < a.n and forth[a.parent[i]] != b.parent[j]]
    unwraps, wraps, held = _between(forth, back, a, b, loose)
    stays = set(held)
    inserts = _components(back, b, wraps)
    deletes = _components(forth, a, unwraps)
    inserts, more = _repeats(inserts, back, a, b, back_side=True)
    deletes, fewer = _repeats(deletes, forth, b, a, back_side=False)
    return Structure(
        inserts=tuple(inserts),
        deletes=tuple(deletes),
        wraps=tuple(sorted(wraps)),
        unwraps=tuple(sorted(unwraps)),
        moves=tuple(pair for pair in loose if pair not in stays),
        repeats=(*more, *fewer),
        held=tuple(held),
    )


def _between(
    forth: Sequence[int], back: Sequence[int], a: Tree, b: Tree, loose: list[tuple[int, int]]
) -> tuple[set[int], set[int], list[tuple[int, int]]]:
    """Spans that went from between, spans that came between, and the pairs they hold in place."""
    gone, came = _chains(forth, a, [i for i, _ in loose]), _chains(back, b, [j for _, j in loose])
    for _ in range(_MAX_ROUNDS):
        if not gone and not came:
            return gone, came, []
        held: list[tuple[int, int]] = []
        carried: dict[int, int] = {}
        carried_b: dict[int, int] = {}
        for i, j in loose:
            chain, top = _up(a.parent, i, gone)
            chain_b, top_b = _up(b.parent, j, came)
            if (chain or chain_b) and forth[top] == top_b:
                held.append((i, j))
                for spot in chain:
                    carried[spot] = carried.get(spot, 0) + 1
                for spot in chain_b:
                    carried_b[spot] = carried_b.get(spot, 0) + 1
        kept = {spot for spot in gone if _is_between(spot, carried, forth, a, gone)}
        kept_b = {spot for spot in came if _is_between(spot, carried_b, back, b, came)}
        if kept == gone and kept_b == came:
            return gone, came, held
        gone, came = kept, kept_b
    return set(), set(), []


def _chains(mates: Sequence[int], tree: Tree, spots: Sequence[int]) -> set[int]:
    """All unpaired spans right above these."""
    found: set[int] = set()
    for spot in spots:
        above = tree.parent[spot]
        while mates[above] < 0 and above not in found:
            found.add(above)
            above = tree.parent[above]
    return found


def _up(parent: Sequence[int], spot: int, lifted: set[int]) -> tuple[list[int], int]:
    chain: list[int] = []
    spot = parent[spot]
    while spot in lifted:
        chain.append(spot)
        spot = parent[spot]
    return chain, spot


def _is_between(
    spot: int, carried: dict[int, int], mates: Sequence[int], tree: Tree, lifted: set[int]
) -> bool:
    """Whether it is cheaper to say it came between than that it was inserted and the rest moved into it."""
    n_held = carried.get(spot, 0)
    n_free = sum(mates[child] < 0 and child not in lifted for child in tree.children[spot])
    return n_held > 0 and COSTS["move"] * n_held >= COSTS["insert"] * n_free


def _components(mates: Sequence[int], tree: Tree, lifted: set[int]) -> list[Subtree]:
    component: dict[int, list[int]] = {}
    root_of: dict[int, int] = {}
    for spot in unpaired(mates):
        if spot not in lifted:
            root = root_of.get(tree.parent[spot], spot)
            root_of[spot] = root
            component.setdefault(root, []).append(spot)
    return [Subtree(root, tuple(nodes)) for root, nodes in component.items()]


def _repeats(
    subtrees: list[Subtree], mates: Sequence[int], other: Tree, tree: Tree, *, back_side: bool
) -> tuple[list[Subtree], list[Repeat]]:
    """Take out the subtrees that are copies of a sibling both sides have."""
    groups: dict[tuple[int, int], list[Subtree]] = {}
    for subtree in subtrees:
        above = tree.parent[subtree.root]
        if mates[above] >= 0 and len(subtree.nodes) == tree.size[subtree.root]:
            groups.setdefault((above, tree.full[subtree.root]), []).append(subtree)
    taken: set[int] = set()
    found: list[Repeat] = []
    for (above, full), copies in groups.items():
        mate = mates[above]
        here = sum(tree.full[child] == full for child in tree.children[above])
        there = sum(other.full[child] == full for child in other.children[mate])
        if there and here - there == len(copies):
            roots = tuple(copy.root for copy in copies)
            taken.update(roots)
            found.append(
                Repeat(mate, above, there, here, roots)
                if back_side
                else Repeat(above, mate, here, there, roots)
            )
    return [subtree for subtree in subtrees if subtree.root not in taken], found
