"""The MIME document of a diff: what a notebook keeps of it, and what JupyterLab shows without a kernel.

Packed like a trace (:mod:`~clnrm_nb.report.documents`): three sets of columns, for rows of the merged tree,
for edits and for causes, one text a column; words stand once in a list and columns hold their numbers. What
does not fit is counted, in all and at the place where it is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from clnrm_nb.diff.model import OPS, STATUSES
from clnrm_nb.report.documents import Words, fitting, saved_bytes, shortened
from clnrm_nb.report.frames import REVIEWS
from clnrm_nb.report.text import json_ready

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clnrm_nb.diff.model import Cause, Edit
    from clnrm_nb.report.difflayout import Compared, DiffLayout, Window

__all__ = ["diff_document", "fitted_document"]

_EDITS_PERCENT: Final = 47
_DIFFS_PERCENT: Final = 25
_LONGEST_NAME: Final = 200
_LONGEST_PATH: Final = 240
_LONGEST_TEXT: Final = 400
_LONGEST_VALUE: Final = 600
_PER_MILLE: Final = 1_000
_EDIT_BYTES: Final = 90
"""Weight of an edit's numbers and ids."""
_WORD_BYTES: Final = 14
"""Weight of the quotes, the indent and the comma of a word in a list."""
_FINDINGS_BYTES: Final = 6_000
_MOST_KEYS: Final = 20
_MOST_NOTES: Final = 5
_WORDS: Final = ("names", "services", "paths", "keys", "values", "rules", "reasons", "messages")

ROW_COLUMNS: Final = (
    "diff",
    "status",
    "depth",
    "parent",
    "name",
    "baseline_name",
    "service",
    "start_us",
    "duration_us",
    "baseline_start_us",
    "baseline_duration_us",
    "left_out",
    "edits",
)
EDIT_COLUMNS: Final = (
    "diff",
    "edit_id",
    "cause",
    "op",
    "path",
    "baseline_path",
    "key",
    "baseline",
    "current",
    "cost",
    "counted",
    "rule",
    "reason",
    "score",
    "runner_up",
    "runner_up_score",
    "runner_up_cost",
    "runner_up_free",
    "review",
)
CAUSE_COLUMNS: Final = ("diff", "cause_id", "message", "edits", "cost", "counted")


def fitted_document(
    layout: DiffLayout,
    rows: int,
    verdict: Mapping[str, Any],
    findings: Sequence[dict[str, Any]] = (),
    *,
    budget_bytes: int,
) -> dict[str, Any]:
    """:func:`diff_document` of at most `rows` rows, fewer where they weigh more than `budget_bytes` bear.

    Parameters
    ----------
    rows : int
        At least 1.
    budget_bytes : int
        What the document may weigh in a notebook file.
    """
    spare = 0
    while True:
        document = diff_document(
            layout,
            layout.window(rows),
            verdict,
            findings,
            edits_bytes=budget_bytes * _EDITS_PERCENT // 100,
            diffs_bytes=budget_bytes * _DIFFS_PERCENT // 100 + spare,
        )
        left = budget_bytes - saved_bytes(document)
        shown = document["shown"]
        if left > 0 and not spare and shown["diffs"] < document["total"]["diffs"]:
            # What edits and rows leave is for comparisons that are not shown yet.
            spare = left
        elif left >= 0 or rows <= 1:
            return document
        else:
            # Names weigh too, so that a row is worth more than its numbers.
            of_rows = sum(map(len, document["rows"].values()))
            rows = min(rows, shown["spans"])
            fitting_rows = rows * max(of_rows + left, 0) // of_rows * 49 // 50
            # Rows of many comparisons bring their entries along, which go with them.
            rows = max(fitting_rows, rows // 3, 1)


def diff_document(
    layout: DiffLayout,
    window: Window,
    verdict: Mapping[str, Any],
    findings: Sequence[dict[str, Any]] = (),
    *,
    edits_bytes: int,
    diffs_bytes: int,
) -> dict[str, Any]:
    """Comparisons, their edits and causes, and the rows of `window`.

    Parameters
    ----------
    layout : DiffLayout
    window : Window
        Rows to hold.
    verdict : mapping
        ``command``, ``ok`` and ``exit_code`` of the result.
    findings : sequence of dict
        Those that belong to no comparison; as many as fit.
    edits_bytes, diffs_bytes : int
        Budgets for what edits and causes, and what comparisons weigh in a notebook file.

    Returns
    -------
    dict
        See ``clnrm_nb/schemas/diff.v1.schema.json``.
    """
    packing = _Packing(layout)
    packing.add_diffs(window, diffs_bytes)
    packing.add_edits(edits_bytes)
    rows = packing.rows(window)
    return {
        "version": 1,
        "kind": "diff",
        **{key: verdict[key] for key in ("command", "ok", "exit_code")},
        "total": {
            "diffs": len(layout.parts),
            "spans": len(layout),
            "edits": sum(len(part.edits) for part in layout.parts),
            "causes": sum(len(part.diff.causes) for part in layout.parts if part.diff is not None),
        },
        "shown": {
            "diffs": len(packing.diffs),
            "spans": len(window.places),
            "edits": len(packing.edits["op"]),
            "causes": len(packing.causes["cost"]),
        },
        "diagnostics": fitting(findings, _FINDINGS_BYTES),
        "spans": layout.totals(),
        "diffs": packing.diffs,
        "statuses": list(STATUSES),
        "ops": list(OPS),
        "reviews": list(REVIEWS),
        **{name: words.listed() for name, words in packing.words.items()},
        "rows": rows,
        "edits": {name: " ".join(values) for name, values in packing.edits.items()},
        "causes": {name: " ".join(values) for name, values in packing.causes.items()},
    }


class _Values(Words):
    """JSON values; 1, 1.0 and true are three of them."""

    def __init__(self) -> None:
        super().__init__()
        self._values: list[Any] = []

    def knows(self, value: Any) -> bool:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS) in self.numbers

    def number_of(self, value: Any) -> int:
        known = len(self.numbers)
        number = self.number(orjson.dumps(value, option=orjson.OPT_SORT_KEYS))
        if number == known:
            self._values.append(value)
        return number

    def listed(self) -> list[Any]:
        return self._values


