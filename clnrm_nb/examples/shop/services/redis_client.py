"""A small Redis client that leaves the spans of the database semantic conventions.

RESP2 over one TCP connection a command: enough for a demo, honest about what crosses the wire. Each command
is one CLIENT span called by its operation; key names and values stay out of it.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, cast

from opentelemetry import trace
from opentelemetry.trace import SpanKind

if TYPE_CHECKING:
    from typing import BinaryIO

tracer = trace.get_tracer("demo.redis")

Reply = str | int | list[str] | None


class RedisError(Exception):
    """Redis answered with an error."""


class Redis:
    """Commands to the Redis at `place`."""

    def __init__(self, place: tuple[str, int]) -> None:
        self._place = place

    def command(self, operation: str, *words: str | int) -> Reply:
        """Send one command and return its reply: text, number, list, or ``None`` for nil."""
        host, port = self._place
        attributes: dict[str, str | int] = {
            "db.system.name": "redis",
            "db.namespace": "0",
            "db.operation.name": operation,
            "db.query.text": " ".join([operation, *("?" for _ in words)]),
            "server.address": host,
            "server.port": port,
        }
        with (
            tracer.start_as_current_span(operation, kind=SpanKind.CLIENT, attributes=attributes),
            socket.create_connection(self._place, timeout=5) as connection,
            connection.makefile("rwb") as stream,
        ):
            parts = [str(word).encode() for word in (operation, *words)]
            sizes = b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
            stream.write(b"*%d\r\n%s" % (len(parts), sizes))
            stream.flush()
            return _reply(cast("BinaryIO", stream))


def _reply(stream: BinaryIO) -> Reply:
    line = stream.readline().rstrip(b"\r\n")
    mark, rest = line[:1], line[1:].decode()
    if mark == b"-":
        raise RedisError(rest)
    if mark == b":":
        return int(rest)
    if mark == b"$":
        return _text(stream, int(rest))
    if mark == b"*":
        return [_text(stream, int(stream.readline()[1:])) or "" for _ in range(int(rest))]
    return rest


def _text(stream: BinaryIO, size: int) -> str | None:
    return None if size < 0 else stream.read(size + 2)[:-2].decode()
