"""The forms of other products, row by row of ``diff.md`` 1.2, with every trap named there."""

from __future__ import annotations

import gzip
import io
import json
import sys
import tracemalloc
from pathlib import Path

import pytest
import zstandard
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from clnrm_nb.diff import compare
from clnrm_nb.errors import ClnrmError
from clnrm_nb.spans.canonical import trace_digest
from clnrm_nb.spans.loaders import load
from clnrm_nb.spans.loaders.carried import comparable
from clnrm_nb.spans.model import KINDS, STATUS_CODES

DATA = Path(__file__).parent / "data"
TRACE, SPAN = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174"


def read(document, **options):
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    return load(data, **options)


def edits(one, other, **options):
    """What a diff of two sources shows, compared in what both can say."""
    before, of_before = load(one, **options)
    after, of_after = load(other)
    left, right, _ = comparable(before, of_before, after, of_after)
    return [(edit.op, edit.key) for edit in compare(left, right).counted]


def test_flat_spans_without_scopes_and_kinds_are_compared_without_them():
    flat = {"trace_id": TRACE, "span_id": SPAN, "name": "a", "service": "shop"}
    span = {"traceId": TRACE, "spanId": SPAN, "name": "a", "kind": 2}
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
    otlp = {
        "resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {"name": "lib"}, "spans": [span]}]}]
    }
    sources = [
        json.dumps(each).encode() for each in (otlp, flat, flat | {"scope": "other", "kind": "client"})
    ]

    assert edits(sources[0], sources[1]) == []
    assert sorted(op for op, _ in edits(sources[0], sources[2])) == ["kind", "scope"]


# ------------------------------------------------------------------------------------ real exporters


REAL = [
    ("python-console.txt", "console"),
    ("python-zipkin.json", "zipkin"),
    ("python-otlp.pb", "otlp-proto"),
    ("python-proto3.json", "otlp-json"),
    ("python-snake.json", "otlp-json"),
]


@pytest.mark.parametrize(("name", "form"), REAL)
def test_files_of_the_real_exporters_are_recognised_and_whole(name, form):
    table, report = load(DATA / name)

    assert report.format == form
    assert (report.entries, report.spans, report.roots, report.orphans, report.skipped) == (3, 3, 1, 0, 0)
    assert sorted(table.name) == ["POST /Orders", "SELECT stock", "reserve"]
    assert {resource.service for resource in table.resource} == {"shop"}
    query = table.span(table.name.index("SELECT stock"))
    assert (query.kind, query.status_code, query.status_message) == ("client", "error", "no stock")
    assert [(event.name, event.attributes) for event in query.events] == [
        ("row lock", {"rows": 3}),
        ("retry", {}),
    ]
    assert query.start_ns == 1_700_000_000_002_000_000
    assert query.duration_ms == 1


@pytest.mark.parametrize("one", [name for name, _ in REAL])
@pytest.mark.parametrize("other", [name for name, _ in REAL])
def test_one_run_in_any_two_of_its_exporters_forms_has_no_edit(one, other):
    assert edits(DATA / one, DATA / other) == []


def test_what_was_left_out_of_a_comparison_is_said_for_each_side():
    before, of_before = load(DATA / "python-otlp.pb")
    after, of_after = load(DATA / "python-zipkin.json")

    *_, notes = comparable(before, of_before, after, of_after)

    assert "current is zipkin: values are compared as text" in notes
    assert all(note.startswith("current is zipkin: ") for note in notes)


def test_tables_of_one_form_are_compared_as_they_are():
    before, report = load(DATA / "python-zipkin.json")

    left, right, notes = comparable(before, report, before, report)

    assert left is before
    assert right is before
    assert notes == ()


def test_a_real_difference_is_seen_across_forms():
    changed = json.loads((DATA / "python-zipkin.json").read_bytes())
    changed[2]["tags"]["http.response.status_code"] = "500"

    assert edits(DATA / "python-otlp.pb", json.dumps(changed).encode()) == [
        ("attr~", "http.response.status_code")
    ]


@pytest.mark.parametrize("name", ["js-otlp.json", "js-zipkin.json"])
def test_files_of_the_javascript_sdk_are_read(name):
    table, report = load(DATA / name)

    assert (report.spans, report.roots, report.orphans) == (3, 1, 0)
    assert table.status_code[table.name.index("SELECT stock")] == STATUS_CODES.index("error")


def test_console_output_of_the_javascript_sdk_is_refused_with_what_to_set():
    with pytest.raises(ClnrmError, match=r"(?s)JavaScript SDK.*OTEL_TRACES_EXPORTER=otlp"):
        load(DATA / "js-console.txt")


# ------------------------------------------------------------------------------------ packing, frames


def framed(*parts):
    return b"".join(len(part).to_bytes(4) + part for part in parts)


def zstd(data):
    return zstandard.ZstdCompressor().compress(data)


WRAPPINGS = {
    "gzip": gzip.compress,
    "zstd": zstd,
    "zstd without its size": lambda data: zstandard.ZstdCompressor(write_content_size=False).compress(data),
    "gzip members": lambda data: gzip.compress(data[:40]) + gzip.compress(data[40:]),
    "zstd members": lambda data: zstd(data[:40]) + zstd(data[40:]),
    "a skippable frame first": lambda data: b"\x50\x2a\x4d\x18\x03\0\0\0abc" + zstd(data),
    "gzip in zstd": lambda data: zstd(gzip.compress(data)),
    "padded gzip": lambda data: gzip.compress(data) + bytes(100),
}


@pytest.mark.parametrize("wrap", WRAPPINGS.values(), ids=WRAPPINGS)
@pytest.mark.parametrize("name", ["python-otlp.pb", "python-zipkin.json", "python-console.txt"])
def test_every_form_is_read_packed(wrap, name):
    plain, _ = load(DATA / name)

    packed, report = load(wrap((DATA / name).read_bytes()))

    assert packed == plain
    assert not report.skipped


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd], ids=["plain", "gzip", "zstd"])
@pytest.mark.parametrize("name", ["python-otlp.pb", "js-otlp.json"])
def test_frames_are_read_around_packed_protobuf_and_packed_json(pack, name):
    content = (DATA / name).read_bytes()

    table, report = load(framed(pack(content), pack(content)))

    assert (report.entries, report.spans, report.repeats) == (6, 3, 3)
    assert len(table) == 3


