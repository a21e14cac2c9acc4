"""Protobuf cut into pieces is read as if it were parsed whole."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from clnrm_nb.spans import decode
from clnrm_nb.spans.intake import Intake
from clnrm_nb.spans.wire import WireError, fields, runs


def read(data):
    intake = Intake()
    decode.read(data, intake)
    return intake


def varint(number):
    out = b""
    while number > 0x7F:
        out += bytes((number & 0x7F | 0x80,))
        number >>= 7
    return out + bytes((number,))


def field(number, value):
    return bytes((number << 3 | 2,)) + varint(len(value)) + value


def span(number, name="s"):
    made = ExportTraceServiceRequest().resource_spans.add().scope_spans.add().spans.add(name=name)
    made.trace_id, made.span_id = b"t" * 16, number.to_bytes(8)
    return made.SerializeToString()


ATTRIBUTE = field(1, field(1, b"team") + field(2, field(1, b"red")))


@pytest.mark.parametrize("counts", [[[1]], [[0, 3], [], [2]], [[511, 1], [513]], [[1500]], [[2, 40_000, 1]]])
def test_resources_scopes_and_spans_are_those_of_the_whole_message(counts):
    made = ExportTraceServiceRequest()
    expected, number = [], 0
    for resource, scopes in enumerate(counts):
        block = made.resource_spans.add()
        block.resource.attributes.add(key="n").value.int_value = resource
        for scope, count in enumerate(scopes):
            scope_spans = block.scope_spans.add()
            scope_spans.scope.name = f"scope-{scope}"
            for _ in range(count):
                number += 1
                scope_spans.spans.add(name="s", trace_id=b"t" * 16, span_id=number.to_bytes(8))
                expected.append((resource, f"scope-{scope}", f"{number:016x}"))

    table = read(made.SerializeToString()).table

    found = zip(table.resource, table.scope, table.span_id, strict=True)
    assert [(each.attributes["n"], scope.name, span_id) for each, scope, span_id in found] == expected


@pytest.mark.parametrize("size", [300, 1_100_000])
def test_order_of_fields_and_fields_nobody_knows_do_not_matter(size):
    # Large enough to be cut, and small enough to be parsed as it is.
    unknown = field(9, b"x" * size) + b"\x68\x05" + b"\x39" + bytes(8) + b"\xf8\x07\x01"
    scope = field(2, span(1)) + unknown + field(2, span(2)) + field(1, field(1, b"shop")) + field(3, b"url")
    block = field(2, scope) + unknown + field(1, ATTRIBUTE) + field(2, field(2, span(3)))

    table = read(unknown + field(1, block) + unknown).table

    assert table.span_id == [f"{number:016x}" for number in (1, 2, 3)]
    assert [each.attributes for each in table.resource] == [{"team": "red"}] * 3
    assert [each.name for each in table.scope] == ["shop", "shop", ""]


def test_a_head_that_is_given_twice_is_one():
    block = field(1, ATTRIBUTE) + field(2, field(2, span(1))) + field(1, b"\x10\x07")

    intake = read(field(1, block))

    assert intake.table.resource[0].attributes == {"team": "red"}
    assert intake.dropped == 7


def test_a_span_too_large_to_be_parsed_costs_itself_only():
    huge = span(2, "x" * decode.MAX_SPAN_BYTES)

    intake = read(field(1, field(2, field(2, span(1)) + field(2, huge) + field(2, span(3)))))

    assert intake.table.span_id == [f"{1:016x}", f"{3:016x}"]
    assert intake.refused == {f"a span of more than {decode.MAX_SPAN_BYTES} bytes": 1}


@given(st.lists(st.integers(1, 200), max_size=30), st.integers(1, 400))
def test_runs_are_bounded_and_together_they_are_everything(sizes, max_bytes):
    data = b"".join(field(2, bytes(size)) for size in sizes)

    found = list(runs(data, 0, len(data), 2, max_bytes))

    counts = [sum(1 for _ in fields(run, 0, len(run))) for run in found]
    assert b"".join(found) == data
    assert all(count == 1 or len(run) <= max_bytes for count, run in zip(counts, found, strict=True))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_and_nothing_else(data):
    with contextlib.suppress(decode.MalformedError):
        assert len(read(data).table) <= len(data)


@pytest.mark.parametrize(
    "data", [b"\x0a", b"\x0a\x05abc", b"\x08", b"\x08" + b"\xff" * 11, b"\x09abc", b"\x0b\x0c", b"\x0a\xff"]
)
def test_what_ends_too_early_or_is_of_no_known_kind_is_refused(data):
    with pytest.raises(WireError):
        list(fields(data, 0, len(data)))


def test_every_cut_of_a_message_is_refused():
    data = field(1, field(2, b"".join(field(2, span(number)) for number in range(1, 6))))

    for cut in range(1, len(data)):
        with pytest.raises(decode.MalformedError):
            read(data[:cut])
