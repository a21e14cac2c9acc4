"""The one OTLP/HTTP receiver of a process: every span that arrives over the network comes in here.

It listens on loopback and on addresses it is told (the gateways of tests' networks), never on all interfaces.
Who may deliver what is decided by tokens: ``/<token>/v1/traces``, or ``/v1/traces`` with the header
``x-clnrm-token``. Spans under an unknown token never reach a test: they are kept apart in
:attr:`Receiver.stray` and counted. Their sender is answered 200 with a *partial success* that rejects all of
them: an error status makes some exporters send the same spans again and again, and a plain 200 would be
a lie.

Answers: 200 (with ``partial_success`` where single spans had to be refused), 400 malformed, 404 other paths,
405, 413 too large, 415 unknown type or encoding, 503 with ``Retry-After`` when too much is in flight (429
makes exporters drop the batch). Metrics and logs are answered 200 and ignored, so that SDKs stay quiet.
Everything runs on the caller's asyncio loop; large requests are decoded in slices.
"""

from __future__ import annotations

import asyncio
import secrets
import select
import socket
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from tornado.httpserver import HTTPServer

from clnrm_nb.errors import BackendUnavailableError
from clnrm_nb.spans.intake import Shared
from clnrm_nb.spans.request import Delivery, Request
from clnrm_nb.spans.table import SpanTable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from tornado.httputil import HTTPConnection, HTTPMessageDelegate
    from tornado.iostream import IOStream

    from clnrm_nb.spans.intake import Intake

__all__ = ["Delivery", "Limits", "Receiver", "new_token"]

LOOPBACK: Final = "127.0.0.1"

_EVERYWHERE: Final = frozenset({"", "0.0.0.0", "::", "0", "*"})  # noqa: S104  refused below

_MAX_STRAY_SPANS: Final = 10_000
"""Strays kept for a look at them; all are counted."""


def new_token() -> str:
    """128 random bits, fit for a URL path."""
    return secrets.token_urlsafe(16)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a sender may ask of the receiver.

    Parameters
    ----------
    max_bytes, max_wire_bytes : int
        Of one body, unpacked and as sent.
    max_in_flight_bytes : int
        Of all bodies not answered yet; one token may hold half of it. Beyond: 503.
    header_timeout_s : float
        For a request's headers, and for an idle connection.
    body_timeout_s : float
        For a request's body.
    max_connections : int
        At a time; further ones are closed at once.
    """

    max_bytes: int = 20 * 1024 * 1024
    max_wire_bytes: int = 8 * 1024 * 1024
    max_in_flight_bytes: int = 64 * 1024 * 1024
    header_timeout_s: float = 60.0
    body_timeout_s: float = 30.0
    max_connections: int = 1000


class Receiver:
    """Receive spans over OTLP/HTTP. All methods belong on the event loop it was started on.

    Parameters
    ----------
    limits : Limits, optional
        See there.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.stray = SpanTable()
        """The first strays (own rows of no test); :attr:`stray_count` has all."""
        self.stray_count = 0
        self.shared = Shared()
        self._unclaimed: Counter[str | None] = Counter()
        self._sinks: dict[str, Callable[[Delivery], None]] = {}
        self._servers: dict[str, _Server] = {}
        self._uses: Counter[str] = Counter()
        self._ports: dict[str, int] = {}
        self._in_flight: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    # ------------------------------------------------------------------------------------ addresses

    @property
    def port(self) -> int:
        """Port on loopback, and on every other address where it was free."""
        return self._ports[LOOPBACK]

    async def start(self, port: int = 0) -> None:
        """Listen on loopback.

        Parameters
        ----------
        port : int
            0 takes a free one.

        Raises
        ------
        BackendUnavailableError
            CLN601, if the port cannot be bound.
        """
        self._listen(LOOPBACK, port)

    async def listen(self, address: str) -> None:
        """Listen on one more address of this machine, on the same port if it is free there.

        Each call needs one :meth:`unlisten`.

        Raises
        ------
        BackendUnavailableError
            CLN601, if it is no address of this machine, or stands for all of them.
        """
        if address not in self._servers:
            try:
                self._listen(address, self.port)
            except BackendUnavailableError:
                self._listen(address, 0)
        self._uses[address] += 1

    async def unlisten(self, address: str) -> None:
        """End one :meth:`listen`; the last one closes the address and its connections."""
        self._uses[address] -= 1
        if self._uses[address] <= 0 and address != LOOPBACK and address in self._servers:
            del self._uses[address], self._ports[address]
            await self._servers.pop(address).shut()

    async def stop(self) -> None:
        """Close everything; requests that were taken whole are still delivered."""
        servers = list(self._servers.values())
        self._servers.clear()
        for server in servers:
            server.stop()
        while self._tasks:
            await asyncio.wait(self._tasks)
        for server in servers:
            await server.shut()
        self._sinks.clear()

    def _listen(self, address: str, port: int) -> None:
        if address in _EVERYWHERE:
            raise BackendUnavailableError(
                f"the receiver does not listen on {address!r}, which stands for all interfaces", "CLN601"
            )
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            listening = socket.create_server((address, port), family=family)
        except OSError as error:
            raise BackendUnavailableError(
                f"the receiver cannot listen on {address}:{port}: {error.strerror or error}", "CLN601"
            ) from error
        listening.setblocking(False)
        server = _Server(self)
        server.add_socket(listening)
        server.listening = listening
        self._servers[address] = server
        self._ports[address] = listening.getsockname()[1]

    # --------------------------------------------------------------------------------------- tokens

    def register(self, token: str, sink: Callable[[Delivery], None]) -> None:
        """Hand what arrives under `token` to `sink`, on the event loop, one call a request."""
        self._sinks[token] = sink

    def unregister(self, token: str) -> None:
        """From now on the token is unknown; what is still on its way under it becomes stray."""
        self._sinks.pop(token, None)

    def endpoint(self, token: str, host: str) -> str:
        """The value of ``OTEL_EXPORTER_OTLP_ENDPOINT`` for programs that reach this machine as `host`."""
        port = self._ports.get(host, self._ports[LOOPBACK])
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/{token}"

    def knows(self, token: str) -> bool:
        """Whether a token is registered."""
        return token in self._sinks

    def claim_stray(self, test_id: str) -> int:
        """Strays that say they are of this test or of none, each counted once."""
        return self._unclaimed.pop(test_id, 0) + self._unclaimed.pop(None, 0)

    @property
    def unclaimed_stray_count(self) -> int:
        """Strays no test has claimed, such as those that came after their test."""
        return self._unclaimed.total()

    # ------------------------------------------------------------------------------------- requests

    def connections_busy(self, tokens: Collection[str] | None = None) -> bool:
        """Whether a connection has unread bytes, an unfinished request, or waits to be accepted.

        Parameters
        ----------
        tokens : collection of str, optional
            Look past connections that have so far delivered only under other tokens.
        """
        # A request outlives its connection when the sender does not wait for the answer.
        if any(self._in_flight[token] for token in (self._in_flight if tokens is None else tokens)):
            return True
        return any(server.is_busy(tokens) for server in self._servers.values())

    def may_take(self, token: str, size: int) -> bool:
        """Whether `size` more bytes in flight are all right; they then count until :meth:`release`."""
        limit = self.limits.max_in_flight_bytes
        if self._in_flight.total() + size > limit or self._in_flight[token] + size > limit // 2:
            return False
        self._in_flight[token] += size
        return True

    def release(self, token: str, size: int) -> None:
        """Bytes that are no longer in flight."""
        self._in_flight[token] -= size
        if self._in_flight[token] <= 0:
            del self._in_flight[token]

    def run(self, work: Any) -> None:
        """Let a request's coroutine run to its end."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def deliver(self, delivery: Delivery) -> bool:
        """Give a request's spans to their test, or to the strays; whether a test took them."""
        sink = self._sinks.get(delivery.token)
        if sink is not None:
            sink(delivery)
            return True
        if delivery.intake is not None:
            self._keep_stray(delivery.intake)
        return False

    def _keep_stray(self, intake: Intake) -> None:
        table = intake.table
        self.stray_count += len(table) + intake.n_refused
        self._unclaimed[None] += intake.n_refused
        for resource in table.resource:
            named = resource.attributes.get("clnrm.test.id")
            self._unclaimed[named if isinstance(named, str) else None] += 1
        room = _MAX_STRAY_SPANS - len(self.stray)
        self.stray.extend(table if len(table) <= room else table.select(range(max(room, 0))))


