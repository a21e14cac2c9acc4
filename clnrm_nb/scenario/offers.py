"""The repairs that several readers of values offer: another word, another type of the same value."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from clnrm_nb.config.duration import parse_duration
from clnrm_nb.config.nearest import is_clear, nearest
from clnrm_nb.scenario.repairs import Rename, Repair, Reword, Rewrite, basic_string
from clnrm_nb.scenario.spelling import (
    MisspelledError,
    parse_artifact,
    parse_cpu_millicores,
    parse_image,
    parse_instant,
    parse_memory_mb,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from clnrm_nb.scenario.model import KeyPath
    from clnrm_nb.scenario.repairs import Change

__all__ = [
    "as_array",
    "as_boolean",
    "as_integer",
    "as_limits",
    "as_number",
    "as_text",
    "better_artifact",
    "better_duration",
    "better_image",
    "better_instant",
    "better_spelling",
    "meant_key",
    "meant_word",
]

_WHOLE = re.compile(r"[+-]?(?:0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"[+-]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_UNITS = (
    "ms", "s", "sec", "secs", "second", "seconds", "m", "min", "mins", "minute", "minutes", "h", "hr", "hrs",
    "hour", "hours", "d", "day", "days",
)  # fmt: skip


def meant_key(path: KeyPath, word: str, known: Collection[str]) -> Repair | None:
    """The nearest known name for a key; safe where it is clear."""
    guess = nearest(word, known)
    if guess is None:
        return None
    return Repair(f"Rename to `{guess}`", (Rename(path, guess),), safe=is_clear(word, guess, known))


def meant_word(path: KeyPath, word: str, known: Collection[str]) -> Repair | None:
    """The nearest known word for a string; safe where it is clear."""
    guess = nearest(word, known)
    if guess is None:
        return None
    return Repair(f"Write `{guess}`", (Reword(path, guess),), safe=is_clear(word, guess, known))


def as_text(path: KeyPath, value: object) -> Repair | None:
    """A number or boolean in quotes, as it is written."""
    if not isinstance(value, bool | int | float):
        return None
    return Repair("Write it in quotes", (Rewrite(path, ('"', path, '"')),))


def as_integer(path: KeyPath, value: object) -> Repair | None:
    """A whole number without its quotes or its ``.0``."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return Repair(f"Write `{int(value)}`", (Rewrite(path, (str(int(value)),)),))
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return Repair("Take off the quotes", (Rewrite(path, (value.strip(),)),))
    return None


def as_number(path: KeyPath, value: object) -> Repair | None:
    """A number without its quotes."""
    if isinstance(value, str) and _DECIMAL.fullmatch(value.strip()):
        return Repair("Take off the quotes", (Rewrite(path, (value.strip(),)),))
    return None


def as_boolean(path: KeyPath, value: object) -> Repair | None:
    """``"true"``, ``"yes"``, 1 and their opposites as booleans."""
    words = {"true": "true", "yes": "true", "on": "true", "1": "true"}
    words |= {"false": "false", "no": "false", "off": "false", "0": "false"}
    is_plain = isinstance(value, str | int) and not isinstance(value, bool)
    word = words.get(str(value).strip().lower()) if is_plain else None
    return Repair(f"Write `{word}`", (Rewrite(path, (word,)),)) if word else None


def as_limits(path: KeyPath, value: Any) -> Repair | None:
    """``resources`` as the ``limits`` it stands for."""
    if not isinstance(value, dict):
        return None
    changes: list[Change] = [Rename(path, "limits")]
    for key, current, parse in (
        ("memory_limit", "memory_mb", parse_memory_mb),
        ("cpu_limit", "cpu_millicores", parse_cpu_millicores),
    ):
        if key not in value:
            continue
        try:
            amount = parse(value[key])
        except (MisspelledError, TypeError):
            return None
        changes += [Rename((*path, key), current), Rewrite((*path, key), (str(amount),))]
    return Repair("Write `limits`", tuple(changes))


def as_array(path: KeyPath, value: object) -> Repair | None:
    """One value as an array that holds it."""
    if not isinstance(value, str | int | float):
        return None
    return Repair("Write an array", (Rewrite(path, ("[", path, "]")),))


def better_duration(path: KeyPath, value: Any) -> Repair | None:
    """A duration whose unit is misspelt, or in capitals."""
    if not isinstance(value, str):
        return None

    def unit(match: re.Match[str]) -> str:
        word = match[0].lower()
        return word if word in _UNITS else nearest(word, _UNITS) or match[0]

    better = re.sub(r"[A-Za-z]+", unit, value.strip())
    if _DECIMAL.fullmatch(better):
        better = f"{better}s"
    try:
        parse_duration(better)
    except ValueError:
        return None
    return Repair(f'Write `"{better}"`', (Reword(path, better),))


def better_spelling(path: KeyPath, written: str, better: str, *, safe: bool = True) -> Repair | None:
    """Another content for a string, where it differs."""
    if written == better:
        return None
    return Repair(f"Write {basic_string(better)}", (Reword(path, better),), safe)


def better_image(path: KeyPath, value: str) -> Repair | None:
    """An image reference in capitals, or with white space around it."""
    better = "".join(value.split())
    name, separator, tag = better.rpartition(":")
    candidates = (better, better.lower(), f"{name.lower()}{separator}{tag}".lstrip(":"))
    return _first_read(path, value, candidates, parse_image)


def better_artifact(path: KeyPath, value: str) -> Repair | None:
    """An artifact whose kind or stream is misspelt."""
    kind, separator, rest = value.partition(":")
    kind = nearest(kind, ("spans", "logs", "files")) or kind
    if kind == "logs":
        rest = nearest(rest, ("stdout", "stderr", "all")) or rest
    return _first_read(path, value, (f"{kind}{separator}{rest}",), parse_artifact)


def better_instant(path: KeyPath, value: Any) -> Repair | None:
    """A time without its offset, read as UTC: not safe, it may have been local."""
    if not isinstance(value, str):
        return None
    repair = _first_read(path, value, (f"{value}Z", f"{value}T00:00:00Z"), parse_instant)
    return replace(repair, safe=False) if repair else None


def _first_read(
    path: KeyPath, value: str, candidates: tuple[str, ...], parse: Callable[[str], object]
) -> Repair | None:
    for better in candidates:
        try:
            parse(better)
        except MisspelledError:
            continue
        return better_spelling(path, value, better)
    return None
