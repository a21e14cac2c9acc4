"""What explains edits and is none: versions, schemas, and calls that are made at once."""

from __future__ import annotations

import json

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from clnrm_nb.diff import compare
from clnrm_nb.spans.loaders.load import load
from clnrm_nb.spans.model import Scope, Span
from clnrm_nb.spans.table import SpanTable

MS = 1_000_000


def calls(*starts_ms):
    """A request whose calls of 10 ms start at these times."""
    spans = [Span("t", "r", "request", start_ns=0, end_ns=1000 * MS)]
    spans += [
        Span("t", f"c{i}", f"call {i}", "r", start_ns=start * MS, end_ns=(start + 10) * MS)
        for i, start in enumerate(starts_ms)
    ]
    return SpanTable(spans)


def test_calls_made_at_once_instead_of_one_after_the_other_are_no_edit_and_one_note():
    found = compare(calls(0, 20, 40), calls(0, 1, 2))

    assert found.is_same
    assert found.totals["same"] == 4
    assert found.notes == (
        "children of 1 span run at once that ran one after the other (the first is request)",
    )
    (note,) = compare(calls(0, 1, 2), calls(0, 20, 40)).notes
    assert "no longer run at once" in note


@pytest.mark.parametrize("starts", [(0, 20, 40), (0, 9, 40), (5, 25, 35)], ids=str)
def test_times_that_vary_a_little_are_no_note(starts):
    assert compare(calls(0, 20, 40), calls(*starts)).notes == ()


def test_another_version_of_a_scope_is_a_note_and_no_edit():
    old, new = (SpanTable([Span("t", "1", "a", scope=Scope("redis", v))]) for v in ("1.0", "1.1"))

    found = compare(old, new)

    assert found.is_same
    assert found.notes == ("scope redis: version 1.0 → 1.1",)


def document(schema, key):
    span = {
        "traceId": "1" * 32,
        "spanId": "2" * 16,
        "name": "GET",
        "attributes": [{"key": key, "value": {"stringValue": "GET"}}],
    }
    more = {**span, "spanId": "3" * 16, "parentSpanId": "2" * 16, "name": "call"}
    url = f"https://opentelemetry.io/schemas/{schema}"
    return {
        "resourceSpans": [
            {"scopeSpans": [{"scope": {"name": "http"}, "schemaUrl": url, "spans": [span, more]}]}
        ]
    }


def test_keys_renamed_by_a_migration_name_its_step(tmp_path):
    tables = []
    for schema, key in (("1.20.0", "http.method"), ("1.26.0", "http.request.method")):
        file = tmp_path / f"{schema}.json"
        file.write_text(json.dumps(document(schema, key)))
        table, _ = load(file)
        tables.append(table)

    found = compare(*tables)

    assert [cause.message for cause in found.causes] == [
        "attribute http.method → http.request.method, on 2 spans, as by schema 1.20.0 → 1.26.0"
    ]
    assert found.notes == ("scope http: schema 1.20.0 → 1.26.0",)


@pytest.mark.parametrize("n_spans", [2, 20_000], ids=["small", "read in parts"])
def test_the_schema_of_a_protobuf_block_is_read_whatever_its_size(tmp_path, n_spans):
    request = ExportTraceServiceRequest()
    block = request.resource_spans.add().scope_spans.add()
    block.scope.name, block.schema_url = "http", "https://opentelemetry.io/schemas/1.20.0"
    for number in range(n_spans):
        block.spans.add(trace_id=b"1" * 16, span_id=number.to_bytes(8, "big", signed=False), name="a")
    block.spans[0].span_id = b"12345678"
    file = tmp_path / "trace.binpb"
    file.write_bytes(request.SerializeToString())

    table, _ = load(file)

    assert {scope.schema_url for scope in table.scope} == {"https://opentelemetry.io/schemas/1.20.0"}
    assert len(table) == n_spans


def test_all_keys_that_a_migration_renames_are_one_cause():
    def trace(schema, *keys):
        scope = Scope("http", "1.0", f"https://opentelemetry.io/schemas/{schema}")
        values = {key: f"value of {place}" for place, key in enumerate(keys)}
        return SpanTable(
            [Span("t", str(i), f"call {i}", attributes={**values, "i": i}, scope=scope) for i in range(4)]
        )

    found = compare(
        trace("1.20.0", "http.method", "http.url"), trace("1.26.0", "http.request.method", "url.full")
    )

    ((message, size),) = [(cause.message, len(cause.edits)) for cause in found.causes]
    assert (message, size) == ("2 attribute keys renamed, as by schema 1.20.0 → 1.26.0", 2)
