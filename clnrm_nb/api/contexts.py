"""Where a call happens: the project, its settings, and the options split into the two kinds there are.

A flag that names a configuration key only overrides that key; every other option is an argument of its
function. The table of :mod:`clnrm_nb.commands` says which is which, for the command line, the magics and
Python alike.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clnrm_nb.commands import COMMANDS, SETS, Flag, flags_of
from clnrm_nb.config.project import Project, find_project
from clnrm_nb.config.settings import Settings, load_settings
from clnrm_nb.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

    from clnrm_nb.pipeline.request import Variables

__all__ = ["Context", "context", "context_of", "paths_of", "refuse_unknown", "variables_from"]

_VERBOSITY = {0: "warning", 1: "info"}


@dataclass(frozen=True, slots=True)
class Context:
    """A project and the settings that hold for one call."""

    project: Project
    settings: Settings
    ci: bool = False
    config_file: Path | None = None
    """``--config``."""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Keys set on the command line or by the caller."""

    def again(self) -> Context:
        """The same call, with the configuration as it is now.

        Raises
        ------
        ConfigError
            CLN802, CLN803 or CLN806.
        """
        settings = load_settings(
            self.project, config_file=self.config_file, overrides=self.overrides, environ=os.environ
        )
        return replace(self, settings=settings)


def _keyed_flags() -> dict[str, Flag]:
    flags = [flag for letter in SETS.values() for flag in letter]
    flags += [flag for command in COMMANDS for flag in command.flags]
    return {flag.option: flag for flag in flags if flag.key}


def context(
    options: MutableMapping[str, Any], *, start: Path | None = None, needs_configuration: bool = True
) -> Context:
    """Find the project, read its configuration, and take out of `options` all that belongs to either.

    Parameters
    ----------
    options : dict
        Options by their Python names; general ones and those that override a configuration key are removed.
    start : Path, optional
        Where the search for the project root begins (default: the working directory).
    needs_configuration : bool
        False: what cannot be read counts as not there, so that `explain` can explain it.

    Raises
    ------
    ConfigError
        CLN802, CLN803 or CLN806.
    """
    overrides: dict[str, Any] = {}
    for name, flag in _keyed_flags().items():
        if name in options and flag.key:
            overrides[flag.key] = _override(flag, options.pop(name))
    if "executor.replay" in overrides:
        overrides.setdefault("executor.backend", "replay")
    if "executor.dask.address" in overrides:
        overrides.setdefault("executor.backend", "dask")
    state_dir = options.pop("state_dir", None)
    config = options.pop("config", None)
    config_file = Path(config) if config else None
    project = find_project(start, state_dir=Path(state_dir) if state_dir else None)
    try:
        settings = load_settings(project, config_file=config_file, overrides=overrides, environ=os.environ)
    except ConfigError:
        if needs_configuration:
            raise
        settings = Settings()
    ci = bool(options.pop("ci", False))
    return Context(project, settings, ci=ci, config_file=config_file, overrides=overrides)


def _override(flag: Flag, value: Any) -> Any:
    if flag.kind == "switch":
        return flag.sets if value else (not flag.sets if isinstance(flag.sets, bool) else None)
    if flag.kind == "count":
        return _VERBOSITY.get(int(value), "debug")
    return list(value) if flag.multiple and not isinstance(value, str) else value


def context_of(given: Context | None, options: MutableMapping[str, Any]) -> Context:
    """The context a front end passed, or one made of the options of a call from Python."""
    return given if given is not None else context(options)


def refuse_unknown(function: str, options: Mapping[str, Any]) -> None:
    """Refuse options that a function does not have, with the nearest name.

    Raises
    ------
    UsageError
        An option is unknown.
    """
    command = next(command for command in COMMANDS if command.function == function)
    names = {"vars", "parameters", *(flag.option for flag in flags_of(command))}
    for name in options:
        if name not in names:
            close = get_close_matches(name, names, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"Options: {', '.join(sorted(names))}."
            raise UsageError(f"{function}() has no option {name!r}", hint=hint)


def paths_of(paths: str | Path | Sequence[str | Path], cell: object | None = None) -> list[Path]:
    """Paths as a list; none where a cell stands in for them."""
    if cell is not None:
        return []
    return [Path(paths)] if isinstance(paths, (str, Path)) else [Path(path) for path in paths]


def variables_from(options: MutableMapping[str, Any]) -> Variables:
    """The template variables among the options, taken out of them.

    ``vars`` (a mapping, from Python) and ``map`` (``K=V`` words) win over ``vars_file``; all three win over
    ``parameters`` (``format.md`` 3.2).
    """
    from clnrm_nb.pipeline.request import Variables

    given: dict[str, Any] = {}
    origins: dict[str, str] = {}

    def take(values: dict[str, Any], origin: str) -> None:
        given.update(values)
        origins.update(dict.fromkeys(values, origin))

    files, assignments = _many(options.pop("vars_file", ())), _many(options.pop("map", ()))
    if files or assignments:
        from clnrm_nb.template import parse_assignments, read_vars_file

        for file in files:
            take(read_vars_file(Path(file)), f"--vars {file}")
        take(parse_assignments(list(assignments)), "-m")
    take(dict(options.pop("vars", None) or {}), "the call")
    parameters = options.pop("parameters", None) or {}
    if not isinstance(parameters, dict):
        from clnrm_nb.template import parse_assignments

        parameters = parse_assignments(list(parameters))
    return Variables(given=given, parameters=parameters, environ=dict(os.environ), origins=origins)


def _many(value: Any) -> Sequence[Any]:
    return (value,) if isinstance(value, (str, Path)) else tuple(value)
