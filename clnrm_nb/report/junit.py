"""JUnit XML: a suite a test, a case a scenario, expectation and cause of a diff (``format.md`` 11.3).

CI systems read nothing but failures, errors and skips, so what was not evaluated is a failure unless the
person gave leave; nothing that did not hold can look green.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from clnrm_nb.report.cases import Case, diff_cases

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clnrm_nb.report.diffs import TraceDiff
    from clnrm_nb.report.findings import Diagnostics
    from clnrm_nb.report.results import RunResult

__all__ = ["cases_junit", "diagnostics_junit", "diff_junit", "run_junit"]

# Everything outside the Char production of XML 1.0.
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def run_junit(result: RunResult) -> str:
    """The document of a run."""
    suites = [(test, result.cases(test)) for test in result.tests]
    if result.ok:
        suites = [(test, [_wanted(case, result.raw["command"]) for case in cases]) for test, cases in suites]
    return _document(suites, result.raw, lets_not_evaluated=result.leave.not_evaluated)


def _wanted(case: Case, command: str) -> Case:
    """A failure in a result that is ok was what the command wanted to see, such as a recorded one again."""
    if case.outcome not in ("failed", "error"):
        return case
    return replace(
        case, outcome="skipped", message=f"{case.message or case.outcome} (as `{command}` expects)"
    )


def diff_junit(result: TraceDiff) -> str:
    """The document of a diff: a suite a test, a case a cause."""
    suites: dict[str, list[Case]] = {}
    for compared in result.comparisons:
        suites.setdefault(compared.test_id, []).extend(diff_cases(compared))
    facts = [({"id": test_id, "duration_ms": 0.0}, cases) for test_id, cases in suites.items()]
    return _document(facts, result.raw, lets_not_evaluated=result.leave.not_evaluated)


def diagnostics_junit(result: Diagnostics) -> str:
    """The document of a list of findings: a case a file."""
    by_file: dict[str, list[Mapping[str, Any]]] = {file["file"]: [] for file in result.raw["data"]["files"]}
    for finding in result.raw["diagnostics"]:
        by_file.setdefault(finding["file"] or "(no file)", []).append(finding)
    fails = {"error"} if result.ok else {"error", "warning"}
    if result.raw["exit_code"] == 0:
        fails = set()
    suites = []
    for file, findings in by_file.items():
        bad = [finding for finding in findings if finding["severity"] in fails]
        case = Case(
            test=file,
            name=result.raw["command"],
            outcome="failed" if bad else "passed",
            message=bad[0]["message"] if bad else "",
            detail="\n".join(
                f"{f['line']}:{f['column']}: {f['severity']} {f['code']} {f['message']}" for f in findings
            ),
            code=bad[0]["code"] if bad else "",
        )
        suites.append(({"id": file, "duration_ms": 0.0}, [case]))
    return _document(suites, result.raw, lets_not_evaluated=False)


def cases_junit(
    suites: Sequence[tuple[Mapping[str, Any], Sequence[Case]]],
    raw: Mapping[str, Any],
    *,
    lets_not_evaluated: bool = False,
) -> str:
    """The document of cases that somebody else gathered.

    Parameters
    ----------
    suites : sequence
        For each suite its facts (``id`` and ``duration_ms`` at least) and its cases.
    raw : mapping
        The report they belong to.
    lets_not_evaluated : bool
        Whether what was not evaluated is a skip.
    """
    return _document(suites, raw, lets_not_evaluated=lets_not_evaluated)


def _document(
    suites: Sequence[tuple[Mapping[str, Any], Sequence[Case]]],
    raw: Mapping[str, Any],
    *,
    lets_not_evaluated: bool,
) -> str:
    root = ET.Element("testsuites", name=f"clnrm {raw['command']}")
    totals = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    for test, cases in suites:
        suite = ET.SubElement(root, "testsuite", name=_legal(test["id"]))
        counts = {"tests": len(cases), "failures": 0, "errors": 0, "skipped": 0}
        _properties(suite, _facts(test))
        for case in cases:
            verdict = _case(suite, case, lets_not_evaluated=lets_not_evaluated)
            if verdict:
                counts[verdict] += 1
        for name, number in counts.items():
            suite.set(name, str(number))
            totals[name] += number
        suite.set("time", _seconds(test["duration_ms"]))
        suite.set("timestamp", str(raw["started_at"] or ""))
    for name, number in totals.items():
        root.set(name, str(number))
    root.set("time", _seconds(raw["duration_ms"]))
    ET.indent(root)
    body = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def _facts(test: Mapping[str, Any]) -> dict[str, str]:
    facts = {
        name: str(test[name]).lower() if isinstance(test[name], bool) else str(test[name])
        for name in ("status", "backend", "hermetic", "replayed", "isolation", "hash")
        if test.get(name) is not None
    }
    if test.get("stored_status"):
        facts["stored_status"] = test["stored_status"]
    return facts


def _case(suite: ET.Element, case: Case, *, lets_not_evaluated: bool) -> str | None:
    """Add a case; tell which count of its suite it adds to."""
    element = ET.SubElement(
        suite,
        "testcase",
        name=_legal(case.name),
        classname=_legal(case.test),
        time=_seconds(case.duration_ms),
    )
    facts = {**({"cached": "true"} if case.is_cached else {}), **case.properties}
    _properties(element, {**facts, **{f"quieted.{rule}": str(n) for rule, n in case.quieted.items()}})
    verdict = _verdict(element, case, lets_not_evaluated=lets_not_evaluated)
    if case.is_flaky and verdict is None:
        flaky = ET.SubElement(element, "flakyFailure", message=_legal(case.message or "passed in a retry"))
        flaky.set("type", _legal(case.code or "flaky"))
    for tag, text in (("system-out", case.stdout), ("system-err", case.stderr)):
        if text:
            ET.SubElement(element, tag).text = _legal(text)
    return verdict


def _verdict(element: ET.Element, case: Case, *, lets_not_evaluated: bool) -> str | None:
    match case.outcome:
        case "failed":
            tag, count, kind = "failure", "failures", case.code
        case "not-evaluated" if not lets_not_evaluated:
            tag, count, kind = "failure", "failures", "not-evaluated"
        case "error":
            tag, count, kind = "error", "errors", case.code
        case "interrupted":
            tag, count, kind = "error", "errors", "interrupted"
        case "skipped" | "not-evaluated":
            tag, count, kind = "skipped", "skipped", ""
        case _:
            return None
    child = ET.SubElement(element, tag, message=_legal(case.message or case.outcome))
    if kind:
        child.set("type", kind)
    if case.detail and tag != "skipped":
        child.text = _legal(case.detail)
    return count


def _properties(parent: ET.Element, facts: Mapping[str, str]) -> None:
    if not facts:
        return
    properties = ET.SubElement(parent, "properties")
    for name, value in facts.items():
        ET.SubElement(properties, "property", name=_legal(name), value=_legal(value))


def _legal(text: str) -> str:
    return _ILLEGAL.sub("\ufffd", text)


def _seconds(duration_ms: float) -> str:
    return f"{duration_ms / 1_000:.3f}"
