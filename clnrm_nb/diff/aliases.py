"""New words for old things: a service, a scope or an attribute key renamed everywhere at once.

Without this a renamed service breaks every label. A word that only the baseline knows and one that only the
run knows are one thing if they are used in the same places.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from clnrm_nb.diff.content import Contents
    from clnrm_nb.diff.side import Side

__all__ = ["Aliases", "find_aliases"]

_MIN_KEY_SPANS = 2
"""One span that loses a key and gains another one of equal value is no convention."""


@dataclass(frozen=True, slots=True)
class Aliases:
    """New word to old word."""

    services: Mapping[str, str] = field(default_factory=dict)
    scopes: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    resources: bool = False
    """Resources differ; they are compared once each, so spans are matched by their service alone."""

    def __bool__(self) -> bool:
        """Whether there is anything to translate."""
        return bool(self.services or self.scopes or self.keys or self.resources)


def find_aliases(baseline: Side, current: Side, contents: Contents) -> Aliases:
    """The words renamed between two sides."""
    return Aliases(
        services=_renamed(baseline, current, _service),
        scopes=_renamed(baseline, current, _scope),
        keys=_keys(baseline, current, contents),
        resources=_resources(baseline) != _resources(current),
    )


def _resources(side: Side) -> set[str]:
    return {side.interner.parts[own].resource for own in set(side.own[:-1])}


def _service(side: Side, own: int) -> str:
    return side.interner.service(side.interner.parts[own].resource)


def _scope(side: Side, own: int) -> str:
    return side.interner.text(side.interner.parts[own].scope)


def _renamed(baseline: Side, current: Side, word_of: Callable[[Side, int], str]) -> dict[str, str]:
    """Words of one side only that stand at the same spans by more than half, the most alike first."""
    words_a = {own: word_of(baseline, own) for own in set(baseline.own[:-1])}
    words_b = {own: word_of(current, own) for own in set(current.own[:-1])}
    old, new = set(words_a.values()), set(words_b.values())
    if not old - new or not new - old:
        return {}
    uses_a, uses_b = _uses(baseline, words_a), _uses(current, words_b)
    pairs = []
    for one in sorted(old - new):
        for other in sorted(new - old):
            common = (uses_a[one] & uses_b[other]).total()
            if 2 * common > (uses_a[one] | uses_b[other]).total():
                pairs.append((-common, one, other))
    found: dict[str, str] = {}
    for _, one, other in sorted(pairs):
        if other not in found and one not in found.values():
            found[other] = one
    return found


def _uses(side: Side, words: Mapping[int, str]) -> dict[str, Counter[tuple[str, str]]]:
    """For each word the spans it stands at, by kind and name."""
    uses: dict[str, Counter[tuple[str, str]]] = {}
    for own, count in Counter(side.own[:-1]).items():
        parts = side.interner.parts[own]
        uses.setdefault(words[own], Counter())[(parts.kind, parts.name)] += count
    return uses


def _keys(baseline: Side, current: Side, contents: Contents) -> dict[str, str]:
    texts_a, texts_b = _attribute_texts(baseline), _attribute_texts(current)
    # A text that both sides have says nothing new; most are such.
    gone = _keys_in(texts_a - texts_b) - _keys_in(texts_b - texts_a)
    came = _keys_in(texts_b - texts_a) - _keys_in(texts_a - texts_b)
    if not gone or not came:
        return {}
    common = _keys_in(texts_a & texts_b)
    gone, came = gone - common, came - common
    by_values = {
        frozenset(_values(current, contents, key).items()): key for key in sorted(came, reverse=True)
    }
    found: dict[str, str] = {}
    for key in sorted(gone):
        values = _values(baseline, contents, key)
        other = by_values.get(frozenset(values.items()))
        if other is not None and other not in found and values.total() >= _MIN_KEY_SPANS:
            found[other] = key
    return found


def _attribute_texts(side: Side) -> set[str]:
    return {side.interner.parts[own].attributes for own in set(side.own[:-1])}


def _keys_in(texts: Iterable[str]) -> set[str]:
    return {key for text in texts for key in json.loads(text)}


def _values(side: Side, contents: Contents, key: str) -> Counter[tuple[str, str]]:
    """Where a key stands, and with which value."""
    found: Counter[tuple[str, str]] = Counter()
    for own in side.own[:-1]:
        content = contents.of(own)
        if key in content.attributes:
            found[(content.name, content.attributes[key])] += 1
    return found
