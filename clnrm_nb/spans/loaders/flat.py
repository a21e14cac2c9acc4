"""Flat spans: one plain object a span, ids at its top, attributes as a plain object or a key/value list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clnrm_nb.spans.intake import status_of
from clnrm_nb.spans.loaders.ids import (
    SPAN_DIGITS,
    TRACE_DIGITS,
    kind_of,
    read_id,
    status_code_of,
    time_of,
)
from clnrm_nb.spans.loaders.values import NestingError, keyed_attributes
from clnrm_nb.spans.model import KINDS, STATUS_CODES, Event, Link, Span

if TYPE_CHECKING:
    from clnrm_nb.spans.intake import Intake

__all__ = ["is_flat", "looks_flat", "read"]

_TRACE = ("trace_id", "traceId")
_SPAN = ("span_id", "spanId")
_PARENT = ("parent_span_id", "parentSpanId", "parent_id", "parentId")
_START = ("start_time_unix_nano", "startTimeUnixNano", "start_ns", "start_time_ns")
_END = ("end_time_unix_nano", "endTimeUnixNano", "end_ns", "end_time_ns")


def is_flat(item: Any) -> bool:
    """Whether it is a flat span."""
    return isinstance(item, dict) and "name" in item and _has(item, _TRACE) and _has(item, _SPAN)


def looks_flat(item: Any) -> bool:
    """Whether it was meant as one: some of the ids are there, not all that is needed."""
    return (
        isinstance(item, dict)
        and not is_flat(item)
        and _has(item, _SPAN)
        and ("name" in item or _has(item, _TRACE))
    )


def read(item: dict[str, Any], intake: Intake) -> None:
    """Put one flat span into the intake."""
    trace_id, trace_restored = read_id(_get(item, _TRACE), TRACE_DIGITS)
    span_id, span_restored = read_id(_get(item, _SPAN), SPAN_DIGITS)
    if trace_id is None or span_id is None:
        intake.refuse("no trace id" if trace_id is None else "no span id")
        return
    try:
        span = _span(item, trace_id, span_id, intake)
    except NestingError:
        intake.refuse("an attribute is nested too deeply")
        return
    intake.restored_ids += trace_restored or span_restored
    intake.table.append(span)


def _span(item: dict[str, Any], trace_id: str, span_id: str, intake: Intake) -> Span:
    parent, _ = read_id(_get(item, _PARENT), SPAN_DIGITS)
    start_ns, end_ns = time_of(_get(item, _START)), time_of(_get(item, _END))
    duration_ns = time_of(item.get("duration_ns", item.get("durationNs")))
    if end_ns is None and start_ns is not None and duration_ns is not None:
        end_ns = start_ns + duration_ns
    attributes = keyed_attributes(item.get("attributes"), intake)
    status = item.get("status")
    message = (
        status.get("message", status.get("description"))
        if isinstance(status, dict)
        else item.get("status_message")
    )
    code = status_code_of(_get(status, ("code", "status_code")) if isinstance(status, dict) else status)
    return Span(
        trace_id=trace_id,
        span_id=span_id,
        name=str(item["name"]) if isinstance(item["name"], str | int | float) else "",
        parent_span_id=parent,
        kind=KINDS[kind_of(item.get("kind"))],
        start_ns=start_ns,
        end_ns=end_ns,
        status_code=STATUS_CODES[code or status_of(attributes)],
        status_message=message if isinstance(message, str) else "",
        attributes=attributes,
        events=tuple(_event(event, intake) for event in _list(item.get("events"))),
        links=tuple(_link(link, intake) for link in _list(item.get("links")) if isinstance(link, dict)),
        resource=intake.shared.resource(_resource(item, intake)),
        scope=intake.shared.scope(*_scope(item)),
    )


def _resource(item: dict[str, Any], intake: Intake) -> dict[str, Any]:
    resource = item.get("resource", item.get("resource_attributes", item.get("resourceAttributes")))
    if isinstance(resource, dict) and isinstance(resource.get("attributes"), dict | list):
        resource = resource["attributes"]
    attributes = keyed_attributes(resource, intake)
    service = item.get("service", _get(item, ("service_name", "serviceName")))
    if isinstance(service, str):
        attributes.setdefault("service.name", service)
    return attributes


def _scope(item: dict[str, Any]) -> tuple[str, str]:
    scope = item.get("scope")
    if isinstance(scope, dict):
        name, version = scope.get("name"), scope.get("version")
        return (name if isinstance(name, str) else "", version if isinstance(version, str) else "")
    return (scope if isinstance(scope, str) else "", "")


def _event(event: Any, intake: Intake) -> Event:
    if not isinstance(event, dict):
        return Event(event if isinstance(event, str) else "", None, {})
    name = event.get("name")
    time_ns = time_of(_get(event, ("time_unix_nano", "timeUnixNano", "time_ns", "timestamp")))
    return Event(
        name if isinstance(name, str) else "", time_ns, keyed_attributes(event.get("attributes"), intake)
    )


def _link(link: dict[str, Any], intake: Intake) -> Link:
    trace_id, _ = read_id(_get(link, _TRACE), TRACE_DIGITS)
    span_id, _ = read_id(_get(link, _SPAN), SPAN_DIGITS)
    return Link(trace_id or "", span_id or "", keyed_attributes(link.get("attributes"), intake))


def _get(holder: dict[str, Any], keys: tuple[str, ...]) -> Any:
    return next((holder[key] for key in keys if key in holder), None)


def _has(holder: dict[str, Any], keys: tuple[str, ...]) -> bool:
    return any(key in holder for key in keys)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
