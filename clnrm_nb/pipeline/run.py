"""One run, from sources to a recorded result."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING, Any

from clnrm_nb.executor.backends import open_backend
from clnrm_nb.executor.environment import masker_of
from clnrm_nb.executor.events import Event
from clnrm_nb.executor.plan import make_plan
from clnrm_nb.executor.pool import TestHistory, run_tests
from clnrm_nb.pipeline.compare import ComparisonRequest, compare
from clnrm_nb.pipeline.evidence import Evidences
from clnrm_nb.pipeline.judge import errored, judge
from clnrm_nb.pipeline.load import Sources, Variables, load
from clnrm_nb.pipeline.record import record
from clnrm_nb.pipeline.select import select
from clnrm_nb.report.results import Leave, RunResult
from clnrm_nb.report.view import dated
from clnrm_nb.state import State, new_run_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clnrm_nb.config.project import Project
    from clnrm_nb.config.settings import Settings
    from clnrm_nb.executor.backends.protocol import Backend
    from clnrm_nb.executor.events import EventName, Listener
    from clnrm_nb.executor.outcome import TestOutcome
    from clnrm_nb.executor.plan import TestPlan
    from clnrm_nb.pipeline.load import LoadedTest
    from clnrm_nb.report.results import Detail
    from clnrm_nb.report.text import Mask
    from clnrm_nb.spans.table import SpanTable

__all__ = ["LiveTables", "RunRequest", "run_pipeline"]


class LiveTables(dict[str, "SpanTable"]):
    """Growing span tables by test, and what hides secrets where they are shown before the run has ended.

    Attributes
    ----------
    mask : callable
        Known as soon as the tests are read, which is before the first span.
    """

    mask: Mask | None = None


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What is asked for, beyond the settings.

    Parameters
    ----------
    repeat : int
        Times that each test is run.
    until_fail : bool
        Run all tests again and again until one does not pass.
    digest : bool
        Show the trace digest of each scenario.
    comparison : ComparisonRequest, optional
        Compare with the accepted traces, and how.
    """

    sources: Sources
    variables: Variables = field(default_factory=Variables)
    tags: Sequence[str] = ()
    only: Sequence[str] = ()
    expression: str | None = None
    shard: str | None = None
    repeat: int = 1
    until_fail: bool = False
    digest: bool = False
    comparison: ComparisonRequest | None = None


async def run_pipeline(
    request: RunRequest,
    *,
    project: Project,
    settings: Settings,
    listener: Listener | None = None,
    tables: LiveTables | None = None,
) -> RunResult:
    """Run the whole way of ``docs/architecture.md``: load, select, execute, judge, record.

    Parameters
    ----------
    listener : callable, optional
        Takes every event of the run, on the engine's event loop.
    tables : LiveTables, optional
        Filled with each test's growing span table as it starts.

    Returns
    -------
    RunResult
        Also after a cancellation, with what had ended by then.

    Raises
    ------
    BackendUnavailableError
        No engine answers (CLN601). Nothing was started.
    """
    started_at, started = datetime.now(UTC), perf_counter()
    run_id = new_run_id()
    loaded = load(request.sources, request.variables, project=project, settings=settings)
    with State.open(project.state_dir) as state:
        chosen = select(
            loaded.tests,
            tags=request.tags,
            only=request.only,
            expression=request.expression,
            shard=request.shard,
            durations_ms=state.durations,
        )
        tests = {test.test_id: test.test for test in chosen if test.test}
        mask = masker_of(tests.values(), request.variables.environ).text
        if tables is not None:
            tables.mask = mask
        _publish(listener, "run.start", run_id, data={"tests": len(chosen)})
        execution = _Execution(request, project, settings, state, run_id, listener, tables)
        outcomes = await execution.run(chosen)
        leave = Leave(
            not_evaluated=settings.executor.allow_not_evaluated, flaky=settings.executor.flaky == "pass"
        )
        diff = None
        if request.comparison is not None:
            diff = compare(
                outcomes,
                request.comparison,
                project=project,
                settings=settings,
                state=state,
                run_id=run_id,
                at=dated(started_at),
                leave=leave,
                suite=_suite(request, loaded.tests, project),
            )
        result = RunResult(
            outcomes,
            [*settings.diagnostics, *loaded.diagnostics],
            diff=diff,
            started_at=started_at,
            duration_ms=(perf_counter() - started) * 1e3,
            interrupted=any(outcome.status == "interrupted" for outcome in outcomes),
            leave=leave,
            mask=mask,
            max_rows=settings.notebook.max_rows,
            shows=_details(request, settings),
        )
        record(
            result,
            tests,
            run_id=run_id,
            evidence=execution.evidences.attempts if execution.evidences else (),
            state=state,
            project=project,
            settings=settings,
        )
    _publish(listener, "run.end", run_id, status="passed" if result.ok else "failed", data=result.summary)
    return result


