"""TAP 13: a line a case, what went wrong in a YAML block below it (``format.md`` 11.3)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from clnrm_nb.report.cases import Case, diff_cases
from clnrm_nb.report.text import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clnrm_nb.report.diffs import TraceDiff
    from clnrm_nb.report.findings import Diagnostics
    from clnrm_nb.report.results import RunResult

__all__ = ["diagnostics_tap", "diff_tap", "run_tap"]


def run_tap(result: RunResult) -> str:
    """The document of a run."""
    cases = [case for test in result.tests for case in result.cases(test)]
    return _document(cases, lets_not_evaluated=result.leave.not_evaluated)


def diff_tap(result: TraceDiff) -> str:
    """The document of a diff: a line a cause."""
    cases = [case for compared in result.comparisons for case in diff_cases(compared)]
    return _document(cases, lets_not_evaluated=result.leave.not_evaluated)


def diagnostics_tap(result: Diagnostics) -> str:
    """The document of a list of findings: a line a file."""
    files: dict[str, list[Mapping[str, Any]]] = {file["file"]: [] for file in result.raw["data"]["files"]}
    for finding in result.raw["diagnostics"]:
        files.setdefault(finding["file"] or "(no file)", []).append(finding)
    fails = set() if result.ok else {"error", "warning"}
    cases = []
    for file, findings in files.items():
        bad = [finding for finding in findings if finding["severity"] in fails]
        first = f"{bad[0]['code']} {bad[0]['message']}" if bad else ""
        cases.append(Case(file, result.raw["command"], "failed" if bad else "passed", message=first))
    return _document(cases, lets_not_evaluated=False)


def _document(cases: Sequence[Case], *, lets_not_evaluated: bool) -> str:
    lines = ["TAP version 13", f"1..{len(cases)}"]
    for number, case in enumerate(cases, 1):
        lines += _case(number, case, lets_not_evaluated=lets_not_evaluated)
    return "\n".join(lines) + "\n"


def _case(number: int, case: Case, *, lets_not_evaluated: bool) -> list[str]:
    # A backslash keeps a name from being read as a directive.
    name = one_line(case.id).replace("\\", "\\\\").replace("#", "\\#")
    is_let = case.outcome == "not-evaluated" and lets_not_evaluated
    is_ok = case.outcome in {"passed", "skipped"} or is_let
    directive = ""
    if case.outcome == "skipped":
        directive = f" # SKIP {one_line(case.message)}".rstrip()
    elif is_let:
        directive = " # SKIP not evaluated"
    elif case.outcome == "not-evaluated":
        directive = " # TODO not evaluated"
    line = f"{'ok' if is_ok else 'not ok'} {number} - {name}{directive}"
    return [line, *_block(case)]


def _block(case: Case) -> list[str]:
    facts: dict[str, Any] = {}
    if case.outcome not in {"passed", "skipped"}:
        facts["message"] = case.message
        facts["severity"] = "error" if case.outcome in {"error", "interrupted"} else "fail"
        facts["code"] = case.code
    if case.is_cached:
        facts["cached"] = True
    if case.is_flaky:
        facts["flaky"] = True
    if case.quieted:
        facts["quieted"] = dict(case.quieted)
    if case.duration_ms:
        facts["duration_ms"] = round(case.duration_ms, 3)
    if case.detail and case.outcome != "passed":
        facts["detail"] = case.detail
    if not facts:
        return []
    # JSON strings are YAML strings, with nothing left to escape.
    return ["  ---", *(f"  {key}: {json.dumps(value)}" for key, value in facts.items()), "  ..."]
