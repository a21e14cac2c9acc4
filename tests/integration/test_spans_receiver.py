"""The receiver over real sockets: every spelling of a request, every way to get it wrong."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import os
import socket
import subprocess
import sys
import textwrap
import zlib
from dataclasses import replace

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from clnrm_nb.errors import BackendUnavailableError
from clnrm_nb.spans.collector import Collector
from clnrm_nb.spans.fairness import Account, Reservation
from clnrm_nb.spans.receiver import Limits, Receiver, new_token

PROTOBUF = "application/x-protobuf"
JSON = "application/json"


LIMITS = Limits(max_bytes=400_000, max_wire_bytes=200_000, max_in_flight_bytes=1_000_000)


@pytest.fixture
async def receiver():
    started = Receiver(LIMITS)
    await started.start()
    yield started
    await started.stop()


@pytest.fixture
async def impatient():
    """A receiver that waits for nobody: in the others a busy machine's requests have all the time they need."""
    started = Receiver(replace(LIMITS, header_timeout_s=0.3, body_timeout_s=0.3))
    await started.start()
    yield started
    await started.stop()


@pytest.fixture
def collector(receiver):
    made = Collector("tests/a.clnrm.toml", receiver)
    yield made
    made.close()


def request_of(n_spans=1, *, span_id_bytes=8, name="work"):
    message = ExportTraceServiceRequest()
    scope_spans = message.resource_spans.add().scope_spans.add()
    for number in range(n_spans):
        span = scope_spans.spans.add(name=f"{name}-{number}")
        span.trace_id = b"t" * 16
        span.span_id = (number + 1).to_bytes(span_id_bytes)
    return message


def exchange(port, path, body, headers, *, method="POST", host="127.0.0.1"):
    connection = http.client.HTTPConnection(host, port, timeout=60)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


async def post(receiver, path, body, *, content_type=PROTOBUF, method="POST", **headers):
    named = {"Content-Type": content_type} | {key.replace("_", "-"): value for key, value in headers.items()}
    return await asyncio.to_thread(exchange, receiver.port, path, body, named, method=method)


def path_of(collector):
    return f"/{collector.services_token}/v1/traces"


def head_of(collector, body):
    lines = (
        f"POST {path_of(collector)} HTTP/1.1",
        "Host: a",
        f"Content-Type: {PROTOBUF}",
        f"Content-Length: {len(body)}",
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


# -------------------------------------------------------------------------------------- what is taken


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("identity", bytes),
        ("gzip", gzip.compress),
        ("gzip", lambda data: gzip.compress(data[:40]) + gzip.compress(data[40:])),
        ("deflate", zlib.compress),
        ("deflate", lambda data: zlib.compress(data, wbits=-15)),
    ],
    ids=["identity", "gzip", "gzip of two members", "deflate", "raw deflate"],
)
async def test_a_protobuf_request_is_taken_in_every_encoding(receiver, collector, encoding, pack):
    body = pack(request_of(3).SerializeToString())

    status, headers, answer = await post(receiver, path_of(collector), body, Content_Encoding=encoding)

    assert (status, headers["Content-Type"], answer) == (200, PROTOBUF, b"")
    assert collector.table.name == ["work-0", "work-1", "work-2"]
    assert collector.table.trace_id == ["74" * 16] * 3


async def test_a_json_request_is_taken(receiver, collector):
    span = {
        "traceId": "5B8EFFF798038103D269B633813FC60C",
        "spanId": "EEE19B7EC3C1B174",
        "parentSpanId": "",
        "name": "i'm a span",
        "startTimeUnixNano": "1544712660000000000",
        "endTimeUnixNano": 1544712661000000000,
        "kind": 2,
        "attributes": [{"key": "n", "value": {"intValue": "9007199254740993"}}],
        "status": {},
        "unknownField": [1, {"x": None}],
    }
    document = {"resourceSpans": [{"scopeSpans": [{"scope": {"name": "s"}, "spans": [span]}]}]}

    status, headers, answer = await post(
        receiver, path_of(collector), json.dumps(document), content_type="application/json; charset=utf-8"
    )

    assert (status, headers["Content-Type"], answer) == (200, JSON, b"{}")
    taken = collector.table.span(0)
    assert taken.trace_id == "5b8efff798038103d269b633813fc60c"
    assert taken.parent_span_id is None
    assert taken.kind == "server"
    assert taken.attributes == {"n": 9007199254740993}
    assert taken.duration_ms == 1000


