"""Loading: recognition by content, dialects, what is refused and how it is said."""

from __future__ import annotations

import base64
import gzip
import json
import math
import subprocess
import sys
import time

import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from clnrm_nb.errors import ClnrmError, UsageError
from clnrm_nb.spans.canonical import trace_digest
from clnrm_nb.spans.loaders import frames, large, load, write_otlp_json
from clnrm_nb.spans.loaders.objects import Objects
from clnrm_nb.spans.loaders.sources import LOOK_BYTES, Stream
from clnrm_nb.spans.model import Span
from clnrm_nb.spans.table import SpanTable

TRACE, SPAN = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174"


def otlp(*spans, **more):
    return {"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}], **more}]}


def one(**fields):
    return {"traceId": TRACE, "spanId": SPAN, "name": "a", **fields}


def read(document, **options):
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    return load(data, **options)


def message():
    """A request that uses everything."""
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    resource_spans.resource.attributes.add(key="service.name").value.string_value = "shop"
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name, scope_spans.scope.version = "lib", "1"
    for number in (1, 2):
        span = scope_spans.spans.add(name=f"n{number}", kind=number + 1)
        span.trace_id, span.span_id = bytes.fromhex(TRACE), number.to_bytes(8)
        span.parent_span_id = b"" if number == 1 else (1).to_bytes(8)
        span.start_time_unix_nano, span.end_time_unix_nano = (
            1_700_000_000_123_456_789,
            1_700_000_001_000_000_001,
        )
        span.status.code, span.status.message = number % 3, "why"
        value = span.attributes.add(key="s").value
        value.string_value = "x"
        span.attributes.add(key="i").value.int_value = -(2**63)
        span.attributes.add(key="d").value.double_value = float("nan")
        span.attributes.add(key="b").value.bool_value = False
        span.attributes.add(key="y").value.bytes_value = b"\0\xff"
        span.attributes.add(key="none")
        nested = span.attributes.add(key="t").value.kvlist_value.values.add(key="k").value.array_value
        nested.values.add().int_value = 1
        nested.values.add()
        span.events.add(name="e", time_unix_nano=5).attributes.add(key="q").value.int_value = 1
        span.links.add(trace_id=span.trace_id, span_id=(1).to_bytes(8))
    return request


# --------------------------------------------------------------------------------------------- dialects


def snake(value):
    """The same document with snake_case keys."""
    if isinstance(value, dict):
        return {
            "".join(f"_{c.lower()}" if c.isupper() else c for c in key): snake(inner)
            for key, inner in value.items()
        }
    return [snake(inner) for inner in value] if isinstance(value, list) else value


def hexed(document, spell):
    """Ids of a document as `spell` writes them, from base64."""
    text = json.dumps(document)
    for raw in (bytes.fromhex(TRACE), (1).to_bytes(8), (2).to_bytes(8)):
        text = text.replace(json.dumps(base64.b64encode(raw).decode()), json.dumps(spell(raw)))
    return json.loads(text)


DIALECTS = {
    "base64 ids, enum words": lambda proto: proto,
    "hex ids": lambda proto: hexed(proto, bytes.hex),
    "upper-case hex ids": lambda proto: hexed(proto, lambda raw: raw.hex().upper()),
    "byte arrays": lambda proto: hexed(proto, list),
    "hex once taken for base64": lambda proto: hexed(proto, lambda raw: base64.b64decode(raw.hex()).hex()),
    "snake_case": snake,
    "snake_case, hex ids": lambda proto: snake(hexed(proto, bytes.hex)),
    "before 0.19": lambda proto: json.loads(
        json.dumps(proto)
        .replace('"scopeSpans"', '"instrumentationLibrarySpans"')
        .replace('"scope"', '"instrumentationLibrary"')
    ),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_json_dialect_gives_what_protobuf_gives(dialect):
    expected, _ = load(message().SerializeToString())
    document = DIALECTS[dialect](json_format.MessageToDict(message()))

    loaded, report = read(document)

    assert loaded == expected
    assert report.format == "otlp-json"
    assert report.restored_ids == (2 if dialect == "hex once taken for base64" else 0)
    assert trace_digest(loaded) == trace_digest(expected)


def test_protobuf_gives_every_form_of_value():
    table, report = load(message().SerializeToString())

    attributes = table.attributes[1]
    nan = attributes.pop("d")
    assert math.isnan(nan)
    assert attributes == {
        "s": "x",
        "i": -(2**63),
        "b": False,
        "y": b"\0\xff",
        "none": None,
        "t": {"k": [1, None]},
    }
    assert (table.start_ns[0], table.end_ns[0]) == (1_700_000_000_123_456_789, 1_700_000_001_000_000_001)
    assert table.resource[0] is table.resource[1]
    assert (report.format, report.spans, report.roots, report.orphans) == ("otlp-proto", 2, 1, 0)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"stringValue": "x"}, "x"),
        ({"intValue": 7}, 7),
        ({"intValue": "18446744073709551616"}, 2**64),
        ({"intValue": "seven"}, "seven"),
        ({"doubleValue": "-Infinity"}, float("-inf")),
        ({"doubleValue": 1}, 1.0),
        ({"bytesValue": "AP8="}, b"\x00\xff"),
        ({"bytesValue": [0, 255]}, b"\x00\xff"),
        ({"arrayValue": {}}, []),
        ({"kvlistValue": {}}, {}),
        ({"arrayValue": {"values": [{"arrayValue": {"values": []}}, {}]}}, [[], None]),
        ({}, None),
        (None, None),
        ("bare", "bare"),
    ],
)
def test_any_value_is_unwrapped(value, expected):
    table, _ = read(otlp(one(attributes=[{"key": "k", "value": value}])))

    assert table.attributes == [{"k": expected}]
    assert type(table.attributes[0]["k"]) is type(expected)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"status": {"code": 2}}, "error"),
        ({"status": {"code": "STATUS_CODE_OK"}}, "ok"),
        ({"status": "ERROR"}, "error"),
        ({"status": {}}, "unset"),
        ({"attributes": [{"key": "otel.status_code", "value": {"stringValue": "ERROR"}}]}, "error"),
        ({"attributes": [{"key": "status", "value": {"stringValue": "ok"}}]}, "ok"),
        ({"attributes": [{"key": "status", "value": {"stringValue": "shipped"}}]}, "unset"),
    ],
)
def test_the_status_is_the_spans_else_that_of_its_attributes(fields, expected):
    assert read(otlp(one(**fields)))[0].span(0).status_code == expected


