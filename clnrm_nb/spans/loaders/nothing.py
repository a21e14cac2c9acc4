"""What a source without any span holds instead, in half a sentence for who gave it, and what helps."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.spans.loaders import csv_rows, documents, jaeger

if TYPE_CHECKING:
    from clnrm_nb.spans.loaders.documents import Form

__all__ = ["EMPTY_HINT", "SIGNAL_HINT", "UNKNOWN", "UNKNOWN_HINT", "held_instead", "known_text"]

UNKNOWN: Final = "no known form"
EMPTY_HINT: Final = "what writes it may not have ended, or not have flushed its exporter"
SIGNAL_HINT: Final = "give the file of the traces: a collector may write each signal to its own"
UNKNOWN_HINT: Final = (
    "what is read: OTLP, Jaeger, Zipkin, Tempo, SigNoz, console output of the Python SDK, flat JSON, CSV;"
    " `--input-format` says which it is where it is not recognised"
)

_PAGE: Final = re.compile(rb"\s*<(?:!doctype\s+html|html)\b", re.IGNORECASE)
_TITLE: Final = re.compile(rb"<title[^>]*>([^<]{1,80})", re.IGNORECASE)
_JS_CONSOLE: Final = re.compile(rb"(?m)^\s*traceId: ['\"]")
_JS_HINT: Final = (
    "let the program send OTLP/HTTP instead"
    " (OTEL_TRACES_EXPORTER=otlp, OTEL_EXPORTER_OTLP_PROTOCOL=http/json or http/protobuf)"
)

_MAX_KEYS: Final = 4
_MAX_KEY: Final = 30
_MAX_SAID: Final = 200


def known_text(head: bytes) -> tuple[str, str] | None:
    """What a text that is no trace is, as its beginning tells, and what helps."""
    if _JS_CONSOLE.search(head):
        return "it is console output of the JavaScript SDK, which is no JSON", _JS_HINT
    if _PAGE.match(head):
        title = _TITLE.search(head)
        named = f" with the title {title[1].decode('utf-8', 'replace').strip()!r}" if title else ""
        return f"it is a web page{named}", "save the trace as JSON, or ask the API of the service for it"
    if lacking := csv_rows.lacking(head.lstrip(b"\r\n").partition(b"\n")[0]):
        found = "line 1, byte 0: it is a table without a column for " + " and ".join(lacking)
        return found, "name its columns `trace_id`, `span_id`, `parent_id`, `start_time`, `name`, `service`"
    return None


def held_instead(document: Any, place: str, form: Form | None = None) -> str | None:
    """Why there is no span in a document; ``None`` where nothing is known of it.

    Parameters
    ----------
    document : any
        As parsed.
    place : str
        Where it begins.
    form : str, optional
        What it was to be read as.
    """
    other = next(filter(None, map(_form_of, documents.items(document))), None)
    if form is not None and other is not None:
        return f"{place}: nothing there is of the form {form}; it looks like {other}"
    if document == []:
        return "the list of spans is empty"
    said = _of_answer(document) if isinstance(document, dict) else None
    if said is not None or other is not None:
        return said
    what = "a list whose first element is " if isinstance(document, list) else ""
    first = document[0] if what else document
    return f"{place}: JSON of {UNKNOWN}, {what}{_described(first)}" if isinstance(first, dict) else None


def _form_of(item: Any) -> Form | None:
    try:
        return documents.form_of(item)
    except documents.AmbiguousError:
        return None


def _of_answer(document: dict[str, Any]) -> str | None:
    """What is said by an answer of a query service that has no spans."""
    if (said := jaeger.why_nothing(document)) is not None:
        return said
    if type(document.get("code")) is int and isinstance(message := document.get("message"), str):
        return f"it is an answer that says {message[:_MAX_SAID]!r}"
    data, traces = document.get("data"), document.get("traces")
    if data == [] or (data is None and "data" in document and "errors" in document):
        return "it is an answer of Jaeger without any trace"
    if document.get("result") == [] or (isinstance(data, dict) and data.get("result", 0) in ([], None)):
        return "it is an answer without any result"
    if isinstance(traces, list) and any(isinstance(trace, dict) and "traceID" in trace for trace in traces):
        return "it is a search answer of Tempo, which names traces and holds none of their spans"
    return None


def _described(document: dict[str, Any]) -> str:
    keys = [key if len(key) <= _MAX_KEY else f"{key[:_MAX_KEY]}…" for key in list(document)[:_MAX_KEYS]]
    more = " and more" * (len(document) > _MAX_KEYS)
    return f"an object with {', '.join(map(repr, keys))}{more}" if keys else "an empty object"
