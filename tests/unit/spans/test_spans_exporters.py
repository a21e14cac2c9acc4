"""One trace with everything in it, through every exporter of the SDK that is installed: equal in all forms."""

from __future__ import annotations

import gzip
import io
from itertools import combinations

import pytest
from google.protobuf import json_format
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

from clnrm_nb.diff import compare
from clnrm_nb.spans.canonical import trace_digest
from clnrm_nb.spans.loaders import load
from clnrm_nb.spans.loaders.carried import comparable

START_NS = 1_700_000_000_000_000_000
MS = 1_000_000
VALUES = {
    "above 2^53": 2**53 + 1,
    "least": -(2**63),
    "most": 2**63 - 1,
    "whole": 1.0,
    "huge": 1e300,
    "tenth": 0.1,
    "ok": True,
    "text": 'käse ✓ 𝄞\n"q" \\',
    "nul": "a\0b",
    "long": "x" * 5_000,
    "number as text": "200",
    "json as text": '{"a": [1, 2.0]}',
    "empty": "",
    "texts": ["a", "b"],
    "wholes": [1, 2],
    "doubles": [1.0, 2.5],
    "truths": [True, False],
    "nothing": [],
    "nested": {"a": [1, {"b": None}]},
    "mixed": [1, "a"],
    "none": None,
}


class ShortIds(RandomIdGenerator):
    """Trace ids of 64 bits, as from a client of an older system."""

    def generate_trace_id(self):
        return super().generate_trace_id() >> 64


def record(provider):
    kinds = trace.SpanKind
    tracer, other = provider.get_tracer("shop.web", "1.2"), provider.get_tracer("other lib")
    root = tracer.start_span("POST /Käse", kind=kinds.SERVER, start_time=START_NS, attributes=VALUES)
    elsewhere = trace.SpanContext(0xDEAD << 64 | 5, 0x77, is_remote=True)
    with trace.use_span(root):
        tracer.start_span("publish", kind=kinds.PRODUCER, start_time=START_NS).end(START_NS + MS)
        links = [trace.Link(root.get_span_context(), {"why": "self", "n": 1}), trace.Link(elsewhere)]
        step = other.start_span("reserve", start_time=START_NS + MS, links=links)
        with trace.use_span(step):
            query = tracer.start_span("SELECT", kind=kinds.CLIENT, start_time=START_NS + 2 * MS)
            query.add_event("row lock", {"rows": 3, "share": 0.5, "of": ["x"], "ok": True}, START_NS + 2 * MS)
            query.add_event("bare", timestamp=START_NS + 2 * MS)
            query.record_exception(ValueError("no stock ✗"), timestamp=START_NS + 2 * MS)
            query.set_status(trace.StatusCode.ERROR, "no stock")
            query.end(START_NS + 3 * MS)
        step.end(START_NS + 4 * MS)
    root.set_status(trace.StatusCode.OK)
    root.end(START_NS + 5 * MS)


@pytest.fixture(scope="module")
def forms():
    """Name of a form → the trace in it."""
    memory, printed = InMemorySpanExporter(), io.StringIO()
    resource = Resource({"service.name": "Shop ✓", "team": "a", "n": 3, "ratio": 0.25, "list": ["a", "b"]})
    provider = TracerProvider(resource=resource, id_generator=ShortIds())
    provider.add_span_processor(SimpleSpanProcessor(memory))
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=printed)))
    record(provider)
    spans = memory.get_finished_spans()
    message = encode_spans(spans)
    return {
        "protobuf": message.SerializeToString(),
        "gzip": gzip.compress(message.SerializeToString()),
        "JSON of protobuf": json_format.MessageToJson(message).encode(),
        "snake_case": json_format.MessageToJson(message, preserving_proto_field_name=True).encode(),
        "console": printed.getvalue().encode(),
        "to_json, one a line": "\n".join(span.to_json(indent=None) for span in spans).encode(),
    }


def test_everything_that_was_recorded_is_read(forms):
    table, report = load(forms["protobuf"])

    assert report.is_plain
    root = table.span(table.name.index("POST /Käse"))
    assert root.attributes == VALUES
    assert [type(root.attributes[key]) for key in VALUES] == [type(value) for value in VALUES.values()]
    assert root.trace_id.startswith("0" * 16)
    step = table.span(table.name.index("reserve"))
    assert [link.attributes for link in step.links] == [{"why": "self", "n": 1}, {}]
    query = table.span(table.name.index("SELECT"))
    assert [event.name for event in query.events] == ["row lock", "bare", "exception"]
    assert query.events[2].attributes["exception.message"] == "no stock ✗"


def test_every_two_forms_of_one_trace_are_equal(forms):
    loaded = {name: load(data) for name, data in forms.items()}

    for (one, (before, of_before)), (other, (after, of_after)) in combinations(loaded.items(), 2):
        left, right, _ = comparable(before, of_before, after, of_after)

        assert [(edit.op, edit.key) for edit in compare(left, right).counted] == [], (one, other)
        assert trace_digest(left) == trace_digest(right), (one, other)