def test_of_a_repeated_attribute_the_last_counts_and_it_is_said():
    pairs = [{"key": "k", "value": {"intValue": "1"}}, {"key": "k", "value": {"intValue": "2"}}]

    table, report = read(otlp(one(attributes=pairs)))

    assert table.attributes == [{"k": 2}]
    assert report.remarks[0] == "1 attribute given twice; the last one counts"


def test_opaque_ids_of_other_products_stay_as_they_are():
    table, _ = read(otlp(one(traceId="trace-1", spanId="span-1", parentSpanId="span-0")))

    assert (table.trace_id, table.span_id, table.parent_span_id) == (["trace-1"], ["span-1"], ["span-0"])


def test_lone_surrogates_and_nul_do_no_harm():
    table, _ = load(
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"1","spanId":"2","name":"a\\ud800b\\u0000"}]}]}]}'
    )

    assert table.name == ["a\ufffdb\0"]
    assert load(write_otlp_json(table))[0] == table


# ----------------------------------------------------------------------------------------- other forms


def test_flat_spans_are_read_in_both_spellings():
    spans = [
        {
            "name": "a",
            "trace_id": TRACE,
            "span_id": SPAN,
            "parent_span_id": None,
            "kind": "server",
            "start_time_unix_nano": 1000,
            "duration_ns": 500,
            "attributes": {"n": 1, "deep": {"x": [1]}},
            "events": ["started", {"name": "done", "attributes": {"k": True}}],
            "status": "ok",
            "service": "shop",
        },
        {
            "name": "b",
            "traceId": TRACE,
            "spanId": "2" * 16,
            "parentSpanId": SPAN,
            "kind": 3,
            "startTimeUnixNano": "1000",
            "endTimeUnixNano": "3000",
            "attributes": [{"key": "n", "value": {"intValue": "1"}}],
            "status": {"code": "ERROR", "message": "no"},
        },
    ]

    for data in (json.dumps(spans), json.dumps({"spans": spans}), "\n".join(map(json.dumps, spans))):
        table, report = load(data.encode())
        assert report.format == "flat"
        assert [span.kind for span in table.spans()] == ["server", "client"]
        assert table.end_ns == [1500, 3000]
        assert table.attributes == [{"n": 1, "deep": {"x": [1]}}, {"n": 1}]
        assert [event.name for event in table.events[0]] == ["started", "done"]
        assert [span.status_code for span in table.spans()] == ["ok", "error"]
        assert table.resource[0].service == "shop"


