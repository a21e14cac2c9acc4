"""A small HTTP server and client that leave the spans of the HTTP semantic conventions.

One SERVER span for each request, continuing the trace of the caller (W3C ``traceparent`` header), and one
CLIENT span for each call. ``/healthz`` answers without a span: a probe is no part of what happened.
"""

from __future__ import annotations

import json
import signal
import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry import propagate, trace
from opentelemetry.trace import SpanKind, StatusCode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

tracer = trace.get_tracer("demo.http")


class Answer(NamedTuple):
    """What comes back from a call, and what a route gives back."""

    status: int
    body: dict[str, Any]


def serve_until_stopped(port: int, routes: Mapping[str, Callable[[dict[str, Any]], Answer]]) -> None:
    """Serve ``{"POST /path": function}`` on all interfaces until SIGTERM; running requests are finished."""
    handler = type("Handler", (_Handler,), {"routes": routes})
    server = ThreadingHTTPServer(("", port), handler)
    server.daemon_threads = False
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    print(f"listening on port {port}", flush=True)
    stop.wait()
    server.shutdown()
    thread.join()
    server.server_close()


def call(method: str, place: tuple[str, int], path: str, body: dict[str, Any]) -> Answer:
    """Send `body` as JSON and return the answer, whatever its status."""
    host, port = place
    attributes: dict[str, str | int] = {
        "http.request.method": method,
        "server.address": host,
        "server.port": port,
        "url.full": f"http://{host}:{port}{path}",
    }
    with tracer.start_as_current_span(method, kind=SpanKind.CLIENT, attributes=attributes) as span:
        headers = {"content-type": "application/json"}
        propagate.inject(headers)
        connection = HTTPConnection(host, port, timeout=10)
        try:
            connection.request(method, path, json.dumps(body), headers)
            response = connection.getresponse()
            answer = Answer(response.status, json.loads(response.read()))
        finally:
            connection.close()
        span.set_attribute("http.response.status_code", answer.status)
        if answer.status >= 400:  # noqa: PLR2004  # To a client every 4xx and 5xx is an error.
            span.set_attribute("error.type", str(answer.status))
            span.set_status(StatusCode.ERROR)
        return answer


class _Handler(BaseHTTPRequestHandler):
    """Looks up the route, wraps it into its SERVER span, speaks JSON."""

    routes: Mapping[str, Callable[[dict[str, Any]], Answer]]

    def do_GET(self) -> None:
        """Answer the health probe."""
        self._send(Answer(200, {"ready": True}) if self.path == "/healthz" else Answer(404, {}))

    def do_POST(self) -> None:
        """Answer one of the routes."""
        route = self.routes.get(f"POST {self.path}")
        if route is None:
            self._send(Answer(404, {}))
            return
        attributes = {
            "http.request.method": "POST",
            "http.route": self.path,
            "url.path": self.path,
            "url.scheme": "http",
        }
        with tracer.start_as_current_span(
            f"POST {self.path}",
            context=propagate.extract(dict(self.headers.items())),
            kind=SpanKind.SERVER,
            attributes=attributes,
        ) as span:
            length = int(self.headers.get("content-length", 0))
            answer = route(json.loads(self.rfile.read(length)))
            span.set_attribute("http.response.status_code", answer.status)
        # Sent after the span has ended, so that the caller's span always covers it.
        self._send(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # The name in the base class.
        """Say nothing: the spans are the log."""

    def _send(self, answer: Answer) -> None:
        payload = json.dumps(answer.body).encode()
        self.send_response(answer.status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)
