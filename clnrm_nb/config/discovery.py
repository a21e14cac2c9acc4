"""Which scenario files a list of paths stands for (``format.md`` 1.1).

Only names are looked at here; whether a file is UTF-8, a library or a coverage manifest is found out by those
who read it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Final

from clnrm_nb.errors import Diagnostic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.config.project import Project

__all__ = [
    "PLAIN_SUFFIX",
    "SKIPPED_DIRECTORIES",
    "TEMPLATE_SUFFIX",
    "Discovery",
    "discover",
    "is_scenario_name",
]

PLAIN_SUFFIX: Final = ".clnrm.toml"
TEMPLATE_SUFFIX: Final = ".clnrm.toml.tera"
SKIPPED_DIRECTORIES: Final = frozenset(
    {".git", ".clnrm", "target", "node_modules", ".venv", ".ipynb_checkpoints"}
)


@dataclass(frozen=True, slots=True)
class Discovery:
    """What was found: absolute paths in the order of every report, and findings about paths."""

    files: list[Path] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)


def is_scenario_name(name: str) -> bool:
    """Whether a base name is one that directories are searched for."""
    return name.endswith((PLAIN_SUFFIX, TEMPLATE_SUFFIX))


def discover(paths: Sequence[Path | str], project: Project, ignore: Sequence[str] = ()) -> Discovery:
    """Scenario files under `paths`.

    Parameters
    ----------
    paths : sequence of Path
        Files (taken whatever their name) and directories (searched), relative to the working directory.
    project : Project
        Gives the order: results are sorted by POSIX path from its root.
    ignore : sequence of str
        Globs of paths from the root that a search leaves out; a match on a directory leaves out all below.

    Returns
    -------
    Discovery
        Each file once. Findings: CLN001 a path that cannot be read, CLN004 a path with no scenario file,
        CLN005 a plain file left out in favour of its template twin.
    """
    found = Discovery()
    files: set[Path] = set()
    for given in paths:
        path = Path(os.path.abspath(given))  # noqa: PTH100  # resolve() would rename symlinked files.
        if path.is_dir():
            below = _search(path, project, ignore, found.diagnostics)
            if not below:
                found.diagnostics.append(
                    Diagnostic("CLN004", f"no scenario files under `{_shown(given, path)}`")
                )
            files.update(_without_twins(below, project, found.diagnostics))
        elif path.is_file():
            files.add(path)
        else:
            name = project.relative(path)
            what = "not a file or directory" if path.exists() else "no such file or directory"
            found.diagnostics.append(Diagnostic("CLN001", f"cannot read `{name}`: {what}", file=name))
    found.files.extend(sorted(files, key=project.relative))
    return found


def _shown(given: Path | str, path: Path) -> str:
    return f"{path.name if str(given) == '.' else Path(given).as_posix().rstrip('/')}/"


def _search(
    start: Path, project: Project, ignore: Sequence[str], diagnostics: list[Diagnostic]
) -> list[Path]:
    files: list[Path] = []
    pending = [start]
    while pending:
        directory = pending.pop()
        try:
            entries = list(os.scandir(directory))
        except OSError as error:
            name = project.relative(directory)
            why = (error.strerror or str(error)).lower()
            diagnostics.append(Diagnostic("CLN001", f"cannot read `{name}`: {why}", file=name))
            continue
        for entry in entries:
            if ignore and _is_ignored(project.relative(entry.path), ignore):
                continue
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in SKIPPED_DIRECTORIES:
                    pending.append(Path(entry.path))
            elif is_scenario_name(entry.name) and entry.is_file():
                files.append(Path(entry.path))
    return files


def _is_ignored(relative: str, ignore: Sequence[str]) -> bool:
    return any(fnmatchcase(relative, glob) or fnmatchcase(f"{relative}/", glob) for glob in ignore)


def _without_twins(files: list[Path], project: Project, diagnostics: list[Diagnostic]) -> list[Path]:
    templates = {path for path in files if path.name.endswith(TEMPLATE_SUFFIX)}
    if not templates:
        return files
    kept: list[Path] = []
    for path in sorted(files, key=project.relative):
        twin = path.with_name(f"{path.name}.tera")
        if twin in templates:
            message = f"`{path.name}` is left out: its template twin `{twin.name}` is used"
            diagnostics.append(Diagnostic("CLN005", message, file=project.relative(path), line=1, column=1))
        else:
            kept.append(path)
    return kept
