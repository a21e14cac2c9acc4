"""One run, from sources to a recorded result."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING, Any

from clnrm_nb.codes import EXIT_INTERRUPTED
from clnrm_nb.errors import UsageError
from clnrm_nb.executor.events import Event, guarded
from clnrm_nb.pipeline.load import load
from clnrm_nb.pipeline.record import record
from clnrm_nb.pipeline.secrets import hiding, masker_of
from clnrm_nb.pipeline.select import select
from clnrm_nb.reaper.ownership import this_process
from clnrm_nb.report.results import Leave, RunResult
from clnrm_nb.report.view import dated
from clnrm_nb.state import State, new_run_id
from clnrm_nb.state.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.config.project import Project
    from clnrm_nb.config.settings import Settings
    from clnrm_nb.executor.backends.protocol import PoolReport
    from clnrm_nb.executor.control import Control
    from clnrm_nb.executor.events import EventName, Listener
    from clnrm_nb.executor.outcome import TestOutcome
    from clnrm_nb.pipeline.ledger import Ledger
    from clnrm_nb.pipeline.load import Loaded, LoadedTest
    from clnrm_nb.pipeline.request import RunRequest
    from clnrm_nb.pipeline.resume import Resumption
    from clnrm_nb.report.results import Detail
    from clnrm_nb.report.text import Mask
    from clnrm_nb.secrets import Masker
    from clnrm_nb.spans.table import SpanTable
    from clnrm_nb.state.evidence import Attempt

__all__ = ["LiveTables", "run_pipeline"]


class LiveTables(dict[str, "SpanTable"]):
    """Growing span tables by test, and what hides secrets where they are shown before the run has ended.

    Attributes
    ----------
    mask : callable
        Known as soon as the tests are read, which is before the first span.
    """

    mask: Mask | None = None


async def run_pipeline(
    request: RunRequest,
    *,
    project: Project,
    settings: Settings,
    listener: Listener | None = None,
    tables: LiveTables | None = None,
    control: Control | None = None,
) -> RunResult:
    """Run the whole way of ``docs/architecture.md``: load, select, execute, judge, record.

    Parameters
    ----------
    listener : callable, optional
        Takes every event of the run, on the engine's event loop.
    tables : LiveTables, optional
        Filled with each test's growing span table as it starts.
    control : Control, optional
        Lets somebody give up tests while the run goes on.

    Returns
    -------
    RunResult
        Also after a cancellation, with what had ended by then.

    Raises
    ------
    BackendUnavailableError
        No engine answers (CLN601). Nothing was started.
    UsageError
        A selection is malformed, or the run cannot be resumed like this.
    """
    if request.resume and request.is_repeated:
        raise UsageError(
            "--resume cannot be combined with --repeat or --until-fail",
            hint="A broken-off run is gone on with once; repeat it afterwards.",
        )
    started = _Started()
    loaded = load(request.sources, request.variables, project=project, settings=settings)
    masker = masker_of(loaded.tests, request.variables.environ or os.environ)
    with hiding(masker), State.open(project.state_dir) as state:
        run = _Run(
            request,
            project=project,
            settings=settings,
            started=started,
            loaded=loaded,
            state=state,
            publish=guarded(listener),
            tables=tables,
            masker=masker,
            control=control,
        )
        return await run.carry_out()


@dataclass(frozen=True, slots=True)
class _Started:
    """A run's name and its clocks."""

    run_id: str = field(default_factory=new_run_id)
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    clock_s: float = field(default_factory=perf_counter)


