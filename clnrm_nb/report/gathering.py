"""What a run has of its tests together: their findings, each once, and their spans, as one trace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from clnrm_nb.report.text import Mask
    from clnrm_nb.report.trace import Trace
    from clnrm_nb.spans.table import SpanTable

__all__ = ["gathered", "trace_of", "without_told"]


def gathered(own: Iterable[Any], tests: Iterable[Any]) -> list[dict[str, Any]]:
    """All findings of a run, each with its test, each once, in the order of every report."""
    findings = {(finding.get("test"), *_place(finding)): finding for finding in own}
    for test in tests:
        for finding in test["diagnostics"]:
            findings.setdefault((test["id"], *_place(finding)), {**finding, "test": test["id"]})
    return sorted(
        findings.values(),
        key=lambda f: (f["file"] or "", f["line"] or 0, f["column"] or 0, f["code"], f.get("test") or ""),
    )


def without_told(findings: Iterable[Any], tests: Iterable[Any]) -> list[Any]:
    """Findings that none of the tests has."""
    told = {_place(finding) for test in tests for finding in test["diagnostics"]}
    return [finding for finding in findings if _place(finding) not in told]


def _place(finding: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(finding.get(key) for key in ("file", "line", "column", "code", "message", "scenario"))


def trace_of(
    spans: Sequence[tuple[str, SpanTable]],
    tests: Sequence[Mapping[str, Any]],
    *,
    mask: Mask | None,
    max_rows: int,
) -> Trace:
    """The spans of tests, scenarios in the order of their files."""
    from clnrm_nb.report.trace import Trace

    order = {test["id"]: [scenario["name"] for scenario in test["scenarios"]] for test in tests}
    return Trace(spans, mask=mask, scenarios=order, max_rows=max_rows, command="run")
