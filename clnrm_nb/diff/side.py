"""One side of a diff, normalised: spans in canonical pre-order, content as numbers.

A side is made from a span table (:mod:`~clnrm_nb.diff.reading`) or from a canonical form
(:mod:`~clnrm_nb.diff.document`). It knows nothing of the other side but shares its
:class:`~clnrm_nb.diff.interner.Interner`. Numbers of spans are their places in the pre-order of the canonical
form, so a subtree is a range of numbers. The top of the traces is a span too, number ``n``, without content:
roots are its children like any others.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from clnrm_nb.spans.canonical import FORMAT
from clnrm_nb.spans.topology import children_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.diff.interner import Interner, Parts
    from clnrm_nb.spans.table import SpanTable

__all__ = ["Side", "build"]


@dataclass(eq=False)
class Side:
    """Spans by number, each after its parent.

    Attributes
    ----------
    n : int
        Number of spans, and the number of the top.
    parent : list of int
        ``n`` for roots, -1 for the top itself.
    children : list of list of int
        In canonical order.
    size : list of int
        Spans of the subtree, itself included.
    own, full : list of int
        Numbers of the interner; -1 for the top.
    row : list of (int or None)
        Rows of the table the side was made of.
    start : list of int
        Rank by start time; canonical order where there are no times.
    """

    KEPT: ClassVar = ("digest", "linked", "names", "positions", "services")
    """What is worked out when it is first asked for."""

    interner: Interner
    n: int
    parent: list[int]
    children: list[list[int]]
    size: list[int]
    own: list[int]
    full: list[int]
    row: list[int | None]
    start: list[int]
    table: SpanTable | None = None
    ignored: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def copy(self) -> Side:
        """The same side with an interner of its own, for one comparison."""
        twin = replace(self, interner=self.interner.copy())
        vars(twin).update({name: value for name, value in vars(self).items() if name in self.KEPT})
        return twin

    @property
    def roots(self) -> list[int]:
        """Subtrees at the top, by the interner's numbers: equal traces have equal ones."""
        return [self.full[root] for root in self.children[self.n]]

    @cached_property
    def digest(self) -> str:
        """The trace digest (``format.md`` 8.1)."""
        return _digest(self, range(self.n))

    @cached_property
    def linked(self) -> list[int]:
        """The spans that have links."""
        return [number for number in range(self.n) if self.parts(number).links != "[]"]

    @cached_property
    def positions(self) -> list[int]:
        """The position of every span, by the interner's positions."""
        labels = list(map(self.interner.label, self.own[:-1]))
        return self.interner.positions.of(self.parent, labels, range(self.n))

    @cached_property
    def names(self) -> list[str]:
        """The name of every span."""
        return self.interner.names(self.own[:-1])

    @cached_property
    def services(self) -> list[str]:
        """The service of every span."""
        return self.interner.services(self.own[:-1])

    def digest_of(self, root: int, nodes: Sequence[int]) -> str:
        """A digest of some spans of a subtree: of their contents and how they hang together."""
        if len(nodes) == self.size[root]:
            return _digest(self, self.subtree(root))
        depth = {root: 0}
        digest = hashlib.sha256()
        for number in nodes:
            depth.setdefault(number, depth.get(self.parent[number], 0) + 1)
            parts = self.parts(number)
            digest.update(f"{depth[number]} {parts.before}{parts.after}".encode())
        return f"sha256:{digest.hexdigest()}"

    def parts(self, number: int) -> Parts:
        """What a span says."""
        return self.interner.parts[self.own[number]]

    def name(self, number: int) -> str:
        """Name of a span."""
        return self.names[number]

    def service(self, number: int) -> str:
        """Service of a span."""
        return self.services[number]

    def path(self, number: int) -> str:
        """Names from the root down to a span."""
        names: list[str] = []
        while number != self.n:
            names.append(self.name(number))
            number = self.parent[number]
        return "/".join(reversed(names))

    def subtree(self, number: int) -> range:
        """Numbers of a span and all below it."""
        return range(number, number + self.size[number])


