"""What was found in a source of spans, in numbers: nothing that was skipped or refused goes unsaid."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from clnrm_nb.errors import Diagnostic
from clnrm_nb.spans.loaders.ids import SPAN_DIGITS, TRACE_DIGITS, is_hex_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.spans.identity import Identities
    from clnrm_nb.spans.intake import Intake
    from clnrm_nb.spans.table import SpanTable

__all__ = ["LoadReport", "RefusedLine"]

_MAX_LINES = 20
"""Refused lines kept one by one; all are counted."""


_RESOLUTIONS = {"us": "microseconds", "ms": "milliseconds", "s": "seconds"}


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """A place that looked like data and could not be read; the line is 1-based, 0 in binary sources."""

    line: int
    offset: int
    reason: str

    @property
    def place(self) -> str:
        """``line 3, byte 120``, or the byte alone in binary sources."""
        return f"line {self.line}, byte {self.offset}" if self.line else f"byte {self.offset}"


@dataclass(slots=True)
class LoadReport:
    """What one source gave.

    Parameters
    ----------
    source : str
        Its name for messages.
    format : str
        How it was read, a word of ``--input-format``; several joined by ``+``.
    entries : int
        Span records as written, refused and repeated ones included.
    spans, traces, roots, orphans, cycles : int
        Of the table that came out. An orphan's parent is not in it.
    adopted : int
        Spans whose parent was found in another trace, by its span id alone.
    repeats, conflicts : int
        Records of a span that was there already, with equal and with other content.
    collisions : list of (str, str)
        Those conflicts in which two different spans have one id: the one kept and the one given up.
    joined, told_apart : int
        Pieces of spans that were joined, and pairs of spans that shared one id (Zipkin).
    refused : Counter
        Span-like records that were not taken, by reason.
    refused_records : list of (int, str)
        Number in the source, counted from 1, and reason of the first of them.
    skipped : int
        Lines and documents without any span.
    refused_lines : list of RefusedLine
        The first of those that looked like data.
    other_signals : Counter
        Documents of metrics, logs or profiles.
    dropped : int
        Attributes, events and links the sources say they dropped.
    repeated_keys, restored_ids, odd_ids, unknown_times : int
        Attributes given twice; ids that had been decoded wrongly and were set right; spans whose ids are not
        of the right length, or no hex; missing, zero or inverted times.
    unnamed : int
        Spans whose resource has no ``service.name``.
    time_resolution : str
        ``ns``, ``us``, ``ms`` or ``s``.
    columns : set of str
        Of a CSV file: which parts of a span it has.
    lacks : frozenset of str
        What the form cannot say, see :mod:`clnrm_nb.spans.loaders.carried`.
    """

    source: str
    format: str = ""
    entries: int = 0
    spans: int = 0
    traces: int = 0
    roots: int = 0
    orphans: int = 0
    cycles: int = 0
    adopted: int = 0
    repeats: int = 0
    conflicts: int = 0
    collisions: list[tuple[str, str]] = field(default_factory=list)
    joined: int = 0
    told_apart: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    refused_records: list[tuple[int, str]] = field(default_factory=list)
    skipped: int = 0
    refused_lines: list[RefusedLine] = field(default_factory=list)
    other_signals: Counter[str] = field(default_factory=Counter)
    dropped: int = 0
    repeated_keys: int = 0
    restored_ids: int = 0
    odd_ids: int = 0
    unknown_times: int = 0
    unnamed: int = 0
    time_resolution: str = "ns"
    columns: set[str] = field(default_factory=set)
    lacks: frozenset[str] = frozenset()

    @classmethod
    def of(cls, reports: Sequence[LoadReport]) -> LoadReport:
        """One report for sources that were read as one."""
        if len(reports) == 1:
            return reports[0]
        forms = {form for report in reports for form in report.format.split("+") if form}
        coarse = [unit for unit in _RESOLUTIONS if any(report.time_resolution == unit for report in reports)]
        return cls(
            ", ".join(report.source for report in reports),
            "+".join(sorted(forms)),
            refused_records=[record for report in reports for record in report.refused_records],
            skipped=sum(report.skipped for report in reports),
            refused_lines=[line for report in reports for line in report.refused_lines][:_MAX_LINES],
            time_resolution=coarse[-1] if coarse else "ns",
            columns=set().union(*(report.columns for report in reports)),
        )

    def skip(self, *, line: int = 0, offset: int = 0, reason: str | None = None, count: int = 1) -> None:
        """Count what holds no span; with a reason if it looked as if it should."""
        self.skipped += count
        if reason is not None and len(self.refused_lines) < _MAX_LINES:
            self.refused_lines.append(RefusedLine(line, offset, reason))

    def note_record(self, number: int, reason: str) -> None:
        """Remember which record was refused."""
        if len(self.refused_records) < _MAX_LINES:
            self.refused_records.append((number, reason))

    def take_identities(self, identities: Identities) -> None:
        """Fill in what came twice."""
        self.repeats, self.conflicts = identities.n_repeats, len(identities.conflicts)
        self.collisions = [(kept, lost) for kept, lost in identities.conflicts if kept != lost]

    def take_counts(
        self, intake: Intake, table: SpanTable, parents: Sequence[int | None], cycles: int
    ) -> None:
        """Fill in what is known once everything was read; `parents` and `cycles` are those of the tree."""
        self.entries = len(intake.table) + intake.n_refused + intake.joined
        self.joined, self.told_apart = intake.joined, intake.told_apart
        traces, named = table.trace_id, table.parent_span_id
        missing = sum(row is None and name is not None for row, name in zip(parents, named, strict=True))
        self.orphans = missing - cycles
        if len(set(traces)) > 1:
            self.adopted = sum(
                row is not None and traces[row] != trace for row, trace in zip(parents, traces, strict=True)
            )
        self.unnamed = sum("service.name" not in resource.attributes for resource in table.resource)
        self.refused = intake.refused
        self.other_signals = intake.other_signals
        self.dropped = intake.dropped
        self.repeated_keys = intake.repeated_keys
        self.restored_ids = intake.restored_ids
        odd_traces = {trace for trace in set(traces) if not is_hex_id(trace, TRACE_DIGITS)}
        self.odd_ids = sum(
            trace in odd_traces or len(span_id) != SPAN_DIGITS
            for trace, span_id in zip(traces, table.span_id, strict=True)
        )
        self.spans = len(table)
        self.traces = len(set(table.trace_id))
        self.roots = sum(parent is None for parent in table.parent_span_id)
        self.cycles = cycles
        self.unknown_times = sum(
            not start or not end or end < start
            for start, end in zip(table.start_ns, table.end_ns, strict=True)
        )

    @property
    def is_plain(self) -> bool:
        """Whether there is nothing to say beyond the number of spans."""
        return not self.remarks

    @property
    def is_whole(self) -> bool:
        """Whether the trace is complete as far as the source can tell: no orphans, nothing dropped."""
        return not self.orphans and not self.dropped

    @property
    def remarks(self) -> list[str]:
        """One sentence for each thing a reader should know."""
        counted = (
            (self.orphans, "spans whose parent is not in the source"),
            (self.adopted, "spans whose parent was found by its id in another trace"),
            (self.cycles, "circles of parents, cut at their earliest span"),
            (self.joined, "pieces of spans, joined with the others of their id"),
            (self.told_apart, "pairs of client and server with one id, told apart"),
            (self.repeats, "records repeated with equal content"),
            (self.conflicts, "records repeated with other content; the later end is kept"),
            (self.refused.total(), f"span-like records refused: {_reasons(self.refused)}"),
            (self.skipped, "lines or documents without spans"),
            (self.dropped, "attributes, events or links that the source says were dropped"),
            (self.repeated_keys, "attributes given twice; the last one counts"),
            (self.odd_ids, "spans with ids that are not 16 and 8 bytes, taken as they are"),
            (self.restored_ids, "ids that had been decoded wrongly, set right"),
            (self.unknown_times, "spans with missing, zero or inverted times"),
            (self.unnamed, "spans without a service.name, shown as unknown_service"),
            *((count, f"documents of {signal}") for signal, count in sorted(self.other_signals.items())),
        )
        said = [_counted(count, text) for count, text in counted if count]
        if self.time_resolution != "ns":
            said.append(f"times are whole {_RESOLUTIONS[self.time_resolution]}")
        return said

    @property
    def is_partial(self) -> bool:
        """Whether something that looked like spans could not be read."""
        return bool(self.refused or self.refused_lines)

    @property
    def partial(self) -> str:
        """What that was, in half a sentence; empty if there is none."""
        said = []
        if self.refused:
            number, reason = self.refused_records[0] if self.refused_records else (0, "")
            first = f"; the first is record {number}: {reason}" if number else ""
            said.append(
                _counted(self.refused.total(), f"span-like records refused: {_reasons(self.refused)}{first}")
            )
        if self.refused_lines:
            places = "; ".join(f"{bad.place}: {bad.reason}" for bad in self.refused_lines[:3])
            skipped = _counted(self.skipped, "lines or documents skipped")
            said.append(f"not everything could be read ({places}); {skipped}")
        return "; ".join(said)

    @property
    def _gaps(self) -> list[str]:
        """What is missing, as far as the source can tell."""
        counts = (
            (self.orphans, "orphans"),
            (self.dropped, "attributes, events or links dropped by the SDK"),
        )
        return [_counted(count, text) for count, text in counts if count]

    @property
    def unreliable(self) -> str:
        """Why a comparison of these spans proves little, in half a sentence; empty if nothing is known."""
        said = self._gaps
        said += [f"one id for `{kept}` and `{lost}`" for kept, lost in self.collisions[:3]]
        return "; ".join(said)

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """CLN609, CLN613 and CLN614, as far as they apply."""
        found = []
        if self.is_partial:
            line = self.refused_lines[0].line if self.refused_lines else None
            found.append(Diagnostic("CLN609", self.partial, file=self.source, line=line or None))
        if self.conflicts:
            text = _counted(self.conflicts, "records repeated with other content; the later end is kept")
            if self.collisions:
                pairs = ", ".join(f"`{kept}` and `{lost}`" for kept, lost in self.collisions[:3])
                text += f"; different spans have one id: {pairs}"
            found.append(Diagnostic("CLN613", text, file=self.source))
        if not self.is_whole:
            found.append(Diagnostic("CLN614", "; ".join(self._gaps), file=self.source))
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """All of it, for reports."""
        return {
            "source": self.source,
            "format": self.format,
            "entries": self.entries,
            "spans": self.spans,
            "traces": self.traces,
            "roots": self.roots,
            "orphans": self.orphans,
            "cycles": self.cycles,
            "adopted": self.adopted,
            "repeats": self.repeats,
            "conflicts": self.conflicts,
            "collisions": [list(pair) for pair in self.collisions],
            "joined": self.joined,
            "told_apart": self.told_apart,
            "refused": dict(self.refused),
            "refused_records": [
                {"record": number, "reason": reason} for number, reason in self.refused_records
            ],
            "skipped": self.skipped,
            "refused_lines": [
                {"line": bad.line, "offset": bad.offset, "reason": bad.reason} for bad in self.refused_lines
            ],
            "other_signals": dict(self.other_signals),
            "dropped": self.dropped,
            "repeated_keys": self.repeated_keys,
            "restored_ids": self.restored_ids,
            "odd_ids": self.odd_ids,
            "unknown_times": self.unknown_times,
            "unnamed": self.unnamed,
            "time_resolution": self.time_resolution,
            "lacks": sorted(self.lacks),
        }


_SINGULAR = re.compile(r"^(?:span-like )?\w+s\b(?: or documents| or links)?|^attributes, events or links")


def _counted(count: int, text: str) -> str:
    return f"{count} {text if count > 1 else _SINGULAR.sub(_without_s, text)}"


def _without_s(found: re.Match[str]) -> str:
    """The subject of a sentence in the singular."""
    return re.sub(r"s\b", "", found[0])


def _reasons(reasons: Counter[str]) -> str:
    return ", ".join(f"{reason} ({count})" for reason, count in sorted(reasons.items()))
