"""Documents as bytes in a row: JSON behind a checksum, so that a flipped bit is a miss, not an answer."""

from __future__ import annotations

import json
import zlib
from dataclasses import fields, is_dataclass
from typing import Any, Final

import orjson

__all__ = ["DamagedError", "pack", "pack_large", "unpack", "unpack_large"]

_SUM_BYTES: Final = 4


class DamagedError(ValueError):
    """Bytes are not what was packed."""


def pack(document: Any) -> bytes:
    """A document; dataclasses are written as mappings of their fields."""
    content = _written(document)
    return zlib.crc32(content).to_bytes(_SUM_BYTES, "big") + content


def unpack(packed: bytes) -> Any:
    """What was packed.

    Raises
    ------
    DamagedError
    """
    try:
        content = memoryview(packed)[_SUM_BYTES:]
        if zlib.crc32(content) == int.from_bytes(packed[:_SUM_BYTES], "big"):
            return _read(content)
    except (TypeError, ValueError) as error:
        raise DamagedError(f"a stored document is damaged: {error}") from error
    raise DamagedError("a stored document is damaged: its checksum is wrong")


def pack_large(document: Any) -> bytes:
    """The same, compressed: for what is seldom read."""
    return zlib.compress(_written(document), 1)


def unpack_large(packed: bytes) -> Any:
    """What was packed by :func:`pack_large`.

    Raises
    ------
    DamagedError
    """
    try:
        return _read(zlib.decompress(packed))
    except (TypeError, ValueError, zlib.error) as error:
        raise DamagedError(f"a stored document is damaged: {error}") from error


def _read(content: bytes | memoryview) -> Any:
    try:
        return orjson.loads(content)
    except ValueError:
        return json.loads(bytes(content))


def _written(document: Any) -> bytes:
    try:
        return orjson.dumps(document, default=_plain)
    except TypeError:  # Integers beyond 64 bits, lone surrogates.
        return json.dumps(document, default=_plain).encode()


def _plain(value: Any) -> Any:
    """Named tuples as tuples, dataclasses as their fields; whatever else as people read it."""
    if isinstance(value, tuple):
        return list(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: getattr(value, each.name) for each in fields(value)}
    return str(value)
