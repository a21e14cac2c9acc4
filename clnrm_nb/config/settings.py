"""Settings: read from every source, merged, checked, each value with its origin (``format.md`` 10).

Later sources win key by key: defaults, the user's ``cleanroom.toml``, the project's ``cleanroom.toml``,
``.clnrm/config.toml``, ``--config``, environment, command line. All findings are collected first; only then
a stop is raised, with all of them.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from clnrm_nb.config.keys import WITHOUT_EFFECT, Settings
from clnrm_nb.config.nearest import did_you_mean
from clnrm_nb.config.sources import KEYS, SECTIONS, Given, environment, file_sources, read_file
from clnrm_nb.errors import ConfigError, Diagnostic, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from clnrm_nb.config.project import Project

__all__ = ["Settings", "load_settings"]

_NEVER_SHOWN = frozenset({"cache.shared.key"})
_MERGED_TABLES = frozenset({"executor.groups", "diff.tolerance.attributes"})
_SAME_MEANING = {
    "cli.jobs": "executor.worker_count",
    "cli.fail_fast": "executor.fail_fast",
    "containers.max_containers": "executor.max_concurrent_containers",
    "performance.container_pool_size": "executor.pool.size",
    "test_execution.default_timeout": "executor.test_timeout",
    "test_execution.step_timeout": "executor.step_timeout",
}
"""Older key → ours, which wins wherever it is set at all."""


def load_settings(
    project: Project,
    *,
    config_file: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """The settings of one command.

    Parameters
    ----------
    project : Project
        Whose ``cleanroom.toml`` and ``.clnrm/config.toml`` are read.
    config_file : Path, optional
        ``--config``: one more file, above those.
    overrides : mapping, optional
        Dotted keys set on the command line or by the caller; ``None`` values are left out.
    environ : mapping, optional
        Default: the environment of this process.

    Returns
    -------
    Settings
        With :meth:`Settings.origin` for each key; unknown keys are in :attr:`Settings.diagnostics`.

    Raises
    ------
    ConfigError
        CLN803 a file cannot be parsed, CLN806 a setting only the user may make, CLN802 a bad value. All
        findings are in ``diagnostics``; the first one gives code and message.
    UsageError
        If an override names no key.
    """
    environ = os.environ if environ is None else environ
    given, findings = _collect(project, config_file, environ)
    given += _of_caller(overrides or {})
    known, unknown = _known(given)
    findings += unknown
    findings += [_refusal(item) for item in known if not item.by_user and _is_users_only(item)]
    merged = _with_older_names(_merged(known))
    settings, invalid = _validated(merged)
    _raise_errors([*findings, *invalid])
    assert settings is not None
    settings._origins.update({key: item.origin for key, item in merged.items()})  # noqa: SLF001  # Built here.
    settings._diagnostics = tuple(findings)  # noqa: SLF001  # Built here.
    return settings


def _collect(
    project: Project, config_file: Path | None, environ: Mapping[str, str]
) -> tuple[list[Given], list[Diagnostic]]:
    given: list[Given] = []
    findings: list[Diagnostic] = []
    for source in file_sources(project, config_file, environ):
        values, problems = read_file(source)
        given += values
        findings += problems
    values, problems = environment(environ)
    return given + values, findings + problems


def _of_caller(overrides: Mapping[str, Any]) -> list[Given]:
    for key in overrides:
        if key not in KEYS:
            raise UsageError(f"unknown setting `{key}`{did_you_mean(key, KEYS)}")
    chosen = {key: value for key, value in overrides.items() if value is not None}
    return [Given(key, value, "command line", by_user=True) for key, value in chosen.items()]


def _known(given: Sequence[Given]) -> tuple[list[Given], list[Diagnostic]]:
    known: list[Given] = []
    unknown: list[Diagnostic] = []
    for item in given:
        if item.key in KEYS or item.key in SECTIONS:
            known.append(item)
        else:
            unknown.append(Diagnostic("CLN801", _unknown_message(item.key)).at(item.location))
    return known, unknown


def _unknown_message(key: str) -> str:
    table, _, name = key.rpartition(".")
    siblings = [
        other.rpartition(".")[2]
        for other in (*KEYS, *SECTIONS, *WITHOUT_EFFECT)
        if other.rpartition(".")[0] == table
    ]
    return f"unknown key `{key}`{did_you_mean(name, siblings)}"


def _is_users_only(item: Given) -> bool:
    if item.key == "cache.shared.key":
        # The environment is the person's: CI keeps secrets there.
        return bool(item.value) and not item.origin.startswith("environment ")
    return item.key == "security.allow" or (
        item.key in {"executor.backend", "executor.dask.inner"} and item.value == "process"
    )


def _refusal(item: Given) -> Diagnostic:
    if item.key == "cache.shared.key":
        return Diagnostic(
            "CLN806",
            f"`{item.key}` must not stand in {item.origin}: whoever reads the project could sign with it",
            hint="set CLNRM_NB_CACHE_SHARED_KEY, or put it into the user's configuration",
        ).at(item.location)
    shown = f'`{item.key} = "process"`' if item.value == "process" else f"`{item.key}`"
    return Diagnostic(
        "CLN806",
        f"{shown} must come from the command line or the user's configuration, not from {item.origin}",
        hint="a project could otherwise reach into the machine of whoever opens it",
    ).at(item.location)


def _merged(given: Sequence[Given]) -> dict[str, Given]:
    merged: dict[str, Given] = {}
    for item in given:
        before = merged.get(item.key)
        both_tables = before is not None and isinstance(before.value, dict) and isinstance(item.value, dict)
        if item.key in _MERGED_TABLES and both_tables:
            assert before is not None
            merged[item.key] = replace(item, value={**before.value, **item.value})
        else:
            merged[item.key] = item
    return merged


def _with_older_names(merged: dict[str, Given]) -> dict[str, Given]:
    """Values of cleanroom.toml keys under our names, where ours are not set."""
    older = {new: replace(merged[old], key=new) for old, new in _SAME_MEANING.items() if old in merged}
    parallel = merged.get("cli.parallel")
    if parallel is not None and parallel.value is False:
        older["executor.worker_count"] = replace(parallel, key="executor.worker_count", value=1)
    retry = merged.get("test_execution.retry_on_failure")
    if retry is not None and retry.value is True:
        count = merged["test_execution.retry_count"].value if "test_execution.retry_count" in merged else 3
        older["executor.retries"] = replace(retry, key="executor.retries", value=count)
    return {**older, **merged}


def _validated(merged: Mapping[str, Given]) -> tuple[Settings | None, list[Diagnostic]]:
    document: dict[str, Any] = {}
    for key, item in merged.items():
        *tables, name = key.split(".")
        place = document
        for table in tables:
            place = place.setdefault(table, {})
        place[name] = item.value
    try:
        return Settings.model_validate(document), []
    except ValidationError as error:
        return None, _bad_values(error, merged)


def _bad_values(error: ValidationError, merged: Mapping[str, Given]) -> list[Diagnostic]:
    found: dict[tuple[str, str], Diagnostic] = {}
    for problem in error.errors(include_url=False):
        path = [str(part) for part in problem["loc"]]
        item = _culprit(path, merged)
        shown = item.origin.removeprefix("environment ")
        if shown == item.origin:
            shown = ".".join(path) if isinstance(item.value, dict) else item.key
        text = f"`{shown}` {_what_is_wanted(problem, is_shown=item.key not in _NEVER_SHOWN)}"
        found.setdefault((item.key, item.origin), Diagnostic("CLN802", text).at(item.location))
    return list(found.values())


def _culprit(path: Sequence[str], merged: Mapping[str, Given]) -> Given:
    """The value behind a path of pydantic, which goes on into the value and its type's alternatives."""
    keys = (".".join(path[:length]) for length in range(len(path), 0, -1))
    return merged[next(key for key in keys if key in merged)]