@pytest.mark.parametrize("pack", [gzip.compress, zstd], ids=["gzip", "zstd"])
def test_a_torn_archive_gives_what_can_be_read_and_says_so(pack):
    lines = b"\n".join(
        json.dumps(
            {
                "traceId": TRACE,
                "spanId": f"{n:016x}",
                "name": str(n * 7919**3),
                "attributes": {"n": n * 104729**2},
            }
        ).encode()
        for n in range(1, 20_000)
    )
    packed = pack(lines)

    table, report = load(packed[: len(packed) // 2])

    assert 0 < len(table) < 19_999
    assert report.refused_lines[0].reason.endswith("data ends too early")
    assert report.is_partial


def test_a_damaged_archive_gives_what_came_before_the_damage():
    good, bad = gzip.compress((DATA / "js-otlp.json").read_bytes()), bytearray(gzip.compress(b"x" * 1000))
    bad[12:16] = b"\xff\xff\xff\xff"

    table, report = load(good + bytes(bad))

    assert len(table) == 3
    assert report.refused_lines[0].reason == "the gzip data is damaged"


@pytest.mark.parametrize("pack", [gzip.compress, zstd], ids=["gzip", "zstd"])
def test_an_archive_that_unpacks_to_more_than_the_limit_is_refused_by_name_of_the_limit(pack, monkeypatch):
    monkeypatch.setattr("clnrm_nb.spans.loaders.sources.MAX_BYTES", 20_000_000)

    with pytest.raises(ClnrmError, match="more than 20000000 bytes, the limit for a source"):
        load(pack(b"x" * 50_000_000))


def test_a_frame_torn_in_the_middle_of_its_length_is_said_with_its_offset():
    content = (DATA / "python-otlp.pb").read_bytes()

    _, report = load(framed(content) + b"\0\0")

    assert [(bad.line, bad.offset, bad.reason) for bad in report.refused_lines] == [
        (0, len(content) + 8, "a frame ends too early")
    ]


# -------------------------------------------------------------------------------------- OTLP protobuf


def request_of(*names):
    request = ExportTraceServiceRequest()
    block = request.resource_spans.add()
    block.resource.attributes.add(key="service.name").value.string_value = "shop"
    scope = block.scope_spans.add()
    scope.scope.name = "lib"
    for number, name in enumerate(names, 1):
        scope.spans.add(name=name, trace_id=bytes.fromhex(TRACE), span_id=number.to_bytes(8))
    return request


@pytest.mark.parametrize("number", [2, 1000])
def test_protobuf_of_before_0_19_is_read_whichever_number_its_libraries_have(number):
    scope = request_of("a", "b").resource_spans[0].scope_spans[0].SerializeToString()
    tag = number << 3 | 2
    varint = bytes((tag,)) if tag < 128 else bytes((tag & 0x7F | 0x80, tag >> 7))
    block = (
        varint
        + bytes((len(scope) & 0x7F | 0x80, len(scope) >> 7) if len(scope) > 127 else (len(scope),))
        + scope
    )

    table, _ = load(b"\x0a" + bytes((len(block),)) + block)

    assert table.name == ["a", "b"]
    assert table.scope[0].name == "lib"


def test_json_of_before_0_19_is_read():
    span = {"traceId": TRACE, "spanId": SPAN, "name": "a"}
    library = {"instrumentationLibrary": {"name": "lib", "version": "1"}, "spans": [span]}

    table, _ = read({"resourceSpans": [{"instrumentationLibrarySpans": [library]}]})

    assert (table.name, table.scope[0].name, table.scope[0].version) == (["a"], "lib", "1")


def test_a_protobuf_message_that_breaks_off_gives_the_spans_that_are_whole():
    data = request_of(*(f"span {number}" for number in range(50))).SerializeToString()

    table, report = load(data[: len(data) // 2])

    assert 20 <= len(table) < 30
    assert table.resource[0].service == "shop"
    assert report.refused_lines[0].reason.endswith("what was whole is read")


def test_other_signals_in_protobuf_are_named():
    metrics, logs = ExportMetricsServiceRequest(), ExportLogsServiceRequest()
    metric = metrics.resource_metrics.add().scope_metrics.add().metrics.add(name="requests")
    metric.sum.data_points.add(as_int=1)
    logs.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=5).body.string_value = "hello"

    with pytest.raises(ClnrmError, match="it holds metrics only"):
        load(metrics.SerializeToString())
    with pytest.raises(ClnrmError, match="it holds logs only"):
        load(logs.SerializeToString())


@pytest.mark.parametrize(("digits", "value"), [("trace_id", TRACE), ("span_id", SPAN)])
def test_ids_that_were_hex_taken_for_base64_are_set_right_and_that_is_said(digits, value):
    import base64

    wrong = base64.b64decode(value).hex()
    ids = {"trace_id": TRACE, "span_id": SPAN} | {digits: wrong}

    table, report = read({"name": "a", **ids})

    assert (table.trace_id, table.span_id) == ([TRACE], [SPAN])
    assert any("decoded wrongly" in remark for remark in report.remarks)


# ------------------------------------------------------------------------------------------ JSON lines


def line(number, **more):
    span = {"traceId": TRACE, "spanId": f"{number:016x}", "name": f"n{number}", **more}
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()


def test_a_trace_over_rotated_files_is_read_as_one(tmp_path):
    first, second = tmp_path / "traces-2024-01-02T03-04-05.json", tmp_path / "traces.json"
    first.write_bytes(line(2, parentSpanId=f"{1:016x}") + b"\n" + line(3, parentSpanId=f"{1:016x}") + b"\n")
    second.write_bytes(line(1) + b"\n" + line(3, parentSpanId=f"{1:016x}") + b"\n")

    _, alone = load(first)
    table, report = load([first, second])

    assert alone.orphans == 2
    assert (report.spans, report.orphans, report.repeats) == (3, 0, 1)
    assert report.source == f"{first}, {second}"
    assert sorted(table.name) == ["n1", "n2", "n3"]


def test_mixed_signals_crlf_a_mark_and_a_torn_last_line_cost_nothing_else():
    data = b"\xef\xbb\xbf" + b"\r\n".join(
        [line(1), b'{"resourceMetrics": []}', line(3), b'{"resourceLogs": []}', line(2), line(4)[:-20]]
    )

    table, report = load(data)

    assert table.name == ["n1", "n3", "n2"]
    assert report.other_signals == {"metrics": 1, "logs": 1}
    (torn,) = report.refused_lines
    assert torn.line == 6
    assert torn.offset == data.rindex(b'{"resourceSpans"')


def test_a_document_that_breaks_off_gives_the_spans_that_are_whole():
    spans = [
        {"traceId": TRACE, "spanId": f"{n:016x}", "name": f"n{n}", "attributes": []} for n in range(1, 41)
    ]
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
    whole = json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]})

    table, report = load(whole[: len(whole) // 2].encode())

    assert 15 < len(table) < 25
    assert {resource.service for resource in table.resource} == {"shop"}
    (torn,) = report.refused_lines
    assert "ends too early" in torn.reason
    assert (torn.line, torn.offset > 0) == (1, True)


def test_text_in_utf_16_as_a_redirection_of_windows_writes_it_is_read():
    table, _ = load(
        line(1, attributes=[{"key": "k", "value": {"stringValue": "ä"}}]).decode().encode("utf-16")
    )

    assert table.attributes == [{"k": "ä"}]


def test_lines_are_read_one_by_one_however_large_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr("clnrm_nb.spans.loaders.reading._HELD_BYTES", 10_000)
    monkeypatch.setattr("clnrm_nb.spans.loaders.sources._PIECE_BYTES", 3_000)
    file = tmp_path / "lines.json"
    lines = [line(n) if n % 10 else b"some text" for n in range(1, 1000)]
    file.write_bytes(b"\n".join([*lines, line(1000)[:-3]]))

    table, report = load(file)

    assert len(table) == 900
    assert report.skipped == 100
    (torn,) = report.refused_lines
    assert (torn.line, torn.offset) == (1000, sum(len(text) + 1 for text in lines))


def test_a_line_that_is_too_long_is_said_and_the_others_are_read(monkeypatch):
    monkeypatch.setattr("clnrm_nb.spans.loaders.lines.MAX_LINE_BYTES", 50_000)
    monkeypatch.setattr("clnrm_nb.spans.loaders.reading._HELD_BYTES", 10_000)
    data = b"\n".join([line(1), line(2, x="y" * 300_000), line(3)])

    def pieces():
        for first in range(0, len(data), 7_000):
            yield data[first : first + 7_000]

    from clnrm_nb.spans.loaders.sources import Stream

    table, report = load(Stream("long.json", pieces()))

    assert table.name == ["n1", "n3"]
    assert [(bad.line, bad.reason) for bad in report.refused_lines] == [
        (2, "a line of more than 50000 bytes")
    ]


# --------------------------------------------------------------------------------------------- Jaeger


def jaeger(*spans, **more):
    processes = {
        "p1": {"serviceName": "shop", "tags": [{"key": "host.name", "type": "string", "value": "h"}]}
    }
    return {"traceID": TRACE, "spans": list(spans), "processes": processes, **more}


def jspan(**more):
    ids = {"traceID": TRACE, "spanID": SPAN, "operationName": "op", "processID": "p1"}
    return (
        ids
        | {"startTime": 1_700_000_000_000_123, "duration": 5, "references": [], "tags": [], "logs": []}
        | more
    )


def tag(key, value, kind="string"):
    return {"key": key, "type": kind, "value": value}


def ref(parent, kind="CHILD_OF", trace=TRACE, **more):
    return {"refType": kind, "traceID": trace, "spanID": parent, **more}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda trace: trace,
        lambda trace: {"data": [trace], "total": 0, "limit": 0, "offset": 0, "errors": None},
        lambda trace: {"data": trace},
        lambda trace: [trace],
    ],
    ids=["bare", "answer", "transformed", "list"],
)
def test_traces_of_jaeger_are_read_however_they_are_wrapped(wrap):
    table, report = read(wrap(jaeger(jspan())))

    assert report.format == "jaeger"
    assert table.span(0).start_ns == 1_700_000_000_000_123_000
    assert table.span(0).end_ns == 1_700_000_000_000_128_000
    assert table.resource[0].attributes == {"host.name": "h", "service.name": "shop"}
    assert "times are whole microseconds" in report.remarks


