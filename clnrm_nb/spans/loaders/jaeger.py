"""Jaeger JSON: answers of its query service, bare traces, and traces as its user interface has them.

Which reference is the parent is decided as Jaeger's own model decides it: the first ``CHILD_OF`` into the
same trace, else the first ``FOLLOWS_FROM`` into it. All other references are links.
"""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.spans.intake import SHARED_LENGTH, SHARED_LIMIT, status_of
from clnrm_nb.spans.loaders import tags as told_by
from clnrm_nb.spans.loaders.ids import SPAN_DIGITS, TRACE_DIGITS, nanoseconds_of, read_id
from clnrm_nb.spans.loaders.values import NestingError, plain_value
from clnrm_nb.spans.model import KINDS, STATUS_CODES, Event, Link, Resource, Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from clnrm_nb.spans.intake import Intake

__all__ = ["Trace", "is_jaeger", "traces", "why_nothing"]

_US: Final = 1_000
_ERROR: Final = 2
_FLOATS: Final = ("float64", "FLOAT64")
_AS_THEY_ARE: Final = {(str, "string"), (int, "int64"), (bool, "bool"), (float, "float64")}
_FROM_TEXT: Final[dict[str, Callable[[str], Any]]] = {
    "int64": int,
    "INT64": int,
    "float64": float,
    "FLOAT64": float,
    "bool": lambda text: {"true": True, "false": False}.get(text, text),
    "binary": lambda text: b64decode(text, validate=True),
}
"""By type of the tag, for values written as text."""


def is_jaeger(document: Any) -> bool:
    """Whether it is a trace of Jaeger, or an answer with such traces, be it an empty one."""
    return isinstance(document, dict) and (
        _is_trace(document) or (_is_answer(document) and all(map(_is_trace, _listed(document["data"]))))
    )


def _is_trace(item: Any) -> bool:
    return (
        isinstance(item, dict)
        and isinstance(item.get("spans"), list)
        and ("processes" in item or "traceID" in item)
    )


def _is_answer(document: dict[str, Any]) -> bool:
    """The envelope of the query service; without a trace it needs its other fields to be known."""
    if "data" not in document:
        return False
    return bool(_listed(document["data"])) or {"total", "limit", "offset", "errors"} <= document.keys()


def _listed(data: Any) -> list[Any]:
    return data if isinstance(data, list) else [] if data is None else [data]