async def test_a_chunked_request_is_taken(receiver, collector):
    body = request_of(2).SerializeToString()

    status, _, _ = await post(receiver, path_of(collector), iter([body[:10], body[10:]]))

    assert status == 200
    assert len(collector.table) == 2


async def test_the_token_may_come_as_a_header(receiver, collector):
    status, _, _ = await post(
        receiver, "/v1/traces", request_of().SerializeToString(), x_clnrm_token=collector.services_token
    )

    assert status == 200
    assert len(collector.table) == 1


@pytest.mark.parametrize("signal", ["metrics", "logs"])
async def test_metrics_and_logs_are_answered_and_ignored(receiver, collector, signal):
    status, _, answer = await post(receiver, f"/{collector.services_token}/v1/{signal}", b"anything")

    assert (status, answer) == (200, b"")
    assert len(collector.table) == 0


async def test_spans_of_many_requests_on_one_connection_all_arrive(receiver, collector):
    def send_all():
        connection = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=60)
        for number in range(20):
            body = request_of(1, name=f"r{number}")
            body.resource_spans[0].scope_spans[0].spans[0].span_id = (number + 1).to_bytes(8)
            connection.request(
                "POST", path_of(collector), body.SerializeToString(), {"Content-Type": PROTOBUF}
            )
            assert connection.getresponse().read() == b""
        connection.close()

    await asyncio.to_thread(send_all)

    assert len(collector.table) == 20


async def test_ten_senders_at_once_lose_and_double_nothing(receiver, collector):
    def body_of(sender, number):
        message = request_of(50, name=f"s{sender}")
        for index, span in enumerate(message.resource_spans[0].scope_spans[0].spans):
            span.span_id = (1 + index + 50 * (number + 10 * sender)).to_bytes(8)
        return message.SerializeToString()

    async def send(sender):
        for number in range(10):
            status, _, _ = await post(receiver, path_of(collector), body_of(sender, number))
            assert status == 200

    await asyncio.gather(*(send(sender) for sender in range(10)))

    assert len(collector.table) == 10 * 10 * 50 == len(set(collector.table.span_id))


# ------------------------------------------------------------------------------------- what is refused


async def test_a_truncated_gzip_body_is_refused_and_makes_the_trace_incomplete(receiver, collector):
    body = gzip.compress(request_of(50).SerializeToString())[:-20]

    status, _, answer = await post(receiver, path_of(collector), body, Content_Encoding="gzip")
    collected = collector.finish(killed=[])

    assert status == 400
    assert b"the gzip body ends too early" in answer
    assert len(collected.table) == 0
    assert not collected.complete
    assert [str(d) for d in collected.diagnostics] == [
        "CLN614 1 export request lost (the gzip body ends too early (1))"
    ]


async def test_a_damaged_gzip_body_is_refused(receiver, collector):
    body = bytearray(gzip.compress(request_of(50).SerializeToString()))
    body[30:40] = b"\xff" * 10

    status, _, answer = await post(receiver, path_of(collector), bytes(body), Content_Encoding="gzip")

    assert status == 400
    assert b"damaged" in answer


async def test_a_gzip_bomb_is_refused_without_being_unpacked(receiver, collector):
    bomb = gzip.compress(bytes(50_000_000))

    status, _, answer = await post(
        receiver, path_of(collector), bomb, content_type=JSON, Content_Encoding="gzip"
    )

    assert status == 413
    assert json.loads(answer) == {
        "code": 8,
        "message": "request body is larger than 400000 bytes when unpacked",
    }


async def test_a_body_that_packs_too_well_is_refused_by_its_ratio(collector):
    generous = Receiver(Limits())
    await generous.start()
    try:
        status, _, answer = await post(
            generous, "/x/v1/traces", gzip.compress(bytes(5_000_000)), Content_Encoding="gzip"
        )
    finally:
        await generous.stop()

    assert status == 413
    assert b"more than 100 times its size" in answer


@pytest.mark.parametrize("size", [250_000, 700_000])
async def test_a_body_too_large_as_sent_is_refused_with_an_answer(receiver, collector, size):
    status, _, answer = await post(receiver, path_of(collector), bytes(size), content_type=JSON)

    assert status == 413
    assert "larger than 200000 bytes as sent" in json.loads(answer)["message"]


