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
from typing import TYPE_CHECKING, Any, ClassVar, Final

from clnrm_nb.spans.canonical import FORMAT
from clnrm_nb.spans.topology import depth_first

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
    start : list of (int or tuple)
        Sorts by start time; in canonical order where there are no times. No two are equal.
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
    start: list[Any]
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
    *,
    layout: tuple[list[int], list[int]] | None = None,
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
    layout : tuple, optional
        The parents :func:`~clnrm_nb.spans.topology.depth_first`, if that is known.

    Raises
    ------
    IndexError
        The parents form a cycle.

    Notes
    -----
    Spans are laid out in depth-first order before anything else is done. What is looked at together then
    lies together in memory, which for 100,000 spans in random order is half of the time.
    """
    order, above = layout or depth_first(parents)
    n = len(order)
    if n != len(parents):
        raise IndexError("parents form a cycle")
    own = [owns[spot] for spot in order]
    age = [ages[spot] for spot in order]
    below = _below(above)
    full = interner.fulls(own, below, age)
    sizes = _sizes(above)
    number = _numbers(below, sizes)
    places = [0] * n
    for place, found in enumerate(number[:n]):
        places[found] = place
    parent = [number[above[place]] for place in places]
    return Side(
        interner=interner,
        n=n,
        parent=[*parent, -1],
        children=_below(parent),
        size=[sizes[place] for place in (*places, n)],
        own=[*(own[place] for place in places), -1],
        full=[*(full[place] for place in places), -1],
        row=[*(rows[order[place]] for place in places), None],
        start=_starts([age[place] for place in places]),
    )


_LEAF: Final[list[int]] = []
"""The children of all spans that have none."""


def _below(above: Sequence[int]) -> list[list[int]]:
    """Children by place, in order of place; those of the top, the last, are the roots."""
    below = [_LEAF] * (len(above) + 1)
    for place, parent in enumerate(above):
        mine = below[parent]
        if mine:
            mine.append(place)
        else:
            below[parent] = [place]
    return below


def _sizes(above: Sequence[int]) -> list[int]:
    """Spans of each subtree, by place; those of the top are all."""
    n = len(above)
    sizes = [1] * n
    sizes.append(0)
    for place in range(n - 1, -1, -1):
        sizes[above[place]] += sizes[place]
    return sizes


def _numbers(below: Sequence[Sequence[int]], sizes: Sequence[int]) -> list[int]:
    """The number of every place in pre-order: a subtree is its root, then the ranges of its children."""
    n = len(sizes) - 1
    number = [n] * (n + 1)
    free = 0
    for root in below[n]:
        number[root] = free
        free += sizes[root]
    for place in range(n):
        free = number[place] + 1
        for child in below[place]:
            number[child] = free
            free += sizes[child]
    return number


def _starts(ages: list[Any]) -> list[Any]:
    """What sorts spans by age, equal ages by number; the top is last."""
    n_ages = len(set(ages))
    if n_ages == len(ages):
        return [*ages, 0]
    if n_ages == 1:
        return list(range(len(ages) + 1))
    ranks = [0] * (len(ages) + 1)
    for rank, number in enumerate(sorted(range(len(ages)), key=ages.__getitem__)):
        ranks[number] = rank
    return ranks


def _digest(side: Side, spots: range) -> str:
    """SHA-256 of the canonical JSON of whole subtrees, written piece by piece."""
    digest = hashlib.sha256()
    pieces: list[str] = [f'{{"format":"{FORMAT}","traces":[']
    parent, own, parts = side.parent, side.own, side.interner.parts
    above: list[int] = []  # Spans whose children are being written, and what they will be closed with.
    closing: list[str] = []
    for spot in spots:
        if above and parent[spot] != above[-1]:
            while above and parent[spot] != above[-1]:
                above.pop()
                pieces.append(closing.pop())
            pieces.append(",")
            if len(pieces) > _PIECES:
                digest.update("".join(pieces).encode())
                pieces.clear()
        said = parts[own[spot]]
        pieces.append(said.before)
        above.append(spot)
        closing.append(said.after)
    pieces.extend(reversed(closing))
    pieces.append("]}")
    digest.update("".join(pieces).encode())
    return f"sha256:{digest.hexdigest()}"


_PIECES: Final = 10_000
"""Of text written before they are summed up."""
