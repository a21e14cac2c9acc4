"""Tests behind ``is`` (``format.md`` 2.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clnrm_nb.template.faults import Fault
from clnrm_nb.template.patterns import search
from clnrm_nb.template.values import Undefined, equal, is_number, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from clnrm_nb.template.signature import Registry

__all__ = ["register"]


def _defined(value: Any) -> bool:
    return not isinstance(value, Undefined)


def _known(name: str, body: Callable[..., bool]) -> Callable[..., bool]:
    """A test that makes no sense of an undefined value."""

    def test(value: Any, *arguments: Any) -> bool:
        if isinstance(value, Undefined):
            raise Fault("CLN105", f"`is {name}` on an undefined value", "only `is defined` may ask about it")
        return body(value, *arguments)

    return test


def _number(name: str, value: Any) -> Any:
    if not is_number(value):
        raise Fault("CLN105", f"`is {name}` needs a number, got {kind_of(value)}")
    return value


def _text(name: str, value: Any) -> str:
    if type(value) is not str:
        raise Fault("CLN105", f"`is {name}` needs a string, got {kind_of(value)}")
    return value


def _odd(value: Any) -> bool:
    return bool(_number("odd", value) % 2 != 0)  # as in Tera, 2.5 is odd


def _even(value: Any) -> bool:
    return bool(_number("even", value) % 2 == 0)


def _divisible(value: Any, divisor: Any) -> bool:
    number = _number("divisibleby", value)
    return bool(divisor != 0 and number % divisor == 0)


def _containing(value: Any, part: Any) -> bool:
    if type(value) is list:
        return any(equal(part, item) for item in value)
    if type(value) in (str, dict):
        return _text("containing", part) in value
    raise Fault("CLN105", f"`is containing` needs a string, an array or an object, got {kind_of(value)}")


def _matching(value: Any, pattern: str) -> bool:
    return search(pattern, _text("matching", value))


def register(registry: Registry) -> None:
    """Add these tests to a registry."""

    def add(name: str, body: Callable[..., bool], *parameters: str) -> None:
        registry.define("test", name, "value:anything", *parameters)(_known(name, body))

    registry.define("test", "defined", "value:anything")(_defined)
    registry.define("test", "undefined", "value:anything")(lambda value: not _defined(value))
    add("odd", _odd)
    add("even", _even)
    add("string", lambda value: type(value) is str)
    add("number", is_number)
    add("object", lambda value: type(value) is dict)
    add("iterable", lambda value: type(value) in (list, dict))
    add("divisibleby", _divisible, "n:num*")
    add("starting_with", lambda value, s: _text("starting_with", value).startswith(s), "s:str*")
    add("ending_with", lambda value, s: _text("ending_with", value).endswith(s), "s:str*")
    add("containing", _containing, "x:any*")
    add("matching", _matching, "regex:str*")
