"""Where a shared cache lies: a directory, or a server that knows GET, HEAD and PUT.

Both hold files by name and know nothing of what is in them. Whatever goes wrong is an ``OSError``; a name
that is not there is ``None``. Nothing is waited for longer than :data:`LONGEST_S`, and nothing larger is read
than was asked for.
"""

from __future__ import annotations

import http.client
import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

from clnrm_nb.config.writing import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["LONGEST_S", "DirectoryPlace", "HttpPlace", "Place"]

LONGEST_S: Final = 5.0
"""Seconds of one request, whatever it is: a slow cache is worse than none."""

_SILENCE_S: Final = 2.0
_CHUNK_BYTES: Final = 1024 * 1024


class Place(Protocol):
    """Files by name, such as ``cas/<64 hex>``."""

    def read(self, name: str, most_bytes: int) -> bytes | None:
        """The content; ``None``: there is none."""

    def has(self, name: str) -> bool:
        """Whether there is one."""

    def write(self, name: str, content: bytes) -> None:
        """Put it there, whole or not at all."""


class DirectoryPlace:
    """Below a directory, which several machines may have mounted."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, name: str, most_bytes: int) -> bytes | None:
        """See :class:`Place`."""
        try:
            with (self._root / name).open("rb") as file:
                content = file.read(most_bytes + 1)
        except FileNotFoundError:
            return None
        return _fitting(content, most_bytes, name)

    def has(self, name: str) -> bool:
        """See :class:`Place`."""
        return (self._root / name).is_file()

    def write(self, name: str, content: bytes) -> None:
        """See :class:`Place`."""
        write_atomically(self._root / name, content)


class HttpPlace:
    """Below an address. Redirections are not followed: what answers is what was named.

    Parameters
    ----------
    url : str
        ``http://host:port/path`` or ``https://…``.
    longest_s : float
        Seconds of one request.
    """

    def __init__(self, url: str, *, longest_s: float = LONGEST_S) -> None:
        self._address = urlsplit(url)
        self._longest_s = longest_s
        self._lock = threading.Lock()
        self._idle: list[http.client.HTTPConnection] = []

    def read(self, name: str, most_bytes: int) -> bytes | None:
        """See :class:`Place`."""
        return self._ask("GET", name, most_bytes=most_bytes)

    def has(self, name: str) -> bool:
        """See :class:`Place`."""
        return self._ask("HEAD", name) is not None

    def write(self, name: str, content: bytes) -> None:
        """See :class:`Place`."""
        if self._ask("PUT", name, content) is None:
            raise OSError(f"the server does not take `{name}`: 404")

    def _ask(self, method: str, name: str, body: bytes | None = None, *, most_bytes: int = 0) -> bytes | None:
        """The body of the answer; ``None`` if nothing is there."""
        path = f"{self._address.path.rstrip('/')}/{name}"
        try:
            with self._connection() as connection, self._in_time(connection, name):
                answer = _answer(connection, method, path, body)
                content = _body(answer, most_bytes, name)
                if answer.will_close:
                    connection.close()
        except http.client.HTTPException as error:
            raise OSError(_told(error)) from error
        if answer.status == http.client.NOT_FOUND:
            return None
        if not http.client.OK <= answer.status < http.client.MULTIPLE_CHOICES:
            raise OSError(f"the server answered {answer.status} {answer.reason}".rstrip())
        return content

    @contextmanager
    def _connection(self) -> Iterator[http.client.HTTPConnection]:
        """One that nobody else uses; it is kept unless something goes wrong."""
        with self._lock:
            connection = self._idle.pop() if self._idle else self._new_connection()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        with self._lock:
            self._idle.append(connection)

    def _new_connection(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._address.scheme == "https" else http.client.HTTPConnection
        assert self._address.hostname is not None
        return kind(self._address.hostname, self._address.port, timeout=_SILENCE_S)

    @contextmanager
    def _in_time(self, connection: http.client.HTTPConnection, name: str) -> Iterator[None]:
        """Cut the connection when time is up: a server that drips is never silent for long."""
        is_up = threading.Event()

        def cut() -> None:
            is_up.set()
            if connection.sock is not None:
                with suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(self._longest_s, cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        except (OSError, http.client.HTTPException):
            if not is_up.is_set():
                raise
        finally:
            timer.cancel()
        if is_up.is_set():
            raise TimeoutError(f"`{name}` took longer than {self._longest_s:g} s")


def _answer(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None
) -> http.client.HTTPResponse:
    """One request; once more where a kept connection has been closed meanwhile."""
    headers = {"Content-Type": "application/octet-stream"} if body is not None else {}
    is_kept = connection.sock is not None
    try:
        connection.request(method, path, body, headers)
        return connection.getresponse()
    except (ConnectionError, http.client.CannotSendRequest):
        connection.close()
        if not is_kept:
            raise
        connection.request(method, path, body, headers)
        return connection.getresponse()


def _body(answer: http.client.HTTPResponse, most_bytes: int, name: str) -> bytes:
    """All of an answer; of one that says no, so much as is needed to use its connection again."""
    most = most_bytes if answer.status == http.client.OK else _CHUNK_BYTES
    content = answer.read(most + 1)
    if len(content) <= most and answer.length:
        raise OSError(f"`{name}` was cut off")
    return _fitting(content, most, name)


def _fitting(content: bytes, most_bytes: int, name: str) -> bytes:
    if len(content) > most_bytes:
        raise OSError(f"`{name}` holds more than {most_bytes} bytes")
    return content


def _told(error: Exception) -> str:
    return str(error) or type(error).__name__
