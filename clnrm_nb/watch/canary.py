"""Proof that events come: a file that nobody else cares for is written, and its event has to arrive.

Bind mounts, network file systems and containers accept a watch and then tell nothing. No list of systems
knows them all; a canary does.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Canary"]

_STALE_S: Final = 60


@dataclass(slots=True)
class Canary:
    """One file in a directory that triggers nothing else.

    Parameters
    ----------
    directory : str
        Such as ``.clnrm/watch``; made if it is missing.
    patience_ns : int
        How long its event may take.
    """

    directory: str
    patience_ns: int = 2_000_000_000
    name: str = field(default_factory=lambda: f"canary-{os.getpid()}-{os.urandom(3).hex()}")
    _written_ns: int | None = field(default=None, repr=False)

    @property
    def path(self) -> str:
        """The file."""
        return os.path.join(self.directory, self.name)

    def prepare(self) -> bool:
        """Make the directory that has to be watched; False where nothing can be written."""
        try:
            os.makedirs(self.directory, exist_ok=True)
            for entry in list(os.scandir(self.directory)):  # Of watchers that were killed.
                if entry.name.startswith("canary-") and time.time() - entry.stat().st_mtime > _STALE_S:
                    os.unlink(entry.path)
        except OSError:
            return False
        return os.access(self.directory, os.W_OK)

    def write(self, now_ns: int) -> bool:
        """Write the file; False if that is impossible, and nothing is proved either way."""
        try:
            with open(self.path, "wb") as file:
                file.write(b"canary\n")
        except OSError:
            return False
        self._written_ns = now_ns
        return True

    def hears(self, paths: Iterable[str]) -> bool:
        """Whether these events prove that events come; the file goes then."""
        if self._written_ns is None or self.path not in paths:
            return False
        self.remove()
        return True

    @property
    def is_awaited(self) -> bool:
        """Whether its event is still to come."""
        return self._written_ns is not None

    def is_silent(self, now_ns: int) -> bool:
        """Whether its event should have come by now."""
        return self._written_ns is not None and now_ns - self._written_ns > self.patience_ns

    def remove(self) -> None:
        """Take the file away and wait for nothing more."""
        self._written_ns = None
        with contextlib.suppress(OSError):
            os.unlink(self.path)