def test_kind_scope_and_status_are_taken_out_of_the_tags():
    tags = [
        tag("span.kind", "client"),
        tag("otel.library.name", "lib"),
        tag("otel.library.version", "2"),
        tag("otel.status_code", "ERROR"),
        tag("otel.status_description", "why"),
        tag("error", True, "bool"),
        tag("w3c.tracestate", "a=b"),
        tag("internal.span.format", "otlp"),
        tag("otel.dropped_attributes_count", "3"),
        tag("http.status_code", 500, "int64"),
    ]

    table, report = read(jaeger(jspan(tags=tags)))

    span = table.span(0)
    assert (span.kind, span.scope.name, span.scope.version) == ("client", "lib", "2")
    assert (span.status_code, span.status_message) == ("error", "why")
    assert span.attributes == {"http.status_code": 500}
    assert report.dropped == 3
    assert not report.is_whole


@pytest.mark.parametrize("value", [False, "true", "ClientSideError", 1])
def test_an_error_tag_that_is_not_true_stays_an_attribute(value):
    table, _ = read(jaeger(jspan(tags=[tag("error", value, "string")])))

    assert (table.span(0).status_code, table.attributes) == ("unset", [{"error": value}])


def test_tags_are_of_the_type_they_say():
    tags = [
        tag("s", "200"),
        tag("i", "9007199254740993", "int64"),
        tag("n", 200, "int64"),
        tag("f", 1, "float64"),
        tag("b", "true", "bool"),
        tag("y", "AP8=", "binary"),
        tag("odd", "not a number", "int64"),
    ]

    table, _ = read(jaeger(jspan(tags=tags)))

    values = table.attributes[0]
    assert values == {
        "s": "200", "i": 2**53 + 1, "n": 200, "f": 1.0, "b": True, "y": b"\0\xff", "odd": "not a number"
    }  # fmt: skip
    assert isinstance(values["f"], float)


@pytest.mark.parametrize("kind", [{}, [], None, 5])
def test_fuzz_a_tag_whose_type_is_no_word_keeps_its_value(kind):
    """A type that is an object was an error of the program instead of an attribute."""
    assert read(jaeger(jspan(tags=[tag("k", "5", kind)])))[0].attributes == [{"k": "5"}]


def test_of_a_tag_given_twice_the_last_counts_and_it_is_said():
    table, report = read(jaeger(jspan(tags=[tag("k", "a"), tag("k", "b")])))

    assert table.attributes == [{"k": "b"}]
    assert report.repeated_keys == 1