@pytest.mark.parametrize("encoding", ["zstd", "br", "snappy"])
async def test_other_encodings_are_refused_by_name(receiver, collector, encoding):
    status, headers, answer = await post(
        receiver, path_of(collector), b"x", content_type=JSON, Content_Encoding=encoding
    )

    assert status == 415
    assert headers["Accept-Encoding"] == "gzip, deflate"
    assert encoding in json.loads(answer)["message"]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [(PROTOBUF, b"\xff\xff\xff"), (JSON, b'{"resourceSpans": ['), (JSON, b"[1]"), (JSON, b'{"a": "\xff"}')],
)
async def test_a_malformed_body_is_refused_with_a_status_message(receiver, collector, content_type, body):
    status, headers, answer = await post(receiver, path_of(collector), body, content_type=content_type)

    assert status == 400
    assert headers["Content-Type"] == content_type
    if content_type == JSON:
        assert json.loads(answer)["code"] == 3
    else:
        # google.rpc.Status: field 1 the code, field 2 the message.
        assert answer[:3] == b"\x08\x03\x12"
        assert b"not an OTLP trace message" in answer


@pytest.mark.parametrize(
    ("method", "path", "content_type", "status"),
    [
        ("POST", "/", PROTOBUF, 404),
        ("POST", "/a/b/v1/traces", PROTOBUF, 404),
        ("GET", "/x/v1/traces", PROTOBUF, 405),
        ("POST", "/x/v1/traces", "text/plain", 415),
    ],
)
async def test_other_requests_are_refused(receiver, method, path, content_type, status):
    answered, _, _ = await post(receiver, path, b"", content_type=content_type, method=method)

    assert answered == status


@pytest.mark.parametrize("content_type", [PROTOBUF, JSON])
async def test_single_spans_with_bad_ids_are_rejected_and_the_others_taken(receiver, collector, content_type):
    message = request_of(3)
    message.resource_spans[0].scope_spans[0].spans[1].span_id = b""
    message.resource_spans[0].scope_spans[0].spans[2].trace_id = bytes(16)
    body = message.SerializeToString()
    if content_type == JSON:
        spans = [
            {"name": "work-0", "traceId": "74" * 16, "spanId": "00" * 7 + "01"},
            {"name": "work-1", "traceId": "74" * 16, "spanId": "xyz"},
            {"name": "work-2", "traceId": "0" * 32, "spanId": "00" * 7 + "03"},
        ]
        body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]})

    status, _, answer = await post(receiver, path_of(collector), body, content_type=content_type)
    findings = collector.finish(killed=[]).diagnostics

    assert status == 200
    assert collector.table.name == ["work-0"]
    if content_type == JSON:
        partial = json.loads(answer)["partialSuccess"]
        assert partial == {
            "rejectedSpans": "2",
            "errorMessage": "no valid span id (1), no valid trace id (1)",
        }
    else:
        partial = ExportTraceServiceResponse.FromString(answer).partial_success
        assert partial.rejected_spans == 2
    assert [d.code for d in findings] == ["CLN609"]


async def test_a_value_nested_too_deeply_costs_its_span_only(receiver, collector):
    value = {"intValue": "1"}
    for _ in range(100):
        value = {"arrayValue": {"values": [value]}}
    spans = [
        {
            "name": "deep",
            "traceId": "74" * 16,
            "spanId": "0" * 15 + "1",
            "attributes": [{"key": "k", "value": value}],
        },
        {"name": "flat", "traceId": "74" * 16, "spanId": "0" * 15 + "2"},
    ]

    status, _, answer = await post(
        receiver,
        path_of(collector),
        json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}),
        content_type=JSON,
    )

    assert status == 200
    assert json.loads(answer)["partialSuccess"]["rejectedSpans"] == "1"
    assert collector.table.name == ["flat"]


# ------------------------------------------------------------------------------------------- strangers


@pytest.mark.parametrize(
    "path", ["/v1/traces", f"/{new_token()}/v1/traces"], ids=["no token", "a strange token"]
)
async def test_spans_without_a_known_token_never_reach_a_test_and_are_reported_once(
    receiver, collector, path
):
    other = Collector("tests/b.clnrm.toml", receiver)

    status, _, answer = await post(receiver, path, request_of(3).SerializeToString())
    first, second = collector.finish(killed=[]), other.finish(killed=[])

    assert status == 200
    partial = ExportTraceServiceResponse.FromString(answer).partial_success
    assert (partial.rejected_spans, partial.error_message) == (3, "unknown token")
    assert len(first.table) == len(second.table) == 0
    assert len(receiver.stray) == receiver.stray_count == 3
    assert [str(d) for d in first.diagnostics] == ["CLN615 3 spans came under an unknown token"]
    assert second.diagnostics == ()


