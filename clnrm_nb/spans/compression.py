"""Unpacking what strangers send: piece by piece, never more than the limit, never a bomb.

The limits count *unpacked* bytes and are checked every 256 KiB of them, so that 300 kB that stand for 10 GB
cost no more than that beyond what is allowed. Encodings inside encodings (``gzip, gzip``) are refused like
every encoding that is not known: each level would multiply what the one above it may do. zstd is not taken
either: SDKs do not send it unless told to.
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

_STEP: Final = 256 * 1024
"""Unpacked at a time, between two looks at the limits."""

_PIECE: Final = 64 * 1024
"""Packed bytes looked at in one go."""

_MAX_MEMBERS: Final = 100
"""Of one gzip body. SDKs send one; starting one costs far more time than the 20 bytes it may consist of."""

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

    __slots__ = (
        "_data",
        "_encoding",
        "_inflate",
        "_max_bytes",
        "_max_wire_bytes",
        "_n_members",
        "wire_bytes",
    )

    def __init__(self, encoding: str, *, max_wire_bytes: int, max_bytes: int) -> None:
        self._encoding = encoding.strip().lower() or "identity"
        if self._encoding not in ENCODINGS:
            raise EncodingError(f"content encoding {encoding!r} is not accepted; use gzip, deflate or none")
        self._inflate: zlib._Decompress | None = None
        self._data = bytearray()
        self._max_bytes = max_bytes
        self._max_wire_bytes = max_wire_bytes
        self._n_members = 0
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
        if self.wire_bytes + len(piece) > self._max_wire_bytes:
            raise TooLargeError(f"request body is larger than {self._max_wire_bytes} bytes as sent")
        if self._encoding == "identity":
            self.wire_bytes += len(piece)
            self._data += piece
            self._check()
            return
        # In small pieces: the ratio is one to what has been looked at, not to what lies there.
        for first in range(0, len(piece), _PIECE):
            part = piece[first : first + _PIECE]
            self.wire_bytes += len(part)
            while part:
                part = self._unpack(part)

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
            # Padding after the last member is allowed by gzip and ignored by everybody.
            if self._inflate is not None and self._encoding == "gzip" and not piece.strip(b"\0"):
                return b""
            self._inflate = self._begun(piece)
        try:
            while True:
                unpacked = self._inflate.decompress(piece, _STEP)
                self._data += unpacked
                self._check()
                piece = self._inflate.unconsumed_tail
                # All input may be used up while a full step's output has more behind it.
                if self._inflate.eof or not (piece or len(unpacked) == _STEP):
                    return self._inflate.unused_data
        except zlib.error:
            raise TruncatedError(f"the {self._encoding} body is damaged") from None

    def _begun(self, piece: bytes) -> zlib._Decompress:
        """What unpacks the first, or one more, member."""
        self._n_members += 1
        if self._n_members > (_MAX_MEMBERS if self._encoding == "gzip" else 1):
            raise TruncatedError(f"there is more after the end of the {self._encoding} body")
        return zlib.decompressobj(self._window(piece))

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
