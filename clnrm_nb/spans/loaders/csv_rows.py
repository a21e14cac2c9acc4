"""CSV, one span a row, the first row naming the columns.

Columns are known by their names in any spelling; those that are not known become attributes. A service that
is only given as a pod is named by the pod without the suffixes that its controllers add.
"""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.spans.loaders.ids import (
    SPAN_DIGITS,
    TRACE_DIGITS,
    kind_of,
    nanoseconds_of,
    read_id,
    status_code_of,
)
from clnrm_nb.spans.loaders.instants import instant, unit_of
from clnrm_nb.spans.model import KINDS, STATUS_CODES, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clnrm_nb.spans.intake import Intake

__all__ = ["Columns", "Lines", "Row", "header", "lacking"]

Row = tuple[int, int, list[str] | None]
"""Line and offset of a record, and its fields; ``None`` if it is none."""

_US: Final = 1_000
_NAMES: Final = {
    "trace": ("traceid", "trace"),
    "span": ("spanid", "span"),
    "parent": ("parentid", "parentspanid", "parentspan", "parent"),
    "name": ("operationname", "operation", "spanname", "name"),
    "start": (
        "starttimeunixnano",
        "starttime",
        "start",
        "startns",
        "startus",
        "startms",
        "startts",
        "timestamp",
    ),
    "end": ("endtimeunixnano", "endtime", "end", "endns", "endus", "endms", "endts"),
    "duration": ("duration", "durationns", "durationus", "durationms", "durationnano", "elapsed"),
    "service": ("servicename", "service"),
    "pod": ("podname", "pod", "k8spodname"),
    "kind": ("kind", "spankind"),
    "status": ("status", "statuscode", "otelstatuscode"),
    "message": ("statusmessage", "statusdescription"),
    "scope": ("scope", "scopename", "otelscopename", "otellibraryname"),
}
_NEEDED: Final = ("trace", "span", "parent", "start")
_DELIMITERS: Final = ",;\t"
_NOT_LETTERS: Final = re.compile(r"[^a-z]")
_NO_PARENT: Final = frozenset({"", "root", "none", "null", "nan", "-1", "0"})

_POD: Final = re.compile(
    r"(?P<name>.+?)(?:-[bcdf-hj-np-tv-z0-9]{8,10}-[bcdf-hj-np-tv-z0-9]{4,5}|-[0-9]{1,4}|-[bcdf-hj-np-tv-z2-9]{5})\Z"
)
"""Names of pods: of a deployment, a stateful set, a daemon set. What is random has its own alphabet."""

_MOST_JOINED: Final = 1_000
"""Lines of one record with line breaks in its quotes; a quote that is never closed costs one line."""


class Columns:
    """What stands where in a row.

    Parameters
    ----------
    delimiter : str
    names : list of str
        Of the header.
    """

    __slots__ = ("_duration_ns", "_end_ns", "_others", "_start_ns", "delimiter", "places", "width")

    def __init__(self, delimiter: str, names: list[str]) -> None:
        self.delimiter = delimiter
        self.width = len(names)
        plain = [_NOT_LETTERS.sub("", name.lower()) for name in names]
        self.places: dict[str, int] = {}
        for role, spellings in _NAMES.items():
            found = next((plain.index(spelling) for spelling in spellings if spelling in plain), None)
            if found is not None and found not in self.places.values():
                self.places[role] = found
        self._start_ns, self._end_ns, self._duration_ns = (
            unit_of(names[self.places[role]]) if role in self.places else None
            for role in ("start", "end", "duration")
        )
        taken = set(self.places.values())
        self._others = [(name, place) for place, name in enumerate(names) if place not in taken and name]

    @property
    def carried(self) -> set[str]:
        """The parts of a span that are not in every such file and are in this one."""
        return {*self.places} | ({"attributes"} if self._others else set())

    @property
    def resolution(self) -> str:
        """Of the start times, as far as the header says it."""
        return {1_000: "us", 1_000_000: "ms", 1_000_000_000: "s"}.get(self._start_ns or 1, "ns")

    def read(self, row: list[str], intake: Intake) -> str | None:
        """Put one row into the intake; why not, if it is none."""
        if len(row) != self.width:
            return f"{len(row)} fields where the header has {self.width}"
        cells = {role: row[place].strip() for role, place in self.places.items()}
        trace_id, _ = read_id(cells["trace"], TRACE_DIGITS)
        span_id, _ = read_id(cells["span"], SPAN_DIGITS)
        if trace_id is None or span_id is None:
            return "no trace id" if trace_id is None else "no span id"
        parent = None if cells["parent"].lower() in _NO_PARENT else read_id(cells["parent"], SPAN_DIGITS)[0]
        start_ns = instant(cells["start"], self._start_ns)
        end_ns = instant(cells.get("end"), self._end_ns)
        # Without a unit in its name a duration is in microseconds, as where this form comes from.
        duration_ns = nanoseconds_of(cells.get("duration"), self._duration_ns or _US)
        if end_ns is None and start_ns is not None and duration_ns is not None:
            end_ns = start_ns + duration_ns
        values = intake.shared.values
        name = cells.get("name", "")
        intake.table.append(
            Span(
                trace_id=values.setdefault(trace_id, trace_id),
                span_id=span_id,
                name=values.setdefault(name, name),
                parent_span_id=parent,
                kind=KINDS[kind_of(_number(cells.get("kind")))],
                start_ns=start_ns,
                end_ns=end_ns,
                status_code=STATUS_CODES[status_code_of(_number(cells.get("status")))],
                status_message=cells.get("message", ""),
                attributes={name: row[place] for name, place in self._others if row[place]},
                resource=intake.shared.resource(_resource(cells)),
                scope=intake.shared.scope(cells.get("scope", ""), ""),
            )
        )
        return None


