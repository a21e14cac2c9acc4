"""Regions: what hangs together on both sides is paired as a whole, the region that saves most first.

Where large subtrees were copied, nearly everything occurs more than once, and what a span says does not tell
a copy from its original: what surrounds it does. So spans that say the same are candidates, each with all its
likes; candidates whose parents are candidates of each other hang together. What a pair saves, with the best
of what hangs below it, is worked out from the leaves up. Then whole regions are taken, as in greedy matching
by weight: a copy that is cut off loses against the original with its surroundings, in every span at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from clnrm_nb.diff.matching import Matching
from clnrm_nb.diff.model import COSTS
from clnrm_nb.diff.pruning import SAVED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from clnrm_nb.diff.trees import Tree

__all__ = ["pair_regions"]

_MOVE: Final = COSTS["move"]
_MAX_LIKES: Final = 16
"""Of more pairs that say the same only those below equal parents are candidates, or equal grandparents."""

_MAX_LEVELS: Final = 3
_MAX_BRIDGE: Final = 2
"""So many changed pairs one above the other may hang together what is equal above and below them."""

_MAX_ROUNDS: Final = 16
_SUBTREE: Final = COSTS["insert"]
_COPY: Final = COSTS["count"] + 1
_MAX_LEFT: Final = 8
"""What came or went below a pair makes it less likely, but no pair of many children unlikely."""

_Pair = tuple[int, int]


def pair_regions(matching: Matching, *, is_whole: bool = False) -> None:
    """Pair candidates region by region.

    Parameters
    ----------
    matching : Matching
    is_whole : bool
        Whether a region keeps what is worth more elsewhere. Where copies were changed in their turn, to take
        the largest part first may divide them for more than to leave each where it hangs.
    """
    _Regions(matching, is_whole=is_whole).run()


class _Regions:
    def __init__(self, matching: Matching, *, is_whole: bool) -> None:
        self._matching, self._is_whole = matching, is_whole
        self._a, self._b = matching.a, matching.b
        self._gains: dict[_Pair, int] = {}
        """What each candidate saves by itself; of equal subtrees, as a whole."""
        self._whole: set[_Pair] = set()
        self._values: dict[_Pair, int] = {}
        self._below: dict[_Pair, list[_Pair]] = {}

    def run(self) -> None:
        self._find()
        for _ in range(_MAX_ROUNDS):
            self._value()
            if not self._take():
                return
            self._drop_taken()

    # Candidates.

    def _find(self) -> None:
        a, b = self._a, self._b
        fulls, fulls_b = set(a.full[: a.n]), set(b.full[: b.n])
        common = fulls & fulls_b
        largest, dirty = _parted(a, common)
        largest_b, dirty_b = _parted(b, common)
        for pair in _likes((a, b), (a.full, b.full), (largest, largest_b)):
            self._add_whole(pair)
        for i, j in _likes((a, b), (a.own, b.own), (dirty, dirty_b)):
            self._gains.setdefault((i, j), SAVED)
        self._bridge()

    def _add_whole(self, pair: _Pair) -> None:
        self._gains[pair] = SAVED * self._a.size[pair[0]]
        self._whole.add(pair)

    def _bridge(self) -> None:
        """Changed pairs above equal ones."""
        parent, parent_b = self._a.parent, self._b.parent
        level: Iterable[_Pair] = list(self._gains)
        for _ in range(_MAX_BRIDGE):
            fresh: dict[_Pair, int] = {}
            for i, j in level:
                above = parent[i], parent_b[j]
                if above in self._gains or above in fresh or above[0] == self._a.n or above[1] == self._b.n:
                    continue
                gain = SAVED - self._matching.contents.cost(self._a.own[above[0]], self._b.own[above[1]])
                if gain > -2 * SAVED:
                    fresh[above] = gain
            self._gains.update(fresh)
            level = fresh

    def _drop_taken(self) -> None:
        """Leave candidates of which nobody is paired; of equal subtrees that are not free, their parts."""
        matching, a, b = self._matching, self._a, self._b
        forth, back = matching.forth, matching.back
        todo = [pair for pair in self._whole if not (matching.free(pair[0]) and matching.free_b(pair[1]))]
        for pair in todo:  # Grows while it is walked.
            i, j = pair
            self._whole.discard(pair)
            self._gains[pair] = SAVED
            if forth[i] == j:
                continue  # As a whole: no part of it is left.
            mine = sorted(a.children[i], key=lambda child: (a.full[child], a.start[child]))
            theirs = sorted(b.children[j], key=lambda child: (b.full[child], b.start[child]))
            for below in zip(mine, theirs, strict=True):
                if below not in self._gains:
                    self._add_whole(below)
                    if not (matching.free(below[0]) and matching.free_b(below[1])):
                        todo.append(below)
        self._gains = {
            pair: gain for pair, gain in self._gains.items() if forth[pair[0]] < 0 and back[pair[1]] < 0
        }

    # What they are worth.

    def _value(self) -> None:
        """From the leaves up, what each candidate saves with the best of what hangs below it."""
        a, b, gains = self._a, self._b, self._gains
        links: dict[_Pair, list[_Pair]] = {}
        self._values, self._below = {}, {}
        for pair in sorted(gains, reverse=True):
            self._below[pair], more = self._chosen(pair, links.pop(pair, ()))
            value = self._values[pair] = gains[pair] + more
            if value > 0:
                above, above_b = a.parent[pair[0]], b.parent[pair[1]]
                # Also through one span that came between, or went.
                for key in ((above, above_b), (above, b.parent[above_b]), (a.parent[above], above_b)):
                    if key in gains:
                        links.setdefault(key, []).append(pair)

    def _chosen(self, pair: _Pair, links: Iterable[_Pair]) -> tuple[list[_Pair], int]:
        """What hangs best below a pair, and what it saves; nobody hangs there twice, or below two."""
        if pair in self._whole:
            return [], 0
        seen, seen_b = set[int](), set[int]()
        chosen: list[_Pair] = []
        saved = 0
        for value, middle, group in self._groups(pair, links):
            here = {middle[0], *(i for i, _ in group)} - {pair[0]}
            there = {middle[1], *(j for _, j in group)} - {pair[1]}
            if seen.isdisjoint(here) and seen_b.isdisjoint(there):
                seen |= here
                seen_b |= there
                chosen += group
                saved += value
        return chosen, saved + self._beside(pair, chosen, (seen, seen_b))

    def _beside(self, pair: _Pair, chosen: list[_Pair], seen: tuple[set[int], set[int]]) -> int:
        """What a pair saves by the children that nothing was chosen for, mostly less than nothing."""
        matching = self._matching
        copied = {self._a.full[below[0]] for below in chosen if below in self._whole}
        saved = 0
        n_left: list[int] = []
        for tree, mates, spot, taken in (
            (self._a, matching.forth, pair[0], seen[0]),
            (self._b, matching.back, pair[1], seen[1]),
        ):
            left = [child for child in tree.children[spot] if child not in taken and mates[child] < 0]
            copies = [child for child in left if tree.full[child] in copied] if copied else []
            saved += sum(2 * tree.size[child] - _COPY for child in copies)
            n_left.append(len(left) - len(copies))
        saved -= min(_SUBTREE * abs(n_left[0] - n_left[1]), _MAX_LEFT)
        # What was taken before stays where it is.
        parent, forth = self._b.parent, matching.forth
        held = (child for child in self._a.children[pair[0]] if forth[child] >= 0)
        return saved + _MOVE * sum(parent[forth[child]] == pair[1] for child in held)

    def _groups(self, pair: _Pair, links: Iterable[_Pair]) -> list[tuple[int, _Pair, list[_Pair]]]:
        """Pairs that can hang below another one, all that one span holds together; what saves most first."""
        parent, parent_b = self._a.parent, self._b.parent
        groups: dict[_Pair, list[tuple[int, _Pair]]] = {}
        for below in links:
            above = parent[below[0]], parent_b[below[1]]
            key = below if above == pair else above
            groups.setdefault(key, []).append((-self._values[below], below))
        found: list[tuple[int, _Pair, list[_Pair]]] = []
        for middle, group in groups.items():
            if parent[middle[0]] == pair[0] and parent_b[middle[1]] == pair[1]:
                found.append((-group[0][0], middle, [middle]))
                continue
            pairs: list[_Pair] = []
            seen, seen_b = set[int](), set[int]()
            value = -_MOVE
            for less, below in sorted(group):
                if below[0] not in seen and below[1] not in seen_b:
                    seen.add(below[0])
                    seen_b.add(below[1])
                    pairs.append(below)
                    value -= less
            if value > 0:
                found.append((value, middle, pairs))
        return sorted(found, key=lambda group: (-group[0], group[1]))

    # Taking them.

    def _take(self) -> bool:
        """Pair the regions that save most and are in nobody's way; whether there was one."""
        forth, back = self._matching.forth, self._matching.back
        best, best_b = dict[int, int](), dict[int, int]()
        for (i, j), value in self._values.items():
            best[i] = max(best.get(i, 0), value)
            best_b[j] = max(best_b.get(j, 0), value)
        held, held_b = set[int](), set[int]()
        is_any = False
        for root in self._ranked():
            i, j = root
            if forth[i] >= 0 or back[j] >= 0 or i in held or j in held_b:
                continue
            region = list(self._region(root, best, best_b))
            here, there = {i for i, _ in region}, {j for _, j in region}
            if all(map(self._is_free, region)) and held.isdisjoint(here) and held_b.isdisjoint(there):
                is_any = True
                for pair in region:
                    if pair in self._whole:
                        self._matching.pair_equal(*pair, "equal")
                    elif self._a.own[pair[0]] == self._b.own[pair[1]]:
                        self._matching.pair(*pair, "content")
                    else:
                        self._matching.pair(*pair, "region")
            else:
                held |= here
                held_b |= there
        return is_any

    def _ranked(self) -> list[_Pair]:
        """Roots of regions, those that save most first; of equals those that stay where they are."""
        forth = self._matching.forth
        parent, parent_b = self._a.parent, self._b.parent
        above, above_b = self._matching.nearest()
        ranked = []
        for pair, value in self._values.items():
            i, j = pair
            saved = value - _MOVE * (forth[parent[i]] != parent_b[j])
            if saved > 0:
                ranked.append((-saved, forth[above(i)] != above_b(j), pair))
        return [pair for *_, pair in sorted(ranked)]

    def _region(self, root: _Pair, best: dict[int, int], best_b: dict[int, int]) -> Iterator[_Pair]:
        """A pair and what hangs below it, if not whole without what is worth more elsewhere, even moved."""
        todo = [root]
        while todo:
            pair = todo.pop()
            yield pair
            for below in self._below.get(pair, ()):
                least = self._values[below] + _MOVE
                if self._is_whole or (best[below[0]] <= least and best_b[below[1]] <= least):
                    todo.append(below)

    def _is_free(self, pair: _Pair) -> bool:
        i, j = pair
        if pair in self._whole:
            return self._matching.free(i) and self._matching.free_b(j)
        return self._matching.forth[i] < 0 and self._matching.back[j] < 0


