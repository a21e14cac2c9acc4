"""What ``redact`` rules (``format.md`` 8.5) hide, taken out of spans before these are judged, kept or shown.

A rule selects spans and keys as every tolerance rule does, and its regex finds what is to be hidden in their
texts; each place gets ``<redacted:ID>``, with the id of the rule. Numbers and ids of spans stay.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple

from clnrm_nb.errors import Diagnostic
from clnrm_nb.patterns import EndlessError, compiled
from clnrm_nb.spans.model import KINDS, Event, Link, Resource
from clnrm_nb.spans.topology import tree_parents

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from clnrm_nb.errors import Location
    from clnrm_nb.spans.table import SpanTable

__all__ = ["Hidden", "Redaction", "placeholder", "redact"]


def placeholder(rule_id: str) -> str:
    """What stands in the place of redacted text."""
    return f"<redacted:{rule_id}>"


@dataclass(frozen=True, slots=True)
class Redaction:
    """One ``redact`` rule.

    Parameters
    ----------
    id, pattern : str
        Its id and its regular expression.
    select : mapping of str to str
        Globs by selector.
    place : Location or None
        Where it is written.
    """

    id: str
    pattern: str
    select: Mapping[str, str] = field(hash=False)
    place: Location | None = field(default=None, compare=False)

    def blanked(self, text: str, found: set[str] | None = None) -> str:
        """A text without what the regex matches, which is added to `found`; done again, the same.

        Raises
        ------
        EndlessError
            CLN314: the regex might never end on this text.
        """
        try:
            return self._blanked(text, found)
        except EndlessError as error:
            message = f"rule `{self.id}`: {error.message}"
            raise replace(error, message=message, location=self.place) from None

    def _blanked(self, text: str, found: set[str] | None) -> str:
        blank, pattern = placeholder(self.id), compiled(self.pattern)
        pieces = []
        for piece in text.split(blank):
            spans = pattern.spans(piece)
            if found is not None:
                found.update(piece[start:end] for start, end in spans)
            ends = [0, *(end for _, end in spans)]
            starts = [*(start for start, _ in spans), len(piece)]
            pieces.append(blank.join(piece[end:start] for end, start in zip(ends, starts, strict=True)))
        return blank.join(pieces)

    @property
    def anywhere(self) -> Redaction:
        """The rule in all spans, as long as nobody knows which it selects.

        Of a trace that still grows a parent or a scenario may come later, and what another rule hides may be
        what this one selects by.
        """
        return replace(self, select={key: glob for key, glob in self.select.items() if key == "key"})

    def matches(self, selector: str, text: str) -> bool:
        """Whether a selector it may have matches a text."""
        return selector not in self.select or fnmatchcase(text, self.select[selector])


class Hidden(NamedTuple):
    """What was hidden in some spans: the same texts may stand elsewhere, as in what a command printed."""

    texts: set[str]
    findings: tuple[Diagnostic, ...] = ()
    """Rules whose regex might never end on some text, which was hidden whole."""


def redact(table: SpanTable, rules: Iterable[Redaction], test_id: str = "") -> Hidden:
    """Hide in place what rules select.

    Parameters
    ----------
    table : SpanTable
    rules : iterable of Redaction
    test_id : str
        Of the test the spans are of, for ``scenario`` selectors that name a whole id.

    Returns
    -------
    Hidden
    """
    found: set[str] = set()
    findings = []
    for rule in rules:
        hiding = _Hiding(table, rule, test_id, found)
        hiding.hide()
        for error in hiding.endless[:1]:
            said = f"{error.message}: all of it was hidden"
            finding = Diagnostic(error.code, said, hint=error.hint, severity="warning")
            findings.append(finding.at(error.location))
    return Hidden(found, tuple(findings))


class _Hiding:
    """One rule at work on one table."""

    def __init__(self, table: SpanTable, rule: Redaction, test_id: str, found: set[str]) -> None:
        self._table, self._rule, self._test_id, self._found = table, rule, test_id, found
        self._paths: list[str] | None = None
        self._is_whole = "key" not in rule.select
        self.endless: list[EndlessError] = []

    def hide(self) -> None:
        table = self._table
        rows = [row for row in range(len(table)) if self._selects(row)]
        for row in rows:
            self._row(row)
        # What spans share stays shared, by those that no rule selects too.
        old = {id(table.resource[row]): table.resource[row] for row in rows}
        new = {key: Resource(self._values(one.attributes)) for key, one in old.items()}
        changed = {key: one for key, one in new.items() if one.attributes != old[key].attributes}
        if changed:
            table.resource[:] = [changed.get(id(one), one) for one in table.resource]

    def _selects(self, row: int) -> bool:
        table, rule = self._table, self._rule
        scenario = table.scenario[row]
        whole = self._test_id if scenario is None else f"{self._test_id}::{scenario}"
        return (
            rule.matches("service", table.resource[row].service)
            and rule.matches("scope", table.scope[row].name)
            and rule.matches("kind", KINDS[table.kind[row]])
            and rule.matches("span", table.name[row])
            and (rule.matches("scenario", scenario or "") or rule.matches("scenario", whole))
            and ("path" not in rule.select or rule.matches("path", self._path(row)))
        )

    def _path(self, row: int) -> str:
        if self._paths is None:
            self._paths = _paths(self._table)
        return self._paths[row]

    def _row(self, row: int) -> None:
        table, text = self._table, self._text
        if self._is_whole:
            table.name[row] = text(table.name[row])
        if self._is_whole or self._rule.select["key"] == "status.message":
            table.status_message[row] = text(table.status_message[row])
        table.attributes[row] = self._values(table.attributes[row])
        table.events[row] = tuple(
            Event(
                text(event.name) if self._is_whole else event.name,
                event.time_ns,
                self._values(event.attributes, event.name),
            )
            for event in table.events[row]
        )
        table.links[row] = tuple(
            Link(link.trace_id, link.span_id, self._values(link.attributes)) for link in table.links[row]
        )

    def _values(self, attributes: Mapping[str, Any], event: str | None = None) -> dict[str, Any]:
        return {
            key: self._value(value) if self._names(key, event) else value for key, value in attributes.items()
        }

    def _names(self, key: str, event: str | None) -> bool:
        names = (key,) if event is None else (key, f"{event}.{key}", event)
        return any(self._rule.matches("key", name) for name in names)

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, dict):
            return {key: self._value(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self._value(inner) for inner in value)
        return value

    def _text(self, text: str) -> str:
        try:
            return self._rule.blanked(text, self._found)
        except EndlessError as error:
            # What cannot be searched may hold what is to be hidden.
            self.endless.append(error)
            self._found.add(text)
            return placeholder(self._rule.id)


def _paths(table: SpanTable) -> list[str]:
    """Names from the root down to each span."""
    parents, _ = tree_parents(table)
    paths: list[str | None] = [None] * len(table)
    for first in range(len(table)):
        above: list[int] = []
        row: int | None = first
        while row is not None and paths[row] is None:
            above.append(row)
            row = parents[row]
        path = "" if row is None else f"{paths[row]}/"
        for row in reversed(above):
            paths[row] = f"{path}{table.name[row]}"
            path = f"{paths[row]}/"
    return [path or "" for path in paths]