def traces(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The traces of a document that :func:`is_jaeger`."""
    return [document] if _is_trace(document) else _listed(document["data"])


def why_nothing(document: dict[str, Any]) -> str | None:
    """What the answer itself says about being empty."""
    errors = document.get("errors")
    texts = [
        str(error.get("msg", error)) if isinstance(error, dict) else str(error) for error in _listed(errors)
    ]
    return f"Jaeger answered: {'; '.join(texts)}" if texts else None


class Trace:
    """One trace whose spans come in one or more batches.

    Parameters
    ----------
    trace : dict
        As parsed; its ``spans`` are not looked at.
    intake : Intake
    """

    __slots__ = ("_intake", "_resources", "_trace_id")

    def __init__(self, trace: dict[str, Any], intake: Intake) -> None:
        self._intake = intake
        self._trace_id = trace.get("traceID")
        processes = trace.get("processes")
        self._resources: dict[str, Resource] = {}
        for name, process in (processes if isinstance(processes, dict) else {}).items():
            try:
                self._resources[name] = _resource(process, intake)
            except NestingError:
                intake.refuse("a process tag is nested too deeply")

    def read(self, spans: list[Any]) -> None:
        """Put spans into the intake."""
        intake = self._intake
        for span in spans:
            if not isinstance(span, dict):
                intake.refuse("not an object")
                continue
            try:
                self._read(span)
            except NestingError:
                intake.refuse("an attribute is nested too deeply")

    def _read(self, item: dict[str, Any]) -> None:
        intake = self._intake
        trace_id = _id(item.get("traceID", self._trace_id), TRACE_DIGITS)
        span_id = _id(item.get("spanID"), SPAN_DIGITS)
        if trace_id is None or span_id is None:
            intake.refuse("no trace id" if trace_id is None else "no span id")
            return
        parent, links = _references(item, trace_id)
        attributes = _tags(item.get("tags"), intake)
        told = told_by.take(attributes, intake)
        code = told.status_code or status_of(attributes)
        if attributes.get("error") is True:
            del attributes["error"]
            code = _ERROR
        start_ns, duration_ns = nanoseconds_of(item.get("startTime"), _US), _duration_ns(item.get("duration"))
        intake.table.append(
            Span(
                trace_id=intake.shared.values.setdefault(trace_id, trace_id),
                span_id=span_id,
                name=_text(item.get("operationName"), intake),
                parent_span_id=parent,
                kind=KINDS[told.kind or 0],
                start_ns=start_ns,
                end_ns=None if start_ns is None or duration_ns is None else start_ns + duration_ns,
                status_code=STATUS_CODES[code],
                status_message=told.status_message,
                attributes=attributes,
                events=tuple(_event(log, intake) for log in _objects(item.get("logs"))),
                links=links,
                resource=self._resource_of(item),
                scope=intake.shared.scope(*told.scope),
            )
        )

    def _resource_of(self, item: dict[str, Any]) -> Resource:
        known = self._resources.get(str(item.get("processID")))
        if known is not None:
            return known
        return _resource(item.get("process"), self._intake)


def _resource(process: Any, intake: Intake) -> Resource:
    if not isinstance(process, dict):
        return intake.shared.resource({})
    attributes = _tags(process.get("tags"), intake)
    service = process.get("serviceName")
    if isinstance(service, str) and service:
        attributes["service.name"] = service
    return intake.shared.resource(attributes)


def _id(value: Any, digits: int) -> str | None:
    """Jaeger writes ids without their leading zeros."""
    found, _ = read_id(value, digits)
    if found is not None and len(found) < digits and all(char in "0123456789abcdef" for char in found):
        return found.rjust(digits, "0")
    return found


def _references(item: dict[str, Any], trace_id: str) -> tuple[str | None, tuple[Link, ...]]:
    """Span id of the parent, and the links."""
    found = [
        (str(reference.get("refType")), trace, span)
        for reference in _objects(item.get("references"))
        if (span := _id(reference.get("spanID"), SPAN_DIGITS)) is not None
        and (trace := _id(reference.get("traceID", trace_id), TRACE_DIGITS)) is not None
    ]
    if not found:
        return _id(item.get("parentSpanID"), SPAN_DIGITS), ()
    inside = [reference for reference in found if reference[1] == trace_id]
    above = next((reference for reference in inside if reference[0] == "CHILD_OF"), None) or (
        inside[0] if inside else None
    )
    links = [
        Link(trace, span, {"opentracing.ref_type": "child_of"} if kind == "CHILD_OF" else {})
        for kind, trace, span in found
        if (kind, trace, span) != above
    ]
    return above[2] if above else None, tuple(links)


def _tags(tags: Any, intake: Intake) -> dict[str, Any]:
    if not tags:
        return {}
    if isinstance(tags, dict):  # As some stores keep them.
        return told_by.collected(((key, plain_value(value)) for key, value in tags.items()), intake)
    table: dict[str, Any] = {}
    known = intake.shared.values
    for tag in _objects(tags):
        key, value, kind = str(tag.get("key", "")), tag.get("value"), str(tag.get("type"))
        if (type(value), kind) not in _AS_THEY_ARE:
            value = _value(value, kind)
        elif type(value) is str and len(value) <= SHARED_LENGTH and len(known) < SHARED_LIMIT:
            value = known.setdefault(value, value)
        if key in table and table[key] != value:
            intake.repeated_keys += 1
        table[known.setdefault(key, key)] = value
    return table


def _value(value: Any, kind: str) -> Any:
    """The value of a tag, of the type it says it has; where it has not, it stays what it is."""
    if kind in _FLOATS and type(value) is int:
        return float(value)
    convert = _FROM_TEXT.get(kind)
    if convert is None or not isinstance(value, str):
        return plain_value(value)
    try:
        return convert(value)
    except ValueError:
        return value


def _event(log: dict[str, Any], intake: Intake) -> Event:
    fields = _tags(log.get("fields"), intake)
    name = fields.pop("event") if isinstance(fields.get("event"), str) else ""
    at_ns = nanoseconds_of(log.get("timestamp"), _US)
    return Event(intake.shared.values.setdefault(name, name), at_ns, fields)


def _duration_ns(value: Any) -> int | None:
    """A negative one is kept, for it says that the clock went back."""
    if type(value) is int and value < 0:
        return value * _US
    return nanoseconds_of(value, _US)


def _text(value: Any, intake: Intake) -> str:
    text = value if isinstance(value, str) else str(value) if isinstance(value, int | float) else ""
    return intake.shared.values.setdefault(text, text)


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    return (entry for entry in value if isinstance(entry, dict)) if isinstance(value, list) else iter(())
