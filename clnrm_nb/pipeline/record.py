"""What a run leaves behind: its record in the state store, and the report files its tests name.

A record that cannot be written never breaks a run: it becomes a warning of that run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clnrm_nb.errors import Diagnostic
from clnrm_nb.pipeline.checkout import checkout_of
from clnrm_nb.pipeline.reuse import CachedOutcome
from clnrm_nb.report.results import RunResult
from clnrm_nb.state.evidence import Evidence
from clnrm_nb.state.measures import MEASURES
from clnrm_nb.state.store import GIT, MADE_OF

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clnrm_nb.config.project import Project
    from clnrm_nb.config.settings import Settings
    from clnrm_nb.executor.outcome import TestOutcome
    from clnrm_nb.report.text import Mask
    from clnrm_nb.scenario.model import Report, TestFile
    from clnrm_nb.state import State
    from clnrm_nb.state.evidence import Attempt

__all__ = ["record", "stored_spans"]


def record(
    result: RunResult,
    tests: Mapping[str, TestFile],
    *,
    run_id: str,
    evidence: Sequence[Attempt],
    state: State,
    project: Project,
    settings: Settings,
    mask: Mask,
    kept: Mapping[str, str] | None = None,
    moved_from: Mapping[str, str] | None = None,
    made_of: Mapping[str, Sequence[str | None]] | None = None,
) -> None:
    """Store the run and write the files named by ``[report]``.

    Parameters
    ----------
    result : RunResult
        Finished; what goes wrong here is added to its findings.
    tests : mapping of str to TestFile
        The valid ones by test id.
    mask : callable
        Hides secrets in the files.
    kept, moved_from
        See :meth:`~clnrm_nb.state.store.State.save_run`.
    made_of : mapping of test id to (str, str), optional
        Hashes of files and of the variables they read, for decisions about traces of this run.
    evidence : sequence of Attempt
        Verdicts with the hashes of what they were reached from.
    """
    findings = [
        finding
        for outcome in result.outcomes
        if outcome.id in tests
        and outcome.status not in ("skipped", "error")
        and _names(tests[outcome.id].report)
        for finding in _write_reports(outcome, tests[outcome.id], result, project, mask)
    ]
    unread = [one for one in result.outcomes if isinstance(one, CachedOutcome) and one.is_unread]
    cached = [one.entry for one in result.outcomes if isinstance(one, CachedOutcome)]
    known = {**{entry.test_id: entry.spans for entry in cached if entry.spans}, **(kept or {})}
    spans = {
        outcome.id: content
        for outcome in result.outcomes
        if outcome.id not in known
        and not outcome.is_unread
        and (content := stored_spans(outcome)) is not None
    }
    workers = settings.executor.effective_worker_count
    document = {**result.head, "run": run_id, "workers": workers}
    document["data"] = {**document["data"], MADE_OF: dict(made_of or {}), GIT: checkout_of(project.root)}
    if result.measures is not None:
        document["data"] = {**document["data"], MEASURES: result.measures.to_json()}
    state.save_run(
        document,
        spans,
        kept=known,
        moved_from=moved_from,
        records={one.id: one.entry.record for one in unread},
    )
    if evidence:
        Evidence(state).add(run_id, evidence)
    result.add_findings([*findings, *state.diagnostics])


def _names(report: Report) -> list[str]:
    """The files a test wants to have written."""
    named = (report.json_path, report.junit, report.digest, report.html, report.markdown)
    return [name for name in named if name is not None]


def stored_spans(outcome: TestOutcome) -> bytes | None:
    """All spans of a test as they are kept; ``None`` where there are none."""
    from clnrm_nb.spans.loaders import write_otlp_json

    return write_otlp_json(outcome.spans) if outcome.spans is not None and len(outcome.spans) else None


def _write_reports(
    outcome: TestOutcome, test: TestFile, run: RunResult, project: Project, mask: Mask
) -> list[Diagnostic]:
    from clnrm_nb.report.diffs import TraceDiff
    from clnrm_nb.report.files import write_test_reports

    diff = TraceDiff(run.diff.of_test(outcome.id), leave=run.leave) if run.diff else None
    try:
        part = RunResult([outcome], leave=run.leave, diff=diff, mask=mask)
        write_test_reports(part, test.report, project.root)
    except OSError as error:
        where = project.relative(error.filename) if error.filename else "a report"
        message = f"cannot write {where}: {error.strerror}"
        return [Diagnostic("CLN001", message, severity="warning", test=outcome.id)]
    return []
