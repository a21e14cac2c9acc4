"""New words for old things: a service, a scope or an attribute key renamed everywhere at once.

Without this a renamed service breaks every label. A word that only the baseline knows and one that only the
run knows are one thing if they are used in the same places.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from clnrm_nb.diff.content import Contents
    from clnrm_nb.diff.interner import Parts
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
    resources: frozenset[str] = frozenset()
    """Those of one side only; resources are compared once each, so spans are matched by the service alone."""
    contents: frozenset[int] = frozenset()
    """Those of one side only: what both sides say alike is in no other words."""

    def __bool__(self) -> bool:
        """Whether there is anything to translate."""
        return bool(self.services or self.scopes or self.keys or self.resources)


def find_aliases(baseline: Side, current: Side, contents: Contents) -> Aliases:
    """The words renamed between two sides."""
    owns, owns_b = set(baseline.own[:-1]), set(current.own[:-1])
    old, new = _Owns(baseline, owns, owns - owns_b), _Owns(current, owns_b, owns_b - owns)
    interner = baseline.interner
    resources = _Words("resource", str)
    return Aliases(
        services=_renamed(old, new, _Words("resource", interner.service)),
        scopes=_renamed(old, new, _Words("scope", interner.text)),
        keys=_keys(baseline, current, contents),
        resources=frozenset(_new_words(old, new, resources) | _new_words(new, old, resources)),
        contents=frozenset(owns ^ owns_b),
    )


class _Owns(NamedTuple):
    """A side, the contents on it, and those that the other side has not: only they can have other words."""

    side: Side
    every: set[int]
    only: set[int]


class _Words(NamedTuple):
    """One part of contents and the word that its text stands for."""

    part: Literal["resource", "scope"]
    of: Callable[[str], str]

    def said(self, side: Side, owns: Iterable[int]) -> set[str]:
        """The words that some contents use; each text is read once."""
        parts = side.interner.parts
        return set(map(self.of, {getattr(parts[own], self.part) for own in owns}))


def _new_words(here: _Owns, there: _Owns, words: _Words) -> set[str]:
    """Words of one side that the other one does not use."""
    new = words.said(here.side, here.only)
    return new - words.said(there.side, there.every) if new else new


def _renamed(here: _Owns, there: _Owns, words: _Words) -> dict[str, str]:
    """Words of one side only that mostly stand at the same spans, those with most in common first."""
    old, new = _new_words(here, there, words), _new_words(there, here, words)
    if not old or not new:
        return {}
    uses_a, uses_b = _uses(here, words, _span), _uses(there, words, _span)
    alike: dict[tuple[str, str], int] = {}
    for one in sorted(old):
        for other in sorted(new):
            common = (uses_a[one] & uses_b[other]).total()
            # By half of the fewer uses: many spans may have come or gone beside the new word.
            if common and 2 * common >= min(uses_a[one].total(), uses_b[other].total()):
                alike[one, other] = common
    if len(alike) > 1:
        # Two services may have spans of the same names; what these say tells them apart.
        says_a, says_b = _uses(here, words, _says), _uses(there, words, _says)
        told = {(one, other): (says_a[one] & says_b[other]).total() for one, other in alike}
    else:
        told = alike
    found: dict[str, str] = {}
    for one, other in sorted(alike, key=lambda pair: (-told[pair], -alike[pair], pair)):
        if other not in found and one not in found.values():
            found[other] = one
    return found


def _uses(
    owns: _Owns, words: _Words, said: Callable[[Parts], tuple[str, ...]]
) -> dict[str, Counter[tuple[str, ...]]]:
    """For each word of contents that only this side has the spans it stands at, by what is said there."""
    uses: dict[str, Counter[tuple[str, ...]]] = {}
    for own, count in Counter([own for own in owns.side.own if own in owns.only]).items():
        parts = owns.side.interner.parts[own]
        uses.setdefault(words.of(getattr(parts, words.part)), Counter())[said(parts)] += count
    return uses


def _span(parts: Parts) -> tuple[str, ...]:
    return parts.kind, parts.name


def _says(parts: Parts) -> tuple[str, ...]:
    return parts.kind, parts.name, parts.attributes, parts.events, parts.status


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
