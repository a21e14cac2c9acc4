"""A second real client: OpenTelemetry's own SDK for JavaScript, in every form it can send."""

from __future__ import annotations

import asyncio
import subprocess

import pytest

from clnrm_nb.spans.collector import Collector
from clnrm_nb.spans.fairness import Account, Reservation
from clnrm_nb.spans.receiver import Limits, Receiver

PROGRAM = """
const { context, propagation, trace, SpanKind, SpanStatusCode } = require("@opentelemetry/api");
const { BatchSpanProcessor, NodeTracerProvider } = require("@opentelemetry/sdk-trace-node");
const { detectResources, envDetector } = require("@opentelemetry/resources");
const kind = process.env.OTEL_EXPORTER_OTLP_PROTOCOL === "http/json" ? "http" : "proto";
const { OTLPTraceExporter } = require(`@opentelemetry/exporter-trace-otlp-${kind}`);

const provider = new NodeTracerProvider({
  resource: detectResources({ detectors: [envDetector] }),
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
});
provider.register();
const parent = propagation.extract(context.active(), { traceparent: process.env.TRACEPARENT });
const tracer = trace.getTracer("shop", "1.2");
const attributes = { n: 1, share: 0.5, ok: true, words: ["a", "b"], big: Number.MAX_SAFE_INTEGER, "käse": "✓" };
const root = tracer.startSpan("checkout", { kind: SpanKind.SERVER, attributes }, parent);
root.addEvent("paid", { euros: 3 });
for (let number = 0; number < 20; number += 1) {
  const link = { context: root.spanContext() };
  tracer.startSpan(`item-${number % 3}`, { links: [link] }, trace.setSpan(parent, root)).end();
}
root.setStatus({ code: SpanStatusCode.ERROR, message: "sold out" });
root.end();
provider.shutdown();
"""
TRACE_ID, SPAN_ID = "1234567890abcdef" * 2, "fedcba0987654321"


@pytest.fixture
async def receiver():
    started = Receiver(Limits())
    await started.start()
    yield started
    await started.stop()


@pytest.fixture
def collector(receiver):
    made = Collector("tests/a.clnrm.toml", receiver)
    yield made
    made.close()


@pytest.fixture
def run_program(js_sdk, receiver):
    async def run(token, protocol, compression="none"):
        program = await asyncio.create_subprocess_exec(
            js_sdk.node,
            "-e",
            PROGRAM,
            cwd=js_sdk.directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={
                "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint(token, "127.0.0.1"),
                "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
                "OTEL_EXPORTER_OTLP_COMPRESSION": compression,
                "OTEL_BSP_SCHEDULE_DELAY": "100",
                "OTEL_SERVICE_NAME": "shop",
                "OTEL_RESOURCE_ATTRIBUTES": "team=a%3Db",
                "TRACEPARENT": f"00-{TRACE_ID}-{SPAN_ID}-01",
            },
        )
        output, _ = await program.communicate()
        assert program.returncode == 0, output.decode()

    return run


@pytest.mark.parametrize("protocol", ["http/protobuf", "http/json"])
@pytest.mark.parametrize("compression", ["none", "gzip"])
async def test_spans_of_the_javascript_sdk_arrive_whole(
    receiver, collector, run_program, protocol, compression
):
    token = collector.open_scenario("buy", TRACE_ID, SPAN_ID)

    await run_program(token, protocol, compression)
    quiet = await collector.quiet(5)
    collected = collector.finish(killed=[])

    assert quiet
    assert (collected.complete, collected.diagnostics) == (True, ())
    assert len(collected.table) == 21
    assert set(collected.table.scenario) == {"buy"}
    root = collected.table.span(collected.table.name.index("checkout"))
    assert (root.trace_id, root.parent_span_id, root.kind, root.service) == (
        TRACE_ID,
        SPAN_ID,
        "server",
        "shop",
    )
    assert root.resource.attributes["team"] == "a=b"
    assert root.attributes == {
        "n": 1,
        "share": 0.5,
        "ok": True,
        "words": ["a", "b"],
        "big": 2**53 - 1,
        "käse": "✓",
    }
    assert [type(value) for value in list(root.attributes.values())[:3]] == [int, float, bool]
    assert [(event.name, event.attributes) for event in root.events] == [("paid", {"euros": 3})]
    assert (root.status_code, root.status_message) == ("error", "sold out")
    assert (root.scope.name, root.scope.version) == ("shop", "1.2")
    assert root.duration_ms is not None
    item = collected.table.span(collected.table.name.index("item-0"))
    assert item.parent_span_id == root.span_id
    assert (item.links[0].trace_id, item.links[0].span_id) == (root.trace_id, root.span_id)


async def test_what_the_javascript_sdk_is_asked_to_send_again_comes_again(receiver, collector, run_program):
    token = collector.open_scenario("buy", TRACE_ID, SPAN_ID)
    put_off = asyncio.Event()

    class Watched(Account):
        def put_off(self, fingerprint):
            super().put_off(fingerprint)
            put_off.set()

    watched = Watched()
    receiver.register(token, collector._take, watched)
    crowd = [Reservation(receiver.shares, Account()) for _ in range(60)]
    for other in crowd:
        while other.grow(1000):
            pass

    running = asyncio.create_task(run_program(token, "http/protobuf"))
    async with asyncio.timeout(60):
        await put_off.wait()
    owed = watched.n_open
    for other in crowd:
        other.release()
    await running

    assert owed == 1
    assert len(collector.table) == 21
    assert watched.n_open == 0
