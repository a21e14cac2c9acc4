"""What values that differ have in common, as the words of tolerance rules, narrowest first.

Nothing here knows spans or edits: values go in, rule words come out. What only looks random in two values is
told from what is random by all values seen, so more of them make a better answer.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.diff.sentences import shown
from clnrm_nb.spans.content import canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["ABSENT", "Words", "counts", "values"]


class _Absent:
    def __repr__(self) -> str:
        return "absent"


ABSENT: Final = _Absent()
"""Stands among values for a key that is not there."""

_MOST_NAMED: Final = 8
"""A set of more values is no enumeration anybody would read."""
_MOST_ITEM: Final = 100
_WIDER: Final = 4
"""Spreads of what was seen that a wide range adds at either end: what six even numbers miss is 1 in 3,000."""
_NEAR: Final = 0.5
"""Relative differences up to this are told as a tolerance."""
_LEAST_SHARE: Final = 0.1
"""Of a number with a fraction: what it may differ by where no difference was seen."""
_SHORT_NUMBER: Final = 3
_LEAST_RANDOM: Final = 6
"""Letters and digits without an order in them: shorter ones may be words."""
_INT_64: Final = 2**63

_MEANT: Final = re.compile(r"[\\^$.|?*+()\[\]{}]")
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_TOKEN: Final = re.compile(rf"{_UUID.pattern}|[0-9A-Za-z]+")
_PIECE: Final = re.compile(r"[0-9]+|[A-Za-z]+")
_CLASSES: Final = ("[0-9]", "[0-9a-f]", "[0-9A-F]", "[0-9a-z]", "[0-9A-Z]", "[0-9A-Za-z]")


@dataclass(frozen=True, slots=True)
class Words:
    """A rule word with its value, and what it says: ``rows {says}``.

    ``way`` names how the value was found, the same for the same way with other values.
    """

    way: str
    word: str
    value: Any
    says: str
    present: bool = False


_ANYTHING: Final = Words("any", "ignore", True, "may have any value, but must be there", present=True)
_OPTIONAL: Final = Words("absent", "ignore", True, "may have any value, or be absent")


def values(seen: Sequence[Any]) -> list[Words]:
    """What could be said of the values of one key.

    Parameters
    ----------
    seen : sequence of any
        JSON values, the baseline's first; :data:`ABSENT` where the key was not there.

    Returns
    -------
    list of Words
        Each allows all of them; the last one anything at all.
    """
    if any(value is ABSENT for value in seen):
        return [_OPTIONAL]
    if all(_is_number(value) for value in seen):
        return [*_of_numbers(seen), _ANYTHING]
    if all(isinstance(value, str) for value in seen):
        return [*_of_texts(seen), _ANYTHING]
    return [*_one_of(seen), _ANYTHING]


def counts(seen: Sequence[int]) -> list[Words]:
    """What could be said of a number of siblings: those seen, one more at either end, any."""
    low, high = min(seen), max(seen)
    ways = {"seen": (low, high), "wider": (max(low - 1, min(low, 1)), high + 1)}
    found = [
        Words(way, "count", f"{least}..{most}", f"may be there {_times(least, most)}")
        for way, (least, most) in ways.items()
    ]
    return [*found, Words("any", "count", "0..", "may be there any number of times")]


def _times(least: int, most: int) -> str:
    return f"{least} to {most} times" if least != most else f"{least} times"


# --------------------------------------------------------------------------------------------- numbers


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and abs(value) < _INT_64


def _of_numbers(seen: Sequence[Any]) -> Iterator[Words]:
    low, high = min(seen), max(seen)
    yield Words("seen", "range", [low, high], f"may be from {shown(low)} to {shown(high)}")
    base = seen[0]
    far = max(abs(value - base) for value in seen)
    if base and far / abs(base) <= _NEAR:
        # Half as much again as was seen, in steps a person would choose.
        share = next(step for step in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0) if step >= 1.5 * far / abs(base))
        yield Words("near", "tolerance", {"rel": share}, f"may differ by {share:.0%} from the baseline")
    least_spread = 1 if all(isinstance(value, int) for value in seen) else _LEAST_SHARE * abs(high)
    spread = _WIDER * max(high - low, least_spread)
    least = _outward(low - spread, up=False)
    most = _outward(high + spread, up=True)
    if low >= 0:
        least = max(0, least)
    if all(isinstance(value, int) for value in seen):
        least, most = int(least), int(most)
    if abs(least) < _INT_64 and abs(most) < _INT_64:
        yield Words("wider", "range", [least, most], f"may be from {shown(least)} to {shown(most)}")


def _outward(number: float, *, up: bool) -> float:
    """Two significant digits, away from what lies within."""
    return float(Context(prec=2, rounding=ROUND_CEILING if up else ROUND_FLOOR).create_decimal(repr(number)))


# ----------------------------------------------------------------------------------------------- texts


def _of_texts(seen: Sequence[str]) -> Iterator[Words]:
    found = _template(seen)
    if found is None:
        yield from _one_of(seen)
        return
    pattern, is_short = found
    if is_short:
        yield from _one_of(seen)
    yield Words("template", "template", pattern, f"may differ where it matches {shown(pattern)}")


def _one_of(seen: Sequence[Any]) -> Iterator[Words]:
    if any(isinstance(value, bool) for value in seen):
        # Of the two there are, both.
        seen = [*seen, False, True]
    known = {canonical_json(value): value for value in seen}
    is_writable = all(_is_writable(value) for value in known.values())
    if len(known) <= _MOST_NAMED and is_writable and all(len(text) <= _MOST_ITEM for text in known):
        ordered = [known[text] for text in sorted(known)]
        yield Words("one_of", "one_of", ordered, f"may be {_listed([shown(value) for value in ordered])}")


def _is_writable(value: Any) -> bool:
    """Whether TOML can say it."""
    if isinstance(value, bool | str):
        return True
    if isinstance(value, list):
        return all(map(_is_writable, value))
    return _is_number(value)


def _listed(words: Sequence[str]) -> str:
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _template(seen: Sequence[str]) -> tuple[str, bool] | None:
    """A pattern of whole values whose parts that vary are digits or look random; and whether these are short.

    ``None`` where the values are not built alike, or what varies are words.
    """
    tokens = [_TOKEN.findall(value) for value in seen]
    between = [_TOKEN.split(value) for value in seen]
    if any(parts != between[0] for parts in between):
        return None
    made, is_short, varies = [_literal(between[0][0])], True, False
    for place, column in enumerate(zip(*tokens, strict=True)):
        if len(set(column)) == 1:
            made.append(_literal(column[0]))
        else:
            pattern = _pieces(column) or _random(column)
            if pattern is None:
                return None
            varies = True
            is_short = is_short and max(map(len, column)) <= _SHORT_NUMBER
            made.append(pattern)
        made.append(_literal(between[0][place + 1]))
    return (f"^{''.join(made)}$", is_short) if varies else None


def _literal(text: str) -> str:
    """A text as a pattern that people can read: only what has a meaning is escaped."""
    return _MEANT.sub(r"\\\g<0>", text)


def _pieces(column: Sequence[str]) -> str | None:
    """A token with the same letters everywhere and numbers between them: ``07T12``, ``v3``."""
    pieces = [_PIECE.findall(token) for token in column]
    shapes = {tuple("" if piece.isdigit() else piece for piece in parts) for parts in pieces}
    if len(shapes) > 1:
        return None
    (shape,) = shapes
    if len(shape) > 1 and len(shape) > _LEAST_RANDOM:
        return None
    numbers = [[parts[place] for parts in pieces] for place in range(len(shape))]
    return "".join(
        letters or ("[0-9]+" if len(set(found)) > 1 else found[0])
        for letters, found in zip(shape, numbers, strict=True)
    )


def _random(column: Sequence[str]) -> str | None:
    """A token of letters and digits without an order in them, by the smallest set it comes from."""
    lengths = {len(token) for token in column}
    if min(lengths) < _LEAST_RANDOM:
        return None
    if all(map(_UUID.fullmatch, column)):
        return "[0-9A-Fa-f-]{36}"
    if any("-" in token for token in column):
        return None
    kind = next(kind for kind in _CLASSES if all(re.fullmatch(f"{kind}+", token) for token in column))
    is_mixed = sum(_turns(token) for token in column) >= len(column)
    if not is_mixed and kind not in ("[0-9a-f]", "[0-9A-F]"):
        return None
    return f"{kind}{{{lengths.pop()}}}" if len(lengths) == 1 else f"{kind}+"


def _turns(token: str) -> int:
    """How often digits and letters take turns: words do so never."""
    return sum(one.isdigit() != other.isdigit() for one, other in pairwise(token))
