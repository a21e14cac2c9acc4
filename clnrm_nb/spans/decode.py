"""OTLP protobuf into columns: one pass, no object a span.

A request is cut into pieces (:mod:`clnrm_nb.spans.wire`); each is parsed by the official library's C core and
read field by field into the lists of a :class:`~clnrm_nb.spans.table.SpanTable`. Reading is offered in steps,
so that an event loop stays responsive while a large request is taken in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from clnrm_nb.spans.intake import MAX_BLOCKS, SHARED_LENGTH, SHARED_LIMIT, status_of
from clnrm_nb.spans.lean import ScopeSpans
from clnrm_nb.spans.model import KINDS, STATUS_CODES, Event, Link
from clnrm_nb.spans.wire import WireError, fields, runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from clnrm_nb.spans import model
    from clnrm_nb.spans.intake import Intake, Shared

__all__ = ["MAX_SPAN_BYTES", "MalformedError", "read", "read_steps"]

MAX_SPAN_BYTES: Final = 8 * 1024 * 1024
"""One span, unpacked. It is parsed as a whole, which may take many times that."""

_RUN_BYTES: Final = 512 * 1024
"""Of spans parsed at a time, unless one alone is larger."""

_RESOURCE_SPANS: Final = 1
_SCOPE_SPANS: Final = (2, 1000)
"""The second number is that of releases before 0.19 for what was called instrumentation libraries then."""

_SPANS: Final = 2
_HEAD: Final = 1
_SCHEMA_URL: Final = 3
"""Numbers of fields: in a request, in a scope's block, and of what heads a block."""

_PAIR_BYTES: Final = 96
"""Longer attributes are rarely repeated."""

_STEP: Final = 512
"""Spans read before the event loop gets a turn: some 10 ms."""

_NO_TRACE: Final = bytes(16)
_NO_SPAN: Final = bytes(8)


class MalformedError(ValueError):
    """Bytes that are no OTLP trace message; the text says what they are, without the bytes."""


def read(data: bytes, intake: Intake) -> None:
    """Put all spans of an export request (on the wire the same as ``TracesData``) into the intake.

    Raises
    ------
    MalformedError
        If the bytes are not such a message; the intake then holds a part of it.
    """
    for _ in read_steps(data, intake):
        pass


def read_steps(data: bytes, intake: Intake) -> Iterator[None]:
    """As :func:`read`, pausing now and then; rows count as whole at each pause."""
    intake.shared.trim()
    try:
        yield from _Reading(data, intake).steps()
    except (DecodeError, WireError) as error:
        raise MalformedError(f"not an OTLP trace message: {error}") from None


