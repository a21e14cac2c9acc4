"""Points in time of formats that do not say their unit: by its name, by its size, or as ISO text."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

from clnrm_nb.spans.loaders.ids import nanoseconds_of

__all__ = ["instant", "iso_time", "unit_of"]

_LAST_WORD: Final = re.compile(r"[A-Z]?[a-z]+\Z|[A-Z]+\Z")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS: Final = (
    (("ns", "nano", "nanos", "nanoseconds"), 1),
    (("us", "micro", "micros", "microseconds"), 1_000),
    (("ms", "milli", "millis", "milliseconds"), 1_000_000),
    (("s", "sec", "seconds"), 1_000_000_000),
)
_FIRST: Final = 10**9
"""Seconds of the year 2001; no trace is older. What is smaller is no epoch time, and stays as it is."""

_BY_DIGITS: Final = ((1_000_000_000, 10**12), (1_000_000, 10**15), (1_000, 10**18))
"""Nanoseconds of a unit, and where the numbers of the next finer one begin."""


def iso_time(value: Any) -> int | None:
    """Epoch nanoseconds of an ISO text, in whole microseconds, never through a float."""
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
        since = (at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH
    except (ValueError, OverflowError):
        return None
    nanoseconds = ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000
    return nanoseconds if nanoseconds >= 0 else None


def unit_of(name: str) -> int | None:
    """Nanoseconds of the unit that ends a column's name (``DurationMs``, ``start_ns``), if there is one."""
    word = _LAST_WORD.search(name)
    return next((size for units, size in _UNITS if word and word[0].lower() in units), None)


def instant(value: Any, unit_ns: int | None = None) -> int | None:
    """Epoch nanoseconds of a number or text.

    Parameters
    ----------
    value : int, float or str
    unit_ns : int, optional
        Nanoseconds of its unit; without one the number of digits tells seconds, milliseconds, microseconds
        and nanoseconds apart, for times since 2001.
    """
    number = nanoseconds_of(value, unit_ns or 1)
    if number is None:
        return iso_time(value)
    if unit_ns is not None or number < _FIRST:
        return number
    return nanoseconds_of(value, next((size for size, end in _BY_DIGITS if number < end), 1))
