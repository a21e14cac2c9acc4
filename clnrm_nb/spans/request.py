"""One HTTP request of the receiver: from its headers to its answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

import orjson
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, ResponseStartLine
from tornado.iostream import StreamClosedError

from clnrm_nb.spans import decode
from clnrm_nb.spans.compression import Body, BodyError, EncodingError, TooLargeError
from clnrm_nb.spans.intake import Intake
from clnrm_nb.spans.loaders import otlp_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tornado.httputil import HTTPConnection, RequestStartLine

    from clnrm_nb.spans.receiver import Receiver, _Stream

__all__ = ["Delivery", "Request"]

_JSON: Final = "application/json"
_PROTOBUF: Final = "application/x-protobuf"
_REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    503: "Service Unavailable",
}
_RPC_CODES: Final = {400: 3, 404: 5, 405: 12, 413: 8, 415: 3, 503: 14}
"""google.rpc.Code by HTTP status."""

_RETRY_AFTER_S: Final = 1
_NO_TOKEN: Final = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one request under a token brought.

    Parameters
    ----------
    token : str
    intake : Intake or None
        Its spans and what was refused of them; ``None`` if the request could not be read at all.
    error : str or None
        Why it could not be read.
    """

    token: str
    intake: Intake | None
    error: str | None = None


