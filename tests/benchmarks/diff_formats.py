"""A run written as other programs would write it, to be read by the product's loader (`diff.md` 9, noise).

Writers of the benchmark's own, sharing no code with the product's: OTLP/JSON in its dialects (camelCase and
snake_case, enum numbers and words, ids in hex of either case, base64, lists of bytes, or decoded wrongly once,
integers as numbers or texts), one document or JSON lines, protobuf as one message or in length-prefixed
frames, flat spans; any of them packed with gzip. Spans of one batch stand in several, and in repeated, resource
and scope blocks. A `draw` of random numbers decides all that, so the same draw gives the same bytes.
"""

from __future__ import annotations

import gzip
import json
import math
import random
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, TracesData
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message

from clnrm_nb.spans.model import KINDS, STATUS_CODES, Span

Writer = Callable[[Sequence[Span], random.Random], bytes]


class Dialect:
    """How one document spells keys, ids, words and integers."""

    def __init__(self, name: str, draw: random.Random) -> None:
        self.name, self._draw = name, draw
        self.is_snake = name == "snake"
        self._has_words = name in {"snake", "proto3"}
        self._spell_id = {
            "proto3": lambda hex_: b64encode(bytes.fromhex(hex_)).decode(),
            "twice": lambda hex_: b64decode(hex_).hex(),
            "bytes": lambda hex_: list(bytes.fromhex(hex_)),
            "upper": str.upper,
        }.get(name, str)

    def key(self, camel: str) -> str:
        """A key, in snake_case where that is spoken."""
        return "".join(f"_{c.lower()}" if c.isupper() else c for c in camel) if self.is_snake else camel

    def id(self, hex_: str) -> Any:
        """An id of 16 or 32 hex digits."""
        return self._spell_id(hex_)

    def enum(self, prefix: str, words: Sequence[str], word: str) -> Any:
        """A kind or a status code."""
        return f"{prefix}{word.upper()}" if self._has_words else words.index(word)

    def integer(self, number: int) -> Any:
        """A 64-bit integer: a text as protobuf's JSON asks, or a number as some write it."""
        return str(number) if self.name == "proto3" or self._draw.random() < 0.5 else number

    def value(self, value: Any) -> dict[str, Any]:
        """An AnyValue."""
        if value is None:
            return {}
        word = _word(value)
        spell: Callable[[Any], Any] = {
            "int": self.integer,
            "double": _double,
            "bytes": lambda raw: b64encode(raw).decode(),
            "array": lambda items: {"values": [self.value(item) for item in items]},
            "kvlist": lambda pairs: {"values": self.attributes(pairs)},
        }.get(word, lambda plain: plain)
        return {self.key(f"{word}Value"): spell(value)}

    def attributes(self, attributes: dict[str, Any]) -> list[dict[str, Any]]:
        """Key and value objects, in the order given."""
        return [{"key": key, "value": self.value(value)} for key, value in attributes.items()]

    def span(self, one: Span) -> dict[str, Any]:
        """One span."""
        said: dict[str, Any] = {
            "traceId": self.id(one.trace_id),
            "spanId": self.id(one.span_id),
            "name": one.name,
            "startTimeUnixNano": self.integer(one.start_ns or 0),
            "endTimeUnixNano": self.integer(one.end_ns or 0),
            "attributes": self.attributes(one.attributes),
            "flags": self._draw.choice([0, 1, 256, 768]),
        }
        if one.parent_span_id:
            said["parentSpanId"] = self.id(one.parent_span_id)
        elif self._draw.random() < 0.5:
            said["parentSpanId"] = ""
        if one.kind != "unspecified":
            said["kind"] = self.enum("SPAN_KIND_", KINDS, one.kind)
        status = {"message": one.status_message} if one.status_message else {}
        if one.status_code != "unset":
            status["code"] = self.enum("STATUS_CODE_", STATUS_CODES, one.status_code)
        if status or self._draw.random() < 0.5:
            said["status"] = status
        if one.events:
            said["events"] = [
                {
                    "name": event.name,
                    self.key("timeUnixNano"): self.integer(event.time_ns or 0),
                    "attributes": self.attributes(event.attributes),
                }
                for event in one.events
            ]
        if one.links:
            said["links"] = [
                {
                    self.key("traceId"): self.id(link.trace_id),
                    self.key("spanId"): self.id(link.span_id),
                    "attributes": self.attributes(link.attributes),
                }
                for link in one.links
            ]
        return {self.key(key): value for key, value in said.items()}

    def document(self, spans: Sequence[Span]) -> dict[str, Any]:
        """A request with these spans, in blocks as they come."""
        old = self.name == "old"
        blocks = []
        for group in _blocks(spans, self._draw):
            scopes = []
            for part in _scopes(group):
                scope = {"name": part[0].scope.name, "version": part[0].scope.version}
                body = [self.span(one) for one in part]
                scopes.append({"instrumentationLibrary" if old else "scope": scope, "spans": body})
            blocks.append(
                {
                    "resource": {"attributes": self.attributes(group[0].resource.attributes)},
                    "instrumentationLibrarySpans" if old else self.key("scopeSpans"): scopes,
                    self.key("schemaUrl"): self._draw.choice(["", "https://example.org/1.27.0"]),
                }
            )
        return {self.key("resourceSpans"): blocks}