def _suite(request: RunRequest, tests: Sequence[LoadedTest], project: Project) -> set[str] | None:
    """Ids of all tests and scenarios, if everything there is was asked for; else ``None``."""
    is_chosen = request.tags or request.only or request.expression or request.shard
    is_whole = any(path.resolve() == project.root.resolve() for path in request.sources.paths)
    if is_chosen or not is_whole:
        return None
    return {name for test in tests for name in (test.test_id, f"{test.test_id}::steps", *test.scenario_ids)}


def _details(request: RunRequest, settings: Settings) -> list[Detail]:
    asked: dict[Detail, bool] = {"digests": request.digest, "timings": settings.output.timings}
    return [detail for detail, is_asked in asked.items() if is_asked]


def _publish(listener: Listener | None, name: EventName, run_id: str, **fields: Any) -> None:
    if listener is not None:
        listener(Event(name, run_id, **fields))


@dataclass(slots=True)
class _Execution:
    """The tests of one run on one backend, as often as was asked for."""

    request: RunRequest
    project: Project
    settings: Settings
    state: State
    run_id: str
    listener: Listener | None
    tables: LiveTables | None
    evidences: Evidences | None = None

    async def run(self, chosen: Sequence[LoadedTest]) -> list[TestOutcome]:
        """One outcome a test, in the order of `chosen`; of repeated tests the worst, in all its detail."""
        backend_name = self.settings.executor.backend
        outcomes = {test.test_id: errored(test, backend_name) for test in chosen if test.test is None}
        valid = {test.test_id: test for test in chosen if test.test is not None}
        if valid:
            backend = await open_backend(backend_name, self.settings)
            try:
                for outcome in await self._rounds(valid, backend):
                    outcomes[outcome.id] = outcome
            finally:
                await backend.close()
        return [outcomes[test.test_id] for test in chosen]

    async def _rounds(self, valid: Mapping[str, LoadedTest], backend: Backend) -> list[TestOutcome]:
        self.evidences = Evidences(
            project=self.project,
            settings=self.settings,
            backend=backend,
            environ=self.request.variables.environ or os.environ,
        )
        worst: dict[str, TestOutcome] = {}
        rounds = itertools.count(1) if self.request.until_fail else range(1, self.request.repeat + 1)
        for number in rounds:
            outcomes = await self._one_round(valid, backend, self.evidences)
            for outcome in outcomes:
                worst[outcome.id] = _worse(worst.get(outcome.id, outcome), outcome)
                if number > 1 or self.request.repeat > 1:
                    worst[outcome.id].reason = worst[outcome.id].reason or f"run {number} times"
            if any(outcome.status == "interrupted" for outcome in outcomes):
                break
            if self.request.until_fail and any(o.status not in ("passed", "flaky") for o in outcomes):
                break
        return list(worst.values())

    async def _one_round(
        self, valid: Mapping[str, LoadedTest], backend: Backend, evidences: Evidences
    ) -> list[TestOutcome]:
        plans = [
            make_plan(
                test.test,
                directory=test.directory,
                project=self.project,
                settings=self.settings,
                test_id=test_id,
                locate=test.locate,
            )
            for test_id, test in valid.items()
            if test.test is not None
        ]

        await evidences.take(valid, plans)

        def evaluate(plan: TestPlan, outcome: TestOutcome) -> None:
            judge(valid[plan.id], outcome)
            evidences.say(plan.id, outcome.status)

        outcomes = await run_tests(
            plans,
            backend,
            settings=self.settings,
            project=self.project,
            run_id=self.run_id,
            publish=self.listener,
            history={
                test_id: TestHistory(row["status"], row["duration_ms"])
                for test_id, row in self.state.last_results().items()
            },
            evaluate=evaluate,
            environ=self.request.variables.environ or os.environ,
            tables=self.tables,
        )
        await evidences.confirm(outcomes)
        return outcomes


_SEVERITY = ("interrupted", "error", "failed", "incomplete", "flaky", "passed", "skipped")


def _worse(one: TestOutcome, other: TestOutcome) -> TestOutcome:
    """The one whose status comes first in ``format.md`` 5.1; of equals the later."""
    return min((other, one), key=lambda outcome: _SEVERITY.index(outcome.status))
