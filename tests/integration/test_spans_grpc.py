"""OTLP/gRPC: the real Python exporter, and every way to get a call wrong."""

from __future__ import annotations

import asyncio
import gzip
import os
import subprocess
import sys
import textwrap
import zlib

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from clnrm_nb.config.project import Project
from clnrm_nb.config.settings import load_settings
from clnrm_nb.executor.backends import open_backend
from clnrm_nb.executor.plan import make_plan
from clnrm_nb.executor.pool import run_tests
from clnrm_nb.scenario.model import Metadata, Otel, Step, TestFile
from clnrm_nb.spans.collector import Collector
from clnrm_nb.spans.fairness import Account, Reservation
from clnrm_nb.spans.receiver import Limits, Receiver

TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
HOST = "127.0.0.1"


@pytest.fixture
def body_timeout_s():
    """As long as a call may take on a busy machine."""
    return 60.0


@pytest.fixture
async def receiver(body_timeout_s):
    started = Receiver(
        Limits(
            max_bytes=400_000,
            max_wire_bytes=200_000,
            max_in_flight_bytes=1_600_000,
            body_timeout_s=body_timeout_s,
        )
    )
    await started.start()
    await started.listen(HOST, grpc=True)
    yield started
    await started.stop()


@pytest.fixture
def collector(receiver):
    made = Collector("tests/a.clnrm.toml", receiver)
    yield made
    made.close()


def request_of(n_spans=1, *, span_id_bytes=8):
    message = ExportTraceServiceRequest()
    scope_spans = message.resource_spans.add().scope_spans.add()
    for number in range(n_spans):
        span = scope_spans.spans.add(name=f"work-{number}")
        span.trace_id, span.span_id = b"t" * 16, (number + 1).to_bytes(span_id_bytes)
    return message.SerializeToString()


@pytest.fixture
def call(receiver):
    """Make one call with bytes as they are; the answer, or the error."""

    def at_once(data, token, method, compression, host):
        target = receiver.endpoint(token, host, grpc=True).removeprefix("http://")
        with grpc.insecure_channel(target, options=[("grpc.max_send_message_length", -1)]) as channel:
            method = channel.unary_unary(method)
            try:
                return method(data, metadata=(("x-clnrm-token", token),), compression=compression, timeout=60)
            except grpc.RpcError as error:
                return error

    async def call(data, token, *, method=TRACES, compression=None, host=HOST):
        return await asyncio.to_thread(at_once, data, token, method, compression, host)

    return call


# -------------------------------------------------------------------------------------- the real SDK

PROGRAM = textwrap.dedent(
    """
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
    import os

    assert os.environ["OTEL_EXPORTER_OTLP_PROTOCOL"] == "grpc"
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    tracer = provider.get_tracer("shop", "1.2")
    parent = TraceContextTextMapPropagator().extract({"traceparent": os.environ["TRACEPARENT"]})
    with tracer.start_as_current_span("checkout", parent, kind=trace.SpanKind.SERVER, attributes={
        "n": 1, "share": 0.5, "ok": True, "words": ["a", "b"], "big": 2**62
    }) as span:
        span.add_event("paid", {"euros": 3})
        for number in range(20):
            with tracer.start_as_current_span(f"item-{number % 3}"):
                pass
        span.set_status(trace.StatusCode.ERROR, "sold out")
    provider.shutdown()
    """
)
TRACE_ID, SPAN_ID = "1234567890abcdef" * 2, "fedcba0987654321"


async def run_program(receiver, token, **environment):
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        stderr=subprocess.PIPE,
        env={
            "PATH": os.environ["PATH"],
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint(token, HOST, grpc=True),
            "OTEL_EXPORTER_OTLP_HEADERS": f"x-clnrm-token={token}",
            "OTEL_SERVICE_NAME": "shop",
            "TRACEPARENT": f"00-{TRACE_ID}-{SPAN_ID}-01",
            **environment,
        },
    )
    _, complaints = await program.communicate()
    assert program.returncode == 0
    return complaints.decode()


@pytest.mark.parametrize("compression", ["none", "gzip"])
async def test_spans_of_the_real_sdk_arrive_whole(receiver, collector, compression):
    token = collector.open_scenario("buy", TRACE_ID, SPAN_ID)
    options = {} if compression == "none" else {"OTEL_EXPORTER_OTLP_COMPRESSION": compression}

    await run_program(receiver, token, **options)
    quiet = await collector.quiet(60)
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
    assert root.attributes == {"n": 1, "share": 0.5, "ok": True, "words": ["a", "b"], "big": 2**62}
    assert [(event.name, event.attributes) for event in root.events] == [("paid", {"euros": 3})]
    assert (root.status_code, root.status_message) == ("error", "sold out")


async def test_what_the_real_sdk_is_asked_to_send_again_comes_again(receiver, collector):
    token = collector.open_scenario("buy", TRACE_ID, SPAN_ID)
    crowd = [Reservation(receiver.shares, Account()) for _ in range(30)]
    for other in crowd:
        while other.grow(1_000):
            pass
    put_off = asyncio.Event()

    class Watched(Account):
        def put_off(self, fingerprint):
            super().put_off(fingerprint)
            put_off.set()

    watched = Watched()
    receiver.register(token, collector._take, watched)

    running = asyncio.create_task(run_program(receiver, token))
    async with asyncio.timeout(60):
        await put_off.wait()
    owed = watched.n_open
    for other in crowd:
        other.release()
    complaints = await running

    assert owed >= 1
    assert "RESOURCE_EXHAUSTED" in complaints
    assert len(collector.table) == 21
    assert watched.n_open == 0


