"""A canonical form as a table of spans, so that everything that reads tables can read baselines.

The canonical form has no ids: rows get numbers as ids, in pre-order. Links keep the position they point at.
Digest and canonical form of the table are those of the document it came from.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.spans.canonical import BY_POSITION
from clnrm_nb.spans.content import canonical_json
from clnrm_nb.spans.model import Event, Link, Resource, Scope, Span
from clnrm_nb.spans.table import SpanTable

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["table_of"]

_TRACE: Final = f"{1:032x}"


def table_of(document: Mapping[str, Any]) -> SpanTable:
    """The spans of a canonical form, in pre-order.

    Parameters
    ----------
    document : mapping
        As :func:`clnrm_nb.spans.canonical.canonical` makes it.
    """
    table = SpanTable()
    resources: dict[str, Resource] = {}
    todo: list[tuple[dict[str, Any], str | None]] = [
        (node, None) for node in reversed(document.get("traces", ()))
    ]
    while todo:
        node, parent = todo.pop()
        key = canonical_json(node["resource"])
        if key not in resources:
            resources[key] = Resource(_values(node["resource"]))
        span_id = f"{len(table) + 1:016x}"
        table.append(_span(node, span_id, parent, resources[key]))
        todo.extend((child, span_id) for child in reversed(node["children"]))
    return table


def _span(node: Mapping[str, Any], span_id: str, parent: str | None, resource: Resource) -> Span:
    return Span(
        trace_id=_TRACE,
        span_id=span_id,
        name=node["name"],
        parent_span_id=parent,
        kind=node["kind"],
        status_code=node["status"]["code"],
        status_message=node["status"]["message"],
        attributes=_values(node["attributes"]),
        events=tuple(Event(event["name"], None, _values(event["attributes"])) for event in node["events"]),
        links=tuple(Link(BY_POSITION, link["target"], _values(link["attributes"])) for link in node["links"]),
        resource=resource,
        scope=Scope(node["scope"]),
    )


def _values(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes with their bytes as bytes again."""
    return {
        key: _value(value) if isinstance(value, dict | list) else value for key, value in attributes.items()
    }


def _value(value: Any) -> Any:
    top: list[Any] = [None]
    todo: list[tuple[Any, Any, Any]] = [(top, 0, value)]
    while todo:
        target, place, found = todo.pop()
        if isinstance(found, dict):
            raw = _bytes(found)
            made: Any = dict.fromkeys(found) if raw is None else raw
            if raw is None:
                todo.extend((made, key, inner) for key, inner in found.items())
        elif isinstance(found, list):
            made = [None] * len(found)
            todo.extend((made, index, inner) for index, inner in enumerate(found))
        else:
            made = found
        target[place] = made
    return top[0]


def _bytes(found: dict[str, Any]) -> bytes | None:
    text = found.get("bytesValue")
    if len(found) != 1 or not isinstance(text, str):
        return None
    try:
        raw = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if b64encode(raw).decode() == text else None
