"""From a source to a stream of its bytes: files, standard input and bytes; unpacked; bounded."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from clnrm_nb.errors import ClnrmError
from clnrm_nb.spans.loaders.unpacking import is_packed, unpacked

__all__ = ["BOM", "LOOK_BYTES", "MAX_BYTES", "Stream", "is_binary", "opened", "unpack"]

MAX_BYTES: Final = 1024 * 1024 * 1024
"""Of one source, unpacked."""

LOOK_BYTES: Final = 64 * 1024
"""How much of a source decides what it is."""

BOM: Final = b"\xef\xbb\xbf"

_MAX_LAYERS: Final = 3
"""Archives in archives."""

_CONTROLS: Final = bytes(set(range(32)) - set(b"\t\n\r\f\b\x1b"))
_FIRST_BYTES: Final = 4
_PIECE_BYTES: Final = 1024 * 1024


class Stream:
    """The bytes of a source, of which the first may be looked at before any is taken.

    Parameters
    ----------
    name : str
        For messages.
    pieces : iterator of bytes
        Of any size.

    Attributes
    ----------
    n_bytes : int
        How many have come so far.
    """

    def __init__(self, name: str, pieces: Iterator[bytes]) -> None:
        self.name = name
        self._pieces = pieces
        self._held: list[bytes] = []
        self._n_held = 0
        self.n_bytes = 0

    def peek(self, n_bytes: int) -> bytes:
        """The first bytes that were not taken yet; fewer if the source ends before."""
        while self._n_held < n_bytes:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self.n_bytes += len(piece)
            if self.n_bytes > MAX_BYTES:
                raise ClnrmError(
                    f"`{self.name}` holds more than {MAX_BYTES} bytes, the limit for a source of spans",
                    "CLN607",
                    hint="split it, or drop what is not needed of it",
                )
            self._held.append(piece)
            self._n_held += len(piece)
        self._held = [b"".join(self._held)] if len(self._held) > 1 else self._held
        return self._held[0][:n_bytes] if self._held else b""

    def __iter__(self) -> Iterator[bytes]:
        """Take piece after piece."""
        while self.peek(1):
            (piece,) = self._held
            self._held, self._n_held = [], 0
            yield piece

    def all(self) -> bytes:
        """Take the rest, without a moment in which it is there twice."""
        pieces = iter(self)
        whole = io.BytesIO(next(pieces, b""))
        whole.seek(0, io.SEEK_END)
        for piece in pieces:
            whole.write(piece)
        return whole.getvalue()


@contextmanager
def opened(source: Path | str | bytes | Stream) -> Iterator[Stream]:
    """A stream of a source.

    Parameters
    ----------
    source : path, bytes, Stream or "-"
        ``-`` is standard input.

    Raises
    ------
    ClnrmError
        CLN001 if a file cannot be read; later CLN607 if it is too large.
    """
    if isinstance(source, Stream):
        yield source
    elif isinstance(source, bytes | bytearray | memoryview):
        yield Stream("<bytes>", iter((bytes(source),)))
    elif source == "-":
        yield Stream("<stdin>", _read(sys.stdin.buffer, "<stdin>"))
    else:
        path = Path(source)
        try:
            file = path.open("rb")
        except (OSError, ValueError) as error:
            raise _unreadable(str(path), error) from error
        with file:
            yield Stream(str(path), _read(file, str(path)))


def _read(file: BinaryIO, name: str) -> Iterator[bytes]:
    try:
        while piece := file.read(_PIECE_BYTES):
            yield piece
    except OSError as error:
        raise _unreadable(name, error) from error


def _unreadable(name: str, error: OSError | ValueError) -> ClnrmError:
    reason = (getattr(error, "strerror", None) or str(error)).lower()
    return ClnrmError(f"cannot read `{name}`: {reason}", "CLN001")


def unpack(stream: Stream, trouble: Callable[[int, str], None]) -> Stream:
    """The stream of what it holds, if it is packed.

    `trouble` hears what is wrong with its end, and how many bytes came out of it before.
    """
    for _ in range(_MAX_LAYERS):
        if not is_packed(stream.peek(LOOK_BYTES)):
            return stream
        stream = _unpacked(stream, trouble)
    return stream


def _unpacked(stream: Stream, trouble: Callable[[int, str], None]) -> Stream:
    inner = Stream(stream.name, unpacked(stream, lambda reason: trouble(inner.n_bytes, reason)))
    return inner


def is_binary(head: bytes) -> bool:
    """Whether the beginning of a source is no text: control characters, or not UTF-8.

    What begins as JSON or as words do is text with something else in it, such as the NUL bytes a crash leaves
    at the end of a file; the lines that are none are said one by one.
    """
    start = head.removeprefix(BOM)
    if start.startswith((b"{", b"[")):
        return False
    # A message begins with a line feed, a frame with its length.
    judged = start[:_FIRST_BYTES] if not start.startswith(b"\n") else start
    if judged.translate(None, _CONTROLS) != judged:
        return True
    if start.lstrip().startswith((b"{", b"[")):
        return False
    try:
        start.decode()
    except UnicodeDecodeError as error:
        # A character cut in two by the end of the look is no sign of anything.
        return error.start < len(start) - 3
    return False