class _Refusal(Exception):  # noqa: N818  an answer, not a failure of ours
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Request(HTTPMessageDelegate):
    """Take one request in, piece by piece; decode and deliver it when it is whole."""

    __slots__ = (
        "_body",
        "_connection",
        "_held",
        "_ignored",
        "_is_json",
        "_is_whole",
        "_receiver",
        "_refusal",
        "_state",
        "_token",
    )

    def __init__(self, receiver: Receiver, connection: HTTPConnection, state: _Stream) -> None:
        self._receiver = receiver
        self._connection = connection
        self._state = state
        self._body: Body | None = None
        self._refusal: _Refusal | None = None
        self._held = 0
        self._ignored = False
        self._is_json = False
        self._is_whole = False
        self._token = _NO_TOKEN

    # -------------------------------------------------------------------------------- called by tornado

    def headers_received(self, start_line: Any, headers: HTTPHeaders) -> None:
        """Decide what it is and whether its body is wanted."""
        # Not before: tornado makes this object when it begins to wait for a request.
        self._state.n_requests += 1
        content_type = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        self._is_json = content_type == _JSON
        try:
            self._route(start_line, headers, content_type)
            limits = self._receiver.limits
            self._body = Body(
                headers.get("Content-Encoding", ""),
                max_wire_bytes=limits.max_wire_bytes,
                max_bytes=limits.max_bytes,
            )
        except EncodingError as error:
            self._refuse(415, str(error))
        except _Refusal as refusal:
            self._refusal = refusal

    def data_received(self, chunk: bytes) -> None:
        """Unpack the next piece; of a refused request it is thrown away."""
        if self._refusal is not None or self._ignored or self._body is None:
            return
        before = len(self._body)
        try:
            self._body.feed(chunk)
        except BodyError as error:
            self._refuse(413 if isinstance(error, TooLargeError) else 400, str(error))
            return
        grown = len(self._body) - before
        if self._receiver.may_take(self._token, grown):
            self._held += grown
        else:
            self._refuse(503, "too many bytes in flight; send again later")

    def finish(self) -> None:
        """Answer it, in a task of its own."""
        self._is_whole = True
        self._receiver.run(self._answer())

    def on_connection_close(self) -> None:
        """Let go of what is not whole."""
        # A sender that gave up in mid-request may send the same spans again, so this is no loss yet. What had
        # come whole is still delivered.
        if not self._is_whole:
            self._end()

    # ------------------------------------------------------------------------------------- taking it in

    def _route(self, start_line: RequestStartLine, headers: HTTPHeaders, content_type: str) -> None:
        parts = [unquote(part) for part in urlsplit(start_line.path).path.split("/") if part]
        if parts[-2:] not in (["v1", "traces"], ["v1", "metrics"], ["v1", "logs"]) or len(parts) > 3:  # noqa: PLR2004  token, v1, signal
            raise _Refusal(404, "there is nothing here; spans go to /<token>/v1/traces")
        if start_line.method != "POST":
            raise _Refusal(405, f"{start_line.method} is not accepted; use POST")
        self._token = parts[0] if len(parts) == 3 else headers.get("x-clnrm-token", _NO_TOKEN)  # noqa: PLR2004  as above
        if self._receiver.knows(self._token):
            self._state.token = self._token
        self._ignored = parts[-1] != "traces"
        if content_type not in (_JSON, _PROTOBUF):
            raise _Refusal(415, f"content type {content_type!r} is not accepted; use {_PROTOBUF} or {_JSON}")

    def _refuse(self, status: int, message: str) -> None:
        self._refusal = _Refusal(status, message)
        self._body = None

    async def _answer(self) -> None:
        try:
            if self._ignored and self._refusal is None:
                self._reply(200, self._success(0, ""))
                return
            if self._refusal is None:
                await self._take()
            if self._refusal is not None:
                self._report_refusal(self._refusal)
        except StreamClosedError:
            pass  # The sender did not wait for the answer; its spans were delivered.
        finally:
            self._end()

    async def _take(self) -> None:
        intake = Intake(self._receiver.shared)
        try:
            for _ in self._steps(intake):
                await asyncio.sleep(0)
        except (BodyError, decode.MalformedError) as error:
            self._refuse(400, str(error))
            return
        known = self._receiver.deliver(Delivery(self._token, intake))
        reasons = ", ".join(f"{reason} ({count})" for reason, count in sorted(intake.refused.items()))
        if known:
            self._reply(200, self._success(intake.n_refused, reasons))
        else:
            rejected = len(intake.table) + intake.n_refused
            self._reply(200, self._success(rejected, "unknown token" if rejected else ""))

    def _steps(self, intake: Intake) -> Iterator[None]:
        assert self._body is not None
        data = self._body.finish()
        self._body = None
        if not self._is_json:
            return decode.read_steps(decode.parse(data), intake)
        try:
            document = orjson.loads(data or b"{}")
        except orjson.JSONDecodeError as error:
            raise decode.MalformedError(f"not JSON: {error}") from None
        if not isinstance(document, dict):
            raise decode.MalformedError("not an OTLP trace message: a JSON object is needed")
        return otlp_json.read_steps(document, intake, strict_ids=True)

    # ---------------------------------------------------------------------------------------- answering

    def _report_refusal(self, refusal: _Refusal) -> None:
        # A 503 is sent again by every exporter; all other refusals lose what was in the request.
        if refusal.status != 503 and not self._ignored and self._receiver.knows(self._token):  # noqa: PLR2004
            self._receiver.deliver(Delivery(self._token, None, str(refusal)))
        self._reply(refusal.status, self._status(refusal))

    def _success(self, rejected: int, message: str) -> bytes:
        if self._is_json:
            partial = {"partialSuccess": {"rejectedSpans": str(rejected), "errorMessage": message}}
            return orjson.dumps(partial if rejected else {})
        if not rejected:
            return b""
        response = ExportTraceServiceResponse()
        response.partial_success.rejected_spans = rejected
        response.partial_success.error_message = message
        return bytes(response.SerializeToString())

    def _status(self, refusal: _Refusal) -> bytes:
        """``google.rpc.Status``, whose message type is not among our dependencies: two fields."""
        code, text = _RPC_CODES[refusal.status], str(refusal)
        if self._is_json:
            return orjson.dumps({"code": code, "message": text})
        message = text.encode()
        return bytes((0x08, code, 0x12)) + _varint(len(message)) + message

    def _reply(self, status: int, body: bytes) -> None:
        headers = HTTPHeaders(
            {"Content-Type": _JSON if self._is_json else _PROTOBUF, "Content-Length": str(len(body))}
        )
        if status == 503:  # noqa: PLR2004
            headers["Retry-After"] = str(_RETRY_AFTER_S)
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
            self._receiver.release(self._token, self._held)
            self._state = None  # type: ignore[assignment]  # marks the end
        self._body = None


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:  # noqa: PLR2004  seven bits a byte
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
