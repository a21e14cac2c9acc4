"""One trace written in every form, by small writers, and read back: the law of ``diff.md`` 2.1 across forms."""

from __future__ import annotations

import csv
import gzip
import io
import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta

import zstandard
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from clnrm_nb.diff import compare
from clnrm_nb.spans.canonical import trace_digest
from clnrm_nb.spans.loaders import load, write_otlp_json
from clnrm_nb.spans.loaders.carried import comparable
from clnrm_nb.spans.model import Event, Link, Resource, Scope, Span
from clnrm_nb.spans.table import SpanTable

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# --------------------------------------------------------------------------------------------- strategies

words = st.sampled_from(["a", "GET /users", "Ü", 'say "hi"', "x,y", "two\nlines", "1", "true", "op", "op"])
keys = st.sampled_from(["k", "http.method", "n", "url.full", "flag"])
scalars = st.one_of(
    words,
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
)
values = st.one_of(scalars, st.lists(st.integers(-5, 5), max_size=3))
attributes = st.dictionaries(keys, values, max_size=3)
KINDS = ("internal", "server", "client", "producer", "consumer")


@st.composite
def tables(draw):
    """Trees of one trace whose times are whole microseconds, as most of these forms have them."""
    pool = draw(st.lists(st.sampled_from(["shop", "stock", "web"]), min_size=1, max_size=2, unique=True))
    n = draw(st.integers(1, 6))
    table = SpanTable()
    for number in range(1, n + 1):
        start = 1_700_000_000_000_000_000 + number * 1_000_000
        code = draw(st.sampled_from(["unset", "ok", "error"]))
        links = st.lists(st.integers(1, n).map(lambda m: Link("ab" * 16, f"{m:016x}", {})), max_size=1)
        table.append(
            Span(
                trace_id="ab" * 16,
                span_id=f"{number:016x}",
                name=draw(words),
                parent_span_id=f"{draw(st.integers(1, number - 1)):016x}" if number > 1 else None,
                kind=draw(st.sampled_from(KINDS)),
                start_ns=start,
                end_ns=start + draw(st.integers(0, 1000)) * 1_000,
                status_code=code,
                status_message=draw(st.sampled_from(["", "why"])) if code == "error" else "",
                attributes=draw(attributes),
                events=tuple(
                    Event(name, start + 1_000, values_)
                    for name, values_ in draw(st.lists(st.tuples(st.just("e"), attributes), max_size=2))
                ),
                # A link of a root into its own trace has the form of a parent in Jaeger.
                links=tuple(draw(links)) if number > 1 else (),
                resource=Resource({"service.name": draw(st.sampled_from(pool))}),
                scope=Scope("lib", "1"),
            )
        )
    return table


# ------------------------------------------------------------------------------------------------ writers


def camel(table):
    return write_otlp_json(table)


def message(table):
    """The request in protobuf, from the JSON form: ids are hex there and base64 in protobuf's own JSON."""
    document = json.loads(write_otlp_json(table))
    for block in document["resourceSpans"]:
        for scope in block["scopeSpans"]:
            for span in scope["spans"]:
                for holder in (span, *span.get("links", ())):
                    for key in ("traceId", "spanId", "parentSpanId"):
                        if key in holder:
                            holder[key] = b64encode(bytes.fromhex(holder[key])).decode()
    return json_format.ParseDict(document, ExportTraceServiceRequest())


def protobuf(table):
    return message(table).SerializeToString()


def proto3(table):
    return json_format.MessageToJson(message(table)).encode()


def snake(table):
    return json_format.MessageToJson(message(table), preserving_proto_field_name=True).encode()


def lines(table):
    """One span a line, each with its resource again."""
    return b"\r\n".join(
        json.dumps(json.loads(write_otlp_json(table.select([row])))).encode() for row in range(len(table))
    )


def frames(table):
    parts = [gzip.compress(protobuf(table.select([row]))) for row in range(len(table))]
    return b"".join(len(part).to_bytes(4) + part for part in parts)


def packed(table):
    return zstandard.compress(gzip.compress(camel(table)))


def tempo(table):
    return json.dumps({"batches": json.loads(proto3(table))["resourceSpans"]}).encode()


