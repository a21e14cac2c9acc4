"""What comparisons mean for a command: findings, exit status, and their entries in a JSON report."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.codes import CODES
from clnrm_nb.diff.model import STATUSES
from clnrm_nb.errors import Diagnostic
from clnrm_nb.report.text import json_ready

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clnrm_nb.report.difflayout import Compared
    from clnrm_nb.report.verdict import Leave

__all__ = ["entry_of", "exit_code_of_comparison", "explained", "findings_of"]

_STATUS_OF_CODE: Final = {
    "CLN701": "there is no accepted trace yet",
    "CLN702": "the baseline is damaged",
    "CLN703": "the baseline is of a newer format",
    "CLN704": "the trace differs from the baseline",
    "CLN705": "this trace was rejected",
    "CLN706": "no scenario uses this baseline",
    "CLN707": "the trace is incomplete and was not compared",
}


def explained(compared: Compared) -> Compared:
    """A comparison whose code is said by at least one of its findings."""
    if compared.code is None or compared.diagnostics:
        return compared
    message = f"{compared.id}: {_STATUS_OF_CODE.get(compared.code, CODES[compared.code].condition)}"
    file = compared.test_id.partition("[")[0]
    finding = Diagnostic(compared.code, message, file=file, test=compared.test_id, scenario=compared.scenario)
    return replace(compared, diagnostics=(finding,))


def exit_code_of_comparison(compared: Compared, leave: Leave, *, is_ci: bool) -> int:
    """What a comparison makes of the command; severities of its findings are final."""
    lets_incomplete = leave.not_evaluated and not is_ci
    errors = [finding.code for finding in compared.diagnostics if finding.severity == "error"]
    causes = [CODES[code].exit_code for code in errors if code != "CLN707" or not lets_incomplete]
    if compared.differs and compared.code is None:
        # Two files: there is nobody's finding, only a difference.
        causes.append(1)
    if not leave.warnings and any(finding.severity == "warning" for finding in compared.diagnostics):
        causes.append(1)
    return max(causes, default=0)


def findings_of(comparisons: Iterable[Compared]) -> list[dict[str, Any]]:
    """What comparisons have to report, each finding with its test."""
    found: list[dict[str, Any]] = []
    for compared in comparisons:
        for finding in compared.diagnostics:
            document = json_ready(finding.to_json())
            document.setdefault("test", compared.test_id)
            found.append(document)
    return found


def entry_of(compared: Compared) -> dict[str, Any]:
    """The entry of a comparison in ``data.diffs`` (``format.md`` 11.3)."""
    diff = compared.diff
    more = {"code": compared.code, "version": compared.version, "file": compared.file}
    if diff is not None:
        document = diff.to_json(compared.id, status=compared.status, composed=compared.composed)
        return {**json_ready(document), **more}
    return {
        "id": compared.id,
        "status": compared.status,
        "baseline_digest": compared.baseline_digest,
        "trace_digest": compared.trace_digest,
        "composed": compared.composed,
        "certified": False,
        "spans": dict.fromkeys(STATUSES, 0),
        "edits": [],
        "causes": [],
        **more,
    }
