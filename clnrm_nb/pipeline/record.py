"""What a run leaves behind: its record in the state store, and the report files its tests name.

A record that cannot be written never breaks a run: it becomes a warning of that run.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from clnrm_nb.errors import Diagnostic
from clnrm_nb.report.files import write_test_reports
from clnrm_nb.spans.loaders import write_otlp_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clnrm_nb.config.project import Project
    from clnrm_nb.report.results import RunResult
    from clnrm_nb.scenario.model import TestFile
    from clnrm_nb.state import State

__all__ = ["record"]


def record(result: RunResult, tests: Mapping[str, TestFile], *, state: State, project: Project) -> None:
    """Store the run and write the files named by ``[report]``.

    Parameters
    ----------
    result : RunResult
        Finished; findings of this function are added to it.
    tests : mapping of str to TestFile
        The valid ones by test id.
    """
    spans = {
        outcome.id: write_otlp_json(outcome.spans)
        for outcome in result.tests
        if outcome.spans is not None and len(outcome.spans)
    }
    state.save_run(result.raw, spans)
    result.add_diagnostics(state.diagnostics)
    for outcome in result.tests:
        if outcome.id in tests and outcome.status not in ("skipped", "error"):
            _write_reports(outcome.id, result, tests[outcome.id], project.root)


def _write_reports(test_id: str, result: RunResult, test: TestFile, root: Path) -> None:
    try:
        write_test_reports(result, test_id, test.report, root)
    except OSError as error:
        where = error.filename or root
        result.add_diagnostics([Diagnostic("CLN001", f"cannot write report {where}: {error.strerror}", severity="warning")])
