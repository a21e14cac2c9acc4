"""A run out of a document again: a JSON report, a stored run, or what a notebook kept of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.report.gathering import trace_of
from clnrm_nb.report.results import RunResult
from clnrm_nb.report.saved import is_durable, report_of, spans_of
from clnrm_nb.report.text import json_ready

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clnrm_nb.report.diffs import TraceDiff
    from clnrm_nb.report.text import Mask
    from clnrm_nb.report.verdict import Leave
    from clnrm_nb.spans.table import SpanTable

__all__ = ["result_of"]

_MOST_ROWS: Final = 1_000


def result_of(
    raw: Mapping[str, Any], spans: Sequence[tuple[str, SpanTable]], *, leave: Leave, mask: Mask | None
) -> RunResult:
    """See :meth:`RunResult.from_document <clnrm_nb.report.results.RunResult.from_document>`."""
    is_kept = is_durable(raw, "result")
    report = report_of(raw) if is_kept else raw
    if not isinstance(report, dict) or report.get("format") != "clnrm-report/1":
        raise ValueError("it does not say `format: clnrm-report/1`")
    if "tests" not in report.get("data", {}):
        raise ValueError(f"it is a report of `{report.get('command')}`, which runs no tests")
    result = RunResult([], leave=leave)
    known = json_ready({key: report[key] for key in result.raw}, mask)
    for test in known["data"]["tests"]:
        # Reports may leave out what section 11.3 of the format does not show.
        for key, default in (("diagnostics", []), ("reason", None), ("complete", True)):
            test.setdefault(key, default)
    result.raw = known
    result.diff = _diff_of(raw.get("diff"), known, leave, mask)
    if is_kept and raw.get("trace") and not spans:
        spans = spans_of(raw["trace"])
    result.spans = trace_of(spans, known["data"]["tests"], mask=mask, max_rows=_MOST_ROWS)
    return result


def _diff_of(
    document: Mapping[str, Any] | None, report: Mapping[str, Any], leave: Leave, mask: Mask | None
) -> TraceDiff | None:
    """What a run was compared with: from the durable document of that, else from the report's own entries."""
    from clnrm_nb.report.diffs import TraceDiff
    from clnrm_nb.report.saveddiff import comparisons_of_report

    if document is not None:
        return TraceDiff.from_document(document, report["diagnostics"], leave=leave, mask=mask)
    entries = report["data"].get("diffs")
    if entries is None:
        return None
    return TraceDiff(comparisons_of_report(entries, report["diagnostics"]), command="run", leave=leave)
