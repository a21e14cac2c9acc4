"""Spans are read many at a time; what is odd in one of them changes nothing about the others."""

from __future__ import annotations

import json

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from clnrm_nb.spans.loaders import large, load, write_otlp_json

TRACE = "5b8efff798038103d269b633813fc60c"


def span(number, **changes):
    return {"traceId": TRACE, "spanId": f"{number:016x}", "name": f"n{number}"} | changes


def document(*spans):
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()


def nested(levels):
    value = {"stringValue": "x"}
    for _ in range(levels):
        value = {"arrayValue": {"values": [value]}}
    return value


ODD = {
    "no trace id": {"traceId": None},
    "no span id": {"spanId": "0000000000000000"},
    "an attribute is nested too deeply": {"attributes": [{"key": "k", "value": nested(80)}]},
}


@pytest.mark.parametrize("reason", ODD)
def test_an_odd_span_among_many_is_the_only_one_refused_and_named_by_its_number(reason):
    twice = [{"key": "k", "value": {"intValue": "1"}}] * 2
    spans = [span(number, attributes=twice, droppedEventsCount=1) for number in range(1, 600)]
    spans[400] |= ODD[reason]

    table, report = load(document(*spans))

    assert table.span_id == [f"{number:016x}" for number in range(1, 600) if number != 401]
    assert dict(report.refused) == {reason: 1}
    assert report.refused_records == [(401, reason)]
    assert (report.repeated_keys, report.dropped) == (598, 598)


def test_protobuf_span_that_is_refused_is_named_by_its_number():
    message = TracesData()
    scope = message.resource_spans.add().scope_spans.add()
    for number in range(1, 600):
        scope.spans.add(trace_id=bytes.fromhex(TRACE), span_id=number.to_bytes(8), name="n")
    scope.spans[400].span_id = b"short"

    table, report = load(message.SerializeToString())

    assert len(table) == 598
    assert report.refused_records == [(401, "no valid span id")]


def test_keys_given_twice_are_counted_in_protobuf_as_in_json():
    message = TracesData()
    block = message.resource_spans.add()
    span = block.scope_spans.add().spans.add(trace_id=bytes.fromhex(TRACE), span_id=b"12345678", name="n")
    for owner in (block.resource, span, span.events.add(name="e"), span.links.add()):
        for number in range(3):
            owner.attributes.add(key="k").value.int_value = number

    table, report = load(message.SerializeToString())

    assert table.attributes[0] == {"k": 2}
    assert report.repeated_keys == 8


def test_ids_that_hold_a_comma_stay_one_id():
    odd = "eee19b7ec3c1b174,eee19b7ec3c1b175"

    table, _ = load(document(span(1), span(2, spanId=odd), span(3, parentSpanId=odd)))

    assert table.span_id[1] == table.parent_span_id[2] == odd


def test_both_dialects_in_one_list_are_read_span_by_span():
    snake = {"trace_id": TRACE, "span_id": f"{2:016x}", "parent_span_id": f"{1:016x}", "name": "n2"}

    table, report = load(document(span(1), snake, span(3, parentSpanId=f"{2:016x}")))

    assert table.parent_span_id == [None, f"{1:016x}", f"{2:016x}"]
    assert (report.roots, report.orphans) == (1, 0)


@pytest.mark.parametrize(
    "text", ['"', "\\", '\\"', "[", "]}]}", '"]},{"traceId":', "{[", '\\\\"}', "},", "\n"]
)
def test_large_documents_are_cut_between_spans_whatever_their_texts_hold(monkeypatch, text):
    monkeypatch.setattr(large, "MIN_BYTES", 1_000)
    monkeypatch.setattr(large, "_BATCH_BYTES", 300)
    attributes = [{"key": text, "value": {"stringValue": text * 3}}]
    links = [{"traceId": TRACE, "spanId": f"{number:016x}"} for number in range(1, 9)]
    spans = [span(number, attributes=attributes, links=links) for number in range(1, 60)]

    table, report = load(document(*spans))

    assert (len(table), report.skipped) == (59, 0)
    assert all(written == {text: text * 3} for written in table.attributes)


def test_large_documents_with_endless_brackets_end(monkeypatch):
    monkeypatch.setattr(large, "MIN_BYTES", 1_000)
    monkeypatch.setattr(large, "_BATCH_BYTES", 300)
    deep = '{"traceId": "' + TRACE + '", "x": ' + "[" * 100_000 + "]" * 100_000 + "}"
    whole = json.dumps(span(1))

    table, report = load(
        f'{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{whole},{deep},{whole}]}}]}}]}}'.encode()
    )

    assert (len(table), report.skipped) == (1, 1)


@pytest.mark.parametrize("levels", [(40, 20), (40, 24), (40, 25), (60, 60)])
def test_values_nested_in_two_ways_that_are_taken_can_be_written_and_read_again(levels):
    outer, inner = levels
    plain = "x"
    for _ in range(inner):
        plain = [plain]
    value = {"stringValue": plain} if inner % 2 else plain
    for _ in range(outer):
        value = {"arrayValue": {"values": [value]}}

    table, report = load(document(span(1), span(2, attributes=[{"key": "k", "value": value}])))

    assert len(table) == (2 if outer + inner <= 64 else 1), report.refused
    assert load(write_otlp_json(table))[0] == table


@pytest.mark.parametrize("n_spans", [0, 1, 3])
def test_large_documents_of_many_small_scopes_are_looked_at_once(monkeypatch, n_spans):
    scanned = []
    unpaired = large._unpaired
    monkeypatch.setattr(large, "_unpaired", lambda text: scanned.append(len(text)) or unpaired(text))
    scopes = [
        {"scope": {"name": f"lib {first}"}, "spans": [span(first + more) for more in range(n_spans)]}
        for first in range(10, 300_000, 10)
    ]
    scopes.append({"scope": {"name": "last"}, "spans": [span(1, name="x" * large.MIN_BYTES)]})
    data = json.dumps({"resourceSpans": [{"scopeSpans": scopes}]}).encode()

    table, report = load(data)

    assert (len(table), report.skipped) == ((len(scopes) - 1) * n_spans + 1, 0)
    assert table.scope[-1].name == "last"
    assert sum(scanned) <= 2 * len(data)