class _Reading:
    """One request, read piece by piece: no more of it than one piece is ever a parsed message."""

    __slots__ = ("_data", "_intake", "_left", "_n_blocks", "_traces")

    def __init__(self, data: bytes, intake: Intake) -> None:
        self._data = data
        self._intake = intake
        self._traces: dict[bytes, str] = {}
        self._left = _STEP
        self._n_blocks = 0

    def steps(self) -> Iterator[None]:
        for first, end in self._blocks(0, len(self._data), (_RESOURCE_SPANS,)):
            message = Resource.FromString(self._head(first, end, _HEAD))
            shared = self._intake.shared
            attributes = dict(_key_and_value(pair, shared) for pair in message.attributes)
            resource = shared.resource(attributes)
            self._intake.repeated_keys += len(message.attributes) - len(attributes)
            self._intake.dropped += message.dropped_attributes_count
            for scope_first, scope_end in self._blocks(first, end, _SCOPE_SPANS):
                head, schema_url, parts = self._scope(scope_first, scope_end)
                scope = self._intake.shared.scope(head.name, head.version, schema_url)
                for spans in parts:
                    yield from self._spans(spans, resource, scope)

    def _blocks(self, first: int, end: int, wanted: tuple[int, ...]) -> Iterator[tuple[int, int]]:
        """Where the blocks of some numbers lie; a request of nothing but blocks would take the whole loop."""
        for number, _, value, finish in fields(self._data, first, end):
            if number in wanted:
                self._n_blocks += 1
                if self._n_blocks > MAX_BLOCKS:
                    raise MalformedError(f"more than {MAX_BLOCKS} resources and scopes in one request")
                yield value, finish

    def _head(self, first: int, end: int, wanted: int) -> bytes:
        """The message of a field; given twice, protobuf takes them for one."""
        found = [
            self._data[value:finish]
            for number, _, value, finish in fields(self._data, first, end)
            if number == wanted
        ]
        return found[0] if len(found) == 1 else b"".join(found)

    def _scope(self, first: int, end: int) -> tuple[Any, str, Iterable[Any]]:
        """The scope of a block, its schema, and its spans in parts."""
        if end - first <= _RUN_BYTES:
            whole = ScopeSpans.FromString(self._data[first:end])
            return whole.scope, whole.schema_url, (whole.spans,)
        parts = [
            self._data[begin:finish]
            for number, begin, _, finish in fields(self._data, first, end)
            if number in (_HEAD, _SCHEMA_URL)
        ]
        head = ScopeSpans.FromString(b"".join(parts))
        return head.scope, head.schema_url, self._runs(first, end)

    def _runs(self, first: int, end: int) -> Iterator[Any]:
        for run in runs(self._data, first, end, _SPANS, _RUN_BYTES):
            if len(run) <= MAX_SPAN_BYTES:
                yield ScopeSpans.FromString(run).spans
            else:
                self._intake.refuse(f"a span of more than {MAX_SPAN_BYTES} bytes")

    def _spans(self, spans: Any, resource: model.Resource, scope: model.Scope) -> Iterator[None]:
        table = self._intake.table
        for first in range(0, len(spans), _STEP):
            part = spans[first : first + _STEP]
            taken = _read_spans(part, self._intake, self._traces)
            table.resource.extend([resource] * taken)
            table.scope.extend([scope] * taken)
            table.own.extend([False] * taken)
            table.scenario.extend([None] * taken)
            table.seal()
            self._left -= len(part)
            if self._left <= 0:
                self._left = _STEP
                yield


def _read_spans(spans: Sequence[Any], intake: Intake, traces: dict[bytes, str]) -> int:
    """Fill the columns that differ from span to span, each as a whole; how many rows were added."""
    table, shared = intake.table, intake.shared
    spans = list(spans)
    trace_ids, span_ids, parents = _ids(spans)
    if not (
        _are_ids(trace_ids, _NO_TRACE)
        and _are_ids(span_ids, _NO_SPAN)
        and {0, len(_NO_SPAN)}.issuperset(map(len, parents))
    ):
        spans = _with_ids(spans, intake)
        trace_ids, span_ids, parents = _ids(spans)
    attributes = _all_attributes([span.attributes for span in spans], intake)
    events = [_events(span.events, intake) for span in spans]
    links = [_links(span.links, intake) for span in spans]
    statuses = [_status(span.status, written) for span, written in zip(spans, attributes, strict=True)]
    names = [span.name for span in spans]
    # Nothing above may fail once the first column has grown.
    for trace_id in set(trace_ids).difference(traces):
        traces[trace_id] = trace_id.hex()
    table.trace_id.extend(map(traces.__getitem__, trace_ids))
    table.span_id.extend(map(bytes.hex, span_ids))
    table.parent_span_id.extend(
        [parent.hex() if parent and parent != _NO_SPAN else None for parent in parents]
    )
    table.name.extend(map(shared.values.setdefault, names, names))
    table.kind.extend([kind if 0 <= kind < len(KINDS) else 0 for kind in [span.kind for span in spans]])
    table.start_ns.extend([span.start or None for span in spans])
    table.end_ns.extend([span.end or None for span in spans])
    table.status_code.extend([code for code, _ in statuses])
    table.status_message.extend([message for _, message in statuses])
    table.attributes.extend(attributes)
    table.events.extend(events)
    table.links.extend(links)
    intake.dropped += sum(
        [span.dropped_attributes + span.dropped_events + span.dropped_links for span in spans]
    )
    return len(spans)


