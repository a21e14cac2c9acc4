"""The SDK's way to an engine's local socket, with one thing mended: what could not be connected is closed.

The SDK leaves such a socket to the garbage collector. Each call to an engine that is gone then holds a
descriptor until some later moment, and Python complains of it there, in the middle of something else.
"""

from __future__ import annotations

import socket
from typing import Any, cast

from docker.transport.unixconn import UnixHTTPAdapter, UnixHTTPConnection, UnixHTTPConnectionPool

__all__ = ["ClosingAdapter"]


class _Connection(UnixHTTPConnection):
    def connect(self) -> None:
        reached = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            reached.settimeout(self.timeout)
            reached.connect(self.unix_socket)
        except BaseException:
            reached.close()
            raise
        self.sock = reached


class _Pool(UnixHTTPConnectionPool):
    def _new_conn(self) -> Any:
        return _Connection(self.base_url, self.socket_path, cast("int", self.timeout))


class ClosingAdapter(UnixHTTPAdapter):
    """As the adapter that it is made from, which has not been used yet."""

    def __init__(self, given: UnixHTTPAdapter) -> None:
        super().__init__(f"http+unix://{given.socket_path}", given.timeout, max_pool_size=given.max_pool_size)

    def get_connection(self, url: Any, proxies: Any = None) -> _Pool:  # noqa: ARG002  # A local socket has none.
        """The pool of connections for an address."""
        with self.pools.lock:
            pool = self.pools.get(url)
            if pool is None:
                pool = _Pool(url, self.socket_path, self.timeout, maxsize=self.max_pool_size)
                self.pools[url] = pool
        return pool
