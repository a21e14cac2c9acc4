"""What a matching costs: the sum over the script that would be derived from it, without deriving it.

A price is one integer that orders matchings by cost, then by number of items, then by how natural they are:
edits between spans that are more alike come first. Prices of parts add up, which the exact search needs.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from clnrm_nb.diff.content import PER_MILLE
from clnrm_nb.diff.links import followed
from clnrm_nb.diff.model import COSTS
from clnrm_nb.diff.structure import structure_of
from clnrm_nb.spans.content import canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from clnrm_nb.diff.content import Contents
    from clnrm_nb.diff.side import Side
    from clnrm_nb.diff.structure import Structure
    from clnrm_nb.diff.trees import Tree

__all__ = ["COST", "ITEM", "Change", "Prices", "SharedPrice", "priced"]

COST: Final = 1 << 44
"""One unit of cost; below it are numbers of items."""

ITEM: Final = 1 << 28
"""One item; below it is how unlike paired spans are, in per mille."""

_SOMEWHERE: Final = "?"
"""A link's target that only one side has: it may be the other one's, renamed or moved."""


class Change(NamedTuple):
    """What many spans share and has changed: a scope or a resource, as texts."""

    part: str
    old: str
    new: str


def priced(structure: Structure) -> int:
    """The price of what came, went, moved, came between or is repeated."""
    n_subtrees = len(structure.inserts) + len(structure.deletes)
    return structure.cost * COST + structure.n_items * ITEM + n_subtrees * PER_MILLE


class Prices:
    """Prices of pairs and of whole matchings of two trees.

    Parameters
    ----------
    trees : tuple of Tree
    sides : tuple of Side
        What the trees were grown from.
    contents : Contents
    """

    def __init__(self, trees: tuple[Tree, Tree], sides: tuple[Side, Side], contents: Contents) -> None:
        self.trees, self.sides, self.contents = trees, sides, contents
        self._pairs: dict[tuple[int, int], int] = {}
        self._changes: dict[tuple[int, int], tuple[Change, ...]] = {}
        self._resources: tuple[set[str], set[str]] | None = None
        self._links = _Links(trees, sides, contents) if sides[0].linked or sides[1].linked else None

    def pair(self, i: int, j: int) -> int:
        """What two spans cost as one, beside what is shared; a link that may follow its target is free."""
        key = self.trees[0].own[i], self.trees[1].own[j]
        if key[0] == key[1]:
            return 0
        found = self._pairs.get(key)
        if found is None:
            cost, n_items = self.contents.edits(*key)
            if self._links:
                n_links = self._links.least(*key)
                cost, n_items = cost + COSTS["link+"] * n_links, n_items + n_links
            unlike = PER_MILLE - self.contents.overlap(*key)
            found = self._pairs[key] = cost * COST + n_items * ITEM + unlike
        return found

    def changes(self, i: int, j: int) -> tuple[Change, ...]:
        """What two paired spans say differently and share with others."""
        key = self.sides[0].own[i], self.sides[1].own[j]
        if key[0] == key[1]:
            return ()
        found = self._changes.get(key)
        if found is None:
            old, new = self.sides[0].parts(i), self.sides[1].parts(j)
            made = []
            if old.resource != new.resource:
                made.append(Change("resource", old.resource, new.resource))
            if old.scope != new.scope:
                made.append(Change("scope", old.scope, new.scope))
            found = self._changes[key] = tuple(made)
        return found

    def total(self, forth: Sequence[int], back: Sequence[int]) -> int:
        """The price of a whole matching."""
        own, own_b = (tree.own for tree in self.trees)
        price = priced(structure_of(forth, back, *self.trees))
        for i, j in enumerate(forth[:-1]):
            if j >= 0 and own[i] != own_b[j]:
                price += self.pair(i, j)
        price += SharedPrice(self, forth).price
        return price + self.followed(forth)

    def followed(self, forth: Sequence[int]) -> int:
        """What links cost beyond :meth:`pair`, now that it is known where their targets went."""
        return self._links.beyond(forth) if self._links else 0

    def is_hop(self, change: Change) -> bool:
        """Whether spans now belong to another service that was there before (see :mod:`.shared`)."""
        if self._resources is None:
            known, still = (
                {side.interner.parts[own].resource for own in set(side.own[:-1])} for side in self.sides
            )
            self._resources = known, still
        known, still = self._resources
        return (
            change.part == "resource"
            and (change.new in known or change.old in still)
            and (_service(change.old) != _service(change.new))
        )


def _service(resource: str) -> object:
    return json.loads(resource).get("service.name")


class SharedPrice:
    """The price of scopes and resources that changed, over the pairs of a matching.

    Parameters
    ----------
    prices : Prices
    forth : sequence of int
        Partners.
    """

    def __init__(self, prices: Prices, forth: Sequence[int]) -> None:
        self._prices = prices
        self._forth = forth
        own, own_b = (side.own for side in prices.sides)
        self._counts: Counter[Change] = Counter()
        for i, j in enumerate(forth[:-1]):
            if j >= 0 and own[i] != own_b[j]:
                self._counts.update(prices.changes(i, j))
        self._sayings: tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]] | None = None
        self._kinds: dict[Change, tuple[int, int, bool]] = {}

    @property
    def price(self) -> int:
        """As it stands."""
        return sum(self._price(change, n) for change, n in self._counts.items() if n) if self._counts else 0

    def add(self, pairs: Iterable[tuple[int, int]], sign: int = 1) -> None:
        """Count some more pairs, or with a `sign` of -1 no longer."""
        if self._sayings is None and not self._counts:
            pairs = [pair for pair in pairs if self._prices.changes(*pair)]
            if not pairs:
                return
        a, b = self._prices.sides
        for i, j in pairs:
            for change in self._prices.changes(i, j):
                self._counts[change] += sign
            if self._sayings:
                for part in ("resource", "scope"):
                    self._sayings[0][part, getattr(a.parts(i), part)] += sign
                    self._sayings[1][part, getattr(b.parts(j), part)] += sign

    def _price(self, change: Change, n: int) -> int:
        cost, n_items, is_grouped = self._kind(change)
        times = n if is_grouped and not self._is_whole(change, n) else 1
        return times * (cost * COST + n_items * ITEM)

    def _kind(self, change: Change) -> tuple[int, int, bool]:
        """Cost and items of a change told once; whether it is told span by span where others differ."""
        found = self._kinds.get(change)
        if found is None:
            if change.part == "scope":
                found = COSTS["scope"], 1, True
            elif self._prices.is_hop(change):
                found = COSTS["service"], 1, True
            else:
                cost, n_items = _resource_edits(change.old, change.new)
                found = cost, n_items, False
            self._kinds[change] = found
        return found

    def _is_whole(self, change: Change, n: int) -> bool:
        """Whether all spans that said the one thing now say the other, and no others do."""
        if self._sayings is None:
            self._sayings = self._said()
        before, after = self._sayings
        return before[change.part, change.old] == n == after[change.part, change.new]

    def _said(self) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
        """How many pairs say what, before and after."""
        before: Counter[tuple[str, str]] = Counter()
        after: Counter[tuple[str, str]] = Counter()
        a, b = self._prices.sides
        owns = Counter((a.own[i], b.own[j]) for i, j in enumerate(self._forth[:-1]) if j >= 0)
        for (own, own_b), count in owns.items():
            old, new = a.interner.parts[own], b.interner.parts[own_b]
            for part in ("resource", "scope"):
                before[part, getattr(old, part)] += count
                after[part, getattr(new, part)] += count
        return before, after


def _resource_edits(old: str, new: str) -> tuple[int, int]:
    before, after = json.loads(old), json.loads(new)
    cost = n_items = 0
    for key in before.keys() | after.keys():
        if key in before and key in after and canonical_json(before[key]) == canonical_json(after[key]):
            continue
        n_items += 1
        cost += COSTS["service"] if key == "service.name" else COSTS["resource~"]
    return cost, n_items


class _Links:
    """What links cost; a link follows its target (see :mod:`.links`)."""

    def __init__(self, trees: tuple[Tree, Tree], sides: tuple[Side, Side], contents: Contents) -> None:
        self._trees, self._contents = trees, contents
        interner = sides[0].interner
        self._positions = interner.positions
        self._at = tuple(
            # Read in the words of the side itself, its positions are known or needed anyway.
            side.positions
            if tree.own is side.own
            else self._positions.of(tree.parent, list(map(interner.label, tree.own[:-1])), range(tree.n))
            for tree, side in zip(trees, sides, strict=True)
        )
        self._on_both = set(self._at[0]) & set(self._at[1])
        # By their texts: to parse all contents for this would be most of the time of a comparison.
        self._linked, self._linked_b = (
            [spot for spot, own in enumerate(tree.own[:-1]) if interner.parts[own].links != "[]"]
            for tree in trees
        )
        self._known: dict[int, Counter[str]] = {}

    def least(self, own: int, own_b: int) -> int:
        """How many links differ even if all that can follow their target do."""
        one, other = self._blurred(own), self._blurred(own_b)
        return (one - other).total() + (other - one).total()

    def _blurred(self, own: int) -> Counter[str]:
        found = self._known.get(own)
        if found is None:
            found = self._known[own] = Counter()
            for text, count in self._contents.of(own).links.items():
                link = json.loads(text)
                position = self._positions.named(link["target"])
                if position is not None and position not in self._on_both:
                    text = canonical_json({**link, "target": _SOMEWHERE})  # noqa: PLW2901  # what it says now
                found[text] += count
        return found

    def beyond(self, forth: Sequence[int]) -> int:
        at, at_b = self._at
        stayed = [(at[i], at_b[j]) for i, j in enumerate(forth[:-1]) if j >= 0]
        moved = followed(stayed, at, at_b, self._positions)
        own, own_b = (tree.own for tree in self._trees)
        back = {forth[i]: i for i in range(len(forth) - 1)}
        spots = {i for i in self._linked if forth[i] >= 0}
        spots.update(back[j] for j in self._linked_b if j in back)
        n_links = 0
        for i in spots:
            one, other = own[i], own_b[forth[i]]
            old: Counter[str] = Counter()
            for text, count in self._contents.of(one).links.items():
                old[canonical_json(moved.of(json.loads(text))) if moved else text] += count
            new = self._contents.of(other).links
            n_links += (old - new).total() + (new - old).total()
            if one != other:
                n_links -= self.least(one, other)
        return n_links * (COSTS["link+"] * COST + ITEM)