def flat(table):
    return json.dumps(
        {
            "spans": [
                {
                    "trace_id": span.trace_id,
                    "span_id": span.span_id,
                    "parent_span_id": span.parent_span_id,
                    "name": span.name,
                    "kind": span.kind,
                    "start_time_unix_nano": span.start_ns,
                    "end_time_unix_nano": span.end_ns,
                    "status": {"code": span.status_code, "message": span.status_message},
                    "attributes": span.attributes,
                    "events": [{"name": event.name, "attributes": event.attributes} for event in span.events],
                    "links": [{"trace_id": link.trace_id, "span_id": link.span_id} for link in span.links],
                    "resource": span.resource.attributes,
                    "scope": {"name": span.scope.name},
                }
                for span in table.spans()
            ]
        }
    ).encode()


def _iso(time_ns):
    return (_EPOCH + timedelta(microseconds=time_ns // 1_000)).isoformat()


def console(table):
    """As the Python SDK prints them: documents one after the other, spread over lines."""
    return "\n".join(
        json.dumps(
            {
                "name": span.name,
                "context": {"trace_id": f"0x{span.trace_id}", "span_id": f"0x{span.span_id}", "trace_state": "[]"},
                "kind": f"SpanKind.{span.kind.upper()}",
                "parent_id": span.parent_span_id and f"0x{span.parent_span_id}",
                "start_time": _iso(span.start_ns),
                "end_time": _iso(span.end_ns),
                "status": {"status_code": span.status_code.upper(), "description": span.status_message},
                "attributes": span.attributes,
                "events": [
                    {"name": event.name, "timestamp": _iso(event.time_ns), "attributes": event.attributes}
                    for event in span.events
                ],
                "links": [
                    {"context": {"trace_id": f"0x{link.trace_id}", "span_id": f"0x{link.span_id}"}, "attributes": {}}
                    for link in span.links
                ],
                "resource": {"attributes": span.resource.attributes, "schema_url": ""},
            },
            indent=4,
        )
        for span in table.spans()
    ).encode()  # fmt: skip


def _tags(table):
    names = {bool: "bool", int: "int64", float: "float64"}
    return [
        {"key": key, "type": names.get(type(value), "string"), "value": json.dumps(value) if isinstance(value, list) else value}
        for key, value in table.items()
    ]  # fmt: skip


def jaeger(table):
    services = sorted({resource.service for resource in table.resource})
    spans = []
    for span in table.spans():
        told = {
            "span.kind": span.kind,
            "otel.scope.name": span.scope.name,
            "otel.scope.version": span.scope.version,
        }
        if span.status_code != "unset":
            told["otel.status_code"] = span.status_code.upper()
        if span.status_code == "error":
            told |= {"error": True} | (
                {"otel.status_description": span.status_message} if span.status_message else {}
            )
        parents = [("CHILD_OF", span.parent_span_id)] if span.parent_span_id else []
        references = [*parents, *(("FOLLOWS_FROM", link.span_id) for link in span.links)]
        spans.append(
            {
                "traceID": span.trace_id,
                "spanID": span.span_id.lstrip("0"),
                "operationName": span.name,
                "references": [
                    {"refType": kind, "traceID": span.trace_id, "spanID": target.lstrip("0")}
                    for kind, target in references
                ],
                "startTime": span.start_ns // 1_000,
                "duration": (span.end_ns - span.start_ns) // 1_000,
                "tags": _tags(span.attributes | told),
                "logs": [
                    {
                        "timestamp": event.time_ns // 1_000,
                        "fields": _tags({"event": event.name} | event.attributes),
                    }
                    for event in span.events
                ],
                "processID": span.service,
            }
        )
    processes = {service: {"serviceName": service, "tags": []} for service in services}
    return json.dumps({"data": [{"traceID": "ab" * 16, "spans": spans, "processes": processes}]}).encode()


def zipkin(table):
    def text(value):
        return value if isinstance(value, str) else json.dumps(value)

    spans = []
    for span in table.spans():
        tags = {key: text(value) for key, value in span.attributes.items()}
        tags |= {"otel.scope.name": span.scope.name, "otel.scope.version": span.scope.version}
        if span.status_code != "unset":
            tags["otel.status_code"] = span.status_code.upper()
        if span.status_code == "error":
            tags["error"] = span.status_message
        item = {
            "traceId": span.trace_id,
            "id": span.span_id,
            "name": span.name,
            "timestamp": span.start_ns // 1_000,
            "duration": (span.end_ns - span.start_ns) // 1_000,
            "localEndpoint": {"serviceName": span.service},
            "tags": tags,
            "annotations": [
                {"timestamp": event.time_ns // 1_000, "value": json.dumps({event.name: event.attributes})}
                for event in span.events
            ],
        }
        if span.kind != "internal":
            item["kind"] = span.kind.upper()
        if span.parent_span_id:
            item["parentId"] = span.parent_span_id
        spans.append(item)
    return json.dumps(spans).encode()


def table_of_text(table):
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(
        [
            "TraceID",
            "SpanID",
            "ParentID",
            "ServiceName",
            "OperationName",
            "StartTimeUnixNano",
            "EndTimeUnixNano",
        ]
    )
    for span in table.spans():
        parent = span.parent_span_id or "root"
        writer.writerow(
            [span.trace_id, span.span_id, parent, span.service, span.name, span.start_ns, span.end_ns]
        )
    return out.getvalue().encode()


def signoz(table):
    rows = []
    for span in table.spans():
        maps = {"stringTagMap": {}, "numberTagMap": {}, "boolTagMap": {}}
        for key, value in span.attributes.items():
            kind = (
                "boolTagMap"
                if isinstance(value, bool)
                else "numberTagMap"
                if isinstance(value, int | float)
                else "stringTagMap"
            )
            maps[kind][key] = json.dumps(value) if isinstance(value, list) else value
        data = {
            "spanID": span.span_id,
            "traceID": span.trace_id,
            "parentSpanID": span.parent_span_id or "",
            "name": span.name,
            "serviceName": span.service,
            "durationNano": str(span.end_ns - span.start_ns),
            "statusCode": ["unset", "ok", "error"].index(span.status_code),
            "statusMessage": span.status_message,
            "spanKind": span.kind,
            "references": json.dumps(
                [
                    {"traceId": link.trace_id, "spanId": link.span_id, "refType": "FOLLOWS_FROM"}
                    for link in span.links
                ]
            ),
            "events": [
                json.dumps({"name": event.name, "attributeMap": event.attributes}) for event in span.events
            ],
        }
        rows.append({"timestamp": str(span.start_ns), "data": data | maps})
    return json.dumps({"result": [{"list": rows}]}).encode()


SAME_DIGEST = (camel, protobuf, proto3, snake, lines, frames, packed, tempo, flat)
"""Forms that carry everything such a trace says."""

LESS = (console, jaeger, zipkin, table_of_text, signoz)
"""Forms that do not: compared in what both can say."""

law = settings(deadline=None, max_examples=60)


@law
@given(tables())
def test_a_trace_has_one_digest_in_every_form_that_carries_all_of_it(table):
    expected = trace_digest(table)

    found = {writer.__name__: trace_digest(load(writer(table))[0]) for writer in SAME_DIGEST}

    assert found == dict.fromkeys(found, expected)


@law
@given(tables())
def test_a_trace_has_no_edit_against_itself_in_any_other_form(table):
    written, report = load(camel(table))

    for writer in LESS:
        other, of_other = load(writer(table))
        left, right, notes = comparable(written, report, other, of_other)
        assert compare(left, right).counted == (), writer.__name__
        assert notes
        assert len(other) == len(table)


@law
@given(tables(), st.sampled_from(LESS), st.sampled_from(LESS))
def test_any_two_forms_of_a_trace_have_no_edit_either(table, one, another):
    before, of_before = load(one(table))
    after, of_after = load(another(table))

    left, right, _ = comparable(before, of_before, after, of_after)

    assert compare(left, right).counted == ()


@law
@given(tables(), st.sampled_from([*SAME_DIGEST, *LESS]), st.randoms(use_true_random=False))
def test_the_order_of_spans_in_a_file_has_no_meaning(table, writer, chance):
    rows = list(range(len(table)))
    chance.shuffle(rows)

    assert trace_digest(load(writer(table.select(rows)))[0]) == trace_digest(load(writer(table))[0])
