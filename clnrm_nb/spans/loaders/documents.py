"""One parsed JSON value → the spans in it: which of the known forms it is, decided by its keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from clnrm_nb.spans.loaders import console, flat, otlp_json

if TYPE_CHECKING:
    from clnrm_nb.spans.intake import Intake

__all__ = ["FOREIGN", "SPAN_MARKS", "Form", "foreign_product", "read"]

Form = Literal["otlp-json", "flat", "console"]

SPAN_MARKS: Final = (
    b'"resourceSpans"',
    b'"resource_spans"',
    b'"trace_id"',
    b'"traceId"',
    b'"span_id"',
    b'"spanId"',
)
"""A text without any of these holds no span of a known form: other JSON is passed over without parsing."""

FOREIGN: Final = {
    "jaeger": "Jaeger JSON",
    "zipkin": "Zipkin v2 JSON",
    "tempo": "a query answer of Tempo or Jaeger v3",
    "signoz": "a query answer of SigNoz",
    "csv": "CSV",
}
"""Forms that are recognised and not read yet."""


def read(document: Any, intake: Intake, *, form: Form | None = None, ours: bool = False) -> Form | None:
    """Put the spans of a document into the intake.

    Parameters
    ----------
    document : any
        As parsed from JSON.
    intake : Intake
    form : str, optional
        Read it as this; else it is recognised.
    ours : bool
        Believe marks that clnrm_nb wrote itself (see :mod:`clnrm_nb.spans.loaders.write`).

    Returns
    -------
    str or None
        The form it had; ``None`` if it is nothing known (metrics and logs are counted in the intake).
    """
    if form in (None, "otlp-json") and otlp_json.is_otlp(document):
        otlp_json.read(document, intake, ours=ours)
        return "otlp-json"
    if signal := otlp_json.other_signal(document):
        intake.other_signals[signal] += 1
        return None
    found: Form | None = None
    for item in _items(document):
        if form in (None, "console") and console.is_console(item):
            console.read(item, intake)
            found = "console"
        elif form in (None, "flat") and flat.is_flat(item):
            flat.read(item, intake)
            found = found or "flat"
        elif form in (None, "otlp-json") and otlp_json.is_otlp(item):
            otlp_json.read(item, intake, ours=ours)
            found = found or "otlp-json"
        elif form in (None, "flat") and flat.looks_flat(item):
            intake.refuse(_missing(item))
            found = found or "flat"
    return found


def _items(document: Any) -> list[Any]:
    """The objects of a document that may be spans: itself, its elements, or those below ``spans``."""
    if isinstance(document, list):
        return document
    if isinstance(document, dict) and isinstance(document.get("spans"), list) and not flat.is_flat(document):
        return list(document["spans"])
    return [document]


def _missing(item: dict[str, Any]) -> str:
    if "name" not in item:
        return "no name"
    return "no trace id"


def foreign_product(document: Any) -> str | None:
    """The key of :data:`FOREIGN` a document belongs to, if it is one of those."""
    if isinstance(document, dict):
        return _foreign_object(document)
    if isinstance(document, list) and document and isinstance(document[0], dict):
        first = document[0]
        if "traceId" in first and "id" in first:
            return "zipkin"
        if _is_jaeger_trace(first):
            return "jaeger"
    return None


def _foreign_object(document: dict[str, Any]) -> str | None:
    if _is_jaeger_trace(document):
        return "jaeger"
    data = document.get("data")
    traces = data if isinstance(data, list) else [data]
    if any(_is_jaeger_trace(trace) for trace in traces):
        return "jaeger"
    if "batches" in document or any(otlp_json.is_otlp(document.get(key)) for key in ("result", "trace")):
        return "tempo"
    results = data.get("result") if isinstance(data, dict) else document.get("result")
    if isinstance(results, list) and any(
        isinstance(result, dict) and ("list" in result or "queryName" in result) for result in results
    ):
        return "signoz"
    return None


def _is_jaeger_trace(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("spans"), list) and "processes" in item
