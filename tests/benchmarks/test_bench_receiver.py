"""How fast spans come in, what they cost, and whether all of them arrive, beside the plainest way to do it.

The peer is what one would write first: the standard library's threading HTTP server, the official protobuf
message, one dictionary a span. Both servers run in a process of their own and get the same bytes from a third
process, in turns; the figures are medians. A request counts when its answer is there, so ours includes token,
decoding, sharing, identity and ownership.
"""

from __future__ import annotations

import http.client
import json
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.bench

HERE = Path(__file__)
BATCH = 512
ROUND_BATCHES = 24
REPEATS = 9
CONNECTIONS = 2
SENDERS = 10
GOAL_SPANS_PER_S = 20_000
GOAL_MB = 150


# ------------------------------------------------------------------------------------------- what is sent


def batch(number: int) -> bytes:
    """One export request: 512 spans of 10 attributes, as a web service would send them."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    for key, value in (("service.name", "shop"), ("deployment.environment", "bench")):
        pair = resource_spans.resource.attributes.add()
        pair.key, pair.value.string_value = key, value
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name = "bench"
    trace_id = (number + 1).to_bytes(16)
    for index in range(BATCH):
        serial = number * BATCH + index + 1
        span = scope_spans.spans.add()
        span.trace_id, span.span_id = trace_id, serial.to_bytes(8)
        span.parent_span_id = (number * BATCH + 1).to_bytes(8) if index else b""
        span.name, span.kind = f"GET /items/{index % 20}", 2
        span.start_time_unix_nano = 1_700_000_000_000_000_000 + serial * 1000
        span.end_time_unix_nano = span.start_time_unix_nano + 500_000
        values = {
            "http.request.method": "GET",
            "http.route": f"/items/{index % 20}",
            "url.full": f"https://shop.example/items/{serial}?page={index}",
            "http.response.status_code": 200,
            "server.address": "shop.example",
            "user.id": f"user-{serial % 5000}",
            "db.rows": serial % 100,
            "cache.hit": serial % 2 == 0,
            "latency.share": serial / 7,
            "client.address": f"10.0.{serial % 250}.{index % 250}",
        }
        for key, value in values.items():
            pair = span.attributes.add()
            pair.key = key
            if isinstance(value, bool):
                pair.value.bool_value = value
            elif isinstance(value, int):
                pair.value.int_value = value
            elif isinstance(value, float):
                pair.value.double_value = value
            else:
                pair.value.string_value = value
    return request.SerializeToString()


def send(port: int, path: str, bodies: list[bytes]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for body in bodies:
        connection.request("POST", path, body, {"Content-Type": "application/x-protobuf"})
        response = connection.getresponse()
        response.read()
        assert response.status == 200
    connection.close()


def sender() -> None:
    """Send as told on stdin: port, path, first batch, batches, connections; answers with the seconds."""
    for line in sys.stdin:
        order = json.loads(line)
        bodies = [batch(order["first"] + index) for index in range(order["batches"])]
        share = order["connections"]
        threads = [
            threading.Thread(target=send, args=(order["port"], order["path"], bodies[lane::share]))
            for lane in range(share)
        ]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(time.perf_counter() - began, flush=True)


# ------------------------------------------------------------------------------------------- who receives


def rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def ours() -> None:
    import asyncio

    from clnrm_nb.spans.collector import Collector
    from clnrm_nb.spans.receiver import Receiver

    async def serve() -> None:
        receiver = Receiver()
        await receiver.start()
        collector = Collector("bench", receiver)
        loop = asyncio.get_running_loop()
        print(
            json.dumps({"port": receiver.port, "path": f"/{collector.services_token}/v1/traces"}), flush=True
        )
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            table = collector.table
            if line.strip() == "clear":
                collector.close()
                collector = Collector("bench", receiver)
                answer = {"path": f"/{collector.services_token}/v1/traces"}
            else:
                answer = {"spans": len(table), "distinct": len(set(table.span_id)), "rss_mb": rss_mb()}
            print(json.dumps(answer), flush=True)
        await receiver.stop()

    asyncio.run(serve())


def peer() -> None:
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    rows: list[dict] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            message = ExportTraceServiceRequest.FromString(body)
            for resource_spans in message.resource_spans:
                resource = plain(resource_spans.resource.attributes)
                for scope_spans in resource_spans.scope_spans:
                    rows.extend(
                        {
                            "trace_id": span.trace_id.hex(),
                            "span_id": span.span_id.hex(),
                            "parent_span_id": span.parent_span_id.hex() or None,
                            "name": span.name,
                            "kind": span.kind,
                            "start": span.start_time_unix_nano,
                            "end": span.end_time_unix_nano,
                            "status": span.status.code,
                            "attributes": plain(span.attributes),
                            "events": [(event.name, plain(event.attributes)) for event in span.events],
                            "resource": resource,
                            "scope": scope_spans.scope.name,
                        }
                        for span in scope_spans.spans
                    )
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    def plain(pairs: object) -> dict:
        return {
            pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value") for pair in pairs
        }

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"port": server.server_port, "path": "/v1/traces"}), flush=True)
    for line in sys.stdin:
        if line.strip() == "clear":
            rows.clear()
            answer = {}
        else:
            answer = {
                "spans": len(rows),
                "distinct": len({row["span_id"] for row in rows}),
                "rss_mb": rss_mb(),
            }
        print(json.dumps(answer), flush=True)
    server.shutdown()


# --------------------------------------------------------------------------------------------- measuring


class Child:
    """A process of this file that is told things line by line."""

    def __init__(self, role: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE), role], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def read(self) -> dict | float:
        return json.loads(self._process.stdout.readline())

    def ask(self, order: object) -> dict | float:
        self._process.stdin.write(f"{order if isinstance(order, str) else json.dumps(order)}\n")
        self._process.stdin.flush()
        return self.read()

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=20)
        self._process.stdout.close()


@contextmanager
def children(*roles: str):
    started = [Child(role) for role in roles]
    try:
        yield started
    finally:
        for child in started:
            child.close()


def order(address: dict, first: int, batches: int, connections: int) -> dict:
    return {**address, "first": first, "batches": batches, "connections": connections}


def test_spans_come_in_at_twenty_thousand_a_second_beside_a_plain_server():
    rates: dict[str, list[float]] = {"ours": [], "peer": []}
    with children("ours", "peer", "sender") as (ours_child, peer_child, sending):
        servers = {"ours": ours_child, "peer": peer_child}
        addresses = {name: child.read() for name, child in servers.items()}
        for turn in range(REPEATS + 1):
            for name, child in servers.items():
                took_s = sending.ask(order(addresses[name], 0, ROUND_BATCHES, CONNECTIONS))
                assert child.ask("count")["distinct"] == ROUND_BATCHES * BATCH
                addresses[name] |= child.ask("clear")
                if turn:  # The first turn warms up.
                    rates[name].append(ROUND_BATCHES * BATCH / took_s)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    mine, theirs = medians["ours"], medians["peer"]
    print(
        f"\nreceiver: {mine:,.0f} spans/s (median of {REPEATS}, lowest {min(rates['ours']):,.0f}); "
        f"peer (http.server, dict a span): {theirs:,.0f}; ratio {mine / theirs:.2f}; "
        f"{CONNECTIONS} connections, batches of {BATCH}, 10 attributes; "
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    )
    assert mine >= GOAL_SPANS_PER_S


def test_a_hundred_thousand_spans_take_at_most_150_mb():
    batches = 196
    grown = {}
    with children("ours", "peer", "sender") as (ours_child, peer_child, sending):
        for name, child in (("ours", ours_child), ("peer", peer_child)):
            address = child.read()
            sending.ask(order(address, 1_000, 2, 1))
            before_mb = child.ask("count")["rss_mb"]
            for first in range(0, batches, 28):
                sending.ask(order(address, first, 28, 1))
            counted = child.ask("count")
            assert counted["spans"] == (batches + 2) * BATCH
            grown[name] = (counted["rss_mb"] - before_mb) * 100_000 / (batches * BATCH)
    print(f"\n100,000 spans of 10 attributes: {grown['ours']:.0f} MB; peer: {grown['peer']:.0f} MB")
    assert grown["ours"] <= GOAL_MB


def test_ten_senders_at_once_lose_and_double_nothing():
    batches = 4
    with children("ours", *["sender"] * SENDERS) as (server, *senders):
        address = server.read()
        threads = [
            threading.Thread(target=child.ask, args=(order(address, number * batches, batches, 2),))
            for number, child in enumerate(senders)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        counted = server.ask("count")
    print(f"\n{SENDERS} senders: {counted['spans']:,} spans of {SENDERS * batches * BATCH:,}")
    assert counted["spans"] == counted["distinct"] == SENDERS * batches * BATCH


if __name__ == "__main__":
    {"ours": ours, "peer": peer, "sender": sender}[sys.argv[1]]()