@pytest.mark.parametrize(
    ("references", "parent", "links"),
    [
        ([], None, []),
        (None, None, []),
        ([ref("a")], "a", []),
        ([ref("a", "FOLLOWS_FROM"), ref("b")], "b", ["a"]),
        ([ref("a", "FOLLOWS_FROM")], "a", []),
        ([ref("a"), ref("b")], "a", ["b"]),
        ([ref("a", trace="ff")], None, ["a"]),
        ([ref("a", span=jspan(spanID="a"))], "a", []),
    ],
    ids=[
        "none",
        "no key",
        "child",
        "follows and child",
        "follows",
        "two parents",
        "other trace",
        "nested span",
    ],
)
def test_references_give_one_parent_and_links(references, parent, links):
    item = jspan(references=references)
    if references is None:
        del item["references"]

    table, report = read(jaeger(item))

    assert table.parent_span_id == [parent and parent.rjust(16, "0")]
    assert [link.span_id for link in table.links[0]] == [link.rjust(16, "0") for link in links]
    assert report.entries == 1


def test_ids_without_leading_zeros_find_their_parents_and_others_stay_as_they_are():
    table, report = read(
        jaeger(
            jspan(spanID="0abc", traceID="006c3cf93508f205"),
            jspan(spanID="d", traceID="6c3cf93508f205", references=[ref("abc", trace="6C3CF93508F205")]),
            jspan(spanID="not-hex", traceID="also not"),
        )
    )

    assert table.span_id == [f"{0xABC:016x}", f"{0xD:016x}", "not-hex"]
    assert table.trace_id[0] == table.trace_id[1] == "6c3cf93508f205".rjust(32, "0")
    assert report.orphans == 0


def test_logs_are_events_named_by_their_field_event_if_they_have_one():
    logs = [
        {"timestamp": 7, "fields": [tag("event", "exception"), tag("exception.type", "ValueError")]},
        {"timestamp": 8, "fields": [tag("message", "hello")]},
    ]

    table, _ = read(jaeger(jspan(logs=logs)))

    assert [tuple(event) for event in table.events[0]] == [
        ("exception", 7_000, {"exception.type": "ValueError"}),
        ("", 8_000, {"message": "hello"}),
    ]


def test_a_process_inside_the_span_is_its_resource():
    item = jspan(process={"serviceName": "inner", "tags": []})
    del item["processID"]

    assert read(jaeger(item))[0].resource[0].service == "inner"


def test_a_negative_duration_is_kept_and_flagged():
    table, report = read(jaeger(jspan(duration=-5)))

    assert table.end_ns[0] < table.start_ns[0]
    assert report.unknown_times == 1


def test_an_array_and_its_text_in_jaeger_count_as_equal_and_numbers_do_not():
    def otlp(value):
        attributes = [{"key": "k", "value": value}]
        span = {"traceId": TRACE, "spanId": SPAN, "name": "op", "attributes": attributes}
        return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()

    array = otlp({"arrayValue": {"values": [{"intValue": "1"}]}})
    text = jspan(tags=[tag("k", "[1]")])
    del text["processID"]
    number = jspan(tags=[tag("k", "1")])
    del number["processID"]

    assert edits(array, json.dumps(jaeger(text)).encode()) == []
    assert edits(otlp({"intValue": "1"}), json.dumps(jaeger(number)).encode()) == [("attr~", "k")]


def test_a_large_answer_of_jaeger_is_read_in_batches_like_a_small_one(monkeypatch):
    spans = [jspan(spanID=f"{n:x}", references=[ref("1")] if n > 1 else []) for n in range(1, 60)]
    document = json.dumps({"data": [jaeger(*spans[:30]), jaeger(*spans[30:])]}).encode()
    plain, _ = load(document)
    monkeypatch.setattr("clnrm_nb.spans.loaders.large.MIN_BYTES", 10)
    monkeypatch.setattr("clnrm_nb.spans.loaders.large._BATCH_BYTES", 1000)

    table, report = load(document)

    assert table == plain
    assert (report.spans, report.orphans) == (59, 0)


# --------------------------------------------------------------------------------------------- Zipkin


def zspan(**more):
    ids = {
        "traceId": "5b8efff798038103",
        "id": SPAN,
        "name": "get /",
        "localEndpoint": {"serviceName": "shop"},
    }
    return ids | {"timestamp": 1_700_000_000_000_123, "duration": 5} | more


def test_a_span_of_zipkin_is_read():
    endpoint = {"serviceName": "shop", "ipv4": "10.0.0.1", "port": 80}
    peer = {"serviceName": "stock", "ipv4": "10.0.0.2", "port": 81}
    tags = {"http.status_code": "200", "otel.scope.name": "lib", "k": None}
    item = zspan(kind="CLIENT", localEndpoint=endpoint, remoteEndpoint=peer, tags=tags, parentId="1")

    table, report = read([item])

    span = table.span(0)
    assert (span.trace_id, span.parent_span_id) == ("5b8efff798038103".rjust(32, "0"), "1".rjust(16, "0"))
    assert (span.kind, span.scope.name, span.service) == ("client", "lib", "shop")
    assert span.attributes == {
        "http.status_code": "200",
        "peer.service": "stock",
        "net.peer.ip": "10.0.0.2",
        "net.peer.port": 81,
    }
    assert (span.start_ns, span.end_ns) == (1_700_000_000_000_123_000, 1_700_000_000_000_128_000)
    assert report.time_resolution == "us"


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({}, ("unset", "", {})),
        ({"error": "boom"}, ("error", "boom", {})),
        ({"error": "true"}, ("error", "", {})),
        ({"error": ""}, ("error", "", {})),
        ({"error": "false"}, ("unset", "", {"error": "false"})),
        ({"otel.status_code": "OK"}, ("ok", "", {})),
        ({"otel.status_code": "ERROR", "error": "why"}, ("error", "why", {})),
    ],
)
def test_the_status_of_zipkin_is_in_its_tags(tags, expected):
    span = read([zspan(tags=tags)])[0].span(0)

    assert (span.status_code, span.status_message, span.attributes) == expected


@pytest.mark.parametrize(
    ("text", "name", "attributes"),
    [
        ("cs", "cs", {}),
        ('{"row": {"n": 3}}', "row", {"n": 3}),
        ('"row": {"n": 3}', "row", {"n": 3}),
        ('row|{"n": 3}|0', "row", {"n": 3}),
        ('{"n": 3}', '{"n": 3}', {}),
        ("a|b", "a|b", {}),
        ("{odd}", "{odd}", {}),
    ],
)
def test_annotations_are_events_with_the_attributes_exporters_put_into_them(text, name, attributes):
    (event,) = read([zspan(annotations=[{"timestamp": 7, "value": text}])])[0].events[0]

    assert tuple(event) == (name, 7_000, attributes)


