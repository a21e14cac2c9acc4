"""OTLP/JSON documents into columns, in every dialect that is about.

camelCase and snake_case, hex, base64 and byte-array ids, numbers and decimal strings, enum numbers and
words, ``instrumentationLibrarySpans`` of before 0.19. Unknown fields are ignored, as the specification asks.
The extra object ``clnrm`` beside the spans of a scope is ours (see :mod:`clnrm_nb.spans.loaders.write`): it
says to which scenario they belong and whether they are clnrm_nb's own, and is believed only where the caller
says so, never from the wire.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from clnrm_nb.spans.intake import MAX_BLOCKS, status_of
from clnrm_nb.spans.loaders.ids import (
    SPAN_DIGITS,
    TRACE_DIGITS,
    is_hex_id,
    kind_of,
    read_id,
    status_code_of,
    time_of,
)
from clnrm_nb.spans.loaders.values import NestingError, keyed_attributes
from clnrm_nb.spans.model import Event, Link

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clnrm_nb.spans.intake import Intake
    from clnrm_nb.spans.model import Resource, Scope

__all__ = ["count_blocks", "is_otlp", "other_signal", "read", "read_spans", "read_steps", "scope_blocks"]

_STEP: Final = 256
"""Spans read before the event loop gets a turn: some 10 ms."""

_SIGNALS: Final = {
    "resourceMetrics": "metrics",
    "resource_metrics": "metrics",
    "resourceLogs": "logs",
    "resource_logs": "logs",
    "resourceProfiles": "profiles",
    "resource_profiles": "profiles",
}


def is_otlp(document: Any) -> bool:
    """Whether it is an OTLP trace document."""
    return isinstance(document, dict) and ("resourceSpans" in document or "resource_spans" in document)


def other_signal(document: Any) -> str | None:
    """``metrics``, ``logs`` or ``profiles``, if it is an OTLP document of those."""
    if not isinstance(document, dict):
        return None
    return next((signal for key, signal in _SIGNALS.items() if key in document), None)


def read(document: dict[str, Any], intake: Intake, *, strict_ids: bool = False, ours: bool = False) -> None:
    """Put all spans of a document into the intake; see :func:`read_steps`."""
    for _ in read_steps(document, intake, strict_ids=strict_ids, ours=ours):
        pass


def read_steps(
    document: dict[str, Any], intake: Intake, *, strict_ids: bool = False, ours: bool = False
) -> Iterator[None]:
    """Read all spans, pausing now and then; rows count as whole at each pause.

    Parameters
    ----------
    document : dict
        As parsed.
    intake : Intake
        What is filled.
    strict_ids : bool
        Refuse ids that are not 16 and 8 bytes, as a receiver has to; else they stay as opaque text.
    ours : bool
        Believe the extra object ``clnrm``.
    """
    left = _STEP
    for resource, scope, block in scope_blocks(document, intake):
        spans = _list(block, "spans")
        for first in range(0, len(spans), _STEP):
            part = spans[first : first + _STEP]
            mark = block.get("clnrm") if ours else None
            read_spans(part, intake, resource, scope, mark=mark, strict_ids=strict_ids)
            left -= len(part)
            if left <= 0:
                left = _STEP
                yield


def count_blocks(document: dict[str, Any]) -> int:
    """How many resources and scopes a document has."""
    resources = _list(document, "resourceSpans", "resource_spans")
    if len(resources) > MAX_BLOCKS:
        return len(resources)
    return len(resources) + sum(
        len(_scope_blocks(block)) if isinstance(block, dict) else 0 for block in resources
    )


def scope_blocks(
    document: dict[str, Any], intake: Intake
) -> Iterator[tuple[Resource, Scope, dict[str, Any]]]:
    """Every object that holds ``spans``, with the resource and the scope of its spans."""
    intake.shared.trim()
    for resource_spans in _objects(document, "resourceSpans", "resource_spans"):
        try:
            resource = _resource(resource_spans, intake)
        except NestingError:
            intake.refuse("a resource attribute is nested too deeply")
            continue
        for scope_spans in _scope_blocks(resource_spans):
            yield resource, _scope(scope_spans, intake), scope_spans


def read_spans(
    spans: list[Any],
    intake: Intake,
    resource: Resource,
    scope: Scope,
    *,
    mark: Any = None,
    strict_ids: bool = False,
) -> None:
    """Put the spans of one scope into the intake; `mark` is the believed object ``clnrm``, if any."""
    table = intake.table
    before = len(table.span_id)
    spellings: dict[tuple[str, ...], _Spelling] = {}
    for span in spans:
        if not isinstance(span, dict):
            intake.refuse("not an object")
            continue
        keys = tuple(span)
        spelling = spellings.get(keys)
        if spelling is None:
            spelling = spellings[keys] = _Spelling.of(span)
        try:
            _read_span(span, spelling, intake, strict_ids=strict_ids)
        except NestingError:
            intake.refuse("an attribute is nested too deeply")
    taken = len(table.span_id) - before
    mark = mark if isinstance(mark, dict) else {}
    scenario = mark.get("scenario")
    table.resource.extend([resource] * taken)
    table.scope.extend([scope] * taken)
    table.own.extend([mark.get("own") is True] * taken)
    table.scenario.extend([scenario if isinstance(scenario, str) else None] * taken)
    table.seal()


class _Spelling(NamedTuple):
    """Which of two keys a span has for each field that has two; spans of one program have the same keys."""

    trace_id: str
    span_id: str
    parent: str
    start: str
    end: str
    is_lossy: bool

    @classmethod
    def of(cls, span: dict[str, Any]) -> _Spelling:
        return cls(
            _key(span, "traceId", "trace_id"),
            _key(span, "spanId", "span_id"),
            _key(span, "parentSpanId", "parent_span_id"),
            _key(span, "startTimeUnixNano", "start_time_unix_nano"),
            _key(span, "endTimeUnixNano", "end_time_unix_nano"),
            any(key in span for key in _DROPPED),
        )


def _key(span: dict[str, Any], camel: str, snake: str) -> str:
    return camel if camel in span else snake


_DROPPED: Final = tuple(
    key
    for what in ("Attributes", "Events", "Links")
    for key in (f"dropped{what}Count", f"dropped_{what.lower()}_count")
)


def _read_span(span: dict[str, Any], spelling: _Spelling, intake: Intake, *, strict_ids: bool) -> None:
    get = span.get
    trace_id, trace_restored = read_id(get(spelling.trace_id), TRACE_DIGITS)
    span_id, span_restored = read_id(get(spelling.span_id), SPAN_DIGITS)
    parent, _ = read_id(get(spelling.parent), SPAN_DIGITS)
    if trace_id is None or (strict_ids and not is_hex_id(trace_id, TRACE_DIGITS)):
        return intake.refuse("no valid trace id" if strict_ids else "no trace id")
    if span_id is None or (strict_ids and not is_hex_id(span_id, SPAN_DIGITS)):
        return intake.refuse("no valid span id" if strict_ids else "no span id")
    if strict_ids and parent is not None and not is_hex_id(parent, SPAN_DIGITS):
        return intake.refuse("parent id of a wrong length")
    intake.restored_ids += trace_restored or span_restored
    attributes = keyed_attributes(get("attributes"), intake)
    events = tuple([_event(event, intake) for event in _objects(span, "events")]) if "events" in span else ()
    links = tuple([_link(link, intake) for link in _objects(span, "links")]) if "links" in span else ()
    status = get("status")
    message = ""
    if isinstance(status, dict):
        message = _text(status["message"]) if "message" in status else ""
        status = status.get("code")
    code = status_code_of(status) if status else 0
    table, values = intake.table, intake.shared.values
    name = _text(get("name"))
    # Nothing above may fail once the first column has grown.
    table.trace_id.append(values.setdefault(trace_id, trace_id))
    table.span_id.append(span_id)
    table.parent_span_id.append(parent)
    table.name.append(values.setdefault(name, name))
    table.kind.append(kind_of(get("kind")))
    table.start_ns.append(time_of(get(spelling.start)))
    table.end_ns.append(time_of(get(spelling.end)))
    table.status_code.append(code or status_of(attributes))
    table.status_message.append(message)
    table.attributes.append(attributes)
    table.events.append(events)
    table.links.append(links)
    if spelling.is_lossy:
        intake.dropped += sum(_dropped(span, what) for what in ("Attributes", "Events", "Links"))
    return None


def _resource(block: dict[str, Any], intake: Intake) -> Resource:
    resource = block.get("resource")
    resource = resource if isinstance(resource, dict) else {}
    intake.dropped += _dropped(resource, "Attributes")
    return intake.shared.resource(keyed_attributes(resource.get("attributes"), intake))


def _scope(block: dict[str, Any], intake: Intake) -> Scope:
    scope = _get(block, "scope", "instrumentationLibrary", "instrumentation_library")
    scope = scope if isinstance(scope, dict) else {}
    schema_url = _text(_get(block, "schemaUrl", "schema_url"))
    return intake.shared.scope(_text(scope.get("name")), _text(scope.get("version")), schema_url)


def _scope_blocks(block: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        found
        for keys in (
            ("scopeSpans", "scope_spans"),
            ("instrumentationLibrarySpans", "instrumentation_library_spans"),
        )
        for found in _objects(block, *keys)
    ]


def _event(event: dict[str, Any], intake: Intake) -> Event:
    name = _text(event.get("name"))
    intake.dropped += _dropped(event, "Attributes")
    return Event(
        intake.shared.values.setdefault(name, name),
        time_of(_get(event, "timeUnixNano", "time_unix_nano")),
        keyed_attributes(event.get("attributes"), intake),
    )


def _link(link: dict[str, Any], intake: Intake) -> Link:
    trace_id, _ = read_id(_get(link, "traceId", "trace_id"), TRACE_DIGITS)
    span_id, _ = read_id(_get(link, "spanId", "span_id"), SPAN_DIGITS)
    intake.dropped += _dropped(link, "Attributes")
    return Link(trace_id or "", span_id or "", keyed_attributes(link.get("attributes"), intake))


def _dropped(holder: dict[str, Any], what: str) -> int:
    count = _get(holder, f"dropped{what}Count", f"dropped_{what.lower()}_count")
    return count if type(count) is int and count > 0 else 0


def _get(holder: dict[str, Any], *keys: str) -> Any:
    return next((holder[key] for key in keys if key in holder), None)


def _list(holder: dict[str, Any], *keys: str) -> list[Any]:
    found = _get(holder, *keys)
    return found if isinstance(found, list) else []


def _objects(holder: dict[str, Any], *keys: str) -> list[dict[str, Any]]:
    return [item for item in _list(holder, *keys) if isinstance(item, dict)]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) else ""
