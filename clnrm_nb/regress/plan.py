"""Which notebooks there are under some paths, and where what is made of them goes."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from clnrm_nb.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from clnrm_nb.config.project import Project

__all__ = ["Planned", "plan"]


@dataclass(frozen=True, slots=True)
class Planned:
    """One notebook to execute: its path, its name in reports, and its place below a directory of outputs."""

    path: Path
    file: str
    place: str


def plan(paths: Sequence[Path], project: Project, *, without: Sequence[Path] = ()) -> list[Planned]:
    """The notebooks of `paths`, each once, sorted by name.

    Parameters
    ----------
    paths : sequence of Path
        Notebooks, or directories to search; hidden ones (``.ipynb_checkpoints``, ``.clnrm``) are left out.
    without : sequence of Path
        Directories that hold outputs.

    Raises
    ------
    UsageError
        A path does not exist, or there is no notebook at all.
    """
    left_out = [path.resolve() for path in without]
    found: dict[Path, Planned] = {}
    for path in paths:
        for notebook in _below(path.resolve()):
            if not any(notebook.is_relative_to(directory) for directory in left_out):
                file = project.relative(notebook)
                found[notebook] = Planned(notebook, file, _place(file))
    if not found:
        raise UsageError(f"no notebook in {', '.join(map(str, paths))}", hint="Notebooks end in .ipynb.")
    return sorted(found.values(), key=lambda planned: planned.file)


def _below(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UsageError(f"{path} does not exist")
    found = []
    for notebook in path.rglob("*.ipynb"):
        parts = notebook.relative_to(path).parts
        if notebook.is_file() and not any(part.startswith(".") for part in parts):
            found.append(notebook)
    return found


def _place(file: str) -> str:
    """Below any directory: a notebook from outside the project is told apart by a few digits."""
    if not file.startswith("/") and ".." not in file.split("/"):
        return file
    return f"{sha256(file.encode()).hexdigest()[:8]}-{file.rsplit('/', 1)[-1]}"
