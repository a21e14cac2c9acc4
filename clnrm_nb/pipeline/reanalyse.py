"""Stored or given spans judged by today's expectations, without a run (``clnrm analyze``)."""

from __future__ import annotations

from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING, Any

from clnrm_nb.baseline.latest import own_status
from clnrm_nb.baseline.rulefile import read as read_rules
from clnrm_nb.errors import ClnrmError
from clnrm_nb.executor.masking import mask_outcome, mask_spans
from clnrm_nb.executor.outcome import CommandOutcome, ScenarioOutcome, TestOutcome
from clnrm_nb.pipeline.compare import Origin, compare
from clnrm_nb.pipeline.judge import errored, judge
from clnrm_nb.pipeline.request import ComparisonRequest
from clnrm_nb.report.results import Leave, RunResult
from clnrm_nb.report.view import dated
from clnrm_nb.spans.loaders import load as load_spans
from clnrm_nb.spans.table import SpanTable
from clnrm_nb.state import State, new_run_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clnrm_nb.config.project import Project
    from clnrm_nb.config.settings import Settings
    from clnrm_nb.errors import Diagnostic
    from clnrm_nb.pipeline.load import Loaded, LoadedTest
    from clnrm_nb.report.diffs import TraceDiff
    from clnrm_nb.secrets import Masker

__all__ = ["rejudge"]


def rejudge(
    loaded: Loaded,
    given: Sequence[SpanTable],
    *,
    project: Project,
    settings: Settings,
    masker: Masker,
    ci: bool = False,
) -> RunResult:
    """Judge the tests of a file.

    Parameters
    ----------
    loaded : Loaded
        The tests.
    given : sequence of SpanTable
        Spans to judge, all together; empty: those of each test's last run, with its commands.
    masker : Masker
        Hides secrets, as a run would.
    ci : bool
        Where it is compared too (``baseline.compare``): write nothing.

    Raises
    ------
    ClnrmError
        No spans are given and none are stored (CLN607).
    """
    started_at, started = datetime.now(UTC), perf_counter()
    outcomes: list[TestOutcome] = []
    for table in given:
        mask_spans(table, masker)
    diff: TraceDiff | None = None
    of_rules: list[Diagnostic] = []
    with State.open(project.state_dir) as state:
        for test in loaded.tests:
            if test.test is None:
                outcomes.append(errored(test, "analyze"))
            else:
                outcome = _given(test, given) if given else _stored(test, state)
                outcomes.append(judge(test, outcome))
            mask_outcome(outcomes[-1], masker)
        if settings.baseline.compare:
            diff, of_rules = _compared(
                outcomes, loaded, project=project, settings=settings, state=state, ci=ci
            )
    return RunResult(
        outcomes,
        [*settings.diagnostics, *loaded.diagnostics, *of_rules],
        diff=diff,
        command="analyze",
        started_at=started_at,
        duration_ms=(perf_counter() - started) * 1e3,
        leave=_leave(settings),
        mask=masker.text,
    )


def compare_stored(loaded: Loaded, *, project: Project, settings: Settings, ci: bool) -> TraceDiff:
    """Hold the spans of each test's last run against its accepted traces, without a run.

    Raises
    ------
    ClnrmError
        No spans of a test are stored (CLN607).
    """
    with State.open(project.state_dir) as state:
        valid = [test for test in loaded.tests if test.test is not None]
        outcomes = [_stored(test, state) for test in valid]
        origins = {test.test_id: _origin(test.test_id, state) for test in valid}
        for outcome in outcomes:
            # A trace of a test that failed is shown, and accepted only by force.
            outcome.status = origins[outcome.id].status
        diff, _ = _compared(
            outcomes, loaded, project=project, settings=settings, state=state, ci=ci, origins=origins
        )
    return diff


def _compared(
    outcomes: Sequence[TestOutcome],
    loaded: Loaded,
    *,
    project: Project,
    settings: Settings,
    state: State,
    ci: bool,
    origins: Mapping[str, Origin] | None = None,
) -> tuple[TraceDiff, list[Diagnostic]]:
    """Hold tests of a file against their accepted traces; what others do not own, nobody calls unused."""
    return compare(
        outcomes,
        ComparisonRequest(ci=ci),
        project=project,
        settings=settings,
        state=state,
        run_id=new_run_id(),
        at=dated(datetime.now(UTC)),
        leave=_leave(settings),
        suite=None,
        tests=loaded.tests,
        rules=read_rules(project),
        origins=origins,
    )


def _leave(settings: Settings) -> Leave:
    return Leave(not_evaluated=settings.executor.allow_not_evaluated)


def _given(test: LoadedTest, tables: Sequence[SpanTable]) -> TestOutcome:
    """Spans from files: nothing is known of commands, isolation or leftovers, and nothing is claimed."""
    assert test.test is not None
    joined = SpanTable()
    for table in tables:
        joined.extend(table)
    names = [scenario.name for scenario in test.test.scenarios]
    if len(names) == 1 and not any(joined.scenario):
        # One scenario is all there is, so that these spans can only be its.
        joined.scenario[:] = names * len(joined)
    return TestOutcome(
        id=test.test_id,
        name=test.test.metadata.name,
        backend="analyze",
        hermetic=False,
        replayed=True,
        scenarios=[ScenarioOutcome(name) for name in names],
        spans=joined,
    )


def _stored(test: LoadedTest, state: State) -> TestOutcome:
    """The last run of a test, as far as it was kept."""
    assert test.test is not None
    content = state.spans_of(test.test_id)
    document = _last_document(test.test_id, state)
    if content is None or document is None:
        raise ClnrmError(
            f"no spans of {test.test_id} are stored", "CLN607", hint="Run it first, or give --traces FILE."
        )
    table, _ = load_spans(content)
    return TestOutcome(
        id=test.test_id,
        name=test.test.metadata.name,
        backend=document["backend"],
        hermetic=document["hermetic"],
        replayed=document["replayed"],
        isolation=document["isolation"],
        complete=document.get("complete", True),
        duration_ms=document["duration_ms"],
        scenarios=[_scenario(entry) for entry in document["scenarios"]],
        spans=table,
    )


def _origin(test_id: str, state: State) -> Origin:
    document = _last_document(test_id, state)
    assert document is not None
    return Origin(document["run"], document["at"], own_status(document))


def _last_document(test_id: str, state: State) -> dict[str, Any] | None:
    for row in state.history([test_id]):
        run = state.run(row["run"])
        for document in run["data"]["tests"] if run else ():
            if document["id"] == test_id and document["span_count"]:
                return {**document, "run": row["run"], "at": row["at"]}
    return None


def _scenario(entry: Mapping[str, Any]) -> ScenarioOutcome:
    commands = [CommandOutcome(**command) for command in entry["commands"]]
    # Commands keep their verdicts; the scenario's own follows from them and from what is judged now.
    failed = [command.status for command in commands if command.status not in ("passed", "skipped")]
    status = failed[0] if failed else "passed"
    return ScenarioOutcome(entry["name"], status, entry["duration_ms"], commands, reason=entry["reason"])