def build(
    interner: Interner,
    parents: Sequence[int | None],
    owns: Sequence[int],
    ages: Sequence[Any],
    rows: Sequence[int | None],
) -> Side:
    """A side from spans in any order.

    Parameters
    ----------
    parents : sequence of (int or None)
    owns : sequence of int
        Contents, by the interner.
    ages : sequence of (int or tuple)
        Order in time; equal subtrees are sorted by it.
    rows : sequence of (int or None)

    Raises
    ------
    IndexError
        The parents form a cycle.
    """
    below = children_of(parents)
    roots = [spot for spot, parent in enumerate(parents) if parent is None]
    downwards = roots[:]
    for spot in downwards:  # Grows while it is walked.
        downwards.extend(below[spot])
    n = len(downwards)
    if n != len(parents):
        raise IndexError("parents form a cycle")
    fulls = [0] * n
    sizes = [1] * n
    attributes = [interner.parts[own].attributes for own in owns]

    def sort(spots: list[int]) -> None:
        """In canonical order, equal ones by start; what comes first in the text decides nearly always."""
        if len(spots) < 2:  # noqa: PLR2004  # nothing to sort
            return
        if len({attributes[spot] for spot in spots}) == len(spots):
            spots.sort(key=attributes.__getitem__)
        else:
            spots.sort(key=ages.__getitem__)
            spots.sort(key=lambda spot: interner.key(fulls[spot]))

    for spot in reversed(downwards):
        mine = below[spot]
        if mine:
            sort(mine)
            sizes[spot] += sum([sizes[child] for child in mine])
        fulls[spot] = interner.full(owns[spot], tuple([fulls[child] for child in mine]))
    sort(roots)
    number = _numbers(downwards, roots, below, sizes)
    order = [0] * n
    for spot, place in enumerate(number):
        order[place] = spot
    numbered = number.__getitem__
    start = [0] * (n + 1)
    ages_in_order = list(map(ages.__getitem__, order))
    for rank, place in enumerate(sorted(range(n), key=ages_in_order.__getitem__)):
        start[place] = rank
    parents_in_order = map(parents.__getitem__, order)
    return Side(
        interner=interner,
        n=n,
        parent=[*(n if parent is None else number[parent] for parent in parents_in_order), -1],
        children=[*(list(map(numbered, below[spot])) for spot in order), list(map(numbered, roots))],
        size=[*map(sizes.__getitem__, order), n],
        own=[*map(owns.__getitem__, order), -1],
        full=[*map(fulls.__getitem__, order), -1],
        row=[*map(rows.__getitem__, order), None],
        start=start,
    )


def _numbers(
    downwards: Sequence[int], roots: Sequence[int], below: Sequence[Sequence[int]], sizes: Sequence[int]
) -> list[int]:
    """The place of every span in pre-order: a subtree is its root, then the ranges of its children."""
    number, free = [0] * len(sizes), 0
    for spot in roots:
        number[spot], free = free, free + sizes[spot]
    for spot in downwards:
        free = number[spot] + 1
        for child in below[spot]:
            number[child], free = free, free + sizes[child]
    return number


def _digest(side: Side, spots: range) -> str:
    """SHA-256 of the canonical JSON of whole subtrees, written piece by piece."""
    pieces: list[str] = [f'{{"format":"{FORMAT}","traces":[']
    parent, own, written = side.parent, side.own, side.interner.written
    above: list[int] = []  # Spans whose children are being written, and what they will be closed with.
    closing: list[str] = []
    for spot in spots:
        if above and parent[spot] != above[-1]:
            while above and parent[spot] != above[-1]:
                above.pop()
                pieces.append(closing.pop())
            pieces.append(",")
        before, after = written(own[spot])
        pieces.append(before)
        above.append(spot)
        closing.append(after)
    pieces.extend(reversed(closing))
    pieces.append("]}")
    return f"sha256:{hashlib.sha256(''.join(pieces).encode()).hexdigest()}"
