"""What strangers and broken programs do to the receiver: no error in its loop, no span lost or mixed up in silence.

After every fault an honest sender is served, and a second test next door has its own spans and nothing else.
"""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import logging
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from yardstick import undisturbed

from clnrm_nb.spans.collector import Collector
from clnrm_nb.spans.frame import frame
from clnrm_nb.spans.receiver import Limits, Receiver

PROTOBUF, JSON = "application/x-protobuf", "application/json"
N_PLACES = 50
PATIENCE_S = 120
"""For answers that come: this machine is shared, and a flood takes what it takes."""


class Served:
    """A receiver in a thread of its own, with two tests: `mine` meets the faults, `other` is next door."""

    def __init__(self, limits):
        self.loop = asyncio.new_event_loop()
        self.errors = []
        self.loop.set_exception_handler(lambda _, context: self.errors.append(context))
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self.receiver = Receiver(limits)
        self.do(self.receiver.start())
        self.mine, self.other = (self.call(Collector, name, self.receiver) for name in ("mine", "other"))
        self._next = 1

    def do(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(PATIENCE_S)

    def call(self, function, *arguments, **named):
        async def on_the_loop():
            return function(*arguments, **named)

        return self.do(on_the_loop())

    @property
    def port(self):
        return self.receiver.port

    def path(self, collector=None):
        return f"/{(collector or self.mine).services_token}/v1/traces"

    def post(self, body, *, collector=None, content_type=PROTOBUF, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            named = {"Content-Type": content_type} | {k.replace("_", "-"): v for k, v in headers.items()}
            connection.request("POST", self.path(collector), body, named)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def say(self, data, *, hold=False):
        """Send bytes as they are and hang up; everything that is answered."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S) as sender:
            answer = b""
            try:
                sender.sendall(data)
                if not hold:
                    sender.shutdown(socket.SHUT_WR)
                while piece := sender.recv(65536):
                    answer += piece
            except OSError:
                pass  # It was cut off before it had said everything.
            return answer

    def assert_serves(self):
        """An honest request to the test next door is taken, and nothing but these ever was."""
        number, self._next = self._next, self._next + 1
        status, _ = self.post(batch(number, name="honest"), collector=self.other)
        assert status == 200
        assert self.other.table.name == ["honest"] * number

    def settle(self):
        """Until what has been sent is dealt with: whoever hangs up early is not told when that is."""
        while self.call(self.receiver.connections_busy):
            time.sleep(0.002)

    def findings(self):
        self.settle()
        return self.call(self.mine.finish, killed=[])

    def codes(self):
        return [finding.code for finding in self.findings().diagnostics]

    def close(self):
        self.do(self.receiver.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@contextmanager
def serving(**limits):
    served = Served(Limits(**limits))
    try:
        yield served
    finally:
        served.close()


@pytest.fixture
def served(caplog):
    with serving(max_connections=N_PLACES) as made:
        yield made
        made.assert_serves()
    assert made.errors == []
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


def message(*numbers, name="s"):
    made = ExportTraceServiceRequest()
    spans = made.resource_spans.add().scope_spans.add().spans
    for number in numbers:
        spans.add(name=name, trace_id=b"t" * 16, span_id=number.to_bytes(8))
    return made


def batch(*numbers, **fields):
    return message(*numbers, **fields).SerializeToString()


def document(*spans):
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]}).encode()


def json_span(number, **fields):
    return {"traceId": "74" * 16, "spanId": f"{number:016x}", "name": "s", **fields}


def request(served, body, *headers, version="1.1", length=None):
    lines = [
        f"POST {served.path()} HTTP/{version}",
        "Host: a",
        f"Content-Type: {PROTOBUF}",
        f"Content-Length: {len(body) if length is None else length}",
        *headers,
    ]
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode() + body


# ------------------------------------------------------------------------------------ what is not HTTP


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 3,
        b"POST //[::1/v1/traces HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        b"POST http://[/x/v1/traces HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        b"POST /%ff%00/v1/traces HTTP/1.1\r\nHost: \xff\r\nContent-Length: 0\r\n\r\n",
        b"POST /x/v1/traces HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST /x/v1/traces HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"POST /x/v1/traces HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST /x/v1/traces HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST /x/v1/traces HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        b"POST /x/v1/traces HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        b"POST /x/v1/traces HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /x/v1/traces HTTP/1.1\r\n" + b"a: b\r\n" * 20_000 + b"\r\n",
        b"POST /" + b"x" * 100_000 + b"/v1/traces HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
    ids=[
        "nothing", "empty lines", "TLS", "HTTP/2", "pipelined GETs", "a bracket in the path", "a URL with a bracket",
        "bad bytes", "negative length", "endless length", "two lengths", "transfer encoding", "chunked and a length",
        "endless chunk", "no chunk", "20,000 headers", "a path of 100 kB",
    ],
)  # fmt: skip
def test_what_is_no_proper_request_harms_nobody(served, data):
    served.say(data)
    served.settle()

    assert len(served.mine.table) == 0


_HONEST = b"POST /%s/v1/traces HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-protobuf\r\nContent-Length: %d\r\n\r\n%s"
_PIECES = st.sampled_from(
    [b"POST ", b"GET ", b" HTTP/1.1", b" HTTP/1.0", b"\r\n", b"\r\n\r\n", b"/", b"/v1/traces", b"//[", b"%zz", b"?",
     b"Content-Length: 5", b"Content-Length: x", b"Transfer-Encoding: chunked", b"5\r\nabcde\r\n", b"0\r\n\r\n",
     b"Content-Encoding: gzip", b"Content-Encoding: deflate", b"Content-Type: application/json", b"Expect: 100-continue",
     b"Content-Type: application/x-protobuf", b"x-clnrm-token: ", b"Connection: keep-alive", gzip.compress(b"x" * 40),
     b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":', b"}]}]}]}", b"\xff\xfe", b"\x00" * 9, b"\x0a\x02\x12\x00"]
)  # fmt: skip
_MUTATIONS = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 3), st.binary(max_size=6)), max_size=6)


@pytest.fixture(scope="module")
def long_served():
    with serving() as made:
        yield made
    assert made.errors == []


def _mutated(data, mutations):
    out = bytearray(data)
    for place, length, new in mutations:
        out[place % (len(out) + 1) : place % (len(out) + 1) + length] = new
    return bytes(out)


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    raw=st.one_of(st.binary(max_size=300), st.lists(_PIECES, max_size=14).map(b"".join)),
    mutations=_MUTATIONS,
    is_honest=st.booleans(),
)
def test_any_bytes_raise_nothing_and_touch_no_other_test(long_served, caplog, raw, mutations, is_honest):
    if is_honest:
        body = batch(1, 2, 3)
        token = long_served.mine.services_token.encode()
        raw = _mutated(_HONEST % (token, len(body), body), mutations)

    long_served.say(raw)

    long_served.assert_serves()
    assert long_served.errors == []
    assert [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR] == []


# ------------------------------------------------------------------------------ lengths and interruptions


def test_a_length_that_promises_more_than_comes_is_a_loss(served):
    served.say(request(served, batch(1), length=5000))

    assert len(served.mine.table) == 0
    assert [str(finding) for finding in served.findings().diagnostics] == [
        "CLN614 1 export request put off or cut off and not sent again"
    ]


def test_a_sender_that_promises_more_and_waits_is_cut_off_and_reported():
    with serving(body_timeout_s=0.3) as served:
        answer = served.say(request(served, batch(1), length=5000), hold=True)
        codes = served.codes()

    assert answer == b""
    assert codes == ["CLN614"]


def test_a_length_that_promises_less_takes_nothing_half(served):
    body = batch(1, 2)

    answer = served.say(request(served, body, length=len(body) - 3))

    assert answer.startswith(b"HTTP/1.1 400")
    assert len(served.mine.table) == 0
    assert served.codes() == ["CLN614"]


def test_a_connection_that_is_reset_in_mid_body_is_no_loss_once_the_request_comes_again(served):
    body = batch(*range(1, 500))
    with socket.create_connection(("127.0.0.1", served.port)) as sender:
        sender.sendall(request(served, body)[:-100])
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    before = served.codes()

    status, _ = served.post(body)

    assert before == ["CLN614"]
    assert status == 200
    assert served.findings().complete


@pytest.mark.parametrize("cut", [1, 3, 20])
def test_a_truncated_message_is_refused_whole(served, cut):
    status, answer = served.post(batch(*range(1, 50))[:-cut])

    assert status == 400
    assert b"not an OTLP trace message" in answer
    assert len(served.mine.table) == 0
    assert served.codes() == ["CLN614"]


def test_pipelined_requests_are_all_taken_in_their_order(served):
    requests = [request(served, batch(number)) for number in range(1, 20)]
    last = request(served, batch(20), "Connection: close")

    answer = served.say(b"".join([*requests, last]), hold=True)

    assert answer.count(b"HTTP/1.1 200 OK") == 20
    assert served.mine.table.span_id == [f"{number:016x}" for number in range(1, 21)]


def test_http_1_0_is_answered_and_closed(served):
    answer = served.say(request(served, batch(1), version="1.0"), hold=True)

    assert answer.startswith(b"HTTP/1.1 200")
    assert len(served.mine.table) == 1


# ---------------------------------------------------------------------------------------- odd contents


def test_ids_of_a_wrong_length_cost_their_spans_only(served):
    made = message(1, 2, 3, 4)
    spans = made.resource_spans[0].scope_spans[0].spans
    spans[1].span_id = b"short"
    spans[2].trace_id = b"t" * 15
    spans[3].parent_span_id = b"p" * 9

    status, _ = served.post(made.SerializeToString())

    assert status == 200
    assert served.mine.table.span_id == [f"{1:016x}"]
    assert [str(finding) for finding in served.findings().diagnostics] == [
        "CLN609 3 span-like records refused: no valid span id (1), no valid trace id (1), parent id of a wrong length (1)"
    ]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (JSON, b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"\xff\xfe"}]}]}]}'),
        (JSON, b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"\\ud800"}]}]}]}'),
        (PROTOBUF, batch(1, name="name").replace(b"name", b"\xff\xfe\xfd\xfc")),
    ],
    ids=["JSON", "a lone surrogate", "protobuf"],
)
def test_invalid_utf_8_is_refused_and_reported(served, content_type, body):
    status, _ = served.post(body, content_type=content_type)

    assert status == 400
    assert served.codes() == ["CLN614"]


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"resourceSpans":[{"scopeSpans":'])
def test_json_nested_a_hundred_thousand_levels_deep_is_refused(served, opening):
    status, _ = served.post(opening * 100_000, content_type=JSON)

    assert status == 400
    assert served.codes() == ["CLN614"]


def test_a_protobuf_value_nested_too_deeply_is_refused(served):
    value = b""
    for _ in range(300):
        value = (
            b"\x2a"
            + _varint(len(value) + 1 + len(_varint(len(value))))
            + b"\x0a"
            + _varint(len(value))
            + value
        )
    attribute = b"\x0a\x01k\x12" + _varint(len(value)) + value
    span = b"\x0a\x10" + b"t" * 16 + b"\x12\x08" + b"s" * 8 + b"\x4a" + _varint(len(attribute)) + attribute
    for tag in (b"\x12", b"\x12", b"\x0a"):
        span = tag + _varint(len(span)) + span

    status, _ = served.post(span)

    assert status == 400
    assert served.codes() == ["CLN614"]


@pytest.mark.parametrize("form", ["protobuf", "JSON"])
def test_a_request_of_a_million_empty_blocks_is_refused_before_it_is_read(served, form):
    """It took the loop for half a minute: resources without spans were no reason to pause."""
    body = (
        b"\x0a\x00" * 1_000_000 if form == "protobuf" else b'{"resourceSpans":[' + b"{}," * 300_000 + b"{}]}"
    )

    status, answer = served.post(body, content_type=PROTOBUF if form == "protobuf" else JSON)

    assert status == 400
    assert b"more than 20000 resources and scopes in one request" in answer
    assert served.codes() == ["CLN614"]


def test_empty_spans_without_end_are_refused_one_by_one_and_let_others_in_between(served):
    spans = b"\x12\x00" * 1_000_000
    scope = b"\x12" + _varint(len(spans)) + spans
    body = b"\x0a" + _varint(len(scope)) + scope

    def longest_wait():
        waits_s = []
        with ThreadPoolExecutor() as pool:
            begun_s = time.perf_counter()
            flood = pool.submit(served.post, body)
            while not flood.done():
                asked_s = time.perf_counter()
                served.assert_serves()
                waits_s.append(time.perf_counter() - asked_s)
            flood_s = time.perf_counter() - begun_s
        print(f"the flood took {flood_s:.3f} s; {len(waits_s)} others waited {max(waits_s):.3f} s at most")
        assert flood.result()[0] == 200
        return max(waits_s) / flood_s

    # Whoever is let in only after the flood has waited for nearly all of it, each time.
    assert undisturbed(longest_wait, lambda share: share < 0.75) < 0.75
    assert served.codes() == ["CLN609"]


def _varint(number):
    out = b""
    while number > 0x7F:
        out += bytes((number & 0x7F | 0x80,))
        number >>= 7
    return out + bytes((number,))


def test_a_cycle_of_parents_ends_in_a_trace_that_can_be_looked_at(served):
    made = message(1, 2, 3)
    spans = made.resource_spans[0].scope_spans[0].spans
    for span, parent in zip(spans, (2, 3, 1), strict=True):
        span.parent_span_id = parent.to_bytes(8)

    status, _ = served.post(made.SerializeToString())
    quiet = served.do(served.mine.quiet(60))

    assert (status, quiet) == (200, True)
    assert len(frame(served.findings().table)) == 3


@pytest.mark.parametrize("time_ns", [2**63, 2**64 - 1])
def test_times_beyond_the_calendar_are_kept_as_they_are(served, time_ns):
    made = message(1)
    span = made.resource_spans[0].scope_spans[0].spans[0]
    span.start_time_unix_nano = span.end_time_unix_nano = time_ns

    protobuf, _ = served.post(made.SerializeToString())
    text, _ = served.post(
        document(json_span(2, startTimeUnixNano=str(time_ns), endTimeUnixNano=time_ns)), content_type=JSON
    )

    assert (protobuf, text) == (200, 200)
    assert served.mine.table.start_ns == [time_ns] * 2
    assert len(frame(served.mine.table)) == 2
    assert served.findings().complete


def test_an_attribute_of_a_megabyte_is_a_value_like_any_other(served):
    made = message(1)
    pair = made.resource_spans[0].scope_spans[0].spans[0].attributes.add(key="k" * 100_000)
    pair.value.string_value = "v" * 1_000_000

    status, _ = served.post(made.SerializeToString())

    assert status == 200
    assert served.mine.table.attributes == [{"k" * 100_000: "v" * 1_000_000}]


def test_duplicates_and_disorder_change_nothing(served):
    made = message(*range(1, 11))
    spans = made.resource_spans[0].scope_spans[0].spans
    for span in spans[1:]:
        span.parent_span_id = (1).to_bytes(8)
    children, root = message(), message()
    children.resource_spans[0].scope_spans[0].spans.extend(spans[1:])
    root.resource_spans[0].scope_spans[0].spans.extend(spans[:1])

    for part in (children, made, root, children):
        assert served.post(part.SerializeToString())[0] == 200
    collected = served.findings()

    assert len(collected.table) == 10
    assert (collected.complete, collected.diagnostics) == (True, ())


def test_late_spans_and_those_of_another_run_are_strays_that_are_told_once(served):
    late = message(1, 2)
    pair = late.resource_spans[0].resource.attributes.add(key="clnrm.test.id")
    pair.value.string_value = "mine"
    path = served.path()
    served.call(served.mine.close)

    for body in (late.SerializeToString(), batch(3)):
        served.say(
            f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: {PROTOBUF}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
    served.settle()

    assert len(served.mine.table) == 0
    assert served.call(served.receiver.claim_stray_rest) == {"mine": 2, None: 1}
    assert served.call(served.receiver.claim_stray_rest) == {}


def test_what_strays_may_occupy_is_bounded_and_all_of_them_are_counted(served):
    for number in range(30):
        body = message(number + 1)
        pair = body.resource_spans[0].resource.attributes.add(key="clnrm.test.id")
        pair.value.string_value = str(number) * 200_000
        data = body.SerializeToString()
        served.say(
            f"POST /x/v1/traces HTTP/1.1\r\nHost: a\r\nContent-Type: {PROTOBUF}\r\nContent-Length: {len(data)}\r\n\r\n".encode()
            + data
        )
    served.settle()

    assert served.receiver.stray_count == 30
    assert len(served.receiver.stray) < 30
    assert served.call(served.receiver.claim_stray_rest) == {None: 30}


# -------------------------------------------------------------------------------------------- too much


def test_a_test_that_sends_without_end_is_stopped_and_the_one_next_door_is_not(caplog):
    with serving(max_test_bytes=100_000) as served:
        statuses = [served.post(batch(*range(1 + 1000 * turn, 1001 + 1000 * turn)))[0] for turn in range(6)]
        served.assert_serves()
        findings = [str(finding) for finding in served.findings().diagnostics]

    assert statuses.count(200) == 100_000 // len(batch(*range(1, 1001)))
    assert set(statuses) == {200, 413}
    (finding,) = findings
    lost = statuses.count(413)
    assert finding == (
        f"CLN614 {lost} export requests lost (this test has sent more than 100000 bytes of spans ({lost}))"
    )


def test_strangers_are_counted_however_much_they_send():
    with serving(max_test_bytes=10_000) as served:
        for number in range(20):
            body = batch(*range(1 + 100 * number, 101 + 100 * number))
            head = f"POST /x/v1/traces HTTP/1.1\r\nHost: a\r\nContent-Type: {PROTOBUF}\r\nContent-Length: {len(body)}"
            served.say(head.encode() + b"\r\n\r\n" + body)
        served.settle()

        assert served.call(served.receiver.claim_stray_rest) == {None: 2000}


def test_five_hundred_that_say_nothing_take_no_place_from_one_that_speaks(served):
    honest = http.client.HTTPConnection("127.0.0.1", served.port, timeout=PATIENCE_S)
    with ExitStack() as stack:
        stack.callback(honest.close)
        honest.request("POST", served.path(), batch(1), {"Content-Type": PROTOBUF})
        assert honest.getresponse().read() == b""
        kept = honest.sock
        for number in range(10 * N_PLACES):
            slow = stack.enter_context(
                socket.create_connection(("127.0.0.1", served.port), timeout=PATIENCE_S)
            )
            if number % 2:
                slow.sendall(b"POST /x/v1/traces HTTP/1.1\r\nHo")
        served.assert_serves()
        honest.request("POST", served.path(), batch(2), {"Content-Type": PROTOBUF})
        assert honest.getresponse().read() == b""

        assert honest.sock is kept
        assert served.call(len, served.receiver.places) <= N_PLACES
    assert len(served.mine.table) == 2


def test_a_test_with_hundreds_of_connections_makes_room_for_one_with_a_few(served):
    with ExitStack() as stack:
        for number in range(2 * N_PLACES):
            noisy = http.client.HTTPConnection("127.0.0.1", served.port, timeout=PATIENCE_S)
            stack.callback(noisy.close)
            noisy.request("POST", served.path(), batch(number + 1), {"Content-Type": PROTOBUF})
            assert noisy.getresponse().read() == b""

        served.assert_serves()
    assert len(served.mine.table) == 2 * N_PLACES


def test_a_stranger_that_says_half_a_request_does_not_hold_up_the_end_of_a_test(served):
    with socket.create_connection(("127.0.0.1", served.port)) as slow:
        slow.sendall(b"POST /x/v1/traces HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n{")
        began = time.monotonic()
        while not served.call(served.receiver.connections_busy):
            assert time.monotonic() - began < PATIENCE_S

        assert not served.call(served.receiver.connections_busy, {served.mine.services_token})
