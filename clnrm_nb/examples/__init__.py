"""Two systems under test that really run: what ``clnrm init`` lays down and ``make demo`` shows.

*quickstart*: two HTTP services, one calling the other, and a customer; for ``docker`` and, asked for by
name, ``process``. *shop*: a service with a real Redis behind it; for ``docker``. Beside each lies
``recording.json``, one recorded run for ``replay``.

Only data and its list live here; :mod:`clnrm_nb.examples.images` builds the images the files name.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

__all__ = ["NAMES", "directory", "files", "lay_down"]

NAMES: Final = ("quickstart", "shop")

_SUFFIXES = frozenset({".tera", ".toml", ".py", ".json", ".md"})


def directory(name: str) -> Path:
    """Directory of the example called `name`, inside the installed package.

    Raises
    ------
    KeyError
        No example has this name.
    """
    if name not in NAMES:
        raise KeyError(name)
    return Path(__file__).parent / name


def files(name: str) -> list[str]:
    """POSIX paths of the example's files, relative to its directory, sorted."""
    root = directory(name)
    found = (path.relative_to(root) for path in root.rglob("*") if path.suffix in _SUFFIXES)
    return sorted(path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts))


def lay_down(name: str, target: Path, *, force: bool = False) -> tuple[list[Path], list[Path]]:
    """Copy an example below ``target / name``.

    Parameters
    ----------
    name : str
        One of :data:`NAMES`.
    target : Path
        Created where it is missing.
    force : bool
        Overwrite files that are there; without it they are left as they are.

    Returns
    -------
    tuple of two lists of Path
        Written files, and files left alone.
    """
    written: list[Path] = []
    kept: list[Path] = []
    for relative in files(name):
        destination = target / name / relative
        if destination.exists() and not force:
            kept.append(destination)
            continue
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(directory(name) / relative, destination)
        written.append(destination)
    return written, kept
