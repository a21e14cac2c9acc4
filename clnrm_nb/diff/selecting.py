"""Which spans and keys a tolerance rule is about: selectors, compiled once, answered from memory.

A span that is paired has two labels, the accepted one and the run's; a selector that matches either of them
as a whole matches the span, so that a rule holds before and after a change of name is accepted. An edit is
about all its spans: a rule that leaves one of them out does not touch it.
"""

from __future__ import annotations

import json
import re
from fnmatch import translate
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from clnrm_nb.diff.rules import Rule
    from clnrm_nb.diff.side import Side

__all__ = ["Labels", "Selector", "Spot", "matcher"]

Spot = tuple[int | None, int | None]
"""One span by its number in the baseline and in the current side; ``None`` where it is not."""

_OF_LABEL: Final = ("service", "scope", "kind", "span")
_SPECIAL: Final = re.compile(r"[*?\[]")


@lru_cache(maxsize=4096)
def matcher(glob: str) -> Callable[[str], bool]:
    """Whether a text as a whole matches a glob (``format.md`` 1.9)."""
    if not _SPECIAL.search(glob):
        return glob.__eq__
    match = re.compile(translate(glob)).match
    return lambda text: match(text) is not None


class Labels:
    """What selectors look at: service, scope, kind and name of spans, and their paths, each found once."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self._labels: dict[int, tuple[str, ...]] = {}
        self._paths: dict[int, str] = {}

    def of(self, number: int) -> tuple[str, ...]:
        """In the order of ``service``, ``scope``, ``kind``, ``span``; of the top, nothing."""
        own = self._side.own[number]
        found = self._labels.get(own)
        if found is None:
            found = ()
            if own >= 0:
                parts = self._side.parts(number)
                texts = (str(json.loads(text)) for text in (parts.scope, parts.kind, parts.name))
                found = (self._side.service(number), *texts)
            self._labels[own] = found
        return found

    def path(self, number: int) -> str:
        """Names from the root down."""
        found = self._paths.get(number)
        if found is None:
            found = self._paths[number] = self._side.path(number)
        return found


class Selector:
    """The selectors of one rule against the spans of two sides.

    Parameters
    ----------
    rule : Rule
    sides : (Labels, Labels)
        Baseline and current side.
    """

    def __init__(self, rule: Rule, sides: tuple[Labels, Labels]) -> None:
        select = rule.select
        self.rule = rule
        self._sides = sides
        self._of_label = [
            (place, matcher(select[name])) for place, name in enumerate(_OF_LABEL) if name in select
        ]
        self._path = matcher(select["path"]) if "path" in select else None
        self._key = matcher(select["key"]) if "key" in select else None
        self._labels: dict[tuple[str, ...], bool] = {}

    def has_all(self, spots: Sequence[Spot]) -> bool:
        """Whether it is about every one of these spans."""
        if not self._of_label and self._path is None:
            return True
        return all(map(self.has, spots))

    def has(self, spot: Spot) -> bool:
        """Whether it is about a span, as it was accepted or as it is now."""
        (baseline, current), (old, new) = self._sides, spot
        # The run's side first: of two that differ it is the one that rules are written for.
        return (new is not None and self._matches(current, new)) or (
            old is not None and self._matches(baseline, old)
        )

    def _matches(self, labels: Labels, number: int) -> bool:
        label = labels.of(number)
        found = self._labels.get(label)
        if found is None:
            found = bool(label) and all(matches(label[place]) for place, matches in self._of_label)
            self._labels[label] = found
        return found and (self._path is None or self._path(labels.path(number)))

    def has_key(self, names: Sequence[str]) -> bool:
        """Whether it names one of these keys; without a ``key`` it names all."""
        return self._key is None or any(map(self._key, names))
