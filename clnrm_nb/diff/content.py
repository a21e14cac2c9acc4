"""What a span says, taken apart: the differences between two contents, what they cost, how alike they are.

Everything is keyed by the interner's content numbers and computed once for each pair that comes up.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.diff.model import COSTS
from clnrm_nb.spans.content import canonical_json

if TYPE_CHECKING:
    from clnrm_nb.diff.interner import Interner

__all__ = ["PER_MILLE", "Content", "Contents", "blank", "items"]

PER_MILLE: Final = 1_000

_LITERAL: Final = re.compile(
    r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
    r"|'[^']*'"
    r"|\b(?=[0-9a-fA-F]*[0-9])[0-9a-fA-F]{8,}\b"
    r"|\d+"
)
_WORD: Final = re.compile(r"[A-Za-z]+|\d+")


def blank(text: str) -> str:
    """A text with its literals (digits, hex, UUIDs, quoted strings) blanked: secondary names, causes."""
    return _LITERAL.sub("_", text)


def items(text: str) -> Counter[str]:
    """The members of a canonical list as canonical texts."""
    return Counter(canonical_json(item) for item in json.loads(text)) if text != "[]" else Counter()


@dataclass(frozen=True, slots=True)
class Content:
    """One content, parsed."""

    name: str
    kind: str
    service: str
    scope: str
    status: tuple[str, str]
    attributes: dict[str, str]
    events: Counter[str]
    links: Counter[str]


class Contents:
    """Parsed contents and what two of them have in common."""

    def __init__(self, interner: Interner) -> None:
        self._interner = interner
        self._parsed: dict[int, Content] = {}
        self._costs: dict[tuple[int, int], int] = {}
        self._edits: dict[tuple[int, int], tuple[int, int]] = {}
        self._overlaps: dict[tuple[int, int], int] = {}

    def of(self, own: int) -> Content:
        """The content with a number."""
        found = self._parsed.get(own)
        if found is None:
            parts = self._interner.parts[own]
            attributes: dict[str, Any] = json.loads(parts.attributes)
            status = json.loads(parts.status)
            found = self._parsed[own] = Content(
                name=json.loads(parts.name),
                kind=json.loads(parts.kind),
                service=self._interner.service(parts.resource),
                scope=json.loads(parts.scope),
                status=(status["code"], status["message"]),
                attributes={key: canonical_json(value) for key, value in attributes.items()},
                events=items(parts.events),
                links=items(parts.links),
            )
        return found

    def cost(self, one: int, other: int) -> int:
        """Cost of the edits that turn one content into the other, what whole traces share left out."""
        if one == other:
            return 0
        pair = (one, other) if one < other else (other, one)
        found = self._costs.get(pair)
        if found is None:
            found = self._costs[pair] = _cost(self.of(pair[0]), self.of(pair[1]))
        return found

    def edits(self, one: int, other: int) -> tuple[int, int]:
        """Cost and number of the edits that are the span's alone: links, scope and resource left out."""
        if one == other:
            return 0, 0
        pair = (one, other) if one < other else (other, one)
        found = self._edits.get(pair)
        if found is None:
            found = self._edits[pair] = _own_edits(self.of(pair[0]), self.of(pair[1]))
        return found

    def overlap(self, one: int, other: int) -> int:
        """Share of equal attributes, status, events and links, in per mille."""
        if one == other:
            return PER_MILLE
        pair = (one, other) if one < other else (other, one)
        found = self._overlaps.get(pair)
        if found is None:
            found = self._overlaps[pair] = _overlap(self.of(pair[0]), self.of(pair[1]))
        return found

    def words(self, one: int, other: int) -> int:
        """Share of equal parts of the two labels, in per mille."""
        mine, theirs = self.of(one), self.of(other)
        a, b = (Counter(_WORD.findall(content.name)) for content in (mine, theirs))
        common, total = (a & b).total(), (a | b).total()
        names = PER_MILLE * common // total if total else PER_MILLE
        same = (mine.service == theirs.service) + (mine.kind == theirs.kind) + (mine.scope == theirs.scope)
        return (names + same * PER_MILLE) // 4


def _cost(a: Content, b: Content) -> int:
    cost, _ = _own_edits(a, b)
    cost += COSTS["scope"] * (a.scope != b.scope) + COSTS["service"] * (a.service != b.service)
    return cost + COSTS["link+"] * ((a.links - b.links).total() + (b.links - a.links).total())


def _own_edits(a: Content, b: Content) -> tuple[int, int]:
    ops: list[str] = []
    if a.attributes != b.attributes:
        keys = a.attributes.keys() | b.attributes.keys()
        ops += ["attr~"] * sum(a.attributes.get(key) != b.attributes.get(key) for key in keys)
    if a.status != b.status:
        ops.append("status" if a.status[0] != b.status[0] else "message")
    if a.name != b.name:
        ops.append("rename")
    if a.kind != b.kind:
        ops.append("kind")
    if a.events != b.events:
        ops += _event_ops(a.events - b.events, b.events - a.events)
    return sum(map(COSTS.__getitem__, ops)), len(ops)


def _event_ops(gone: Counter[str], new: Counter[str]) -> list[str]:
    old_names = Counter(json.loads(text)["name"] for text in gone.elements())
    new_names = Counter(json.loads(text)["name"] for text in new.elements())
    paired = (old_names & new_names).total()
    return ["event~"] * paired + ["event+"] * (gone.total() + new.total() - 2 * paired)


def _overlap(a: Content, b: Content) -> int:
    keys = a.attributes.keys() | b.attributes.keys()
    same = sum(a.attributes.get(key) == b.attributes.get(key) for key in keys)
    total = len(keys) + (a.events | b.events).total() + (a.links | b.links).total() + 1
    same += (a.events & b.events).total() + (a.links & b.links).total() + (a.status == b.status)
    return PER_MILLE * same // total
