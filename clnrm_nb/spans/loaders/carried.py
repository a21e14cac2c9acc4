"""What a form cannot say, so that two traces of different forms are compared in what both can.

A diff of a Zipkin file with an OTLP file would else show every number as a change of type. What one side's
form cannot tell apart counts as equal on both, and the result says so (``diff.md`` 2.1).
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from clnrm_nb.spans.content import canonical_json
from clnrm_nb.spans.loaders.tags import owned_by_resource
from clnrm_nb.spans.model import KINDS, Resource, Scope
from clnrm_nb.spans.table import SpanTable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clnrm_nb.spans.loaders.report import LoadReport

__all__ = ["LACKS", "comparable", "doubts", "lacks_of"]

LACKS: Final[dict[str, frozenset[str]]] = {
    "console": frozenset({"scope"}),
    "jaeger": frozenset({"nested", "link attributes"}),
    "signoz": frozenset({"types", "scope"}),
    "zipkin": frozenset({"types", "internal", "case", "links", "owner"}),
    "csv": frozenset({"types", "events", "links"}),
}
"""By form. What depends on the file is found out in :func:`lacks_of`."""

_SENTENCES: Final = {
    "types": "values are compared as text",
    "nested": "arrays and tables are compared as text",
    "internal": "the kinds internal and unspecified count as equal",
    "case": "names are compared without their case",
    "scope": "scopes are not compared",
    "kind": "kinds are not compared",
    "status": "statuses are not compared",
    "attributes": "attributes are not compared",
    "owner": "an attribute of the resource counts as one of the span",
    "resource": "of resources only the service is compared",
    "events": "events are not compared",
    "event attributes": "attributes of events are not compared",
    "links": "links are not compared",
    "link attributes": "attributes of links are not compared",
}

_WAYS_OF_WRITING: Final = frozenset({"types", "nested"})
_INTERNAL: Final = KINDS.index("internal")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?\Z")
_LONGEST_NUMBER: Final = 40
_NO_SCOPE: Final = Scope()


def lacks_of(forms: Iterable[str], table: SpanTable, columns: Iterable[str] = ()) -> frozenset[str]:
    """What the spans of these forms cannot say.

    Parameters
    ----------
    forms : iterable of str
    table : SpanTable
        The spans; what exporters may leave out counts as lacking where no span has it.
    columns : iterable of str
        Of a CSV file: the parts of a span its columns carry.
    """
    lacks = set().union(*(LACKS.get(form, frozenset()) for form in forms))
    if "csv" in forms:
        lacks |= {"kind", "status", "scope", "attributes", "resource"} - set(columns)
    if ("zipkin" in forms or "flat" in forms) and not any(scope.name for scope in table.scope):
        lacks.add("scope")
    if "flat" in forms and not any(table.kind):
        lacks.add("kind")
    if "zipkin" in forms and not any(event.attributes for events in table.events for event in events):
        lacks.add("event attributes")
    if "case" in lacks and any(name != name.lower() for name in table.name):
        lacks.discard("case")
    return frozenset(lacks)


def comparable(
    before: SpanTable, of_before: LoadReport, after: SpanTable, of_after: LoadReport
) -> tuple[SpanTable, SpanTable, tuple[str, ...]]:
    """Both tables without what only one of their forms can say, and a sentence for each such thing.

    Tables of equal forms are given back as they are.
    """
    one, other = of_before.lacks, of_after.lacks
    lacking = one ^ other
    if of_before.format != of_after.format:
        # Each writes such values in its own way.
        lacking |= (one | other) & _WAYS_OF_WRITING
    if not lacking:
        return before, after, ()
    notes = [
        f"{side} is {report.format}: {sentence}"
        for side, report, words in (
            ("baseline", of_before, one & lacking),
            ("current", of_after, other & lacking),
        )
        for word, sentence in _SENTENCES.items()
        if word in words
    ]
    return _leveled(before, lacking), _leveled(after, lacking), tuple(notes)


def doubts(of_before: LoadReport, of_after: LoadReport) -> tuple[str, ...]:
    """A sentence for each side whose spans prove little: orphans, dropped counts, one id for two spans."""
    return tuple(
        f"{side}: this diff is unreliable: {report.unreliable}"
        for side, report in (("baseline", of_before), ("current", of_after))
        if report.unreliable
    )


def _leveled(table: SpanTable, lacking: frozenset[str]) -> SpanTable:
    """A copy of the table with the lacking things the same everywhere."""
    level = table.select(range(len(table)))
    if "scope" in lacking:
        level.scope = [_NO_SCOPE] * len(table)
    if "kind" in lacking:
        level.kind = [0] * len(table)
    elif "internal" in lacking:
        level.kind = [kind or _INTERNAL for kind in table.kind]
    if "status" in lacking:
        level.status_code, level.status_message = [0] * len(table), [""] * len(table)
    if "case" in lacking:
        level.name = [name.lower() for name in table.name]
    _level_values(level, lacking)
    return level


def _level_values(table: SpanTable, lacking: frozenset[str]) -> None:
    text = _as_text if "types" in lacking else _nested_as_text if "nested" in lacking else _as_it_is

    def kept(values: dict[str, Any]) -> dict[str, Any]:
        return {key: text(value) for key, value in values.items()}

    table.attributes = [{} if "attributes" in lacking else kept(values) for values in table.attributes]
    no_events, no_values = "events" in lacking, "event attributes" in lacking
    table.events = [
        ()
        if no_events
        else tuple(event._replace(attributes={} if no_values else kept(event.attributes)) for event in events)
        for events in table.events
    ]
    no_links, no_values = "links" in lacking, "link attributes" in lacking
    table.links = [
        ()
        if no_links
        else tuple(link._replace(attributes={} if no_values else kept(link.attributes)) for link in links)
        for links in table.links
    ]
    resources: dict[int, Resource] = {}
    for resource in table.resource:
        if id(resource) not in resources:
            resources[id(resource)] = Resource(_of_resource(kept(resource.attributes), lacking))
    table.resource = [resources[id(resource)] for resource in table.resource]
    if "owner" in lacking:
        _level_owners(table, keeps_attributes="attributes" not in lacking)


def _level_owners(table: SpanTable, *, keeps_attributes: bool) -> None:
    """Share out what spans and resources have by its keys, as it is done for a form with one list of both."""
    known: dict[str, Resource] = {}
    for row, (resource, attributes) in enumerate(zip(table.resource, table.attributes, strict=True)):
        rest = attributes | resource.attributes  # Exporters that put both in one list have it so.
        owned = owned_by_resource(rest)
        table.resource[row] = known.setdefault(canonical_json(owned), Resource(owned))
        if keeps_attributes:
            table.attributes[row] = rest


def _of_resource(attributes: dict[str, Any], lacking: frozenset[str]) -> dict[str, Any]:
    if "resource" in lacking:
        attributes = {key: value for key, value in attributes.items() if key == "service.name"}
    if "case" in lacking and "service.name" in attributes:
        attributes = attributes | {"service.name": str(attributes["service.name"]).lower()}
    return attributes


def _as_it_is(value: Any) -> Any:
    return value


def _as_text(value: Any) -> Any:
    """The comparison text of a value (``format.md`` 6.1), of a number in text as well."""
    if isinstance(value, str):
        if len(value) <= _LONGEST_NUMBER and _NUMBER.match(value):
            number = float(value) if not value.lstrip("-").isdigit() else int(value)
            return canonical_json(number) if math.isfinite(number) else value
        found = _parsed(value)
        return value if found is None else _of_many(found)
    if isinstance(value, list | tuple | dict):
        return _of_many(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(orjson.loads(canonical_json(value)))
    if isinstance(value, bytes):
        return orjson.loads(canonical_json(value))["bytesValue"]
    return "" if value is None else canonical_json(value)


def _of_many(values: Any) -> str:
    """A list of plain values as JavaScript writes it, with commas alone; other exporters write JSON."""
    texts = _texts(values)
    is_plain = isinstance(texts, list) and all(isinstance(text, str) for text in texts)
    return ",".join(texts) if is_plain else canonical_json(texts)


def _texts(value: Any) -> Any:
    """The same array or table with texts in it; nested no deeper than loaders allow."""
    if isinstance(value, dict):
        return {str(key): _texts(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_texts(inner) for inner in value]
    return _as_text(value)


def _nested_as_text(value: Any) -> Any:
    if isinstance(value, str):
        found = _parsed(value)
        return value if found is None else canonical_json(found)
    if isinstance(value, list | tuple | dict):
        return canonical_json(value)
    return value


def _parsed(text: str) -> Any:
    """The array or table a text holds, if it does."""
    if not text.startswith(("[", "{")) or not text.endswith(("]", "}")):
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
