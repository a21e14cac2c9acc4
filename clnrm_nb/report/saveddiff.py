"""Comparisons out of documents: what a notebook or a JSON report kept of a diff, to look at and compute with.

What comes back is what the document holds, and says so: a notebook keeps a window of rows and edits
(:mod:`~clnrm_nb.report.diffdocument`), a report all edits and no spans. Counts are those of the whole diff.
Attributes, exact times and patches are not kept; such a diff can be shown, not applied. Where a span stood in
the baseline is known from the merged tree and from moves: below a span that was unwrapped that may be one
level short.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.baseline.files import scenario_of
from clnrm_nb.codes import CODES
from clnrm_nb.diff.model import STATUSES, Cause, Diff, Edit, RunnerUp, SpanPair
from clnrm_nb.errors import Diagnostic
from clnrm_nb.report.difflayout import Compared
from clnrm_nb.report.saved import damage_told
from clnrm_nb.report.text import number_text
from clnrm_nb.spans.model import Resource, Span
from clnrm_nb.spans.table import SpanTable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["comparisons_of_document", "comparisons_of_report"]

_TRACE: Final = "saved"
_NO_SPANS: Final = "read from a report, which keeps edits and no spans"


@dataclass(frozen=True)
class _SavedDiff(Diff):
    """A diff of which a window is left.

    Parameters
    ----------
    stated : mapping of str to int
        Spans by status, of the whole diff.
    """

    stated: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def totals(self) -> dict[str, int]:
        """Spans by status, those that are not kept too."""
        return {status: self.stated.get(status, 0) for status in STATUSES}


def comparisons_of_report(
    entries: Sequence[Mapping[str, Any]], findings: Sequence[Mapping[str, Any]] = ()
) -> list[Compared]:
    """Comparisons of a JSON report (``format.md`` 11.3).

    Parameters
    ----------
    entries : sequence of dict
        ``data.diffs``.
    findings : sequence of dict
        ``diagnostics`` of the report.

    Returns
    -------
    list of Compared
        In the order of `entries`; without spans.
    """
    return [_of_report(entry, findings) for entry in entries]


def _edit_of_report(edit: Mapping[str, Any]) -> Edit:
    runner_up = edit.get("runner_up")
    return Edit(**{**edit, "runner_up": runner_up and RunnerUp(**runner_up)})


_PER_MILLE: Final = 1_000


def _of_report(entry: Mapping[str, Any], findings: Sequence[Mapping[str, Any]]) -> Compared:
    edits = tuple(map(_edit_of_report, entry["edits"]))
    by_id = {edit.edit_id: edit for edit in edits}
    causes = tuple(
        Cause(
            cause["cause_id"],
            cause["message"],
            tuple(cause["edits"]),
            sum(by_id[name].cost for name in cause["edits"]),
            any(by_id[name].counted for name in cause["edits"]),
        )
        for cause in entry["causes"]
    )
    diff = _SavedDiff(
        entry["baseline_digest"] or "",
        entry["trace_digest"] or "",
        entry["certified"],
        edits,
        causes,
        notes=(_NO_SPANS,),
        stated=entry["spans"],
    )
    return _compared(entry, diff, findings)


def comparisons_of_document(
    document: Mapping[str, Any], findings: Sequence[Mapping[str, Any]] = ()
) -> list[Compared]:
    """Comparisons of the durable document of a diff (``clnrm_nb/schemas/diff.v1.schema.json``).

    Parameters
    ----------
    document : dict
    findings : sequence of dict
        Findings with their severities, where the document stands in that of a run.

    Returns
    -------
    list of Compared
        Those the document keeps, each with a note on its window.

    Raises
    ------
    ValueError
        The document is damaged.
    """
    with damage_told("diff"):
        saved = _Document(document)
        told = [*findings, *_messages(document)]
        return [saved.compared(index, told) for index in range(len(document["diffs"]))]


def _messages(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What a document says of each comparison, as findings.

    Severities are not kept. Where the document is ok none was an error, and a missing baseline was one only
    where nothing else can be.
    """
    codes = {entry["code"] for entry in document["diffs"]} - {None}
    for entry in document["diffs"]:
        code, message = entry["code"], entry["message"]
        if code is not None and message is not None:
            is_harmless = document["ok"] or (code == "CLN701" and codes != {"CLN701"})
            yield {
                "code": code,
                "message": message,
                "severity": "info" if is_harmless else "",
                # A baseline without a scenario is a file of its own, whose name is not kept.
                "file": None if code == "CLN706" else entry["test"].partition("[")[0],
                "test": entry["test"],
                "scenario": entry["scenario"],
            }


