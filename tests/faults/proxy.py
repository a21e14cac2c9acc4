"""A proxy between a client and a real engine that makes one call go wrong, or many at random.

It speaks as much HTTP as tells one call from the next, counts the calls over all connections, and does one of
:data:`KINDS` to the one that a :class:`Fault` names. Everything else passes untouched, hijacked streams
included. As a program (``python tests/faults/proxy.py SOCKET ENGINE --seed 1``) it does something at random
to every fiftieth call or so, for soak tests that measure their own process.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

KINDS = ("slow", "hung", "500", "409", "404", "no space", "reset", "lost", "cut", "gone")
"""``slow`` answers late, ``hung`` never. ``500``, ``409``, ``404`` and ``no space`` are the engine's words for a
call that it never gets. ``reset`` closes the connection before the engine has the call, ``lost`` after it has
done it, ``cut`` in the middle of the answer or of a stream. ``gone`` takes the socket away for a while."""

_PIECE_BYTES = 64 * 1024
_SLOW_S = 5.0
_GONE_S = 1.0
_CUT_AFTER_S = 0.3
_MESSAGES = {
    "500": (500, "something is broken"),
    "409": (409, "conflict: somebody else is at it"),
    "404": (404, "no such thing"),
    "no space": (500, "write /var/lib/engine/layer: no space left on device"),
}


@dataclass(frozen=True, slots=True)
class Call:
    """One request: its method and its path without the version."""

    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(slots=True)
class Fault:
    """What goes wrong at the `nth` call (from 1) among those that `matches` picks.

    Parameters
    ----------
    kind : str
        One of :data:`KINDS`.
    message : str, optional
        The engine's words, for the kinds that answer.
    """

    kind: str
    nth: int = 1
    matches: Callable[[Call], bool] = lambda call: True
    message: str | None = None
    slow_s: float = _SLOW_S
    gone_s: float = _GONE_S
    seen: int = 0

    def is_due(self, call: Call) -> bool:
        """Count a call; whether it is the one."""
        if not self.matches(call):
            return False
        self.seen += 1
        return self.seen == self.nth


class Proxy:
    """Listens on one unix socket and passes calls on to another, from its making until :meth:`close`."""

    def __init__(self, path: Path, engine_path: Path) -> None:
        self.path = path
        self.url = f"unix://{path}"
        self.calls: list[Call] = []
        self.hit: Call | None = None
        """The call that went wrong."""
        self.choose: Callable[[Call], Fault | None] = lambda call: None
        self._engine_path = engine_path
        self._away = path.with_suffix(".away")
        self._fault: Fault | None = None
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._is_closed = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(128)
        threading.Thread(target=self._accept, daemon=True).start()

    def inject(self, fault: Fault | None) -> None:
        """Forget what was, and let this go wrong from now on; a socket that is away comes back."""
        self._bring_back()
        with self._lock:
            self._fault, self.hit, self.calls = fault, None, []

    def close(self) -> None:
        """End everything, calls that hang included."""
        self._is_closed.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._drop_all()
        for path in (self.path, self._away):
            path.unlink(missing_ok=True)

    # ----------------------------------------------------------------------------------------- serving

    def _accept(self) -> None:
        while not self._is_closed.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        engine = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with self._lock:
            self._open |= {client, engine}
        try:
            with suppress(OSError), client, engine:
                engine.connect(str(self._engine_path))
                self._pass_calls(_Wire(client), _Wire(engine))
        finally:
            with self._lock:
                self._open -= {client, engine}

    def _pass_calls(self, client: _Wire, engine: _Wire) -> None:
        while head := client.head():
            call = _call_of(head)
            fault = self._due(call)
            kind = fault.kind if fault else None
            if fault and kind == "reset":
                return
            body = list(client.body(head, is_request=True))
            if fault and kind == "gone":
                self._take_away(fault.gone_s)
                return
            if fault and kind == "hung":
                self._is_closed.wait()
                return
            if fault and kind in _MESSAGES:
                client.socket.sendall(_answer(*_MESSAGES[fault.kind], fault.message))
                continue
            if fault and kind == "slow":
                self._is_closed.wait(fault.slow_s)
            engine.socket.sendall(head + b"".join(body))
            if not self._pass_answer(call, client, engine, kind):
                return

    def _pass_answer(self, call: Call, client: _Wire, engine: _Wire, kind: str | None) -> bool:
        """Whether the connection can be used for another call."""
        head = engine.head()
        if not head:
            return False
        is_stream = _is_stream(head)
        if kind == "lost":
            if not is_stream:
                list(engine.body(head, call=call))
            return False
        client.socket.sendall(head)
        if is_stream:
            _pass_stream(client, engine, _CUT_AFTER_S if kind == "cut" else None)
            return False
        pieces = list(engine.body(head, call=call)) if kind == "cut" else engine.body(head, call=call)
        if kind == "cut":
            answer = b"".join(pieces)
            client.socket.sendall(answer[: len(answer) // 2])
            return False
        for piece in pieces:
            client.socket.sendall(piece)
        return True

    def _due(self, call: Call) -> Fault | None:
        with self._lock:
            self.calls.append(call)
            if self._fault is not None and self._fault.is_due(call):
                self.hit = call
                return self._fault
            return self.choose(call)

    def _take_away(self, seconds: float) -> None:
        """No socket for a while, and no connection that was open before."""
        with suppress(OSError):
            self.path.rename(self._away)
        self._drop_all()
        timer = threading.Timer(seconds, self._bring_back)
        timer.daemon = True
        timer.start()

    def _bring_back(self) -> None:
        with suppress(OSError):
            self._away.rename(self.path)

    def _drop_all(self) -> None:
        with self._lock:
            sockets = list(self._open)
        for each in sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


class _Wire:
    """One side of a connection, with what was read beyond the part in hand."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end
        self._rest = b""

    def head(self) -> bytes:
        """Everything up to the empty line; nothing at the end of the connection."""
        while b"\r\n\r\n" not in self._rest:
            if not self._more():
                return b""
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        return head + b"\r\n\r\n"

    def body(self, head: bytes, *, is_request: bool = False, call: Call | None = None) -> Iterator[bytes]:
        """The message's body as it came, chunk headers included."""
        fields = _fields(head)
        if fields.get("transfer-encoding", "").lower() == "chunked":
            yield from self._chunks()
        elif "content-length" in fields:
            if call is None or call.method != "HEAD":
                yield from self._exactly(int(fields["content-length"]))
        elif not is_request and not _has_no_body(head, call):
            yield from self.all()

    def all(self) -> Iterator[bytes]:
        """Everything until the other side has no more."""
        while self._rest or self._more():
            piece, self._rest = self._rest, b""
            yield piece

    def _chunks(self) -> Iterator[bytes]:
        while True:
            line = self._line()
            yield line
            size = int(line.split(b";")[0] or b"0", 16)
            yield from self._exactly(size + 2)
            if size == 0:
                return

    def _line(self) -> bytes:
        while b"\r\n" not in self._rest:
            if not self._more():
                raise ConnectionError("the engine broke off")
        line, _, self._rest = self._rest.partition(b"\r\n")
        return line + b"\r\n"

    def _exactly(self, count: int) -> Iterator[bytes]:
        while count > 0:
            if not self._rest and not self._more():
                raise ConnectionError("the other side broke off")
            piece, self._rest = self._rest[:count], self._rest[count:]
            count -= len(piece)
            yield piece

    def _more(self) -> bool:
        piece = self.socket.recv(_PIECE_BYTES)
        self._rest += piece
        return bool(piece)


