"""One trace of the real Python SDK, through every exporter it has: ``python generate.py DIRECTORY``.

Needs opentelemetry-sdk, opentelemetry-exporter-otlp-proto-common and opentelemetry-exporter-zipkin-json. The
exporters themselves write what the files hold; the one for Zipkin posts it to a server in this process.
"""

from __future__ import annotations

import io
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

from google.protobuf import json_format
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.zipkin.json import ZipkinExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

START_NS = 1_700_000_000_000_000_000
MS = 1_000_000


class Zipkin(BaseHTTPRequestHandler):
    """Keeps the last body that was posted."""

    body = b""

    def do_POST(self) -> None:
        Zipkin.body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(202)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def record(tracer: trace.Tracer) -> None:
    """A server's span, a step of it, and a query that fails."""
    values = {"http.request.method": "POST", "http.response.status_code": 201, "cached": False, "ids": (1, 2)}
    kinds = trace.SpanKind
    server = tracer.start_span(
        "POST /Orders", kind=kinds.SERVER, start_time=START_NS, attributes=values | {"ratio": 0.5}
    )
    with trace.use_span(server):
        step = tracer.start_span("reserve", start_time=START_NS + MS, attributes={"item": "book"})
        with trace.use_span(step):
            query = tracer.start_span(
                "SELECT stock",
                kind=kinds.CLIENT,
                start_time=START_NS + 2 * MS,
                attributes={"db.system": "postgresql"},
            )
            query.add_event("row lock", {"rows": 3}, timestamp=START_NS + 2 * MS + 500_000)
            query.add_event("retry", timestamp=START_NS + 2 * MS + 600_000)
            query.set_status(trace.StatusCode.ERROR, "no stock")
            query.end(end_time=START_NS + 3 * MS)
        step.end(end_time=START_NS + 4 * MS)
    server.set_status(trace.StatusCode.OK)
    server.end(end_time=START_NS + 5 * MS)


def main(directory: Path) -> None:
    """Write all files."""
    memory, printed = InMemorySpanExporter(), io.StringIO()
    provider = TracerProvider(resource=Resource({"service.name": "shop", "deployment.environment": "test"}))
    provider.add_span_processor(SimpleSpanProcessor(memory))
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=printed)))
    record(provider.get_tracer("shop.web", "1.2"))
    spans = memory.get_finished_spans()
    server = HTTPServer(("127.0.0.1", 0), Zipkin)
    Thread(target=server.serve_forever, daemon=True).start()
    ZipkinExporter(endpoint=f"http://127.0.0.1:{server.server_port}/api/v2/spans").export(spans)
    server.shutdown()
    message = encode_spans(spans)
    (directory / "python-console.txt").write_text(printed.getvalue())
    (directory / "python-zipkin.json").write_bytes(Zipkin.body + b"\n")
    (directory / "python-otlp.pb").write_bytes(message.SerializeToString())
    (directory / "python-proto3.json").write_text(json_format.MessageToJson(message) + "\n")
    (directory / "python-snake.json").write_text(
        json_format.MessageToJson(message, preserving_proto_field_name=True) + "\n"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