class _Packing:
    """Numbers and words while a document grows."""

    def __init__(self, layout: DiffLayout) -> None:
        self.layout = layout
        self.words: dict[str, Words] = {name: Words() for name in _WORDS}
        self.values = self.words["values"] = _Values()
        self.diffs: list[dict[str, Any]] = []
        self.edits: dict[str, list[str]] = {name: [] for name in EDIT_COLUMNS}
        self.causes: dict[str, list[str]] = {name: [] for name in CAUSE_COLUMNS}
        self._diff_of: dict[int, int] = {}
        self._edit_of: dict[tuple[int, str], int] = {}
        self._cause_of: dict[tuple[int, str], int] = {}

    def add_diffs(self, window: Window, budget_bytes: int) -> None:
        """Comparisons: those with rows, then those that are not the same, then the others, while they fit."""
        layout = self.layout
        with_rows = {layout.part[place] for place in window.places}
        order = sorted(
            range(len(layout.parts)),
            key=lambda index: (index not in with_rows, layout.parts[index].status == "same", index),
        )
        kept: dict[int, dict[str, Any]] = {}
        for index in order:
            entry = _entry(layout, index, window.left_out_above[index])
            budget_bytes -= saved_bytes(entry)
            if budget_bytes < 0 and index not in with_rows:
                break
            kept[index] = entry
        for index in sorted(kept):
            self._diff_of[index] = len(self.diffs)
            self.diffs.append(kept[index])

    def add_edits(self, budget_bytes: int) -> None:
        """Edits and their causes in the order of display; every comparison gets its share of the budget."""
        indices = [index for index in self._diff_of if self.layout.parts[index].edits]
        for position, index in enumerate(indices):
            part = self.layout.parts[index]
            share = left = budget_bytes // (len(indices) - position)
            causes = {cause.cause_id: cause for cause in part.diff.causes} if part.diff is not None else {}
            for edit in part.edits:
                left -= self._weight(edit, causes.get(edit.cause_id))
                if left < 0:
                    break
                self._add_edit(index, edit, causes.get(edit.cause_id))
            budget_bytes -= share - max(left, 0)

    def _weight(self, edit: Edit, cause: Cause | None) -> int:
        """What an edit adds to the document: its numbers, and words that are not there yet."""
        other = edit.runner_up.path if edit.runner_up is not None else None
        named = (edit.path, edit.baseline_path, other)
        paths = {_path(path) for path in named if path is not None}
        texts = [*(("paths", path) for path in paths), ("keys", edit.key), ("rules", edit.rule)]
        texts += [("reasons", edit.reason), ("messages", cause.message if cause else None)]
        new = sum(
            _WORD_BYTES + min(len(text), _LONGEST_TEXT)
            for kind, text in texts
            if text is not None and text not in self.words[kind].numbers
        )
        values = (_value(value) for value in (edit.baseline, edit.current))
        return (
            _EDIT_BYTES + new + sum(0 if self.values.knows(value) else saved_bytes(value) for value in values)
        )

    def _add_edit(self, part: int, edit: Edit, cause: Cause | None) -> None:
        review, other = self.layout.parts[part].reviews.get(edit.edit_id), edit.runner_up
        self._edit_of[part, edit.edit_id] = len(self.edits["op"])
        values = (
            self._diff_of[part],
            edit.edit_id,
            self._cause(part, cause),
            OPS.index(edit.op),
            self._word("paths", None if edit.path is None else _path(edit.path)),
            self._word("paths", None if edit.baseline_path is None else _path(edit.baseline_path)),
            self._word("keys", edit.key),
            self.values.number_of(_value(edit.baseline)),
            self.values.number_of(_value(edit.current)),
            edit.cost,
            int(edit.counted),
            self._word("rules", edit.rule),
            self._word("reasons", edit.reason),
            round(edit.score * _PER_MILLE),
            *(
                (-1, 0, 0, 0)
                if other is None
                else (
                    self._word("paths", _path(other.path)),
                    round(other.score * _PER_MILLE),
                    other.cost,
                    int(other.is_free),
                )
            ),
            REVIEWS.index(review) if review in REVIEWS else -1,
        )
        for name, value in zip(EDIT_COLUMNS, values, strict=True):
            self.edits[name].append(str(value))

    def _cause(self, part: int, cause: Cause | None) -> int:
        if cause is None:
            return -1
        key = (part, cause.cause_id)
        if key not in self._cause_of:
            self._cause_of[key] = len(self._cause_of)
            message = self._word("messages", cause.message)
            values = (self._diff_of[part], cause.cause_id, message, len(cause.edits), cause.cost)
            for name, value in zip(CAUSE_COLUMNS, (*values, int(cause.counted)), strict=True):
                self.causes[name].append(str(value))
        return self._cause_of[key]

    def _word(self, kind: str, text: str | None, longest: int = _LONGEST_TEXT) -> int:
        return (
            -1
            if text is None
            else self.words[kind].number(text if len(text) <= longest else text[:longest] + "…")
        )

    def rows(self, window: Window) -> dict[str, str]:
        """The columns of the rows."""
        columns: dict[str, list[str]] = {name: [] for name in ROW_COLUMNS}
        for place, parent, left_out in zip(window.places, window.parents, window.left_out, strict=True):
            part, pair = self.layout.part[place], self.layout.pairs[place]
            known = (self._edit_of.get((part, edit)) for edit in pair.edits)
            edits = ",".join(str(number) for number in known if number is not None)
            values = (
                self._diff_of[part],
                STATUSES.index(pair.status),
                pair.depth,
                parent,
                self._word("names", pair.name, _LONGEST_NAME),
                self._word("names", pair.baseline_name, _LONGEST_NAME),
                self._word("services", pair.service, _LONGEST_NAME),
                *map(_microseconds, self.layout.times_ns(place, of_baseline=False)),
                *map(_microseconds, self.layout.times_ns(place, of_baseline=True)),
                left_out,
                edits or "-",
            )
            for column, value in zip(columns.values(), values, strict=True):
                column.append(str(value))
        return {name: " ".join(values) for name, values in columns.items()}


