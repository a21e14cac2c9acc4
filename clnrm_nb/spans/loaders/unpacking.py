"""gzip and Zstandard taken apart piece by piece: bounded, any number of members, torn ends noticed."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

import zstandard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["is_packed", "unpacked"]

_GZIP_MAGIC: Final = b"\x1f\x8b\x08"
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE: Final = tuple(bytes((first, 0x2A, 0x4D, 0x18)) for first in range(0x50, 0x60))
_MAGIC_BYTES: Final = 4

_GZIP_STEP: Final = 1024 * 1024
"""Unpacked at a time."""

_ZSTD_STEP: Final = 1024
"""Packed bytes at a time: three of them may stand for a block of 128 KiB."""


_GZIP_TYPE: Final = type(zlib.decompressobj())


def is_packed(head: bytes) -> bool:
    """Whether it begins as gzip or Zstandard does."""
    return head.startswith((_GZIP_MAGIC, _ZSTD_MAGIC, *_ZSTD_SKIPPABLE))


def unpacked(pieces: Iterable[bytes], trouble: Callable[[str], None]) -> Iterator[bytes]:
    """What packed pieces hold.

    Parameters
    ----------
    pieces : iterable of bytes
        The first one of at least four bytes, beginning as :func:`is_packed` says.
    trouble : callable
        Is told, in half a sentence, what was wrong with the end. All that came before it is good.

    Yields
    ------
    bytes
        Some MB at most at a time, for the caller to count.
    """
    members = _Members(trouble)
    for piece in pieces:
        if members.is_over:
            return
        yield from members.feed(piece)
    members.end()


class _Members:
    """One member after the other, in whatever pieces they come."""

    def __init__(self, trouble: Callable[[str], None]) -> None:
        self._trouble = trouble
        self._rest = b""
        self._kind = ""
        self._unpack: zlib._Decompress | zstandard.ZstdDecompressionObj | None = None
        self.is_over = False

    def feed(self, piece: bytes) -> Iterator[bytes]:
        data, self._rest = self._rest + piece, b""
        while data and not self.is_over:
            if self._unpack is None:
                data = data.lstrip(b"\0") if self._kind else data  # Padding after a member means nothing.
                if len(data) < _MAGIC_BYTES:
                    self._rest = data
                    return
                if not is_packed(data):
                    self._stop("there is more after the end of the packed data")
                    return
                self._begin(data)
            try:
                yield from self._steps(data)
            except (zlib.error, zstandard.ZstdError):
                self._stop(f"the {self._kind} data is damaged")
                return
            data = b""
            if self._unpack is not None and self._unpack.eof:
                data = self._unpack.unused_data + self._rest
                self._rest = b""
                self._unpack = None

    def end(self) -> None:
        if self.is_over:
            return
        if self._unpack is not None:
            self._stop(f"the {self._kind} data ends too early")
        elif self._rest:
            self._stop("there is more after the end of the packed data")

    def _begin(self, data: bytes) -> None:
        if data.startswith(_GZIP_MAGIC):
            self._kind, self._unpack = "gzip", zlib.decompressobj(31)
        else:
            self._kind, self._unpack = "zstd", zstandard.ZstdDecompressor().decompressobj()

    def _steps(self, data: bytes) -> Iterator[bytes]:
        unpack = self._unpack
        assert unpack is not None
        if not isinstance(unpack, _GZIP_TYPE):
            for first in range(0, len(data), _ZSTD_STEP):
                if out := unpack.decompress(data[first : first + _ZSTD_STEP]):
                    yield out
                if unpack.eof:
                    self._rest = data[first + _ZSTD_STEP :]
                    return
            return
        while True:
            out = unpack.decompress(data, _GZIP_STEP)
            if out:
                yield out
            data = unpack.unconsumed_tail
            # All input may be used up while a full step's output has more behind it.
            if unpack.eof or not (data or len(out) == _GZIP_STEP):
                return

    def _stop(self, reason: str) -> None:
        self.is_over = True
        self._trouble(reason)
