"""A run held against the accepted traces, after it was judged.

What differs is kept for the review; what the comparison means for a test is decided here, by the same table
of codes as everything else.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from clnrm_nb.baseline import BaselineReview, Comparison, compare_run
from clnrm_nb.baseline.decisions import DecisionLog
from clnrm_nb.baseline.store import BaselineStore
from clnrm_nb.baseline.tolerances import Tolerances
from clnrm_nb.baseline.uses import note_uses, stale
from clnrm_nb.config.discovery import discover
from clnrm_nb.errors import ClnrmError
from clnrm_nb.executor.outcome import worst
from clnrm_nb.pipeline.judge import consequence
from clnrm_nb.pipeline.tolerating import terms_of
from clnrm_nb.report.diffs import TraceDiff

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from clnrm_nb.codes import Status
    from clnrm_nb.config.project import Project
    from clnrm_nb.config.settings import Settings
    from clnrm_nb.diff.rules import Rule
    from clnrm_nb.errors import Diagnostic
    from clnrm_nb.executor.outcome import TestOutcome
    from clnrm_nb.pipeline.known import Tests
    from clnrm_nb.pipeline.lookup import AnyTest
    from clnrm_nb.pipeline.request import ComparisonRequest, RunRequest
    from clnrm_nb.report.verdict import Leave
    from clnrm_nb.state import State

__all__ = ["Origin", "compare", "suite_of"]


class Origin(NamedTuple):
    """The stored run that a trace comes from, and what the test came to there, comparisons aside."""

    run: str
    at: str
    status: Status


def compare(
    outcomes: Sequence[TestOutcome],
    request: ComparisonRequest,
    *,
    project: Project,
    settings: Settings,
    state: State,
    run_id: str,
    at: str,
    leave: Leave,
    suite: Collection[str] | None,
    tests: Sequence[AnyTest] = (),
    rules: Sequence[Rule] = (),
    origins: Mapping[str, Origin] | None = None,
) -> tuple[TraceDiff, list[Diagnostic]]:
    """Compare every scenario that ran, set the statuses that follow, and tell what differs.

    Parameters
    ----------
    outcomes : sequence of TestOutcome
        Judged; completed in place.
    suite : collection of str, optional
        Ids of all tests and scenarios, if the whole project ran.
    tests : sequence of LoadedTest or KnownTest
        Where the scenarios stand, what decisions keep of their files, and the rules these hold.
    rules : sequence of Rule
        The project's (:func:`clnrm_nb.baseline.rulefile.read`).
    origins : mapping of test id to Origin, optional
        Where traces come from that are not of this run.

    Returns
    -------
    TraceDiff
    list of Diagnostic
        About decisions that are damaged, and about rules: which have expired, and which match nothing any
        more (CLN708). The diff has them too.
    """
    terms = terms_of(tests)
    for test_id, origin in (origins or {}).items():
        terms[test_id] = replace(terms[test_id], run=origin.run, at=origin.at)

    def compared() -> list[Comparison]:
        return compare_run(
            outcomes,
            project=project,
            state=state,
            settings=settings,
            run_id=run_id,
            at=at,
            terms=terms,
            suite=suite,
            rules=rules,
            ci=request.ci and not request.update,
        )

    comparisons = compared()
    differing = [one.id for one in comparisons if one.status in ("changed", "missing") and one.table]
    if request.update and differing:
        refused = _update(BaselineReview(project, state), differing)
        comparisons = [_refused(comparison, refused.get(comparison.id)) for comparison in compared()]
    if request.update:
        comparisons = [_incomplete(comparison) for comparison in comparisons]
    _apply(outcomes, comparisons)
    if not request.ci:
        note_uses(comparisons, state, run_id)
    own = [rule for one in terms.values() for rule in one.rules]
    store = BaselineStore(project)
    findings = [
        *DecisionLog(store.log_directory, store.name).damaged,
        *Tolerances().expired([*own, *rules]),
        *stale(_held(comparisons), state),
    ]
    diff = TraceDiff.of_run(
        comparisons,
        {outcome.id: outcome.spans for outcome in outcomes if outcome.spans is not None},
        failed={outcome.id: _failed_spans(outcome) for outcome in outcomes},
        leave=leave,
        is_ci=request.ci,
        only_diffs=settings.diff.show_only_diffs,
        depth=settings.diff.max_display_depth,
        findings=findings,
    )
    return diff, findings


def suite_of(request: RunRequest, tests: Tests, project: Project, settings: Settings) -> set[str] | None:
    """Ids of all tests and scenarios, if everything there is was asked for; else ``None``.

    Directories that hold every scenario file of the project are as good as its root; who names single files
    asks about these.
    """
    is_chosen = request.tags or request.only or request.expression or request.shard or request.ids is not None
    paths = request.sources.paths
    if is_chosen:
        return None
    if not any(path.resolve() == project.root.resolve() for path in paths):
        asked = {file.request.path for file in tests.files}
        everything = discover([project.root], project, settings.discovery.ignore).files
        if not paths or not all(path.is_dir() for path in paths) or not asked.issuperset(everything):
            return None
    return {name for test in tests for name in (test.test_id, f"{test.test_id}::steps", *test.scenario_ids)}


def _update(review: BaselineReview, ids: Sequence[str]) -> dict[str, str]:
    """Accept what passed; why the rest was not. A run that has ended is reported, whatever the disk says."""
    try:
        decided = review.accept(ids, skip_refused=True, message="--update-baseline")
    except ClnrmError as error:
        return dict.fromkeys(ids, error.message)
    return {one.id: one.refused for one in decided if one.refused}


def _failed_spans(outcome: TestOutcome) -> set[tuple[str, str]]:
    """Trace and span ids of what an expectation failed on."""
    return {span for one in outcome.expectations if one.status == "failed" for span in one.spans}


def _held(comparisons: Sequence[Comparison]) -> list[Rule]:
    """Every rule that held in a comparison, once."""
    return list({id(rule): rule for comparison in comparisons for rule in comparison.rules}.values())


def _refused(comparison: Comparison, reason: str | None) -> Comparison:
    """Say why ``--update-baseline`` wrote nothing: who asked for it would take silence for a yes."""
    if reason is None:
        return comparison
    findings = [
        replace(finding, message=f"{finding.message}; --update-baseline wrote nothing: {reason}")
        for finding in comparison.diagnostics
    ]
    return replace(comparison, diagnostics=tuple(findings))


def _incomplete(comparison: Comparison) -> Comparison:
    is_incomplete = comparison.status == "incomplete"
    return _refused(comparison, "an incomplete trace is never accepted" if is_incomplete else None)


def _apply(outcomes: Sequence[TestOutcome], comparisons: Sequence[Comparison]) -> None:
    by_id = {outcome.id: outcome for outcome in outcomes}
    for comparison in comparisons:
        outcome = by_id.get(comparison.test_id)
        if outcome is None:
            continue
        outcome.diagnostics.extend(comparison.diagnostics)
        followed = [status for finding in comparison.diagnostics if (status := consequence(finding))]
        if followed:
            # A stored result is judged like any other; only one that holds is still `cached`.
            outcome.status = worst(["passed" if outcome.status == "cached" else outcome.status, *followed])