class _Document:
    """The columns of a document, unpacked once."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self.rows = _columns(document["rows"])
        self.causes = _columns(document["causes"])
        self.edits = _columns(document["edits"])
        self._rows_of, self._causes_of, self._edits_of = map(_by_diff, (self.rows, self.causes, self.edits))
        # Spans an edit concerns: their rows stand for their numbers.
        self.spans_of: dict[int, list[int]] = defaultdict(list)
        for row in range(len(self.rows["diff"])):
            for number in self.edits_of(row):
                self.spans_of[number].append(row)

    def compared(self, index: int, findings: Sequence[Mapping[str, Any]]) -> Compared:
        entry = self.document["diffs"][index]
        rows = self._rows_of[index]
        edits = {number: self._edit(number) for number in self._edits_of[index]}
        pairs = [self._pair(row, rows[0]) for row in rows]
        notes = _window_notes(entry, len(pairs), sum(edit.counted for edit in edits.values()))
        diff = _SavedDiff(
            entry["baseline_digest"] or "",
            entry["trace_digest"] or "",
            entry["certified"],
            tuple(edits.values()),
            tuple(self._cause(number, edits) for number in self._causes_of[index]),
            tuple(pairs),
            entry["ignored"],
            (*notes, *entry["notes"]),
            stated=entry["spans"],
        )
        reviews = {
            edit.edit_id: review
            for number, edit in edits.items()
            if (review := self._word("reviews", self.edits["review"][number])) is not None
        }
        baseline = [self._baseline_parent(row, rows[0], edits) for row in rows]
        return _compared(
            entry,
            diff,
            findings,
            baseline=self._table(rows, "baseline_", baseline, entry["baseline_length_us"]),
            current=self._table(rows, "", [pair.parent for pair in pairs], entry["length_us"]),
            reviews=reviews,
        )

    def edits_of(self, row: int) -> Iterator[int]:
        """Numbers of the edits of a row."""
        listed = self.rows["edits"][row]
        return iter(()) if listed == "-" else map(int, listed.split(","))

    def _word(self, kind: str, number: str) -> Any:
        return None if number == "-1" else self.document[kind][int(number)]

    def _edit(self, number: int) -> Edit:
        column = {name: values[number] for name, values in self.edits.items()}
        rows = self.spans_of[number]
        return Edit(
            column["edit_id"],
            "" if column["cause"] == "-1" else self.causes["cause_id"][int(column["cause"])],
            self._word("ops", column["op"]),
            self._word("paths", column["path"]),
            self._word("paths", column["baseline_path"]),
            self._word("keys", column["key"]),
            self._word("values", column["baseline"]),
            self._word("values", column["current"]),
            int(column["cost"]),
            column["counted"] == "1",
            self._word("rules", column["rule"]) or "",
            self._word("reasons", column["reason"]) or "",
            self._word("services", self.rows["service"][rows[0]]) if rows else "",
            tuple(row for row in rows if self._has(row, "baseline_name")),
            tuple(row for row in rows if self._has(row, "name")),
            score=int(column["score"]) / _PER_MILLE,
            runner_up=self._runner_up(column),
        )

    def _runner_up(self, column: Mapping[str, str]) -> RunnerUp | None:
        path = self._word("paths", column["runner_up"])
        if path is None:
            return None
        score, cost, free = (int(column[f"runner_up_{name}"]) for name in ("score", "cost", "free"))
        return RunnerUp(path, score / _PER_MILLE, cost, is_free=bool(free))

    def _cause(self, number: int, edits: Mapping[int, Edit]) -> Cause:
        column = {name: values[number] for name, values in self.causes.items()}
        mine = (edit for place, edit in edits.items() if self.edits["cause"][place] == str(number))
        return Cause(
            column["cause_id"],
            self._word("messages", column["message"]) or "",
            tuple(edit.edit_id for edit in mine),
            int(column["cost"]),
            column["counted"] == "1",
        )

    # ----------------------------------------------------------------------------------------------- rows

    def _has(self, row: int, name: str) -> bool:
        return self.rows[name][row] != "-1"

    def _pair(self, row: int, first: int) -> SpanPair:
        column = {name: values[row] for name, values in self.rows.items()}
        parent = int(column["parent"])
        old = row if self._has(row, "baseline_name") else None
        new = row if self._has(row, "name") else None
        return SpanPair(
            self._word("statuses", column["status"]),
            self._word("names", column["name"]),
            self._word("names", column["baseline_name"]),
            self._word("services", column["service"]) or "",
            old,
            new,
            # Row 0 of a table is the whole trace.
            None if old is None else row - first + 1,
            None if new is None else row - first + 1,
            None if parent == -1 else parent - first,
            int(column["depth"]),
            tuple(self.edits["edit_id"][number] for number in self.edits_of(row)),
        )

    def _baseline_parent(self, row: int, first: int, edits: Mapping[int, Edit]) -> int | None:
        """The place of a span in the baseline: what moved says itself where it was."""
        moves = [edits[number] for number in self.edits_of(row) if edits[number].op == "move"]
        if moves:
            above = (moves[0].baseline_path or "").removesuffix(f"/{self._word_at(row, 'baseline_name')}")
            return next((other - first for other in self._baseline_paths.get(above, ())), None)
        parent = int(self.rows["parent"][row])
        while parent != -1 and not self._has(parent, "baseline_name"):
            parent = int(self.rows["parent"][parent])
        return None if parent == -1 else parent - first

    def _word_at(self, row: int, name: str) -> str:
        return str(self._word("names", self.rows[name][row]))

    @cached_property
    def _baseline_paths(self) -> dict[str, list[int]]:
        """Rows by their path in the baseline, as far as the merged tree shows it."""
        found: dict[str, list[int]] = defaultdict(list)
        paths: list[str] = []
        for row, parent in enumerate(map(int, self.rows["parent"])):
            above = paths[parent] if parent != -1 else ""
            name = self._word_at(row, "baseline_name") if self._has(row, "baseline_name") else None
            paths.append(above if name is None else f"{above}/{name}" if above else name)
            if name is not None:
                found[paths[-1]].append(row)
        return found

    def _table(
        self, rows: Sequence[int], side: str, parents: Sequence[int | None], length_us: int
    ) -> SpanTable | None:
        """One side's spans with their times; its row 0 lasts as long as the whole trace did."""
        if not rows:
            return None
        end_ns = length_us * 1_000 or None
        spans = [Span(_TRACE, "whole", "", start_ns=0 if end_ns else None, end_ns=end_ns, own=True)]
        for place, (row, parent) in enumerate(zip(rows, parents, strict=True)):
            start, length = (int(self.rows[f"{side}{name}"][row]) for name in ("start_us", "duration_us"))
            spans.append(
                Span(
                    _TRACE,
                    str(place),
                    str(self._word("names", self.rows[f"{side}name"][row]) or ""),
                    None if parent is None else str(parent),
                    start_ns=None if start == -1 else start * 1_000,
                    end_ns=None if -1 in (start, length) else (start + length) * 1_000,
                    resource=Resource({"service.name": self._word("services", self.rows["service"][row])}),
                )
            )
        return SpanTable(spans)