DIALECTS = ("camel", "upper", "snake", "proto3", "bytes", "twice", "old")


def _blocks(spans: Sequence[Span], draw: random.Random) -> list[list[Span]]:
    """Spans of one resource each, a resource in one or several blocks."""
    groups: dict[tuple[int, int], list[Span]] = {}
    n_blocks = draw.choice([1, 1, 2, 5])
    for one in spans:
        groups.setdefault((id(one.resource), draw.randrange(n_blocks)), []).append(one)
    return list(groups.values())


def _scopes(spans: Sequence[Span]) -> list[list[Span]]:
    groups: dict[tuple[str, str], list[Span]] = {}
    for one in spans:
        groups.setdefault((one.scope.name, one.scope.version), []).append(one)
    return list(groups.values())


def _batches(spans: Sequence[Span], draw: random.Random) -> list[Sequence[Span]]:
    """Spans cut into one to four pieces; now and then a span comes twice."""
    cuts = sorted(draw.randrange(len(spans) + 1) for _ in range(draw.randrange(4)))
    pieces = [spans[first:last] for first, last in zip([0, *cuts], [*cuts, len(spans)], strict=True)]
    if draw.random() < 0.3:
        pieces.append([draw.choice(spans)])
    return [piece for piece in pieces if piece]


def otlp_json(spans: Sequence[Span], draw: random.Random) -> bytes:
    """One document of any dialect."""
    return _text(Dialect(draw.choice(DIALECTS), draw).document(spans), draw)


def json_lines(spans: Sequence[Span], draw: random.Random) -> bytes:
    """A document a line, each of a dialect of its own, as files that were put together have."""
    documents = [Dialect(draw.choice(DIALECTS), draw).document(piece) for piece in _batches(spans, draw)]
    end = draw.choice([b"\n", b"\r\n"])
    return b"".join(json.dumps(document).encode() + end for document in documents)


def flat(spans: Sequence[Span], draw: random.Random) -> bytes:
    """Plain objects, one a line or under ``spans``."""
    is_snake = draw.random() < 0.5
    rows = []
    for one in spans:
        row: dict[str, Any] = {
            "name": one.name,
            "traceId": one.trace_id,
            "spanId": one.span_id,
            "parentSpanId": one.parent_span_id,
            "kind": one.kind,
            "startTimeUnixNano": one.start_ns,
            "endTimeUnixNano": one.end_ns,
            "attributes": one.attributes,
            "events": [
                {"name": event.name, "timeUnixNano": event.time_ns, "attributes": event.attributes}
                for event in one.events
            ],
            "links": [
                {"traceId": link.trace_id, "spanId": link.span_id, "attributes": link.attributes}
                for link in one.links
            ],
            "status": {"code": one.status_code, "message": one.status_message},
            "resource": one.resource.attributes,
            "scope": {"name": one.scope.name, "version": one.scope.version},
        }
        snake = Dialect("snake", draw)
        rows.append({snake.key(key): value for key, value in row.items()} if is_snake else row)
    if draw.random() < 0.5:
        return _text({"spans": rows}, draw)
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def protobuf(spans: Sequence[Span], draw: random.Random) -> bytes:
    """One message."""
    return _message(spans, draw).SerializeToString()


def frames(spans: Sequence[Span], draw: random.Random) -> bytes:
    """Messages behind their lengths, as the collector's file exporter writes them."""
    made = [_message(piece, draw).SerializeToString() for piece in _batches(spans, draw)]
    return b"".join(len(message).to_bytes(4) + message for message in made)


def jaeger(spans: Sequence[Span], draw: random.Random) -> bytes:
    """A query answer of Jaeger: kinds, scopes and statuses as tags, one process or several a resource."""
    processes: dict[tuple[int, int], str] = {}
    said = []
    for one in spans:
        process = processes.setdefault((id(one.resource), draw.randrange(2)), f"p{len(processes) + 1}")
        tags = dict(one.attributes) | {
            "otel.scope.name": one.scope.name,
            "otel.scope.version": one.scope.version,
        }
        if one.kind != "unspecified":
            tags["span.kind"] = one.kind
        if one.status_code != "unset":
            tags["otel.status_code"] = one.status_code.upper()
        if one.status_code == "error":
            tags["error"] = True
        if one.status_message:
            tags["otel.status_description"] = one.status_message
        parents = [{"refType": "CHILD_OF", "traceID": one.trace_id, "spanID": one.parent_span_id}]
        said.append(
            {
                "traceID": one.trace_id,
                "spanID": one.span_id.lstrip("0"),
                "operationName": one.name,
                "references": parents if one.parent_span_id else [],
                "startTime": (one.start_ns or 0) // 1_000,
                "duration": ((one.end_ns or 0) - (one.start_ns or 0)) // 1_000,
                "tags": _tags(tags, draw),
                "logs": [
                    {
                        "timestamp": (event.time_ns or 0) // 1_000,
                        "fields": _tags({"event": event.name, **event.attributes}, draw),
                    }
                    for event in one.events
                ],
                "processID": process,
            }
        )
    by_process = {
        name: next(one for one in spans if id(one.resource) == key[0]) for key, name in processes.items()
    }
    trace = {
        "traceID": spans[0].trace_id,
        "spans": said,
        "processes": {
            name: {
                "serviceName": one.resource.attributes["service.name"],
                "tags": _tags(
                    {k: v for k, v in one.resource.attributes.items() if k != "service.name"}, draw
                ),
            }
            for name, one in by_process.items()
        },
    }
    return _text({"data": [trace]} if draw.random() < 0.7 else trace, draw)


