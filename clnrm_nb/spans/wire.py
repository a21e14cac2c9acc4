"""The protobuf wire format, as far as it takes to cut a large message into small ones without parsing it.

A parsed message takes up to ninety times the memory of its bytes: 20 MiB of empty spans would be 2 GB. So an
export request is cut at its resources, scopes and runs of spans, which are copied as bytes, and only these
pieces, each of bounded size, ever become messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["WireError", "fields", "runs"]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT_BYTES: Final = 10


class WireError(ValueError):
    """Bytes that are no protobuf message."""


def fields(data: bytes, first: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """The length-delimited fields of a message, in their order; others are passed over.

    Parameters
    ----------
    data : bytes
    first, end : int
        Where the message lies in it.

    Yields
    ------
    tuple of int
        Number of the field, where it begins (tag included), where its value begins, where it ends.

    Raises
    ------
    WireError
        If that is no message.
    """
    at = first
    while at < end:
        begin = at
        tag = data[at]
        at += 1
        if tag & 0x80:
            tag, at = _varint(data, begin, end)
        kind = tag & 7
        if kind == _BYTES:
            size = data[at] if at < end else 0x80
            at += 1
            if size & 0x80:
                # Nearly all spans are of two such bytes.
                high = data[at] if at < end else 0x80
                if high & 0x80:
                    size, at = _varint(data, at - 1, end)
                else:
                    size, at = size & 0x7F | high << 7, at + 1
            value, at = at, at + size
            if at <= end:
                yield tag >> 3, begin, value, at
        elif kind == _VARINT:
            _, at = _varint(data, at, end)
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        else:
            raise WireError("a field of an unknown kind")
        if at > end:
            raise WireError("a field goes beyond its message")


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """A number, and where the next thing begins."""
    number = 0
    for index in range(_MAX_VARINT_BYTES):
        if at + index >= end:
            break
        byte = data[at + index]
        number |= (byte & 0x7F) << 7 * index
        if not byte & 0x80:
            return number, at + index + 1
    raise WireError("a number does not end")


def runs(data: bytes, first: int, end: int, wanted: int, max_bytes: int) -> Iterator[bytes]:
    """The fields of one number, in runs that are messages of their own.

    Parameters
    ----------
    data, first, end
        As for :func:`fields`.
    wanted : int
        The number.
    max_bytes : int
        Of one run; a single larger field is a run by itself.
    """
    start = stop = first
    for number, begin, _, finish in fields(data, first, end):
        if number != wanted:
            continue
        # What stands between two of them does not belong to the run.
        if begin != stop or finish - start > max_bytes:
            if stop > start:
                yield data[start:stop]
            start = begin
        stop = finish
    if stop > start:
        yield data[start:stop]