def _number(text: str | None) -> Any:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 4 else text  # noqa: PLR2004  enums


def _resource(cells: dict[str, str]) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    pod = cells.get("pod")
    if pod:
        attributes["k8s.pod.name"] = pod
    service = cells.get("service") or (pod and _service_of(pod))
    if service:
        attributes["service.name"] = service
    return attributes


def _service_of(pod: str) -> str:
    found = _POD.match(pod)
    return found["name"] if found else pod


def header(line: bytes) -> Columns | None:
    """The columns a first line names; ``None`` if it is no header of spans."""
    columns = _named(line)
    return columns if columns is not None and all(role in columns.places for role in _NEEDED) else None


def lacking(line: bytes) -> list[str]:
    """What a header of spans has no column for; empty if the line has nothing of such a header."""
    columns = _named(line)
    if columns is None or not {"trace", "span"} & columns.places.keys():
        return []
    return [role for role in _NEEDED if role not in columns.places]


def _named(line: bytes) -> Columns | None:
    try:
        text = line.decode().strip()
    except UnicodeDecodeError:
        return None
    if text[:1] in ("", "{", "["):
        return None
    delimiter = max(_DELIMITERS, key=text.count)
    names = _fields(text, delimiter)
    return None if names is None or len(names) == 1 else Columns(delimiter, [name.strip() for name in names])


def _fields(text: str, delimiter: str) -> list[str] | None:
    """The fields of one record; ``None`` if its quotes do not close."""
    if '"' not in text:
        return text.split(delimiter)
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True))
    except (csv.Error, StopIteration):
        return None


class Lines:
    """Rows of a table from its lines, those with line breaks in their quotes put together.

    Parameters
    ----------
    columns : Columns
    """

    __slots__ = ("_columns", "_open", "_quotes")

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._open: list[tuple[int, int, str]] = []
        self._quotes = 0

    def feed(self, line: int, offset: int, text: str) -> Iterator[Row]:
        """The rows that are whole now: line and offset of their beginning; ``None`` for what is no record."""
        self._open.append((line, offset, text))
        self._quotes += text.count('"')
        if self._quotes % 2 and len(self._open) < _MOST_JOINED:
            return  # A quote is open, and what it holds goes on.
        row = _fields("\n".join(part for *_, part in self._open), self._columns.delimiter)
        if row is None:
            yield from self._give_up()
            return
        first_line, first_offset, _ = self._open[0]
        self._clear()
        yield first_line, first_offset, row

    def end(self) -> Iterator[Row]:
        """What is left when nothing more comes."""
        while self._open:
            yield from self._give_up()

    def _give_up(self) -> Iterator[Row]:
        """The first open line is no record; those behind it are looked at again."""
        (line, offset, _), *others = self._open
        self._clear()
        yield line, offset, None
        for other in others:
            yield from self.feed(*other)

    def _clear(self) -> None:
        self._open = []
        self._quotes = 0