def _ids(spans: Sequence[Any]) -> tuple[list[bytes], list[bytes], list[bytes]]:
    return (
        [span.trace_id for span in spans],
        [span.span_id for span in spans],
        [span.parent_span_id for span in spans],
    )


def _are_ids(ids: list[bytes], none: bytes) -> bool:
    return {len(none)}.issuperset(map(len, ids)) and none not in ids


def _with_ids(spans: list[Any], intake: Intake) -> list[Any]:
    """The spans whose ids are valid; the others are refused."""
    valid: list[Any] = []
    for span in spans:
        reason = _bad_ids(span.trace_id, span.span_id, span.parent_span_id)
        if reason is None:
            valid.append(span)
        else:
            intake.refuse(reason, n_before=len(valid))
    return valid


def _bad_ids(trace_id: bytes, span_id: bytes, parent: bytes) -> str | None:
    if len(trace_id) != len(_NO_TRACE) or trace_id == _NO_TRACE:
        return "no valid trace id"
    if len(span_id) != len(_NO_SPAN) or span_id == _NO_SPAN:
        return "no valid span id"
    if parent and len(parent) != len(_NO_SPAN):
        return "parent id of a wrong length"
    return None


def _status(parts: Iterable[bytes], attributes: dict[str, Any]) -> tuple[int, str]:
    """Code and message. Most spans have none, or one that says nothing."""
    whole = b"".join(parts)
    if not whole:
        return status_of(attributes), ""
    status = Status.FromString(whole)
    return (status.code if 0 < status.code < len(STATUS_CODES) else status_of(attributes)), status.message


def _events(events: Any, intake: Intake) -> tuple[Event, ...]:
    return tuple([_event(event, intake) for event in events]) if events else ()


def _links(links: Any, intake: Intake) -> tuple[Link, ...]:
    return tuple([_link(link, intake) for link in links]) if links else ()


def _event(event: Any, intake: Intake) -> Event:
    name = event.name
    intake.dropped += event.dropped
    return Event(
        intake.shared.values.setdefault(name, name),
        event.time or None,
        *_all_attributes([event.attributes], intake),
    )


def _link(link: Any, intake: Intake) -> Link:
    intake.dropped += link.dropped
    return Link(link.trace_id.hex(), link.span_id.hex(), *_all_attributes([link.attributes], intake))


def _all_attributes(written: list[Sequence[bytes]], intake: Intake) -> list[dict[str, Any]]:
    """Those of several owners, with a count of the keys that one of them has twice."""
    read = [_attributes(pairs, intake.shared) for pairs in written]
    intake.repeated_keys += sum(map(len, written)) - sum(map(len, read))
    return read


def _attributes(written: Sequence[bytes], shared: Shared) -> dict[str, Any]:
    """Attributes of one owner, each a message; of a repeated key the last value counts."""
    known = shared.pairs
    try:
        return dict(map(known.__getitem__, written))
    except KeyError:
        return dict([known.get(one) or _pair(one, shared) for one in written])


def _pair(written: bytes, shared: Shared) -> tuple[str, Any]:
    """Key and value of an attribute that was not read before, or is not worth remembering."""
    found = _key_and_value(KeyValue.FromString(written), shared)
    if (
        len(written) <= _PAIR_BYTES
        and len(shared.pairs) < SHARED_LIMIT
        and not isinstance(found[1], list | dict)
    ):
        shared.pairs[written] = found
    return found


def _key_and_value(pair: Any, shared: Shared) -> tuple[str, Any]:
    values = shared.values
    key = values.setdefault(pair.key, pair.key)
    holder = pair.value
    form = holder.WhichOneof("value")
    if form == "string_value":
        text = holder.string_value
        if len(text) <= SHARED_LENGTH and len(values) < SHARED_LIMIT:
            text = values.setdefault(text, text)
        return key, text
    if form in _CONTAINERS:
        return key, _nested(holder)
    return key, getattr(holder, form) if form else None


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
