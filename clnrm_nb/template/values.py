"""What a value is in a template, and how it looks as text.

Values are those of JSON: null, bool, 64-bit int, float, string, array, object. Equality, truth and text
follow ``format.md`` 2.3 and 2.4, which differ from Python's in small ways that show: ``2.0`` prints ``2``,
``1`` and ``true`` are never equal, and a number too large for shortest digits is written without exponent.
Nothing here recurses, because the values come from people's files.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Any, Final

import orjson

from clnrm_nb.template.faults import Fault

__all__ = [
    "UNDEFINED",
    "WHITE",
    "Missing",
    "Undefined",
    "equal",
    "float_literal",
    "float_text",
    "is_number",
    "json_text",
    "kind_of",
    "shown",
    "text_of",
    "toml_text",
    "truthy",
]

WHITE: Final = (
    "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""White space as Unicode defines it; ``str.strip()`` alone would also take U+001C to U+001F."""

_MAX_NESTING: Final = 512
_MAX_PARTS: Final = 500_000
"""Of a value that is written or compared. Sixty arrays that hold each other twice have 10^18 parts."""


class Undefined:
    """The value of a name or path that is not there; seen only where ``format.md`` 2.5 permits it."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "undefined"


UNDEFINED: Final = Undefined()


class Missing(Undefined):
    """An environment variable that is not set and has no default."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


def is_number(value: object) -> bool:
    """Int or float; a bool is none."""
    return type(value) is int or type(value) is float


def truthy(value: object) -> bool:
    """Truth in a condition: null, false, 0, NaN, empty and undefined are false."""
    return bool(value) and value == value  # noqa: PLR0124 - NaN is the value that differs from itself


def kind_of(value: object) -> str:
    """The word for a value's type in messages, with its article."""
    if value is None:
        return "null"
    words = {
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "a string",
        list: "an array",
        dict: "an object",
    }
    return words.get(type(value), "an undefined value")


def shown(value: object, limit: int = 60) -> str:
    """A value as a message quotes it: JSON, cut to `limit` characters."""
    if isinstance(value, Undefined):
        return "undefined"
    try:
        text = json_text(value)
    except Fault:
        return "a value that is nested too deeply"
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def equal(left: object, right: object) -> bool:
    """Equality by value inside arrays and objects: types must agree, int and float included."""
    pending = [(left, right)]
    compared = 0
    while pending:
        a, b = pending.pop()
        compared += 1
        _check_parts(compared)
        if type(a) is not type(b):
            return False
        if isinstance(a, list) and isinstance(b, list):
            if len(a) != len(b):
                return False
            pending.extend(zip(a, b, strict=True))
        elif isinstance(a, dict) and isinstance(b, dict):
            if a.keys() != b.keys():
                return False
            pending.extend((a[key], b[key]) for key in a)
        elif a != b:
            return False
    return True


def float_text(number: float) -> str:
    """Shortest digits that read back, without exponent, integral values without a point: ``2.0`` → ``2``."""
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else ("inf" if number > 0 else "-inf")
    text = format(Decimal(repr(number)), "f")
    return text.removesuffix(".0")


def float_literal(number: float) -> str:
    """A float that stays one: ``2.0``, ``1e20``, ``1e-7``; as JSON and ``~`` of a variable write it."""
    if not math.isfinite(number):
        return "null" if math.isnan(number) else ("inf" if number > 0 else "-inf")
    sign, digits, exponent = Decimal(repr(number)).normalize().as_tuple()
    if number == 0:
        return "-0.0" if math.copysign(1.0, number) < 0 else "0.0"
    assert isinstance(exponent, int)
    point = len(digits) + exponent
    # Scientific notation below 1e-5 and from 1e16 on, the limits of the shortest-digits writer Tera uses.
    if -5 < point <= 16:  # noqa: PLR2004  # As above.
        text = format(Decimal(repr(number)), "f")
        return text if "." in text else f"{text}.0"
    mantissa = str(digits[0]) + ("." + "".join(map(str, digits[1:])) if len(digits) > 1 else "")
    return f"{'-' if sign else ''}{mantissa}e{point - 1}"


def text_of(value: Any) -> str:
    """A value as printed (``format.md`` 2.4).

    Raises
    ------
    Fault
        CLN109 for an object, also inside an array.
    """
    kind = type(value)
    if kind is str:
        return value  # type: ignore[no-any-return]
    if kind is list:
        return _array_text(value)
    return _scalar_text(value)


def _scalar_text(value: Any) -> str:
    if value is None:
        return ""
    if value is True:
        return "true"
    if value is False:
        return "false"
    kind = type(value)
    if kind is int:
        return str(value)
    if kind is float:
        return float_text(value)
    if kind is str:
        return value  # type: ignore[no-any-return]
    if kind is dict:
        raise Fault(
            "CLN109",
            "an object cannot be printed; use `json_encode`",
            "write `| json_encode` or `| toml_encode`, or print one of its values",
        )
    raise Fault("CLN105", f"cannot print {kind_of(value)}")


