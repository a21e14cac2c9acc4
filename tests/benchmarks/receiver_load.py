"""Programs that load a receiver, and the peers it is measured beside; run by the benchmarks, no test.

Each is told what to do line by line on stdin and answers each line with one line of JSON.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

HERE = Path(__file__)
BATCH = 512


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
            table, cpu_s = collector.table, time.process_time()
            if line.strip() == "clear":
                collector.close()
                collector = Collector("bench", receiver)
                answer = {"path": f"/{collector.services_token}/v1/traces"}
            else:
                answer = {
                    "spans": len(table),
                    "distinct": len(set(table.span_id)),
                    "rss_mb": rss_mb(),
                    "cpu_s": cpu_s,
                }
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
        cpu_s = time.process_time()
        if line.strip() == "clear":
            rows.clear()
            answer = {}
        else:
            answer = {
                "spans": len(rows),
                "distinct": len({row["span_id"] for row in rows}),
                "rss_mb": rss_mb(),
                "cpu_s": cpu_s,
            }
        print(json.dumps(answer), flush=True)
    server.shutdown()


class Peak:
    """The most memory this process has had since it was last asked to forget."""

    @staticmethod
    def forget() -> float:
        Path("/proc/self/clear_refs").write_text("5")
        return rss_mb()

    @staticmethod
    def mb() -> float:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM"))


def runs() -> None:
    """Many tests of one receiver, HTTP and gRPC; told how many on stdin, then ``count`` or ``forget``."""
    import asyncio

    from clnrm_nb.spans.collector import Collector
    from clnrm_nb.spans.receiver import Receiver

    async def serve() -> None:
        receiver = Receiver()
        await receiver.start()
        await receiver.listen("127.0.0.1", grpc=True)
        loop = asyncio.get_running_loop()
        collectors: list[Collector] = []
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            word = line.strip()
            if word == "count":
                answer: object = [counted(number, each) for number, each in enumerate(collectors)]
            elif word == "forget":
                answer = Peak.forget()
            elif word == "peak":
                answer = Peak.mb()
            else:
                collectors = [Collector(f"run-{number}", receiver) for number in range(int(word))]
                answer = {
                    "port": receiver.port,
                    "grpc": receiver.endpoint("", "127.0.0.1", grpc=True).removeprefix("http://"),
                    "tokens": [each.services_token for each in collectors],
                }
            print(json.dumps(answer), flush=True)
        await receiver.stop()

    def counted(number: int, collector: Collector) -> dict:
        collected = collector.finish(killed=[])
        trace_ids = collected.table.trace_id
        return {
            "distinct": len(set(collected.table.span_id)),
            "foreign": sum(owner_of(trace_id) != number for trace_id in trace_ids),
            "findings": [str(finding) for finding in collected.diagnostics],
        }

    asyncio.run(serve())


def plain() -> None:
    """The peer for bombs and slow connections: unpacks whole, a thread a connection."""
    import gzip
    import zlib
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            unpack = {"gzip": gzip.decompress, "deflate": zlib.decompress}.get(
                self.headers["Content-Encoding"], bytes
            )
            with suppress(OSError, zlib.error, EOFError):
                unpack(body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 128

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"port": server.server_port}), flush=True)
    for line in sys.stdin:
        print(Peak.forget() if line.strip() == "forget" else Peak.mb(), flush=True)
    server.shutdown()


# ------------------------------------------------------------------------------------------ who sends more

RUN_BATCHES = 1000
"""Numbers of batches kept free for one run, so that a span says whose it is."""


def owner_of(trace_id: str) -> int:
    return (int(trace_id, 16) - 1) // RUN_BATCHES


def batches_of(run: int, count: int) -> list[bytes]:
    """Batches of one run: the same contents again and again, under ids of their own."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest.FromString(batch(0))
    spans = request.resource_spans[0].scope_spans[0].spans
    made = []
    for number in range(run * RUN_BATCHES, run * RUN_BATCHES + count):
        first = number * BATCH + 1
        trace_id, parent = (number + 1).to_bytes(16), first.to_bytes(8)
        for index, span in enumerate(spans):
            span.trace_id, span.span_id = trace_id, (first + index).to_bytes(8)
            span.parent_span_id = parent if index else b""
        made.append(request.SerializeToString())
    return made


def crowd() -> None:
    """Send as several tests at once: port, lanes of [token, run, batches]; answers with seconds and 503s."""
    for line in sys.stdin:
        order = json.loads(line)
        lanes = [(token, batches_of(run, batches)) for token, run, batches in order["lanes"]]
        began = time.perf_counter()
        with ThreadPoolExecutor(len(lanes)) as pool:
            put_off = list(pool.map(partial(send_all, order["port"]), *zip(*lanes, strict=True)))
        print(json.dumps([time.perf_counter() - began, sum(put_off)]), flush=True)


def send_all(port: int, token: str, bodies: list[bytes]) -> int:
    """Send each body until it is taken, as an exporter does; how often it was put off."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    n_put_off = 0
    for body in bodies:
        while True:
            connection.request(
                "POST", f"/{token}/v1/traces", body, {"Content-Type": "application/x-protobuf"}
            )
            response = connection.getresponse()
            response.read()
            if response.status == 200:
                break
            assert response.status == 503
            n_put_off += 1
            time.sleep(int(response.headers["Retry-After"]))
    connection.close()
    return n_put_off


def loris() -> None:
    """Hold connections that say one byte a second: told port and how many, until the next line."""
    import selectors
    import socket

    request = b"POST /x/v1/traces HTTP/1.1\r\nHost: a\r\nX-Padding: " + b"x" * 10_000
    selector = selectors.DefaultSelector()
    selector.register(sys.stdin, selectors.EVENT_READ)
    for line in sys.stdin:
        order = json.loads(line)
        held = [socket.create_connection(("127.0.0.1", order["port"])) for _ in range(order["connections"])]
        print(len(held), flush=True)
        said = 0
        while not selector.select(1 / len(held)):
            one = held[said % len(held)]
            # One that was asked to leave stays counted.
            with suppress(OSError):
                one.send(request[said // len(held) :][:1])
            said += 1
        sys.stdin.readline()
        for one in held:
            one.close()
        print(said, flush=True)


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


if __name__ == "__main__":
    roles = (ours, peer, sender, runs, plain, crowd, loris)
    {role.__name__: role for role in roles}[sys.argv[1]]()
