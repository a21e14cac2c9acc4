"""One session of watching: what was saved comes in, what is to be shown goes out as events.

Every message (changes, a key, the end of a run) is taken from one queue on the engine's loop, so that nothing
here happens at the same time. A change has two edges. At once what it concerns is rendered, validated and
shown, and what runs on old inputs is given up; when it has been quiet for a while, exactly the tests that
depend on it are run. What is filtered out, or could not be run, is owed: it runs as soon as it may.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.api.watchagenda import Agenda
from clnrm_nb.api.watchfilters import Filters
from clnrm_nb.api.watchproject import WatchedProject
from clnrm_nb.api.watchruns import Runs
from clnrm_nb.api.watchtelling import Teller
from clnrm_nb.api.watchverdicts import Verdicts
from clnrm_nb.api.watchwhy import decided
from clnrm_nb.errors import ClnrmError
from clnrm_nb.pipeline.reaction import Reaction
from clnrm_nb.watch import Planner, Settle

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from clnrm_nb.api.contexts import Context
    from clnrm_nb.api.watchproject import KnownTest
    from clnrm_nb.api.watchruns import EndedRun
    from clnrm_nb.executor.events import Listener
    from clnrm_nb.pipeline.load import Variables
    from clnrm_nb.pipeline.request import RunRequest
    from clnrm_nb.report.results import RunResult
    from clnrm_nb.watch import Batch, Change, FileWatcher, Reason, Remark

__all__ = ["Session"]

_log = logging.getLogger(__name__)

_READ_BY_RENDERING: Final = frozenset({"scenario", "template", "missing", "variables"})
_LEVELS: Final = {"no-events": "warning", "limit": "warning", "unreadable": "warning", "root-gone": "error"}


class Session:
    """See the module.

    Parameters
    ----------
    here : Context
    request : RunRequest
        What ``run`` would do with the same options.
    listener : callable, optional
        Takes every event.
    variable_files : sequence of str
        ``--vars``.
    variables : callable, optional
        Reads them again.
    once : bool
        End after the first run.
    wrote : callable, optional
        Takes the state of all tests whenever nothing runs any more, for report files.
    """

    def __init__(
        self,
        here: Context,
        request: RunRequest,
        *,
        listener: Listener | None = None,
        variable_files: Sequence[str] = (),
        variables: Callable[[], Variables] | None = None,
        once: bool = False,
        wrote: Callable[[RunResult], object] | None = None,
    ) -> None:
        self.verdicts = Verdicts()
        self.filters = Filters()
        self._here = here
        self._tell = Teller(listener)
        self._variables = variables
        self._once = once
        self._wrote = wrote
        self._project = WatchedProject(here, request, variable_files)
        self._planner = Planner(self._project.graph, self._project.belongs)
        watch = here.settings.watch
        self._settle = Settle(watch.settle_ms, watch.debounce_ms)
        self._runs = Runs(watch.max_concurrent, self._tell.publish, lambda run: self.tell("ended", run))
        self._inbox: asyncio.Queue[tuple[str, tuple[Any, ...]]] = asyncio.Queue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watcher: FileWatcher | None = None
        self._agenda = Agenda()
        self._n_changes = self._n_runs = 0
        self._is_over = False
        self._reaction: Reaction | None = None
        """To what came since the last run was started."""

    # ---------------------------------------------------------------------------------------- its life

    async def run(self) -> RunResult:
        """Watch until told to stop; the last state of all tests.

        A cancellation is an interrupt: everything that runs is stopped and gone, and the result says so.
        """
        self._loop = asyncio.get_running_loop()
        reason = "error"
        try:
            await self._begin()
            reason = await self._live()
        except asyncio.CancelledError:
            reason = "interrupted"
            _heed_no_more()
        finally:
            self._is_over = True
            await self._end(is_gentle=reason != "interrupted")
        result = self.result(interrupted=reason == "interrupted")
        self._write(result)
        self._tell.end(result, reason, changes=self._n_changes, runs=self._n_runs)
        return result

    async def _begin(self) -> None:
        """Watch first and read then, so that no save falls between."""
        if not self._once:
            self._watcher = self._project.watcher(
                lambda batch: self.tell("batch", batch), lambda remark: self.tell("remark", remark)
            )
            await asyncio.to_thread(self._watcher.start)
        looked = self._project.read_all()
        self._refresh()
        watch = self._here.settings.watch
        self._tell.start(
            {
                "paths": self._project.paths,
                "tests": len(self._project.tests),
                "mode": self._watcher.means if self._watcher else "once",
                "settle_ms": watch.settle_ms,
                "debounce_ms": watch.debounce_ms,
            }
        )
        self._tell.diagnostics(looked, len(self._project.tests))
        if not self._project.tests:
            self._tell.note("warning", "there are no scenario files yet; the first one that appears is run")
        self._start(self._chosen(), "start", since_ns=time.monotonic_ns(), rest="")

    async def _live(self) -> str:
        """Take messages until one of them ends it; why it ended."""
        while not (self._once and not self._runs and self._inbox.empty()):
            try:
                async with asyncio.timeout(self._patience_s()):
                    name, given = await self._inbox.get()
            except TimeoutError:
                name, given = "quiet", ()
            if name == "stop":
                return str(given[0])
            self._heed(name, given)
        return "once"

    def _heed(self, name: str, given: tuple[Any, ...]) -> None:
        try:
            getattr(self, f"_on_{name}")(*given)
        except ClnrmError as error:
            self._tell.note("error", _sentence(error))
        except Exception as error:  # noqa: BLE001  # Whatever one message meets, the next is answered.
            _log.exception("watching goes on after an internal error")
            self._tell.note("error", f"internal error, please report: {type(error).__name__}: {error}")

    async def _end(self, *, is_gentle: bool) -> None:
        """Stop what runs, without grace; gently: it counts as not run instead of interrupted."""
        if is_gentle:
            self._runs.drop(dict.fromkeys(self._runs.running, "not finished: watching ended"))
        await asyncio.gather(self._runs.end() if is_gentle else self._runs.stop(), self._unwatch())
        while not self._inbox.empty():
            name, given = self._inbox.get_nowait()
            if name == "ended":
                self._heed(name, given)

    async def _unwatch(self) -> None:
        if self._watcher is not None:
            await asyncio.to_thread(self._watcher.close)

    def _patience_s(self) -> float | None:
        due_ns = self._settle.due_ns
        return None if due_ns is None else max(due_ns - time.monotonic_ns(), 0) / 1e9

    def tell(self, name: str, *given: Any) -> None:
        """Leave a message; from any thread.

        ``stop`` (with the reason), or what a person may want: ``all``, ``again``, ``failed``, ``file``,
        ``test``, ``clear``, ``accept``.
        """
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._inbox.put_nowait, (name, given))

    def result(self, *, interrupted: bool = False) -> RunResult:
        """The last verdict of every test, as the result of one run."""
        project = self._project
        return self.verdicts.result(self._here, project.mask, project.findings(), interrupted=interrupted)

    @property
    def is_running(self) -> bool:
        """Whether any run goes on."""
        return bool(self._runs)

    def why(self) -> list[str]:
        """Why each test of the last reaction was run or not; those that ran first."""
        return self._agenda.why()

    # ------------------------------------------------------------------------------------ the first edge

    def _on_batch(self, batch: Batch) -> None:
        """Files have other contents: show at once what that means, and stop what runs on the old ones."""
        relative = self._here.project.relative
        files = [{"file": relative(change.path), "change": change.kind} for change in batch.changes]
        self._n_changes += self._settle.due_ns is None
        self._tell.change(self._n_changes, files, batch.means)
        if self._reaction is None:
            self._reaction = _reaction_to(batch, [each["file"] for each in files])
        with self._reaction.checking():
            self._check(batch)

    def _check(self, batch: Batch) -> None:
        """Read what the changes concern."""
        changes = self._understood(batch.changes)
        self._settle.event(changes, batch.noticed_ns)
        running = self._runs.running
        plan = self._planner.leading(changes, running)
        libraries = self._project.libraries(change.path for change in changes)
        looked = self._project.read({*plan.validate, *libraries})
        gone = {change.path for change in changes if change.after is None}
        looked.add(self._project.remove({*plan.removed, *gone.intersection(libraries)}))
        self._refresh()
        self._give_up(plan.obsolete, plan.run, running)
        self.verdicts.drop(looked.gone)
        self._agenda.forget(looked.gone)
        self._tell.diagnostics(looked, len(self._project.tests), batch.noticed_ns)

    def _give_up(
        self,
        obsolete: Collection[str],
        reasons: Mapping[str, Sequence[Reason]],
        running: Mapping[str, KnownTest],
    ) -> None:
        stale: dict[str, str] = {}
        for test in obsolete:
            if self._is_other(test, reasons.get(test, ()), running[test]):
                stale[test] = f"obsolete: {self._because(reasons.get(test, ())) or 'its file is gone'}"
            else:
                self._agenda.told[test] = "it goes on: what changed means the same"
        self._planner.ran(set(obsolete) - stale.keys())
        self._runs.drop(stale)

    def _is_other(self, test: str, reasons: Sequence[Reason], running: KnownTest) -> bool:
        """Whether a test that runs does so on inputs that are not the present ones."""
        now = self._project.tests.get(test)
        if now is None or now.meaning is None or now.meaning != running.meaning:
            return True
        return any(reason.role not in _READ_BY_RENDERING for reason in reasons)

    def _because(self, reasons: Sequence[Reason]) -> str:
        told = [reason.sentence(self._here.project.relative) for reason in reasons[:3]]
        return ", ".join(each.removeprefix("because ") for each in told)

    def _refresh(self) -> None:
        if self._watcher is not None:
            self._watcher.refresh(*self._project.readings())

    def _understood(self, changes: Sequence[Change]) -> list[Change]:
        """Changes that mean something, after what is read before any test was read again.

        If that is broken it is shown, and what held before still holds.
        """
        paths = {change.path for change in changes}
        broken: frozenset[str] = frozenset()
        try:
            if paths & self._project.graph.configuration:
                broken = self._project.graph.configuration
                self._reload()
            if paths & self._project.variable_files and self._variables is not None:
                broken = self._project.variable_files
                self._project.read_variables(self._variables())
        except ClnrmError as error:
            for finding in error.diagnostics or [error.diagnostic]:
                self._tell.note("error", f"{finding}; what held before still holds")
            return [change for change in changes if change.path not in broken]
        return list(changes)

    def _reload(self) -> None:
        """The configuration changed."""
        here = self._here.again()
        if not here.settings.watch.enabled:
            self._tell.note("warning", "`watch.enabled` is false now: the next `clnrm watch` will refuse")
        self._here = self._project.here = here
        watch = here.settings.watch
        self._settle.settle_ms, self._settle.debounce_ms = watch.settle_ms, watch.debounce_ms
        for finding in here.settings.diagnostics:
            self._tell.note(finding.severity, str(finding))

    # ----------------------------------------------------------------------------------- the second edge

    def _on_quiet(self) -> None:
        """It was quiet for long enough: run what depends on what changed."""
        edge = self._settle.tick(time.monotonic_ns())
        if edge is None:
            return
        reaction, self._reaction = self._reaction, None
        running = self._runs.running
        plan = self._planner.trailing(edge.changes, running)
        reasons = {test: self._because(why) or "it was given up" for test, why in plan.run.items()}
        for test in self._project.tests.keys() - self.verdicts.outcomes.keys() - self._runs.awaited:
            reasons.setdefault(test, "it has no verdict yet")
        names = ", ".join(self._here.project.relative(change.path) for change in edge.changes[:3])
        rest = f"does not depend on {names}" if names else "what was changed was changed back"
        wanted = dict(sorted(reasons.items()))
        self._start(wanted, "change", since_ns=edge.since_ns, rest=rest, reaction=reaction)

    def _start(self, tests: Iterable[str], why: str, *, since_ns: int, rest: str, **how: Any) -> None:
        """Run those of `tests`, and of what is owed, that are valid and wanted; say what is not run.

        Parameters
        ----------
        tests : iterable of str, or mapping
            Ids, in a mapping with the reason of each.
        why : str
            Of the whole reaction.
        rest : str
            Why the other tests are not run.
        **how
            Further fields of the request, and what the run is a part of (`reaction`).
        """
        reasons = (
            tests if isinstance(tests, dict) else {test: self._agenda.owed.get(test) or why for test in tests}
        )
        decided = self._agenda.decide(
            reasons, self._project.tests, set(self._chosen()), self._runs.running, rest=rest
        )
        self._tell.plan(why, decided, since_ns)
        for outcome in decided.invalid:
            self.verdicts.put(outcome, self._runs.latest)
        if decided.invalid:
            self._tell.result(decided.invalid, {}, since_ns, is_latest=not decided.run)
        if decided.run:
            self._n_runs += 1
            self._planner.ran(self._agenda.last)
            self._runs.start(decided.run, self._project.request, self._here, since_ns=since_ns, **how)

    # -------------------------------------------------------------------------------------- what came of it

    def _on_ended(self, run: EndedRun) -> None:
        """A run is over."""
        self._runs.forget(run.number)
        if run.error is not None:
            self.verdicts.trouble = run.error
            self._agenda.owe((test for test in run.tests if test not in run.dropped), "it could not be run")
            self._tell.note("error", f"{_sentence(run.error)}; watching goes on, Enter tries again")
            return
        taken = self.verdicts.take(run, self._project.tests, is_last=self._is_over)
        causes = decided([outcome.id for outcome in taken], self._here)
        for outcome in taken:
            cause = causes.get(outcome.id)
            if outcome.status == "cached":
                self._agenda.told[outcome.id] = (
                    f"not run: cached, {cause or outcome.why or 'nothing changed'}"
                )
            elif cause:
                self._agenda.told[outcome.id] = f"{self._agenda.told.get(outcome.id, 'run')} ({cause})"
        is_latest = run.number == self._runs.latest
        self._tell.result(taken, causes, run.since_ns, is_latest=is_latest, timings=run.timings)
        if not self._runs and not self._is_over:
            self._write(self.result() if self._wrote else None)

    def _write(self, result: RunResult | None) -> None:
        if self._wrote is not None and result is not None:
            try:
                self._wrote(result)
            except ClnrmError as error:
                self._tell.note("error", _sentence(error))

    # ------------------------------------------------------------------------------------ what people want

    def _on_all(self) -> None:
        """Run everything again, whether anything changed or not."""
        self._again(list(self._project.tests))

    def _on_again(self) -> None:
        """Run again what ran last."""
        self._again([*self._agenda.last, *self._agenda.owed] or list(self._project.tests))

    def _again(self, tests: Sequence[str]) -> None:
        edge, self._reaction = self._settle.flush(), None
        since_ns = time.monotonic_ns() if edge is None else edge.since_ns
        if edge is not None:
            plan = self._planner.trailing(edge.changes, self._runs.running)
            for test, reasons in plan.run.items():
                self._agenda.owe([test], self._because(reasons))
        chosen = set(self._chosen())
        wanted = [test for test in dict.fromkeys(tests) if test in chosen]
        self._runs.drop(dict.fromkeys(wanted, "obsolete: it was asked for again"))
        self._start(wanted, "asked for", since_ns=since_ns, rest="not asked for", force=True)

    def _on_file(self, text: str) -> None:
        """Only files whose path holds a text."""
        self._filter(replace(self.filters, file=text))

    def _on_test(self, expression: str) -> None:
        """Only tests that an expression selects."""
        self._filter(replace(self.filters, test=expression))

    def _on_failed(self) -> None:
        """Only tests that do not pass; again: all."""
        self._filter(replace(self.filters, failed=not self.filters.failed))

    def _on_clear(self) -> None:
        """No filters; what was left out because of them and has changed is run."""
        self._filter(Filters())

    def _filter(self, filters: Filters) -> None:
        """Take on filters, which may be malformed; what they leave out stops at once, the rest is run."""
        before, chosen = self.filters, self._chosen(filters)
        self.filters = filters
        self._tell.filters(filters)
        if filters == before or not filters:
            self._start((), "filters cleared", since_ns=time.monotonic_ns(), rest="nothing changed")
            return
        others = self._runs.running.keys() - set(chosen)
        self._agenda.owe(others, "it was stopped by a filter")
        self._runs.drop(dict.fromkeys(others, "filtered out"))
        wanted = [test for test in chosen if test not in self._runs.running]
        self._start(wanted, "filter", since_ns=time.monotonic_ns(), rest="")

    def _chosen(self, filters: Filters | None = None) -> list[str]:
        """Ids of the tests that options and filters leave."""
        filters = self.filters if filters is None else filters
        known = self._project.tests.values()
        chosen = filters.chosen(known, self._project.request, self.verdicts.failing)
        return [test.test_id for test in chosen]

    def _on_accept(self) -> None:
        """Make the latest traces the baselines of the comparisons that fail."""
        from clnrm_nb.api.reviewing import ReviewDesk

        differing = self.verdicts.differing()
        if not differing:
            self._tell.note("info", "no comparison fails: there is nothing to accept")
            return
        desk = ReviewDesk(self._here, message="accepted while watching")
        for review_id in differing:
            desk.accept(review_id)
        self._tell.note("info", f"accepted: {', '.join(differing)}")

    def _on_remark(self, remark: Remark) -> None:
        hint = f" ({remark.hint})" if remark.hint else ""
        self._tell.note(_LEVELS.get(remark.kind, "info"), f"{remark.message}{hint}")


def _heed_no_more() -> None:
    """An interrupt has been understood: what is awaited from here on is the clean-up."""
    task = asyncio.current_task()
    while task is not None and task.cancelling():
        task.uncancel()


def _sentence(error: ClnrmError) -> str:
    return f"{error} ({error.hint})" if error.hint else str(error)


def _reaction_to(batch: Batch, files: Sequence[str]) -> Reaction:
    """What becomes of a batch, from the time its files say they were written."""
    written_ns = [change.written_ns for change in batch.changes if change.written_ns is not None]
    seen_ns = time.time_ns() - (time.monotonic_ns() - batch.noticed_ns)
    return Reaction(files, written_ns=min(written_ns, default=None), seen_ns=seen_ns)