async def test_a_stray_that_names_its_test_is_reported_there(receiver, collector):
    message = request_of(1)
    pair = message.resource_spans[0].resource.attributes.add(key="clnrm.test.id")
    pair.value.string_value = collector.test_id
    other = Collector("tests/b.clnrm.toml", receiver)

    await post(receiver, "/gone/v1/traces", message.SerializeToString())

    assert other.finish(killed=[]).diagnostics == ()
    assert [d.code for d in collector.finish(killed=[]).diagnostics] == ["CLN615"]


async def test_a_token_is_dead_once_its_test_has_closed(receiver, collector):
    collector.close()

    await post(receiver, path_of(collector), request_of(1).SerializeToString())

    assert len(collector.table) == 0
    assert receiver.stray_count == receiver.unclaimed_stray_count == 1


# ----------------------------------------------------------------------------------- load and slowness


async def test_what_is_put_off_by_503_is_lost_only_if_it_does_not_come_again(receiver, collector):
    large = request_of(1500).SerializeToString()
    crowd = [Reservation(receiver.shares, Account()) for _ in range(30)]
    for other in crowd:
        while other.grow(20_000):
            pass

    status, headers, _ = await post(receiver, path_of(collector), large)
    before = collector.finish(killed=[]).diagnostics
    for other in crowd:
        other.release()
    again, _, _ = await post(receiver, path_of(collector), large)

    assert (status, headers["Retry-After"]) == (503, "1")
    assert [str(d) for d in before] == ["CLN614 1 export request put off or cut off and not sent again"]
    assert again == 200
    assert collector.finish(killed=[]).complete


@pytest.mark.parametrize(
    "begun",
    [
        b"POST /x/v1/traces HTTP/1.1\r\nHost: a\r\n",
        b"POST /x/v1/traces HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{",
    ],
    ids=["in its headers", "in its body"],
)
async def test_a_sender_that_stops_in_mid_request_is_cut_off(impatient, begun):
    reader, writer = await asyncio.open_connection("127.0.0.1", impatient.port)
    writer.write(begun)
    await writer.drain()

    async with asyncio.timeout(20):
        assert await reader.read() == b""
    writer.close()
    assert not impatient.connections_busy()


async def test_a_half_sent_request_keeps_the_receiver_busy_until_it_is_gone(receiver, collector):
    body = request_of(1).SerializeToString()
    head = head_of(collector, body)
    reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
    writer.write(head + body[:5])
    await writer.drain()
    busy = receiver.connections_busy()
    writer.write(body[5:])
    await writer.drain()
    await reader.readuntil(b"\r\n\r\n")

    assert busy
    assert not receiver.connections_busy()
    assert len(collector.table) == 1
    writer.close()


async def test_a_whole_request_is_delivered_even_if_its_sender_has_gone(receiver, collector):
    body = request_of(600).SerializeToString()
    head = head_of(collector, body)
    arrived = asyncio.Event()
    collector.subscribe(lambda first, n_rows: arrived.set())
    _, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
    writer.write(head + body)
    await writer.drain()
    writer.transport.abort()

    async with asyncio.timeout(60):
        await arrived.wait()
    assert len(collector.table) == 600


async def test_bytes_of_another_tests_connection_do_not_keep_this_one_busy(receiver, collector):
    other = Collector("tests/b.clnrm.toml", receiver)
    body = request_of(1).SerializeToString()
    head = head_of(other, body)
    reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
    writer.write(head + body)
    await reader.readuntil(b"\r\n\r\n")
    writer.write(head)
    await writer.drain()

    assert receiver.connections_busy()
    assert not receiver.connections_busy({collector.services_token})
    writer.close()


# ------------------------------------------------------------------------------------------- addresses


async def test_it_listens_on_further_addresses_on_the_same_port_until_told_otherwise(receiver, collector):
    await receiver.listen("127.0.0.2")
    await receiver.listen("127.0.0.2")
    endpoint = receiver.endpoint(collector.services_token, "127.0.0.2")
    assert endpoint == f"http://127.0.0.2:{receiver.port}/{collector.services_token}"

    async def reachable():
        try:
            status, _, _ = await asyncio.to_thread(
                exchange, receiver.port, "/v1/logs", b"", {"Content-Type": JSON}, host="127.0.0.2"
            )
        except ConnectionRefusedError:
            return False
        return status == 200

    assert await reachable()
    await receiver.unlisten("127.0.0.2")
    assert await reachable()
    await receiver.unlisten("127.0.0.2")
    assert not await reachable()


