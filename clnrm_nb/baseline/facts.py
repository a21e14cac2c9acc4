"""What a baseline file says, line by line: facts that can be found again in another version of it."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Literal

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Fact", "Facts", "Kind"]

_LINE: Final = re.compile(rb'\{"(traceId|resource|scope)":')

Kind = Literal["header", "resource", "scope", "span"]
Fact = tuple[Any, ...]


class Facts:
    """One version.

    Parameters
    ----------
    content : bytes
        The file as :func:`clnrm_nb.baseline.files.write` lays it out.

    Attributes
    ----------
    lines : list of tuple
        Number from 1, kind, what it is about, name of the span if it is one, and its parts with their facts;
        the first part is the line itself.
    facts : dict
        What is said by each fact.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.lines: list[tuple[int, Kind, str, str | None, list[tuple[str, Fact]]]] = []
        self.facts: dict[Fact, bytes] = {}
        names: dict[str, tuple[str, str | None]] = {}
        service = scope = ""
        for number, raw in enumerate(content.split(b"\n"), 1):
            found = _LINE.match(raw)
            if found is None:
                continue
            word = found[1].decode()
            if word == "traceId":
                span = orjson.loads(raw.rstrip(b","))
                names[span["spanId"]] = span["name"], span.get("parentSpanId")
                self._span(number, span, service, scope)
            elif word == "resource":
                service = _service(orjson.loads(raw + b"]}")["resource"])
                self._line(number, "resource", service, None, [("", ("resource", raw), b"")])
            else:
                scope = orjson.loads(raw + b"]}")["scope"].get("name", "")
                self._line(number, "scope", scope, None, [("", ("scope", service, scope), b"")])
        self._names = names

    def path(self, span_id: str) -> str:
        """Names from the root down."""
        found: list[str] = []
        seen: set[str] = set()
        own: str | None = span_id
        while own in self._names and own not in seen:
            seen.add(own)
            name, own = self._names[own]
            found.append(name)
        return "/".join(reversed(found))

    def _line(
        self,
        number: int,
        kind: Kind,
        path: str,
        span_id: str | None,
        facts: Sequence[tuple[str, Fact, bytes]],
    ) -> None:
        self.facts.update((fact, value) for _, fact, value in facts)
        self.lines.append((number, kind, path, span_id, [(part, fact) for part, fact, _ in facts]))

    def _span(self, number: int, span: Mapping[str, Any], service: str, scope: str) -> None:
        own = span["spanId"]
        parts: list[tuple[str, Any, Any]] = [
            ("", "", None),
            ("name", "name", span["name"]),
            ("kind", "kind", span["kind"]),
            ("parent", "parent", span.get("parentSpanId")),
            ("status", "status", span.get("status")),
            ("service", "service", service),
            ("scope", "scope", scope),
        ]
        parts += [(one["key"], ("attribute", one["key"]), one["value"]) for one in span.get("attributes", ())]
        counts: Counter[bytes] = Counter()
        for word in ("events", "links"):
            for one in span.get(word, ()):
                text = orjson.dumps(one)
                counts[text] += 1
                name = f"event {one['name']}" if word == "events" else "link"
                parts.append((name, (word, text, counts[text]), None))
        facts = [(part, ("span", own, key), orjson.dumps(value)) for part, key, value in parts]
        self._line(number, "span", "", own, facts)


def _service(resource: Mapping[str, Any]) -> str:
    values = {one["key"]: one["value"] for one in resource.get("attributes", ())}
    return str(values.get("service.name", {}).get("stringValue", ""))
