"""The ``.gitignore`` of the state directory: what is decided belongs in version control, the rest not."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["IGNORE", "ignore_local_state"]

IGNORE: Final = """\
# Only configuration and baselines belong in version control.
*
!.gitignore
!config.toml
!baselines/
!baselines/**
!trace.json
"""


def ignore_local_state(directory: Path) -> None:
    """Write the file into a project's new ``.clnrm``, so that ``git add .`` takes no key and no cache.

    A directory of another name was chosen by a person, who may keep other things in it.
    """
    if directory.name == ".clnrm":
        with suppress(OSError), (directory / ".gitignore").open("x", encoding="utf-8") as file:
            file.write(IGNORE)
