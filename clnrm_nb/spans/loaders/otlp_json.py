"""OTLP/JSON documents into columns, in every dialect that is about.

camelCase and snake_case, hex, base64 and byte-array ids, numbers and decimal strings, enum numbers and
words, ``instrumentationLibrarySpans`` of before 0.19. Unknown fields are ignored, as the specification asks.
The extra object ``clnrm`` beside the spans of a scope is ours (see :mod:`clnrm_nb.spans.loaders.write`): it
says to which scenario they belong and whether they are clnrm_nb's own, and is believed only where the caller
says so, never from the wire.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.spans.intake import MAX_BLOCKS, status_of
from clnrm_nb.spans.loaders.ids import (
    SPAN_DIGITS,
    TRACE_DIGITS,
    is_hex_id,
    kind_of,
    read_id,
    read_ids,
    status_code_of,
    time_of,
)
from clnrm_nb.spans.loaders.values import NestingError, keyed_attributes
from clnrm_nb.spans.model import Event, Link

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
    for first in range(0, len(spans), _STEP):
        _take(spans[first : first + _STEP], intake, strict_ids=strict_ids)
    taken = len(table.span_id) - before
    mark = mark if isinstance(mark, dict) else {}
    scenario = mark.get("scenario")
    table.resource.extend([resource] * taken)
    table.scope.extend([scope] * taken)
    table.own.extend([mark.get("own") is True] * taken)
    table.scenario.extend([scenario if isinstance(scenario, str) else None] * taken)
    table.seal()


class _RefusedError(ValueError):
    """Something in these spans is not taken; why."""


def _take(spans: list[Any], intake: Intake, *, strict_ids: bool) -> None:
    """All at once; where something in them is refused, each by itself."""
    counts = intake.dropped, intake.repeated_keys
    try:
        _fill(spans, intake, strict_ids=strict_ids)
    except _RefusedError as error:
        intake.dropped, intake.repeated_keys = counts
        if len(spans) == 1:
            intake.refuse(str(error))
            return
        for span in spans:
            _take([span], intake, strict_ids=strict_ids)


def _fill(spans: list[Any], intake: Intake, *, strict_ids: bool) -> None:
    """Fill the columns that differ from span to span, each as a whole.

    Raises
    ------
    _RefusedError
        At the first span that is not taken; no column has grown then.
    """
    if set(map(type, spans)) != {dict}:
        raise _RefusedError("not an object")
    keys = set().union(*spans)
    found, trace_restored = read_ids(_column(spans, keys, "traceId", "trace_id"), TRACE_DIGITS)
    trace_ids = _checked(found, TRACE_DIGITS, "trace id", strict=strict_ids)
    found, span_restored = read_ids(_column(spans, keys, "spanId", "span_id"), SPAN_DIGITS)
    span_ids = _checked(found, SPAN_DIGITS, "span id", strict=strict_ids)
    parents, _ = read_ids(_column(spans, keys, "parentSpanId", "parent_span_id"), SPAN_DIGITS)
    if strict_ids and not all(parent is None or is_hex_id(parent, SPAN_DIGITS) for parent in parents):
        raise _RefusedError("parent id of a wrong length")
    try:
        attributes = [keyed_attributes(pairs, intake) for pairs in _column(spans, keys, "attributes")]
        events = _made(_event, spans, keys, "events", intake)
        links = _made(_link, spans, keys, "links", intake)
    except NestingError:
        raise _RefusedError("an attribute is nested too deeply") from None
    statuses = [
        _status(status, written)
        for status, written in zip(_column(spans, keys, "status"), attributes, strict=True)
    ]
    names = [_text(name) for name in _column(spans, keys, "name")]
    # Nothing above may fail once the first column has grown.
    table, share = intake.table, intake.shared.values.setdefault
    table.trace_id.extend(map(share, trace_ids, trace_ids))
    table.span_id.extend(span_ids)
    table.parent_span_id.extend(parents)
    table.name.extend(map(share, names, names))
    table.kind.extend(map(kind_of, _column(spans, keys, "kind")))
    table.start_ns.extend(map(time_of, _column(spans, keys, "startTimeUnixNano", "start_time_unix_nano")))
    table.end_ns.extend(map(time_of, _column(spans, keys, "endTimeUnixNano", "end_time_unix_nano")))
    table.status_code.extend([code for code, _ in statuses])
    table.status_message.extend([message for _, message in statuses])
    table.attributes.extend(attributes)
    table.events.extend(events)
    table.links.extend(links)
    intake.restored_ids += len(trace_restored | span_restored)
    if not keys.isdisjoint(_DROPPED):
        intake.dropped += sum(_dropped(span, what) for span in spans for what in _DROPPING)


def _column(spans: list[dict[str, Any]], keys: set[str], camel: str, snake: str = "") -> list[Any]:
    """The values of a field, which has one of two names or, in a mixture of dialects, both."""
    if snake not in keys:
        return [span.get(camel) for span in spans]
    return [span.get(camel, span.get(snake)) for span in spans]


def _made(
    make: Callable[[dict[str, Any], Intake], Any],
    spans: list[dict[str, Any]],
    keys: set[str],
    key: str,
    intake: Intake,
) -> list[tuple[Any, ...]]:
    """Events or links, which most spans have none of."""
    if key not in keys:
        return [()] * len(spans)
    return [
        tuple([make(one, intake) for one in _objects(span, key)]) if key in span else () for span in spans
    ]


def _checked(found: list[str | None], digits: int, what: str, *, strict: bool) -> list[str]:
    """The ids of spans, all of which have one."""
    ids = [one for one in found if one is not None]
    if strict and not all(is_hex_id(one, digits) for one in ids):
        raise _RefusedError(f"no valid {what}")
    if len(ids) < len(found):
        raise _RefusedError(f"no valid {what}" if strict else f"no {what}")
    return ids


def _status(status: Any, attributes: dict[str, Any]) -> tuple[int, str]:
    """Code and message. Most spans have none, or one that says nothing."""
    if not status:
        return status_of(attributes), ""
    message = ""
    if isinstance(status, dict):
        message = _text(status.get("message"))
        status = status.get("code")
    return status_code_of(status) or status_of(attributes), message


_DROPPING: Final = ("Attributes", "Events", "Links")
_DROPPED: Final = frozenset(
    key for what in _DROPPING for key in (f"dropped{what}Count", f"dropped_{what.lower()}_count")
)


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
    for key in keys:
        if key in holder:
            return holder[key]
    return None


def _list(holder: dict[str, Any], *keys: str) -> list[Any]:
    found = _get(holder, *keys)
    return found if isinstance(found, list) else []


def _objects(holder: dict[str, Any], *keys: str) -> list[dict[str, Any]]:
    return [item for item in _list(holder, *keys) if isinstance(item, dict)]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) else ""