class _Run:
    """One run, from its selection to its record."""

    def __init__(
        self,
        request: RunRequest,
        *,
        project: Project,
        settings: Settings,
        started: _Started,
        loaded: Loaded,
        state: State,
        publish: Listener,
        tables: LiveTables | None,
        masker: Masker,
        control: Control | None,
    ) -> None:
        self._request = request
        self._project = project
        self._settings = settings
        self._started = started
        self._loaded = loaded
        self._state = state
        self._publish = publish
        self._tables = tables
        self._control = control
        chosen = select(
            loaded.tests,
            tags=request.tags,
            only=request.only,
            expression=request.expression,
            shard=request.shard,
            durations_ms=state.durations,
        )
        wanted = request.ids
        self._chosen = [test for test in chosen if wanted is None or test.test_id in wanted]
        self._valid = {test.test_id: test for test in self._chosen if test.test}
        self._tests = {test_id: test.test for test_id, test in self._valid.items() if test.test}
        self._masker = masker
        self._evidence: Sequence[Attempt] = ()
        self._pool: PoolReport | None = None
        if tables is not None:
            tables.mask = masker.text
        self._leave = Leave(
            not_evaluated=settings.executor.allow_not_evaluated, flaky=settings.executor.flaky == "pass"
        )
        self._journal = Journal(state, started.run_id, at=dated(started.at), owner=str(this_process()))

    async def carry_out(self) -> RunResult:
        """Everything, in order."""
        from clnrm_nb.pipeline.ledger import Ledger
        from clnrm_nb.pipeline.resume import Resumption, superseded

        resumption = self._resumption() if self._request.resume else None
        self._tell_start(resumption)
        ledger = None if self._request.is_repeated else Ledger(self._journal, self._state, self._masker.text)
        try:
            result = self._result(await self._execution(resumption or Resumption(), ledger))
            self._record(result, resumption or Resumption(), ledger)
        except BaseException as error:
            self._journal.break_off()
            self._tell("run.end", status="error", data={"message": str(error)})
            raise
        finally:
            if ledger is not None:
                ledger.close()
        if result.exit_code == EXIT_INTERRUPTED:
            self._journal.break_off()
        elif ledger is not None:
            self._journal.close(superseded(self._tests, self._state))
        self._tell("run.end", status="passed" if result.ok else "failed", data=result.summary)
        return result

    def _tell(self, name: EventName, **fields: Any) -> None:
        self._publish(Event(name, self._started.run_id, **fields))

    def _tell_start(self, resumption: Resumption | None) -> None:
        data: dict[str, Any] = {"tests": len(self._chosen)}
        if resumption is not None:
            data["resume"] = {"run": resumption.run, "taken_over": len(resumption.outcomes)}
        self._tell("run.start", data=data)

    def _resumption(self) -> Resumption:
        from clnrm_nb.pipeline.resume import digests_of, resume

        digests = digests_of(self._valid, self._settings)
        return resume(self._valid, digests, journal=self._journal, state=self._state)

    async def _execution(self, resumption: Resumption, ledger: Ledger | None) -> list[TestOutcome]:
        from clnrm_nb.pipeline.execution import Execution

        execution = Execution(
            project=self._project,
            settings=self._settings,
            state=self._state,
            run_id=self._started.run_id,
            listener=self._publish,
            repeat=self._request.repeat,
            until_fail=self._request.until_fail,
            environ=self._request.variables.environ,
            ledger=ledger,
            resumption=resumption,
            tables=self._tables,
            masker=self._masker,
            control=self._control,
        )
        outcomes = await execution.run(self._chosen)
        self._evidence, self._pool = execution.evidence, execution.pool
        if ledger is not None:
            # What follows may change outcomes that are still to be written down as they ended.
            await ledger.written()
        return outcomes

    def _result(self, outcomes: list[TestOutcome]) -> RunResult:
        diff = None
        if self._request.comparison is not None:
            from clnrm_nb.pipeline.compare import compare

            diff = compare(
                outcomes,
                self._request.comparison,
                project=self._project,
                settings=self._settings,
                state=self._state,
                run_id=self._started.run_id,
                at=dated(self._started.at),
                leave=self._leave,
                suite=_suite(self._request, self._loaded.tests, self._project),
            )
        return RunResult(
            outcomes,
            [*self._settings.diagnostics, *self._loaded.diagnostics],
            diff=diff,
            started_at=self._started.at,
            duration_ms=(perf_counter() - self._started.clock_s) * 1e3,
            interrupted=any(outcome.status == "interrupted" for outcome in outcomes),
            leave=self._leave,
            mask=self._masker.text,
            max_rows=self._settings.notebook.max_rows,
            shows=_details(self._request, self._settings),
            pool=self._pool,
        )

    def _record(self, result: RunResult, resumption: Resumption, ledger: Ledger | None) -> None:
        record(
            result,
            self._tests,
            run_id=self._started.run_id,
            state=self._state,
            project=self._project,
            settings=self._settings,
            mask=self._masker.text,
            evidence=self._evidence,
            kept={**resumption.spans, **(ledger.spans if ledger else {})},
            moved_from=resumption.recorded_in,
        )


def _suite(request: RunRequest, tests: Sequence[LoadedTest], project: Project) -> set[str] | None:
    """Ids of all tests and scenarios, if everything there is was asked for; else ``None``."""
    is_chosen = request.tags or request.only or request.expression or request.shard or request.ids is not None
    is_whole = any(path.resolve() == project.root.resolve() for path in request.sources.paths)
    if is_chosen or not is_whole:
        return None
    return {name for test in tests for name in (test.test_id, f"{test.test_id}::steps", *test.scenario_ids)}


def _details(request: RunRequest, settings: Settings) -> list[Detail]:
    asked: dict[Detail, bool] = {"digests": request.digest, "timings": settings.output.timings}
    return [detail for detail, is_asked in asked.items() if is_asked]
