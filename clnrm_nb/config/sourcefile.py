r"""A file that a person edits, read and written back by commands that change it (``fmt``, ``lint --fix``, …).

Text in here has no byte order mark and, unless the file mixes its line breaks, only ``\n``; both come back
when it is written. Writing replaces the whole file at once or not at all, and never over newer text.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clnrm_nb.config.writing import write_atomically
from clnrm_nb.errors import ClnrmError, Location

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SourceFile", "read_source", "write_source"]

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class SourceFile:
    r"""One file as it was read.

    Parameters
    ----------
    path : Path
        Where it is; a symbolic link stays one.
    file : str
        How findings name it.
    text : str
        Its text, line breaks as ``\n`` (of a file that mixes both kinds: as they are).
    content : bytes
        What was read, to see later whether somebody else has changed it.
    has_bom : bool
        Whether it begins with a byte order mark.
    newline : {"\n", "\r\n"}
        What ends its lines.
    """

    path: Path
    file: str
    text: str
    content: bytes
    has_bom: bool = False
    newline: str = "\n"

    def encoded(self, text: str) -> bytes:
        """`text` as this file holds text: with its line breaks and its byte order mark."""
        if self.newline != "\n":
            text = text.replace("\n", self.newline)
        return (_BOM if self.has_bom else b"") + text.encode()


def read_source(path: Path, file: str) -> SourceFile:
    """Read a file for editing.

    Parameters
    ----------
    path : Path
    file : str
        How findings name it: POSIX path from the project root.

    Raises
    ------
    ClnrmError
        CLN001: it cannot be read. CLN002: it is not UTF-8.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        reason = {"no such file or directory": "no such file"}.get(reason, reason)
        raise ClnrmError(f"cannot read `{file}`: {reason}", "CLN001", location=Location(file)) from error
    has_bom = content.startswith(_BOM)
    try:
        text = content.removeprefix(_BOM).decode()
    except UnicodeDecodeError as error:
        raise _not_utf8(file, content, error.start + len(_BOM) * has_bom) from error
    newline = "\r\n" if 0 < text.count("\n") == text.count("\r\n") else "\n"
    if newline != "\n":
        text = text.replace(newline, "\n")
    return SourceFile(path, file, text, content, has_bom, newline)


def _not_utf8(file: str, content: bytes, offset: int) -> ClnrmError:
    before = content[:offset].decode("utf-8-sig", "replace")
    place = Location(file, before.count("\n") + 1, len(before) - before.rfind("\n"))
    message = f"byte 0x{content[offset]:02x} at offset {offset} is not UTF-8"
    return ClnrmError(message, "CLN002", hint="save the file as UTF-8", location=place)


def write_source(source: SourceFile, text: str) -> bool:
    r"""Put `text` in place of what a file holds; mode and symbolic links stay.

    Parameters
    ----------
    source : SourceFile
        The file as it was read.
    text : str
        Its new text, line breaks as ``\n``.

    Returns
    -------
    bool
        False where the file already held this and nothing was written.

    Raises
    ------
    ClnrmError
        CLN001: it cannot be written, or somebody has changed it since it was read. It is as it was then.
    """
    content = source.encoded(text)
    if content == source.content:
        return False
    target = source.path.resolve()
    try:
        if target.read_bytes() != source.content:
            message = f"`{source.file}` has changed since it was read"
            raise ClnrmError(message, "CLN001", hint="nothing was written; run the command again")
        if not os.access(target, os.W_OK):
            # A rename would go through: the directory decides about it, not the file.
            raise PermissionError(None, "it is read-only")
        write_atomically(target, content, mode=stat.S_IMODE(target.stat().st_mode))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        message = f"cannot write `{source.file}`: {reason}"
        raise ClnrmError(message, "CLN001", hint="the file is as it was") from error
    return True
