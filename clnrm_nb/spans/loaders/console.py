"""What the console exporter of the Python SDK prints: ``context`` with ``0x`` ids, ISO times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clnrm_nb.spans.intake import status_of
from clnrm_nb.spans.loaders.ids import (
    SPAN_DIGITS,
    TRACE_DIGITS,
    kind_of,
    read_id,
    status_code_of,
)
from clnrm_nb.spans.loaders.instants import iso_time
from clnrm_nb.spans.loaders.values import NestingError, plain_value
from clnrm_nb.spans.model import KINDS, STATUS_CODES, Event, Link, Span

if TYPE_CHECKING:
    from clnrm_nb.spans.intake import Intake

__all__ = ["is_console", "read"]


def is_console(item: Any) -> bool:
    """Whether it is one span as the SDK prints it."""
    return (
        isinstance(item, dict)
        and isinstance(item.get("context"), dict)
        and "trace_id" in item["context"]
        and "span_id" in item["context"]
        and "name" in item
    )


def read(item: dict[str, Any], intake: Intake) -> None:
    """Put one printed span into the intake."""
    context = item["context"]
    trace_id, _ = read_id(context["trace_id"], TRACE_DIGITS)
    span_id, _ = read_id(context["span_id"], SPAN_DIGITS)
    if trace_id is None or span_id is None:
        intake.refuse("no trace id" if trace_id is None else "no span id")
        return
    try:
        intake.table.append(_span(item, trace_id, span_id, intake))
    except NestingError:
        intake.refuse("an attribute is nested too deeply")


def _span(item: dict[str, Any], trace_id: str, span_id: str, intake: Intake) -> Span:
    parent, _ = read_id(item.get("parent_id"), SPAN_DIGITS)
    attributes = _attributes(item.get("attributes"), intake)
    status = item.get("status")
    status = status if isinstance(status, dict) else {}
    resource = item.get("resource")
    resource = resource if isinstance(resource, dict) else {}
    message = status.get("description")
    return Span(
        trace_id=trace_id,
        span_id=span_id,
        name=item["name"] if isinstance(item["name"], str) else "",
        parent_span_id=parent,
        kind=KINDS[kind_of(item.get("kind"))],
        start_ns=iso_time(item.get("start_time")),
        end_ns=iso_time(item.get("end_time")),
        status_code=STATUS_CODES[status_code_of(status.get("status_code")) or status_of(attributes)],
        status_message=message if isinstance(message, str) else "",
        attributes=attributes,
        events=tuple(
            Event(
                event["name"] if isinstance(event.get("name"), str) else "",
                iso_time(event.get("timestamp")),
                _attributes(event.get("attributes"), intake),
            )
            for event in _objects(item.get("events"))
        ),
        links=tuple(_link(link, intake) for link in _objects(item.get("links"))),
        resource=intake.shared.resource(_attributes(resource.get("attributes"), intake)),
        scope=intake.shared.scope("", ""),
    )


def _link(link: dict[str, Any], intake: Intake) -> Link:
    context = link.get("context")
    context = context if isinstance(context, dict) else {}
    trace_id, _ = read_id(context.get("trace_id"), TRACE_DIGITS)
    span_id, _ = read_id(context.get("span_id"), SPAN_DIGITS)
    return Link(trace_id or "", span_id or "", _attributes(link.get("attributes"), intake))


def _attributes(table: Any, intake: Intake) -> dict[str, Any]:
    """Values are plain here: a table that looks like an AnyValue is a table."""
    if not isinstance(table, dict):
        return {}
    values = intake.shared.values
    return {values.setdefault(key, key): plain_value(value) for key, value in table.items()}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
