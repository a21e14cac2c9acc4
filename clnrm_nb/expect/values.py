"""How values are compared and shown (``format.md`` 6.1): comparison text, numbers, bounds, attribute checks.

Two attribute values are equal iff their comparison texts are, so ``200`` in a file equals ``"200"`` in a
span, and ``1`` equals ``1.0``. Everything a verdict says about a value is built here, so that the same value
looks the same in every message.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from fnmatch import translate
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.patterns import compiled
from clnrm_nb.spans.content import canonical_json

if TYPE_CHECKING:
    from clnrm_nb.scenario.model import AttributeCheck, Bound

__all__ = [
    "attribute_test",
    "bound_text",
    "comparison_text",
    "describe_attribute",
    "has_upper_limit",
    "number_of",
    "shown",
]

_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\Z", re.ASCII)

# Beyond it an int and the float of the same value have different decimal texts.
_EXACT: Final = 2**53

# Long enough for a URL, short enough that three unmet checks still fit on a screen.
_SHOWN_CHARACTERS: Final = 100

_SIGNS: Final = {"eq": "=", "ne": "≠", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


# ---------------------------------------------------------------------------------------------- texts


def comparison_text(value: Any) -> str:
    """The text by which a value is compared.

    ``true``/``false``; decimal ints; shortest floats, integral ones as ints; strings as they are; arrays and
    tables as canonical JSON.
    """
    if isinstance(value, str):
        return value
    if type(value) is int and -_EXACT < value < _EXACT:
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return canonical_json(value)


def shown(value: Any) -> str:
    """A value in a message: strings in quotes, everything cut at a readable length."""
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else comparison_text(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"


# -------------------------------------------------------------------------------------------- numbers


def number_of(value: Any) -> float | None:
    """The number a value is or, being text, spells; ``None`` for anything else (bools are no numbers)."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    if isinstance(value, str) and _NUMBER.match(value.strip()):
        text = value.strip()
        return int(text) if text.lstrip("+-").isdecimal() else float(text)
    return None


def bound_text(bound: Bound) -> str:
    """``= 3``, or ``>= 1 and <= 5``, every digit shown."""
    parts = [
        f"{_SIGNS[key]} {comparison_text(limit)}"
        for key in ("eq", "gt", "gte", "lt", "lte")
        if (limit := getattr(bound, key)) is not None
    ]
    return " and ".join(parts) or "any"


def has_upper_limit(bound: Bound) -> bool:
    """Whether a number that grows could come to break the bound."""
    return any(limit is not None for limit in (bound.eq, bound.lt, bound.lte))


# ----------------------------------------------------------------------------------------- attributes


def attribute_test(check: AttributeCheck) -> Callable[[Mapping[str, Any]], bool]:
    """A fast test of attributes against one check; every operator that is set must hold.

    An absent key satisfies ``exists = false`` only.
    """
    tests = list(_operator_tests(check))
    key = check.key
    if check.exists is False:
        return lambda attributes: key not in attributes
    if len(tests) == 1:
        only = tests[0]
        return lambda attributes: key in attributes and only(attributes[key])
    return lambda attributes: key in attributes and all(test(attributes[key]) for test in tests)


def _operator_tests(check: AttributeCheck) -> Iterable[Callable[[Any], bool]]:
    if check.eq is not None:
        wanted = comparison_text(check.eq)
        yield lambda value: (value if type(value) is str else comparison_text(value)) == wanted
    if check.ne is not None:
        unwanted = comparison_text(check.ne)
        yield lambda value: comparison_text(value) != unwanted
    if check.is_in is not None:
        allowed = frozenset(map(comparison_text, check.is_in))
        yield lambda value: comparison_text(value) in allowed
    if check.glob is not None:
        whole = re.compile(translate(check.glob)).match
        yield lambda value: whole(comparison_text(value)) is not None
    if check.regex is not None:
        found = compiled(check.regex).search
        yield lambda value: found(comparison_text(value))
    yield from _limit_tests(check)


def _limit_tests(check: AttributeCheck) -> Iterable[Callable[[Any], bool]]:
    if (gt := check.gt) is not None:
        yield lambda value: (number := number_of(value)) is not None and number > gt
    if (gte := check.gte) is not None:
        yield lambda value: (number := number_of(value)) is not None and number >= gte
    if (lt := check.lt) is not None:
        yield lambda value: (number := number_of(value)) is not None and number < lt
    if (lte := check.lte) is not None:
        yield lambda value: (number := number_of(value)) is not None and number <= lte


def describe_attribute(check: AttributeCheck) -> str:
    """``http.status >= 200 and < 300``, ``user.id absent``, ``user.id present``."""
    parts = [
        f"{sign} {shown(limit)}" for key, sign in _SIGNS.items() if (limit := getattr(check, key)) is not None
    ]
    if check.is_in is not None:
        parts.append(f"in [{', '.join(map(shown, check.is_in))}]")
    if check.glob is not None:
        parts.append(f"like {shown(check.glob)}")
    if check.regex is not None:
        parts.append(f"matching {shown(check.regex)}")
    if check.exists is not None or not parts:
        parts.insert(0, "absent" if check.exists is False else "present")
    return f"{check.key} {' and '.join(parts)}"