async def test_a_scenario_file_that_says_grpc_gets_its_spans_over_grpc(tmp_path):
    project = Project(tmp_path, tmp_path / ".clnrm")
    settings = load_settings(project, overrides={"executor.backend": "process"}, environ={})
    test = TestFile(
        file="a.clnrm.toml",
        metadata=Metadata(name="a"),
        steps=(Step(name="go", command=(sys.executable, "-c", PROGRAM)),),
        otel=Otel(protocol="grpc"),
    )
    plan = make_plan(test, directory=tmp_path, project=project, settings=settings)
    backend = await open_backend("process", settings)

    (outcome,) = await run_tests([plan], backend, settings=settings, project=project, run_id="R1")

    assert (outcome.status, outcome.diagnostics, outcome.complete) == ("passed", [], True)
    assert outcome.scenarios[0].span_count == 21


# ----------------------------------------------------------------------------------- single calls


@pytest.mark.parametrize("compression", list(grpc.Compression))
async def test_spans_are_taken_in_every_compression(collector, call, compression):
    answer = await call(request_of(3), collector.services_token, compression=compression)

    assert answer == b""
    assert collector.table.name == ["work-0", "work-1", "work-2"]


async def test_spans_are_taken_at_further_addresses_until_these_are_closed(receiver, collector, call):
    await receiver.listen("127.0.0.2", grpc=True)
    token = collector.services_token
    endpoint = receiver.endpoint(token, "127.0.0.2", grpc=True)

    taken = await call(request_of(2), token, host="127.0.0.2")
    await receiver.unlisten("127.0.0.2")

    assert endpoint.startswith("http://127.0.0.2:")
    assert endpoint != receiver.endpoint(token, HOST, grpc=True).replace(HOST, "127.0.0.2")
    assert taken == b""
    host, port = endpoint.removeprefix("http://").split(":")
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(host, int(port))


@pytest.mark.parametrize("signal", ["metrics.v1.Metrics", "logs.v1.Logs"])
async def test_metrics_and_logs_are_answered_and_ignored(collector, call, signal):
    method = f"/opentelemetry.proto.collector.{signal}Service/Export"

    assert await call(b"anything", collector.services_token, method=method) == b""
    assert collector.finish(killed=[]).diagnostics == ()


async def test_other_services_are_unimplemented(collector, call):
    error = await call(b"", collector.services_token, method="/grpc.health.v1.Health/Check")

    assert error.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_spans_under_an_unknown_token_are_rejected_and_reported(receiver, collector, call):
    answer = await call(request_of(3), "strange")

    partial = ExportTraceServiceResponse.FromString(answer).partial_success
    assert (partial.rejected_spans, partial.error_message) == (3, "unknown token")
    assert len(collector.table) == 0
    assert [d.code for d in collector.finish(killed=[]).diagnostics] == ["CLN615"]


async def test_spans_with_bad_ids_are_rejected_and_the_others_taken(collector, call):
    answer = await call(request_of(2, span_id_bytes=7), collector.services_token)

    partial = ExportTraceServiceResponse.FromString(answer).partial_success
    assert (partial.rejected_spans, partial.error_message) == (2, "no valid span id (2)")
    assert [d.code for d in collector.finish(killed=[]).diagnostics] == ["CLN609"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xff\xff\xff", "not an OTLP trace message"),
        (gzip.compress(request_of(50))[:-9], "the gzip body ends too early"),
        (gzip.compress(request_of(5)) + b"more", "the gzip body is damaged"),
        (zlib.compress(request_of(5)) + b"more", "there is more after the end of the deflate body"),
        (gzip.compress(bytes(50_000_000)), "larger than 400000 bytes when unpacked"),
        (bytes(250_000), "larger than 200000 bytes as sent"),
    ],
    ids=["garbage", "truncated", "trailing", "trailing deflate", "bomb", "large"],
)
async def test_what_cannot_be_taken_is_an_invalid_argument_and_a_loss(collector, call, data, reason):
    error = await call(data, collector.services_token)
    (finding,) = collector.finish(killed=[]).diagnostics

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert reason in error.details()
    assert finding.code == "CLN614"
    assert reason in finding.message


async def test_a_message_too_large_to_be_read_is_a_loss_too(collector, call):
    """The library refuses it by itself, and tells nobody on this side."""
    error = await call(bytes(900_000), collector.services_token)

    assert error.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert [d.code for d in collector.finish(killed=[]).diagnostics] == ["CLN614"]


@pytest.mark.parametrize("body_timeout_s", [0.3])
async def test_a_call_without_a_message_is_cut_off_in_time(receiver, collector):
    token = collector.services_token
    target = receiver.endpoint(token, HOST, grpc=True).removeprefix("http://")
    async with grpc.aio.insecure_channel(target) as channel:
        begun = channel.stream_unary(TRACES)(metadata=(("x-clnrm-token", token),))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            async with asyncio.timeout(30):
                await begun

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert not receiver.connections_busy({token})
    assert [d.code for d in collector.finish(killed=[]).diagnostics] == ["CLN614"]
