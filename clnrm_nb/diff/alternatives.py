"""What an edit was preferred to: how alike the spans are that it holds for one, and the next best span.

A span that came could be another one renamed, one that changed could be another one: so every edit is asked
about its first span. Looked at are the spans of the other side that it could be taken for: those of its
label, of its label but for literals, of its name alone, and those at its place, first the ones that are
nobody's. A few of each, so that the work grows with the number of edits alone. The matcher has decided
by then, and nothing here decides.
"""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, Final, NamedTuple

from clnrm_nb.diff.content import PER_MILLE
from clnrm_nb.diff.matching import similarity, subtree_cost
from clnrm_nb.diff.model import COSTS, RunnerUp
from clnrm_nb.diff.sentences import short_path, shown
from clnrm_nb.spans.content import parsed_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from clnrm_nb.diff.content import Contents
    from clnrm_nb.diff.drafts import Draft, Pairing
    from clnrm_nb.diff.interner import Parts
    from clnrm_nb.diff.side import Side
    from clnrm_nb.diff.trees import Tree

__all__ = ["Alternatives"]

_MOST_ALIKE: Final = 4
"""Spans of one pool that are looked at."""

_MOST_CHILDREN: Final = 16
"""A span with more, and four times as many as another one, is not taken for it."""

_MOST_ABOVE: Final = 16
"""Levels up to the nearest paired span; below a deeper unpaired chain no place is known."""

_PATH_CELLS: Final = 40
_UNPAIRED: Final = frozenset({"insert", "delete", "wrap", "unwrap"})
_BETWEEN: Final = frozenset({"wrap", "unwrap"})
_CHECKED: Final = frozenset({"order", "duration"})
_PROVED: Final = "proved minimal"


class _Place(NamedTuple):
    """Children of one span that some other one may be taken for."""

    of_label: dict[int, list[int]]
    alone: list[int]
    first: list[int]


_NONE: Final = object()
_NOWHERE: Final = _Place({}, [], [])


class _Pools:
    """Spans of one side by what they can be found by, each pool made when it is first asked for."""

    def __init__(self, tree: Tree, mates: Sequence[int], parts: Sequence[Parts]) -> None:
        self._tree, self._mates, self._parts = tree, mates, parts
        self._of_label: dict[int, list[int]] | None = None
        self._alone: tuple[dict[int, list[int]], dict[int, list[int]]] | None = None
        self._of_name: dict[str, list[int]] = {}
        self._places: dict[int, _Place] = {}

    def near(self, other: Tree, spot: int, place: int, mate: int) -> list[int]:
        """Spans but its `mate` that one of the other side, below the partner of `place`, may be taken for.

        Those of its name, and where there is none any at its place (-1: nobody knows it).
        """
        label, template = other.label[spot], other.template[spot]
        if self._of_label is None or self._alone is None:
            tree, alone = self._tree, [spot for spot, mate in enumerate(self._mates) if mate < 0]
            self._of_label = _grouped(tree.label, range(tree.n))
            self._alone = _grouped(tree.label, alone), _grouped(tree.template, alone)
            for spots in self._of_label.values():
                group = self._of_name.setdefault(self._parts[tree.own[spots[0]]].name, [])
                group.extend(spots[: _MOST_ALIKE - len(group)])
        here = self._place(place) if place >= 0 else _NOWHERE
        named = (
            *self._alone[0].get(label, ()),
            *self._alone[1].get(template, ()),
            *here.of_label.get(label, ()),
            *self._of_label.get(label, ()),
            *self._of_name.get(self._parts[other.own[spot]].name, ()),
        )
        found = dict.fromkeys((*named, *here.alone))
        found.pop(mate, None)
        return [*found] or [spot for spot in here.first if spot != mate]

    def _place(self, spot: int) -> _Place:
        found = self._places.get(spot)
        if found is None:
            children = self._tree.children[spot]
            alone = (child for child in children if self._mates[child] < 0)
            found = self._places[spot] = _Place(
                _grouped(self._tree.label, children),
                list(islice(alone, _MOST_ALIKE)),
                children[:_MOST_ALIKE],
            )
        return found


class _Part(NamedTuple):
    """A span that came or went, in its edit."""

    cost: int
    n_spans: int
    """It and what came or went with it below it."""
    is_root: bool
    is_between: bool


def _parts(draft: Draft, tree: Tree) -> dict[int, _Part]:
    """The spans of an edit, counted upwards."""
    spots = draft.spans or draft.spans_b
    counts = dict.fromkeys(spots, 1)
    for spot in reversed(spots[1:]):
        counts[tree.parent[spot]] += counts[spot]
    is_between = draft.op in _BETWEEN
    return {spot: _Part(draft.cost, counts[spot], spot == spots[0], is_between) for spot in spots}


