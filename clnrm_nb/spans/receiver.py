"""The one OTLP receiver of a process: every span that arrives over the network comes in here.

It listens on loopback and on addresses it is told (the gateways of tests' networks), never on all interfaces:
OTLP/HTTP always, OTLP/gRPC where a test asks for it (the extra ``grpc``). Who may deliver what is decided by
tokens: ``/<token>/v1/traces``, or the header (gRPC: metadata) ``x-clnrm-token``. Spans under an unknown token
never reach a test: they are kept apart in :attr:`Receiver.stray` and counted. Their sender is answered 200
with a *partial success* that rejects all of them: an error status makes some exporters send the same spans
again and again, and a plain 200 would be a lie.

HTTP answers: 200 (with ``partial_success`` where single spans had to be refused), 400 malformed, 404 other
paths, 405, 413 too large, 415 unknown type or encoding, 503 with ``Retry-After`` when too much is in flight
(429 makes exporters drop the batch). Metrics and logs are answered 200 and ignored, so that SDKs stay quiet.
Everything runs on the caller's asyncio loop; memory, time and connections are shared fairly among the tests
(:mod:`clnrm_nb.spans.fairness`, :mod:`clnrm_nb.spans.connections`).
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.errors import BackendUnavailableError
from clnrm_nb.spans.connections import Places, Server, max_open_files
from clnrm_nb.spans.export import Delivery
from clnrm_nb.spans.fairness import Account, Shares, Turns
from clnrm_nb.spans.intake import Shared
from clnrm_nb.spans.strays import Strays

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from clnrm_nb.spans.grpc_server import GrpcServer
    from clnrm_nb.spans.table import SpanTable

__all__ = ["Limits", "Receiver", "new_token"]

LOOPBACK: Final = "127.0.0.1"

_EVERYWHERE: Final = frozenset({"", "0.0.0.0", "::", "0", "*"})  # noqa: S104  refused below


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
        Of all bodies not answered yet, at least four times `max_bytes`; a test may hold as much as stays free
        for the others. Beyond: 503.
    max_test_bytes : int
        Of all bodies of one test, unpacked; what comes after that is refused and reported as lost.
    header_timeout_s : float
        For a request's headers, and for an idle connection.
    body_timeout_s : float
        For a request's body.
    max_connections : int
        At a time, at most half of the files this process may open; a further one takes the place of the
        oldest connection of whoever has the most.
    """

    max_bytes: int = 20 * 1024 * 1024
    max_wire_bytes: int = 8 * 1024 * 1024
    max_in_flight_bytes: int = 64 * 1024 * 1024
    max_test_bytes: int = 512 * 1024 * 1024
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
        self.shared = Shared()
        self.shares = Shares(max(self.limits.max_in_flight_bytes, 4 * self.limits.max_bytes))
        self.turns = Turns()
        self.places = Places(min(self.limits.max_connections, max_open_files() // 2))
        self.in_flight: Counter[str] = Counter()
        """Requests being received, decoded or answered, by token."""
        self._strangers = Account()
        self._strays = Strays()
        self._sinks: dict[str, tuple[Callable[[Delivery], None], Account]] = {}
        self._servers: dict[str, Server] = {}
        self._grpc: dict[str, GrpcServer] = {}
        self._uses: Counter[str] = Counter()
        self._ports: dict[str, int] = {}
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

    async def listen(self, address: str, *, grpc: bool = False) -> None:
        """Listen on one more address of this machine, on the same port if it is free there.

        Each call needs one :meth:`unlisten`.

        Parameters
        ----------
        address : str
        grpc : bool
            Listen for OTLP/gRPC too, on a port of its own.

        Raises
        ------
        BackendUnavailableError
            CLN601, if it is no address of this machine, or stands for all of them, or without the extra
            ``grpc``.
        """
        if address not in self._servers:
            try:
                self._listen(address, self.port)
            except BackendUnavailableError:
                self._listen(address, 0)
        self._uses[address] += 1
        if grpc and address not in self._grpc:
            from clnrm_nb.spans.grpc_server import GrpcServer

            server = self._grpc[address] = GrpcServer(self)
            await server.start(address)

    async def unlisten(self, address: str) -> None:
        """End one :meth:`listen`; the last one closes the address and its connections."""
        self._uses[address] -= 1
        if self._uses[address] <= 0 and address != LOOPBACK and address in self._servers:
            del self._uses[address], self._ports[address]
            await self._servers.pop(address).shut()
            if address in self._grpc:
                await self._grpc.pop(address).stop()

    async def stop(self) -> None:
        """Close everything; requests that were taken whole are still delivered."""
        servers = list(self._servers.values())
        self._servers.clear()
        for server in servers:
            server.stop()
        while self._grpc:
            await self._grpc.popitem()[1].stop()
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
        server = Server(self)
        server.add_socket(listening)
        server.listening = listening
        self._servers[address] = server
        self._ports[address] = listening.getsockname()[1]

    # --------------------------------------------------------------------------------------- tokens

    def register(self, token: str, sink: Callable[[Delivery], None], account: Account | None = None) -> None:
        """Hand what arrives under `token` to `sink`, on the event loop, one call a request.

        Parameters
        ----------
        token : str
        sink : callable
        account : Account, optional
            Shared by all tokens of a test; by default the token has one of its own.
        """
        self._sinks[token] = sink, account or Account()

    def unregister(self, token: str) -> None:
        """From now on the token is unknown; what is still on its way under it becomes stray."""
        self._sinks.pop(token, None)

    def account_of(self, token: str) -> Account:
        """Who pays for what comes under a token; all strangers share one account."""
        known = self._sinks.get(token)
        return known[1] if known else self._strangers

    def endpoint(self, token: str, host: str, *, grpc: bool = False) -> str:
        """The value of ``OTEL_EXPORTER_OTLP_ENDPOINT`` for programs that reach this machine as `host`.

        For gRPC, which has no paths, the token is not in it: it has to come as metadata.
        """
        shown = f"[{host}]" if ":" in host else host
        if grpc:
            server = self._grpc.get(host) or self._grpc[LOOPBACK]
            return f"http://{shown}:{server.port}"
        return f"http://{shown}:{self._ports.get(host, self._ports[LOOPBACK])}/{token}"

    def knows(self, token: str) -> bool:
        """Whether a token is registered."""
        return token in self._sinks

    # -------------------------------------------------------------------------------------- strays

    @property
    def stray(self) -> SpanTable:
        """The first strays (rows of no test); :attr:`stray_count` has all."""
        return self._strays.table

    @property
    def stray_count(self) -> int:
        """Spans that have come under unknown tokens."""
        return self._strays.count

    def claim_stray(self, test_id: str) -> int:
        """Strays that say they are of this test or of none, each counted once."""
        return self._strays.claim(test_id)

    def claim_stray_rest(self) -> dict[str | None, int]:
        """Strays no test has claimed, such as those that came after their test, by the test they name."""
        return self._strays.claim_rest()

    @property
    def unclaimed_stray_count(self) -> int:
        """Strays no test has claimed."""
        return self._strays.n_unclaimed

    # ------------------------------------------------------------------------------------- requests

    def connections_busy(self, tokens: Collection[str] | None = None) -> bool:
        """Whether a connection has unread bytes, an unfinished request, or waits to be accepted.

        Parameters
        ----------
        tokens : collection of str, optional
            Look past connections that have so far delivered only under other tokens.
        """
        # A request outlives its connection when the sender does not wait for the answer.
        if any(self.in_flight[token] for token in (self.in_flight if tokens is None else tokens)):
            return True
        return any(server.is_busy(tokens) for server in self._servers.values())

    def run(self, work: Any) -> None:
        """Let a request's coroutine run to its end."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def deliver(self, delivery: Delivery) -> bool:
        """Give a request's spans to their test, or to the strays; whether a test took them."""
        known = self._sinks.get(delivery.token)
        if known is not None:
            known[0](delivery)
            return True
        if delivery.intake is not None:
            self._strays.keep(delivery.intake, delivery.size)
        return False
