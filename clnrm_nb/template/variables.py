"""Where variables come from, and which source wins (``format.md`` 3.1 and 3.2)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import tomli

from clnrm_nb.errors import UsageError
from clnrm_nb.template.faults import did_you_mean
from clnrm_nb.template.model import Variable
from clnrm_nb.template.tables import parse_statement

__all__ = ["STANDARD", "Scope", "parse_assignments", "read_vars_file"]

STANDARD: Final[dict[str, tuple[str, str]]] = {
    "svc": ("SERVICE_NAME", "clnrm"),
    "env": ("ENV", "ci"),
    "endpoint": ("OTEL_ENDPOINT", "http://localhost:4318"),
    "exporter": ("OTEL_TRACES_EXPORTER", "otlp"),
    "image": ("CLNRM_IMAGE", "registry/clnrm:1.0.0"),
    "freeze_clock": ("FREEZE_CLOCK", "2025-01-01T00:00:00Z"),
    "token": ("OTEL_TOKEN", ""),
}
"""The standard variables: environment variable and default of each."""

_MAX_NESTING: Final = 100


class Scope:
    """Variables of one rendering, as they become known.

    Parameters
    ----------
    arguments, parameters : Mapping
        Values from the command line or call, and from a notebook.
    environment : Mapping
        For the standard variables.
    matrix : Mapping
        The current combination.
    """

    def __init__(
        self,
        arguments: Mapping[str, Any],
        parameters: Mapping[str, Any],
        environment: Mapping[str, str],
        matrix: Mapping[str, Any],
    ) -> None:
        self.fixed = {name: plain(value) for name, value in {**parameters, **arguments}.items()}
        self.origins: dict[str, str] = {}
        self.names: dict[str, Any] = {}
        for name, (variable, default) in STANDARD.items():
            self._put(name, environment.get(variable, default), _standard_origin(variable, environment))
        for name in parameters:
            self._put(name, self.fixed[name], "parameter")
        for name in arguments:
            self._put(name, self.fixed[name], "argument")
        self._combination = {name: plain(value) for name, value in matrix.items()}
        self.spaces: dict[str, dict[str, Any]] = {
            "vars": self.names,
            "matrix": dict(self._combination),
            "otel": {},
            "params": {name: plain(value) for name, value in parameters.items()},
        }
        self._of_file: dict[str, dict[str, Any]] = {"[vars]": {}, "[template.vars]": {}}
        self.matrix_table: dict[str, Any] = {}
        self.determinism: dict[str, Any] = {}

    def _put(self, name: str, value: Any, origin: str) -> None:
        self.names[name] = value
        self.origins[name] = origin

    def add(self, table: tuple[str, ...], inner: tuple[str, ...], values: dict[str, Any]) -> None:
        """Add what a statement of the file says."""
        for key in reversed(inner):
            values = {key: values}
        if table in (("vars",), ("template", "vars")):
            self._add_variables(f"[{'.'.join(table)}]", values)
        elif table == ("template", "otel"):
            merge(self.spaces["otel"], values)
        elif table == ("template", "matrix"):
            self.spaces["matrix"] = {**self.spaces["matrix"], **values, **self._combination}
        elif table == ("matrix",):
            merge(self.matrix_table, values)
        else:
            merge(self.determinism, values)

    def _add_variables(self, origin: str, values: dict[str, Any]) -> None:
        own = self._of_file[origin]
        merge(own, values)
        for name in values:
            if name in self.fixed or (origin != "[vars]" and name in self._of_file["[vars]"]):
                continue
            self._put(name, own[name], origin)

    def listed(self) -> list[Variable]:
        """All variables with their origins."""
        return [Variable(name, value, self.origins[name]) for name, value in self.names.items()]

    def environment_reads(
        self, names: Iterable[str], environment: Mapping[str, str]
    ) -> dict[str, str | None]:
        """The environment variables behind those standard variables among `names` that nothing overrides."""
        found: dict[str, str | None] = {}
        for name in names:
            if name in STANDARD and self.origins[name].startswith(("environment", "default")):
                variable = STANDARD[name][0]
                found[variable] = environment.get(variable)
        return found


def _standard_origin(variable: str, environment: Mapping[str, str]) -> str:
    return f"environment {variable}" if variable in environment else "default"


def merge(into: dict[str, Any], values: dict[str, Any]) -> None:
    """Merge nested tables; other values replace."""
    pending = [(into, values)]
    while pending:
        target, source = pending.pop()
        for key, value in source.items():
            present = target.get(key)
            if isinstance(present, dict) and isinstance(value, dict):
                # Values of a compiled file are shared between renderings: copy before changing.
                target[key] = dict(present)
                pending.append((target[key], value))
            else:
                target[key] = value


def plain(value: Any, depth: int = 0) -> Any:
    """A Python value as a template value: tuples become arrays, keys and unknown things their text."""
    if depth > _MAX_NESTING:
        raise UsageError(f"a variable is nested deeper than {_MAX_NESTING}")
    if value is None or isinstance(value, bool):
        return value
    for kind in (str, int, float):  # subclasses, such as enumerations and numpy floats, become plain
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        items = sorted(value, key=repr) if isinstance(value, (set, frozenset)) else value
        return [plain(item, depth + 1) for item in items]
    return _foreign(value, depth)


def _foreign(value: Any, depth: int) -> Any:
    # numpy and pandas scalars know their Python value; dates their RFC 3339 text.
    for method in ("item", "isoformat"):
        convert = getattr(value, method, None)
        if callable(convert):
            converted = convert()
            if type(converted) is not type(value):
                return plain(converted, depth + 1)
    return str(value)


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """Values of ``K=V`` (a string) and ``K:=JSON`` (a typed value); the first ``=`` splits.

    Raises
    ------
    UsageError
        If there is no ``=``, no name, or the JSON is none.
    """
    values: dict[str, Any] = {}
    for text in assignments:
        name, equals, value = text.partition("=")
        typed = name.endswith(":")
        name = name.removesuffix(":").strip() if typed else name.strip()
        if not equals or not name:
            raise UsageError(f"`{text}` is no assignment", hint="write K=V, or K:=JSON for a typed value")
        values[name] = _typed(name, value) if typed else value
    return values


def _typed(name: str, text: str) -> Any:
    try:
        return plain(json.loads(text, parse_constant=_refuse_constant))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"`{name}:={text}`: {error}", hint=f"write `{name}={text}` for a string") from error


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def read_vars_file(path: Path) -> dict[str, Any]:
    """Variables of a TOML, JSON or ``K=V`` file, told apart by extension and then by content.

    Raises
    ------
    UsageError
        If it cannot be read or is none of these.
    """
    try:
        text = path.read_bytes().decode("utf-8").removeprefix("\ufeff")
    except OSError as error:
        near = did_you_mean(path.name, _neighbours(path))
        raise UsageError(f"cannot read `{path}`: {error.strerror}{near}", code="CLN001") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"`{path}`: byte {error.start} is not UTF-8", code="CLN002") from error
    readers = {".json": [_read_json], ".toml": [_read_toml]}.get(path.suffix)
    problems: list[str] = []
    for reader in readers or [_read_json, _read_toml, _read_lines]:
        try:
            return reader(text)
        except (ValueError, RecursionError, UsageError) as error:
            problems.append(str(getattr(error, "message", error)))
    raise UsageError(f"`{path}`: {problems[-1]}", hint="write TOML, a JSON object or lines of K=V")


def _neighbours(path: Path) -> list[str]:
    try:
        return [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return []


def _read_json(text: str) -> dict[str, Any]:
    document = json.loads(text, parse_constant=_refuse_constant)
    if not isinstance(document, dict):
        raise ValueError("a JSON file of variables must hold an object")  # noqa: TRY004 - reported as text
    return {str(name): plain(value) for name, value in document.items()}


def _read_toml(text: str) -> dict[str, Any]:
    tomli.loads(text)  # for its message
    parsed = parse_statement(text)
    assert parsed is not None
    return parsed


def _read_lines(text: str) -> dict[str, Any]:
    lines = (line.strip() for line in text.splitlines())
    return parse_assignments(line for line in lines if line and not line.startswith("#"))
