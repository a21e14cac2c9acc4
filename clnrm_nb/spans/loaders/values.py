"""Attribute values out of JSON: AnyValue forms unwrapped, plain values taken as they are, nesting bounded."""

from __future__ import annotations

import math
from base64 import b64decode
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.spans.intake import MAX_NESTING, SHARED_LENGTH, SHARED_LIMIT

if TYPE_CHECKING:
    from clnrm_nb.spans.intake import Intake

__all__ = ["NestingError", "any_value", "keyed_attributes", "plain_attributes", "plain_value"]

_FORMS: Final = {
    "stringValue": "string",
    "string_value": "string",
    "boolValue": "bool",
    "bool_value": "bool",
    "intValue": "int",
    "int_value": "int",
    "doubleValue": "double",
    "double_value": "double",
    "bytesValue": "bytes",
    "bytes_value": "bytes",
    "arrayValue": "array",
    "array_value": "array",
    "kvlistValue": "kvlist",
    "kvlist_value": "kvlist",
}

_TEXT: Final = ("stringValue", "string_value")
_WHOLE: Final = ("intValue", "int_value")
_SCALARS: Final = frozenset({"string", "bool", "int", "double", "bytes"})

_WORDS_OF_FLOATS: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class NestingError(ValueError):
    """A value with more levels than :data:`~clnrm_nb.spans.intake.MAX_NESTING`."""


def any_value(value: Any) -> Any:
    """Unwrap one AnyValue; ``{}`` is null. What is no AnyValue is taken as it is.

    Raises
    ------
    NestingError
        If it has too many levels.
    """
    form, inner = _form(value)
    if form in _SCALARS:
        return _scalar(form, inner)
    top: list[Any] = [None]
    todo: list[tuple[Any, Any, Any, int]] = [(top, 0, value, 0)]
    while todo:
        target, place, wrapped, level = todo.pop()
        if level > MAX_NESTING:
            raise NestingError
        form, inner = _form(wrapped)
        if form == "array":
            items = _listed(inner, "values")
            made: Any = [None] * len(items)
            todo.extend((made, index, item, level + 1) for index, item in enumerate(items))
        elif form == "kvlist":
            pairs = [pair for pair in _listed(inner, "values") if isinstance(pair, dict)]
            made = dict.fromkeys(str(pair.get("key", "")) for pair in pairs)
            todo.extend(
                (made, str(pair.get("key", "")), pair.get("value"), level + 1) for pair in reversed(pairs)
            )
        elif form is None:
            made = plain_value(inner, level)
        else:
            made = _scalar(form, inner, level)
        target[place] = made
    return top[0]


def _form(wrapped: Any) -> tuple[str | None, Any]:
    """Which form of AnyValue it is, and what it wraps."""
    if not isinstance(wrapped, dict):
        return None, wrapped
    if not wrapped:
        return None, None
    for key, inner in wrapped.items():
        if form := _FORMS.get(key):
            return form, inner
    return None, wrapped


def _listed(inner: Any, key: str) -> list[Any]:
    items = inner.get(key) if isinstance(inner, dict) else inner
    return items if isinstance(items, list) else []


def _scalar(form: str, inner: Any, level: int = 0) -> Any:
    """A value of the form it says it has; where it has not, it stays what it is."""
    if type(inner) is str:
        return _from_text(form, inner)
    if form == "double" and type(inner) is int:
        return float(inner)
    if form == "bytes" and isinstance(inner, list):
        try:
            return bytes(inner)
        except (ValueError, TypeError):
            return plain_value(inner, level)
    return plain_value(inner, level)


def _from_text(form: str, text: str) -> Any:
    if form == "string":
        return text
    if form == "double" and text in _WORDS_OF_FLOATS:
        return _WORDS_OF_FLOATS[text]
    try:
        if form == "int":
            return int(text)
        if form == "bytes":
            return b64decode(text.replace("-", "+").replace("_", "/"))
        return float(text) if form == "double" else text
    except ValueError:
        return text


def plain_value(value: Any, level: int = 0) -> Any:
    """A plain JSON value as it is, once its nesting is known to be within bounds; it has `level` around it.

    Raises
    ------
    NestingError
        If it has too many levels.
    """
    if not isinstance(value, dict | list):
        return value
    layer = [value]
    for _ in range(MAX_NESTING + 1 - level):
        layer = [
            inner
            for outer in layer
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not layer:
            return value
    raise NestingError


def keyed_attributes(pairs: Any, intake: Intake) -> dict[str, Any]:
    """Attributes from a list of ``{"key", "value"}``, or from a plain object.

    Raises
    ------
    NestingError
        If a value has too many levels.
    """
    if isinstance(pairs, dict):
        return plain_attributes(pairs, intake)
    if not isinstance(pairs, list):
        return {}
    try:
        attributes = _attributes(pairs, intake)
    except (TypeError, KeyError, AttributeError, ValueError):
        pairs = [pair for pair in pairs if isinstance(pair, dict)]
        table = {str(pair.get("key", "")): pair.get("value") for pair in pairs}
        attributes = plain_attributes(table, intake)
    intake.repeated_keys += len(pairs) - len(attributes)
    return attributes


def _attributes(pairs: list[Any], intake: Intake) -> dict[str, Any]:
    """Attributes of pairs that all are as they should be; fails at one that is not."""
    values = intake.shared.values
    share = values.setdefault
    longest = SHARED_LENGTH if len(values) < SHARED_LIMIT else 0
    attributes: dict[str, Any] = {}
    for pair in pairs:
        key, value = pair["key"], pair["value"]
        [(form, inner)] = value.items()
        if type(key) is not str:
            raise TypeError
        # Nearly all values are texts and whole numbers, which need no walk.
        if type(inner) is not str:
            value = any_value(value)
        elif form in _TEXT:
            value = share(inner, inner) if len(inner) <= longest else inner
        elif form in _WHOLE:
            value = int(inner)
        else:
            value = any_value(value)
        attributes[share(key, key)] = value
    return attributes


def plain_attributes(table: dict[str, Any], intake: Intake) -> dict[str, Any]:
    """Attributes from a plain object; values written as AnyValue are unwrapped there too.

    Raises
    ------
    NestingError
        If a value has too many levels.
    """
    values = intake.shared.values
    return {values.setdefault(key, key): any_value(value) for key, value in table.items()}