def test_lines_of_text_between_spans_are_skipped_and_counted():
    line = json.dumps(one()).encode()

    table, report = load(
        b"hello\n" + line + b'\n{"level": "info"}\n{torn: \n' + line.replace(b"eee", b"fff") + b"\n{\n"
    )

    assert len(table) == 2
    assert report.skipped == 4
    assert [bad.line for bad in report.refused_lines] == [4, 6]
    assert all(bad.reason.startswith("not valid JSON: ") for bad in report.refused_lines)
    assert not report.is_plain


def test_a_torn_last_line_costs_only_itself():
    lines = [json.dumps(otlp(one(spanId=f"{n:016x}"))).encode() for n in (1, 2, 3)]

    table, report = load(b"\r\n".join(lines)[:-30])

    assert len(table) == 2
    assert report.refused_lines[0].line == 3
    assert [finding.code for finding in report.diagnostics] == ["CLN609"]


def test_span_like_objects_without_ids_are_refused_and_counted():
    table, report = read(
        [one(), {"name": "x", "spanId": SPAN}, {"name": "x", "trace_id": "0" * 32, "span_id": SPAN}]
    )

    assert len(table) == 1
    assert report.entries == 3
    assert report.refused == {"no trace id": 2}
    assert report.diagnostics[0].code == "CLN609"


def test_a_byte_order_mark_and_any_name_are_fine(tmp_path):
    path = tmp_path / "whatever.csv"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(otlp(one())).encode())

    assert len(load(path)[0]) == 1


# ------------------------------------------------------------------------------------------ binary forms


def framed(*messages):
    return b"".join(len(data).to_bytes(4) + data for data in messages)


def numbered(number):
    request = message()
    for span in request.resource_spans[0].scope_spans[0].spans:
        span.trace_id = number.to_bytes(16)
    return request.SerializeToString()


@pytest.mark.parametrize(
    "pack",
    [
        gzip.compress,
        lambda data: framed(data, numbered(7)),
        lambda data: framed(gzip.compress(data), json.dumps(otlp(one())).encode()),
        lambda data: gzip.compress(framed(data)),
    ],
    ids=["gzip", "frames", "packed frame and a frame of JSON", "gzip of frames"],
)
def test_protobuf_is_read_however_it_is_wrapped(pack):
    table, _ = load(pack(numbered(9)))

    assert f"{9:032x}" in table.trace_id


def test_of_a_file_of_frames_one_is_held_at_a_time():
    taken = []

    def pieces():
        for number in range(1, 400):
            taken.append(number)
            yield framed(numbered(number))

    offsets = frames.payloads(Stream("frames", pieces()))
    first = [next(offsets)[0] for _ in range(2)]

    assert first == [4, len(framed(numbered(1))) + 4]
    assert len(taken) * len(framed(numbered(1))) < 2 * LOOK_BYTES
    assert len(list(offsets)) == 397


@pytest.mark.parametrize("size", [1, 3, 100])
def test_frames_are_found_whatever_pieces_they_come_in(size):
    data = framed(numbered(1), b"", gzip.compress(numbered(2)), numbered(3))
    pieces = (data[at : at + size] for at in range(0, len(data), size))

    table, report = load(Stream("frames", pieces))

    assert sorted(set(table.trace_id)) == [f"{n:032x}" for n in (1, 2, 3)]
    assert report.skipped == 0


def test_a_torn_last_frame_is_said():
    table, report = load(framed(numbered(1), numbered(2))[:-5])

    # Of the second frame's two spans the first is whole.
    assert table.trace_id.count(f"{1:032x}") == 2
    assert table.trace_id.count(f"{2:032x}") == 1
    assert [bad.reason for bad in report.refused_lines] == ["a frame ends too early"]


def test_a_truncated_gzip_file_gives_what_can_be_read():
    lines = b"\n".join(
        json.dumps(otlp(one(spanId=f"{n:016x}", name=str(n * 7919)))).encode() for n in range(1, 2000)
    )

    table, report = load(gzip.compress(lines)[:-2000])

    assert 0 < len(table) < 1999
    assert report.refused_lines[0].reason == "the gzip data ends too early"


# -------------------------------------------------------------------------- nothing, and how it is said