def call(client_more=None, server_more=None, *below):
    client = zspan(kind="CLIENT", localEndpoint={"serviceName": "web"}, **(client_more or {}))
    server = zspan(kind="SERVER", localEndpoint={"serviceName": "stock"}, **(server_more or {}))
    return [client, server, *below]


@pytest.mark.parametrize("mark", [{"shared": True}, {}], ids=["shared", "told by kind"])
@pytest.mark.parametrize("is_turned", [False, True])
def test_client_and_server_with_one_id_are_two_spans_one_below_the_other(mark, is_turned):
    below = zspan(id="b", parentId=SPAN, name="query", localEndpoint={"serviceName": "stock"})
    spans = call(None, mark, below)

    table, report = read(spans[::-1] if is_turned else spans)

    by_kind = {KINDS[kind]: row for row, kind in enumerate(table.kind)}
    client, server, query = by_kind["client"], by_kind["server"], by_kind["internal"]
    parents = table.parent_rows()
    assert (parents[client], parents[server], parents[query]) == (None, client, server)
    assert table.resource[server].service == "stock"
    assert (report.told_apart, report.conflicts, report.entries) == (1, 0, 3)
    assert "1 pair of client and server with one id, told apart" in report.remarks


def test_a_span_below_a_pair_that_is_of_the_callers_service_stays_below_the_caller():
    below = zspan(id="b", parentId=SPAN, name="serialise", localEndpoint={"serviceName": "web"})

    table, _ = read(call(None, {"shared": True}, below))

    parent = table.parent_rows()[table.name.index("serialise")]
    assert table.kind[parent] == KINDS.index("client")


def test_a_shared_span_without_its_client_is_a_span_like_any_other():
    table, report = read([zspan(kind="SERVER", shared=True)])

    assert (len(table), table.span_id, report.told_apart) == (1, [SPAN], 0)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_pieces_of_one_span_are_joined_in_any_order(order):
    late = {"traceId": "5b8efff798038103", "id": SPAN, "localEndpoint": {"serviceName": "shop"}}
    pieces = [
        zspan(kind="SERVER", tags={"a": "1"}),
        late | {"tags": {"b": "2"}},
        late | {"annotations": [{"timestamp": 9, "value": "flush"}]},
    ]

    table, report = read([pieces[index] for index in order])

    span = table.span(0)
    assert (len(table), span.name, span.kind) == (1, "get /", "server")
    assert span.attributes == {"a": "1", "b": "2"}
    assert [event.name for event in span.events] == ["flush"]
    assert span.start_ns == 1_700_000_000_000_123_000
    assert (report.joined, report.entries, report.conflicts) == (2, 3, 0)


def test_pieces_and_pairs_are_found_over_lines_and_lists_of_lists():
    client, server = call(None, {"shared": True})

    lines, _ = load(json.dumps([client]).encode() + b"\n" + json.dumps([server]).encode() + b"\n")
    listed, _ = read([[client], [server]])

    assert trace_digest(lines) == trace_digest(listed)
    assert len(lines) == 2


def test_names_that_zipkin_wrote_in_lower_case_count_as_equal():
    span = {"traceId": TRACE, "spanId": SPAN, "name": "GET /Users", "service": "Shop", "kind": "internal"}

    assert edits(json.dumps(span).encode(), json.dumps([zspan(name="get /users")]).encode()) == []


def test_kinds_that_zipkin_does_not_tell_apart_count_as_equal():
    span = {"traceId": TRACE, "spanId": SPAN, "name": "get /", "service": "shop", "kind": 0}

    assert edits(json.dumps(span).encode(), json.dumps([zspan()]).encode()) == []


def otlp_of(resource, attributes):
    def listed(table):
        return [{"key": key, "value": value} for key, value in table.items()]

    span = {"traceId": TRACE[16:], "spanId": SPAN, "name": "get /", "attributes": listed(attributes)}
    block = {"resource": {"attributes": listed(resource)}, "scopeSpans": [{"spans": [span]}]}
    return json.dumps({"resourceSpans": [block]}).encode()


def test_attributes_of_a_resource_that_zipkin_keeps_with_those_of_the_span_count_as_equal():
    """Only keys that are known for resources were taken for such; a team of its own was a change in every span."""
    shop, team, query = {"stringValue": "shop"}, {"stringValue": "a"}, {"stringValue": "select"}
    otlp = otlp_of({"service.name": shop, "team": team, "host.name": team}, {"db.query.text": query})
    tags = {"team": "a", "host.name": "a", "db.query.text": "select"}

    assert edits(otlp, json.dumps([zspan(tags=tags)]).encode()) == []
    assert edits(json.dumps([zspan(tags=tags | {"team": "b"})]).encode(), otlp) == [("attr~", "team")]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (["a", "b"], "a,b"),
        (["a", "b"], '["a","b"]'),
        ([1, 2.5], "1,2.5"),
        ([True], "true"),
        ([], ""),
        ([], "[]"),
    ],
)
def test_a_list_is_equal_to_what_zipkin_exporters_write_of_it(values, text):
    """That of JavaScript joins it by commas, others write JSON."""
    words = {str: "stringValue", bool: "boolValue", int: "intValue", float: "doubleValue"}
    array = {"arrayValue": {"values": [{words[type(value)]: value} for value in values]}}
    otlp = otlp_of({"service.name": {"stringValue": "shop"}}, {"k": array})

    assert edits(otlp, json.dumps([zspan(tags={"k": text})]).encode()) == []
    assert edits(otlp, json.dumps([zspan(tags={"k": "b"})]).encode()) == [("attr~", "k")]


def test_fractions_of_microseconds_as_javascript_writes_them_are_times():
    """They were taken for no time at all, so every span of a newer exporter had none."""
    item = zspan(
        timestamp=1_700_000_000_000_123.5, duration=5.25, annotations=[{"timestamp": 9.5, "value": "e"}]
    )

    table, report = read([item])

    assert (table.start_ns, table.end_ns) == ([1_700_000_000_000_123_500], [1_700_000_000_000_128_750])
    assert table.events[0][0].time_ns == 9_500
    assert report.unknown_times == 0


def test_an_object_of_two_forms_is_an_error_that_names_both():
    item = zspan(spanId=SPAN, traceId=TRACE)

    with pytest.raises(ClnrmError) as failed:
        read([item])

    assert "line 1, byte 0: an object that may be zipkin or flat" in failed.value.message
    assert "--input-format zipkin" in failed.value.hint
    assert read([item], input_format="flat")[1].format == "flat"
    assert read([item], input_format="zipkin")[1].format == "zipkin"