def _columns(packed: Mapping[str, str]) -> dict[str, list[str]]:
    return {name: values.split() for name, values in packed.items()}


def _by_diff(columns: Mapping[str, list[str]]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = defaultdict(list)
    for number, diff in enumerate(columns["diff"]):
        found[int(diff)].append(number)
    return found


def _window_notes(entry: Mapping[str, Any], spans: int, edits: int) -> Iterator[str]:
    total = sum(entry["spans"].values())
    if spans < total or edits < entry["edits"]:
        yield (
            f"this is what a notebook keeps: {number_text(spans)} of {number_text(total, 'span')}, "
            f"{number_text(edits)} of {number_text(entry['edits'], 'edit')}"
        )


def _compared(
    entry: Mapping[str, Any], diff: Diff, findings: Sequence[Mapping[str, Any]], **sides: Any
) -> Compared:
    # Reports name a comparison by its id alone; in a durable document one side may be a file, which has none.
    test_id, scenario = (entry["test"], entry["scenario"]) if "test" in entry else scenario_of(entry["id"])
    finding = _finding(entry, test_id, scenario, findings)
    return Compared(
        test_id,
        scenario,
        entry["status"],
        # Only what was compared is certified.
        diff if entry["certified"] else None,
        code=entry.get("code"),
        composed=entry["composed"],
        version=entry.get("version"),
        diagnostics=() if finding is None else (finding,),
        baseline_name=entry.get("baseline_name"),
        baseline_digest=entry["baseline_digest"],
        trace_digest=entry["trace_digest"],
        file=entry.get("file"),
        **sides,
    )


def _finding(
    entry: Mapping[str, Any], test_id: str, scenario: str | None, findings: Sequence[Mapping[str, Any]]
) -> Diagnostic | None:
    """The finding that says why a comparison has its code; ``None`` where it has none, or none is left."""
    code = entry.get("code")
    if code not in CODES:
        return None
    mine = (code, test_id, scenario)
    found = next((f for f in findings if (f["code"], f.get("test"), f.get("scenario")) == mine), None)
    if found is None:
        return None
    return Diagnostic(
        code,
        found["message"],
        file=found.get("file"),
        line=found.get("line"),
        column=found.get("column"),
        hint=found.get("hint"),
        severity=found.get("severity", ""),
        test=test_id,
        scenario=scenario,
    )
