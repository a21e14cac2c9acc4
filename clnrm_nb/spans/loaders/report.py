"""What was found in a source of spans, in numbers: nothing that was skipped or refused goes unsaid."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from clnrm_nb.errors import Diagnostic

if TYPE_CHECKING:
    from clnrm_nb.spans.intake import Intake
    from clnrm_nb.spans.table import SpanTable

__all__ = ["LoadReport", "RefusedLine"]

_MAX_LINES = 20
"""Refused lines kept one by one; all are counted."""


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """A place that looked like data and could not be read; the line is 1-based, 0 in binary sources."""

    line: int
    offset: int
    reason: str


@dataclass(slots=True)
class LoadReport:
    """What one source gave.

    Parameters
    ----------
    source : str
        Its name for messages.
    format : str
        How it was read: otlp-json, otlp-proto, flat or console; several joined by ``+``.
    entries : int
        Span records as written, refused and repeated ones included.
    spans, traces, roots, orphans, cycles : int
        Of the table that came out. An orphan's parent is not in it.
    repeats, conflicts : int
        Records of a span that was there already, with equal and with other content.
    refused : Counter
        Span-like records that were not taken, by reason.
    skipped : int
        Lines and documents without any span.
    refused_lines : list of RefusedLine
        The first of those that looked like data.
    other_signals : Counter
        Documents of metrics, logs or profiles.
    dropped : int
        Attributes, events and links the sources say they dropped.
    repeated_keys, restored_ids, unknown_times : int
        Attributes given twice; ids that had been decoded wrongly and were set right; missing, zero or
        inverted times.
    time_resolution : str
        ``ns`` or ``us``.
    """

    source: str
    format: str = ""
    entries: int = 0
    spans: int = 0
    traces: int = 0
    roots: int = 0
    orphans: int = 0
    cycles: int = 0
    repeats: int = 0
    conflicts: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    skipped: int = 0
    refused_lines: list[RefusedLine] = field(default_factory=list)
    other_signals: Counter[str] = field(default_factory=Counter)
    dropped: int = 0
    repeated_keys: int = 0
    restored_ids: int = 0
    unknown_times: int = 0
    time_resolution: str = "ns"

    def skip(self, *, line: int = 0, offset: int = 0, reason: str | None = None, count: int = 1) -> None:
        """Count what holds no span; with a reason if it looked as if it should."""
        self.skipped += count
        if reason is not None and len(self.refused_lines) < _MAX_LINES:
            self.refused_lines.append(RefusedLine(line, offset, reason))

    def take_counts(self, intake: Intake, table: SpanTable, *, cycles: int, orphans: int) -> None:
        """Fill in what is known once everything was read."""
        self.entries = len(intake.table) + intake.n_refused
        self.refused = intake.refused
        self.other_signals = intake.other_signals
        self.dropped = intake.dropped
        self.repeated_keys = intake.repeated_keys
        self.restored_ids = intake.restored_ids
        self.spans = len(table)
        self.traces = len(set(table.trace_id))
        self.roots = sum(parent is None for parent in table.parent_span_id)
        self.orphans = orphans
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
            (self.cycles, "circles of parents, cut at their earliest span"),
            (self.repeats, "records repeated with equal content"),
            (self.conflicts, "records repeated with other content; the later end is kept"),
            (self.refused.total(), f"span-like records refused: {_reasons(self.refused)}"),
            (self.skipped, "lines or documents without spans"),
            (self.dropped, "attributes, events or links that the source says were dropped"),
            (self.repeated_keys, "attributes given twice; the last one counts"),
            (self.restored_ids, "ids that had been decoded wrongly, set right"),
            (self.unknown_times, "spans with missing, zero or inverted times"),
            *((count, f"documents of {signal}") for signal, count in sorted(self.other_signals.items())),
        )
        said = [f"{count} {text}" for count, text in counted if count]
        if self.time_resolution != "ns":
            said.append("times are whole microseconds")
        return said

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """CLN609, CLN613 and CLN614, as far as they apply."""
        found = []
        if self.refused:
            text = f"{self.refused.total()} span-like records refused: {_reasons(self.refused)}"
            found.append(Diagnostic("CLN609", text, file=self.source))
        unread = [line for line in self.refused_lines if line.reason]
        if unread:
            places = ", ".join(f"line {bad.line}" if bad.line else f"byte {bad.offset}" for bad in unread[:3])
            text = (
                f"not everything could be read ({places}: {unread[0].reason}); {self.skipped} lines skipped"
            )
            found.append(Diagnostic("CLN609", text, file=self.source, line=unread[0].line or None))
        if self.conflicts:
            text = f"{self.conflicts} records repeat a span with other content; the later end is kept"
            found.append(Diagnostic("CLN613", text, file=self.source))
        if not self.is_whole:
            parts = [f"{self.orphans} orphans"] * bool(self.orphans)
            parts += [f"{self.dropped} attributes, events or links dropped by the SDK"] * bool(self.dropped)
            found.append(Diagnostic("CLN614", "; ".join(parts), file=self.source))
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
            "repeats": self.repeats,
            "conflicts": self.conflicts,
            "refused": dict(self.refused),
            "skipped": self.skipped,
            "refused_lines": [
                {"line": bad.line, "offset": bad.offset, "reason": bad.reason} for bad in self.refused_lines
            ],
            "other_signals": dict(self.other_signals),
            "dropped": self.dropped,
            "repeated_keys": self.repeated_keys,
            "restored_ids": self.restored_ids,
            "unknown_times": self.unknown_times,
            "time_resolution": self.time_resolution,
        }


def _reasons(reasons: Counter[str]) -> str:
    return ", ".join(f"{reason} ({count})" for reason, count in sorted(reasons.items()))