# ------------------------------------------------------------------------------- Tempo, Jaeger 3, SigNoz


@pytest.mark.parametrize(
    "wrap",
    [
        lambda spans: {"result": {"resourceSpans": spans}},
        lambda spans: {"result": [{"resourceSpans": spans[:1]}, {"resourceSpans": spans[1:]}]},
        lambda spans: {"trace": {"resourceSpans": spans}},
        lambda spans: {"batches": spans},
    ],
    ids=["jaeger 3", "several results", "tempo 2", "tempo"],
)
def test_query_answers_with_otlp_inside_are_read(wrap):
    spans = [
        {"resource": {"attributes": []}, "scopeSpans": [{"spans": [{"name": name, "traceId": "W47/95gDgQPSabYzgT/GDA==", "spanId": spanid}]}]}
        for name, spanid in (("a", "7uGbfsPBsXQ="), ("b", "7uGbfsPBsXU="))
    ]  # fmt: skip

    table, report = read(wrap(spans))

    assert report.format == "tempo"
    assert (table.name, table.trace_id[0], table.span_id[0]) == (["a", "b"], TRACE, SPAN)


def test_several_answers_one_after_the_other_are_read():
    answer = json.dumps({"result": json.loads(line(1))}) + json.dumps({"result": json.loads(line(2))})

    assert load(answer.encode())[0].name == ["n1", "n2"]


def signoz(*rows):
    listed = [{"timestamp": "1700000000000000000", "data": row} for row in rows]
    return {"status": "success", "data": {"resultType": "", "result": [{"queryName": "A", "list": listed}]}}


def srow(**more):
    return {"spanID": SPAN, "traceID": TRACE, "parentSpanID": "", "name": "op", "durationNano": "5000"} | more


def test_a_row_of_signoz_is_a_span_with_its_maps_of_tags_merged():
    row = srow(
        statusCode=2,
        statusMessage="why",
        kind=3,
        serviceName="shop",
        tagMap={"a": "1", "n": "5", "service.namespace": "x"},
        stringTagMap={"b": "2"},
        numberTagMap={"n": 5},
        boolTagMap={"ok": True},
        resourceTagsMap={"host.name": "h"},
        httpMethod="GET",
        events=['{"name": "e", "timeUnixNano": 7, "attributeMap": {"k": "v"}}'],
    )

    table, report = read(signoz(row))

    span = table.span(0)
    assert (span.kind, span.status_code, span.status_message, span.service) == (
        "client",
        "error",
        "why",
        "shop",
    )
    assert span.attributes == {"a": "1", "n": 5, "b": "2", "ok": True, "httpMethod": "GET"}
    assert span.resource.attributes == {"service.namespace": "x", "host.name": "h", "service.name": "shop"}
    assert (span.start_ns, span.end_ns) == (1_700_000_000_000_000_000, 1_700_000_000_000_005_000)
    assert [tuple(event) for event in span.events] == [("e", 7, {"k": "v"})]
    assert report.repeated_keys == 0


def test_maps_of_signoz_that_contradict_each_other_are_counted():
    _, report = read(signoz(srow(tagMap={"a": "1"}, stringTagMap={"a": "2"})))

    assert report.repeated_keys == 1


def test_parents_in_references_of_signoz_are_found():
    references = json.dumps([{"refType": "CHILD_OF", "traceId": TRACE, "spanId": "ab" * 8}])

    assert read(signoz(srow(references=references)))[0].parent_span_id == ["ab" * 8]


def test_rows_of_signoz_that_are_no_spans_are_passed_over():
    table, _ = read(signoz({"count": 5}, srow()))

    assert len(table) == 1


# ------------------------------------------------------------------------------------------------- CSV


HEAD = "TraceID,SpanID,ParentID,PodName,OperationName,StartTimeUnixNano,EndTimeUnixNano,Duration"


def csv_of(*rows, head=HEAD):
    return "\n".join([head, *rows]).encode()


def test_a_table_of_spans_is_read():
    table, report = load(
        csv_of(
            f"{TRACE},{SPAN},root,frontend-579b9bff58-t2dbm,hipstershop/Home,1700000000000000001,1700000000000005001,5",
            f"{TRACE},ab{SPAN[2:]},{SPAN},redis-cart-0,GET,1700000000000000002,,3",
        )
    )

    assert report.format == "csv"
    assert table.parent_span_id == [None, SPAN]
    assert table.name == ["hipstershop/Home", "GET"]
    assert [resource.service for resource in table.resource] == ["frontend", "redis-cart"]
    assert table.resource[0].attributes["k8s.pod.name"] == "frontend-579b9bff58-t2dbm"
    assert table.end_ns == [1700000000000005001, 1700000000000003002]
    assert report.is_plain


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_other_spellings_and_columns_are_understood(delimiter):
    head = [
        "trace_id",
        "span_id",
        "parent_span_id",
        "service",
        "name",
        "start_ms",
        "Duration Ms",
        "kind",
        "status",
        "http.method",
    ]
    row = [TRACE, SPAN, "", "shop", '"say ""hi"""', "1700000000000", "7", "SERVER", "ERROR", "GET"]

    table, report = load("\r\n".join([delimiter.join(head), delimiter.join(row), ""]).encode())

    span = table.span(0)
    assert (span.name, span.kind, span.status_code, span.service) == ('say "hi"', "server", "error", "shop")
    assert (span.start_ns, span.duration_ms) == (1_700_000_000_000_000_000, 7.0)
    assert span.attributes == {"http.method": "GET"}
    assert report.time_resolution == "ms"


def test_rows_that_are_none_are_said_with_line_and_offset():
    good = f"{TRACE},{SPAN},root,p,op,1700000000000000001,1700000000000000002,1"
    data = csv_of("a,b", good, f",{SPAN},root,p,op,1,2,1", 'x,"y,z,p,op,1,2,1')

    table, report = load(data)

    assert len(table) == 1
    assert [(bad.line, bad.reason) for bad in report.refused_lines] == [
        (2, "2 fields where the header has 8"),
        (4, "no trace id"),
        (5, "a quote that is not closed"),
    ]
    assert [data[bad.offset :][:3] for bad in report.refused_lines] == [b"a,b", b",ee", b'x,"']