def _held(tree: Tree, mates: Sequence[int], parts: Mapping[int, _Part]) -> dict[int, int]:
    """How many paired spans each one between holds, through others that are between."""
    found: dict[int, int] = {}
    for spot in sorted((spot for spot, part in parts.items() if part.is_between), reverse=True):
        found[spot] = sum(1 if mates[child] >= 0 else found.get(child, 0) for child in tree.children[spot])
    return found


def _grouped(column: Sequence[int], spots: Iterable[int]) -> dict[int, list[int]]:
    """The first few spans of each number."""
    found: dict[int, list[int]] = {}
    for spot in spots:
        group = found.setdefault(column[spot], [])
        if len(group) < _MOST_ALIKE:
            group.append(spot)
    return found


class Alternatives:
    """Scores and runners-up of the edits of one script.

    Parameters
    ----------
    sides, trees : tuple
        Baseline and current side.
    pairing : Pairing
    contents : Contents
    """

    def __init__(
        self, sides: tuple[Side, Side], trees: tuple[Tree, Tree], pairing: Pairing, contents: Contents
    ) -> None:
        self._sides, self._trees, self._pairing, self._contents = sides, trees, pairing, contents
        self._mates = pairing.forth, pairing.back
        parts = sides[0].interner.parts
        self._pools = _Pools(trees[0], pairing.forth, parts), _Pools(trees[1], pairing.back, parts)
        self._parts: tuple[dict[int, _Part], dict[int, _Part]] = {}, {}
        self._held: tuple[dict[int, int], dict[int, int]] = {}, {}
        self._best: dict[tuple[int, int], tuple[int, int, int] | None] = {}
        """By side and number of a span; what is said of it is asked once an edit."""
        self._paths: dict[tuple[int, int], str] = {}

    def tell(self, drafts: Sequence[Draft]) -> None:
        """Give every draft its score, its runner-up and a reason that names both."""
        for draft in drafts:
            if draft.op in _UNPAIRED:
                side = 0 if draft.spans else 1
                self._parts[side].update(_parts(draft, self._trees[side]))
        for side in (0, 1):
            self._held[side].update(_held(self._trees[side], self._mates[side], self._parts[side]))
        for draft in drafts:
            self._tell(draft)

    def _tell(self, draft: Draft) -> None:
        facts = [draft.reason]
        if draft.op in _UNPAIRED:
            facts += self._otherwise(draft)
        elif draft.whole is not None or draft.op == "count":
            # It is told of all its spans because it holds for all.
            draft.score = PER_MILLE
        else:
            draft.score = self._likeness(draft.spans[0], draft.spans_b[0])
            facts[0] += f", score {_share(draft.score)}"
        if draft.whole is None:
            facts.append(self._next_best(draft))
        if self._pairing.is_proved(draft.spans, draft.spans_b):
            facts.append(_PROVED)
        # Of what a check found, or nobody counts, the check says why.
        if draft.counted and draft.op not in _CHECKED:
            draft.reason = "; ".join(filter(None, facts))

    def _otherwise(self, draft: Draft) -> Iterator[str]:
        """What a span between would cost as one that came or went, and what it holds as moved."""
        if draft.op not in _BETWEEN:
            return
        side, spot = (0, draft.spans[0]) if draft.spans else (1, draft.spans_b[0])
        n_held = self._held[side][spot]
        word, way = ("missing", "out of") if draft.spans else ("new", "into")
        cost = subtree_cost(1) + COSTS["move"] * n_held
        yield f"{word}, with {n_held} moved {way} it, it would cost {cost}"

    def _next_best(self, draft: Draft) -> str:
        spot = (1, draft.spans_b[0]) if draft.spans_b else (0, draft.spans[0])
        if spot not in self._best:
            self._best[spot] = self._found(*spot, is_copy=draft.op == "count")
        best = self._best[spot]
        if best is None:
            return "" if draft.op == "count" else "no other candidate"
        draft.runner_up, said = self._described(draft, *best)
        return said

    def _found(self, side: int, spot: int, *, is_copy: bool) -> tuple[int, int, int] | None:
        """Score, baseline span and current span of the best pair that was not made."""
        mine, theirs = self._trees[side], self._trees[1 - side]
        mate, mates = self._mates[side][spot], self._mates[1 - side]
        best: tuple[int, bool, int] | None = None
        place, most = self._above(side, spot), max(_MOST_CHILDREN, 4 * len(mine.children[spot]))
        for other in self._pools[1 - side].near(mine, spot, place, mate):
            # Of a surplus copy its equals are no news.
            if len(theirs.children[other]) > most or (is_copy and theirs.full[other] == mine.full[spot]):
                continue
            pair = (other, spot) if side else (spot, other)
            rank = self._likeness(*pair), mates[other] < 0, -other
            best = rank if best is None else max(best, rank)
        if best is None:
            return None
        return (best[0], -best[2], spot) if side else (best[0], spot, -best[2])

    def _above(self, side: int, spot: int) -> int:
        """The partner of the nearest paired span above a span."""
        parent, mates = self._trees[side].parent, self._mates[side]
        for _ in range(_MOST_ABOVE):
            spot = parent[spot]
            if mates[spot] >= 0:
                return mates[spot]
        return -1

    # ------------------------------------------------------------------------------------------ two spans

    def _likeness(self, i: int, j: int) -> int:
        """How alike two spans are, in per mille: half of it is what their labels share."""
        a, b = self._trees
        one, other = a.own[i], b.own[j]
        words = PER_MILLE if a.label[i] == b.label[j] else self._contents.words(one, other)
        if not a.children[i] and not b.children[j]:
            return (self._contents.overlap(one, other) + words) // 2
        return (similarity(a, b, self._contents, i, j) + words) // 2

    def _cost(self, i: int, j: int) -> int:
        """What two spans would cost as one, if below them only what is equal is held for the same."""
        a, b = self._trees
        # As the sides themselves say it: that a service has another name is paid for by nobody else.
        own, other = self._sides[0].own[i], self._sides[1].own[j]
        cost = self._contents.cost(own, other) + self._resource_cost(own, other)
        cost += COSTS["move"] * (self._pairing.forth[a.parent[i]] != b.parent[j])
        mine, n_moves = self._below(0, i, j)
        theirs, n_others = self._below(1, j, i)
        common = mine.keys() & theirs.keys()
        for full in common:
            n_common = min(len(mine[full]), len(theirs[full]))
            del mine[full][:n_common], theirs[full][:n_common]
        left = [*chain.from_iterable(mine.values()), *chain.from_iterable(theirs.values())]
        return cost + COSTS["move"] * (n_moves + n_others) + sum(map(subtree_cost, left))

    def _resource_cost(self, one: int, other: int) -> int:
        """Of the attributes of two resources beside the service."""
        parts = self._sides[0].interner.parts
        old, new = (parsed_json(parts[own].resource) for own in (one, other))
        keys = (old.keys() | new.keys()) - {"service.name"}
        n_changed = sum(old.get(key, _NONE) != new.get(key, _NONE) for key in keys)
        return COSTS["resource~"] * int(n_changed)

    def _below(self, side: int, spot: int, other: int) -> tuple[dict[int, list[int]], int]:
        """Sizes of what came or went with a span, by what it is; how many others would have moved."""
        tree, mates, parts = self._trees[side], self._mates[side], self._parts[side]
        above = self._trees[1 - side].parent
        found: dict[int, list[int]] = {}
        n_moves = 0
        for child in tree.children[spot]:
            if mates[child] >= 0:
                n_moves += above[mates[child]] != other
            elif child in parts and not parts[child].is_root:
                found.setdefault(tree.full[child], []).append(parts[child].n_spans)
        return found, n_moves

    def _apart(self, side: int, spot: int) -> int:
        """What a span costs that is nobody's, and what moved out of it or into it."""
        part, mates = self._parts[side][spot], self._mates[side]
        cost = part.cost if part.is_root else 2 * part.n_spans
        if part.is_between:
            return cost
        return cost + COSTS["move"] * sum(mates[child] >= 0 for child in self._trees[side].children[spot])

    # ------------------------------------------------------------------------------------------- in words

    def _described(self, draft: Draft, score: int, i: int, j: int) -> tuple[RunnerUp, str]:
        side, spot = (0, i) if draft.spans_b else (1, j)
        cost, path = self._cost(i, j), self._path(side, spot)
        is_free = self._mates[side][spot] < 0
        runner_up = RunnerUp(path, score / PER_MILLE, cost, is_free=is_free)
        a, b = self._trees
        is_beside = self._pairing.forth[a.parent[i]] == b.parent[j]
        name = (
            shown(self._sides[side].name(spot), _PATH_CELLS) if is_beside else short_path(path, _PATH_CELLS)
        )
        if draft.op not in _UNPAIRED:
            if score <= draft.score:
                return runner_up, f"next best {name} {_share(score)}"
            own_cost = self._cost(draft.spans[0], draft.spans_b[0])
            but = f"which would cost {cost}, not {own_cost}" if is_free else "which has its own partner"
            return runner_up, f"more alike is {name} {_share(score)}, {but}"
        said = f"nearest is {name}, score {_share(score)}"
        if not is_free:
            return runner_up, f"{said}, which has its own partner"
        if spot not in self._parts[side]:  # A surplus copy: one of several that cost something together.
            return runner_up, said
        apart = self._apart(side, spot) + self._apart(1 - side, i if side else j)
        return runner_up, f"{said}: as one they cost {cost}, apart {apart}"

    def _path(self, side: int, spot: int) -> str:
        found = self._paths.get((side, spot))
        if found is None:
            found = self._paths[side, spot] = self._sides[side].path(spot)
        return found


def _share(score: int) -> str:
    return f"{score / PER_MILLE:.2f}"
