"""OTLP/gRPC (the extra ``grpc``): the same spans, tokens, limits and findings as over HTTP, other framing.

Loaded, and listening, only where a test asks for it. gRPC has no paths to put a token in, so it comes as
metadata ``x-clnrm-token``, which every OTLP exporter sends that is given ``OTEL_EXPORTER_OTLP_HEADERS``.

Messages are taken as bytes, as they were sent: the library would unpack them whole before it looks at their
size, and knows no limit on the ratio. A packed body is told from a plain one by its first byte, which no OTLP
message can begin with; the library does not pass on what the sender called it.

Calls are answered OK, INVALID_ARGUMENT for what exporters must not send again, and RESOURCE_EXHAUSTED with
``RetryInfo`` for what they should.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.errors import BackendUnavailableError
from clnrm_nb.spans import rpc
from clnrm_nb.spans.compression import Body, BodyError, TooLargeError
from clnrm_nb.spans.export import BUSY, Export, Refusal, Taken

if TYPE_CHECKING:
    from clnrm_nb.spans.fairness import Fingerprint
    from clnrm_nb.spans.receiver import Receiver

__all__ = ["GrpcServer"]

_log = logging.getLogger(__name__)

_SERVICE: Final = "opentelemetry.proto.collector.{}.v1.{}Service"
_MAX_STREAMS: Final = 16
"""Calls at a time on one connection; an exporter has one."""

_HANDSHAKE_MS: Final = 5000
"""For the first frame of a connection. Here nobody is asked to make room: whoever says nothing has to go."""

_MAX_METADATA_BYTES: Final = 32 * 1024
_ENCODINGS: Final = {b"\x1f": "gzip", b"\x78": "deflate"}
"""By first byte; as a protobuf tag they are no wire type, and no field of an export request."""


class GrpcServer:
    """OTLP/gRPC on one address, for a receiver.

    Parameters
    ----------
    receiver : Receiver
    """

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._server: Any = None
        self.port = 0

    async def start(self, address: str) -> None:
        """Listen on a free port of an address.

        Raises
        ------
        BackendUnavailableError
            CLN601, if the address cannot be bound, or if the extra is not installed.
        """
        try:
            import grpc
            import grpc.aio
        except ImportError as error:
            raise BackendUnavailableError(
                "OTLP over gRPC needs the extra `grpc`: pip install 'clnrm_nb[grpc]'", "CLN601"
            ) from error
        self._server = grpc.aio.server(options=self._options())
        traces = grpc.stream_unary_rpc_method_handler(self._export)
        ignored = grpc.unary_unary_rpc_method_handler(_ignore)
        self._server.add_generic_rpc_handlers(
            tuple(
                grpc.method_handlers_generic_handler(
                    _SERVICE.format(signal, signal.title()), {"Export": take}
                )
                for signal, take in (("trace", traces), ("metrics", ignored), ("logs", ignored))
            )
        )
        host = f"[{address}]" if ":" in address else address
        try:
            self.port = self._server.add_insecure_port(f"{host}:0")
        except RuntimeError as error:
            raise BackendUnavailableError(
                f"the receiver cannot listen for gRPC on {address}: {error}", "CLN601"
            ) from error
        await self._server.start()

    async def stop(self) -> None:
        """Stop listening; calls that were taken whole are still delivered."""
        await self._server.stop(None)

    def _options(self) -> list[tuple[str, int]]:
        limits = self._receiver.limits
        return [
            ("grpc.so_reuseport", 0),
            ("grpc.per_message_decompression", 0),
            # As over HTTP: somewhat more is received than taken, to be able to say what is wrong.
            ("grpc.max_receive_message_length", 4 * limits.max_wire_bytes),
            ("grpc.max_metadata_size", _MAX_METADATA_BYTES),
            ("grpc.max_concurrent_streams", _MAX_STREAMS),
            ("grpc.max_allowed_incoming_connections", limits.max_connections),
            ("grpc.server_handshake_timeout_ms", _HANDSHAKE_MS),
            ("grpc.max_connection_idle_ms", int(limits.header_timeout_s * 1e3)),
        ]

    async def _export(self, _messages: object, context: Any) -> bytes:
        """One call, from its metadata to its answer."""
        outcome = await self._taken(context)
        if isinstance(outcome, Taken):
            return rpc.success(outcome.n_rejected, outcome.message)
        await _abort(context, outcome)
        return b""  # Not reached: aborting raises.

    async def _taken(self, context: Any) -> Taken | Refusal:
        # Read as a stream, so that a call is known from its metadata on, like a request over HTTP.
        metadata = dict(context.invocation_metadata() or ())
        export = Export(self._receiver, str(metadata.get("x-clnrm-token", "")))
        data: object = None
        try:
            async with asyncio.timeout(self._receiver.limits.body_timeout_s):
                data = await context.read()
        except TimeoutError:
            pass  # Refused below, as if the sender had ended the call.
        finally:
            if not isinstance(data, bytes):
                export.cut_off(None)
                export.release()
        if not isinstance(data, bytes):
            return Refusal(400, "the message did not come, or is too large")
        # What has come whole is delivered even if its sender hangs up: the task outlives the call.
        answer: asyncio.Future[Taken | Refusal] = asyncio.get_running_loop().create_future()
        self._receiver.run(self._take(export, data, answer))
        return await answer

    async def _take(self, export: Export, data: bytes, answer: asyncio.Future[Taken | Refusal]) -> None:
        # How long a message is was not known of one that was cut off before.
        fingerprint = None, data[-8:]
        outcome: Taken | Refusal
        try:
            outcome = await self._decoded(export, data, fingerprint)
        except BodyError as error:
            outcome = Refusal(413 if isinstance(error, TooLargeError) else 400, str(error))
        except Refusal as refusal:
            # Not this one itself: its traceback would hold on to the message.
            outcome = Refusal(refusal.status, str(refusal))
        except Exception:  # noqa: BLE001  # As over HTTP: a bug, and its sender and its test are told.
            _log.exception("a call could not be decoded")
            outcome = Refusal(500, "internal error of the receiver")
        if isinstance(outcome, Refusal):
            export.refused(outcome, fingerprint)
        export.release()
        if not answer.done():
            answer.set_result(outcome)

    async def _decoded(self, export: Export, data: bytes, fingerprint: Fingerprint) -> Taken:
        limits = self._receiver.limits
        encoding = _ENCODINGS.get(data[:1], "")
        body = Body(encoding, max_wire_bytes=limits.max_wire_bytes, max_bytes=limits.max_bytes)
        body.feed(data)
        export.admit(len(body))
        return await export.take(body.finish, fingerprint, is_json=False)


async def _abort(context: Any, refusal: Refusal) -> None:
    """End a call with the status that says whether to send again; raises."""
    import grpc

    text = str(refusal)
    if refusal.status != BUSY:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, text)
    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    details = rpc.retry_details(code.value[0], text)
    # The second is where the specification has it, the first where Python's exporter looks.
    trailing = (("google.rpc.retryinfo-bin", rpc.RETRY_INFO), ("grpc-status-details-bin", details))
    await context.abort(code, text, trailing)


async def _ignore(_request: bytes, _context: object) -> bytes:
    """Metrics and logs: taken and thrown away, so that SDKs stay quiet."""
    return b""
