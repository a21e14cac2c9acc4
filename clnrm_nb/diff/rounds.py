"""Top-down rounds: under two paired spans their children are paired, by equality first, then by label.

Equal subtrees are paired whole. What is left of one label is assigned for the least cost; larger groups are
cut into blocks of alike spans first. Never by rank alone: one insert would shift everything behind it.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from clnrm_nb.diff.assign import MAX_GROUP
from clnrm_nb.diff.matching import Matching
from clnrm_nb.diff.structure import unpaired

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from clnrm_nb.diff.trees import Tree

__all__ = ["drain", "revisit"]

_MAX_TOKEN_SPANS = 64
"""A token that more spans of a group carry says little and would make the vote quadratic."""


def revisit(matching: Matching) -> None:
    """Look at the children of all pairs again that still have somebody to pair."""
    a, b, forth, back = matching.a, matching.b, matching.forth, matching.back
    for i in sorted({a.parent[i] for i in unpaired(forth)}):
        j = forth[i]
        if j >= 0 and any(back[child] < 0 for child in b.children[j]):
            matching.queue.append((i, j))
    drain(matching)


def drain(matching: Matching) -> None:
    """Pair children until no pair is left that was not looked at."""
    while matching.queue:
        _visit(matching, *matching.queue.popleft())


def _visit(matching: Matching, i: int, j: int) -> None:
    a, b = matching.a, matching.b
    mine = [child for child in a.children[i] if matching.forth[child] < 0]
    theirs = [child for child in b.children[j] if matching.back[child] < 0]
    if not mine or not theirs:
        return
    for equal, others in _groups(mine, theirs, a.full, b.full):
        one, other = _by_start(equal, a), _by_start(others, b)
        free = [child for child in one if matching.free(child)]
        free_b = [child for child in other if matching.free_b(child)]
        for child, mate in zip(free, free_b, strict=False):
            matching.pair_equal(child, mate, "equal")
    mine = [child for child in mine if matching.forth[child] < 0]
    theirs = [child for child in theirs if matching.back[child] < 0]
    if not mine or not theirs:
        return
    for rule, column, column_b in (("label", a.label, b.label), ("template", a.template, b.template)):
        mine = [child for child in mine if matching.forth[child] < 0]
        theirs = [child for child in theirs if matching.back[child] < 0]
        for alike, others in _groups(mine, theirs, column, column_b):
            _pair_alike(matching, alike, others, rule)


def _groups(
    mine: Sequence[int], theirs: Sequence[int], column: Sequence[int], column_b: Sequence[int]
) -> list[tuple[list[int], list[int]]]:
    """Spans of both sides that carry the same number, in the order of the first side."""
    there: dict[int, list[int]] = {}
    for spot in theirs:
        there.setdefault(column_b[spot], []).append(spot)
    here: dict[int, list[int]] = {}
    for spot in mine:
        if column[spot] in there:
            here.setdefault(column[spot], []).append(spot)
    return [(spots, there[number]) for number, spots in here.items()]


def _by_start(spots: Sequence[int], tree: Tree) -> list[int]:
    return sorted(spots, key=tree.start.__getitem__)


def _pair_alike(matching: Matching, mine: list[int], theirs: list[int], rule: str) -> None:
    if len(mine) > MAX_GROUP or len(theirs) > MAX_GROUP:
        mine, theirs = _pair_blocks(matching, mine, theirs, rule)
    if mine and theirs:
        matching.pair_cheapest(mine, theirs, rule)


def _pair_blocks(
    matching: Matching, mine: list[int], theirs: list[int], rule: str
) -> tuple[list[int], list[int]]:
    """Pair a large group by finer and finer likeness; returns what is left, small enough to assign."""
    a, b = matching.a, matching.b
    for sign in (_own_and_shape, _own, _children, _shape):
        blocks: dict[Hashable, tuple[list[int], list[int]]] = {}
        for i in mine:
            blocks.setdefault(sign(a, i), ([], []))[0].append(i)
        for j in theirs:
            block = blocks.get(sign(b, j))
            if block:
                block[1].append(j)
        for here, there in blocks.values():
            if there and len(here) <= MAX_GROUP and len(there) <= MAX_GROUP:
                matching.pair_cheapest(here, there, rule)
        mine = [i for i in mine if matching.forth[i] < 0]
        theirs = [j for j in theirs if matching.back[j] < 0]
    _pair_by_vote(matching, mine, theirs, rule)
    mine = [i for i in _by_start(mine, a) if matching.forth[i] < 0]
    theirs = [j for j in _by_start(theirs, b) if matching.back[j] < 0]
    # What shares nothing rare is paired in windows of start order, each for the least cost.
    while len(mine) > MAX_GROUP or len(theirs) > MAX_GROUP:
        here, there = mine[:MAX_GROUP], theirs[:MAX_GROUP]
        mine, theirs = mine[MAX_GROUP:], theirs[MAX_GROUP:]
        if not here or not there:
            break
        matching.pair_cheapest(here, there, rule)
    return mine, theirs


def _own_and_shape(tree: Tree, spot: int) -> Hashable:
    return (tree.own[spot], tree.shape[spot])


def _own(tree: Tree, spot: int) -> Hashable:
    return tree.own[spot]


def _children(tree: Tree, spot: int) -> Hashable:
    return tuple(sorted(tree.full[child] for child in tree.children[spot]))


def _shape(tree: Tree, spot: int) -> Hashable:
    return tree.shape[spot]


def _pair_by_vote(matching: Matching, mine: list[int], theirs: list[int], rule: str) -> None:
    """Pair spans that share the most rare things: attribute values and equal children."""
    tokens_a, tokens_b = _tokens(matching, matching.a), _tokens(matching, matching.b)
    carriers: dict[Hashable, list[int]] = {}
    for j in theirs:
        for token in tokens_b(j):
            carriers.setdefault(token, []).append(j)
    common: Counter[tuple[int, int]] = Counter()
    for i in mine:
        for token in tokens_a(i):
            found = carriers.get(token, ())
            if len(found) <= _MAX_TOKEN_SPANS:
                common.update((i, j) for j in found)
    votes = sorted(common.items(), key=lambda vote: (-vote[1], vote[0]))
    for (i, j), _ in votes:
        if matching.forth[i] < 0 and matching.back[j] < 0:
            matching.pair_cheapest([i], [j], rule)


def _tokens(matching: Matching, tree: Tree) -> Callable[[int], list[Hashable]]:
    def tokens(spot: int) -> list[Hashable]:
        found: list[Hashable] = list(matching.contents.of(tree.own[spot]).attributes.items())
        found.extend(tree.full[child] for child in tree.children[spot])
        return found

    return tokens
