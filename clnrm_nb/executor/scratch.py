"""Scratch directories that say whose they are, so that those of killed processes are found and removed.

Beside each stands a symbolic link that leads nowhere and whose target is the owner's label: made in one
system call before the directory, it is never half written, and it takes nothing from the directory itself.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Final

from clnrm_nb.executor import reaper
from clnrm_nb.reaper.ownership import Owner, is_gone, this_process
from clnrm_nb.reaper.removal import OWNER_SUFFIX, remove_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Abandoned", "abandoned", "make_scratch", "remove_scratch", "scratch"]

_BEGINNINGS: Final = ("clnrm-", ".old-", ".writing-")


def make_scratch(prefix: str, parent: Path | None = None) -> Path:
    """Make a directory that only this user may enter, known to the reaper before it exists.

    Parameters
    ----------
    prefix : str
        Beginning of its name: ``clnrm-…``; in a state directory ``.writing-…`` or ``.old-…``.
    parent : Path, optional
        Where (default: the system's directory for temporary files). Alone it is no reason for a reaper.

    Raises
    ------
    OSError
        It cannot be made.
    """
    place = Path(tempfile.gettempdir()) if parent is None else parent
    path = place.absolute() / f"{prefix}{token_hex(4)}"
    reaper.keep({"directory": str(path)}, starts=parent is None)
    try:
        _marker(path).symlink_to(str(this_process()))
        path.mkdir(mode=0o700)
    except OSError:
        remove_scratch(path)
        raise
    return path


def remove_scratch(path: Path) -> None:
    """Remove a scratch directory with all that is in it; what cannot be removed is left to `gc`."""
    remove_directory(str(path))
    reaper.drop({"directory": str(path)})


@contextmanager
def scratch(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """A scratch directory for the length of a block."""
    path = make_scratch(prefix, parent)
    try:
        yield path
    finally:
        remove_scratch(path)


@dataclass(frozen=True, slots=True)
class Abandoned:
    """A scratch directory whose owner has ended."""

    path: Path
    owner: Owner

    def remove(self) -> bool:
        """Whether it is gone now."""
        return remove_directory(str(self.path))


def abandoned(*places: Path) -> list[Abandoned]:
    """Those of dead owners of this machine, in the system's temporary directory and in `places`."""
    found = []
    for place in dict.fromkeys(each.absolute() for each in (Path(tempfile.gettempdir()), *places)):
        for marker in _markers(place):
            owner = _owner_of(marker)
            if owner is not None and is_gone(owner):
                found.append(Abandoned(marker.with_name(marker.name.removesuffix(OWNER_SUFFIX)), owner))
    return found


def _markers(place: Path) -> list[Path]:
    try:
        names = sorted(entry.name for entry in os.scandir(place) if entry.name.startswith(_BEGINNINGS))
    except OSError:
        return []
    return [place / name for name in names if name.endswith(OWNER_SUFFIX)]


def _owner_of(marker: Path) -> Owner | None:
    """Whose directory it is; ``None`` where it is another user's, who may have written anything there."""
    try:
        directory = marker.with_name(marker.name.removesuffix(OWNER_SUFFIX))
        parts = [marker, directory] if os.path.lexists(directory) else [marker]
        is_own = all(part.lstat().st_uid == os.geteuid() for part in parts)
        return Owner.parse(str(marker.readlink())) if is_own else None
    except OSError:
        return None


def _marker(path: Path) -> Path:
    return path.with_name(path.name + OWNER_SUFFIX)