def _what_is_wanted(problem: Any, *, is_shown: bool) -> str:
    context = problem.get("ctx", {})
    kind = problem["type"]
    if kind == "value_error":
        return f"is wrong: {context['error']}"
    words = str(context.get("expected", "")).replace("'", "").replace(" or ", ", ")
    wanted = {
        "greater_than_equal": f"must be {context.get('ge')} or more",
        "greater_than": f"must be more than {context.get('gt')}",
        "less_than_equal": f"must be {context.get('le')} or less",
        "literal_error": f"must be one of {words}",
        "int_type": "must be a whole number",
        "int_from_float": "must be a whole number",
        "float_type": "must be a number",
        "bool_type": "must be true or false",
        "string_type": "must be text",
        "string_too_short": "must not be empty",
        "tuple_type": "must be an array",
        "dict_type": "must be a table",
        "model_type": "must be a table",
    }.get(kind, f"is wrong: {problem['msg']}")
    return f"{wanted}, not {problem['input']!r}" if is_shown else wanted


def _raise_errors(findings: Sequence[Diagnostic]) -> None:
    errors = [finding for finding in findings if finding.severity == "error"]
    if not errors:
        return
    first = errors[0]
    raise ConfigError(first.message, first.code, hint=first.hint, diagnostics=tuple(errors))
