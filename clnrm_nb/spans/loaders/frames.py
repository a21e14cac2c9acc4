"""Binary sources: one protobuf message, or frames of them, packed or not, each with its length before it.

The collector's file exporter writes frames for protobuf, and around everything it packs, JSON too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from clnrm_nb.errors import ClnrmError
from clnrm_nb.spans import decode
from clnrm_nb.spans.intake import Intake
from clnrm_nb.spans.loaders.sources import LOOK_BYTES, Stream, unpack
from clnrm_nb.spans.loaders.torn import mended_message
from clnrm_nb.spans.loaders.unpacking import is_packed

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["NEITHER", "payloads", "read_message"]

NEITHER: Final = "neither text nor OTLP"

_MESSAGE_START: Final = 0x0A
"""Tag of field 1, length-delimited: how every OTLP request begins."""

_HEAD: Final = 4
_MAX_LOOK_BYTES: Final = 20 * 1024 * 1024
"""Of a message without spans that is looked at for what else it holds."""

_STARTS: Final = (b"{", b"[", bytes((_MESSAGE_START,)))
_TEXT: Final = (b"{", b"[")


_Payload = tuple[int, bytes | None, str | None]


def payloads(stream: Stream) -> Iterator[_Payload]:
    """The messages and documents of a binary source, of which no more than one is held.

    Yields
    ------
    tuple of (int, bytes or None, str or None)
        Offset, unpacked content, and what is wrong there, if anything.
    """
    head = stream.peek(LOOK_BYTES)
    if head[:1] == bytes((_MESSAGE_START,)):
        yield 0, stream.all(), None
        return
    frame = head[_HEAD:]
    if not (is_packed(frame) or frame.startswith(_STARTS)):
        reason = "it is text, no protobuf" if head.lstrip()[:1] in _TEXT else NEITHER
        yield 0, None, reason
        return
    offset, rest = 0, bytearray()
    for piece in stream:
        rest += piece
        while len(rest) >= _HEAD and len(rest) >= (end := _HEAD + int.from_bytes(rest[:_HEAD])):
            yield from _unpacked(offset + _HEAD, bytes(rest[_HEAD:end]), None)
            del rest[:end]
            offset += end
    if rest:
        yield from _unpacked(offset + _HEAD, bytes(rest[_HEAD:]), "a frame ends too early")


def _unpacked(
    offset: int, frame: bytes, trouble: str | None
) -> Iterator[tuple[int, bytes | None, str | None]]:
    if not is_packed(frame):
        yield offset, frame or None, trouble
        return
    troubles: list[str] = [trouble] if trouble else []

    def note(_: int, reason: str) -> None:
        troubles.append(reason)

    try:
        content = unpack(Stream("frame", iter((frame,))), note).all()
    except ClnrmError:
        yield offset, None, "a frame that unpacks to too much"
        return
    yield offset, content or None, troubles[0] if troubles else None


def read_message(data: bytes, intake: Intake) -> str | None:
    """Put the spans of one message into the intake; what is wrong with it, if anything.

    Of a message that breaks off the spans before the break are read.
    """
    trouble = None
    found = Intake(intake.shared)
    try:
        decode.read(data, found)
    except decode.MalformedError as error:
        trouble = str(error)
        found = Intake(intake.shared)
        try:
            decode.read(mended_message(data), found)
        except decode.MalformedError:
            return trouble
    if not len(found.table) and (signal := _signal(data)) is not None:
        intake.other_signals[signal] += 1
        return trouble
    intake.absorb(found)
    if not (len(found.table) or found.n_refused):
        return trouble or "a protobuf message without spans"
    return trouble and f"{trouble}; what was whole is read"


def _signal(data: bytes) -> str | None:
    """``metrics`` or ``logs``, which have the outer shape of spans."""
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
    from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData

    if len(data) > _MAX_LOOK_BYTES:
        return None
    try:
        blocks = MetricsData.FromString(data).resource_metrics
        if any(
            metric.WhichOneof("data")
            for block in blocks
            for part in block.scope_metrics
            for metric in part.metrics
        ):
            return "metrics"
    except DecodeError:
        pass
    try:
        records = [
            record
            for block in LogsData.FromString(data).resource_logs
            for part in block.scope_logs
            for record in part.log_records
        ]
    except DecodeError:
        return None
    return (
        "logs" if any(record.time_unix_nano or record.observed_time_unix_nano for record in records) else None
    )
