"""One run, from sources to a recorded result."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING, Any

from clnrm_nb.codes import EXIT_INTERRUPTED
from clnrm_nb.errors import UsageError
from clnrm_nb.executor.events import Event, guarded
from clnrm_nb.executor.outcome import TestOutcome, fails_run
from clnrm_nb.pipeline.caching import Caching
from clnrm_nb.pipeline.exporting import tell_others
from clnrm_nb.pipeline.flight import run_or_wait
from clnrm_nb.pipeline.garbage import rare_collections
from clnrm_nb.pipeline.known import KnownTest
from clnrm_nb.pipeline.measuring import measured
from clnrm_nb.pipeline.record import record
from clnrm_nb.pipeline.ruled import project_rules, redacting_of
from clnrm_nb.pipeline.secrets import hiding, masker_of
from clnrm_nb.pipeline.select import select
from clnrm_nb.pipeline.telling import tell_whole
from clnrm_nb.reaper.ownership import this_process
from clnrm_nb.report.results import Leave, RunResult
from clnrm_nb.report.view import dated
from clnrm_nb.spans.phases import phase, running
from clnrm_nb.state import State, new_run_id
from clnrm_nb.state.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from clnrm_nb.config.project import Project
    from clnrm_nb.config.settings import Settings
    from clnrm_nb.diff.rules import Rule
    from clnrm_nb.errors import Diagnostic
    from clnrm_nb.executor.control import Control
    from clnrm_nb.executor.events import EventName, Listener
    from clnrm_nb.pipeline.execution import Execution
    from clnrm_nb.pipeline.ledger import Ledger
    from clnrm_nb.pipeline.live import LiveTables
    from clnrm_nb.pipeline.load import LoadedTest
    from clnrm_nb.pipeline.lookup import AnyTest, Found
    from clnrm_nb.pipeline.redacting import Redacting
    from clnrm_nb.pipeline.request import RunRequest
    from clnrm_nb.pipeline.resume import Resumption
    from clnrm_nb.report.results import Detail
    from clnrm_nb.secrets import Masker

__all__ = ["run_pipeline"]

_log = logging.getLogger(__name__)


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
    with running(started.run_id) as timed:
        result = await _carried_out(
            request,
            started,
            project=project,
            settings=settings,
            listener=listener,
            tables=tables,
            control=control,
        )
    result.time(timed)
    return result


async def _carried_out(
    request: RunRequest,
    started: _Started,
    *,
    project: Project,
    settings: Settings,
    listener: Listener | None,
    tables: LiveTables | None,
    control: Control | None,
) -> RunResult:
    rules = project_rules(project)
    with rare_collections(), State.open(project.state_dir) as state:
        with phase("clnrm.load"):
            caching = Caching(
                request,
                project=project,
                settings=settings,
                state=state,
                run_id=started.run_id,
                at=dated(started.at),
                rules=rules,
            )
        masker = masker_of(
            caching.tests.loaded, request.variables.environ or os.environ, caching.tests.secrets()
        )
        with hiding(masker):
            with phase("clnrm.select"):
                run = _Run(
                    request,
                    project=project,
                    settings=settings,
                    started=started,
                    caching=caching,
                    state=state,
                    publish=guarded(listener),
                    tables=tables,
                    masker=masker,
                    control=control,
                    rules=rules,
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
        caching: Caching,
        state: State,
        publish: Listener,
        tables: LiveTables | None,
        masker: Masker,
        control: Control | None,
        rules: Sequence[Rule],
    ) -> None:
        self._request = request
        self._rules = rules
        self._project = project
        self._settings = settings
        self._started = started
        self._caching = caching
        self._state = state
        self._listener = publish
        self._tables = tables
        self._control = control
        chosen = select(
            list(caching.tests),
            tags=request.tags,
            only=request.only,
            expression=request.expression,
            shard=request.shard,
            durations_ms=state.durations,
        )
        wanted = request.ids
        self._chosen: list[AnyTest] = [test for test in chosen if wanted is None or test.test_id in wanted]
        self._masker = masker
        self._resumption: Resumption | None = None
        self._ledger: Ledger | None = None
        self._execution: Execution | None = None
        if tables is not None:
            tables.mask = masker.text
        self._redacting: Redacting | None = None
        self._heed_redaction()
        self._leave = Leave(
            not_evaluated=settings.executor.allow_not_evaluated, flaky=settings.executor.flaky == "pass"
        )
        self._journal = Journal(state, started.run_id, at=dated(started.at), owner=str(this_process()))

    async def carry_out(self) -> RunResult:
        """Everything, in order."""
        if self._request.resume:
            self._resumption = self._resume()
        self._tell_start()
        try:
            outcomes = await self._outcomes()
            with phase("clnrm.report"):
                result = self._result(outcomes)
            result.measures = measured(
                result.outcomes,
                run_id=self._started.run_id,
                at=dated(self._started.at),
                lookups=self._caching.answers,
                pool=self._execution.pool if self._execution else None,
            )
            with phase("clnrm.record"):
                self._record(result)
        except BaseException as error:
            self._journal.break_off()
            self._tell("run.end", status="error", data={"message": str(error)})
            raise
        finally:
            self._caching.close()
            if self._ledger is not None:
                self._ledger.close()
        self._close_journal(result)
        _log.info("%s after %.0f ms", result.headline, result.duration_ms)
        self._tell("run.end", status="passed" if result.ok else "failed", data=result.summary)
        await tell_others(result, self._settings, self._masker)
        return result

    def _publish(self, event: Event) -> None:
        """Tell the listener, with what rules hide taken out."""
        self._listener(self._redacting.told(event) if self._redacting else event)

    def _tell(self, name: EventName, **fields: Any) -> None:
        self._publish(Event(name, self._started.run_id, **fields))

    def _tell_start(self) -> None:
        data: dict[str, Any] = {"tests": len(self._chosen)}
        if self._resumption is not None:
            taken_over = len(self._resumption.outcomes)
            data["resume"] = {"run": self._resumption.run, "taken_over": taken_over}
        _log.info("run %s: %d tests", self._started.run_id, len(self._chosen))
        self._tell("run.start", data=data)

    def _resume(self) -> Resumption:
        from clnrm_nb.pipeline.resume import digests_of, resume

        valid = self._valid(self._chosen)
        digests = digests_of(valid, self._settings)
        return resume(valid, digests, journal=self._journal, state=self._state)

    def _close_journal(self, result: RunResult) -> None:
        if result.exit_code == EXIT_INTERRUPTED:
            self._journal.break_off()
        elif not self._request.is_repeated and self._journal.is_wanted():
            from clnrm_nb.pipeline.resume import superseded

            judged = {outcome.id: outcome for outcome in result.outcomes if outcome.status != "error"}
            self._journal.close(superseded(judged, self._state))

    # ------------------------------------------------------------------------------------------ outcomes

    async def _outcomes(self) -> list[TestOutcome]:
        """One outcome a test: taken over, found in the cache, or of a run."""
        taken_over = self._resumption.outcomes if self._resumption else {}
        asked = [test for test in self._chosen if test.test_id not in taken_over]
        with phase("clnrm.lookup"):
            tests, found = await self._caching.look_up(asked, self._masker)
        now = {test.test_id: test for test in tests}
        self._chosen = [
            now.get(test.test_id, test)
            for test in self._chosen
            if test.test_id in now or test.test_id in taken_over
        ]
        self._heed_redaction()
        outcomes = dict(found.outcomes)
        self._tell_all(found.outcomes)
        with phase("clnrm.store"):
            await self._caching.settle()
        to_do = [
            test for test in self._chosen if test.test_id not in outcomes and not isinstance(test, KnownTest)
        ]
        if to_do:
            outcomes |= await self._made(to_do, found)
        return [outcomes[test.test_id] for test in self._chosen]

    async def _made(self, tests: Sequence[LoadedTest], found: Found) -> dict[str, TestOutcome]:
        """Outcomes of tests that are to run, or have ended where they ran before."""
        from clnrm_nb.pipeline.execution import Execution
        from clnrm_nb.pipeline.ledger import Ledger
        from clnrm_nb.pipeline.resume import Resumption, digests_of

        if not self._request.is_repeated:
            self._ledger = Ledger(self._journal, self._state, self._masker.text)
            if self._resumption is None or self._resumption.run is None:
                self._ledger.begin(digests_of(self._valid(tests), self._settings))
        self._execution = Execution(
            project=self._project,
            settings=self._settings,
            state=self._state,
            run_id=self._started.run_id,
            listener=self._publish,
            repeat=self._request.repeat,
            until_fail=self._request.until_fail,
            environ=self._request.variables.environ,
            ledger=self._ledger,
            resumption=self._resumption or Resumption(),
            tables=self._tables,
            masker=self._masker,
            backend=self._caching.backend,
            make_inputs=self._caching.make_inputs,
            control=self._control,
            redact=self._redacting,
        )
        return await run_or_wait(
            tests,
            found,
            self._caching,
            run=self._run,
            taken=self._tell_all,
            why_over=self._why_over,
            not_started=self._not_started,
        )

    async def _run(self, tests: Sequence[LoadedTest], found: Found) -> dict[str, TestOutcome]:
        """Run some tests, and store what comes of it."""
        assert self._execution is not None
        self._execution.inputs = self._caching.inputs
        outcomes = await self._execution.run(tests)
        if self._ledger is not None:
            # What follows may change outcomes that are still to be written down as they ended.
            await self._ledger.written()
        with phase("clnrm.store"):
            await self._caching.keep(
                outcomes,
                tests,
                self._execution.keys,
                audited=found.audited,
                spans=self._ledger.spans if self._ledger else {},
                masker=self._masker,
            )
        return {outcome.id: outcome for outcome in outcomes}

    def _tell_all(self, outcomes: Mapping[str, TestOutcome]) -> None:
        for outcome in outcomes.values():
            tell_whole(outcome, self._publish, self._started.run_id)

    def _why_over(self, outcomes: Mapping[str, TestOutcome]) -> str | None:
        executor = self._settings.executor
        if any(outcome.status == "interrupted" for outcome in outcomes.values()):
            return "not started: the run was interrupted"
        failures = sum(fails_run(outcome.status, executor) for outcome in outcomes.values())
        if executor.effective_max_fail and failures >= executor.effective_max_fail:
            return f"not started: {failures} failed (--max-fail {executor.effective_max_fail})"
        return None

    def _not_started(self, test: LoadedTest, reason: str) -> TestOutcome:
        """The outcome of a test that was waited for in vain."""
        assert test.test is not None
        outcome = TestOutcome(
            test.test_id,
            test.test.metadata.name,
            status="interrupted" if "interrupted" in reason else "skipped",
            backend=self._caching.backend,
            reason=reason,
        )
        tell_whole(outcome, self._publish, self._started.run_id)
        return outcome

    @staticmethod
    def _valid(tests: Sequence[AnyTest]) -> dict[str, LoadedTest]:
        return {test.test_id: test for test in tests if not isinstance(test, KnownTest) and test.test}

    def _heed_redaction(self) -> None:
        """From now on hide what ``redact`` rules of the chosen tests and of the project select."""
        self._redacting = redacting_of(self._rules, self._chosen)
        if self._tables is not None:
            self._tables.redacting = self._redacting

    # -------------------------------------------------------------------------------------------- result

    def _result(self, outcomes: list[TestOutcome]) -> RunResult:
        for outcome in outcomes if self._redacting else ():
            # What was stored before there was such a rule holds what it hides.
            if self._redacting and (outcome.cached or outcome.taken_over_from) and outcome.spans is not None:
                self._redacting(outcome.id, outcome.spans)
        diff = None
        of_rules: list[Diagnostic] = []
        if self._request.comparison is not None:
            from clnrm_nb.pipeline.compare import compare, suite_of

            diff, of_rules = compare(
                outcomes,
                self._request.comparison,
                project=self._project,
                settings=self._settings,
                state=self._state,
                run_id=self._started.run_id,
                at=dated(self._started.at),
                leave=self._leave,
                suite=suite_of(self._request, self._caching.tests, self._project, self._settings),
                tests=self._chosen,
                rules=self._rules,
            )
        return RunResult(
            outcomes,
            [*self._settings.diagnostics, *self._caching.tests.diagnostics, *of_rules],
            diff=diff,
            started_at=self._started.at,
            duration_ms=(perf_counter() - self._started.clock_s) * 1e3,
            interrupted=any(outcome.status == "interrupted" for outcome in outcomes),
            leave=self._leave,
            mask=self._masker.text,
            max_rows=self._settings.notebook.max_rows,
            shows=_details(self._request, self._settings),
            pool=self._execution.pool if self._execution else None,
        )

    def _record(self, result: RunResult) -> None:
        resumed = self._resumption
        tests = {name: test.test for name, test in self._valid(self._chosen).items() if test.test}
        record(
            result,
            tests,
            run_id=self._started.run_id,
            state=self._state,
            project=self._project,
            settings=self._settings,
            mask=self._masker.text,
            evidence=self._execution.evidence if self._execution else (),
            kept={
                **(resumed.spans if resumed else {}),
                **(self._ledger.spans if self._ledger else {}),
            },
            moved_from=resumed.recorded_in if resumed else {},
            made_of=_made_of(self._valid(self._chosen).values()),
        )
        result.add_findings(self._caching.export())


def _made_of(tests: Collection[LoadedTest]) -> dict[str, tuple[str | None, str | None]]:
    """Hashes of files that were read and of the variables they read; of files not read, nothing is loaded."""
    if not tests:
        return {}
    from clnrm_nb.pipeline.tolerating import terms_of

    return {name: (terms.source_hash, terms.vars_hash) for name, terms in terms_of(tests).items()}


def _details(request: RunRequest, settings: Settings) -> list[Detail]:
    asked: dict[Detail, bool] = {"digests": request.digest, "timings": settings.output.timings}
    return [detail for detail, is_asked in asked.items() if is_asked]
