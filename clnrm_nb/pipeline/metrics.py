"""The measures of a run as OpenTelemetry metrics, recorded with whatever provider the caller has.

Names, units and kinds follow the semantic conventions where these have any; the rest is named after what it
counts. Nothing is recorded that a run did not measure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from clnrm_nb.pipeline.measuring import memory_bytes

if TYPE_CHECKING:
    from opentelemetry.metrics import Histogram, Meter, MeterProvider

    from clnrm_nb.state.measures import Measures

__all__ = ["record_metrics"]

_SCOPE: Final = "clnrm_nb"
_SHORT: Final = (0.002, 0.005, 0.01, 0.02, 0.03, 0.04, 0.06, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Bounds in seconds, close where the goals are."""

_SINCE_WRITTEN: Final = {
    "reaction_ms": ("clnrm.watch.reaction", "From a file's being written to the start of its rendering"),
    "diagnostics_ms": ("clnrm.watch.diagnostics", "From a file's being written to its findings"),
    "start_ms": ("clnrm.watch.start", "From a file's being written to the start of the run"),
    "verdict_ms": ("clnrm.watch.verdict", "From a file's being written to the last verdict of its run"),
}


def record_metrics(measures: Measures, provider: MeterProvider) -> None:
    """Record one run.

    Parameters
    ----------
    provider : MeterProvider
        Makes the same instrument once, however often it is asked for.
    """
    meter = provider.get_meter(_SCOPE)
    tests = meter.create_counter("clnrm.tests", "{test}", "Tests by their status")
    for status, number in measures.tests.items():
        tests.add(number, {"clnrm.test.status": status})
    _seconds(meter, "clnrm.run.duration", "Runs, from the first file to the last verdict").record(
        measures.duration_ms / 1e3
    )
    lookups = meter.create_counter("clnrm.cache.lookups", "{lookup}", "Tests looked up in the cache")
    for result, number in measures.lookups.items():
        lookups.add(number, {"clnrm.cache.result": result})
    for name, about in (("hits", "was there"), ("misses", "had to be made")):
        if number := measures.pool.get(name, 0):
            text = f"Units of tests of which what they need {about} when they began"
            meter.create_counter(f"clnrm.pool.{name}", "{unit}", text).add(number)
    waits = _seconds(meter, "clnrm.queue.wait", "From the beginning of the execution until a test begins")
    for wait_ms in measures.queue_wait_ms:
        waits.record(wait_ms / 1e3)
    for field, (name, text) in _SINCE_WRITTEN.items():
        if (spent_ms := getattr(measures, field)) is not None:
            _seconds(meter, name, text).record(spent_ms / 1e3)
    meter.create_counter("clnrm.spans.received", "{span}", "Spans of programs under test").add(measures.spans)
    for name, number_bytes in zip(
        ("process.memory.usage", "clnrm.process.memory.peak"), memory_bytes(), strict=True
    ):
        if number_bytes is not None:
            meter.create_gauge(name, "By", "Memory of the process that runs the tests").set(number_bytes)


def _seconds(meter: Meter, name: str, text: str) -> Histogram:
    return meter.create_histogram(name, "s", text, explicit_bucket_boundaries_advisory=_SHORT)
