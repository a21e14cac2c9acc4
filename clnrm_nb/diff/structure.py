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
    from collections.abc import Iterable, Sequence

    from clnrm_nb.diff.trees import Tree

__all__ = ["Repeat", "Structure", "Subtree", "structure_of", "structure_within", "unpaired"]

_MAX_ROUNDS: Final = 8
"""Each round only turns wraps into inserts; what is not settled by then is inserted."""

_MAX_GIVEN_UP: Final = 16
"""So many held pairs are tried; more hang on few spans, which then are between for certain."""


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
    def inverse(self) -> Structure:
        """The structure of the inverse script."""
        return Structure(
            inserts=self.deletes,
            deletes=self.inserts,
            wraps=self.unwraps,
            unwraps=self.wraps,
            moves=tuple(sorted((j, i) for i, j in self.moves)),
            repeats=tuple(Repeat(one.parent_b, one.parent, one.m, one.n, one.roots) for one in self.repeats),
            held=tuple(sorted((j, i) for i, j in self.held)),
        )

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
    pairs = ((i, j) for i, j in enumerate(forth) if j >= 0 and i < a.n)
    return structure_within(forth, back, (a, b), pairs, (unpaired(forth), unpaired(back)))


def structure_within(
    forth: Sequence[int],
    back: Sequence[int],
    trees: tuple[Tree, Tree],
    pairs: Iterable[tuple[int, int]],
    alone: tuple[Sequence[int], Sequence[int]],
) -> Structure:
    """The part of the structure that some spans make up.

    Parameters
    ----------
    forth, back : sequence of int
        Of all spans.
    trees : tuple of Tree
    pairs : iterable of (int, int)
    alone : tuple of sequence of int
        Unpaired spans of both sides, in pre-order; subtrees of them are complete.
    """
    a, b = trees
    parent, parent_b = a.parent, b.parent
    loose = [(i, j) for i, j in pairs if forth[parent[i]] != parent_b[j]]
    unwraps, wraps, held = _between(forth, back, a, b, loose)
    stays = set(held)
    inserts = _components(alone[1], b, wraps)
    deletes = _components(alone[0], a, unwraps)
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
    if not gone and not came:
        return gone, came, []
    lifting = _Lifting(forth, back, (a, b), loose, (gone, came))
    chosen = lifting.settled()
    if len(gone) + len(came) > 1:
        chosen = lifting.bettered(chosen)
    return *chosen, lifting.held(loose, chosen)


_Lifted = tuple[set[int], set[int]]
"""Spans of both sides that are between: what they hold counts as held by what is above them."""


@dataclass(frozen=True, slots=True)
class _Lifting:
    """Which of the unpaired spans above loose pairs are between, and which came or went."""

    forth: Sequence[int]
    back: Sequence[int]
    trees: tuple[Tree, Tree]
    loose: list[tuple[int, int]]
    chains: _Lifted

    def held(self, pairs: list[tuple[int, int]], lifted: _Lifted) -> list[tuple[int, int]]:
        """The pairs that are where they were, if the lifted spans are between."""
        (a, b), (gone, came), forth = self.trees, lifted, self.forth
        tops, tops_b = _tops(a, gone), _tops(b, came)
        found: list[tuple[int, int]] = []
        for i, j in pairs:
            above, above_b = a.parent[i], b.parent[j]
            if forth[tops.get(above, above)] == tops_b.get(above_b, above_b):
                found.append((i, j))
        return found

    def _carried(self, held: list[tuple[int, int]], lifted: _Lifted) -> tuple[dict[int, int], dict[int, int]]:
        """How many held pairs each lifted span carries."""
        a, b = self.trees
        return (
            _counts_above(a, [i for i, _ in held], lifted[0]),
            _counts_above(b, [j for _, j in held], lifted[1]),
        )

    def settled(self) -> _Lifted:
        """From all chains take out the spans that are better inserted, until the others agree."""
        lifted, (a, b) = self.chains, self.trees
        for _ in range(_MAX_ROUNDS):
            gone, came = lifted
            carried, carried_b = self._carried(self.held(self.loose, lifted), lifted)
            kept = {spot for spot in gone if _is_between(spot, carried, self.forth, a, gone)}
            kept_b = {spot for spot in came if _is_between(spot, carried_b, self.back, b, came)}
            if kept == gone and kept_b == came:
                return lifted
            lifted = kept, kept_b
        return set(), set()

    def bettered(self, lifted: _Lifted) -> _Lifted:
        """Give up held pairs, with all that carries them alone, as long as that costs less."""
        least = self._cost(lifted)
        for _ in range(_MAX_ROUNDS):
            best = None
            held = self.held(self.loose, lifted)
            for pair in held[:_MAX_GIVEN_UP]:
                carried, carried_b = self._carried([other for other in held if other != pair], lifted)
                fewer = lifted[0] & carried.keys(), lifted[1] & carried_b.keys()
                cost = self._cost(fewer)
                if cost < least:
                    best, least = fewer, cost
            if best is None:
                break
            lifted = best
        return lifted

    def _cost(self, lifted: _Lifted) -> int:
        """What a choice costs, to be compared with other choices."""
        cost = COSTS["move"] * (len(self.loose) - len(self.held(self.loose, lifted)))
        columns = zip(lifted, (self.forth, self.back), self.trees, self.chains, strict=True)
        for side, mates, tree, chain in columns:
            for spot in chain:
                if spot in side:
                    n_free = sum(mates[child] < 0 and child not in chain for child in tree.children[spot])
                    cost += COSTS["wrap"] + COSTS["insert"] * n_free
                else:
                    above = tree.parent[spot]
                    cost += 2 + COSTS["insert"] * (mates[above] >= 0 or above in side)
        return cost


def _counts_above(tree: Tree, spots: Iterable[int], lifted: set[int]) -> dict[int, int]:
    """How many of the spans are below each lifted one, through lifted ones alone."""
    parent, counts = tree.parent, dict[int, int]()
    for spot in spots:
        above = parent[spot]
        if above in lifted:
            counts[above] = counts.get(above, 0) + 1
    for spot in sorted(lifted, reverse=True):
        above = parent[spot]
        if spot in counts and above in lifted:
            counts[above] = counts.get(above, 0) + counts[spot]
    return counts


def _tops(tree: Tree, lifted: set[int]) -> dict[int, int]:
    """For each lifted span the nearest one above it that is not; chains of them may be long."""
    parent, tops = tree.parent, dict[int, int]()
    for spot in sorted(lifted):
        above = parent[spot]
        tops[spot] = tops.get(above, above)
    return tops


def _chains(mates: Sequence[int], tree: Tree, spots: Sequence[int]) -> set[int]:
    """All unpaired spans right above these."""
    found: set[int] = set()
    for spot in spots:
        above = tree.parent[spot]
        while mates[above] < 0 and above not in found:
            found.add(above)
            above = tree.parent[above]
    return found


def _is_between(
    spot: int, carried: dict[int, int], mates: Sequence[int], tree: Tree, lifted: set[int]
) -> bool:
    """Whether it is cheaper to say it came between than that it was inserted and the rest moved into it."""
    n_held = carried.get(spot, 0)
    n_free = sum(mates[child] < 0 and child not in lifted for child in tree.children[spot])
    return n_held > 0 and COSTS["move"] * n_held >= COSTS["insert"] * n_free


def _components(alone: Sequence[int], tree: Tree, lifted: set[int]) -> list[Subtree]:
    component: dict[int, list[int]] = {}
    root_of: dict[int, int] = {}
    for spot in alone:
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