class _Server(HTTPServer):
    """One address; knows its open connections and what they are doing."""

    listening: socket.socket
    receiver: Receiver
    streams: WeakKeyDictionary[IOStream, _Stream]

    # tornado's Configurable calls this with what the constructor was given.
    def initialize(self, receiver: Receiver) -> None:  # type: ignore[override]
        limits = receiver.limits
        super().initialize(
            _unused,
            chunk_size=64 * 1024,
            max_header_size=32 * 1024,
            idle_connection_timeout=limits.header_timeout_s,
            body_timeout=limits.body_timeout_s,
            # A body beyond our own limit is still read (and thrown away), up to here: a sender that is cut
            # off in mid-body never sees the answer that tells it why.
            max_body_size=4 * limits.max_wire_bytes,
        )
        self.receiver = receiver
        self.streams = WeakKeyDictionary()

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        if sum(not known.closed() for known in self.streams) >= self.receiver.limits.max_connections:
            stream.close()
            return
        self.streams[stream] = _Stream()
        super().handle_stream(stream, address)

    def start_request(self, server_conn: Any, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        return Request(self.receiver, request_conn, self.streams[server_conn.stream])

    def is_busy(self, tokens: Collection[str] | None) -> bool:
        waiting = select.poll()
        if self.listening.fileno() >= 0:
            waiting.register(self.listening.fileno(), select.POLLIN)
        for stream, state in list(self.streams.items()):
            if stream.closed():
                continue
            if tokens is not None and state.token is not None and state.token not in tokens:
                continue
            # The headers of a request may be half read: then they are in the stream's own buffer.
            if state.n_requests or getattr(stream, "_read_buffer_size", 0):
                return True
            waiting.register(stream.fileno(), select.POLLIN)
        return bool(waiting.poll(0))

    async def shut(self) -> None:
        """Stop listening and close all connections."""
        self.stop()
        for stream in list(self.streams):
            stream.close()
        await self.close_all_connections()


def _unused(_request: object) -> None:
    """Requests go through ``_Server.start_request``."""


class _Stream:
    """What is known about one open connection."""

    __slots__ = ("n_requests", "token")

    def __init__(self) -> None:
        self.n_requests = 0
        self.token: str | None = None