@pytest.mark.parametrize(
    ("data", "reason", "hint"),
    [
        (b"", "it is empty", "may not have ended"),
        (
            b"<!DOCTYPE html>\n<html><head><title>Log in</title>",
            "a web page with the title 'Log in'",
            "as JSON",
        ),
        (b"  <HTML lang=en>", "it is a web page", "as JSON"),
        (b"TraceID,SpanID,OperationName\nab,cd,op\n", "without a column for parent and start", "`parent_id`"),
        (b'{"code": 5, "message": "trace not found", "details": []}', "that says 'trace not found'", None),
        (b'{"resourceMetrics": []}', "it holds metrics only", "give the file of the traces"),
        (b"service:\n  name: shop\n", "of no known form", "`--input-format`"),
        (b'{"foo": 1}', "JSON of no known form", "`--input-format`"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", "byte 0: neither text nor OTLP", "`--input-format`"),
        (b"{\n  traceId: 'ab'\n}", "console output of the JavaScript SDK", "OTEL_TRACES_EXPORTER=otlp"),
    ],
)
def test_a_source_without_spans_is_said_with_what_helps(data, reason, hint):
    with pytest.raises(ClnrmError) as failed:
        load(data)

    assert reason in failed.value.message
    assert (hint is None) == (failed.value.hint is None)
    assert (hint or "") in (failed.value.hint or "")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty"),
        (b"hello\nworld\n", "its content is of no known form"),
        (b"[1, 2]", "its content is of no known form"),
        (b"[]", "the list of spans is empty"),
        (
            b'{"status": 5, "message": "x"}',
            "byte 0: JSON of no known form, an object with 'status', 'message'",
        ),
        (b'{"data": [], "total": 0}', "an answer of Jaeger without any trace"),
        (b'{"result": []}', "an answer without any result"),
        (b'{"traces": [{"traceID": "a"}]}', "a search answer of Tempo"),
        ('{"name": "na\u00efve"}'.encode("latin-1"), "line 1, byte 12: not valid JSON: not UTF-8"),
        (b'{"resourceSpans": []}', "the list of spans is empty"),
        (b'{"resourceMetrics": []}\n{"resourceLogs": []}', "it holds logs and metrics only"),
        (b'{"resourceSpans": [', "line 1, byte 0: not valid JSON"),
        (b"\0\0\0\x05abc", "byte 0: neither text nor OTLP"),
        (b"{\n  traceId: 'ab',\n  id: 'cd'\n}", "it is console output of the JavaScript SDK"),
        (b"TraceID,SpanID,ParentID,PodName,StartTimeUnixNano\n", "it is a table without any row"),
        (b'{"data": [], "total": 0, "limit": 0, "offset": 0, "errors": null}', "an answer of Jaeger without"),
        (
            b'{"data": null, "errors": [{"code": 404, "msg": "trace not found"}]}',
            "Jaeger answered: trace not",
        ),
        (
            b'{"data": [{"traceID": "a", "spans": [], "processes": {}}]}',
            "an answer of Jaeger without any span",
        ),
        (b'{"batches": []}', "an answer of Tempo or Jaeger without any span"),
        (b'{"trace": {"resourceSpans": []}}', "an answer of Tempo or Jaeger without any span"),
        (b'{"status": "success", "data": {"result": [{"list": []}]}}', "SigNoz about something else"),
        (b'[{"traceId": "a", "localEndpoint": {}, "name": "x"}]', "refused: no span id (1)"),
        (b'[{"traceId": "a", "id": "b", "binaryAnnotations": []}]', "Zipkin version 1"),
        (b"\x28\xb5\x2f\xfd rest", "the zstd data is damaged"),
        (b"\x1f\x8b\x08 rest", "the gzip data is damaged"),
        (b'{"name": "x", "span_id": "1"}', "all its span-like records were refused: no trace id (1)"),
    ],
)
def test_a_source_without_spans_is_an_error_that_says_what_it_holds(data, reason):
    with pytest.raises(ClnrmError) as failed:
        load(data)

    assert (failed.value.code, failed.value.exit_code) == ("CLN607", 1)
    assert reason in failed.value.message


def test_a_missing_file_is_said_with_its_code(tmp_path):
    with pytest.raises(ClnrmError) as failed:
        load(tmp_path / "none.json")

    assert failed.value.code == "CLN001"


def test_an_input_format_that_does_not_fit_is_told_with_what_would():
    otlp = b'{"resourceSpans": []}'
    with pytest.raises(
        ClnrmError, match="byte 0: nothing there is of the form zipkin; it looks like otlp-json"
    ):
        load(otlp, input_format="zipkin")
    with pytest.raises(ClnrmError, match="byte 0: it is text, no protobuf"):
        load(otlp, input_format="otlp-proto")


