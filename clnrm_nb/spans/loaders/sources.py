"""From a source to its text or messages: files, standard input and bytes; packed or not; bounded."""

from __future__ import annotations

import sys
import zlib
from pathlib import Path
from typing import BinaryIO, Final

from clnrm_nb.errors import ClnrmError

__all__ = ["MAX_BYTES", "is_binary", "is_gzip", "is_zstd", "read", "unpack"]

MAX_BYTES: Final = 1024 * 1024 * 1024
"""Of one source, unpacked."""

_LOOK_BYTES: Final = 64 * 1024
_GZIP_MAGIC: Final = b"\x1f\x8b\x08"
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_CONTROLS: Final = bytes(set(range(32)) - set(b"\t\n\r\f\b\x1b"))
_PIECE_BYTES: Final = 1024 * 1024


def read(source: Path | str | bytes) -> tuple[str, bytes]:
    """Name and content of a source.

    Parameters
    ----------
    source : path, bytes or "-"
        ``-`` is standard input.

    Raises
    ------
    ClnrmError
        CLN001 if a file cannot be read, CLN607 if it is too large.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return "<bytes>", bytes(source)
    if source == "-":
        return "<stdin>", _read_bounded("<stdin>", sys.stdin.buffer)
    path = Path(source)
    try:
        with path.open("rb") as file:
            return str(path), _read_bounded(str(path), file)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ClnrmError(f"cannot read `{path}`: {reason}", "CLN001") from error


def _read_bounded(name: str, file: BinaryIO) -> bytes:
    pieces: list[bytes] = []
    size = 0
    # By pieces, because a pipe does not say how long it is.
    while piece := file.read(16 * _PIECE_BYTES):
        size += len(piece)
        _check_size(name, size)
        pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _check_size(name: str, size: int) -> None:
    if size > MAX_BYTES:
        raise ClnrmError(
            f"`{name}` holds more than {MAX_BYTES} bytes, the limit for a source of spans", "CLN607"
        )


def is_gzip(data: bytes) -> bool:
    """Whether it starts as gzip does."""
    return data.startswith(_GZIP_MAGIC)


def is_zstd(data: bytes) -> bool:
    """Whether it starts as Zstandard does."""
    return data.startswith(_ZSTD_MAGIC)


def is_binary(data: bytes) -> bool:
    """Whether its beginning is no text: control characters, or not UTF-8."""
    head = data[:_LOOK_BYTES]
    if head.translate(None, _CONTROLS) != head:
        return True
    try:
        head.decode()
    except UnicodeDecodeError as error:
        # A character cut in two by the end of the look is no sign of anything.
        return error.start < len(head) - 3
    return False


def unpack(name: str, data: bytes) -> tuple[bytes, str | None]:
    """Content of a gzip source, and what was wrong with its end, if anything.

    Raises
    ------
    ClnrmError
        CLN607, if nothing can be unpacked or it is too large.
    """
    out = bytearray()
    rest = data
    trouble: str | None = None
    while is_gzip(rest) and trouble is None:
        inflate = zlib.decompressobj(31)
        try:
            while rest and not inflate.eof:
                out += inflate.decompress(rest, _PIECE_BYTES)
                rest = inflate.unconsumed_tail
                _check_size(name, len(out))
            if not inflate.eof:
                trouble = "the gzip data ends too early"
            rest = inflate.unused_data
        except zlib.error:
            trouble = "the gzip data is damaged"
    if trouble and not out:
        raise ClnrmError(f"`{name}` holds no spans: {trouble}", "CLN607")
    return bytes(out), trouble
