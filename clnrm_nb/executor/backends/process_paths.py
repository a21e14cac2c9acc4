"""Container paths on the ``process`` backend: where they really are, and copying files from there."""

from __future__ import annotations

import glob
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.scenario.model import Service

__all__ = ["PathMap", "copy_files"]

_LARGEST_FILE_BYTES: Final = 100 * 1024 * 1024


class PathMap:
    """Container paths of one service's volumes, and where they really are."""

    def __init__(self, service: Service | None, directory: Path) -> None:
        self._hosts: dict[str, Path] = {}
        for volume in service.volumes if service else ():
            host = Path(os.path.expandvars(volume.host_path)).expanduser()
            container = volume.container_path.rstrip("/") or "/"
            self._hosts[container] = (directory / host).resolve()
        # Longest first: /app/data may be mounted inside /app.
        paths = "|".join(re.escape(path) for path in sorted(self._hosts, key=len, reverse=True))
        self._pattern = re.compile(rf"(?<![\w./-])({paths})(?![\w.-])") if paths else None

    def translated(self, text: str) -> str:
        """`text` with host paths in the place of container paths."""
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda match: str(self._hosts[match[1]]), text)

    @property
    def roots(self) -> list[Path]:
        """The mounted directories and files of this machine."""
        return list(self._hosts.values())


def copy_files(pattern: str, roots: Sequence[Path], target: Path) -> list[Path]:
    """Copy the regular files that match, each of 100 MiB at most and below a root; what was written."""
    written = []
    for name in sorted(glob.glob(pattern, recursive=True)):  # noqa: PTH207  # Path.glob takes no absolute pattern.
        source = Path(name)
        real = source.resolve()
        root = next((root for root in roots if real.is_relative_to(root)), None)
        # A link out of the roots would read this machine's own files.
        if root is None or source.is_symlink() or not real.is_file():
            continue
        if real.stat().st_size > _LARGEST_FILE_BYTES:
            continue
        copy = target / (real.relative_to(root) if real != root else Path(real.name))
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(real, copy)
        written.append(copy)
    return written
