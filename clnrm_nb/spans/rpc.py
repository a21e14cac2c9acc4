"""What HTTP and gRPC answers have in common: OTLP's response, and ``google.rpc.Status`` where there is none.

The message types of ``google.rpc`` are not among our dependencies; three fields are written by hand.
"""

from __future__ import annotations

from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

__all__ = ["RETRY_AFTER_S", "RETRY_INFO", "retry_details", "status", "success"]

RETRY_AFTER_S: Final = 1
"""When to send again what was put off, in seconds: the shortest that HTTP can say."""

RETRY_INFO: Final = bytes((0x0A, 0x02, 0x08, RETRY_AFTER_S))
"""``google.rpc.RetryInfo``: field 1 a ``Duration``, whose field 1 is seconds."""


def success(n_rejected: int, message: str) -> bytes:
    """``ExportTraceServiceResponse``, with ``partial_success`` where spans were rejected."""
    if not n_rejected:
        return b""
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = n_rejected
    response.partial_success.error_message = message
    return bytes(response.SerializeToString())


def status(code: int, message: str, *details: bytes) -> bytes:
    """``google.rpc.Status``; `details` are serialised ``google.protobuf.Any``."""
    text = message.encode(errors="replace")
    fields = [bytes((0x08, code)), _field(2, text), *(_field(3, detail) for detail in details)]
    return b"".join(fields)


def retry_details(code: int, message: str) -> bytes:
    """The status of a request that may come again, saying when."""
    detail = _field(1, b"type.googleapis.com/google.rpc.RetryInfo") + _field(2, RETRY_INFO)
    return status(code, message, detail)


def _field(number: int, data: bytes) -> bytes:
    """A length-delimited field."""
    return bytes((number << 3 | 2,)) + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:  # noqa: PLR2004  seven bits a byte
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
