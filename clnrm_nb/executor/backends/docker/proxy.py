"""Published ports on a network that publishes none: a TCP proxy on this machine's loopback.

It lives on the event loop of the run and dies with the unit, connections included.
"""

from __future__ import annotations

import asyncio
import ipaddress
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from clnrm_nb.errors import ClnrmError

if TYPE_CHECKING:
    from clnrm_nb.scenario.model import PortMapping

__all__ = ["PortProxy", "is_loopback"]

_LOOPBACK: Final = "127.0.0.1"
_CHUNK_BYTES: Final = 64 * 1024


def is_loopback(address: str) -> bool:
    """Whether an address to listen at is this machine's own."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


class PortProxy:
    """One published port. Made by :meth:`open`.

    Attributes
    ----------
    host_port : int
        Where it listens; a free port where the file asked for 0.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.host_port = 0
        self._target = target
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(cls, service: str, port: PortMapping, target: tuple[str, int]) -> PortProxy:
        """Listen on loopback and hand every connection on to `target`.

        Raises
        ------
        ClnrmError
            CLN603: the port is taken, or this user may not listen on it.
        """
        proxy = cls(target)
        host = port.ip if port.ip is not None and is_loopback(port.ip) else _LOOPBACK
        try:
            proxy._server = await asyncio.start_server(proxy._accept, host, port.host)
        except OSError as taken:
            reason = (taken.strerror or str(taken)).lower()
            raise ClnrmError(
                f"port {port.host} of this machine cannot be served for `{service}`: {reason}",
                "CLN603",
                hint='end what uses it, or let a free one be taken (`"0:{port}"`)'.replace(
                    "{port}", str(port.container)
                ),
            ) from taken
        proxy.host_port = proxy._server.sockets[0].getsockname()[1]
        return proxy

    async def close(self) -> None:
        """Stop listening and end every connection."""
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.CancelledError):
            # Nobody awaits this task; a refused target looks to the client like the closed port it is.
            pass
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(*self._target)
        try:
            await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))
        finally:
            inner_writer.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(_CHUNK_BYTES):
        sink.write(data)
        await sink.drain()
    with suppress(OSError):
        sink.write_eof()
