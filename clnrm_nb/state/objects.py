"""Content-addressed files: ``objects/ab/cdef…`` holds the bytes whose SHA-256 is ``abcdef…``.

A file gets its name only when it is whole and on disk, and every read is checked against the name. So a
reader sees the right bytes or none; two writers of the same content write the same file; and a file that
rotted is moved to ``objects/quarantine/`` and counts as missing.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Final

from clnrm_nb.config.writing import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["ObjectStore", "digest_of"]

_PREFIX: Final = "sha256:"
_HEX: Final = re.compile(r"[0-9a-f]{64}\Z")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}\Z")


def digest_of(content: bytes) -> str:
    """``sha256:<64 hex>``."""
    return _PREFIX + hashlib.sha256(content).hexdigest()


class ObjectStore:
    """The objects below one directory; may be used by many threads and processes at once.

    Parameters
    ----------
    root : Path
        ``.clnrm/objects``; created by the first write.
    on_damage : callable, optional
        Called with one sentence when an object does not match its digest.
    """

    def __init__(self, root: Path, on_damage: Callable[[str], None] | None = None) -> None:
        self.root = root
        self._place = str(root)
        self._on_damage = on_damage

    def path(self, digest: str) -> Path:
        """Where an object is or would be.

        Raises
        ------
        ValueError
            `digest` is not ``sha256:<64 hex>``.
        """
        return Path(self.place(digest))

    def place(self, digest: str) -> str:
        """:meth:`path` as a text, for whoever looks at thousands.

        Raises
        ------
        ValueError
            `digest` is not ``sha256:<64 hex>``.
        """
        if not _DIGEST.match(digest):
            raise ValueError(f"{digest!r} is not a sha256 digest")
        return f"{self._place}/{digest[7:9]}/{digest[9:]}"

    def put(self, content: bytes) -> str:
        """Keep `content`; its digest.

        Raises
        ------
        OSError
            It cannot be written.
        """
        digest = digest_of(content)
        path = self.path(digest)
        if self._holds(path, content):
            # A collector of unused objects goes by age: this one is in use again.
            try:
                os.utime(path)
            except FileNotFoundError:
                # It was collected between the two.
                write_atomically(path, content)
        else:
            write_atomically(path, content)
        return digest

    def discard(self, digest: str, *, older_than: float, dry_run: bool = False) -> int | None:
        """Remove an object, unless it was put there, or put there again, after a time.

        Parameters
        ----------
        older_than : float
            Seconds since the epoch.

        Returns
        -------
        int or None
            Bytes it had; ``None``: it stays.
        """
        path = self.path(digest)
        aside = path.with_name(f".{path.name[:32]}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
        try:
            status = path.stat()
            if status.st_mtime > older_than:
                return None
            if not dry_run:
                path.rename(aside)
                if aside.stat().st_mtime > older_than:
                    # Somebody has come to need it since it was looked at.
                    aside.rename(path)
                    return None
                aside.unlink()
        except OSError:
            return None
        return status.st_size

    @staticmethod
    def _holds(path: Path, content: bytes) -> bool:
        try:
            return path.stat().st_size == len(content) and path.read_bytes() == content
        except OSError:
            return False

    def get(self, digest: str) -> bytes | None:
        """The content, or ``None`` if it is not there, cannot be read, or is not what its name says."""
        path = self.path(digest)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        if digest_of(content) == digest:
            return content
        self._quarantine(path, digest)
        return None

    def _quarantine(self, path: Path, digest: str) -> None:
        """Out of the way, and kept: it may tell what happened."""
        target = self.root / "quarantine" / f"{digest.removeprefix(_PREFIX)}.{secrets.token_hex(4)}"
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
        except OSError:
            # A read-only disk: it stays, and is no hit on the next read either.
            target = path
        if self._on_damage:
            self._on_damage(f"object `{digest}` is damaged; set aside as `{target.name}`")

    def digests(self) -> Iterator[str]:
        """All objects, in order of their digests."""
        for folder in sorted(self.root.glob("[0-9a-f][0-9a-f]")):
            for file in sorted(folder.iterdir()):
                if _HEX.match(folder.name + file.name):
                    yield f"{_PREFIX}{folder.name}{file.name}"