@pytest.mark.parametrize(
    ("start", "duration"),
    [("start_ms", "duration_ms"), ("start_us", "duration_us"), ("start", "duration_ms")],
)
def test_fractions_in_a_table_are_times(start, duration):
    begin = {"start_us": "1700000000000123.5"}.get(start, "1700000000000.1235")
    took = {"duration_us": "7250.5"}.get(duration, "7.2505")

    table, report = load(
        csv_of(
            f"{TRACE},{SPAN},,s,op,{begin},{took}", head=f"trace,span,parent,service,name,{start},{duration}"
        )
    )

    assert (table.start_ns, table.end_ns) == ([1_700_000_000_000_123_500], [1_700_000_000_007_374_000])
    assert report.unknown_times == 0


def test_a_name_may_have_line_breaks_in_its_quotes():
    table, report = load(
        csv_of(f'{TRACE},{SPAN},root,p,"two\nlines",1,2,1', f"{TRACE},ab{SPAN[2:]},root,p,op,1,2,1")
    )

    assert table.name == ["two\nlines", "op"]
    assert report.skipped == 0


def test_an_open_quote_costs_its_own_line_only():
    rows = [f"{TRACE},{n:016x},root,p,op,1,2,1" for n in range(1, 3000)]

    table, report = load(csv_of(f'{TRACE},{SPAN},root,p,"open,1,2,1', *rows))

    assert len(table) == 2999
    assert [bad.line for bad in report.refused_lines] == [2]


def test_a_table_is_compared_in_what_it_has_and_says_what_it_has_not():
    table = csv_of(f"{TRACE},{SPAN},root,shop-0,POST /Orders,1,2,1", f"{TRACE},ab{SPAN[2:]},{SPAN},shop-0,reserve,1,2,1",
                   f"{TRACE},cd{SPAN[2:]},ab{SPAN[2:]},shop-0,SELECT stock,1,2,1")  # fmt: skip

    assert edits(DATA / "python-otlp.pb", table) == []


def test_a_file_said_to_be_csv_that_has_no_such_header_is_refused():
    with pytest.raises(ClnrmError, match="line 1, byte 0: its first line is no header"):
        load(b"a,b\n1,2\n", input_format="csv")


# --------------------------------------------------------------------------- topology and bad content


def flat(number, **more):
    return {"traceId": TRACE, "spanId": f"{number:016x}", "name": f"n{number}", "service": "s"} | more


def test_a_parent_in_another_trace_is_found_and_that_is_said():
    _, report = read([flat(1), flat(2, traceId="a" * 32, parentSpanId=f"{1:016x}")])

    assert (report.orphans, report.adopted) == (0, 1)
    assert "1 span whose parent was found by its id in another trace" in report.remarks


def test_two_different_spans_with_one_id_are_named_both_and_make_a_diff_unreliable():
    _, report = read([flat(1, name="a", endTimeUnixNano=5), flat(1, name="b", endTimeUnixNano=6)])

    assert report.conflicts == 1
    assert any("`b` and `a`" in finding.message for finding in report.diagnostics)
    assert "one id for `b` and `a`" in report.unreliable


def test_one_id_in_two_services_is_a_collision_too():
    _, report = read([flat(1, service="a", endTimeUnixNano=5), flat(1, service="b", endTimeUnixNano=6)])

    assert report.collisions == [("n1 b unspecified", "n1 a unspecified")]


def test_two_versions_of_one_span_are_no_collision():
    _, report = read([flat(1, endTimeUnixNano=5), flat(1, endTimeUnixNano=6)])

    assert (report.conflicts, report.collisions) == (1, [])
    assert report.unreliable == ""


def test_a_circle_of_parents_is_cut_and_said():
    _, report = read([flat(1, parentSpanId=f"{2:016x}"), flat(2, parentSpanId=f"{1:016x}"), flat(3)])

    assert (report.cycles, report.roots, report.orphans) == (1, 1, 0)


def test_a_span_without_a_service_is_said():
    _, report = read({"traceId": TRACE, "spanId": SPAN, "name": "a"})

    assert "1 span without a service.name, shown as unknown_service" in report.remarks


def test_records_that_are_refused_are_said_with_their_number():
    _, report = read([flat(1), {"name": "x", "spanId": "b"}, flat(3)])

    assert report.refused_records == [(2, "no trace id")]
    assert "the first is record 2: no trace id" in report.partial


def test_a_source_that_is_read_in_part_is_an_error_where_that_is_asked_for():
    data = line(1) + b"\n" + line(2)[:-5]

    assert len(load(data)[0]) == 1
    with pytest.raises(ClnrmError, match=r"only partly readable: .*line 2, byte"):
        load(data, strict=True)
    assert len(load(line(1), strict=True)[0]) == 1


def test_standard_input_is_read(monkeypatch):
    monkeypatch.setattr(
        sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress((DATA / "python-zipkin.json").read_bytes())))
    )

    table, report = load("-")

    assert (len(table), report.source) == (3, "<stdin>")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", str(2**63), str(2**64), "-0", "1" * 4000])
def test_numbers_of_any_kind_cost_nothing(number):
    text = f'{{"traceId": "{TRACE}", "spanId": "{SPAN}", "name": "a", "attributes": {{"k": {number}}}}}'

    table, _ = load(text.encode())

    assert len(trace_digest(table)) == 71


def test_a_number_with_thousands_of_digits_is_refused_with_its_place():
    text = f'{{"traceId": "{TRACE}", "spanId": "{SPAN}", "name": "a", "attributes": {{"k": {"1" * 5000}}}}}'

    with pytest.raises(
        ClnrmError, match=r"line 1, byte [0-9]+: not valid JSON: a number with too many digits"
    ):
        load(text.encode())


# ---------------------------------------------------------------------------------------- large documents


@pytest.fixture
def everything_is_large(monkeypatch):
    monkeypatch.setattr("clnrm_nb.spans.loaders.large.MIN_BYTES", 100)
    monkeypatch.setattr("clnrm_nb.spans.loaders.large._BATCH_BYTES", 2_000)


def document(*spans):
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]})


@pytest.mark.usefixtures("everything_is_large")
def test_a_span_that_is_too_large_costs_only_itself(monkeypatch):
    monkeypatch.setattr("clnrm_nb.spans.loaders.large.MAX_SPAN_BYTES", 20_000)
    spans = [flat(n) for n in range(1, 200)]
    spans[90] = flat(91, attributes=[{"key": "k", "value": {"stringValue": "x]," * 30_000}}])
    text = document(*spans)

    table, report = load(text.encode())

    assert len(table) == 198
    (lost,) = report.refused_lines
    assert lost.reason == "a span of more than 20000 bytes"
    assert text[lost.offset :].lstrip().startswith(json.dumps(spans[90])[:100])