def test_a_line_in_another_encoding_costs_only_itself():
    line = json.dumps(one() | {"trace_id": TRACE, "span_id": SPAN, "name": "a"}).encode()

    table, report = load(b'{"text": "\xe9"}\n' + line)

    assert (table.name, report.refused_lines[0].place) == (["a"], "line 1, byte 10")


def test_ids_of_wrong_length_are_kept_and_said():
    table, report = read(
        [{"trace_id": "ab", "span_id": SPAN, "name": "a"}, {"trace_id": TRACE, "span_id": "c", "name": "b"}]
    )

    assert (table.trace_id, table.span_id) == (["ab", TRACE], [SPAN, "c"])
    assert "2 spans with ids that are not 16 and 8 bytes, taken as they are" in report.remarks


def test_an_input_format_overrules_recognition():
    console = {"name": "a", "context": {"trace_id": "0x" + TRACE, "span_id": "0x" + SPAN}, **one()}

    assert read(console, input_format="flat")[1].format == "flat"
    assert read(console, input_format="console")[1].format == "console"
    with pytest.raises(ClnrmError, match="of no known form"):
        read(console, input_format="jaeger")
    with pytest.raises(UsageError, match="no input format 'xml'"):
        read(console, input_format="xml")


# ----------------------------------------------------------------------------------------------- bounds


def test_deep_nesting_is_refused_and_neither_crashes_nor_hangs():
    value = "1"
    for _ in range(70):
        value = f'{{"arrayValue": {{"values": [{value}]}}}}'
    deep = f'{{"traceId": "1", "spanId": "2", "name": "x", "attributes": [{{"key": "k", "value": {value}}}]}}'
    table, report = load(
        f'{{"resourceSpans": [{{"scopeSpans": [{{"spans": [{deep}, {json.dumps(one())}]}}]}}]}}'.encode()
    )

    assert len(table) == 1
    assert report.refused == {"an attribute is nested too deeply": 1}
    with pytest.raises(ClnrmError):
        load(b"[" * 1_000_000)
    with pytest.raises(ClnrmError):
        load(b'{"a":' * 1_000_000)


