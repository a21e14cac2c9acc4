"""Values as canonical JSON: the one text in which equal content is equal bytes.

UTF-8, keys sorted by code point, no spaces, numbers by value in their shortest text (``1`` for ``1.0``),
not-a-number and the infinities as strings (``format.md`` 8.1). Bytes have no JSON form of their own and are
written as OTLP/JSON writes them, ``{"bytesValue": "<base64>"}``.
"""

from __future__ import annotations

import json
import math
import re
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clnrm_nb.spans.table import SpanTable

__all__ = ["canonical_json", "canonical_value", "direct_json", "is_direct", "parsed_json", "row_bytes"]

_SORTED: Final = orjson.OPT_SORT_KEYS
_INT_LIMIT: Final = 2**63

_LONG_NUMBER: Final = re.compile(r"[0-9]{20}")

_DIRECT: Final = frozenset({str, int, bool, type(None)})
_DIRECTLY: Final = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER

_PLAIN: Final = frozenset({str, bool, type(None)})


def canonical_json(value: Any) -> str:
    """A value of attributes, a table or an array as canonical JSON.

    Parameters
    ----------
    value : any
        Nested no deeper than loaders allow (``intake.MAX_NESTING`` levels).
    """
    if type(value) is dict and is_direct(value.values()):
        try:
            return direct_json(value)
        except TypeError:  # A large number, or what has no JSON at all: the slower way knows which.
            pass
    return orjson.dumps(canonical_value(value), option=_SORTED).decode()


def is_direct(values: Iterable[Any]) -> bool:
    """Whether values are of types with one JSON text each, as nearly all attributes are."""
    return _DIRECT.issuperset(map(type, values))


def direct_json(value: dict[str, Any]) -> str:
    """Canonical JSON of a table whose values are direct, without building it anew.

    Raises
    ------
    TypeError
        A whole number is beyond 53 bits, or a text is not Unicode; :func:`canonical_json` knows what to do.
    """
    return orjson.dumps(value, option=_DIRECTLY).decode()


def parsed_json(text: str) -> Any:
    """The value of a canonical text; whole numbers beyond 64 bits, which are rare, need the slower parser."""
    return json.loads(text) if _LONG_NUMBER.search(text) else orjson.loads(text)


def canonical_value(value: Any) -> Any:
    """The same value made of types that have exactly one JSON text each."""
    if type(value) in _PLAIN:
        return value
    top: list[Any] = [None]
    todo: list[tuple[Any, Any, Any]] = [(top, 0, value)]
    while todo:
        target, place, found = todo.pop()
        if isinstance(found, dict):
            made: Any = dict.fromkeys(map(str, found))
            todo.extend((made, str(key), inner) for key, inner in found.items())
        elif isinstance(found, list | tuple):
            made = [None] * len(found)
            todo.extend((made, index, inner) for index, inner in enumerate(found))
        else:
            made = _scalar(found)
        target[place] = made
    return top[0]


def _scalar(value: Any) -> Any:
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is int:
        return value if -_INT_LIMIT <= value < _INT_LIMIT else _large_int(value)
    if kind is float:
        return _float(value)
    if isinstance(value, bytes | bytearray):
        return {"bytesValue": b64encode(value).decode()}
    return str(value)


def _float(value: float) -> Any:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    # A whole number is written as one; 1.0, 1 and -0.0, 0 are the same value.
    return int(value) if value.is_integer() and abs(value) < _INT_LIMIT else value


def _large_int(value: int) -> Any:
    """Beyond 64 bits with sign: as the float of the same value, if there is one, so equal stays equal."""
    try:
        near = float(value)
    except OverflowError:
        near = math.inf
    return near if math.isfinite(near) and int(near) == value else orjson.Fragment(str(value).encode())


def row_bytes(table: SpanTable, row: int) -> bytes:
    """Everything a row says, its owner aside, as bytes that are equal iff the content is."""
    return orjson.dumps(
        canonical_value(
            [
                table.trace_id[row],
                table.span_id[row],
                table.parent_span_id[row],
                table.name[row],
                table.kind[row],
                table.start_ns[row],
                table.end_ns[row],
                table.status_code[row],
                table.status_message[row],
                table.attributes[row],
                [list(event) for event in table.events[row]],
                [list(link) for link in table.links[row]],
                table.resource[row].attributes,
                [table.scope[row].name, table.scope[row].version],
            ]
        ),
        option=_SORTED,
    )
