"""The MIME documents of durable outputs: what a notebook keeps of a trace, a result, a list of findings.

Versioned by their type (``application/vnd.clnrm.<kind>.v1+json``, schemas in ``clnrm_nb/schemas``), windowed,
masked and small: only what views show. Columns of a trace are packed into one text each, numbers separated by
spaces, because notebooks are saved with a line for every element of an array.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import orjson

from clnrm_nb.spans.model import KINDS, STATUS_CODES

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from clnrm_nb.report.layout import Layout

__all__ = [
    "MIME",
    "Words",
    "diagnostics_document",
    "result_document",
    "saved_bytes",
    "shortened",
    "trace_document",
]

MIME: Final = {
    kind: f"application/vnd.clnrm.{kind}.v1+json" for kind in ("trace", "diff", "result", "diagnostics")
}

_LONGEST_TEXT: Final = 1_000
_LONGEST_NAME: Final = 200
_RESULT_BYTES: Final = 45_000
_RESULT_BYTES_BESIDE_DIFF: Final = 22_000
_FINDINGS_BYTES: Final = 40_000
_TEST_BYTES: Final = 14_000
_PASSED_NAMED: Final = 100
_COMMANDS_SHOWN: Final = 20


class Words:
    """Distinct values in the order of their first use; a column holds their numbers."""

    def __init__(self) -> None:
        self.numbers: dict[Hashable, int] = {}

    def number(self, word: Hashable) -> int:
        """The number of a word, a new one for a new word."""
        return self.numbers.setdefault(word, len(self.numbers))

    def listed(self) -> list[Any]:
        """The words by number."""
        return list(self.numbers)


def trace_document(layout: Layout, places: Sequence[int]) -> dict[str, Any]:
    """Columns of the spans at `places`.

    Returns
    -------
    dict
        ``total`` and ``shown`` state the window. Times are whole microseconds: ``start_us`` from the earliest
        start of the span's test (``origin`` holds it for each test), -1 where unknown. ``parent`` is the
        index of the parent among the spans shown, -1 for none.
    """
    words = {name: Words() for name in ("test", "scenario", "trace_id", "name", "service", "message")}
    columns: dict[str, list[str]] = {name: [] for name in _COLUMNS}
    index_of = {place: index for index, place in enumerate(places)}
    for place in places:
        table, row = layout.table(place), layout.row[place]
        offset, duration = layout.offset_ns(place), layout.duration_ns(place)
        values = (
            quote(table.span_id[row], safe=""),
            index_of.get(layout.parent[place], -1),
            words["test"].number(layout.part[place]),
            words["scenario"].number(table.scenario[row]),
            words["trace_id"].number(table.trace_id[row]),
            words["name"].number(table.name[row][:_LONGEST_NAME]),
            words["service"].number(table.resource[row].service[:_LONGEST_NAME]),
            table.kind[row],
            table.status_code[row],
            words["message"].number(table.status_message[row][:_LONGEST_NAME]),
            -1 if offset is None else offset // 1_000,
            -1 if duration is None else duration // 1_000,
            int(table.own[row]),
        )
        for column, value in zip(columns.values(), values, strict=True):
            column.append(str(value))
    parts = words["test"].listed()
    return {
        "version": 1,
        "kind": "trace",
        "total": len(layout),
        "shown": len(places),
        "tests": [layout.parts[part].test_id for part in parts],
        "origin": [_iso(layout.start_ns[part]) for part in parts],
        "length_us": [layout.length_ns(part) // 1_000 for part in parts],
        "scenarios": words["scenario"].listed(),
        "trace_ids": words["trace_id"].listed(),
        "names": words["name"].listed(),
        "services": words["service"].listed(),
        "messages": words["message"].listed(),
        "kinds": list(KINDS),
        "statuses": list(STATUS_CODES),
        "columns": {name: " ".join(values) for name, values in columns.items()},
    }


_COLUMNS: Final = (
    "span_id",
    "parent",
    "test",
    "scenario",
    "trace_id",
    "name",
    "service",
    "kind",
    "status",
    "message",
    "start_us",
    "duration_us",
    "own",
)


def _iso(time_ns: int | None) -> str | None:
    """Epoch nanoseconds as RFC 3339; years beyond what the calendar holds are unknown."""
    if time_ns is None:
        return None
    try:
        second = datetime.fromtimestamp(time_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return None
    return f"{second}.{time_ns % 10**9:09d}Z"


def result_document(
    raw: dict[str, Any], trace: dict[str, Any] | None, diff: dict[str, Any] | None = None
) -> dict[str, Any]:
    """What a result shows: every test's verdict, what failed in full, what passed by name.

    Parameters
    ----------
    raw : dict
        The JSON report, masked.
    trace, diff : dict, optional
        Documents of the run's spans and of what they were compared with.

    Returns
    -------
    dict
        See ``clnrm_nb/schemas/result.v1.schema.json``; ``diff`` is there only where the run was compared.
    """
    tests = raw["data"]["tests"]
    kept: list[dict[str, Any]] = []
    left = _RESULT_BYTES if diff is None else _RESULT_BYTES_BESIDE_DIFF
    # Tests that ask for attention are kept first, where not all fit.
    for index in sorted(range(len(tests)), key=lambda i: (not _needs_attention(tests[i]), i)):
        document = _test(tests[index])
        left -= saved_bytes(document)
        if left < 0:
            break
        kept.append({"index": index, **document})
    return {
        "version": 1,
        "kind": "result",
        **{key: raw[key] for key in ("command", "ok", "exit_code", "started_at", "duration_ms", "summary")},
        "total": len(tests),
        "shown": len(kept),
        "tests": [
            {key: value for key, value in test.items() if key != "index"}
            for test in sorted(kept, key=lambda test: test["index"])
        ],
        "diagnostics": fitting(raw["diagnostics"], _FINDINGS_BYTES // 4),
        "trace": trace,
        **({} if diff is None else {"diff": diff}),
    }


def _needs_attention(test: dict[str, Any]) -> bool:
    return test["status"] not in {"passed", "cached", "skipped"}


def _test(test: dict[str, Any]) -> dict[str, Any]:
    keys = (
        "id name status stored_status reason duration_ms cached backend hermetic replayed isolation matrix "
        "hash span_count complete"
    )
    results, scenarios = test["expectations"], test["scenarios"]
    passed = [shortened(result["id"]) for result in results if result["status"] == "passed"]
    others = [_verdict(result) for result in results if result["status"] != "passed"]
    return {
        **{key: shortened(test[key]) for key in keys.split() if key in test},
        "counts": {
            "scenarios": len(scenarios),
            "passed": len(passed),
            "failed": sum(result["status"] == "failed" for result in results),
            "not-evaluated": sum(result["status"] == "not-evaluated" for result in results),
        },
        "scenarios": fitting([_scenario(scenario) for scenario in scenarios], _TEST_BYTES),
        "passed": passed[:_PASSED_NAMED],
        "expectations": fitting(others, _TEST_BYTES),
    }


def _scenario(scenario: dict[str, Any]) -> dict[str, Any]:
    keys = ("name", "status", "reason", "duration_ms", "span_count", "trace_digest")
    commands = [_command(command) for command in scenario["commands"]]
    return {**{key: shortened(scenario.get(key)) for key in keys}, "commands": commands[:_COMMANDS_SHOWN]}


def _command(command: dict[str, Any]) -> dict[str, Any]:
    keys = ("name", "status", "service", "exit_code", "attempts", "duration_ms", "reason")
    return {key: shortened(command.get(key)) for key in keys}


def _verdict(result: dict[str, Any]) -> dict[str, Any]:
    return {key: shortened(value) for key, value in result.items() if key != "spans"}


def shortened(value: Any, longest: int = _LONGEST_TEXT) -> Any:
    """Long text is cut, other long values are cut as JSON text."""
    if isinstance(value, str):
        text = value
    elif isinstance(value, dict | list):
        text = orjson.dumps(value).decode()
        if len(text) <= longest:
            return value
    else:
        return value
    if len(text) <= longest:
        return text
    return f"{text[:longest]}… ({len(text):,} characters)"


def diagnostics_document(raw: dict[str, Any]) -> dict[str, Any]:
    """Findings in the form of ``format.md`` 4, as many as fit."""
    findings = raw["diagnostics"]
    shown = fitting(findings, _FINDINGS_BYTES)
    counts = {word: sum(f["severity"] == word for f in findings) for word in ("error", "warning", "info")}
    return {
        "version": 1,
        "kind": "diagnostics",
        **{key: raw[key] for key in ("command", "ok", "exit_code")},
        "total": len(findings),
        "shown": len(shown),
        "counts": counts,
        "diagnostics": shown,
    }


def fitting(findings: Sequence[dict[str, Any]], budget_bytes: int) -> list[dict[str, Any]]:
    """The first of these documents, long texts cut, as many as the budget bears."""
    shown: list[dict[str, Any]] = []
    for finding in findings:
        document = {key: shortened(value) for key, value in finding.items()}
        budget_bytes -= saved_bytes(document)
        if budget_bytes < 0:
            break
        shown.append(document)
    return shown


def saved_bytes(document: Any) -> int:
    """Weight in a notebook file, which is indented."""
    text = orjson.dumps(document, option=orjson.OPT_INDENT_2)
    return len(text) + 8 * text.count(b"\n")
