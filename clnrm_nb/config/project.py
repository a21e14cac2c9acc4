"""Where a project begins, and the names its tests and files go by (``format.md`` 1.1).

Nothing here reads a configuration: the root is needed to find one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Project", "find_project", "safe_name", "test_id"]

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_LONGEST_SAFE = 80
_ROUNDABOUT = re.compile(r"//|/\.{1,2}(?:/|$)|/$")


@dataclass(frozen=True, slots=True)
class Project:
    """A project: its root and the directory of its state.

    Parameters
    ----------
    root : Path
        Absolute; paths in ids, reports and baselines are relative to it.
    state_dir : Path
        Absolute; ``.clnrm`` below the root unless the person said otherwise.
    """

    root: Path
    state_dir: Path

    def relative(self, path: Path | str) -> str:
        """POSIX path from the root; a path outside it as absolute POSIX path.

        A symlink inside the project keeps its own name, whatever it points at.
        """
        text, top = os.fspath(path), f"{self.root}/"
        if text.startswith(top) and _ROUNDABOUT.search(text) is None:
            return text[len(top) :]
        absolute = Path(os.path.abspath(path))  # noqa: PTH100  # resolve() would follow symlinks.
        if absolute.is_relative_to(self.root):
            return absolute.relative_to(self.root).as_posix()
        real, real_root = absolute.resolve(), self.root.resolve()
        if real.is_relative_to(real_root):
            return real.relative_to(real_root).as_posix()
        return absolute.as_posix()


def find_project(start: Path | None = None, *, state_dir: Path | None = None) -> Project:
    """The project that `start` belongs to.

    Parameters
    ----------
    start : Path, optional
        A file or directory; default: the working directory.
    state_dir : Path, optional
        ``--state-dir``; relative to the working directory.

    Returns
    -------
    Project
        Rooted at the nearest ancestor that holds ``.clnrm/``, ``cleanroom.toml``, ``pyproject.toml`` or
        ``.git``; else at the working directory.
    """
    here = Path(os.path.abspath(start or "."))  # noqa: PTH100  # As in Project.relative.
    if not here.is_dir():
        here = here.parent
    root = next((place for place in (here, *here.parents) if _is_root(place)), Path.cwd())
    state = root / ".clnrm" if state_dir is None else Path(os.path.abspath(state_dir))  # noqa: PTH100  # `resolve` would follow symbolic links.
    return Project(root, state)


def _is_root(place: Path) -> bool:
    return (
        (place / ".clnrm").is_dir()
        or (place / "cleanroom.toml").is_file()
        or (place / "pyproject.toml").is_file()
        or (place / ".git").exists()
    )


def test_id(file: str, matrix: Mapping[str, Any]) -> str:
    """Id of a test: the file, and the matrix combination in the order the file declares it.

    Examples
    --------
    >>> test_id("tests/api.clnrm.toml", {"db": "redis", "tls": True})
    'tests/api.clnrm.toml[db=redis,tls=true]'
    """
    if not matrix:
        return file
    return f"{file}[{','.join(f'{key}={_text(value)}' for key, value in matrix.items())}]"


test_id.__test__ = False  # type: ignore[attr-defined]  # pytest would collect it by its name.


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def safe_name(text: str) -> str:
    """`text` as a file name, equal texts giving equal names and different ones different names.

    Characters outside ``A-Za-z0-9._-`` and leading dots become ``_``, 80 characters are kept, and where that
    changed anything the first 8 hex digits of the SHA-256 of `text` are appended.

    Examples
    --------
    >>> safe_name("checkout")
    'checkout'
    >>> safe_name("a/b")
    'a_b-c14cddc0'
    """
    plain = _UNSAFE.sub("_", text)
    dots = len(plain) - len(plain.lstrip("."))
    safe = ("_" * dots + plain[dots:])[:_LONGEST_SAFE]
    if safe == text and text:
        return text
    return f"{safe or '_'}-{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
