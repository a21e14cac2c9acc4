"""The places settings come from, each as a flat list of ``(key, value, where)``.

Flat, because merging, origins, unknown keys and refused keys are then one loop each. Tables that hold names
of the person's own choosing (``executor.groups``) are values here, not nests of keys.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import tomli
from pydantic import BaseModel

from clnrm_nb.config.keys import WITHOUT_EFFECT, Settings
from clnrm_nb.config.nearest import did_you_mean
from clnrm_nb.errors import Diagnostic, Location

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clnrm_nb.config.project import Project

__all__ = ["KEYS", "SECTIONS", "Given", "Source", "environment", "file_sources", "read_file"]

OUR_PREFIX = "CLNRM_NB_"
OLDER_PREFIX = "CLEANROOM_"
OLDER_SECTIONS = frozenset(
    "cli containers services observability performance test_execution reporting security".split()  # noqa: SIM905  # A list of words reads best as words.
)


@dataclass(frozen=True, slots=True)
class Given:
    """One value somebody set: its dotted key, and where it stands."""

    key: str
    value: Any
    origin: str
    by_user: bool
    """Whether the person at this machine set it, as opposed to the project."""
    location: Location | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A configuration file that may or may not exist."""

    path: Path
    name: str
    by_user: bool
    required: bool = False


def _walk(model: type[BaseModel]) -> Iterator[tuple[str, Any]]:
    pending: list[tuple[str, type[BaseModel]]] = [("", model)]
    while pending:
        prefix, current = pending.pop()
        for name, field in current.model_fields.items():
            key = f"{prefix}{field.alias or name}"
            kind = field.annotation
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                pending.append((f"{key}.", kind))
                yield key, None
            else:
                yield key, kind


_ALL = dict(_walk(Settings))
KEYS: dict[str, Any] = {key: kind for key, kind in _ALL.items() if kind is not None}
"""Every key with its annotation."""
SECTIONS = frozenset(key for key, kind in _ALL.items() if kind is None)


def file_sources(project: Project, config_file: Path | None, environ: Mapping[str, str]) -> list[Source]:
    """The configuration files, lowest first."""
    user = _user_directory(environ) / "cleanroom" / "cleanroom.toml"
    state = project.state_dir / "config.toml"
    sources = [
        Source(user, user.as_posix(), by_user=True),
        Source(project.root / "cleanroom.toml", "cleanroom.toml", by_user=False),
        Source(state, project.relative(state), by_user=False),
    ]
    if config_file is not None:
        name = project.relative(config_file)
        sources.append(Source(Path(config_file), name, by_user=False, required=True))
    return sources


def _user_directory(environ: Mapping[str, str]) -> Path:
    home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    if sys.platform == "darwin":
        return home / "Library" / "Application Support"
    if sys.platform == "win32":
        return Path(environ.get("APPDATA") or home / "AppData" / "Roaming")
    chosen = environ.get("XDG_CONFIG_HOME", "")
    return Path(chosen) if os.path.isabs(chosen) else home / ".config"  # noqa: PTH117  # "" has no Path.


def read_file(source: Source) -> tuple[list[Given], list[Diagnostic]]:
    """What one file sets.

    Returns
    -------
    tuple
        The values in file order, and at most one finding: CLN803 where the file cannot be parsed (or cannot
        be read although it exists or was asked for).
    """
    try:
        raw = source.path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        if not source.required:
            return [], []
        return [], [_unreadable(source, "no such file")]
    except OSError as error:
        return [], [_unreadable(source, (error.strerror or str(error)).lower())]
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return [], [_unreadable(source, f"byte {raw[error.start]:#04x} at offset {error.start} is not UTF-8")]
    try:
        document = tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        message = f"`{source.name}`, line {error.lineno}: {error.msg}"
        finding = Diagnostic("CLN803", message, file=source.name, line=error.lineno, column=error.colno)
        return [], [finding]
    return [
        Given(key, value, source.name, source.by_user, _location(source.name, text, key))
        for key, value in flatten(document)
    ], []


def _unreadable(source: Source, why: str) -> Diagnostic:
    return Diagnostic("CLN803", f"cannot read `{source.name}`: {why}", file=source.name)


def flatten(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Dotted keys and values, in order; tables are entered only where they are sections."""
    pending: list[tuple[str, Any]] = list(document.items())[::-1]
    while pending:
        key, value = pending.pop()
        if key in SECTIONS and isinstance(value, dict):
            pending.extend((f"{key}.{name}", inner) for name, inner in list(value.items())[::-1])
        elif key not in WITHOUT_EFFECT:
            yield key, value


_HEADER = re.compile(r"\s*\[+\s*([^\[\]#]+?)\s*\]+")
_ASSIGNMENT = re.compile(r"\s*((?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*[A-Za-z0-9_\"'-]+)*)\s*=")


def _location(name: str, text: str, key: str) -> Location:
    """Line and column of a key; the header of its section where it stands inside an inline table."""
    table, nearest = "", Location(name)
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = _plain(header[1])
            if key == table or key.startswith(f"{table}."):
                nearest = Location(name, number, line.index("[") + 1)
            if key == table:
                return nearest
        elif assignment := _ASSIGNMENT.match(line):
            full = f"{table}.{_plain(assignment[1])}" if table else _plain(assignment[1])
            if key == full or key.startswith(f"{full}."):
                return Location(name, number, assignment.start(1) + 1)
    return nearest


def _plain(dotted: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in dotted.split("."))


def environment(environ: Mapping[str, str]) -> tuple[list[Given], list[Diagnostic]]:
    """What environment variables set: ``CLEANROOM_…`` first, then ours, which win.

    Returns
    -------
    tuple
        Values by key, and CLN801 for variables of ours that name no key.
    """
    by_name = {key.upper().replace(".", "_"): key for key in KEYS}
    given: list[Given] = []
    for name in sorted(environ):
        key = by_name.get(name.removeprefix(OLDER_PREFIX)) if name.startswith(OLDER_PREFIX) else None
        if key and key.partition(".")[0] in OLDER_SECTIONS:
            given.append(Given(key, _typed(environ[name], KEYS[key]), f"environment {name}", by_user=False))
    unknown: list[Diagnostic] = []
    for name in sorted(environ):
        if not name.startswith(OUR_PREFIX):
            continue
        rest = name.removeprefix(OUR_PREFIX)
        if key := by_name.get(rest):
            given.append(Given(key, _typed(environ[name], KEYS[key]), f"environment {name}", by_user=False))
        elif rest.startswith("EXECUTOR_GROUPS_"):
            group = {rest.removeprefix("EXECUTOR_GROUPS_").lower(): _typed(environ[name], int)}
            given.append(Given("executor.groups", group, f"environment {name}", by_user=False))
        else:
            guess = did_you_mean(rest, by_name)
            guess = guess.replace("`", f"`{OUR_PREFIX}", 1) if guess else ""
            unknown.append(Diagnostic("CLN801", f"unknown environment variable `{name}`{guess}"))
    return given, unknown


def _typed(text: str, kind: Any) -> Any:
    """`text` as TOML value, or as it is where it is none or where text is wanted."""
    if kind is str or (get_origin(kind) is Literal and isinstance(get_args(kind)[0], str)):
        return text
    try:
        return tomli.loads(f"value = {text}")["value"]
    except (tomli.TOMLDecodeError, KeyError):
        return text
