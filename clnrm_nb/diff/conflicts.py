"""Where a matching is conflicted: spans that are unpaired, say something else, or stand somewhere else.

What has to be decided together is an *atom*: a pair, or unpaired spans that hang together. Atoms next to each
other, and atoms of which a span of one side and one of the other would cost less as a pair than they do now,
make up a component.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import product
from typing import TYPE_CHECKING, Final

from clnrm_nb.diff.model import COSTS
from clnrm_nb.diff.pricing import COST
from clnrm_nb.diff.structure import structure_of, unpaired

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from clnrm_nb.diff.matching import Matching
    from clnrm_nb.diff.pricing import Prices

__all__ = ["Component", "components", "conflicts"]

_MAX_PAIRS: Final = 4096
"""Of a group of conflicted spans, such as those of one label, no more pairs are looked at."""

_SETTLED: Final = COSTS["rename"] * COST
"""A pair that stays in place for no more gains nothing from another such pair elsewhere.

To exchange partners would cost each a move or a rename at least, to part any span four and more.
"""

_LARGE: Final = 1024
"""An atom of more spans on a side, such as a large subtree that came, is no part of any window.

So its spans are not related to others: that would be most of the work, and of no use.
"""

_MAX_LOOKED_AT: Final = 256
"""For one window no more atoms are tried."""

_MAX_CHILDREN: Final = 64
_LEVELS_UP: Final = 2
_MOVE: Final = COSTS["move"] * COST
_JOINED: Final = 2 * COST
_ALONE: Final = COSTS["insert"] * COST + _JOINED
_ADJACENT: Final = 4 * COST
"""What deciding a span together with its parent may gain."""


class _Group:
    """Conflicted spans that have something in common, by side, settled ones apart."""

    def __init__(self) -> None:
        self._open: tuple[list[int], list[int]] = ([], [])
        self._settled: tuple[list[int], list[int]] = ([], [])

    def side(self, is_b: bool, is_settled: bool) -> list[int]:  # noqa: FBT001  # indices by another name
        return (self._settled if is_settled else self._open)[is_b]

    def pairs(self, *, with_settled: bool) -> Iterator[tuple[int, int]]:
        """Pairs over both sides; those of two settled spans only where they are asked for."""
        (here, there), (settled, settled_b) = self._open, self._settled
        if len(here) * (len(there) + len(settled_b)) + len(settled) * len(there) <= _MAX_PAIRS:
            yield from product(here, [*there, *settled_b])
            yield from product(settled, there)
        if with_settled and len(settled) * len(settled_b) <= _MAX_PAIRS:
            yield from product(settled, settled_b)


class Conflicts:
    """Conflicted spans and which of them belong together.

    Spans are numbered over both sides: those of the second one behind the top of the first.
    """

    def __init__(self, matching: Matching, prices: Prices) -> None:
        self.matching, self.prices = matching, prices
        self.first_b = matching.a.n + 1
        self.atom_of: dict[int, int] = {}
        self.is_partial = False
        """Whether large atoms are left out: what is small may then be decided, but not proved."""
        self.settled: set[int] = set()
        """Spans of pairs that stay in place for little."""
        self.near: dict[int, dict[int, int]] = {}
        """For each atom those near it, and how much may be gained by deciding them together."""
        self._cost: dict[int, int] = {}
        self._above, self._above_b = matching.nearest()
        self._find()
        self._relate()

    def _find(self) -> None:
        a, b, forth, back = self.matching.a, self.matching.b, self.matching.forth, self.matching.back
        spots: list[int] = []
        moves = set(structure_of(forth, back, a, b).moves)
        for i, j in enumerate(forth[:-1]):
            if j < 0:
                spots.append(i)
                self._cost[i] = _ALONE if forth[a.parent[i]] >= 0 else _JOINED
            elif a.own[i] != b.own[j] or (i, j) in moves:
                spots += [i, self.first_b + j]
                cost = self.prices.pair(i, j) + _MOVE * ((i, j) in moves)
                self._cost[i] = self._cost[self.first_b + j] = cost
                is_kept = forth[a.parent[i]] == b.parent[j] and not self.prices.changes(i, j)
                if is_kept and cost < _SETTLED + COST:
                    self.settled |= {i, self.first_b + j}
        for j in unpaired(back):
            spots.append(self.first_b + j)
            self._cost[self.first_b + j] = _ALONE if back[b.parent[j]] >= 0 else _JOINED
        self.atom_of = {spot: spot for spot in spots}
        for spot in spots:
            if spot < self.first_b:
                if forth[spot] >= 0:
                    self._join(spot, self.first_b + forth[spot])
                elif forth[a.parent[spot]] < 0:
                    self._join(spot, a.parent[spot])
            elif back[spot - self.first_b] < 0 and back[b.parent[spot - self.first_b]] < 0:
                self._join(spot, self.first_b + b.parent[spot - self.first_b])
        self._join_copies()
        self.atom_of = {spot: self._root(spot) for spot in spots}
        self._leave_out_large()

    def _leave_out_large(self) -> None:
        n_here, n_there = Counter[int](), Counter[int]()
        for spot, atom in self.atom_of.items():
            (n_here if spot < self.first_b else n_there)[atom] += 1
        large = {atom for counts in (n_here, n_there) for atom, n in counts.items() if n > _LARGE}
        if not large:
            return
        self.is_partial = True
        a, b, forth, back = self.matching.a, self.matching.b, self.matching.forth, self.matching.back
        for spot, atom in self.atom_of.items():
            if atom in large:
                # A pair right above a large subtree is not settled without it.
                if spot < self.first_b:
                    above, mate = a.parent[spot], forth[a.parent[spot]]
                else:
                    above, mate = back[b.parent[spot - self.first_b]], b.parent[spot - self.first_b]
                self.settled -= {above, self.first_b + mate}
        self.atom_of = {spot: atom for spot, atom in self.atom_of.items() if atom not in large}

    def _join_copies(self) -> None:
        """Unpaired copies of one subtree below one parent are counted together."""
        for offset, tree, mates in (
            (0, self.matching.a, self.matching.forth),
            (self.first_b, self.matching.b, self.matching.back),
        ):
            seen: dict[tuple[int, int], int] = {}
            for spot in unpaired(mates):
                key = tree.parent[spot], tree.full[spot]
                self._join(offset + seen.setdefault(key, spot), offset + spot)

    def _root(self, spot: int) -> int:
        while self.atom_of[spot] != spot:
            self.atom_of[spot] = spot = self.atom_of[self.atom_of[spot]]
        return spot

    def _join(self, one: int, other: int) -> None:
        one, other = self._root(one), self._root(other)
        self.atom_of[max(one, other)] = min(one, other)

    def _relate(self) -> None:
        """Which atoms are near each other."""
        self.near = {atom: {} for atom in self.atom_of.values()}
        groups: dict[tuple[object, ...], _Group] = {}
        a, b, back = self.matching.a, self.matching.b, self.matching.back
        for spot in self.atom_of:
            is_b, is_settled = spot >= self.first_b, spot in self.settled
            tree, own_spot = (b, spot - self.first_b) if is_b else (a, spot)
            above = tree.parent[own_spot]
            spot_above = above + self.first_b * is_b
            if not (is_settled and spot_above in self.settled):
                self._bring_near(spot, spot_above, _ADJACENT)
            label, group_above = ("label", tree.label[own_spot]), back[above] if is_b else above
            keys: list[tuple[object, ...]] = [label]
            if group_above >= 0:
                keys.append(("below", group_above))
            if is_settled:
                keys.append(("settled", label, group_above))
            said = self.prices.contents.of(tree.own[own_spot])
            if said.attributes:
                keys.append(("says", *sorted(said.attributes.items())))
            for key in keys:
                groups.setdefault(key, _Group()).side(is_b, is_settled).append(own_spot)
        for key, group in groups.items():
            for i, j in group.pairs(with_settled=key[0] == "settled"):
                self._bring_near(i, self.first_b + j, self._gain(i, j))

    def parent(self, spot: int) -> int:
        """The span above one, as the conflicts number them."""
        matching, first_b = self.matching, self.first_b
        return matching.a.parent[spot] if spot < first_b else first_b + matching.b.parent[spot - first_b]

    def _bring_near(self, one: int, other: int, gain: int) -> None:
        mine, theirs = self.atom_of.get(one), self.atom_of.get(other)
        if gain > 0 and mine is not None and theirs is not None and mine != theirs:
            most = max(gain, self.near[mine].get(theirs, 0))
            self.near[mine][theirs] = self.near[theirs][mine] = most

    def _gain(self, i: int, j: int) -> int:
        """How much less two spans cost as a pair than they both do now."""
        a, b, forth = self.matching.a, self.matching.b, self.matching.forth
        cost = _MOVE * (forth[self._above(i)] != self._above_b(j))
        now = self._cost[i] + self._cost[self.first_b + j]
        # How alike two spans are takes longest to know; it decides only where the rest is equal.
        least = self.prices.contents.edits(a.own[i], b.own[j])[0] * COST
        return now - cost - self.prices.pair(i, j) if cost + least <= now else -1


@dataclass(slots=True)
class Component:
    """Atoms that belong together."""

    conflicts: Conflicts
    atoms: list[int]
    members: dict[int, list[int]]
    """The spans of each atom, as the conflicts number them."""
    counts: dict[int, tuple[int, int]]
    """How many of them are of the first and of the second side."""

    def n_spans(self, limit: int) -> int:
        """Of both sides, of an atom that has more than `limit` a side only the roots."""
        return sum(len(self._head(atom, limit)) for atom in self.atoms)

    @property
    def spans(self) -> tuple[list[int], list[int]]:
        """Those of the first and of the second side."""
        return self._split(spot for atom in self.atoms for spot in self.members[atom])

    @property
    def is_settled(self) -> bool:
        """Whether it is one pair that nothing could make cheaper."""
        return len(self.atoms) == 1 and all(
            spot in self.conflicts.settled for spot in self.members[self.atoms[0]]
        )

    def is_small(self, limit: int) -> bool:
        """Whether no side has more spans than `limit`."""
        return self._fits(self.atoms, limit)

    def surroundings(self, atoms: Sequence[int], limit: int) -> Iterator[tuple[list[int], list[int]]]:
        """The spans of atoms with what fits of those below; then from one and two levels higher up."""
        here, there = self._split(spot for atom in atoms for spot in self._head(atom, limit))
        seen: set[tuple[int, ...]] = set()
        for _ in range(_LEVELS_UP + 1):
            grown = self._with_below(here, there, limit)
            key = (*grown[0], -1, *grown[1])
            if key not in seen:
                seen.add(key)
                yield grown
            here, there = self._with_above(here, there)
            if len(here) > limit or len(there) > limit:
                return

    def windows(self, limit: int) -> Iterator[list[int]]:
        """Overlapping groups of atoms: each with those that promise most, as many as fit."""
        near = self.conflicts.near
        counts = {atom: self._counted(self._head(atom, limit)) for atom in self.atoms}
        seen: set[tuple[int, ...]] = set()
        for atom in self.atoms:
            n_here, n_there = counts[atom]
            if n_here > limit or n_there > limit:
                continue
            chosen, left = {atom}, [(-gain, other) for other, gain in near[atom].items()]
            heapify(left)
            looked_at = 0
            while left and looked_at < _MAX_LOOKED_AT and min(n_here, n_there) < limit:
                _, other = heappop(left)
                looked_at += 1
                more, more_b = counts[other]
                if other not in chosen and n_here + more <= limit and n_there + more_b <= limit:
                    chosen.add(other)
                    n_here, n_there = n_here + more, n_there + more_b
                    for another, gain in near[other].items():
                        heappush(left, (-gain, another))
            window = tuple(sorted(chosen))
            if window not in seen:
                seen.add(window)
                yield list(window)

    def _fits(self, atoms: Iterable[int], limit: int) -> bool:
        n_here = n_there = 0
        for atom in atoms:
            more, more_b = self.counts[atom]
            n_here, n_there = n_here + more, n_there + more_b
        return n_here <= limit and n_there <= limit

    def _head(self, atom: int, limit: int) -> list[int]:
        """The spans of an atom; of one that is too large for a window the roots of what came or went."""
        if max(self.counts[atom]) <= limit:
            return self.members[atom]
        found, parent = self.conflicts, self.conflicts.parent
        return [spot for spot in self.members[atom] if found.atom_of.get(parent(spot)) != atom]

    def _counted(self, spots: Sequence[int]) -> tuple[int, int]:
        n_here = sum(spot < self.conflicts.first_b for spot in spots)
        return n_here, len(spots) - n_here

    def _split(self, spots: Iterable[int]) -> tuple[list[int], list[int]]:
        first_b = self.conflicts.first_b
        spots = sorted(spots)
        return [spot for spot in spots if spot < first_b], [
            spot - first_b for spot in spots if spot >= first_b
        ]

    def _with_above(self, here: Sequence[int], there: Sequence[int]) -> tuple[list[int], list[int]]:
        """Spans with the paired ones right above them."""
        matching = self.conflicts.matching
        a, b, forth, back = matching.a, matching.b, matching.forth, matching.back
        above = {a.parent[i] for i in here} - {a.n}
        above |= {back[b.parent[j]] for j in there} - {a.n, -1}
        pairs = [(i, forth[i]) for i in above if forth[i] >= 0 and len(a.children[i]) <= _MAX_CHILDREN]
        return sorted({*here, *(i for i, _ in pairs)}), sorted({*there, *(j for _, j in pairs)})

    def _with_below(
        self, here: Sequence[int], there: Sequence[int], limit: int
    ) -> tuple[list[int], list[int]]:
        """Spans and what is below them, level by level, as long as it fits."""
        matching = self.conflicts.matching
        a, b, forth, back = matching.a, matching.b, matching.forth, matching.back
        one, other = set(here), set(there)
        level, level_b = list(here), list(there)
        while level or level_b:
            below = [c for i in level if len(a.children[i]) <= _MAX_CHILDREN for c in a.children[i]]
            below_b = [d for j in level_b if len(b.children[j]) <= _MAX_CHILDREN for d in b.children[j]]
            level, level_b = [], []
            for c, d in sorted({(c, forth[c]) for c in below} | {(back[d], d) for d in below_b}):
                more, more_b = {c} - one - {-1}, {d} - other - {-1}
                if len(one) + len(more) <= limit and len(other) + len(more_b) <= limit:
                    one |= more
                    other |= more_b
                    level += more
                    level_b += more_b
        return sorted(one), sorted(other)


def conflicts(matching: Matching, prices: Prices) -> Conflicts:
    """The conflicts of a matching."""
    return Conflicts(matching, prices)


def components(found: Conflicts) -> list[Component]:
    """Connected components, in the order of their first span."""
    members: dict[int, list[int]] = {}
    for spot in sorted(found.atom_of):
        members.setdefault(found.atom_of[spot], []).append(spot)
    counts = {
        atom: (sum(spot < found.first_b for spot in spots), sum(spot >= found.first_b for spot in spots))
        for atom, spots in members.items()
    }
    seen: set[int] = set()
    made: list[Component] = []
    for atom in sorted(members):
        if atom in seen:
            continue
        seen.add(atom)
        atoms = [atom]
        for one in atoms:  # Grows while it is walked.
            fresh = sorted(found.near[one].keys() - seen)
            seen.update(fresh)
            atoms.extend(fresh)
        made.append(Component(found, sorted(atoms), members, counts))
    return made
