"""OTLP protobuf into columns: one pass, no object a span.

The message is parsed by the official library's C core and read field by field into the lists of a
:class:`~clnrm_nb.spans.table.SpanTable`. Reading is offered in steps, so that an event loop stays
responsive while a large request is taken in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)

from clnrm_nb.spans.intake import SHARED_LENGTH, SHARED_LIMIT, status_of
from clnrm_nb.spans.model import KINDS, STATUS_CODES, Event, Link

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clnrm_nb.spans.intake import Intake, Shared

__all__ = ["MalformedError", "parse", "read", "read_steps"]

_STEP: Final = 512
"""Spans read before the event loop gets a turn: some 10 ms."""

_NO_TRACE: Final = bytes(16)
_NO_SPAN: Final = bytes(8)


class MalformedError(ValueError):
    """Bytes that are no OTLP trace message; the text says what they are, without the bytes."""


def parse(data: bytes) -> Any:
    """The message of an export request (on the wire the same as ``TracesData``).

    Raises
    ------
    MalformedError
        If the bytes are not such a message.
    """
    try:
        return ExportTraceServiceRequest.FromString(data)
    except DecodeError as error:
        raise MalformedError(f"not an OTLP trace message: {error}") from None


def read(message: Any, intake: Intake) -> None:
    """Put all spans of a message into the intake."""
    for _ in read_steps(message, intake):
        pass


def read_steps(message: Any, intake: Intake) -> Iterator[None]:
    """As :func:`read`, pausing now and then; rows count as whole at each pause."""
    shared = intake.shared
    shared.trim()
    traces: dict[bytes, str] = {}
    left = _STEP
    for resource_spans in message.resource_spans:
        resource = shared.resource(_attributes(resource_spans.resource.attributes, shared))
        intake.dropped += resource_spans.resource.dropped_attributes_count
        for scope_spans in resource_spans.scope_spans:
            scope = shared.scope(scope_spans.scope.name, scope_spans.scope.version)
            spans = scope_spans.spans
            for first in range(0, len(spans), _STEP):
                part = spans[first : first + _STEP]
                taken = _read_spans(part, intake, traces)
                intake.table.resource.extend([resource] * taken)
                intake.table.scope.extend([scope] * taken)
                intake.table.own.extend([False] * taken)
                intake.table.scenario.extend([None] * taken)
                intake.table.seal()
                left -= len(part)
                if left <= 0:
                    left = _STEP
                    yield


def _read_spans(spans: Any, intake: Intake, traces: dict[bytes, str]) -> int:
    """Fill the columns that differ from span to span; how many rows were added."""
    table, shared = intake.table, intake.shared
    names = shared.values
    before = len(table.span_id)
    for span in spans:
        trace_id, span_id, parent = span.trace_id, span.span_id, span.parent_span_id
        if reason := _bad_ids(trace_id, span_id, parent):
            intake.refuse(reason)
            continue
        trace = traces.get(trace_id)
        if trace is None:
            trace = traces[trace_id] = trace_id.hex()
        attributes = _attributes(span.attributes, shared)
        name = span.name
        kind = span.kind
        status = span.status if span.HasField("status") else None
        code = status.code if status is not None else 0
        table.trace_id.append(trace)
        table.span_id.append(span_id.hex())
        table.parent_span_id.append(parent.hex() if parent and parent != _NO_SPAN else None)
        table.name.append(names.setdefault(name, name))
        table.kind.append(kind if 0 <= kind < len(KINDS) else 0)
        table.start_ns.append(span.start_time_unix_nano or None)
        table.end_ns.append(span.end_time_unix_nano or None)
        table.status_code.append(code if 0 < code < len(STATUS_CODES) else status_of(attributes))
        table.status_message.append(status.message if status is not None else "")
        table.attributes.append(attributes)
        table.events.append(tuple(_event(event, intake) for event in span.events) if span.events else ())
        table.links.append(tuple(_link(link, intake) for link in span.links) if span.links else ())
        intake.dropped += span.dropped_attributes_count + span.dropped_events_count + span.dropped_links_count
    return len(table.span_id) - before


def _bad_ids(trace_id: bytes, span_id: bytes, parent: bytes) -> str | None:
    if len(trace_id) != len(_NO_TRACE) or trace_id == _NO_TRACE:
        return "no valid trace id"
    if len(span_id) != len(_NO_SPAN) or span_id == _NO_SPAN:
        return "no valid span id"
    if parent and len(parent) != len(_NO_SPAN):
        return "parent id of a wrong length"
    return None


def _event(event: Any, intake: Intake) -> Event:
    name = event.name
    intake.dropped += event.dropped_attributes_count
    return Event(
        intake.shared.values.setdefault(name, name),
        event.time_unix_nano or None,
        _attributes(event.attributes, intake.shared),
    )


def _link(link: Any, intake: Intake) -> Link:
    intake.dropped += link.dropped_attributes_count
    return Link(link.trace_id.hex(), link.span_id.hex(), _attributes(link.attributes, intake.shared))


def _attributes(pairs: Any, shared: Shared) -> dict[str, Any]:
    """Attributes of one owner; of a repeated key the last value counts."""
    values = shared.values
    attributes: dict[str, Any] = {}
    for pair in pairs:
        key = pair.key
        holder = pair.value
        form = holder.WhichOneof("value")
        if form == "string_value":
            text = holder.string_value
            if len(text) <= SHARED_LENGTH and len(values) < SHARED_LIMIT:
                text = values.setdefault(text, text)
            attributes[values.setdefault(key, key)] = text
        elif form in _CONTAINERS:
            attributes[values.setdefault(key, key)] = _nested(holder)
        else:
            attributes[values.setdefault(key, key)] = getattr(holder, form) if form else None
    return attributes


_CONTAINERS: Final = ("array_value", "kvlist_value")


def _nested(holder: Any) -> Any:
    """An array or table value. The parser bounds the nesting (100 messages), the walk uses no recursion."""
    top: list[Any] = [None]
    todo: list[tuple[Any, Any, Any]] = [(top, 0, holder)]
    while todo:
        target, place, value = todo.pop()
        form = value.WhichOneof("value")
        if form == "array_value":
            items = value.array_value.values
            made: Any = [None] * len(items)
            todo.extend((made, index, item) for index, item in enumerate(items))
        elif form == "kvlist_value":
            made = dict.fromkeys(pair.key for pair in value.kvlist_value.values)
            # Popped from the end: reversed, so that of a repeated key the last value counts.
            todo.extend((made, pair.key, pair.value) for pair in reversed(value.kvlist_value.values))
        else:
            made = getattr(value, form) if form else None
        target[place] = made
    return top[0]
