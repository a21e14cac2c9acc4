"""OpenTelemetry for a program of the standard library, configured by the ``OTEL_*`` environment alone.

The SDK reads the exporter's address, the resource, the sampler and the propagators from the environment, so
there is nothing to configure here and nothing to change between a test, a laptop and production.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import context, propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace.export import SpanExporter


@contextmanager
def tracing() -> Iterator[None]:
    """Record spans while the block runs; what is still waiting is sent when it ends."""
    provider = TracerProvider()
    exporter = _exporter(os.environ.get("OTEL_TRACES_EXPORTER", "otlp"))
    if exporter is not None:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        provider.shutdown()


@contextmanager
def caller_from_environment() -> Iterator[None]:
    """Continue the trace named by ``TRACEPARENT``: how a command line tool is told who called it."""
    carrier = {
        key: os.environ[key.upper()] for key in ("traceparent", "tracestate") if key.upper() in os.environ
    }
    token = context.attach(propagate.extract(carrier))
    try:
        yield
    finally:
        context.detach(token)


def _exporter(name: str) -> SpanExporter | None:
    if name == "none":
        return None
    return ConsoleSpanExporter() if name == "console" else OTLPSpanExporter()
