"""What a run tells others about itself: own spans and metrics, to whom they were asked for.

Metrics go to the provider that the program around us has set, if it has set one. Where
``observability.traces_endpoint`` names an OTLP/HTTP receiver, spans and metrics are sent there too, by a
provider of our own. Neither is worth a verdict: what cannot be sent is a warning in the log, told once for
each address.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import urllib.error
import urllib.request
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from clnrm_nb.codes import EXIT_INTERRUPTED
from clnrm_nb.executor.tracing import own_trace
from clnrm_nb.spans.phases import here

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider as SdkProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader, Metric

    from clnrm_nb.config.settings import Settings
    from clnrm_nb.report.results import RunResult
    from clnrm_nb.secrets import Masker
    from clnrm_nb.spans.table import SpanTable
    from clnrm_nb.state.measures import Measures

__all__ = ["address_of", "tell_others"]

_log = logging.getLogger(__name__)

_PATH: Final = "/v1/traces"
_ANSWER_S: Final = 3.0
_MOST_ROWS: Final = 2_000
"""Spans of one request."""

_WARNED: Final[set[str]] = set()


async def tell_others(result: RunResult, settings: Settings, masker: Masker) -> None:
    """Metrics and own spans of the run that goes on here, to whom they were asked for."""
    if result.measures is not None:
        _tell_provider(result.measures)
    endpoint, place = settings.observability.traces_endpoint, here()
    if not endpoint or result.exit_code == EXIT_INTERRUPTED or place is None or place.phase is None:
        return
    tables = [outcome.spans for outcome in result.outcomes if not outcome.cached and outcome.spans]
    # An interrupt ends the sending; the run itself is over.
    with suppress(asyncio.CancelledError):
        await _send(endpoint, own_trace(place.phase, tables), result.measures, masker)


def _tell_provider(measures: Measures) -> None:
    """Record a run with the MeterProvider of this process, if anybody has set one."""
    # A program that has set one has loaded the API; no other pays for it.
    if "opentelemetry.metrics" in sys.modules:
        from opentelemetry.metrics import get_meter_provider

        from clnrm_nb.pipeline.metrics import record_metrics

        record_metrics(measures, get_meter_provider())


async def _send(endpoint: str, spans: SpanTable, measures: Measures | None, masker: Masker) -> None:
    """Send own spans and metrics; never raises for what the receiver does.

    Parameters
    ----------
    endpoint : str
        ``observability.traces_endpoint``: the receiver, or its path for traces.
    spans : SpanTable
        Own spans, the tests' among them.
    """
    from clnrm_nb.spans.loaders import write_otlp_json

    whole = len(spans)
    spans.own, spans.scenario = [False] * whole, [None] * whole  # Marks of our own files, not of OTLP.
    bodies = [
        masker.data(write_otlp_json(spans.select(range(first, min(first + _MOST_ROWS, whole)))))
        for first in range(0, whole, _MOST_ROWS)
    ]
    requests = [(address_of(endpoint, "traces"), body, "application/json") for body in bodies]
    if measures is not None:
        requests.append((address_of(endpoint, "metrics"), _metrics(measures), "application/x-protobuf"))
    for address, body, content_type in requests:
        if (trouble := await asyncio.to_thread(_posted, address, body, content_type)) is not None:
            if address not in _WARNED:
                _WARNED.add(address)
                _log.warning("own telemetry could not be sent to %s: %s", address, trouble)
            return


def address_of(endpoint: str, signal: str) -> str:
    """Where a signal is sent.

    Examples
    --------
    >>> address_of("http://localhost:4318", "metrics")
    'http://localhost:4318/v1/metrics'
    >>> address_of("https://collector/otlp/v1/traces", "traces")
    'https://collector/otlp/v1/traces'
    """
    base = endpoint.rstrip("/").removesuffix(_PATH)
    return f"{base}/v1/{signal}"


def _posted(address: str, body: bytes, content_type: str) -> str | None:
    """Send one request; what went wrong."""
    if urlsplit(address).scheme not in ("http", "https"):
        return "no http:// or https:// address"
    request = urllib.request.Request(  # noqa: S310  # The scheme is known.
        address, body, {"Content-Type": content_type}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=_ANSWER_S) as answer:  # noqa: S310
            answer.read()
    except (OSError, ValueError) as error:
        return str(error)
    return None


# ------------------------------------------------------------------------------------------------ metrics


@cache
def _own() -> tuple[SdkProvider, InMemoryMetricReader]:
    """A provider of our own, for the life of this process: what it sends counts from its start."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.resources import Resource

    from clnrm_nb.spans.phases import OWN_RESOURCE

    reader = InMemoryMetricReader()
    resource = Resource(OWN_RESOURCE.attributes)
    return MeterProvider([reader], resource=resource, shutdown_on_exit=False), reader


def _metrics(measures: Measures) -> bytes:
    """All that has been recorded so far, this run included, as an OTLP request."""
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    from clnrm_nb.pipeline.metrics import record_metrics

    provider, reader = _own()
    record_metrics(measures, provider)
    data = reader.get_metrics_data()
    message = ExportMetricsServiceRequest()
    for resource_metrics in data.resource_metrics if data else ():
        resource = message.resource_metrics.add()
        _put_attributes(resource.resource.attributes, resource_metrics.resource.attributes)
        for scope_metrics in resource_metrics.scope_metrics:
            scope = resource.scope_metrics.add()
            scope.scope.name = scope_metrics.scope.name
            for metric in scope_metrics.metrics:
                _put_metric(scope.metrics.add(), metric)
    return bytes(message.SerializeToString())


def _put_metric(target: Any, metric: Metric) -> None:
    from opentelemetry.sdk.metrics.export import Gauge, Histogram, Sum

    target.name, target.unit, target.description = metric.name, metric.unit or "", metric.description or ""
    data = metric.data
    if isinstance(data, Histogram):
        target.histogram.aggregation_temporality = data.aggregation_temporality
        for point in data.data_points:
            put = target.histogram.data_points.add(
                start_time_unix_nano=point.start_time_unix_nano,
                time_unix_nano=point.time_unix_nano,
                count=point.count,
                sum=point.sum,
                min=point.min,
                max=point.max,
                bucket_counts=point.bucket_counts,
                explicit_bounds=point.explicit_bounds,
            )
            _put_attributes(put.attributes, point.attributes)
        return
    if not isinstance(data, Sum | Gauge):  # none of ours
        return
    kind = target.sum if isinstance(data, Sum) else target.gauge
    if isinstance(data, Sum):
        kind.aggregation_temporality, kind.is_monotonic = data.aggregation_temporality, data.is_monotonic
    for number in data.data_points:
        put = kind.data_points.add(
            start_time_unix_nano=number.start_time_unix_nano or 0, time_unix_nano=number.time_unix_nano
        )
        if isinstance(number.value, int):
            put.as_int = number.value
        else:
            put.as_double = number.value
        _put_attributes(put.attributes, number.attributes)


def _put_attributes(target: Any, attributes: Any) -> None:
    """All of ours are words."""
    for key, value in (attributes or {}).items():
        target.add(key=key).value.string_value = str(value)
