"""Span names that vary from run to run, as globs that do not: ids, numbers and dates in them become ``*``."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["is_telling", "pattern_of", "slug", "varies"]

_VARYING: Final = re.compile(
    r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"  # UUID
    r"|\d{4}-\d\d-\d\d(?:[T ][\d:.+Z-]+)?"  # date, date and time
    r"|(?<![0-9A-Za-z])\d{1,3}(?:\.\d{1,3}){3}(?![0-9A-Za-z])"  # IPv4 address
    r"|(?<![0-9A-Za-z])(?=[0-9a-fA-F]*\d)[0-9a-fA-F]{8,}(?![0-9A-Za-z])"  # digest, trace id
    r"|(?<=/)\d+(?![0-9A-Za-z.])"  # segment of a path
    r"|(?<![0-9A-Za-z.])\d{2,}(?![0-9A-Za-z.])"  # number; one digit is more often a step than an id
)
_FEWEST_LETTERS: Final = 3
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]+")
_LONGEST: Final = 60


def varies(text: str) -> bool:
    """Whether a text holds something that will be another one the next time."""
    return _VARYING.search(text) is not None


def pattern_of(name: str) -> str:
    """A glob that matches `name` and what it would be with other ids in it.

    Examples
    --------
    >>> pattern_of("GET /orders/4711/lines"), pattern_of("step 2")
    ('GET /orders/*/lines', 'step 2')
    """
    # An opening bracket would open a class, and there is no escape.
    return _VARYING.sub("*", name).replace("[", "?")


def is_telling(pattern: str) -> bool:
    """Whether enough is left of a name to expect something of it."""
    return sum(sign.isalpha() for sign in pattern) >= _FEWEST_LETTERS


def slug(text: str) -> str:
    """`text` as the name of a scenario: letters, digits, ``-`` and ``_``."""
    return _UNSAFE.sub("-", text).strip("-")[:_LONGEST].strip("-") or "scenario"
