"""Query answers of SigNoz: rows under ``result[].list[].data`` with several maps of tags each.

The same envelope carries answers about anything else; a row without a span id is no span.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from clnrm_nb.spans.intake import status_of
from clnrm_nb.spans.loaders import tags as told_by
from clnrm_nb.spans.loaders.ids import (
    SPAN_DIGITS,
    TRACE_DIGITS,
    kind_of,
    read_id,
    status_code_of,
    time_of,
)
from clnrm_nb.spans.loaders.instants import instant
from clnrm_nb.spans.loaders.values import NestingError, plain_value
from clnrm_nb.spans.model import KINDS, STATUS_CODES, Event, Link, Span

if TYPE_CHECKING:
    from clnrm_nb.spans.intake import Intake

__all__ = ["is_answer", "read_rows", "rows"]

_MAPS: Final = ("tagMap", "stringTagMap", "numberTagMap", "boolTagMap")
"""Of attributes, the typed ones last: where two agree but for the type, the typed value counts."""

_RESOURCE_MAPS: Final = ("resourceTagsMap", "resourceTagMap")

_KNOWN: Final = frozenset(
    {
        *_MAPS,
        *_RESOURCE_MAPS,
        *("traceID", "spanID", "parentSpanID", "name", "kind", "spanKind", "serviceName", "timestamp"),
        *("durationNano", "statusCode", "statusMessage", "statusCodeString", "hasError", "events"),
        *("references", "id", "flags", "traceState", "spanKindString"),
    }
)


def is_answer(document: Any) -> bool:
    """Whether it is such an answer, with spans in it or not."""
    return any(
        isinstance(result, dict) and ("list" in result or "queryName" in result)
        for result in _results(document)
    )


def _results(document: Any) -> list[Any]:
    if not isinstance(document, dict):
        return []
    data = document.get("data")
    found = data.get("result") if isinstance(data, dict) else document.get("result")
    return found if isinstance(found, list) else []


def rows(document: dict[str, Any]) -> list[Any]:
    """All rows of an answer that :func:`is_answer`."""
    return [
        row
        for result in _results(document)
        if isinstance(result, dict) and isinstance(result.get("list"), list)
        for row in result["list"]
    ]


def read_rows(found: list[Any], intake: Intake) -> None:
    """Put the spans among the rows into the intake."""
    for row in found:
        data = row.get("data") if isinstance(row, dict) else None
        if not isinstance(data, dict) or not ("spanID" in data or "traceID" in data):
            continue
        trace_id, _ = read_id(data.get("traceID"), TRACE_DIGITS)
        span_id, _ = read_id(data.get("spanID"), SPAN_DIGITS)
        if trace_id is None or span_id is None:
            intake.refuse("no trace id" if trace_id is None else "no span id")
            continue
        try:
            intake.table.append(_span(row, data, trace_id, span_id, intake))
        except NestingError:
            intake.refuse("an attribute is nested too deeply")


def _span(row: dict[str, Any], data: dict[str, Any], trace_id: str, span_id: str, intake: Intake) -> Span:
    attributes = _merged(data, _MAPS, intake)
    for key, value in data.items():
        if key not in _KNOWN and isinstance(value, str | int | float) and value not in ("", 0):
            attributes.setdefault(key, value)
    told = told_by.take(attributes, intake)
    resource = told_by.owned_by_resource(attributes) | _merged(data, _RESOURCE_MAPS, intake)
    service = data.get("serviceName")
    if isinstance(service, str) and service:
        resource["service.name"] = service
    code = status_code_of(data.get("statusCode")) or told.status_code or status_of(attributes)
    if not code and data.get("hasError") is True:
        code = STATUS_CODES.index("error")
    message = data.get("statusMessage")
    start_ns, duration_ns = (
        instant(row.get("timestamp", data.get("timestamp"))),
        time_of(data.get("durationNano")),
    )
    parent, links = _references(data, trace_id)
    name = data.get("name")
    return Span(
        trace_id=trace_id,
        span_id=span_id,
        name=name if isinstance(name, str) else "",
        parent_span_id=parent,
        kind=KINDS[kind_of(data.get("spanKind", data.get("kind"))) or told.kind or 0],
        start_ns=start_ns,
        end_ns=None if start_ns is None or duration_ns is None else start_ns + duration_ns,
        status_code=STATUS_CODES[code],
        status_message=message if isinstance(message, str) and message else told.status_message,
        attributes=attributes,
        events=tuple(_event(event) for event in _listed(data.get("events")) if isinstance(event, dict)),
        links=links,
        resource=intake.shared.resource(resource),
        scope=intake.shared.scope(*told.scope),
    )


def _merged(data: dict[str, Any], maps: tuple[str, ...], intake: Intake) -> dict[str, Any]:
    """One table of several; a key with two different values is counted, the later map wins."""
    merged: dict[str, Any] = {}
    for name in maps:
        table = data.get(name)
        for key, value in (table if isinstance(table, dict) else {}).items():
            if key in merged and str(merged[key]).lower() != str(value).lower():
                intake.repeated_keys += 1
            merged[key] = plain_value(value)
    return merged


def _references(data: dict[str, Any], trace_id: str) -> tuple[str | None, tuple[Link, ...]]:
    parent, _ = read_id(data.get("parentSpanID"), SPAN_DIGITS)
    links = []
    for reference in _listed(data.get("references")):
        if not isinstance(reference, dict):
            continue
        trace, _ = read_id(reference.get("traceId", reference.get("TraceId", trace_id)), TRACE_DIGITS)
        span, _ = read_id(reference.get("spanId", reference.get("SpanId")), SPAN_DIGITS)
        if span is None:
            continue
        is_above = reference.get("refType", reference.get("RefType")) == "CHILD_OF"
        if is_above and parent in (None, span):
            parent = span
        else:
            links.append(Link(trace or trace_id, span, {}))
    return parent, tuple(links)


def _event(event: dict[str, Any]) -> Event:
    name, attributes = event.get("name"), event.get("attributeMap", event.get("attributes"))
    attributes = attributes if isinstance(attributes, dict) else {}
    return Event(
        name if isinstance(name, str) else "",
        time_of(event.get("timeUnixNano")),
        {key: plain_value(value) for key, value in attributes.items()}
        if isinstance(attributes, dict)
        else {},
    )


def _listed(value: Any) -> list[Any]:
    """A list, which may be written as a text of JSON, as may its elements."""
    found = _parsed(value)
    return [_parsed(entry) for entry in found] if isinstance(found, list) else []


def _parsed(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