@pytest.mark.parametrize(
    "line",
    [b"{", b'{"a":[', b"[1,", b'{"a": "x', b'{"a": {},', b"[[],", b'{"a":1}{', b'"', b'\\"{'],
)
def test_looking_for_objects_takes_time_in_proportion_to_the_text(line):
    def seconds(n_lines):
        objects = Objects()
        began_s = time.process_time()
        for _ in range(n_lines // 100):
            objects.feed((line + b"\n") * 100)
        objects.end()
        return time.process_time() - began_s

    small = max(min(seconds(5_000) for _ in range(3)), 1e-3)

    assert seconds(40_000) < 8 * small * 6


def test_objects_are_found_whole_whatever_pieces_the_text_comes_in():
    text = b'x {"a": "}\\"{"}\n{"b": [1, {"c": 2}]}{"d": 3}\n [\n1,\n{"e": 4}]\nnot {\n{"f": 5}'
    whole = Objects()
    expected = [*whole.feed(text), *whole.end()]

    for size in (1, 2, 3, 7, 20):
        pieces = Objects()
        found = [
            hit for first in range(0, len(text), size) for hit in pieces.feed(text[first : first + size])
        ]
        assert [*found, *pieces.end()] == expected
    assert [json.loads(data) for _, data, _ in expected] == [
        {"b": [1, {"c": 2}]},
        {"d": 3},
        [1, {"e": 4}],
        {"f": 5},
    ]
    assert all(text[offset : offset + len(data)] == data for offset, data, _ in expected)


# ---------------------------------------------------------------------------------------------- writing


def test_the_written_form_is_one_span_a_line_and_valid_for_other_readers():
    table = SpanTable()
    table.append(Span(TRACE, SPAN, "a", start_ns=5, attributes={"b": 1, "a": None}), "buy")
    table.append(Span(TRACE, "2" * 16, "clnrm.scenario:buy", own=True), "buy")
    table.append(Span(TRACE, "3" * 16, "b"))

    written = write_otlp_json(table)

    assert sum(b'"spanId"' in line for line in written.splitlines()) == 3
    known = json.loads(written)
    for block in known["resourceSpans"][0]["scopeSpans"]:
        block.pop("clnrm", None)
        for span in block["spans"]:
            span["traceId"] = base64.b64encode(bytes.fromhex(span["traceId"])).decode()
            span["spanId"] = base64.b64encode(bytes.fromhex(span["spanId"])).decode()
    assert json_format.ParseDict(known, ExportTraceServiceRequest()).resource_spans
    loaded, _ = load(written)
    assert sorted(zip(loaded.name, loaded.scenario, loaded.own, strict=True)) == [
        ("a", "buy", False),
        ("b", None, False),
        ("clnrm.scenario:buy", "buy", True),
    ]


def test_an_empty_table_can_be_written_and_loaded_where_that_is_asked_for():
    assert len(load(write_otlp_json(SpanTable()), allow_empty=True)[0]) == 0


def test_what_a_program_says_about_ownership_is_not_believed_on_stdout():
    from clnrm_nb.spans.intake import Shared
    from clnrm_nb.spans.printed import PrintedSpans

    table = SpanTable()
    table.append(Span(TRACE, SPAN, "a", own=True), "another")

    intake = PrintedSpans(Shared()).feed(b"".join(write_otlp_json(table).splitlines()) + b"\n")

    assert (intake.table.own, intake.table.scenario) == ([False], [None])


# ----------------------------------------------------------------------------------------- large documents


@pytest.fixture
def tiny_batches(monkeypatch):
    monkeypatch.setattr(large, "MIN_BYTES", 0)
    monkeypatch.setattr(large, "_BATCH_BYTES", 200)


def sample(n_spans):
    table = SpanTable()
    for number in range(1, n_spans + 1):
        attributes = {"text": '"spans": [{]\\"', "n": number, "list": [[], {"spans": [1]}]}
        span = Span(TRACE, f"{number:016x}", f"n{number}", attributes=attributes, own=number % 7 == 0)
        table.append(span, ["a", None][number % 2])
    return table


@pytest.mark.usefixtures("tiny_batches")
def test_a_document_read_in_batches_gives_what_it_gives_as_a_whole(monkeypatch):
    written = write_otlp_json(sample(50))
    in_batches, report = load(written)
    monkeypatch.setattr(large, "MIN_BYTES", 10**9)

    as_a_whole, _ = load(written)

    assert in_batches == as_a_whole
    assert len(in_batches) == 50
    assert report.is_plain or report.remarks == [
        "50 spans with missing, zero or inverted times",
        "50 spans without a service.name, shown as unknown_service",
    ]


@pytest.mark.usefixtures("tiny_batches")
@pytest.mark.parametrize("wrap", [lambda spans: spans, lambda spans: {"spans": spans}])
def test_large_lists_of_flat_spans_are_read_in_batches_too(wrap):
    spans = [one(spanId=f"{number:016x}", attributes={"k": "]" * number}) for number in range(1, 60)]

    table, report = read(wrap(spans))

    assert len(table) == 59
    assert report.format == "flat"


@pytest.mark.usefixtures("tiny_batches")
def test_a_damaged_batch_costs_only_itself():
    written = write_otlp_json(sample(50)).replace(b'"name":"n20"', b'"name":n20')

    table, report = load(written)

    assert 40 < len(table) < 50
    assert report.refused_lines[0].reason.startswith("not valid JSON")


@pytest.mark.usefixtures("tiny_batches")
@pytest.mark.parametrize(
    "data", [b'{"spans": [', b'{"resourceSpans": [{"spans": []}', b"[]", b"[1", b'["', b"[[]]"]
)
def test_documents_that_only_look_large_are_errors_like_small_ones(data):
    with pytest.raises(ClnrmError):
        load(data)


def test_a_hundred_thousand_spans_are_loaded_within_600_mb(tmp_path):
    """In a process of its own, loader, libraries and the document itself included."""
    path = tmp_path / "spans.json"
    attributes = {f"key.{number}": f"value {number}" for number in range(10)}
    spans = (Span(TRACE, f"{number:016x}", "n", attributes=attributes) for number in range(1, 100_001))
    path.write_bytes(write_otlp_json(SpanTable(spans)))
    code = (
        "import re, sys\n"
        "from clnrm_nb.spans.loaders import load\n"
        "n_spans = len(load(sys.argv[1])[0])\n"
        # Not ru_maxrss: that begins with what the process had that started this one.
        "peak_kb = int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])\n"
        "print(n_spans, peak_kb // 1000)"
    )

    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)

    n_spans, peak_mb = map(int, done.stdout.split())
    assert n_spans == 100_000
    assert peak_mb <= 600
