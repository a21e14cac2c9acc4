"""Output of containers as it comes: the engine's framed stream, and what is kept of it.

The engine sends stdout and stderr over one hijacked connection, each piece behind an eight-byte header.
Reading blocks, so it happens in a thread of its own; :meth:`FrameStream.abort` ends it from any other.
"""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["STDERR", "STDOUT", "CappedBytes", "FrameStream"]

STDOUT: Final = 1
STDERR: Final = 2
_HEADER: Final = struct.Struct(">BxxxL")
# A frame may announce 4 GiB; it is handed on in pieces of at most this.
_PIECE_BYTES: Final = 64 * 1024


class FrameStream:
    """A hijacked connection, as ``attach_socket`` and ``exec_start(socket=True)`` return it."""

    def __init__(self, hijacked: Any) -> None:
        self._hijacked = hijacked
        # The response's buffered reader, not the raw socket: it may already hold bytes behind the HTTP head.
        self._response: Any = getattr(hijacked, "_response", None)
        self._reader: Any = hijacked
        if self._response is not None:
            self._reader = self._response.raw._fp.fp  # noqa: SLF001  # As the SDK itself does.
        self.broke_off = False
        """Whether it ended in the middle of a frame, or by an error of the connection."""
        self._is_aborted = False
        self._socket: socket.socket | None = getattr(hijacked, "_sock", None)
        if self._socket is not None:
            self._socket.settimeout(None)

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """Pairs of stream number and bytes until the other side ends; an aborted stream just ends."""
        try:
            yield from self._whole_frames()
        except (OSError, ValueError):
            # A closed reader raises ValueError. An aborted connection has nothing more to say.
            self.broke_off = not self._is_aborted

    def _whole_frames(self) -> Iterator[tuple[int, bytes]]:
        while header := self._reader.read(_HEADER.size):
            if len(header) < _HEADER.size:
                raise ConnectionResetError
            number, remaining = _HEADER.unpack(header)
            while remaining:
                piece = self._reader.read(min(remaining, _PIECE_BYTES))
                if not piece:
                    raise ConnectionResetError
                remaining -= len(piece)
                yield number, piece

    def write(self, data: bytes) -> None:
        """Send to the other side's stdin; blocks while it does not read.

        Raises
        ------
        OSError
            It is gone.
        """
        (self._socket or self._hijacked).sendall(data)

    def abort(self) -> None:
        """End reading, from any thread."""
        self._is_aborted = True
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection. Only after reading has ended, or where it never began."""
        for each in (self._response, self._hijacked, self._socket):
            if each is not None:
                with suppress(OSError, ValueError):
                    each.close()


class CappedBytes:
    """The first `limit_bytes` of an output; the rest is counted and dropped."""

    def __init__(self, limit_bytes: int) -> None:
        self._kept = bytearray()
        self._limit_bytes = limit_bytes
        self.dropped_bytes = 0

    def add(self, data: bytes) -> None:
        """Append what still fits."""
        room = self._limit_bytes - len(self._kept)
        if room > 0:
            self._kept += data[:room]
        self.dropped_bytes += max(len(data) - max(room, 0), 0)

    def __bytes__(self) -> bytes:
        """What was kept."""
        return bytes(self._kept)
