"""A table as OTLP/JSON, in one deterministic form: the artifact ``spans.json``, recordings, the state store.

Each resource and scope block stands once, sorted by content, one span a line in order of start and id;
attributes are sorted by key. The same rows in any order give the same bytes, and loading them gives the same
rows. To which scenario spans belong, and whether they are clnrm_nb's own, stands in an extra object ``clnrm``
beside the spans, which other readers ignore as OTLP/JSON asks them to.
"""

from __future__ import annotations

import math
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import orjson

from clnrm_nb.spans.content import canonical_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clnrm_nb.spans.table import SpanTable

__all__ = ["otlp_attributes", "write_otlp_json"]


def write_otlp_json(table: SpanTable) -> bytes:
    """All rows as one OTLP/JSON document.

    Parameters
    ----------
    table : SpanTable

    Returns
    -------
    bytes
        UTF-8, LF, final line break.
    """
    blocks: dict[str, dict[str, list[int]]] = {}
    resources: dict[int, str] = {}
    for row in range(len(table)):
        resource = table.resource[row]
        text = resources.get(id(resource))
        if text is None:
            text = resources[id(resource)] = _json({"attributes": otlp_attributes(resource.attributes)})
        blocks.setdefault(text, {}).setdefault(_scope_head(table, row), []).append(row)
    written = [
        f'{{"resource":{resource},"scopeSpans":[\n{_scope_blocks(table, scopes)}\n]}}'
        for resource, scopes in sorted(blocks.items())
    ]
    return ('{"resourceSpans":[' + ",\n".join(written) + "]}\n").encode()


def _scope_blocks(table: SpanTable, scopes: Mapping[str, list[int]]) -> str:
    return ",\n".join(
        f'{head},"spans":[\n{_span_lines(table, rows)}\n]}}' for head, rows in sorted(scopes.items())
    )


def _scope_head(table: SpanTable, row: int) -> str:
    """The block's object up to its spans, without the closing brace."""
    scope = table.scope[row]
    mark: dict[str, Any] = {}
    if table.own[row]:
        mark["own"] = True
    if table.scenario[row] is not None:
        mark["scenario"] = table.scenario[row]
    head: dict[str, Any] = {"clnrm": mark} if mark else {}
    head["scope"] = {"name": scope.name} | ({"version": scope.version} if scope.version else {})
    return _json(head)[:-1]


def _span_lines(table: SpanTable, rows: list[int]) -> str:
    ordered = sorted(
        rows, key=lambda row: (table.start_ns[row] or 0, table.trace_id[row], table.span_id[row])
    )
    return ",\n".join(_json(_span(table, row)) for row in ordered)


def _span(table: SpanTable, row: int) -> dict[str, Any]:
    span: dict[str, Any] = {"traceId": table.trace_id[row], "spanId": table.span_id[row]}
    if table.parent_span_id[row] is not None:
        span["parentSpanId"] = table.parent_span_id[row]
    span["name"] = table.name[row]
    span["kind"] = table.kind[row]
    for key, time_ns in (("startTimeUnixNano", table.start_ns[row]), ("endTimeUnixNano", table.end_ns[row])):
        if time_ns is not None:
            span[key] = str(time_ns)
    if table.attributes[row]:
        span["attributes"] = otlp_attributes(table.attributes[row])
    if table.events[row]:
        span["events"] = [
            ({} if event.time_ns is None else {"timeUnixNano": str(event.time_ns)})
            | {"name": event.name, "attributes": otlp_attributes(event.attributes)}
            for event in table.events[row]
        ]
    if table.links[row]:
        span["links"] = [
            {"traceId": link.trace_id, "spanId": link.span_id, "attributes": otlp_attributes(link.attributes)}
            for link in table.links[row]
        ]
    status: dict[str, Any] = {"code": table.status_code[row]} if table.status_code[row] else {}
    if table.status_message[row]:
        status["message"] = table.status_message[row]
    span["status"] = status
    return span


def otlp_attributes(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Attributes as OTLP/JSON has them: key and AnyValue, sorted by key."""
    return [{"key": key, "value": _any_value(attributes[key])} for key in sorted(attributes)]


def _any_value(value: Any) -> dict[str, Any]:
    """Wrap a value, without recursion."""
    top: list[Any] = [None]
    todo: list[tuple[Any, Any, Any]] = [(top, 0, value)]
    while todo:
        target, place, found = todo.pop()
        if isinstance(found, dict):
            pairs = [{"key": str(key), "value": None} for key in sorted(found, key=str)]
            made: dict[str, Any] = {"kvlistValue": {"values": pairs}}
            todo.extend(
                (pair, "value", found[key]) for pair, key in zip(pairs, sorted(found, key=str), strict=True)
            )
        elif isinstance(found, list | tuple):
            items: list[Any] = [None] * len(found)
            made = {"arrayValue": {"values": items}}
            todo.extend((items, index, inner) for index, inner in enumerate(found))
        else:
            made = _scalar(found)
        target[place] = made
    wrapped: dict[str, Any] = top[0]
    return wrapped


def _scalar(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value if math.isfinite(value) else orjson.loads(canonical_json(value))}
    if isinstance(value, bytes | bytearray):
        return {"bytesValue": b64encode(value).decode()}
    return {"stringValue": str(value)}


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