def _tags(values: dict[str, Any], draw: random.Random) -> list[dict[str, Any]]:
    types = {str: "string", bool: "bool", int: "int64", float: "float64"}
    found = [{"key": key, "type": types[type(value)], "value": value} for key, value in values.items()]
    draw.shuffle(found)
    return found


WRITERS: dict[str, Writer] = {
    "otlp-json": otlp_json,
    "json-lines": json_lines,
    "protobuf": protobuf,
    "frames": frames,
    "flat": flat,
    "jaeger": jaeger,
}
"""The first four carry all that a span says."""


def carriers(spans: Sequence[Span]) -> list[str]:
    """The forms that carry what these spans say.

    Plain objects have no bytes and no odd floats; Jaeger has neither lists nor maps, its links no
    attributes, and every process a service.
    """
    values = [value for one in spans for held in (one, *one.events) for value in held.attributes.values()]
    said = [*values, *(value for one in spans for value in one.resource.attributes.values())]
    is_plain = not any(
        isinstance(value, bytes) or (isinstance(value, float) and not math.isfinite(value)) for value in said
    )
    has_services = all("service.name" in one.resource.attributes for one in spans)
    is_tagged = is_plain and has_services and all(isinstance(value, str | int | float) for value in said)
    lost = ([] if is_plain else ["flat"]) + (
        [] if is_tagged and not any(one.links for one in spans) else ["jaeger"]
    )
    return [form for form in WRITERS if form not in lost]


def written(spans: Sequence[Span], form: str, draw: random.Random) -> bytes:
    """The spans as a file of this form, now and then packed."""
    data = WRITERS[form](spans, draw)
    return gzip.compress(data, 1, mtime=0) if draw.random() < 0.15 else data


def _text(document: Any, draw: random.Random) -> bytes:
    bom = b"\xef\xbb\xbf" if draw.random() < 0.1 else b""
    return bom + json.dumps(document, indent=draw.choice([None, None, 2])).encode()


def _message(spans: Sequence[Span], draw: random.Random) -> TracesData:
    made = TracesData()
    for group in _blocks(spans, draw):
        block: ResourceSpans = made.resource_spans.add()
        block.resource.attributes.extend(_pairs(group[0].resource.attributes))
        for part in _scopes(group):
            scope = block.scope_spans.add()
            scope.scope.name, scope.scope.version = part[0].scope.name, part[0].scope.version
            scope.spans.extend(map(_span_message, part))
    return made


def _span_message(one: Span) -> Message:
    made = Message(
        trace_id=bytes.fromhex(one.trace_id),
        span_id=bytes.fromhex(one.span_id),
        parent_span_id=bytes.fromhex(one.parent_span_id or ""),
        name=one.name,
        kind=KINDS.index(one.kind),
        start_time_unix_nano=one.start_ns or 0,
        end_time_unix_nano=one.end_ns or 0,
        attributes=_pairs(one.attributes),
    )
    made.status.code = STATUS_CODES.index(one.status_code)
    made.status.message = one.status_message
    for event in one.events:
        made.events.add(
            name=event.name, time_unix_nano=event.time_ns or 0, attributes=_pairs(event.attributes)
        )
    for link in one.links:
        made.links.add(
            trace_id=bytes.fromhex(link.trace_id),
            span_id=bytes.fromhex(link.span_id),
            attributes=_pairs(link.attributes),
        )
    return made


def _pairs(attributes: dict[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_any_value(value)) for key, value in attributes.items()]


def _any_value(value: Any) -> AnyValue:
    if value is None:
        return AnyValue()
    word = _word(value)
    if word == "array":
        value = ArrayValue(values=[_any_value(item) for item in value])
    elif word == "kvlist":
        value = KeyValueList(values=_pairs(value))
    return AnyValue(**{f"{word}_value": value})


def _word(value: Any) -> str:
    """What OTLP calls the type of a value; a bool is an int too and comes first."""
    return next(word for kind, word in _WORDS if isinstance(value, kind))


_WORDS = (
    (bool, "bool"),
    (int, "int"),
    (float, "double"),
    (bytes, "bytes"),
    (list, "array"),
    (dict, "kvlist"),
    (str, "string"),
)


def _double(value: float) -> float | str:
    """JSON has no word for odd floats."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
