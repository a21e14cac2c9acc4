"""The key of this machine: values from the environment enter hashes only through it (``format.md`` 9).

Without the key nobody can try out what a short secret was; with it, equal values are equal seals on this
machine, which is all that a comparison of two runs needs.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["IN_CLEAR", "LocalKey"]

IN_CLEAR: Final = frozenset({"CI", "LANG", "LC_ALL", "TZ"})
"""Environment variables whose values are no secret and mean the same on every machine."""

_BYTES: Final = 32


class LocalKey:
    """``.clnrm/key``, made when the first value is sealed.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._key: bytes | None = None

    def seal(self, value: str) -> str:
        """``hmac:`` and the HMAC-SHA-256 of a value.

        Raises
        ------
        OSError
            There is no key, and none can be kept: a seal nobody can repeat would compare with nothing.
        """
        if self._key is None:
            self._key = self._read() or self._made()
        text = value.encode("utf-8", "surrogateescape")
        return f"hmac:{hmac.new(self._key, text, hashlib.sha256).hexdigest()}"

    def _read(self) -> bytes | None:
        with suppress(FileNotFoundError):
            key = self._path.read_bytes()
            return key if len(key) == _BYTES else None
        return None

    def _made(self) -> bytes:
        """A new key, or that of a process which was quicker."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_name(f".key.{os.getpid()}.{secrets.token_hex(4)}.tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(_BYTES))
                file.flush()
                os.fsync(descriptor)
            try:
                # Unlike a rename, a link never replaces: all processes end up with the first one's key.
                os.link(temporary, self._path)
            except FileExistsError:
                if self._read() is None:
                    # Damaged: nothing sealed with it can be compared any more, whatever is done.
                    temporary.replace(self._path)
        finally:
            temporary.unlink(missing_ok=True)
        return self._path.read_bytes()