async def test_a_port_taken_on_another_address_is_replaced_there(receiver, collector):
    with socket.socket() as taken:
        taken.bind(("127.0.0.3", receiver.port))
        taken.listen()
        await receiver.listen("127.0.0.3")

    endpoint = receiver.endpoint(collector.services_token, "127.0.0.3")
    port = int(endpoint.split(":")[2].split("/")[0])
    assert port != receiver.port
    status, _, _ = await asyncio.to_thread(
        exchange,
        port,
        path_of(collector),
        request_of().SerializeToString(),
        {"Content-Type": PROTOBUF},
        host="127.0.0.3",
    )
    assert status == 200


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "", "192.0.2.1"])
async def test_all_interfaces_and_foreign_addresses_are_refused(receiver, address):
    with pytest.raises(BackendUnavailableError) as refused:
        await receiver.listen(address)

    assert refused.value.code == "CLN601"


# ---------------------------------------------------------------------------------------- the real SDK

PROGRAM = textwrap.dedent(
    """
    import sys
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
    import os

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    if "console" in sys.argv:
        provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
    tracer = provider.get_tracer("shop", "1.2")
    parent = TraceContextTextMapPropagator().extract({"traceparent": os.environ["TRACEPARENT"]})
    with tracer.start_as_current_span("checkout", parent, kind=trace.SpanKind.SERVER, attributes={
        "n": 1, "share": 0.5, "ok": True, "words": ["a", "b"], "big": 2**62
    }) as span:
        span.add_event("paid", {"euros": 3})
        for number in range(20):
            link = trace.Link(span.get_span_context())
            with tracer.start_as_current_span(f"item-{number % 3}", links=[link]):
                pass
        span.set_status(trace.StatusCode.ERROR, "sold out")
    print("some other output")
    provider.shutdown()
    """
)
TRACE_ID, SPAN_ID = "1234567890abcdef" * 2, "fedcba0987654321"


async def run_program(endpoint, *arguments, **environment):
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        *arguments,
        stdout=subprocess.PIPE,
        env={
            "PATH": os.environ["PATH"],
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_SERVICE_NAME": "shop",
            "TRACEPARENT": f"00-{TRACE_ID}-{SPAN_ID}-01",
            **environment,
        },
    )
    output, _ = await program.communicate()
    assert program.returncode == 0
    return output


@pytest.mark.parametrize("compression", ["none", "gzip"])
async def test_spans_of_the_real_sdk_arrive_whole(receiver, collector, compression):
    token = collector.open_scenario("buy", TRACE_ID, SPAN_ID)

    await run_program(receiver.endpoint(token, "127.0.0.1"), OTEL_EXPORTER_OTLP_COMPRESSION=compression)
    quiet = await collector.quiet(60)
    collected = collector.finish(killed=[])

    assert quiet
    assert collected.complete
    assert collected.diagnostics == ()
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
    assert (root.scope.name, root.scope.version) == ("shop", "1.2")
    item = collected.table.span(collected.table.name.index("item-0"))
    assert (item.links[0].trace_id, item.links[0].span_id) == (root.trace_id, root.span_id)


async def test_a_span_that_is_exported_and_printed_counts_once(receiver, collector):
    token = collector.open_scenario("buy", TRACE_ID, SPAN_ID)

    output = await run_program(receiver.endpoint(token, "127.0.0.1"), "console")
    for first in range(0, len(output), 777):
        collector.add_output(output[first : first + 777], "buy")
    collected = collector.finish(killed=[])

    assert len(collected.table) == 21
    assert {scope.name for scope in collected.table.scope} == {"shop"}
    assert collected.diagnostics == ()


async def test_printed_spans_alone_are_collected_too(receiver, collector):
    collector.open_scenario("buy", TRACE_ID, SPAN_ID)

    output = await run_program("http://127.0.0.1:9", "console", OTEL_EXPORTER_OTLP_TIMEOUT="1")
    collector.add_output(output, "buy")
    collected = collector.finish(killed=[])

    assert len(collected.table) == 21
    assert collected.complete
    root = collected.table.span(collected.table.name.index("checkout"))
    assert root.attributes == {"n": 1, "share": 0.5, "ok": True, "words": ["a", "b"], "big": 2**62}
    assert (root.status_code, root.status_message, root.kind) == ("error", "sold out", "server")


async def test_the_json_that_protobufs_own_printer_gives_is_understood(receiver, collector):
    """Its ids are base64, which OTLP/JSON does not say; clients send it all the same."""
    from google.protobuf import json_format

    body = json_format.MessageToJson(request_of(2))

    status, _, _ = await post(receiver, path_of(collector), body, content_type=JSON)

    assert status == 200
    assert collector.table.span_id == [f"{1:016x}", f"{2:016x}"]
