"""Where spans stand: the labels from the root down, as numbers. Links name their targets by them.

A number is enough to see what moved and what stayed. The text, a name and a hash over all labels above it,
is only written for spans that a link names.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Final, NamedTuple

from clnrm_nb.spans.content import canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["TOP", "Label", "Positions"]

TOP: Final = -1
"""The position above all roots."""

_HASH_DIGITS: Final = 12


class Label(NamedTuple):
    """What a span is called: its service, and the canonical texts of scope, kind and name."""

    service: str
    scope: str
    kind: str
    name: str


class Positions:
    """Numbers of positions: equal labels all the way up, equal number."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[int, Label], int] = {}
        self._places: list[tuple[int, Label]] = []
        self._chains: dict[int, bytes] = {TOP: b""}
        self._labels: dict[Label, bytes] = {}
        self._numbers_by_text: dict[str, int] = {}
        self.texts: dict[int, str] = {}
        """The positions written so far: those that links name."""

    def copy(self) -> Positions:
        """The same numbers, to go on from."""
        twin = Positions()
        twin._numbers, twin._places, twin._chains = self._numbers.copy(), self._places[:], self._chains.copy()
        twin._numbers_by_text, twin.texts = self._numbers_by_text.copy(), self.texts.copy()
        return twin

    def below(self, above: int, label: Label) -> int:
        """The position of a span right below another one's."""
        place = (above, label)
        number = self._numbers.get(place)
        if number is None:
            number = self._numbers[place] = len(self._places)
            self._places.append(place)
        return number

    def of(self, parents: Sequence[int], labels: Sequence[Label], order: Iterable[int]) -> list[int]:
        """The positions of spans.

        Parameters
        ----------
        parents : sequence of int
            Of roots the number of spans.
        labels : sequence of Label
        order : iterable of int
            All spans, parents first.
        """
        known, found = self._numbers, [TOP] * (len(labels) + 1)
        for spot in order:
            above, label = found[parents[spot]], labels[spot]
            number = known.get((above, label))
            found[spot] = self.below(above, label) if number is None else number
        return found[:-1]

    def place(self, number: int) -> tuple[int, Label]:
        """The position above, and the label."""
        return self._places[number]

    def named(self, text: str) -> int | None:
        """The position that was written as `text`; ``None`` if none was, such as what is outside a trace."""
        return self._numbers_by_text.get(text)

    def text(self, number: int) -> str:
        """A position as links write it: the name, and a hash of the labels from the root down to it."""
        text = self.texts.get(number)
        if text is None:
            name = json.loads(self._places[number][1].name)
            text = self.texts[number] = f"{name}#{self._chain(number).hex()[:_HASH_DIGITS]}"
            self._numbers_by_text[text] = number
        return text

    def _chain(self, number: int) -> bytes:
        way: list[int] = []
        while number not in self._chains:
            way.append(number)
            number = self._places[number][0]
        chain = self._chains[number]
        for step in reversed(way):
            written = self._written(self._places[step][1])
            chain = self._chains[step] = hashlib.sha256(chain + written).digest()
        return chain

    def _written(self, label: Label) -> bytes:
        found = self._labels.get(label)
        if found is None:
            service, scope, kind, name = label
            found = self._labels[label] = f"[{canonical_json(service)},{scope},{kind},{name}]".encode()
        return found
