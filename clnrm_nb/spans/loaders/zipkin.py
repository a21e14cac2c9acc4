"""Zipkin v2 JSON: lists of spans whose values are all text, whose spans may come in pieces.

Client and server of one call may share one span id, and one span may be reported in several pieces. So rows
are read as they come and noted in the intake; :func:`settle` makes spans of them when all of them are there.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from clnrm_nb.spans.intake import status_of
from clnrm_nb.spans.loaders import tags as told_by
from clnrm_nb.spans.loaders.ids import SPAN_DIGITS, TRACE_DIGITS, kind_of, nanoseconds_of, read_id
from clnrm_nb.spans.loaders.values import NestingError, plain_value
from clnrm_nb.spans.model import KINDS, STATUS_CODES, Event, Span

if TYPE_CHECKING:
    from clnrm_nb.spans.intake import Intake
    from clnrm_nb.spans.model import Resource

__all__ = ["is_zipkin", "looks_zipkin", "read"]

_US: Final = 1_000
_ERROR: Final = 2
_PIPED: Final = re.compile(r"([^|]*)\|(\{.*\})\|[0-9]+\Z", re.DOTALL)
"""How the collector writes an event: its name, its attributes, how many of these were dropped."""


def is_zipkin(item: Any) -> bool:
    """Whether it is a span of Zipkin v2."""
    return (
        isinstance(item, dict)
        and "traceId" in item
        and "id" in item
        and ("localEndpoint" in item or not ("spanId" in item or "span_id" in item))
    )


def looks_zipkin(item: Any) -> bool:
    """Whether it was meant as one, or is one of version 1: no ids, or annotations with endpoints."""
    return (
        isinstance(item, dict)
        and not is_zipkin(item)
        and "localEndpoint" in item
        and ("id" in item or "traceId" in item)
    )


def read(item: dict[str, Any], intake: Intake) -> None:
    """Put one span, or a piece of one, into the intake."""
    if "binaryAnnotations" in item:
        intake.refuse("a span of Zipkin version 1; the query service gives version 2 under /api/v2")
        return
    trace_id, span_id = _id(item.get("traceId"), TRACE_DIGITS), _id(item.get("id"), SPAN_DIGITS)
    if trace_id is None or span_id is None:
        intake.refuse("no trace id" if trace_id is None else "no span id")
        return
    try:
        span = _span(item, trace_id, span_id, intake)
    except NestingError:
        intake.refuse("an attribute is nested too deeply")
        return
    intake.pieces[len(intake.table)] = item.get("shared") is True
    intake.table.append(span)


def _span(item: dict[str, Any], trace_id: str, span_id: str, intake: Intake) -> Span:
    values = intake.shared.values
    tags = _tags(item.get("tags"), intake)
    told = told_by.take(tags, intake)
    code, message = _status(tags, told)
    resource = _resource(item.get("localEndpoint"), told_by.owned_by_resource(tags), intake)
    _add_peer(item.get("remoteEndpoint"), tags)
    start_ns, duration_ns = (nanoseconds_of(item.get(key), _US) for key in ("timestamp", "duration"))
    name = item.get("name")
    name = name if isinstance(name, str) else ""
    return Span(
        trace_id=values.setdefault(trace_id, trace_id),
        span_id=span_id,
        name=values.setdefault(name, name),
        parent_span_id=_id(item.get("parentId"), SPAN_DIGITS),
        kind=KINDS[kind_of(item.get("kind")) or told.kind or 0],
        start_ns=start_ns,
        end_ns=None if start_ns is None or duration_ns is None else start_ns + duration_ns,
        status_code=STATUS_CODES[code],
        status_message=message,
        attributes=tags,
        events=tuple(
            _event(entry, intake) for entry in _list(item.get("annotations")) if isinstance(entry, dict)
        ),
        resource=resource,
        scope=intake.shared.scope(*told.scope),
    )


def _id(value: Any, digits: int) -> str | None:
    """Trace ids may have 64 bits."""
    found, _ = read_id(value, digits)
    if found is not None and len(found) < digits and all(char in "0123456789abcdef" for char in found):
        return found.rjust(digits, "0")
    return found


def _tags(tags: Any, intake: Intake) -> dict[str, Any]:
    if not isinstance(tags, dict):
        return {}
    values = intake.shared.values
    # Exporters write what they have none of as null; in the format it is no tag at all.
    return {
        values.setdefault(key, key): plain_value(value) for key, value in tags.items() if value is not None
    }


def _status(tags: dict[str, Any], told: told_by.Told) -> tuple[int, str]:
    """A tag ``error`` is an error, whatever it says, and what it says is the message."""
    code = told.status_code or status_of(tags)
    if "error" not in tags or tags["error"] == "false" or code not in (0, _ERROR):
        return code, told.status_message
    said = str(tags.pop("error"))
    return _ERROR, told.status_message or ("" if said == "true" else said)


def _resource(endpoint: Any, attributes: dict[str, Any], intake: Intake) -> Resource:
    endpoint = endpoint if isinstance(endpoint, dict) else {}
    service = endpoint.get("serviceName")
    if isinstance(service, str) and service:
        attributes.setdefault("service.name", service)
    addresses = [endpoint[key] for key in ("ipv4", "ipv6") if isinstance(endpoint.get(key), str)]
    if addresses:
        attributes.setdefault("host.ip", addresses)
    return intake.shared.resource(attributes)


def _add_peer(endpoint: Any, tags: dict[str, Any]) -> None:
    if not isinstance(endpoint, dict):
        return
    address = endpoint.get("ipv4", endpoint.get("ipv6"))
    for key, value in (
        ("peer.service", endpoint.get("serviceName")),
        ("net.peer.ip", address),
        ("net.peer.port", endpoint.get("port")),
    ):
        if value:
            tags.setdefault(key, plain_value(value))


def _event(annotation: dict[str, Any], intake: Intake) -> Event:
    at_ns = nanoseconds_of(annotation.get("timestamp"), _US)
    value = annotation.get("value")
    name, attributes = _named(value if isinstance(value, str) else "")
    return Event(intake.shared.values.setdefault(name, name), at_ns, attributes)


def _named(text: str) -> tuple[str, dict[str, Any]]:
    """Name and attributes of an event, in the ways exporters of OpenTelemetry write both into one text.

    ``{"name": {…}}`` (Python), ``"name": {…}`` (the specification, Java, Go), ``name|{…}|0`` (the collector).
    """
    if not text.endswith(("}", "|0")) and _PIPED.match(text) is None:
        return text, {}
    if piped := _PIPED.match(text):
        attributes = _parsed(piped[2])
        return (piped[1], attributes) if isinstance(attributes, dict) else (text, {})
    found = _parsed(text if text.startswith("{") else f"{{{text}}}")
    if isinstance(found, dict) and len(found) == 1:
        name, attributes = next(iter(found.items()))
        if isinstance(attributes, dict):
            return name, attributes
    return text, {}


def _parsed(text: str) -> Any:
    try:
        return plain_value(orjson.loads(text))
    except (orjson.JSONDecodeError, NestingError):
        return None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
