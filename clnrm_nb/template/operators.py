"""Operators: truth, comparison, membership, arithmetic, ``~`` and ``default`` (``format.md`` 2.3).

Tera's rules, not Python's: numbers are compared with numbers only, ints are of 64 bits, ``/`` gives a float,
``%`` has the sign of the dividend.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.template.faults import Fault
from clnrm_nb.template.values import (
    Missing,
    Undefined,
    equal,
    float_literal,
    float_text,
    is_number,
    kind_of,
    truthy,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from clnrm_nb.template.activation import Active

__all__ = ["OPERATORS"]

_INT64: Final = 2**63


# -- truth, comparison, membership


def _truth(_active: Active, value: Any) -> bool:
    return truthy(value)


def _equals(left: Any, right: Any) -> bool:
    if is_number(left) and is_number(right):
        return bool(left == right)
    if isinstance(left, Undefined) or isinstance(right, Undefined):
        return False
    return equal(left, right)


def _eq(_active: Active, left: Any, right: Any) -> bool:
    return _equals(left, right)


def _ne(_active: Active, left: Any, right: Any) -> bool:
    # Tera does not compare a number with what is none: `1 != "a"` is as false as `1 == "a"`.
    if (
        is_number(left) != is_number(right)
        and not isinstance(left, Missing)
        and not isinstance(right, Missing)
    ):
        return False
    return not _equals(left, right)


_ORDERS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def _order(_active: Active, left: Any, symbol: str, right: Any) -> bool:
    for value in (left, right):
        if not is_number(value):
            hint = "compare numbers; `| int` makes one of a string" if type(value) is str else None
            raise Fault("CLN105", f"`{symbol}` compares numbers, got {kind_of(value)}", hint)
        if value != value:  # noqa: PLR0124 - NaN
            raise Fault("CLN105", f"`{symbol}` cannot compare NaN")
    return _ORDERS[symbol](left, right)


_COMPARED: Final = 64
"""What comparing an element costs, in characters copied (:meth:`Rendering.spend`)."""


def _in(active: Active, left: Any, right: Any) -> bool:
    if type(right) is list:
        active.run.spend(len(right) * _COMPARED)
        return any(equal(left, item) for item in right)
    if type(right) in (str, dict):
        if type(left) is not str:
            raise Fault("CLN105", f"`in` looks for a string in {kind_of(right)}, got {kind_of(left)}")
        return left in right
    raise Fault("CLN105", f"`in` needs a string, an array or an object on its right, got {kind_of(right)}")


def _not_in(active: Active, left: Any, right: Any) -> bool:
    return not _in(active, left, right)


# -- arithmetic

_WORDS: Final = {
    "+": ("add", "and"),
    "-": ("subtract", "and"),
    "*": ("multiply", "and"),
    "/": ("divide", "by"),
    "//": ("divide", "by"),
    "%": ("divide", "by"),
    "**": ("raise", "to"),
}


def _arithmetic(_active: Active, first: Any, symbols: str, *others: Any) -> Any:
    value = first
    for symbol, operand in zip(symbols.split(" "), others, strict=True):
        if not (is_number(value) and is_number(operand)):
            raise _not_numbers(symbol, value, operand)
        value = _checked(_CALCULATE[symbol](value, operand), symbol)
    return value


def _not_numbers(symbol: str, left: Any, right: Any) -> Fault:
    verb, joint = _WORDS[symbol]
    hint = "join texts with `~`" if symbol == "+" and str in (type(left), type(right)) else None
    return Fault("CLN105", f"cannot {verb} {kind_of(left)} {joint} {kind_of(right)}", hint)


def _checked(value: Any, symbol: str) -> Any:
    if type(value) is int:
        if not -_INT64 <= value < _INT64:
            raise Fault("CLN105", f"the result of `{symbol}` does not fit into 64 bits")
        return value
    return value if math.isfinite(value) else math.nan


def _divide(left: Any, right: Any) -> float:
    return left / right if right else math.nan


def _floor_divide(left: Any, right: Any) -> Any:
    if not right:
        raise Fault("CLN105", "cannot divide by zero with `//`")
    return left // right


def _modulo(left: Any, right: Any) -> Any:
    if not right:
        raise Fault("CLN105", "cannot take a number modulo zero")
    if type(left) is int and type(right) is int:
        remainder = abs(left) % abs(right)
        return -remainder if left < 0 else remainder
    return math.fmod(left, right) if math.isfinite(left) else math.nan


def _power(left: Any, right: Any) -> Any:
    try:
        if type(left) is int and type(right) is int and right >= 0:
            # Anything but -1, 0 and 1 to a power beyond 63 is out of range; do not compute it first.
            return left**right if right < 64 or abs(left) <= 1 else _INT64  # noqa: PLR2004  # Beyond 64 bits all the same.
        result = float(left) ** float(right)
    except (OverflowError, ZeroDivisionError):
        return math.nan
    return math.nan if isinstance(result, complex) else result


def _plus(left: Any, right: Any) -> Any:
    return left + right


def _minus(left: Any, right: Any) -> Any:
    return left - right


def _times(left: Any, right: Any) -> Any:
    return left * right


_CALCULATE: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "+": _plus,
    "-": _minus,
    "*": _times,
    "/": _divide,
    "//": _floor_divide,
    "%": _modulo,
    "**": _power,
}


def _negate(_active: Active, value: Any, count: int) -> Any:
    if not is_number(value):
        raise Fault("CLN105", f"cannot negate {kind_of(value)}")
    return _checked(-value, "-") if count % 2 else value


def _calculated(_active: Active, value: Any) -> Any:
    return "NaN" if value != value else value  # noqa: PLR0124 - NaN


def _plain(_active: Active, value: Any) -> Any:
    return float_text(value) if type(value) is float else value


def _concat(active: Active, *parts: Any) -> str:
    texts: list[str] = []
    for part in parts:
        kind = type(part)
        if kind is str:
            texts.append(part)
        elif kind is int:
            texts.append(str(part))
        elif kind is float:
            texts.append("NaN" if math.isnan(part) else float_literal(part))
        else:
            raise Fault(
                "CLN105", f"`~` joins strings and numbers, got {kind_of(part)}", "use `| as_str` first"
            )
    return active.run.produce("".join(texts))


# -- default


def _boxed(_active: Active, value: Any) -> tuple[Any]:
    return (value,)


def _boxed_if_present(_active: Active, value: Any) -> tuple[Any] | None:
    return None if value is None or isinstance(value, Undefined) else (value,)


def _unboxed(_active: Active, box: tuple[Any]) -> Any:
    return box[0]


OPERATORS: Final[dict[str, Callable[..., Any]]] = {
    "truth": _truth,
    "eq": _eq,
    "ne": _ne,
    "order": _order,
    "in": _in,
    "not_in": _not_in,
    "arithmetic": _arithmetic,
    "negate": _negate,
    "calculated": _calculated,
    "plain": _plain,
    "concat": _concat,
    "boxed": _boxed,
    "boxed_if_present": _boxed_if_present,
    "unboxed": _unboxed,
}
