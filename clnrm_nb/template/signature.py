"""Functions, filters and tests as data: names, parameters, types; and how arguments meet them.

Arguments are bound when a template is compiled, because names and positions are known then; types are
checked when it renders. A parameter is written ``name:kind``, with ``*`` for required or ``=default``
(JSON, or ``...`` where the body must tell an argument that was not given from null), and further spellings
behind ``|``: ``"list|array:list*"``, ``"start:int=0"``. In filters and tests the first parameter is the value
on the left.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.template.faults import Fault, did_you_mean
from clnrm_nb.template.values import Undefined, kind_of, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["ABSENT", "Operation", "Parameter", "Registry"]

ABSENT: Final = ...
"""Stands for an argument that was not given; ``Ellipsis`` because compiled templates can spell it."""

_SIZED: Final = frozenset((str, list))
_SHORT: Final = 1024
"""Characters or elements that cost nothing: the limit on turns bounds how often they are handled."""
_SEED: Final = re.compile(r"[0-9]{1,20}")


def _is_int(value: object) -> bool:
    return type(value) is int


def _is_number(value: object) -> bool:
    return type(value) is int or type(value) is float


_KINDS: Final[dict[str, tuple[str, Callable[[Any], bool]]]] = {
    "anything": ("a value", lambda _: True),
    "any": ("a value", lambda value: not isinstance(value, Undefined)),
    "str": ("a string", lambda value: type(value) is str),
    "int": ("an integer", _is_int),
    "uint": ("a non-negative integer", lambda value: type(value) is int and value >= 0),
    "num": ("a number", _is_number),
    "bool": ("a boolean", lambda value: type(value) is bool),
    "list": ("an array", lambda value: type(value) is list),
    "map": ("an object", lambda value: type(value) is dict),
    "str_or_list": ("an array or a string", lambda value: type(value) in (str, list)),
    "sized": ("an array, an object or a string", lambda value: type(value) in (str, list, dict)),
    "str_or_num": ("a string or a number", lambda value: type(value) is str or _is_number(value)),
    "seed": (
        "a non-negative integer",
        lambda value: (
            (type(value) is int and value >= 0) or (type(value) is str and _SEED.fullmatch(value) is not None)
        ),
    ),
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: its spellings, the first canonical, and what it accepts."""

    names: tuple[str, ...]
    kind: str
    required: bool
    default: Any

    @property
    def name(self) -> str:
        """Its canonical spelling."""
        return self.names[0]

    @classmethod
    def parse(cls, text: str) -> Parameter:
        """From ``name|alias:kind*`` or ``name:kind=default``."""
        spelling, _, rest = text.partition(":")
        kind, has_default, default = rest.partition("=")
        required = kind.endswith("*")
        value: Any = ABSENT
        if default != "...":
            value = json.loads(default) if has_default else None
        return cls(tuple(spelling.split("|")), kind.rstrip("*"), required, value)


@dataclass(frozen=True, slots=True)
class Operation:
    """A function, filter or test.

    Parameters
    ----------
    role : {"function", "filter", "test"}
        Where it may stand.
    name : str
        Its name.
    parameters : tuple of Parameter
        In positional order; the first of a filter or test is its subject.
    body : callable
        Called with the rendering (where `needs_run`) and one value a parameter.
    needs_run : bool
        Whether it reads clock, seed, environment or counters.
    weight : int
        What one character or element of a long argument costs, against copying a character.
    """

    role: str
    name: str
    parameters: tuple[Parameter, ...]
    body: Callable[..., Any]
    needs_run: bool
    weight: int = 1

    @property
    def has_subject(self) -> bool:
        """Whether the first parameter is the value on the left."""
        return self.role != "function"

    def bind(self, positional: Sequence[Any], named: Mapping[str, Any], absent: Any) -> list[Any]:
        """Arguments in the order of the parameters, `absent` where none was given; the subject left out.

        Raises
        ------
        Fault
            CLN104 for a missing, unknown or repeated argument.
        """
        parameters = self.parameters[1:] if self.has_subject else self.parameters
        if len(positional) > len(parameters):
            message = f"`{self.name}` takes {_count(len(parameters))}, got {len(positional)}"
            raise Fault("CLN104", message, self._usage(parameters))
        bound: list[Any] = [absent] * len(parameters)
        bound[: len(positional)] = positional
        places = {name: index for index, p in enumerate(parameters) for name in p.names}
        for name, value in named.items():
            index = places.get(name)
            if index is None:
                message = f"`{self.name}` has no argument `{name}`{did_you_mean(name, places)}"
                raise Fault("CLN104", message, self._usage(parameters))
            if bound[index] is not absent:
                raise Fault("CLN104", f"`{self.name}` got `{parameters[index].name}` twice")
            bound[index] = value
        for parameter, value in zip(parameters, bound, strict=True):
            if parameter.required and value is absent:
                message = f"`{self.name}` needs `{parameter.name}`"
                raise Fault("CLN104", message, self._usage(parameters))
        return bound

    def _usage(self, parameters: Sequence[Parameter]) -> str:
        listed = ", ".join(
            p.name
            if p.required
            else f"{p.name}={'…' if p.default in (None, ABSENT) else json.dumps(p.default)}"
            for p in parameters
        )
        return f"`{self.name}({listed})`"

    def __call__(self, active: Any, *values: Any) -> Any:
        """Check types, fill in defaults, call."""
        checked: list[Any] = [active.run] if self.needs_run else []
        for index, (parameter, value) in enumerate(zip(self.parameters, values, strict=True)):
            if value is ABSENT:
                checked.append(parameter.default)
                continue
            expected, accepts = _KINDS[parameter.kind]
            if not accepts(value):
                raise self._mistyped(index, parameter, expected, value)
            if type(value) in _SIZED and len(value) > _SHORT:
                active.run.spend(len(value) * self.weight)
            checked.append(value)
        return self.body(*checked)

    def _mistyped(self, index: int, parameter: Parameter, expected: str, value: object) -> Fault:
        got = f"{kind_of(value)}: {shown(value)}" if value is not None else "null"
        if index == 0 and self.has_subject:
            return Fault("CLN105", f"`{self.name}` needs {expected}, got {got}")
        return Fault("CLN104", f"`{self.name}` needs {expected} for `{parameter.name}`, got {got}")


def _default_text(value: Any) -> str:
    return "…" if value is None or value is ABSENT else json.dumps(value)


def _count(number: int) -> str:
    if number == 0:
        return "no arguments"
    return "1 argument" if number == 1 else f"at most {number} arguments"


class Registry:
    """All functions, filters and tests of the language by role and name."""

    def __init__(self) -> None:
        self.functions: dict[str, Operation] = {}
        self.filters: dict[str, Operation] = {}
        self.tests: dict[str, Operation] = {}

    def of(self, role: str) -> dict[str, Operation]:
        """Those of one role."""
        return {"function": self.functions, "filter": self.filters, "test": self.tests}[role]

    def define(
        self, role: str, names: str, *parameters: str, needs_run: bool = False, weight: int = 1
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Register the decorated callable under each of the blank-separated `names`."""
        parsed = tuple(Parameter.parse(text) for text in parameters)

        def register(body: Callable[..., Any]) -> Callable[..., Any]:
            for name in names.split():
                self.of(role)[name] = Operation(role, name, parsed, body, needs_run, weight)
            return body

        return register
