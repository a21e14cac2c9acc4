"""One HTTP request of the receiver: from its headers to its answer."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import orjson
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, ResponseStartLine
from tornado.iostream import StreamClosedError

from clnrm_nb.spans import rpc
from clnrm_nb.spans.compression import Body, BodyError, EncodingError, TooLargeError
from clnrm_nb.spans.export import BUSY, Export, Refusal, Taken

if TYPE_CHECKING:
    from tornado.httputil import HTTPConnection, RequestStartLine

    from clnrm_nb.spans.connections import Connection, Places
    from clnrm_nb.spans.fairness import Fingerprint
    from clnrm_nb.spans.receiver import Receiver

__all__ = ["Request"]

_log = logging.getLogger(__name__)

_JSON: Final = "application/json"
_PROTOBUF: Final = "application/x-protobuf"
_REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
_RPC_CODES: Final = {400: 3, 404: 5, 405: 12, 413: 8, 415: 3, 500: 13, 503: 14}
"""google.rpc.Code by HTTP status."""

_NO_TOKEN: Final = ""
_TAIL: Final = 8
"""Last bytes that tell two bodies apart: the trailer of gzip."""


class Request(HTTPMessageDelegate):
    """Take one request in, piece by piece; decode and deliver it when it is whole."""

    __slots__ = (
        "_body",
        "_connection",
        "_export",
        "_ignored",
        "_is_json",
        "_is_whole",
        "_length",
        "_places",
        "_receiver",
        "_refusal",
        "_state",
        "_tail",
    )

    def __init__(
        self, receiver: Receiver, connection: HTTPConnection, state: Connection, places: Places
    ) -> None:
        self._receiver = receiver
        self._connection = connection
        self._state = state
        self._places = places
        self._body: Body | None = None
        self._export: Export | None = None
        self._refusal: Refusal | None = None
        self._ignored = False
        self._is_json = False
        self._is_whole = False
        self._length: int | None = None
        self._tail = b""

    # -------------------------------------------------------------------------------- called by tornado

    def headers_received(self, start_line: Any, headers: HTTPHeaders) -> None:
        """Decide what it is and whether its body is wanted."""
        # Not before: tornado makes this object when it begins to wait for a request.
        self._state.n_requests += 1
        content_type = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        self._is_json = content_type == _JSON
        length = headers.get("Content-Length", "")
        self._length = int(length) if length.isascii() and length.isdigit() else None
        try:
            self._route(start_line, headers, content_type)
            limits = self._receiver.limits
            self._body = Body(
                headers.get("Content-Encoding", ""),
                max_wire_bytes=limits.max_wire_bytes,
                max_bytes=limits.max_bytes,
            )
        except EncodingError as error:
            self._refuse(Refusal(415, str(error)))
        except Refusal as refusal:
            self._refuse(refusal)

    def data_received(self, chunk: bytes) -> None:
        """Unpack the next piece; of a refused request it is thrown away."""
        self._tail = (self._tail + chunk[-_TAIL:])[-_TAIL:]
        if self._refusal is not None or self._ignored or self._body is None:
            return
        assert self._export is not None
        before = len(self._body)
        try:
            self._body.feed(chunk)
            self._export.admit(len(self._body) - before)
        except BodyError as error:
            self._refuse(Refusal(413 if isinstance(error, TooLargeError) else 400, str(error)))
        except Refusal as refusal:
            self._refuse(refusal)

    def finish(self) -> None:
        """Answer it, in a task of its own."""
        self._is_whole = True
        self._receiver.run(self._answer())

    def on_connection_close(self) -> None:
        """Let go of what is not whole; what had come whole is still delivered."""
        if not self._is_whole:
            if self._export is not None and not self._ignored:
                self._export.cut_off(self._length)
            self._end()

    # ------------------------------------------------------------------------------------- taking it in

    def _route(self, start_line: RequestStartLine, headers: HTTPHeaders, content_type: str) -> None:
        # No parser of URLs: those raise for what may stand in a request line all the same.
        path = start_line.path.partition("?")[0]
        parts = [unquote(part) for part in path.split("/") if part]
        if parts[-2:] not in (["v1", "traces"], ["v1", "metrics"], ["v1", "logs"]) or len(parts) > 3:  # noqa: PLR2004  token, v1, signal
            raise Refusal(404, "there is nothing here; spans go to /<token>/v1/traces")
        if start_line.method != "POST":
            raise Refusal(405, f"{start_line.method} is not accepted; use POST")
        token = parts[0] if len(parts) == 3 else headers.get("x-clnrm-token", _NO_TOKEN)  # noqa: PLR2004  as above
        self._export = Export(self._receiver, token)
        self._places.belongs(self._state, token, self._receiver.account_of(token))
        self._ignored = parts[-1] != "traces"
        if content_type not in (_JSON, _PROTOBUF):
            raise Refusal(415, f"content type {content_type!r} is not accepted; use {_PROTOBUF} or {_JSON}")

    def _refuse(self, refusal: Refusal) -> None:
        # Not this one itself: its traceback would hold on to the body.
        self._refusal = Refusal(refusal.status, str(refusal))
        self._body = None

    @property
    def _fingerprint(self) -> Fingerprint:
        return self._length, self._tail

    async def _answer(self) -> None:
        try:
            taken = Taken()
            if self._refusal is None and not self._ignored:
                taken = await self._take()
            if self._refusal is None:
                self._reply(200, self._success(taken))
                return
            if self._export is not None and not self._ignored:
                self._export.refused(self._refusal, self._fingerprint)
            self._reply(self._refusal.status, self._status(self._refusal))
        except StreamClosedError:
            pass  # The sender did not wait for the answer; its spans were delivered.
        finally:
            self._end()

    async def _take(self) -> Taken:
        assert self._export is not None
        assert self._body is not None
        body, self._body = self._body, None
        try:
            return await self._export.take(body.finish, self._fingerprint, is_json=self._is_json)
        except Refusal as refusal:
            self._refuse(refusal)
        except Exception:  # noqa: BLE001  # A bug, and its sender and its test are told.
            _log.exception("a request could not be decoded")
            self._refuse(Refusal(500, "internal error of the receiver"))
        return Taken()

    # ---------------------------------------------------------------------------------------- answering

    def _success(self, taken: Taken) -> bytes:
        if not self._is_json:
            return rpc.success(taken.n_rejected, taken.message)
        partial = {"rejectedSpans": str(taken.n_rejected), "errorMessage": taken.message}
        return orjson.dumps({"partialSuccess": partial} if taken.n_rejected else {})

    def _status(self, refusal: Refusal) -> bytes:
        code, text = _RPC_CODES[refusal.status], str(refusal)
        return orjson.dumps({"code": code, "message": text}) if self._is_json else rpc.status(code, text)

    def _reply(self, status: int, body: bytes) -> None:
        headers = HTTPHeaders(
            {"Content-Type": _JSON if self._is_json else _PROTOBUF, "Content-Length": str(len(body))}
        )
        if status == BUSY:
            headers["Retry-After"] = str(rpc.RETRY_AFTER_S)
        if status == 415:  # noqa: PLR2004
            headers["Accept-Encoding"] = "gzip, deflate"
        future = self._connection.write_headers(
            ResponseStartLine("HTTP/1.1", status, _REASONS[status]), headers, body
        )
        future.add_done_callback(lambda done: done.exception())
        self._connection.finish()

    def _end(self) -> None:
        """Nothing of this request is held any more; safe to call twice."""
        if self._state is not None:
            self._state.n_requests -= 1
            self._state = None  # type: ignore[assignment]  # marks the end
        if self._export is not None:
            self._export.release()
        self._body = None
