"""The connections of the receiver: who has one, who may keep it, and which of them have more to say.

A place is given to everyone who asks. When there is none left, the oldest connection of whoever has the most
makes room: the many that say nothing first, a test with hundreds next, one with a few never.
"""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING, Any, Final

from tornado.httpserver import HTTPServer

from clnrm_nb.spans.request import Request

if TYPE_CHECKING:
    import socket
    from collections.abc import Collection

    from tornado.httputil import HTTPConnection, HTTPMessageDelegate
    from tornado.iostream import IOStream

    from clnrm_nb.spans.fairness import Account
    from clnrm_nb.spans.receiver import Receiver

__all__ = ["Connection", "Places", "Server", "max_open_files"]

_MAX_HEADER_BYTES: Final = 32 * 1024
_MAX_BUFFER_BYTES: Final = 1024 * 1024
_CHUNK_BYTES: Final = 64 * 1024

_YOUNG_S: Final = 2.0
"""How long bytes on a connection that has not said whose it is may be those of any test."""

_ENOUGH_FILES: Final = 1 << 20


def max_open_files() -> int:
    """How many files this process may have open."""
    try:
        import resource
    except ImportError:  # Not everywhere; then there is no such limit either.
        return _ENOUGH_FILES
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _ENOUGH_FILES if limit == resource.RLIM_INFINITY else limit


class Connection:
    """What is known about one open connection.

    Parameters
    ----------
    stream : IOStream
    """

    __slots__ = ("account", "n_requests", "opened_s", "stream", "token")

    def __init__(self, stream: IOStream) -> None:
        self.stream = stream
        self.opened_s = time.monotonic()
        self.n_requests = 0
        """Requests whose headers have come and whose answer has not gone."""
        self.token: str | None = None
        """Of the latest request."""
        self.account: Account | None = None
        """Whose it is, as far as it has said."""


class Places:
    """The open connections of all addresses, by whose they are, the oldest first.

    Parameters
    ----------
    limit : int
    """

    __slots__ = ("_groups", "_limit", "_size")

    def __init__(self, limit: int) -> None:
        self._limit = max(limit, 1)
        self._groups: dict[Account | None, dict[Connection, None]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def enter(self, connection: Connection) -> None:
        """Give a new connection a place, closing another one if there is none."""
        while self._size >= self._limit:
            victim = self._victim()
            self.leave(victim)
            victim.stream.close()
        self._add(connection)

    def belongs(self, connection: Connection, token: str, account: Account) -> None:
        """A connection has said whose it is."""
        connection.token = token
        if connection.account is account or connection not in self._groups.get(connection.account, ()):
            return
        self.leave(connection)
        connection.account = account
        self._add(connection)

    def leave(self, connection: Connection) -> None:
        """A connection has been closed; again: nothing."""
        group = self._groups.get(connection.account)
        if group is None or connection not in group:
            return
        del group[connection]
        self._size -= 1
        if not group:
            del self._groups[connection.account]

    def _add(self, connection: Connection) -> None:
        self._groups.setdefault(connection.account, {})[connection] = None
        self._size += 1

    def _victim(self) -> Connection:
        group = max(self._groups.values(), key=len)
        # One that is idle loses nothing; of the others the sender has to send again.
        return next((one for one in group if not one.n_requests), next(iter(group)))


class Server(HTTPServer):
    """One address; knows its open connections and what they are doing."""

    listening: socket.socket
    receiver: Receiver
    _connections_by_stream: dict[IOStream, Connection]

    # tornado's Configurable calls this with what the constructor was given.
    def initialize(self, receiver: Receiver) -> None:  # type: ignore[override]
        """Set the server's limits."""
        limits = receiver.limits
        super().initialize(
            _unused,
            chunk_size=_CHUNK_BYTES,
            max_header_size=_MAX_HEADER_BYTES,
            max_buffer_size=_MAX_BUFFER_BYTES,
            idle_connection_timeout=limits.header_timeout_s,
            body_timeout=limits.body_timeout_s,
            # A body beyond our own limit is still read (and thrown away), up to here: a sender that is cut
            # off in mid-body never sees the answer that tells it why.
            max_body_size=4 * limits.max_wire_bytes,
        )
        self.receiver = receiver
        self._connections_by_stream = {}

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        """Give a new connection a place."""
        connection = Connection(stream)
        self.receiver.places.enter(connection)
        self._connections_by_stream[stream] = connection
        super().handle_stream(stream, address)

    def start_request(self, server_conn: Any, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        """What takes the next request of a connection."""
        connection = self._connections_by_stream[server_conn.stream]
        return Request(self.receiver, request_conn, connection, self.receiver.places)

    def on_close(self, server_conn: Any) -> None:
        """Free the place of a connection."""
        connection = self._connections_by_stream.pop(server_conn.stream, None)
        if connection is not None:
            self.receiver.places.leave(connection)
        super().on_close(server_conn)

    def is_busy(self, tokens: Collection[str] | None) -> bool:
        """Whether a connection that may be theirs has unread bytes or an unfinished request."""
        waiting = select.poll()
        if self.listening.fileno() >= 0:
            waiting.register(self.listening.fileno(), select.POLLIN)
        young_since_s = time.monotonic() - _YOUNG_S
        for stream, connection in self._connections_by_stream.items():
            if stream.closed():
                continue
            if tokens is not None:
                token = connection.token
                if token not in tokens if token is not None else connection.opened_s < young_since_s:
                    continue
            # The headers of a request may be half read: then they are in the stream's own buffer.
            if connection.n_requests or getattr(stream, "_read_buffer_size", 0):
                return True
            waiting.register(stream.fileno(), select.POLLIN)
        return bool(waiting.poll(0))

    async def shut(self) -> None:
        """Stop listening and close all connections."""
        self.stop()
        for stream in list(self._connections_by_stream):
            stream.close()
        await self.close_all_connections()


def _unused(_request: object) -> None:
    """Requests go through ``Server.start_request``."""
