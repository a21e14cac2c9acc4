"""What is whole of a source that breaks off in the middle of one document or message.

A JSON document is cut behind its last whole span and its brackets are closed; a protobuf message is written
anew with its last, open blocks ending behind their last whole span.
"""

from __future__ import annotations

import re
from typing import Final

from clnrm_nb.spans.wire import WireError

__all__ = ["mended", "mended_message"]

_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"(\s*:)?|[\[\]{}]', re.DOTALL)
_LISTS: Final = (b'"spans"', b'"list"', b'"resourceSpans"', b'"resource_spans"', b'"batches"', b'"data"')
_CLOSING: Final = {ord("{"): b"}", ord("["): b"]"}


def mended(data: bytes) -> bytes | None:
    """The document up to its last whole span, closed; ``None`` without such a span, or if nothing is open."""
    stack = bytearray()
    holds_spans: list[bool] = []
    best: tuple[int, bytes] | None = None
    key = b""
    for token in _TOKEN.finditer(data):
        byte = data[token.start()]
        if byte == ord('"'):
            key = token[0].rstrip(b": \t\r\n") if token[1] is not None else b""
        elif byte in b"[{":
            holds_spans.append(byte == ord("[") and (not stack or key in _LISTS))
            stack.append(byte)
            key = b""
        elif not stack:
            return None
        else:
            stack.pop()
            holds_spans.pop()
            if holds_spans and holds_spans[-1]:
                best = (token.end(), bytes(stack))
    if best is None or not stack:
        return None
    end, opened = best
    return data[:end] + b"".join(_CLOSING[byte] for byte in reversed(opened))


_BLOCKS: Final = {0: (1,), 1: (2, 1000)}
"""Numbers of the fields that hold spans in the end: resources of a request, scopes of a resource."""

_LENGTH_DELIMITED: Final = 2


def mended_message(data: bytes, depth: int = 0) -> bytes:
    """An export request up to its last whole span; at most three calls deep."""
    at, out = 0, bytearray()
    while at < len(data):
        try:
            tag, value = _varint(data, at)
            kind = tag & 7
            if kind == _LENGTH_DELIMITED:
                size, value = _varint(data, value)
                end = value + size
            elif kind == 0:
                end = _varint(data, value)[1]
            else:
                end = value + {1: 8, 5: 4}[kind]
        except (WireError, KeyError):
            break
        if end > len(data):
            if tag >> 3 in _BLOCKS.get(depth, ()) and kind == _LENGTH_DELIMITED:
                inner = mended_message(data[value:], depth + 1)
                out += _written(tag) + _written(len(inner)) + inner
            break
        out += data[at:end]
        at = end
    return bytes(out)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    for index in range(10):
        if at + index >= len(data):
            break
        byte = data[at + index]
        number |= (byte & 0x7F) << 7 * index
        if not byte & 0x80:
            return number, at + index + 1
    raise WireError("a number does not end")


def _written(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:  # noqa: PLR2004  seven bits a byte
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