@pytest.mark.usefixtures("everything_is_large")
@pytest.mark.parametrize("odd", ["NaN", '"\\ud800"', "1e999"])
def test_numbers_and_texts_that_strict_json_has_not_cost_nothing_in_a_large_document(odd):
    text = document(*(flat(n, attributes={"k": "ODD" if n == 90 else n}) for n in range(1, 200)))

    table, report = load(text.replace('"ODD"', odd).encode())

    assert len(table) == 199
    assert report.skipped == 0


@pytest.mark.usefixtures("everything_is_large")
def test_a_broken_span_in_a_large_document_is_said_with_its_offset_and_costs_only_itself():
    text = document(*(flat(n) for n in range(1, 200))).replace('"name": "n90"', '"name": "n90",,')

    table, report = load(text.encode())

    assert len(table) == 198
    (lost,) = report.refused_lines
    assert text[lost.offset - 1 : lost.offset + 1] == ",,"


def listed(first, last):
    return json.dumps(
        [zspan(id=f"{n:016x}", parentId=None, tags={"n": "x" * 50}) for n in range(first, last)]
    )


@pytest.mark.usefixtures("everything_is_large")
@pytest.mark.parametrize("between", ["\n", "\r\n", " ", ""])
def test_the_second_of_two_large_lists_was_lost_without_a_word(between):
    table, report = load((listed(1, 100) + between + listed(100, 200)).encode())

    assert (len(table), report.skipped) == (199, 0)


@pytest.mark.usefixtures("everything_is_large")
def test_what_stands_behind_a_large_list_was_passed_over_without_a_word():
    table, report = load((listed(1, 100) + "\nsome text\n").encode())

    assert (len(table), report.skipped) == (99, 1)


@pytest.mark.usefixtures("everything_is_large")
@pytest.mark.parametrize("lost", [1, 3, 60, 3_000])
def test_a_large_list_that_breaks_off_lost_its_last_spans_without_a_word(lost):
    text = listed(1, 100)[:-lost]

    table, report = load(text.encode())

    assert len(table) == text.count('x"}}')
    assert [(bad.offset, bad.reason) for bad in report.refused_lines] == [
        (len(text), "the document ends too early; what was whole is read")
    ]


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.9, 0.99])
def test_a_large_document_that_breaks_off_gives_what_a_small_one_gives_and_is_never_parsed_as_a_whole(
    monkeypatch, indent, share
):
    blocks = [
        {"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": f"s{first}"}}]},
         "scopeSpans": [{"spans": [flat(n) for n in range(first, first + 60)]}]}
        for first in (1, 100, 200)
    ]  # fmt: skip
    text = json.dumps({"resourceSpans": blocks}, indent=indent)
    torn = text[: int(len(text) * share)].encode()
    small, _ = load(torn)
    monkeypatch.setattr("clnrm_nb.spans.loaders.large.MIN_BYTES", 100)
    monkeypatch.setattr("clnrm_nb.spans.loaders.large._BATCH_BYTES", 500)
    monkeypatch.setattr("clnrm_nb.spans.loaders.reading.parse", lambda _: pytest.fail("parsed as a whole"))

    table, report = load(torn)

    assert table == small
    assert [bad.reason for bad in report.refused_lines] == [
        "the document ends too early; what was whole is read"
    ]


def test_a_torn_list_among_lists_on_lines_was_passed_over_without_a_word():
    table, report = load((listed(1, 3) + "\n" + listed(3, 9)[:-5]).encode())

    assert len(table) == 2
    assert [bad.line for bad in report.refused_lines] == [2]


def test_a_large_value_is_held_once_while_it_is_looked_at(monkeypatch, tmp_path):
    size = 16 * 1024 * 1024
    monkeypatch.setattr("clnrm_nb.spans.loaders.large.MAX_SPAN_BYTES", size // 2)
    monkeypatch.setattr("clnrm_nb.spans.loaders.reading._HELD_BYTES", 1024 * 1024)
    path = tmp_path / "large.json"
    path.write_text(document(flat(1), flat(2, attributes={"k": "x" * size}), flat(3)) + "\n")
    tracemalloc.start()

    try:
        table, _ = load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert len(table) == 2
    assert peak < 1.5 * size


@pytest.mark.parametrize(
    "wrap", [bytes, lambda data: data + b"\n" + line(9), lambda data: len(data).to_bytes(4) + data]
)
@pytest.mark.parametrize("make", [document, lambda *spans: json.dumps(spans)], ids=["document", "list"])
def test_a_broken_span_costs_only_itself_in_a_small_document_too(make, wrap):
    """One byte of one span cost all of a small document; in a large one it never did."""
    text = make(flat(1), flat(2), flat(3)).replace('"name": "n2"', '"name": "n2",,')

    table, report = load(wrap(text.encode()))

    assert table.name[:2] == ["n1", "n3"]
    (lost,) = report.refused_lines
    assert wrap(text.encode())[lost.offset - 1 : lost.offset + 1] == b",,"
    assert lost.reason.startswith("not valid JSON: ")


def test_two_readings_of_a_document_differ_in_no_span_without_a_word(monkeypatch):
    """What was lost without a word was lost where a document is read in parts: see also tests/fuzz."""
    whole = (listed(1, 60) + listed(60, 90) + "\n" + listed(90, 120)).encode()
    as_small, _ = load(whole)
    monkeypatch.setattr("clnrm_nb.spans.loaders.large.MIN_BYTES", 100)

    as_large, _ = load(whole)

    assert as_large == as_small


@pytest.mark.parametrize(
    ("data", "n_skipped"),
    [
        (line(1) + b"\n" + line(2) + b"\n" + b"\0" * 400, 1),
        (line(1) + b"\n" + line(2) + b"\0" * 400, 1),
        (line(1) + b"\n" + line(3)[:50] + b"\0" * 50 + b"\n" + line(2) + b"\n", 1),
        (b"\xef\xbb\xbf" + line(1) + b"\n" + line(2) + b"\n\0", 1),
        (b"starting\n" + line(1) + b"\n\x01 ready\n" + line(2), 2),
    ],
    ids=["behind the last line", "on it", "in a torn line", "with a mark", "in a log"],
)
def test_control_bytes_in_a_text_made_a_binary_file_of_it_and_cost_every_span(data, n_skipped):
    """A crash of the machine leaves NUL bytes at the end of a file that was just written."""
    table, report = load(data)

    assert table.name == ["n1", "n2"]
    assert report.skipped == n_skipped
