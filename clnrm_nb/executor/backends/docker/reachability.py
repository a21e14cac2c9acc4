"""Whether containers really reach this process by ``host.docker.internal``: tried once, not guessed.

Only needed where the gateway of a network is not this process's to listen on. There the name leads to
loopback with Docker Desktop, to somewhere else with a remote engine or a kernel in a container, and spans
that never arrive would look like a program that sends none.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from clnrm_nb.errors import BackendUnavailableError
from clnrm_nb.executor.backends.docker.network import HOST_NAME
from clnrm_nb.executor.backends.protocol import CommandSpec

if TYPE_CHECKING:
    from clnrm_nb.executor.backends.docker.unit import DockerUnit

__all__ = ["is_reached_from", "unreachable"]

_TRY_S: Final = 3
_LIMIT_S: Final = 15.0
_NO_TOOL: Final = 99
# Whatever the image has that can open a connection; the listener counts connections, not answers.
_SCRIPT: Final = f"""
if command -v nc >/dev/null; then nc -w {_TRY_S} "$1" "$2" </dev/null
elif command -v wget >/dev/null; then wget -q -T {_TRY_S} -O /dev/null "http://$1:$2/"
elif command -v curl >/dev/null; then curl -s -m {_TRY_S} -o /dev/null "http://$1:$2/"
elif command -v python3 >/dev/null; then
  python3 -c 'import socket, sys; socket.create_connection(tuple(sys.argv[1:]), {_TRY_S})' "$1" "$2"
else exit {_NO_TOOL}; fi
"""


async def is_reached_from(unit: DockerUnit, listen_address: str) -> bool:
    """Connect from the runner container of an open unit to a listener of ours.

    An image without any tool for it gets the benefit of the doubt.
    """
    arrived = asyncio.Event()

    async def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        writer.close()

    server = await asyncio.start_server(accept, listen_address, 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        argv = ("/bin/sh", "-c", _SCRIPT, "sh", HOST_NAME, str(port))
        result = await unit.execute(CommandSpec("reach the receiver", argv, None, timeout_s=_LIMIT_S))
    has_tried = result.error is None and result.exit_code != _NO_TOOL
    return arrived.is_set() or not has_tried


def unreachable(address: str) -> BackendUnavailableError:
    """CLN601 for an engine whose containers cannot send their spans here."""
    return BackendUnavailableError(
        f"containers of the engine at {address} cannot reach this process: it cannot listen at the gateway "
        f"of their network, and {HOST_NAME} does not lead here",
        "CLN601",
        hint="run clnrm on the engine's own machine and outside of containers, or with `--network host`; "
        "a rootless engine needs `host-gateway-ip` to lead to this machine's loopback",
    )
