"""Files written whole or not at all: beside the target, synced, renamed over it."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["write_atomically"]


def write_atomically(path: Path, content: bytes, *, mode: int | None = None) -> None:
    """Write under a temporary name beside `path`, sync, rename; parents are created.

    Parameters
    ----------
    path : Path
        Replaced if it is there; a symbolic link is replaced, not followed.
    content : bytes
    mode : int, optional
        Permission bits (default: what the process gives new files).

    Raises
    ------
    OSError
        It cannot be written; `path` is as it was and nothing is left beside it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name[:32]}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            if mode is not None:
                # Before there is anything to read: the file may be private.
                temporary.chmod(mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
