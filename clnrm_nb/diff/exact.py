"""The cheapest matching of a few spans, the partners of all others given: branch and bound.

Spans of the one side are decided in pre-order, parents first, so what a pair costs is known when it is made:
its content, and a move where its parents are not each other's. What is undecided is bounded from below by
the least that any partner, or none, would cost. Of identical siblings only one order is tried. The number of
steps is bounded; within it the answer is proved to be the least.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from clnrm_nb.diff.assign import prices_of
from clnrm_nb.diff.model import COSTS
from clnrm_nb.diff.pricing import COST, ITEM, priced
from clnrm_nb.diff.structure import structure_within

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from clnrm_nb.diff.matching import Matching
    from clnrm_nb.diff.pricing import Prices, SharedPrice
    from clnrm_nb.diff.trees import Tree

__all__ = ["Window", "price_within", "solve", "window_of"]

_MOVE: Final = COSTS["move"] * COST + ITEM
_ALONE: Final = 2 * COST
_ROOT: Final = COSTS["insert"] * COST + ITEM
_WRAP: Final = COSTS["wrap"] * COST + ITEM
_FAR: Final = 1 << 80

_NOBODY: Final = -1
_BETWEEN: Final = -2
"""What a span may have instead of a partner; the latter holds what is below it in its place."""


_Bounds = dict[int, tuple[int, int]]

_LEAF_STEPS: Final = 5
"""What pricing a whole matching of a window counts."""

_REFRESH: Final = 40
"""After so many steps below a partial matching those beside it are bounded anew; it costs as much."""


@dataclass(slots=True)
class Window:
    """The spans whose partners are sought, and what else their price hangs on.

    Parameters
    ----------
    here, there : list of int
        Spans of both sides, in pre-order. A partner of each is among the others, or nobody.
    """

    here: list[int]
    there: list[int]
    edge: list[tuple[int, int]] = field(default_factory=list)
    """Fixed pairs that may become loose, or cease to be."""
    alone: tuple[list[int], list[int]] = field(default_factory=lambda: ([], []))
    """Unpaired spans that stay so, and hang together with the window's."""


def window_of(
    matching: Matching, here: Sequence[int], there: Sequence[int], most_around: int
) -> Window | None:
    """The window of some spans; partners of `here` are in `there` and the other way round.

    Returns
    -------
    Window or None
        None where its price hangs on more spans around it than `most_around`.
    """
    a, b = matching.a, matching.b
    window = Window(sorted(here), sorted(there))
    edge, lonely = _around(a, matching.forth, window.here, most_around)
    edge_b, lonely_b = _around(b, matching.back, window.there, most_around)
    pairs = {(i, matching.forth[i]) for i in edge} | {(matching.back[j], j) for j in edge_b}
    window.edge = sorted(pairs)
    window.alone = sorted(lonely), sorted(lonely_b)
    return window if len(pairs) + len(lonely) + len(lonely_b) <= most_around else None


def _around(tree: Tree, mates: Sequence[int], free: Sequence[int], most: int) -> tuple[set[int], set[int]]:
    """Paired spans right below those that are free or unpaired, and the unpaired ones that are not free.

    Not all of them where they are more than `most`.
    """
    inside = set(free)
    edge: set[int] = set()
    lonely: set[int] = set()
    todo = list(free)
    while todo and len(edge) + len(lonely) <= most:
        spot = todo.pop()
        above = tree.parent[spot]
        if above >= 0 and above not in inside and above not in lonely and mates[above] < 0:
            lonely.add(above)
            todo.append(above)
        for child in tree.children[spot]:
            if child not in inside and child not in lonely:
                if mates[child] < 0:
                    lonely.add(child)
                    todo.append(child)
                else:
                    edge.add(child)
    return edge, lonely


def solve(
    matching: Matching, prices: Prices, shared: SharedPrice, window: Window, max_steps: int, *, whole: bool
) -> tuple[bool, int]:
    """Give the spans of a window their cheapest partners.

    Parameters
    ----------
    matching : Matching
        Changed only if that costs less.
    prices : Prices
    shared : SharedPrice
        Of the matching; kept in step with it.
    window : Window
    max_steps : int
        Partial matchings to look at.
    whole : bool
        Whether the window is the whole trace; then links are followed exactly.

    Returns
    -------
    tuple of bool and int
        Whether the answer is proved to be the least, and the number of steps taken.
    """
    search = _Search(matching, prices, shared, window, max_steps, whole=whole)
    search.run()
    return search.steps <= max_steps, search.steps


