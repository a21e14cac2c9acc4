"""One session of watching: what was saved comes in, what is to be shown goes out as events.

Every message (changes, a key, the end of a run) is taken from one queue on the engine's loop, so that nothing
here happens at the same time. A change has two edges. At once what it concerns is rendered, validated and
shown, and what runs on old inputs is given up; when it has been quiet for a while, exactly the tests that
depend on it are run. What is filtered out, or could not be run, is owed: it runs as soon as it may.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.api.watchproject import Looked, WatchedProject
from clnrm_nb.api.watchruns import Runs
from clnrm_nb.errors import BackendUnavailableError, ClnrmError, UsageError
from clnrm_nb.executor.events import Event, guarded
from clnrm_nb.pipeline.select import select
from clnrm_nb.report.results import Leave, RunResult
from clnrm_nb.state import new_run_id
from clnrm_nb.watch import Canary, FileWatcher, Place, Planner, Rules, Settle

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from clnrm_nb.api.contexts import Context
    from clnrm_nb.api.watchproject import KnownTest
    from clnrm_nb.api.watchruns import EndedRun
    from clnrm_nb.executor.events import EventName, Listener
    from clnrm_nb.executor.outcome import TestOutcome
    from clnrm_nb.pipeline.run import RunRequest
    from clnrm_nb.watch import Batch, Reason, Remark

__all__ = ["Filters", "Session"]

_log = logging.getLogger(__name__)

_NS_PER_MS: Final = 1_000_000
_WINDOW: Final = 200
"""Most findings, and most tests that were not run, in one event."""
_BAD: Final = frozenset({"failed", "error", "incomplete", "interrupted", "flaky"})
_READ_BY_RENDERING: Final = frozenset({"scenario", "template", "missing", "variables"})
_LEVELS: Final = {"no-events": "warning", "limit": "warning", "root-gone": "error"}


@dataclass(frozen=True, slots=True)
class Filters:
    """What a person wants to see run; it stays until it is cleared.

    Parameters
    ----------
    file : str
        A part of the path of a test's file.
    test : str
        A ``-k`` expression.
    failed : bool
        Only tests that do not pass.
    """

    file: str = ""
    test: str = ""
    failed: bool = False

    def __bool__(self) -> bool:
        """Whether anything is left out."""
        return bool(self.file or self.test or self.failed)

    def to_json(self) -> dict[str, Any]:
        """Of ``watch.filter``."""
        return {"file": self.file, "test": self.test, "failed": self.failed}


class Session:
    """See the module.

    Parameters
    ----------
    here : Context
    request : RunRequest
        What ``run`` would do with the same options.
    listener : callable, optional
        Takes every event.
    variable_files : sequence of Path
        ``--vars``; `variables` reads them again.
    once : bool
        End after the first run.
    """

    def __init__(
        self,
        here: Context,
        request: RunRequest,
        *,
        listener: Listener | None = None,
        variable_files: Sequence[Path] = (),
        once: bool = False,
        wrote: Callable[[RunResult], object] | None = None,
    ) -> None:
        self.id = new_run_id()
        self.filters = Filters()
        self.outcomes: dict[str, TestOutcome] = {}
        """The last verdict of each test."""
        self._here = here
        self._request = request
        self._publish = guarded(listener)
        self._once = once
        self._wrote = wrote
        self._project = WatchedProject(here, request, variable_files)
        self._planner = Planner(self._project.graph, self._project.belongs)
        watch = here.settings.watch
        self._settle = Settle(watch.settle_ms, watch.debounce_ms)
        self._runs = Runs(watch.max_concurrent, self._publish, lambda run: self._put("ended", run))
        self._inbox: asyncio.Queue[tuple[str, tuple[Any, ...]]] = asyncio.Queue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watcher: FileWatcher | None = None
        self._owed: dict[str, str] = {}
        """Tests whose inputs changed since their last verdict and that have not been run, with the reason."""
        self._told: dict[str, str] = {}
        """Why each test was run last, or why not."""
        self._last: list[str] = []
        """Tests of the last run that a person may want again."""
        self._trouble: ClnrmError | None = None
        self._diffs: dict[str, Any] = {}
        self._started_at = datetime.now(UTC)
        self._started_s = time.perf_counter()
        self._n_changes = self._n_runs = 0
        self._is_over = False

    # ---------------------------------------------------------------------------------------- its life

    async def run(self) -> RunResult:
        """Watch until told to stop; the last state of all tests.

        A cancellation is an interrupt: everything that runs is stopped and gone, and the result says so.
        """
        self._loop = asyncio.get_running_loop()
        reason = "once" if self._once else "stopped"
        try:
            await self._begin()
            reason = await self._live()
        except asyncio.CancelledError:
            reason = "interrupted"
            task = asyncio.current_task()
            while task is not None and task.cancelling():
                task.uncancel()
        finally:
            self._is_over = True
            await self._end()
        result = self.result(interrupted=reason == "interrupted")
        self._write(result)
        self._emit(
            "watch.end",
            status="passed" if result.ok else "failed",
            data={
                "reason": reason,
                "exit_code": result.exit_code,
                "changes": self._n_changes,
                "runs": self._n_runs,
            },
        )
        return result

    async def _begin(self) -> None:
        """Watch first and read then, so that no save falls between."""
        if not self._once:
            self._watcher = self._made_watcher()
            await asyncio.to_thread(self._watcher.start)
        looked = self._project.read_all()
        self._refresh()
        self._emit(
            "watch.start",
            data={
                "paths": [self._here.project.relative(path) for path in self._request.sources.paths],
                "tests": len(self._project.tests),
                "mode": self._watcher.means if self._watcher else "once",
                "settle_ms": self._here.settings.watch.settle_ms,
                "debounce_ms": self._here.settings.watch.debounce_ms,
            },
        )
        self._tell_diagnostics(looked, None)
        if not self._project.tests:
            self._note("warning", "no scenario files yet: the first one that appears is run")
        self._start(self._selected(), "start", {}, since_ns=time.monotonic_ns())

    async def _live(self) -> str:
        """Take messages until one of them ends it; why it ended."""
        while True:
            if self._once and not self._runs and self._inbox.empty():
                return "once"
            try:
                async with asyncio.timeout(self._patience_s()):
                    name, given = await self._inbox.get()
            except TimeoutError:
                self._react()
                continue
            if name == "stop":
                return str(given[0])
            try:
                getattr(self, f"_on_{name}")(*given)
            except ClnrmError as error:
                self._note("error", str(error))

    async def _end(self) -> None:
        if self._watcher is not None:
            await asyncio.to_thread(self._watcher.close)
        await self._runs.stop()
        while not self._inbox.empty():
            name, given = self._inbox.get_nowait()
            if name == "ended":
                self._on_ended(*given)

    def _patience_s(self) -> float | None:
        due_ns = self._settle.due_ns
        return None if due_ns is None else max(due_ns - time.monotonic_ns(), 0) / 1e9

    def _made_watcher(self) -> FileWatcher:
        here = self._here
        root, watch = str(here.project.root), here.settings.watch
        rules = Rules(
            root,
            str(here.project.state_dir),
            patterns=watch.patterns,
            ignore_patterns=watch.ignore_patterns,
            outputs=[os.path.join(root, here.settings.reporting.report_dir)],  # noqa: PTH118  # Text, as rules are.
        )
        roots = [
            Place(str(path) if path.is_dir() or not path.exists() else str(path.parent), watch.recursive)
            for path in (_absolute(given) for given in self._request.sources.paths)
        ]
        return FileWatcher(
            self._project.graph,
            rules,
            roots,
            lambda batch: self._put("batch", batch),
            lambda remark: self._put("remark", remark),
            canary=Canary(here.project.state_dir),
        )

    def _put(self, name: str, *given: Any) -> None:
        """Leave a message; from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._inbox.put_nowait, (name, given))

    def tell(self, name: str, *given: Any) -> None:
        """What a person wants: a method of this class without its ``_on_``; from any thread."""
        self._put(name, *given)

    # ------------------------------------------------------------------------------------ the first edge

    def _on_batch(self, batch: Batch) -> None:
        """Files have other contents: show at once what that means, and stop what runs on the old ones."""
        is_first = self._settle.event(batch.changes, batch.noticed_ns) is not None
        self._n_changes += is_first
        here = self._here
        files = [
            {"file": here.project.relative(change.path), "change": change.kind} for change in batch.changes
        ]
        self._emit("watch.change", data={"number": self._n_changes, "files": files, "means": batch.means})
        if any(change.path in self._project.graph.configuration for change in batch.changes):
            self._reload()
        before = self._runs.running
        plan = self._planner.leading(batch.changes, before)
        looked = self._project.read(plan.validate)
        removed = self._project.remove(plan.removed)
        looked.files += removed.files
        looked.gone += removed.gone
        self._refresh()
        self._drop(plan.obsolete, plan.run, before, looked.gone)
        for test in looked.gone:
            self.outcomes.pop(test, None)
            self._owed.pop(test, None)
        self._tell_diagnostics(looked, batch.noticed_ns)

    def _drop(
        self,
        obsolete: Collection[str],
        reasons: Mapping[str, Sequence[Reason]],
        before: Mapping[str, KnownTest],
        gone: Collection[str],
    ) -> None:
        stale: dict[str, str] = {}
        for test in obsolete:
            if test in gone or self._is_other(test, reasons.get(test, ()), before[test]):
                stale[test] = f"obsolete: {self._because(reasons.get(test, ())) or 'its file is gone'}"
            else:
                self._told[test] = "it goes on: what changed means the same"
        self._planner.ran(set(obsolete) - stale.keys())
        self._runs.drop(stale)

    def _is_other(self, test: str, reasons: Sequence[Reason], before: KnownTest) -> bool:
        """Whether a running test runs on inputs that are not the present ones."""
        now = self._project.tests.get(test)
        if now is None or now.meaning is None or now.meaning != before.meaning:
            return True
        return any(reason.role not in _READ_BY_RENDERING for reason in reasons)

    def _because(self, reasons: Sequence[Reason]) -> str:
        told = [
            reason.sentence(self._here.project.relative).removeprefix("because ") for reason in reasons[:3]
        ]
        return ", ".join(told)

    def _refresh(self) -> None:
        if self._watcher is not None:
            self._watcher.refresh()

    def _reload(self) -> None:
        """The configuration changed; one that is broken is shown, and the old one stays."""
        try:
            here = self._here.again()
        except ClnrmError as error:
            found = [finding.to_json() for finding in error.diagnostics]
            for finding in found:
                self._note("error", f"{finding['code']} {finding['message']}; the old configuration stays")
            return
        if not here.settings.watch.enabled:
            self._note("warning", "`watch.enabled` is false now: the next `clnrm watch` will refuse")
        self._here = self._project.here = here
        watch = here.settings.watch
        self._settle.settle_ms, self._settle.debounce_ms = watch.settle_ms, watch.debounce_ms
        for finding in here.settings.diagnostics:
            self._note(finding.severity, str(finding))

    def _tell_diagnostics(self, looked: Looked, since_ns: int | None) -> None:
        data: dict[str, Any] = {
            "files": looked.files,
            "tests": len(self._project.tests),
            "errors": looked.count("error"),
            "warnings": looked.count("warning"),
            "findings": looked.findings[:_WINDOW],
            "findings_total": len(looked.findings),
            "gone": looked.gone,
        }
        if since_ns is not None:
            data["reaction_ms"] = _since_ms(since_ns)
        self._emit("watch.diagnostics", data=data)

    # ----------------------------------------------------------------------------------- the second edge

    def _react(self) -> None:
        """It was quiet for long enough: run what depends on what changed."""
        edge = self._settle.tick(time.monotonic_ns())
        if edge is None:
            return
        running = self._runs.running
        plan = self._planner.trailing(edge.changes, running)
        reasons = {test: self._because(why) for test, why in plan.run.items()}
        going_on = [test for test in plan.obsolete if test in running]
        for added in plan.added:
            reasons |= dict.fromkeys(
                (test.test_id for test in self._project.tests.values() if test.file == added), "it is new"
            )
        for test in self._project.tests.values():
            if test.test_id not in self.outcomes and test.test_id not in running:
                reasons.setdefault(test.test_id, "it has no verdict yet")
        wanted = [test for test in reasons if test not in going_on]
        names = ", ".join(self._here.project.relative(change.path) for change in edge.changes[:3])
        rest = f"does not depend on {names}" if names else "what was changed was changed back"
        self._start(wanted, "change", reasons, since_ns=edge.since_ns, rest=rest)

    def _start(
        self,
        tests: Iterable[str],
        why: str,
        reasons: Mapping[str, str],
        *,
        since_ns: int,
        rest: str = "",
        **how: Any,
    ) -> None:
        """Run those of `tests` that are valid and wanted, and say what is not run."""
        chosen = self._selected()
        wanted = [test for test in dict.fromkeys([*tests, *self._owed]) if test in self._project.tests]
        run: list[KnownTest] = []
        not_run: dict[str, str] = {}
        running = self._runs.running
        for test_id in wanted:
            reason = reasons.get(test_id) or self._owed.get(test_id) or why
            test = self._project.tests[test_id]
            if test_id not in chosen:
                self._owed[test_id] = reason
                not_run[test_id] = f"filtered out, though {reason}" if why == "change" else "filtered out"
            elif test_id in running:
                self._owed.pop(test_id, None)
                not_run[test_id] = self._told.get(test_id, "it runs already")
            elif test.errored is not None:
                self._owed.pop(test_id, None)
                self.outcomes[test_id] = test.errored
                not_run[test_id] = f"invalid: {test.errored.reason}"
            else:
                self._owed.pop(test_id, None)
                self._told[test_id] = f"run: {reason}"
                run.append(test)
        for test_id in self._project.tests:
            if test_id not in wanted and test_id not in running:
                not_run.setdefault(test_id, rest or ("filtered out" if test_id not in chosen else why))
        self._told |= {test: f"not run: {reason}" for test, reason in not_run.items()}
        self._emit(
            "watch.plan",
            data={
                "why": why,
                "run": [test.test_id for test in run],
                "reasons": {test.test_id: reasons[test.test_id] for test in run if reasons.get(test.test_id)},
                "not_run": [
                    {"test": test, "reason": reason} for test, reason in list(not_run.items())[:_WINDOW]
                ],
                "not_run_total": len(not_run),
                "reaction_ms": _since_ms(since_ns),
            },
        )
        invalid = [self._project.tests[test] for test in wanted if test in not_run and test not in running]
        self._tell_invalid([test for test in invalid if test.errored is not None], run, since_ns)
        if run:
            self._last = [test.test_id for test in run]
            self._n_runs += 1
            self._planner.ran(self._last)
            self._runs.start(run, self._project.request, self._here, since_ns=since_ns, **how)

    def _tell_invalid(self, tests: Sequence[KnownTest], run: Sequence[KnownTest], since_ns: int) -> None:
        """What cannot be run has its verdict at once."""
        outcomes = [test.errored for test in tests if test.errored is not None]
        if outcomes:
            self._tell_result(outcomes, since_ns, is_latest=not run)

    # -------------------------------------------------------------------------------------- what came of it

    def _on_ended(self, run: EndedRun) -> None:
        """A run is over."""
        if run.error is not None:
            self._trouble = run.error
            for test in run.tests:
                self._owed.setdefault(test, "it could not be run")
            level = "error" if not isinstance(run.error, BackendUnavailableError) else "error"
            hint = f" ({run.error.hint})" if run.error.hint else ""
            self._note(level, f"{run.error}{hint}; watching goes on, Enter tries again")
            return
        assert run.result is not None
        self._trouble = None
        there: list[TestOutcome] = []
        for outcome in run.result.outcomes:
            if outcome.id in run.dropped or outcome.id not in self._project.tests:
                continue
            if outcome.status == "cached":
                self._told[outcome.id] = f"not run: cached, {outcome.why or 'nothing changed'}"
            self.outcomes[outcome.id] = outcome
            there.append(outcome)
        if run.result.diff is not None:
            self._take_diff(run)
        self._tell_result(there, run.since_ns, is_latest=run.number == self._runs.latest)
        if self._wrote is not None and not self._runs:
            self._write(self.result())

    def _take_diff(self, run: EndedRun) -> None:
        assert run.result is not None
        assert run.result.diff is not None
        for part in run.result.diff.comparisons:
            if part.test_id not in run.dropped:
                self._diffs[part.id] = part

    def _tell_result(self, outcomes: Sequence[TestOutcome], since_ns: int, *, is_latest: bool) -> None:
        self._emit(
            "watch.result",
            data={
                "tests": [
                    {
                        "id": outcome.id,
                        "status": outcome.status,
                        "reason": outcome.why if outcome.status != "passed" else None,
                        "duration_ms": round(outcome.duration_ms, 3),
                    }
                    for outcome in outcomes
                ],
                "is_latest": is_latest,
                "reaction_ms": _since_ms(since_ns),
            },
        )

    def result(self, *, interrupted: bool = False) -> RunResult:
        """The last verdict of every test, as the result of one run."""
        executor = self._here.settings.executor
        tests = [self.outcomes[test] for test in sorted(self.outcomes)]
        findings = [self._trouble.diagnostic] if self._trouble is not None else []
        return RunResult(
            tests,
            [*self._here.settings.diagnostics, *findings],
            command="watch",
            started_at=self._started_at,
            duration_ms=(time.perf_counter() - self._started_s) * 1e3,
            interrupted=interrupted,
            leave=Leave(not_evaluated=executor.allow_not_evaluated, flaky=executor.flaky == "pass"),
            max_rows=self._here.settings.notebook.max_rows,
            diff=self._diff(),
        )

    def _diff(self) -> Any:
        if self._request.comparison is None or not self._diffs:
            return None
        from clnrm_nb.report.results import TraceDiff

        return TraceDiff([self._diffs[name] for name in sorted(self._diffs)], command="watch")

    def _write(self, result: RunResult) -> None:
        if self._wrote is not None:
            try:
                self._wrote(result)
            except ClnrmError as error:
                self._note("error", str(error))

    # ------------------------------------------------------------------------------------ what people want

    def _on_all(self) -> None:
        """Run everything again, whatever is known of it."""
        self._again(self._project.tests, "asked for")

    def _on_again(self) -> None:
        """Run again what ran last."""
        self._again(self._last or list(self._project.tests), "asked for")

    def _again(self, tests: Iterable[str], why: str) -> None:
        edge = self._settle.flush()
        since_ns = time.monotonic_ns() if edge is None else edge.since_ns
        chosen = self._selected()
        wanted = [test for test in tests if test in chosen]
        self._runs.drop(dict.fromkeys(wanted, "obsolete: it was asked for again"))
        self._start(wanted, why, dict.fromkeys(wanted, why), since_ns=since_ns, rest="not asked for")

    def _on_filter(self, **changes: Any) -> None:
        self._filter(replace(self.filters, **changes))

    def _on_file(self, text: str) -> None:
        """Only files whose path holds a text."""
        self._filter(replace(self.filters, file=text))

    def _on_test(self, expression: str) -> None:
        """Only tests that an expression selects."""
        filters = replace(self.filters, test=expression)
        self._chosen(filters)
        self._filter(filters)

    def _on_failed(self) -> None:
        """Only tests that do not pass; again: all."""
        self._filter(replace(self.filters, failed=not self.filters.failed))

    def _on_clear(self) -> None:
        """No filters; what was left out because of them and has changed is run."""
        self._filter(Filters())

    def _filter(self, filters: Filters) -> None:
        narrower = filters and filters != self.filters
        self.filters = filters
        self._emit("watch.filter", data=filters.to_json())
        chosen = self._selected()
        if not narrower:
            self._start([], "filters cleared", {}, since_ns=time.monotonic_ns(), rest="unchanged")
            return
        others = [test for test in self._runs.running if test not in chosen]
        self._owed |= dict.fromkeys(others, "it was stopped by a filter")
        self._runs.drop(dict.fromkeys(others, "filtered out"))
        self._again([test for test in chosen if test not in self._runs.running], "filter")

    def _selected(self) -> list[str]:
        """Ids of the tests that options and filters leave."""
        return self._chosen(self.filters)

    def _chosen(self, filters: Filters) -> list[str]:
        request = self._request
        tests: list[KnownTest] = sorted(
            self._project.tests.values(), key=lambda test: (self._here.project.relative(test.file),)
        )
        tests = select(
            tests,
            tags=request.tags,
            only=request.only,
            expression=request.expression,
            shard=request.shard,
            durations_ms=dict,
        )
        if filters.file:
            tests = [test for test in tests if filters.file in self._here.project.relative(test.file)]
        if filters.test:
            tests = select(
                tests, tags=(), only=(), expression=filters.test, shard=None, durations_ms=dict
            )
        if filters.failed:
            tests = [test for test in tests if self._is_bad(test.test_id)]
        return [test.test_id for test in tests]

    def _is_bad(self, test_id: str) -> bool:
        outcome = self.outcomes.get(test_id)
        return outcome is not None and outcome.status in _BAD

    def _on_accept(self) -> None:
        """Make the latest traces the baselines of the comparisons that fail."""
        from clnrm_nb.api.reviewing import ReviewDesk

        waiting = self.pending()
        if not waiting:
            self._note("info", "no comparison fails: there is nothing to accept")
            return
        desk = ReviewDesk(self._here, message="accepted while watching")
        for review_id in waiting:
            desk.accept(review_id)
        self._note("info", f"accepted: {', '.join(waiting)}")

    def pending(self) -> list[str]:
        """Ids of comparisons that fail in the last state."""
        return [
            name
            for name, part in self._diffs.items()
            if part.test_id in self.outcomes and part.status in ("changed", "missing", "rejected")
        ]

    def why(self) -> list[str]:
        """Why each test of the last reaction was run or not; the newest run first."""
        order = [*self._last, *(test for test in self._told if test not in self._last)]
        return [f"{test}: {self._told[test]}" for test in order if test in self._told]

    def _on_remark(self, remark: Remark) -> None:
        hint = f" ({remark.hint})" if remark.hint else ""
        self._note(_LEVELS.get(remark.kind, "info"), f"{remark.message}{hint}")

    # -------------------------------------------------------------------------------------------- telling

    def _note(self, level: str, text: str) -> None:
        self._emit("watch.note", data={"level": level, "text": text})

    def _emit(self, name: EventName, **fields: Any) -> None:
        self._publish(Event(name, self.id, **fields))

    @property
    def is_running(self) -> bool:
        """Whether any test runs."""
        return bool(self._runs)


def _absolute(path: Path) -> Path:
    from pathlib import Path as Paths

    return Paths(os.path.abspath(path))  # noqa: PTH100  # resolve() would rename symlinked files.


def _since_ms(since_ns: int) -> float:
    return round((time.monotonic_ns() - since_ns) / _NS_PER_MS, 3)


def refuse_if_off(here: Context) -> None:
    """``watch.enabled = false`` (CLN808).

    Raises
    ------
    UsageError
    """
    if not here.settings.watch.enabled:
        raise UsageError(
            "`watch.enabled` is false",
            "CLN808",
            hint=f"Set in {here.settings.origin('watch.enabled')}; remove it to watch.",
        )
