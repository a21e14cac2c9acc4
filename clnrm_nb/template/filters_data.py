"""Filters over arrays and objects, JSON, dates and ``default`` (``format.md`` 2.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.template.dates import format_date
from clnrm_nb.template.faults import Fault, did_you_mean
from clnrm_nb.template.filters_text import pattern_text
from clnrm_nb.template.signature import ABSENT
from clnrm_nb.template.values import (
    UNDEFINED,
    equal,
    is_number,
    json_text,
    kind_of,
    text_of,
)

if TYPE_CHECKING:
    from clnrm_nb.template.signature import Registry

__all__ = ["member", "register"]

MAX_ITEMS: Final = 1_000_000


def member(value: Any, path: str) -> Any:
    """The part of a value that a dotted path names; UNDEFINED if there is none."""
    for key in path.split(".") if path else ():
        if type(value) is dict:
            value = value.get(key, UNDEFINED)
        elif type(value) is list and key.isascii() and key.isdigit() and int(key[:18]) < len(value):
            value = value[int(key[:18])]
        else:
            return UNDEFINED
    return value


def _join(run: Any, items: list[Any], separator: str) -> str:
    separator = pattern_text(separator)
    texts = [text_of(item) for item in items]
    size = sum(map(len, texts)) + len(separator) * len(texts)
    if size > 16 * 1024 * 1024:
        raise Fault("CLN108", "a value grows beyond 16 MiB")
    return run.produce(separator.join(texts))  # type: ignore[no-any-return]


def _keyed(items: list[Any], attribute: str, name: str) -> list[tuple[Any, Any]]:
    pairs = [(member(item, attribute), item) for item in items]
    for index, (key, item) in enumerate(pairs):
        if key is UNDEFINED:
            near = did_you_mean(attribute, item) if isinstance(item, dict) else ""
            raise Fault("CLN105", f"`{name}`: element {index} has no `{attribute}`{near}")
    return pairs


def _kind_for_order(value: Any) -> str | None:
    if is_number(value):
        return "number" if value == value else None  # noqa: PLR0124 - NaN has no place in an order
    return {str: "string", bool: "boolean", list: "array"}.get(type(value))


def _sort(items: list[Any], attribute: str) -> list[Any]:
    pairs = _keyed(items, attribute, "sort")
    kinds = {_kind_for_order(key) for key, _ in pairs}
    if None in kinds or len(kinds) > 1:
        listed = ", ".join(sorted({kind_of(key) for key, _ in pairs}))
        raise Fault("CLN105", f"`sort` orders numbers, strings or booleans of one type, got {listed}")
    if kinds == {"array"}:
        pairs = [(len(key), item) for key, item in pairs]  # arrays are ordered by their length
    return [item for _, item in sorted(pairs, key=lambda pair: pair[0])]


def _unique(items: list[Any], attribute: str, case_sensitive: bool) -> list[Any]:  # noqa: FBT001 - by name
    seen: set[Any] = set()
    kept: list[Any] = []
    kinds: set[str] = set()
    for item in items:
        key = member(item, attribute)
        if key is UNDEFINED:
            continue
        kinds.add(kind_of(key))
        if len(kinds) > 1 or kinds & {"an array", "an object", "null"}:
            raise Fault("CLN105", f"`unique` compares values of one type, got {', '.join(sorted(kinds))}")
        if type(key) is str and not case_sensitive:
            key = key.lower()
        mark = (type(key), key)
        if mark not in seen:
            seen.add(mark)
            kept.append(item)
    return kept


def _group_by(items: list[Any], attribute: str) -> dict[str, list[Any]]:
    groups: dict[str, list[Any]] = {}
    for item in items:
        key = member(item, attribute)
        if key is UNDEFINED or key is None:
            continue
        groups.setdefault(key if type(key) is str else json_text(key), []).append(item)
    return groups


def _filter(items: list[Any], attribute: str, value: Any) -> list[Any]:
    found = ((item, member(item, attribute)) for item in items)
    if value is None:
        return [item for item, part in found if part is not UNDEFINED and part is not None]
    return [item for item, part in found if equal(part, value)]


def _map(items: list[Any], attribute: str) -> list[Any]:
    parts = (member(item, attribute) for item in items)
    return [part for part in parts if part is not UNDEFINED and part is not None]


def _concat(items: list[Any], other: Any) -> list[Any]:
    added = other if type(other) is list else [other]
    if len(items) + len(added) > MAX_ITEMS:
        raise Fault("CLN108", f"an array of more than {MAX_ITEMS} elements")
    return [*items, *added]


def _slice(items: list[Any], start: float, end: float | None) -> list[Any]:
    size = len(items)
    first = _bound(start, size)
    last = size if end is None else min(_bound(end, size), size)
    return items[first:last] if first < last else []


def _bound(index: float, size: int) -> int:
    """Negative counts from the end and never goes below the start; fractions are cut."""
    if index != index:  # noqa: PLR0124 - NaN
        return 0
    return (
        int(max(index if index >= 0 else size + index, 0))
        if abs(index) < MAX_ITEMS * 10
        else (size if index > 0 else 0)
    )


def _nth(items: list[Any], n: int) -> Any:
    return items[n] if n < len(items) else ""


def _get(value: dict[str, Any], key: str, default: Any) -> Any:
    if key in value:
        return value[key]
    if default is ABSENT:
        raise Fault("CLN105", f"`get`: no key `{key}`{did_you_mean(key, value)}", "give it a `default`")
    return default


def _default(value: Any, other: Any) -> Any:
    return other if value is None else value


def _reverse(value: Any) -> Any:
    return value[::-1]


def register(registry: Registry) -> None:
    """Add these filters to a registry."""
    define = registry.define
    define("filter", "first", "value:list")(lambda items: items[0] if items else "")
    define("filter", "last", "value:list")(lambda items: items[-1] if items else "")
    define("filter", "nth", "value:list", "n:uint*")(_nth)
    define("filter", "length", "value:sized")(len)
    define("filter", "reverse", "value:str_or_list")(_reverse)
    define("filter", "slice", "value:list", "start:num=0", "end:num")(_slice)
    define("filter", "join", "value:list", 'sep:str=""', needs_run=True, weight=64)(_join)
    define("filter", "sort", "value:list", 'attribute:str=""', weight=64)(_sort)
    define("filter", "unique", "value:list", 'attribute:str=""', "case_sensitive:bool=false", weight=64)(
        _unique
    )
    define("filter", "group_by", "value:list", "attribute:str*", weight=64)(_group_by)
    define("filter", "filter", "value:list", "attribute:str*", "value:any", weight=64)(_filter)
    define("filter", "map", "value:list", "attribute:str*", weight=64)(_map)
    define("filter", "concat", "value:list", "with:any*")(_concat)
    define("filter", "get", "value:map", "key:str*", "default:any=...")(_get)
    define("filter", "default", "value:any", "value|default_value:any*")(_default)
    define("filter", "json_encode", "value:any", "pretty:bool=false", needs_run=True)(
        lambda run, value, pretty: run.produce(json_text(value, pretty=pretty))
    )
    define("filter", "date", "value:str_or_num", 'format:str="%Y-%m-%d"', "timezone:str")(format_date)