class _Search:
    def __init__(
        self,
        matching: Matching,
        prices: Prices,
        shared: SharedPrice,
        window: Window,
        max_steps: int,
        *,
        whole: bool,
    ) -> None:
        self._matching = matching
        self._a, self._b = matching.a, matching.b
        self._forth, self._back = matching.forth, matching.back
        self._prices, self._shared, self._window, self._whole = prices, shared, window, whole
        self._max_steps = max_steps
        around = len(window.edge) + len(window.alone[0]) + len(window.alone[1])
        self._leaf_steps = _LEAF_STEPS + around // 8
        self.steps = 0
        here, there = window.here, window.there
        self._in_a, self._in_b = set(here), set(there)
        self._start = {i: self._forth[i] for i in here}
        self._undecided = set(here)
        self._between: set[int] = set()
        shared.add(self._pairs(), -1)
        self._best = self._price()
        self._found: dict[int, int] | None = None
        self._pair = {i: {j: prices.pair(i, j) for j in there} for i in here}
        self._bounds()
        self._twins()
        self._edges()

    # What is known before the search.

    def _bounds(self) -> None:
        """The least that a span can cost, doubled, as its share; with and without a paired parent."""
        here, there = self._window.here, self._window.there
        spare, spare_b = self._spare(self._a, self._b, here), self._spare(self._b, self._a, there)
        self._spares = spare
        self._spares_b = spare_b
        self._low: _Bounds = dict.fromkeys(here, (0, 0))
        self._low_b: _Bounds = dict.fromkeys(there, (0, 0))

    def _bounds_of(self, here: Sequence[int], there: Sequence[int]) -> tuple[_Bounds, _Bounds]:
        """Twice the share of each undecided span: without, and once its parent is paired."""
        alone = [self._least_alone(i, self._spares, is_held=self._holds(self._a.parent[i])) for i in here]
        alone_b = [
            self._least_alone(j, self._spares_b, is_held=self._back[self._b.parent[j]] >= 0) for j in there
        ]
        costs = []
        for i in here:
            line, above = self._pair[i], self._a.parent[i]
            if above in self._in_a and above in self._undecided:
                costs.append([line[j] for j in there])
            else:
                costs.append([line[j] if self._can_stay(i, j) else line[j] + _MOVE for j in there])
        shares, shares_b = _shares(costs, alone, alone_b)
        slack = [
            min((cost - share - other for cost, other in zip(line, shares_b, strict=True)), default=_FAR)
            for line, share in zip(costs, shares, strict=True)
        ]
        slack_b = [
            min(
                (line[column] - share - other for line, share in zip(costs, shares, strict=True)),
                default=_FAR,
            )
            for column, other in enumerate(shares_b)
        ]
        low = {
            i: _doubled(share, room, alone[place])
            for place, (i, share, room) in enumerate(zip(here, shares, slack, strict=True))
        }
        low_b = {
            j: _doubled(share, room, alone_b[place])
            for place, (j, share, room) in enumerate(zip(there, shares_b, slack_b, strict=True))
        }
        return low, low_b

    @staticmethod
    def _least_alone(spot: int, spares: set[int], *, is_held: bool) -> int:
        return 0 if spot in spares else _ALONE + _ROOT * is_held

    def _spare(self, tree: Tree, other: Tree, spots: Sequence[int]) -> set[int]:
        """Spans that may be surplus copies, which cost next to nothing."""
        most: dict[int, int] = {}
        for spot in spots:
            full = tree.full[spot]
            if full not in most:
                siblings = tree.children[tree.parent[spot]]
                most[full] = sum(tree.full[child] == full for child in siblings)
        found: set[int] = set()
        for spot in spots:
            above = tree.parent[spot]
            if above in found:
                found.add(spot)
                continue
            n_copies = sum(tree.full[child] == tree.full[spot] for child in tree.children[above])
            if n_copies > 1 and self._occurs(other, tree.full[spot], n_copies):
                found.add(spot)
        return found

    def _occurs(self, other: Tree, full: int, less_than: int) -> bool:
        """Whether some parent of the other side has this subtree, but not so often."""
        counts: dict[int, int] = {}
        if other is self._b:
            spots, tree, mates, mine = self._window.there, self._a, self._forth, self._window.here
        else:
            spots, tree, mates, mine = self._window.here, self._b, self._back, self._window.there
        parents = {
            *spots,
            *(other.parent[spot] for spot in spots),
            *(mates[tree.parent[spot]] for spot in mine),
        }
        for parent in parents - {-1}:
            for child in other.children[parent]:
                if other.full[child] == full:
                    counts[parent] = counts.get(parent, 0) + 1
        return any(count < less_than for count in counts.values())

    def _twins(self) -> None:
        """Identical siblings that are wholly in the window: only one order of them is tried."""
        self._closed = _closed(self._a, self._window.here, self._in_a)
        self._closed_b = _closed(self._b, self._window.there, self._in_b)
        self._forced: set[int] = set()
        self._ways: list[tuple[int, ...]] = []
        self._twin = _twin_before(self._a, self._closed)
        before = _twin_before(self._b, self._closed_b)
        self._rank: dict[int, int] = {_NOBODY: _FAR}
        self._classes: dict[int, list[int]] = {}
        for place, j in enumerate(self._window.there):
            first = before.get(j)
            self._rank[j] = place if first is None else self._rank[first]
            self._classes.setdefault(self._rank[j], []).append(j)

    def _edges(self) -> None:
        """Fixed pairs below spans of the window, by the span that decides whether they are loose."""
        self._below: dict[int, list[tuple[int, int]]] = {}
        self._below_b: dict[int, list[int]] = {}
        for i, j in self._window.edge:
            above = self._a.parent[i]
            if above in self._in_a:
                self._below.setdefault(above, []).append((i, j))
            elif self._forth[above] >= 0 and self._b.parent[j] in self._in_b:
                self._below_b[self._b.parent[j]] = [*self._below_b.get(self._b.parent[j], []), i]

    # The search.

    def run(self) -> None:
        here, there = self._window.here, self._window.there
        for i in here:
            self._forth[i] = -1
        for j in there:
            self._back[j] = -1
        for above in sorted({self._a.parent[i] for i in here} - self._in_a):
            if self._forth[above] >= 0:
                self._pair_equal_children(above, self._forth[above])
        self._decide(0, 0, self._refreshed())
        chosen = self._start if self._found is None else self._found
        for i in here:
            self._forth[i] = -1
        for j in there:
            self._back[j] = -1
        for i, j in chosen.items():
            if j >= 0:
                self._forth[i], self._back[j] = j, i
        self._shared.add(self._pairs())

    def _pairs(self) -> list[tuple[int, int]]:
        return [(i, self._forth[i]) for i in self._window.here if self._forth[i] >= 0]

    def _refreshed(self) -> int:
        """Bounds for what is undecided now; returns their sum."""
        here = [i for i in self._window.here if i in self._undecided and self._forth[i] < 0]
        there = [j for j in self._window.there if self._back[j] < 0]
        self._low, self._low_b = self._bounds_of(here, there)
        rest = sum(self._low[i][self._holds(self._a.parent[i])] for i in here)
        return rest + sum(self._low_b[j][self._back[self._b.parent[j]] >= 0] for j in there)

    def _decide(self, place: int, spent: int, rest: int, *, refresh: bool = False) -> None:
        """Try all partners of the next span; `spent` is what is certain, `rest` twice the least to come."""
        here = self._window.here
        while place < len(here) and self._forth[here[place]] >= 0:
            place += 1
        if place == len(here):
            self._finish()
            return
        self.steps += 1
        if self.steps > self._max_steps:
            return
        bounds = self._low, self._low_b
        if refresh:
            rest = self._refreshed()
        if 2 * spent + rest < 2 * self._best:
            self._try_all(place, spent, rest)
        self._low, self._low_b = bounds

    def _try_all(self, place: int, spent: int, rest: int) -> None:
        i = self._window.here[place]
        above = self._a.parent[i]
        rest -= self._low[i][self._holds(above)]
        self._undecided.discard(i)
        started = self.steps
        for cost, j in self._options(i, above):
            after = rest
            if j >= 0:
                after += self._dearer(i, j) - self._low_b[j][self._back[self._b.parent[j]] >= 0]
            elif j == _BETWEEN:
                after += self._dearer(i, -1)
            if 2 * (spent + cost) + after >= 2 * self._best:
                continue
            refresh = self.steps - started > _REFRESH
            if j >= 0:
                self._forth[i], self._back[j] = j, i
                equal, less = self._pair_equal_children(i, j)
                ways = len(self._ways)
                self._ways.extend(self._new_ways(i, j))
                self._decide(place + 1, spent + cost, after - less, refresh=refresh)
                del self._ways[ways:]
                self._part(equal)
                self._forth[i] = self._back[j] = -1
            elif j == _BETWEEN:
                self._between.add(i)
                self._decide(place + 1, spent + cost, after, refresh=refresh)
                self._between.discard(i)
            else:
                self._decide(place + 1, spent + cost, after, refresh=refresh)
            if self.steps > self._max_steps:
                break
        self._undecided.add(i)

    def _pair_equal_children(self, i: int, j: int) -> tuple[list[int], int]:
        """Pair the equal subtrees right below a pair: of the cheapest answers one does so.

        For in any answer that does not, what their spans were paired with can be paired with each other
        instead, for no more: contents by the triangle inequality, places because they are the same.

        Returns
        -------
        tuple of list of int and int
            The spans paired, and their share in the bound.
        """
        made: list[int] = []
        less = 0
        mates: dict[int, list[int]] = {}
        for child in reversed(self._b.children[j]):
            if child in self._closed_b and self._is_untouched(self._b, self._back, child):
                mates.setdefault(self._b.full[child], []).append(child)
        if not mates:
            return made, less
        for child in self._a.children[i]:
            others = mates.get(self._a.full[child])
            if others and child in self._closed and self._is_untouched(self._a, self._forth, child):
                mate = others.pop()
                less += self._low[child][1] + self._low_b[mate][1]
                for one, other in self._equal_spans(child, mate):
                    self._forth[one], self._back[other] = other, one
                    made.append(one)
                    if one != child:
                        less += self._low[one][0] + self._low_b[other][0]
        self._forced.update(made)
        return made, less

    def _part(self, spans: list[int]) -> None:
        for one in spans:
            self._back[self._forth[one]] = -1
            self._forth[one] = -1
        self._forced.difference_update(spans)

    @staticmethod
    def _is_untouched(tree: Tree, mates: Sequence[int], spot: int) -> bool:
        return max(mates[spot : spot + tree.size[spot]]) < 0

    def _equal_spans(self, i: int, j: int) -> list[tuple[int, int]]:
        """The pairs that two equal subtrees consist of."""
        a, b = self._a, self._b
        if a.is_aligned and b.is_aligned:
            return list(zip(range(i, i + a.size[i]), range(j, j + b.size[j]), strict=True))
        pairs = [(i, j)]
        for one, other in pairs:  # Grows while it is walked.
            mine = sorted(a.children[one], key=lambda child: (a.full[child], child))
            theirs = sorted(b.children[other], key=lambda child: (b.full[child], child))
            pairs.extend(zip(mine, theirs, strict=True))
        return pairs

    def _options(self, i: int, above: int) -> list[tuple[int, int]]:
        """Partners of a span with what is certain about each, the cheapest first; -1 is nobody."""
        forth, back = self._forth, self._back
        twin = self._twin.get(i)
        least_rank = -1 if twin is None or twin in self._forced else self._rank[forth[twin]]
        options = [(self._alone_cost(i, above), _NOBODY)]
        if self._a.children[i] and self._holds(above):
            self._between.add(i)
            cost = _WRAP + _MOVE * sum(
                not self._can_stay(child, mate) for child, mate in self._below.get(i, ())
            )
            self._between.discard(i)
            options.append((cost, _BETWEEN))
        for j, cost in self._pair[i].items():
            if back[j] >= 0 or self._rank[j] < least_rank or self._has_twin_before(j):
                continue
            if not self._can_stay(i, j):
                cost += _MOVE  # noqa: PLW2901  # the same pair's
            for child, mate in self._below.get(i, ()):
                if not self._can_stay(child, mate, partner=j, through=i):
                    cost += _MOVE  # noqa: PLW2901
            for child in self._below_b.get(j, ()):
                if self._a.parent[child] != i:
                    cost += _MOVE  # noqa: PLW2901
            # What could have stayed where it was through this span, if it were between, cannot now.
            cost += _MOVE * sum(j in way and self._is_open(way) for way in self._ways)  # noqa: PLW2901
            options.append((cost, j))
        options.sort()
        return options

    def _holds(self, above: int) -> bool:
        """Whether spans that go from right below it are an edit of their own: it stays, or is between."""
        return self._forth[above] >= 0 or above in self._between

    def _alone_cost(self, i: int, above: int) -> int:
        cost = 0 if i in self._spares else _ALONE + _ROOT * self._holds(above)
        return cost + _MOVE * len(self._below.get(i, ()))

    def _can_stay(self, i: int, j: int, partner: int = -1, through: int = -1) -> bool:
        """Whether a pair may yet count as staying, if spans above it that have nobody are between."""
        parent, forth = self._a.parent, self._forth
        above = parent[i]
        while True:
            mate = partner if above == through else forth[above]
            if mate >= 0:
                break
            if above in self._in_a and above not in self._between:
                return False
            above = parent[above]
        parent, back = self._b.parent, self._back
        above = parent[j]
        while above != mate:
            if back[above] >= 0:
                return False
            above = parent[above]
        return True

    def _new_ways(self, i: int, j: int) -> list[tuple[int, ...]]:
        """Ways of pairs to where they would stay, through spans of the other side that have nobody yet."""
        if not self._can_stay(i, j):
            return []
        above = self._a.parent[i]
        while self._forth[above] < 0:
            above = self._a.parent[above]
        way, spot = [], self._b.parent[j]
        while spot != self._forth[above]:
            way.append(spot)
            spot = self._b.parent[spot]
        return [tuple(way)] if way else []

    def _is_open(self, way: Sequence[int]) -> bool:
        return all(self._back[spot] < 0 for spot in way)

    def _has_twin_before(self, j: int) -> bool:
        """Whether an identical sibling, as untouched as this one, comes first."""
        twins = self._classes[self._rank[j]]
        if len(twins) == 1 or twins[0] == j:
            return False
        size, back = self._b.size, self._back
        if max(back[j : j + size[j]]) >= 0:
            return False
        for other in twins:
            if other == j:
                return False
            if max(back[other : other + size[other]]) < 0:
                return True
        return False

    def _dearer(self, i: int, j: int) -> int:
        """By how much the bounds of the children of a pair rise, now that their parent has somebody."""
        more = 0
        for child in self._a.children[i]:
            if child in self._in_a:
                low = self._low[child]
                more += low[1] - low[0]
        for child in self._b.children[j] if j >= 0 else ():
            if child in self._in_b and self._back[child] < 0:
                low = self._low_b[child]
                more += low[1] - low[0]
        return more

    def _finish(self) -> None:
        self.steps += self._leaf_steps
        price = self._price()
        if price < self._best:
            self._best = price
            self._found = {i: self._forth[i] for i in self._window.here}

    def _price(self) -> int:
        """The price of the window as it is; the shared price is without its pairs."""
        price = price_within(self._matching, self._prices, self._shared, self._window)
        return price + self._prices.followed(self._forth) if self._whole else price