def _pass_stream(client: _Wire, engine: _Wire, cut_after_s: float | None) -> None:
    """Both ways until the engine ends; or for a moment only."""

    def up() -> None:
        with suppress(OSError):
            for piece in client.all():
                engine.socket.sendall(piece)
        with suppress(OSError):
            engine.socket.shutdown(socket.SHUT_WR)

    def cut() -> None:
        for wire in (client, engine):
            with suppress(OSError):
                wire.socket.shutdown(socket.SHUT_RDWR)

    upward = threading.Thread(target=up, daemon=True)
    upward.start()
    timer = threading.Timer(cut_after_s or 0.0, cut)
    if cut_after_s is not None:
        timer.daemon = True
        timer.start()
    with suppress(OSError):
        for piece in engine.all():
            client.socket.sendall(piece if cut_after_s is None else piece[: len(piece) // 2])
            if cut_after_s is not None:
                break
    timer.cancel()
    cut()
    upward.join()


def _call_of(head: bytes) -> Call:
    method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
    path = target.partition("?")[0]
    if path.startswith("/v1."):
        path = "/" + path.split("/", 2)[2]
    return Call(method, path)


def _fields(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines if line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _status(head: bytes) -> int:
    return int(head.split(b" ", 2)[1])


def _is_stream(head: bytes) -> bool:
    """Whether both sides now speak something else than HTTP."""
    fields = _fields(head)
    is_measured = "content-length" in fields or "transfer-encoding" in fields
    is_raw = fields.get("content-type", "").startswith("application/vnd.docker.")
    return _status(head) == 101 or (is_raw and not is_measured)


def _has_no_body(head: bytes, call: Call | None) -> bool:
    return _status(head) in (204, 304) or (call is not None and call.method == "HEAD")


def _answer(status: int, usual: str, message: str | None) -> bytes:
    body = json.dumps({"message": message or usual}).encode()
    return (
        f"HTTP/1.1 {status} Fault\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def at_random(seed: int, every: int) -> Callable[[Call], Fault | None]:
    """Something goes wrong at one call in `every`, the same for the same seed and order of calls."""
    dice = random.Random(seed)

    def choose(call: Call) -> Fault | None:
        if dice.randrange(every):
            return None
        return Fault(dice.choice(KINDS), slow_s=1.0, gone_s=0.3)

    return choose


def main() -> int:
    parser = argparse.ArgumentParser(description="An engine where things go wrong at random.")
    parser.add_argument("socket", type=Path)
    parser.add_argument("engine", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=int, default=50, help="one call in so many (default: %(default)s)")
    given = parser.parse_args()
    proxy = Proxy(given.socket, given.engine)
    proxy.choose = at_random(given.seed, given.every)
    print(f"listening, pid {os.getpid()}", flush=True)
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(0.5)
    proxy.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