def _parted(tree: Tree, common: set[int]) -> tuple[list[int], list[int]]:
    """The largest subtrees that the other side has as well, and the spans above them."""
    full, parent = tree.full, tree.parent
    largest, dirty = [], []
    for spot in range(tree.n):
        if full[spot] not in common:
            dirty.append(spot)
        elif full[parent[spot]] not in common:
            largest.append(spot)
    return largest, dirty


def _likes(
    trees: tuple[Tree, Tree], columns: tuple[Sequence[int], Sequence[int]], spots: tuple[list[int], list[int]]
) -> Iterator[_Pair]:
    """Pairs of some spans of one side with any of the other that carry the same number."""
    numbers = {column[spot] for column, chosen in zip(columns, spots, strict=True) for spot in chosen}
    here, there = (
        _by_number(range(tree.n), column, numbers) for tree, column in zip(trees, columns, strict=True)
    )
    chosen, chosen_b = set(spots[0]), set(spots[1])
    for number, mine in here.items():
        for ours, theirs in _narrowed(trees, mine, there.get(number, []), 1):
            for i in ours:
                for j in theirs:
                    if i in chosen or j in chosen_b:
                        yield i, j


def _by_number(spots: Iterable[int], column: Sequence[int], numbers: set[int]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for spot in spots:
        if column[spot] in numbers:
            found.setdefault(column[spot], []).append(spot)
    return found


def _narrowed(
    trees: tuple[Tree, Tree], mine: list[int], theirs: list[int], level: int
) -> Iterator[tuple[list[int], list[int]]]:
    """Groups of few pairs: of many only those whose ancestors say the same as well."""
    if not mine or not theirs:
        return
    if len(mine) * len(theirs) <= _MAX_LIKES:
        yield mine, theirs
        return
    if level == _MAX_LEVELS:
        return
    groups: dict[int, tuple[list[int], list[int]]] = {}
    for tree, spots, side in zip(trees, (mine, theirs), (0, 1), strict=True):
        for spot in spots:
            above = spot
            for _ in range(level):
                above = tree.parent[above] if above != tree.n else above
            groups.setdefault(tree.own[above], ([], []))[side].append(spot)
    for ours, others in groups.values():
        yield from _narrowed(trees, ours, others, level + 1)
