"""Unpacking what strangers send: piece by piece, never more than the limit, never a bomb.

The limit counts *unpacked* bytes and is checked while unpacking, so that 300 kB that stand for 10 GB cost at
most one piece beyond the limit.
"""

from __future__ import annotations

import zlib
from typing import Final

__all__ = ["ENCODINGS", "Body", "BodyError", "EncodingError", "TooLargeError", "TruncatedError"]

ENCODINGS: Final = ("gzip", "deflate", "identity")
"""Content encodings taken; every other one is refused by name."""

MAX_RATIO: Final = 100
"""Unpacked over packed; span batches reach 5 to 20."""

_RATIO_FROM_BYTES: Final = 1024 * 1024
"""Below this a ratio proves nothing: a small body of equal spans may pack very well."""

_GZIP: Final = 31
_ZLIB: Final = 15
_RAW: Final = -15


class BodyError(ValueError):
    """A body that cannot be taken; the text is fit for the sender."""


class EncodingError(BodyError):
    """An encoding that is not taken."""


class TooLargeError(BodyError):
    """Beyond a limit; the text says which."""


class TruncatedError(BodyError):
    """Damaged, or it ended too early."""


class Body:
    """One request body, unpacked as it arrives.

    Parameters
    ----------
    encoding : str
        Value of ``Content-Encoding``, empty for none.
    max_wire_bytes, max_bytes : int
        Limits on the bytes as sent and as unpacked.

    Raises
    ------
    EncodingError
        If the encoding is not one of :data:`ENCODINGS`.
    """

    __slots__ = ("_data", "_encoding", "_inflate", "_max_bytes", "_max_wire_bytes", "wire_bytes")

    def __init__(self, encoding: str, *, max_wire_bytes: int, max_bytes: int) -> None:
        self._encoding = encoding.strip().lower() or "identity"
        if self._encoding not in ENCODINGS:
            raise EncodingError(f"content encoding {encoding!r} is not accepted; use gzip, deflate or none")
        self._inflate: zlib._Decompress | None = None
        self._data = bytearray()
        self._max_bytes = max_bytes
        self._max_wire_bytes = max_wire_bytes
        self.wire_bytes = 0

    def __len__(self) -> int:
        return len(self._data)

    def feed(self, piece: bytes) -> None:
        """Take the next piece as sent.

        Raises
        ------
        TooLargeError, TruncatedError
            As named; the object is of no further use then.
        """
        self.wire_bytes += len(piece)
        if self.wire_bytes > self._max_wire_bytes:
            raise TooLargeError(f"request body is larger than {self._max_wire_bytes} bytes as sent")
        if self._encoding == "identity":
            self._data += piece
            self._check()
            return
        while piece:
            piece = self._unpack(piece)

    def finish(self) -> bytes:
        """The whole unpacked body.

        Raises
        ------
        TruncatedError
            If a packed body has not come to its end.
        """
        if (
            self._encoding != "identity"
            and self.wire_bytes
            and (self._inflate is None or not self._inflate.eof)
        ):
            raise TruncatedError(f"the {self._encoding} body ends too early")
        data = bytes(self._data)
        self._data = bytearray()
        return data

    def _unpack(self, piece: bytes) -> bytes:
        """Unpack into the body; what belongs to a further gzip member."""
        if self._inflate is None or self._inflate.eof:
            self._inflate = zlib.decompressobj(self._window(piece))
        try:
            while True:
                room = self._max_bytes - len(self._data) + 1
                self._data += self._inflate.decompress(piece, room)
                self._check()
                piece = self._inflate.unconsumed_tail
                if self._inflate.eof or not piece:
                    break
        except zlib.error:
            raise TruncatedError(f"the {self._encoding} body is damaged") from None
        rest = self._inflate.unused_data
        # Padding after the last member is allowed by gzip and ignored by everybody.
        return rest if self._encoding == "gzip" and rest.strip(b"\0") else b""

    def _window(self, piece: bytes) -> int:
        if self._encoding == "gzip":
            return _GZIP
        # Some senders take "deflate" for the bare stream; a zlib header gives itself away.
        is_zlib = piece[0] & 0x0F == zlib.DEFLATED and (len(piece) < 2 or int.from_bytes(piece[:2]) % 31 == 0)  # noqa: PLR2004  RFC 1950
        return _ZLIB if is_zlib else _RAW

    def _check(self) -> None:
        if len(self._data) > self._max_bytes:
            raise TooLargeError(f"request body is larger than {self._max_bytes} bytes when unpacked")
        if len(self._data) > max(_RATIO_FROM_BYTES, MAX_RATIO * self.wire_bytes):
            raise TooLargeError(f"request body unpacks to more than {MAX_RATIO} times its size")