def price_within(matching: Matching, prices: Prices, shared: SharedPrice, window: Window) -> int:
    """What a window adds to the price of a matching; `shared` is without its pairs."""
    forth, back = matching.forth, matching.back
    pairs = [(i, forth[i]) for i in window.here if forth[i] >= 0]
    price = sum(prices.pair(i, j) for i, j in pairs)
    shared.add(pairs)
    price += shared.price
    shared.add(pairs, -1)
    alone = sorted([*window.alone[0], *(i for i in window.here if forth[i] < 0)])
    alone_b = sorted([*window.alone[1], *(j for j in window.there if back[j] < 0)])
    trees = (matching.a, matching.b)
    pairs_around = sorted([*pairs, *window.edge])
    return price + priced(structure_within(forth, back, trees, pairs_around, (alone, alone_b)))


def _shares(
    costs: Sequence[Sequence[int]], alone: Sequence[int], alone_b: Sequence[int]
) -> tuple[list[int], list[int]]:
    """A share for each span such that no pair and nobody alone costs less than its shares together.

    They are the prices of the cheapest assignment in which every span may also stay alone.
    """
    if not alone or not alone_b:
        return list(alone), list(alone_b)
    # One column for nobody stays free, so its price is 0 and no share exceeds what being alone costs.
    rows = [
        [*(cost - other for cost, other in zip(line, alone_b, strict=True)), *[mine] * (len(alone) + 1)]
        for line, mine in zip(costs, alone, strict=True)
    ]
    shares, prices = prices_of(rows)
    return shares, [other + price for other, price in zip(alone_b, prices, strict=False)]


def _doubled(share: int, slack: int, alone: int) -> tuple[int, int]:
    """Twice the share of a span; and once its parent is paired, when staying alone costs more."""
    if alone != _ALONE:
        return 2 * share, 2 * share
    return 2 * share, min(2 * share + slack, 2 * (_ALONE + _ROOT))


def _closed(tree: Tree, spots: Sequence[int], inside: set[int]) -> dict[int, None]:
    """The spans whose whole subtree is inside."""
    return dict.fromkeys(
        spot for spot in spots if all(below in inside for below in range(spot, spot + tree.size[spot]))
    )


def _twin_before(tree: Tree, closed: Iterable[int]) -> dict[int, int]:
    """For each span its identical sibling before it, if both are wholly inside."""
    last: dict[tuple[int, int], int] = {}
    found: dict[int, int] = {}
    for spot in closed:
        key = tree.parent[spot], tree.full[spot]
        if key in last:
            found[spot] = last[key]
        last[key] = spot
    return found
