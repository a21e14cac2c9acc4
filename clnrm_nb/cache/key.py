"""From the parts of a test's inputs to one hash, and back to what they were.

A pure function of its parts: no clock, no file, no order of a dict or set has a say, so that every process on
every machine gives the same hash to the same parts.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.spans.content import canonical_json

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["KEY_VERSION", "Key", "hash_of", "verdict_of"]

KEY_VERSION: Final = 2
"""Counts up with every change of what the parts are or how they are written."""


@dataclass(frozen=True)
class Key:
    """The inputs of one test.

    Parameters
    ----------
    parts : mapping of str to mapping
        By kind (``scenario``, ``variables``, ``environment``, …), each by name; values as JSON has them.
    expectations : object
        What the verdict depends on besides: the same inputs judged by other expectations are no evidence.
    rules : mapping of str to mapping
        The project's tolerance rules that may hold for it, by id: they stand beside the baselines, and no
        file of the test says that they are there.

    Examples
    --------
    >>> one, other = Key({"matrix": {"a": 1, "b": 2}}), Key({"matrix": {"b": 2, "a": 1}})
    >>> one.hash == other.hash, len(one.hash)
    (True, 64)
    """

    parts: Mapping[str, Any]
    expectations: Any = None
    rules: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def hash(self) -> str:
        """64 hex digits; equal iff every part is."""
        return hash_of(self.base, self.parts.get("images", {}))

    @cached_property
    def base(self) -> str:
        """64 hex digits of everything but the images, which only an engine knows."""
        parts = {kind: part for kind, part in self.parts.items() if kind != "images"}
        return _digest({"version": KEY_VERSION, **parts})

    @cached_property
    def judged(self) -> str:
        """64 hex digits of the expectations, which are all that its file says of the verdict."""
        return _digest({"version": KEY_VERSION, "expectations": self.expectations})

    @cached_property
    def verdict(self) -> str:
        """64 hex digits of the expectations and the project's rules."""
        return verdict_of(self.judged, self.rules)

    def with_images(self, images: Mapping[str, str | None]) -> Key:
        """The same with the content addresses that are known now."""
        return replace(self, parts={**self.parts, "images": dict(images)})


def hash_of(base: str, images: Mapping[str, str | None]) -> str:
    """The hash of a key whose :attr:`Key.base` is known already."""
    # The canonical JSON of the three, spelt out: a thousand of them take a few milliseconds.
    text = f'{{"base":"{base}","images":{canonical_json(dict(images))},"version":{KEY_VERSION}}}'
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def verdict_of(judged: str, rules: Mapping[str, Any]) -> str:
    """The verdict of a key whose :attr:`Key.judged` is known already."""
    return _digest({"judged": judged, "rules": rules}) if rules else judged


def _digest(value: Any) -> str:
    return hashlib.sha256(canonical_json(value).encode("utf-8", "surrogatepass")).hexdigest()
