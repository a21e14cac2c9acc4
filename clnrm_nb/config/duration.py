"""Durations as people write them: ``90``, ``"1m30s"``, ``"500ms"``, ``"2 min"`` (``format.md`` 1.9)."""

from __future__ import annotations

import math
import re
from typing import Final

__all__ = ["DURATION_PATTERN", "parse_duration"]

_UNIT_S = {
    "ms": 0.001,
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3_600.0),
    **dict.fromkeys(("d", "day", "days"), 86_400.0),
}
_PART = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]+)\s*")

DURATION_PATTERN: Final = rf"^\s*([0-9]+(\.[0-9]+)?\s*({'|'.join(_UNIT_S)})\s*)+$"
"""What text is a duration, for tools that know only patterns."""


def parse_duration(value: str | float) -> float:
    """Seconds of a duration.

    Parameters
    ----------
    value : str or number
        A number is seconds; text is one or more numbers, each with its unit.

    Returns
    -------
    float
        Seconds, finite and not negative.

    Raises
    ------
    ValueError
        If `value` is no duration. The message says what one looks like.

    Examples
    --------
    >>> parse_duration("1m30s"), parse_duration(2), parse_duration("500 ms")
    (90.0, 2.0, 0.5)
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _bad(value)
    seconds = _of_text(value) if isinstance(value, str) else float(value)
    if not math.isfinite(seconds) or seconds < 0:
        raise _bad(value)
    return seconds


def _of_text(text: str) -> float:
    total, position = 0.0, 0
    while position < len(text):
        part = _PART.match(text, position)
        if part is None or part[2] not in _UNIT_S:
            raise _bad(text)
        total += float(part[1]) * _UNIT_S[part[2]]
        position = part.end()
    if position == 0:
        raise _bad(text)
    return total


def _bad(value: object) -> ValueError:
    return ValueError(f"{value!r} is not a duration; write seconds as a number, or text such as '1m30s'")
