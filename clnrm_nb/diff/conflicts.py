"""Where a matching is conflicted: spans that are unpaired, say something else, or stand somewhere else.

What has to be decided together is an *atom*: a pair, or unpaired spans that hang together. Atoms next to each
other, and atoms of which a span of one side and one of the other would cost less as a pair than they do now,
make up a component.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from clnrm_nb.diff.model import COSTS
from clnrm_nb.diff.pricing import COST
from clnrm_nb.diff.structure import unpaired

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from clnrm_nb.diff.matching import Matching
    from clnrm_nb.diff.pricing import Prices

__all__ = ["Component", "components", "conflicts"]

_MAX_GROUP: Final = 64
"""Conflicted spans of one label, or below one parent, that are compared with each other."""

_MAX_CHILDREN: Final = 64
_MOVE: Final = COSTS["move"] * COST
_ALONE: Final = (COSTS["insert"] + 2) * COST


class Conflicts:
    """Conflicted spans and which of them belong together.

    Spans are numbered over both sides: those of the second one behind the top of the first.
    """

    def __init__(self, matching: Matching, prices: Prices) -> None:
        self.matching, self.prices = matching, prices
        self.first_b = matching.a.n + 1
        self.atom_of: dict[int, int] = {}
        self.near: dict[int, set[int]] = {}
        self._cost: dict[int, int] = {}
        self._find()
        self._relate()

    def _find(self) -> None:
        a, b, forth, back = self.matching.a, self.matching.b, self.matching.forth, self.matching.back
        spots: list[int] = []
        for i, j in enumerate(forth[:-1]):
            if j < 0:
                spots.append(i)
                self._cost[i] = _ALONE
            elif a.own[i] != b.own[j] or forth[a.parent[i]] != b.parent[j]:
                spots += [i, self.first_b + j]
                cost = self.prices.pair(i, j) + _MOVE * (forth[a.parent[i]] != b.parent[j])
                self._cost[i] = self._cost[self.first_b + j] = cost
        for j in unpaired(back):
            spots.append(self.first_b + j)
            self._cost[self.first_b + j] = _ALONE
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
        self.near = {atom: set() for atom in self.atom_of.values()}
        groups: dict[tuple[object, ...], tuple[list[int], list[int]]] = {}
        a, b, back = self.matching.a, self.matching.b, self.matching.back
        for spot in self.atom_of:
            is_b = spot >= self.first_b
            tree, own_spot = (b, spot - self.first_b) if is_b else (a, spot)
            above = tree.parent[own_spot]
            self._bring_near(spot, above + self.first_b * is_b)
            group_above = back[above] if is_b else above
            keys: list[tuple[object, ...]] = [("label", tree.label[own_spot])]
            if group_above >= 0:
                keys.append(("below", group_above))
            said = self.prices.contents.of(tree.own[own_spot])
            if said.attributes:
                keys.append(("says", *sorted(said.attributes.items())))
            for key in keys:
                groups.setdefault(key, ([], []))[is_b].append(own_spot)
        for here, there in groups.values():
            if len(here) <= _MAX_GROUP and len(there) <= _MAX_GROUP:
                for i in here:
                    for j in there:
                        if self._is_tempting(i, j):
                            self._bring_near(i, self.first_b + j)

    def _bring_near(self, one: int, other: int) -> None:
        mine, theirs = self.atom_of.get(one), self.atom_of.get(other)
        if mine is not None and theirs is not None and mine != theirs:
            self.near[mine].add(theirs)
            self.near[theirs].add(mine)

    def _is_tempting(self, i: int, j: int) -> bool:
        """Whether two spans cost less as a pair than they both do now."""
        a, b, forth = self.matching.a, self.matching.b, self.matching.forth
        if forth[i] == j:
            return False
        cost = self.prices.pair(i, j) + _MOVE * (forth[a.parent[i]] != b.parent[j])
        return cost < self._cost[i] + self._cost[self.first_b + j]


@dataclass(slots=True)
class Component:
    """Atoms that belong together."""

    conflicts: Conflicts
    atoms: list[int]
    members: dict[int, list[int]]
    """The spans of each atom, as the conflicts number them."""

    @property
    def n_spans(self) -> int:
        """Of both sides."""
        return sum(len(self.members[atom]) for atom in self.atoms)

    @property
    def spans(self) -> tuple[list[int], list[int]]:
        """Spans of both sides, with as many of those below them as an exact search can take."""
        return self._grown(self.atoms, self._limit)

    _limit: int = 12

    def is_small(self, limit: int) -> bool:
        """Whether no side has more spans than `limit`."""
        return max(map(len, self._split(self.atoms))) <= limit

    def windows(self, limit: int) -> Iterator[tuple[list[int], list[int]]]:
        """Overlapping parts of it: each atom with those near it, as many as fit."""
        for atom in self.atoms:
            chosen = [atom]
            for other in self._nearest(atom):
                here, there = self._split([*chosen, other])
                if len(here) <= limit and len(there) <= limit:
                    chosen.append(other)
            if max(map(len, self._split(chosen))) <= limit:
                yield self._grown(chosen, limit)

    def _nearest(self, atom: int) -> Iterable[int]:
        """Atoms by distance in steps, near ones first."""
        near = self.conflicts.near
        seen = {atom}
        ring = [atom]
        while ring:
            ring = sorted({other for one in ring for other in near[one]} - seen)
            seen.update(ring)
            yield from ring

    def _split(self, atoms: Iterable[int]) -> tuple[list[int], list[int]]:
        first_b = self.conflicts.first_b
        spots = sorted(spot for atom in atoms for spot in self.members[atom])
        return [spot for spot in spots if spot < first_b], [
            spot - first_b for spot in spots if spot >= first_b
        ]

    def _grown(self, atoms: Iterable[int], limit: int) -> tuple[list[int], list[int]]:
        """The spans of atoms and what is below them, level by level, as long as it fits."""
        matching = self.conflicts.matching
        a, b, forth, back = matching.a, matching.b, matching.forth, matching.back
        here, there = map(set, self._split(atoms))
        level, level_b = sorted(here), sorted(there)
        while level or level_b:
            below = [c for i in level if len(a.children[i]) <= _MAX_CHILDREN for c in a.children[i]]
            below_b = [d for j in level_b if len(b.children[j]) <= _MAX_CHILDREN for d in b.children[j]]
            level, level_b = [], []
            pairs = {(c, forth[c]) for c in below} | {(back[d], d) for d in below_b}
            for c, d in sorted(pairs):
                more, more_b = {c} - here - {-1}, {d} - there - {-1}
                if len(here) + len(more) <= limit and len(there) + len(more_b) <= limit:
                    here |= more
                    there |= more_b
                    level += more
                    level_b += more_b
        return sorted(here), sorted(there)


def conflicts(matching: Matching, prices: Prices) -> Conflicts:
    """The conflicts of a matching."""
    return Conflicts(matching, prices)


def components(found: Conflicts, limit: int) -> list[Component]:
    """Connected components, in the order of their first span."""
    members: dict[int, list[int]] = {}
    for spot in sorted(found.atom_of):
        members.setdefault(found.atom_of[spot], []).append(spot)
    seen: set[int] = set()
    made: list[Component] = []
    for atom in sorted(members):
        if atom in seen:
            continue
        seen.add(atom)
        atoms = [atom]
        for one in atoms:  # Grows while it is walked.
            fresh = sorted(found.near[one] - seen)
            seen.update(fresh)
            atoms.extend(fresh)
        made.append(Component(found, sorted(atoms), members, limit))
    return made
