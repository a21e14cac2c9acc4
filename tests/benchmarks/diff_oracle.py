"""The least cost of any script between two small traces, by exhaustive search (`diff.md` 9, "Oracle").

Every way to pair spans of one trace with spans of the other is a script, and is priced here by `diff.md` 4
alone: nothing of the product's matcher or of its derive step is used, so agreement says something about both.
The search decides the spans of the baseline one by one, parents first, and leaves a branch when what is
already certain costs as much as the best script known. What is certain: contents of pairs; a move, or a span
between, for each group of pairs whose parents are no pair; what spans without a partner cost at least; and
how many contents of the rest have no equal on the other side. Identical siblings are interchangeable, so only
the first arrangement of them is looked at.

Not priced: links, scopes, and attribute keys renamed everywhere. Traces with those are refused.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

MOVE = BETWEEN = SERVICE = 6
REMOVED, A_SPAN, COPIES, WORD, STATUS, MESSAGE, ITEM, EVENT = 4, 2, 4, 4, 3, 2, 2, 3

_Read = tuple["Tree", list[str]]
"""A tree, and its subtrees in the words of the baseline."""

Mapping = tuple[int, ...]
"""For each span of the baseline its partner, or -1."""


@dataclass
class Tree:
    """Spans in pre-order; the top is number ``n`` and the parent of roots."""

    n: int = 0
    parent: list[int] = field(default_factory=list)
    content: list[str] = field(default_factory=list)
    service: list[str] = field(default_factory=list)
    full: list[str] = field(default_factory=list)
    size: list[int] = field(default_factory=list)
    children: list[list[int]] = field(default_factory=list)


def tree_of(canonical: dict[str, Any]) -> Tree:
    """A canonical form (`format.md` 8.1) as a tree."""
    tree = Tree()

    def add(span: dict[str, Any], parent: int) -> str:
        if span["links"]:
            raise ValueError("the oracle knows no links")
        me = tree.n
        tree.n += 1
        own = {part: value for part, value in span.items() if part not in {"children", "resource"}}
        tree.parent.append(parent)
        tree.content.append(json.dumps(own, sort_keys=True))
        tree.service.append(span["resource"].get("service.name", ""))
        tree.full.append("")
        tree.size.append(0)
        tree.children.append([])
        below = []
        for child in span["children"]:
            tree.children[me].append(tree.n)
            below.append(add(child, me))
        tree.size[me] = tree.n - me
        tree.full[me] = json.dumps([tree.content[me], tree.service[me], sorted(below)])
        return tree.full[me]

    roots = []
    for root in canonical["traces"]:
        roots.append(tree.n)
        add(root, -1)
    tree.parent = [tree.n if parent < 0 else parent for parent in tree.parent]
    tree.children.append(roots)
    return tree


def reworded(tree: Tree, old: str, new: str) -> list[str]:
    """The subtrees of a tree with one service under another name."""
    full = [""] * tree.n
    for spot in range(tree.n - 1, -1, -1):
        service = new if tree.service[spot] == old else tree.service[spot]
        full[spot] = json.dumps([tree.content[spot], service, sorted(full[k] for k in tree.children[spot])])
    return full


def content_cost(one: str, other: str) -> int:
    """What turning one content into the other costs, the service apart."""
    if one == other:
        return 0
    a, b = json.loads(one), json.loads(other)
    if a["scope"] != b["scope"]:
        raise ValueError("the oracle knows no scopes")
    keys = a["attributes"].keys() | b["attributes"].keys()
    cost = ITEM * sum(
        json.dumps(a["attributes"].get(key, ...), default=str)
        != json.dumps(b["attributes"].get(key, ...), default=str)
        for key in keys
    )
    cost += WORD * ((a["name"] != b["name"]) + (a["kind"] != b["kind"]))
    if a["status"]["code"] != b["status"]["code"]:
        cost += STATUS
    elif a["status"] != b["status"]:
        cost += MESSAGE
    gone, came = (Counter(map(json.dumps, events)) for events in (a["events"], b["events"]))
    gone, came = gone - came, came - gone
    old, new = (Counter(json.loads(text)["name"] for text in some.elements()) for some in (gone, came))
    paired = (old & new).total()
    return cost + ITEM * paired + EVENT * (gone.total() + came.total() - 2 * paired)


class Pricing:
    """What the script of a whole mapping costs."""

    def __init__(self, a: Tree, b: Tree) -> None:
        self.a, self.b = a, b
        known: dict[tuple[str, str], int] = {}
        self.contents = [
            [known.setdefault((one, other), content_cost(one, other)) for other in b.content]
            for one in a.content
        ]
        self.services = (set(a.service), set(b.service))
        self._full = (a.full, b.full)
        gone, came = self.services[0] - self.services[1], self.services[1] - self.services[0]
        self._renamed = (*gone, *came) if len(gone) == len(came) == 1 else None
        self._full_renamed = reworded(b, self._renamed[1], self._renamed[0]) if self._renamed else []

    def of(self, forth: Sequence[int]) -> int:
        """Contents, services, structure."""
        pairs = [(i, j) for i, j in enumerate(forth) if j >= 0]
        cost = sum(self.contents[i][j] for i, j in pairs) + self._service_edits(pairs)
        is_renamed = any((self.a.service[i], self.b.service[j]) == self._renamed for i, j in pairs)
        # Copies of a sibling are copies under the service's new name as well.
        self._full = (self.a.full, self._full_renamed if is_renamed else self.b.full)
        return cost + self._structure(forth, pairs)

    def _service_edits(self, pairs: list[tuple[int, int]]) -> int:
        """A service renamed everywhere is one edit; so is one whose spans all went to another one."""
        changes: dict[tuple[str, str], int] = Counter()
        for i, j in pairs:
            if self.a.service[i] != self.b.service[j]:
                changes[self.a.service[i], self.b.service[j]] += 1
        cost = 0
        for (old, new), count in changes.items():
            is_hop = new in self.services[0] or old in self.services[1]
            is_whole = all((self.a.service[i] == old) == (self.b.service[j] == new) for i, j in pairs)
            cost += SERVICE * (count if is_hop and not is_whole else 1)
        return cost

    def _structure(self, forth: Sequence[int], pairs: list[tuple[int, int]]) -> int:
        a, b = self.a, self.b
        mate = [*forth, b.n]
        back = [-1] * b.n + [a.n]
        for i, j in pairs:
            back[j] = i
        loose = [(i, j) for i, j in pairs if mate[a.parent[i]] != b.parent[j]]
        gone = [i for i in range(a.n) if mate[i] < 0]
        came = [j for j in range(b.n) if back[j] < 0]
        # Only a span without a partner right above a loose pair can have been between.
        above_a = _chains(a, mate, [i for i, _ in loose])
        above_b = _chains(b, back, [j for _, j in loose])
        best: int | None = None
        full, full_b = self._full
        for lifted in _subsets(above_a):
            removed = self._removed((a, full), (b, full_b), gone, lifted, mate)
            for lifted_b in _subsets(above_b):
                cost = BETWEEN * (len(lifted) + len(lifted_b)) + removed
                cost += self._removed((b, full_b), (a, full), came, lifted_b, back)
                for i, j in loose:
                    if best is not None and cost >= best:
                        break
                    top, top_b = _up(a.parent, i, lifted), _up(b.parent, j, lifted_b)
                    cost += MOVE * (mate[top] != top_b)
                if best is None or cost < best:
                    best = cost
        assert best is not None
        return best

    @staticmethod
    def _removed(
        here_as: _Read, there_as: _Read, gone: list[int], lifted: set[int], mate: Sequence[int]
    ) -> int:
        """Subtrees without partners, those that are copies of a sibling on both sides as counts."""
        (here, full), (there, full_there) = here_as, there_as
        root_of: dict[int, int] = {}
        sizes: Counter[int] = Counter()
        for spot in gone:
            if spot not in lifted:
                root = root_of[spot] = root_of.get(here.parent[spot], spot)
                sizes[root] += 1
        copies: dict[tuple[int, str], list[int]] = defaultdict(list)
        for root, size in sizes.items():
            if mate[here.parent[root]] >= 0 and size == here.size[root]:
                copies[here.parent[root], full[root]].append(root)
        cost = sum(REMOVED + A_SPAN * size for size in sizes.values())
        for (above, text), roots in copies.items():
            n = sum(full[child] == text for child in here.children[above])
            m = sum(full_there[child] == text for child in there.children[mate[above]])
            if m and n - m == len(roots):
                cost -= sum(REMOVED + A_SPAN * sizes[root] for root in roots) - COPIES - len(roots)
        return cost


def _chains(tree: Tree, mate: Sequence[int], spots: list[int]) -> list[int]:
    found: set[int] = set()
    for spot in spots:
        above = tree.parent[spot]
        while mate[above] < 0:
            found.add(above)
            above = tree.parent[above]
    return sorted(found)


def _up(parent: Sequence[int], spot: int, lifted: set[int]) -> int:
    spot = parent[spot]
    while spot in lifted:
        spot = parent[spot]
    return spot


def _subsets(spots: list[int]) -> list[set[int]]:
    found: list[set[int]] = [set()]
    for spot in spots:
        found += [some | {spot} for some in found]
    return found


class _State(NamedTuple):
    """What is certain after some decisions.

    Parameters
    ----------
    cost : int
    used, between : int
        Masks of spans of the run: partners, and those charged as between, or for a move from below them.
    copies, hops : frozenset
        Groups of copies, and changes of service, that are charged.
    """

    cost: int = 0
    used: int = 0
    between: int = 0
    copies: frozenset[tuple[int, str]] = frozenset()
    hops: frozenset[tuple[str, str]] = frozenset()


class Search:
    """Branch and bound over all mappings.

    Parameters
    ----------
    a, b : Tree
    below : int
        Only a script that costs less is looked for.
    """

    def __init__(self, a: Tree, b: Tree, below: int) -> None:
        self.a, self.b = a, b
        self.pricing = Pricing(a, b)
        self.best, self.mapping = below, None
        self.steps = 0
        self._forth = [-1] * a.n
        self._above_b = [self._path(b, j) for j in range(b.n)]
        self._countable_a, self._countable_b = _countable(a), _countable(b)
        self._in_copy = [_is_within(a, i, self._countable_a) for i in range(a.n)]
        numbers = {text: place for place, text in enumerate(dict.fromkeys(a.content))}
        self._masks = [sum(1 << j for j in range(b.n) if b.content[j] == text) for text in numbers]
        self._rest: list[list[tuple[int, int]]] = []
        for t in range(a.n + 1):
            # Inside a copy, going without a partner may cost nothing.
            counts = Counter(numbers[a.content[i]] for i in range(t, a.n) if not self._in_copy[i])
            self._rest.append([(self._masks[number], count) for number, count in counts.items()])
        self._twin = [_twin_before(a, i) for i in range(a.n)]
        self._twin_b = [_twin_before(b, j) for j in range(b.n)]
        self._mask_b = [((1 << b.size[j]) - 1) << j for j in range(b.n)]

    @staticmethod
    def _path(tree: Tree, spot: int) -> dict[int, int]:
        """For each span above: the mask of those strictly between."""
        found, between, above = {}, 0, tree.parent[spot]
        while True:
            found[above] = between
            if above == tree.n:
                return found
            between |= 1 << above
            above = tree.parent[above]

    def run(self) -> int:
        """The least cost, or the bound given if nothing costs less."""
        self._decide(0, _State())
        return self.best

    def _decide(self, t: int, state: _State) -> None:
        """Span `t` of the baseline, those before it decided."""
        self.steps += 1
        if t == self.a.n:
            price = self.pricing.of(self._forth)
            if price < self.best:
                self.best, self.mapping = price, tuple(self._forth)
            return
        choices = [*self._partners(t, state), self._without(t, state)]
        choices.sort(key=lambda choice: choice[1].cost)
        for j, then in choices:
            if then.cost >= self.best:
                break
            if then.cost + self._at_least(t + 1, then) < self.best:
                self._forth[t] = j
                self._decide(t + 1, then)
                self._forth[t] = -1

    def _mate_above(self, t: int) -> int:
        """Partner of the nearest span above that has one."""
        above = self.a.parent[t]
        while above != self.a.n and self._forth[above] < 0:
            above = self.a.parent[above]
        return self.b.n if above == self.a.n else self._forth[above]

    def _partners(self, t: int, state: _State) -> Iterator[tuple[int, _State]]:
        """Every partner a span can have, but for those that only exchange identical siblings."""
        above, twin = self._mate_above(t), self._twin[t]
        first = 0 if twin is None else self._forth[twin]
        if first < 0:
            return
        for j in range(first, self.b.n):
            other = self._twin_b[j]
            is_same = other is not None and not state.used & (self._mask_b[j] | self._mask_b[other])
            if not state.used >> j & 1 and not is_same:
                yield j, self._paired(t, j, above, state)

    def _paired(self, t: int, j: int, above: int, state: _State) -> _State:
        cost, between, hops = self.pricing.contents[t][j], state.between, state.hops
        parent = self.b.parent[j]
        if parent != above:
            way = self._above_b[j].get(above)
            if way is None or way & state.used:
                cost += MOVE
            elif not between >> parent & 1:
                cost += BETWEEN
                between |= 1 << parent
        change = (self.a.service[t], self.b.service[j])
        if change[0] != change[1] and change not in hops:
            cost += SERVICE
            hops |= {change}
        return _State(state.cost + cost, state.used | 1 << j, between, state.copies, hops)

    def _without(self, t: int, state: _State) -> tuple[int, _State]:
        """The choice of no partner."""
        parent = self.a.parent[t]
        if parent != self.a.n and self._forth[parent] < 0:
            return -1, state._replace(cost=state.cost + (0 if self._in_copy[t] else A_SPAN))
        if t not in self._countable_a:
            return -1, state._replace(cost=state.cost + REMOVED + A_SPAN)
        group = (parent, self.a.full[t])
        cost = state.cost + (1 if group in state.copies else COPIES + 1)
        return -1, state._replace(cost=cost, copies=state.copies | {group})

    def _at_least(self, t: int, state: _State) -> int:
        """What the spans not yet decided cost at least."""
        a, b, between = self.a, self.b, state.between
        free = ~state.used & ((1 << b.n) - 1)
        n_free, n_rest = free.bit_count(), a.n - t
        least = ITEM * sum(max(count - (mask & free).bit_count(), 0) for mask, count in self._rest[t])
        over = n_free - n_rest - (between & free).bit_count()
        if over > 0 and self._countable_b:
            least += COPIES + 1
        elif over > 0:
            least += A_SPAN * over + (0 if between & free else REMOVED)
        return least


def _countable(tree: Tree) -> set[int]:
    """Spans with an identical sibling."""
    return {
        child
        for children in tree.children
        for child in children
        if sum(tree.full[child] == tree.full[other] for other in children) > 1
    }


def _is_within(tree: Tree, spot: int, countable: set[int]) -> bool:
    while spot != tree.n:
        if spot in countable:
            return True
        spot = tree.parent[spot]
    return False


def _twin_before(tree: Tree, spot: int) -> int | None:
    """The identical sibling right before."""
    twins = [child for child in tree.children[tree.parent[spot]] if tree.full[child] == tree.full[spot]]
    place = twins.index(spot)
    return twins[place - 1] if place else None


def least_cost(
    baseline: dict[str, Any], current: dict[str, Any], *, below: int
) -> tuple[int, Mapping | None]:
    """The least cost of a script between two canonical forms, if it is less than `below`.

    Returns
    -------
    tuple of (int, tuple of int or None)
        The cost, and for each span of the baseline in pre-order its partner; `below` and ``None`` if there is
        no cheaper script.
    """
    search = Search(tree_of(baseline), tree_of(current), below)
    return search.run(), search.mapping
