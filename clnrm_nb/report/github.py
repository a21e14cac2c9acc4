"""Workflow commands of GitHub Actions: an annotation a finding and a failed expectation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clnrm_nb.report.diffwords import MOST_CAUSES, causes_left, counts_text
from clnrm_nb.report.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from clnrm_nb.errors import Diagnostic
    from clnrm_nb.report.difflayout import Compared
    from clnrm_nb.report.diffs import TraceDiff
    from clnrm_nb.report.edited import Edited
    from clnrm_nb.report.findings import Diagnostics
    from clnrm_nb.report.results import RunResult

__all__ = ["diagnostics_github", "diff_github", "run_github"]

_LEVELS = {"error": "error", "warning": "warning", "info": "notice"}


def run_github(result: RunResult) -> str:
    """The annotations of a run."""
    findings = result.raw["diagnostics"]
    told = {(finding["file"], finding["line"], finding["message"]) for finding in findings}
    causes = {
        finding.message: _causes(compared) + _advice(finding)
        for compared in (result.diff.comparisons if result.diff else ())
        for finding in compared.diagnostics[:1]
    }
    lines = [
        _annotation({**finding, "message": finding["message"] + causes.get(finding["message"], "")})
        for finding in findings
    ]
    lines += [
        _annotation(annotation)
        for annotation in _of_tests(result.tests)
        if (annotation["file"], annotation["line"], annotation["message"]) not in told
    ]
    return "".join(f"{line}\n" for line in lines)


def diff_github(result: TraceDiff) -> str:
    """One annotation a comparison, with its first causes: of many, GitHub shows ten a step."""
    told = 0
    lines: list[str] = []
    for compared in result.comparisons:
        findings = [finding.to_json() for finding in compared.diagnostics]
        told += len(findings)
        if compared.differs and not findings:
            message = f"{compared.id} differs: {counts_text(compared)}"
            findings = [
                {"severity": "error", "code": "", "file": compared.test_id, "line": None, "message": message}
            ]
        for index, finding in enumerate(findings):
            more = _causes(compared) if index == 0 else ""
            more += f"\n{finding['hint']}" if index == 0 and finding.get("hint") else ""
            lines.append(_annotation({**finding, "message": f"{finding['message']}{more}"}))
    lines += [_annotation(finding) for finding in result.raw["diagnostics"][told:]]
    return "".join(f"{line}\n" for line in lines)


def _causes(compared: Compared) -> str:
    causes = compared.causes
    named = [f"\n- {cause.message}" for cause in causes[:MOST_CAUSES]]
    if left := causes[MOST_CAUSES:]:
        named.append(f"\n- {causes_left(left)}")
    return "".join(named)


def _advice(finding: Diagnostic) -> str:
    return f"\n{finding.hint}" if finding.hint else ""


def diagnostics_github(result: Diagnostics | Edited) -> str:
    """The annotations of a list of findings."""
    return "".join(f"{_annotation(finding)}\n" for finding in result.raw["diagnostics"])


def _of_tests(tests: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for test in tests:
        file = test["id"].partition("[")[0]
        is_told = any(finding["severity"] == "error" for finding in test["diagnostics"])
        for result in test["expectations"]:
            if result["status"] == "passed":
                continue
            failed = result["status"] == "failed"
            is_told = is_told or failed
            yield {
                "severity": "error" if failed else "warning",
                "code": "CLN612"
                if not failed
                else ("CLN607" if result["reason"] == "no-spans" else "CLN608"),
                "file": result["file"] or file,
                "line": result["line"],
                "message": f"{result['id']}: {result['message']}",
            }
        if test["status"] in {"failed", "error", "interrupted"} and not is_told:
            message = f"{test['id']}: {test['reason'] or test['status']}"
            yield {"severity": "error", "code": "", "file": file, "line": None, "message": message}


def _annotation(finding: Mapping[str, Any]) -> str:
    properties = {
        "file": finding["file"],
        "line": finding["line"],
        "endLine": finding.get("end_line"),
        "col": finding.get("column"),
        "endColumn": finding.get("end_column"),
        "title": finding["code"],
    }
    shown = ",".join(f"{name}={_property(str(value))}" for name, value in properties.items() if value)
    return f"::{_LEVELS[finding['severity']]} {shown}::{_data(finding['message'])}"


def _data(text: str) -> str:
    return visible(text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A"))


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
