"""RFC 3339 in and out, and the ``date`` filter."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, Final
from zoneinfo import ZoneInfo

from clnrm_nb.template.faults import Fault, did_you_mean

__all__ = ["format_date", "nanoseconds", "rfc3339"]

_RFC3339: Final = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(?:\.(\d+))?([Zz]|[+-]\d{2}:\d{2})?"
)
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def nanoseconds(text: str) -> int | None:
    """Nanoseconds since 1970 of an RFC 3339 date-time; None if it is none."""
    match = _RFC3339.fullmatch(text.strip())
    if match is None:
        return None
    *parts, fraction, zone = match.groups()
    year, month, day, hour, minute, second = map(int, parts)
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=_zone(zone))
    except ValueError:
        return None
    seconds = (moment - _EPOCH) // timedelta(seconds=1)
    return seconds * 1_000_000_000 + int((fraction or "")[:9].ljust(9, "0"))


def _zone(text: str | None) -> timezone:
    if text is None or text in "Zz":
        return UTC
    sign = -1 if text[0] == "-" else 1
    return timezone(sign * timedelta(hours=int(text[1:3]), minutes=int(text[4:6])))


def rfc3339(moment: datetime) -> str:
    """``2025-01-01T00:00:00+00:00``, with a fraction only if it is not zero."""
    return moment.isoformat()


def _moment(value: Any) -> datetime:
    if isinstance(value, (int, float)):
        try:
            return _EPOCH + timedelta(seconds=value)
        except (OverflowError, ValueError):
            raise Fault("CLN105", f"`date`: {value} seconds are out of range") from None
    text = value.strip()
    if _DATE.fullmatch(text):
        try:
            day = date.fromisoformat(text)
        except ValueError:
            raise Fault("CLN105", f"`date`: `{value}` is no date") from None
        return datetime(day.year, day.month, day.day, tzinfo=UTC)
    match = _RFC3339.fullmatch(text)
    ns = nanoseconds(text)
    if match is None or ns is None:
        raise Fault("CLN105", f"`date` needs an RFC 3339 date-time, a date or seconds, got `{value}`")
    return (_EPOCH + timedelta(microseconds=ns // 1000)).astimezone(_zone(match.group(8)))


_PLAIN: Final = frozenset("YCymbBhdeaAwuUWGgVjDxFvHkIlPpMSfRTXrZzcsnt%")
_DIRECTIVE: Final = re.compile(r"%([-_0])?(?:(\.?[369]?)f|(:{0,3})z|([A-Za-z%+]))")


def format_date(value: Any, pattern: str, zone: str | None) -> str:
    """The ``date`` filter."""
    moment = _moment(value)
    if zone is not None and not (isinstance(value, str) and _DATE.fullmatch(value.strip())):
        moment = moment.astimezone(_named_zone(zone))
    return _DIRECTIVE.sub(lambda match: _directive(match, moment), pattern)


def _named_zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        from zoneinfo import available_timezones

        near = did_you_mean(name, available_timezones())
        raise Fault("CLN104", f"`date` knows no time zone `{name}`{near}") from None


def _offset(moment: datetime, colons: int) -> str:
    text = moment.strftime("%z")
    return f"{text[:3]}:{text[3:5]}" if colons else text[:5]


def _directive(match: re.Match[str], moment: datetime) -> str:
    pad, fraction, colons, letter = match.groups()
    if fraction is not None:
        return _fraction(fraction, moment)
    if colons is not None:
        return _offset(moment, len(colons))
    special: dict[str, Callable[[], str]] = {
        "+": lambda: rfc3339(moment),
        "s": lambda: str(int(moment.timestamp())),
        "F": lambda: moment.strftime("%Y-%m-%d"),
        "T": lambda: moment.strftime("%H:%M:%S"),
        "X": lambda: moment.strftime("%H:%M:%S"),
        "R": lambda: moment.strftime("%H:%M"),
        "D": lambda: moment.strftime("%m/%d/%y"),
        "x": lambda: moment.strftime("%m/%d/%y"),
        "r": lambda: moment.strftime("%I:%M:%S %p"),
        "v": lambda: f"{moment.day:>2}-{moment:%b-%Y}",
        "c": lambda: moment.strftime("%a %b %e %H:%M:%S %Y"),
        "C": lambda: f"{moment.year // 100:02}",
        "Y": lambda: f"{moment.year:04}",
        "e": lambda: f"{moment.day:>2}",
        "k": lambda: f"{moment.hour:>2}",
        "l": lambda: f"{(moment.hour % 12) or 12:>2}",
        "P": lambda: moment.strftime("%p").lower(),
        "n": lambda: "\n",
        "t": lambda: "\t",
        "%": lambda: "%",
        "Z": lambda: moment.strftime("%Z") or "UTC",
    }
    if letter in special:
        text = special[letter]()
    elif letter in _PLAIN:
        text = moment.strftime(f"%{letter}")
    else:
        raise Fault("CLN104", f"`date` knows no directive `%{letter}`")
    return _padded(text, pad)


def _fraction(spec: str, moment: datetime) -> str:
    digits = f"{moment.microsecond:06}000"
    width = int(spec[-1]) if spec[-1:].isdigit() else 0
    if spec.startswith("."):
        if width:
            return f".{digits[:width]}"
        return f".{digits.rstrip('0')}" if moment.microsecond else ""
    return digits[: width or 9]


def _padded(text: str, pad: str | None) -> str:
    if pad is None or not text.strip().isdigit():
        return text
    bare = text.strip().lstrip("0") or "0"
    return bare if pad == "-" else bare.rjust(len(text), " " if pad == "_" else "0")