def _entry(layout: DiffLayout, index: int, left_out: int) -> dict[str, Any]:
    part = layout.parts[index]
    return {
        "id": _cut(part.id),
        "test": _cut(part.test_id),
        "scenario": None if part.scenario is None else _cut(part.scenario),
        "status": part.status,
        "code": part.code,
        "message": _cut(part.diagnostics[0].message) if part.diagnostics else None,
        "baseline_name": None if part.baseline_name is None else _cut(part.baseline_name),
        "version": part.version,
        **_facts(part),
        "length_us": layout.length_ns(index, of_baseline=False) // 1_000,
        "baseline_length_us": layout.length_ns(index, of_baseline=True) // 1_000,
        "left_out": left_out,
    }


def _facts(part: Compared) -> dict[str, Any]:
    diff = part.diff
    if diff is None:
        return {
            "baseline_digest": part.baseline_digest,
            "trace_digest": part.trace_digest,
            "composed": part.composed,
            "certified": False,
            "spans": dict.fromkeys(STATUSES, 0),
            "edits": 0,
            "cost": 0,
            "quieted": {},
            "ignored": {},
            "notes": [],
        }
    return {
        "baseline_digest": diff.baseline_digest,
        "trace_digest": diff.trace_digest,
        "composed": part.composed,
        "certified": diff.certified,
        "spans": diff.totals,
        "edits": len(diff.counted),
        "cost": diff.cost,
        "quieted": dict(list(diff.quieted.items())[:_MOST_KEYS]),
        "ignored": dict(list(diff.ignored.items())[:_MOST_KEYS]),
        "notes": [_cut(note) for note in diff.notes[:_MOST_NOTES]],
    }


def _microseconds(time_ns: int | None) -> int:
    return -1 if time_ns is None else time_ns // 1_000


def _value(value: Any) -> Any:
    return shortened(json_ready(value), _LONGEST_VALUE)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"


def _path(path: str) -> str:
    """Of a very long path the end, where the span is."""
    return path if len(path) <= _LONGEST_PATH else f"…{path[-_LONGEST_PATH:]}"