def _array_text(array: list[Any]) -> str:
    parts: list[str] = []
    open_arrays = [iter(array)]
    first = [True]
    parts.append("[")
    while open_arrays:
        for item in open_arrays[-1]:
            if not first[-1]:
                parts.append(", ")
            first[-1] = False
            if type(item) is list:
                _check_nesting(len(open_arrays))
                _check_parts(len(parts))
                parts.append("[")
                open_arrays.append(iter(item))
                first.append(True)
                break
            parts.append(_scalar_text(item))
        else:
            parts.append("]")
            open_arrays.pop()
            first.pop()
    return "".join(parts)


def _check_nesting(depth: int) -> None:
    if depth >= _MAX_NESTING:
        raise Fault("CLN108", f"a value is nested deeper than {_MAX_NESTING}")


def _check_parts(count: int) -> None:
    if count > _MAX_PARTS:
        raise Fault("CLN108", f"a value has more than {_MAX_PARTS} parts")


class _Style:
    """Where JSON and TOML differ when a value is written out."""

    __slots__ = ("empty_object", "object_close", "object_open", "pair", "scalar", "separator")

    def __init__(self, scalar: Any, *, separator: str, pair: str, spaced: bool) -> None:
        self.scalar = scalar
        self.separator = separator
        self.pair = pair
        self.object_open = "{ " if spaced else "{"
        self.object_close = " }" if spaced else "}"
        self.empty_object = "{}"


def _write(value: object, style: _Style) -> str:
    """Arrays and objects with sorted keys, depth first, without recursion."""
    parts: list[str] = []
    # A frame is (entries left, closing text); entries of an array have no key.
    frames: list[tuple[Any, str]] = [(iter([(None, value)]), "")]
    fresh = [True]
    while frames:
        entries, closing = frames[-1]
        for key, item in entries:
            if not fresh[-1]:
                parts.append(style.separator)
            fresh[-1] = False
            if key is not None:
                parts.append(f"{style.scalar(key)}{style.pair}")
            if isinstance(item, list):
                parts.append("[")
                frames.append((((None, child) for child in item), "]"))
            elif isinstance(item, dict) and item:
                parts.append(style.object_open)
                frames.append((iter(sorted(item.items())), style.object_close))
            else:
                parts.append(style.empty_object if isinstance(item, dict) else style.scalar(item))
                continue
            _check_nesting(len(frames))
            _check_parts(len(parts))
            fresh.append(True)
            break
        else:
            parts.append(closing)
            frames.pop()
            fresh.pop()
    return "".join(parts)


def _json_string(text: str) -> str:
    try:
        return orjson.dumps(text).decode()
    except orjson.JSONEncodeError as error:
        raise Fault("CLN105", "a string holds a lone surrogate, which JSON cannot express") from error


def _json_scalar(value: object) -> str:
    if isinstance(value, str):
        return _json_string(value)
    if isinstance(value, float):
        return float_literal(value)
    if value is None:
        return "null"
    if isinstance(value, Undefined):
        raise Fault("CLN105", "an undefined value has no JSON form")
    return _scalar_text(value)


def _toml_scalar(value: object) -> str:
    if isinstance(value, str):
        return toml_string(value)
    if isinstance(value, float):
        return "nan" if math.isnan(value) else float_literal(value)
    if value is None:
        raise Fault("CLN105", "null has no TOML form", "give it a value first, for instance by `default`")
    if isinstance(value, Undefined):
        raise Fault("CLN105", "an undefined value has no TOML form")
    return _scalar_text(value)


_TOML_ESCAPES: Final = {
    ord('"'): '\\"',
    ord("\\"): "\\\\",
    ord("\b"): "\\b",
    ord("\t"): "\\t",
    ord("\n"): "\\n",
    ord("\f"): "\\f",
    ord("\r"): "\\r",
    **{code: f"\\u{code:04X}" for code in (*range(8), 0x0B, *range(0x0E, 0x20), 0x7F)},
}


def toml_string(text: str) -> str:
    """A TOML basic string literal with every needed escape."""
    return f'"{text.translate(_TOML_ESCAPES)}"'


_JSON: Final = _Style(_json_scalar, separator=",", pair=":", spaced=False)
_TOML: Final = _Style(_toml_scalar, separator=", ", pair=" = ", spaced=True)


def json_text(value: object, *, pretty: bool = False) -> str:
    """JSON with sorted keys, non-ASCII kept, floats with a point; `pretty` indents by two spaces."""
    compact = _write(value, _JSON)
    return _indented(compact) if pretty else compact


_JSON_PIECE: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"|[\[\]{}:,]|[^"\[\]{}:,]+')


def _indented(compact: str) -> str:
    """Compact JSON laid out over lines; strings are copied, brackets and commas break lines."""
    parts: list[str] = []
    depth = 0
    previous = ""
    for piece in _JSON_PIECE.findall(compact):
        if piece in "]}":
            depth -= 1
            parts.append(piece if previous in ("[", "{") else f"\n{'  ' * depth}{piece}")
        else:
            if previous in ("[", "{", ","):
                parts.append("\n" + "  " * depth)
            parts.append(": " if piece == ":" else piece)
            depth += piece in "[{"
        previous = piece
    return "".join(parts)


def toml_text(value: object) -> str:
    """A TOML literal: strings escaped, arrays and inline tables on one line, keys sorted and quoted.

    Raises
    ------
    Fault
        CLN105 for null, which TOML does not have.
    """
    return _write(value, _TOML)
