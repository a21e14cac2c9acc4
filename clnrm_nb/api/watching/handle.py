"""``watch``: blocking for the command line, or a live handle that a notebook or a keyboard holds."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from clnrm_nb.api.contexts import Context, context_of, variables_from
from clnrm_nb.api.running import prepare, with_lines
from clnrm_nb.api.watching.session import Session
from clnrm_nb.codes import EXIT_INTERRUPTED
from clnrm_nb.errors import ConfigError, UsageError
from clnrm_nb.executor.kept import IDLE_S, keep_backends, let_go
from clnrm_nb.executor.loop import CLEAN_UP_S, Interrupted, Job, run_blocking, submit
from clnrm_nb.report.mime import bundle
from clnrm_nb.report.results import RunResult
from clnrm_nb.report.watchstate import WatchState

if TYPE_CHECKING:
    from collections.abc import Container, Generator

    import pandas as pd

    from clnrm_nb.api.running import Paths
    from clnrm_nb.executor.events import Event, Listener

__all__ = ["Watch", "watch"]

_REPORTS = ("report_junit", "report_json", "report_html")


class Watch:
    """A watcher that is going on: ``watch(…, detach=True)`` or ``%clnrm watch --detach``.

    Every method may be called from any thread and returns at once, but for :meth:`wait` and :meth:`stop`.
    """

    def __init__(self, session: Session, state: WatchState) -> None:
        self._session = session
        self.state = state
        """What it does, what ran, what did not and why."""
        self._job: Job[RunResult] = submit(_kept_open(session))

    @property
    def status(self) -> str:
        """``starting``, ``waiting``, ``validating`` or ``running``; how it stood when it ended."""
        if not self._job.done.done():
            return self.state.phase
        if self._job.done.cancelled() or self._job.done.exception() is not None:
            return "error"
        if self.result.exit_code == EXIT_INTERRUPTED:
            return "interrupted"
        return "passed" if self.result.ok else "failed"

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._job.done.done()

    @property
    def result(self) -> RunResult:
        """The last verdict of every test; while it goes on, as they are now."""
        return self._job.done.result() if self._job.done.done() else self._session.result()

    @property
    def frame(self) -> pd.DataFrame:
        """That of the result."""
        return self.result.frame

    def run_all(self) -> None:
        """Run all tests again."""
        self._session.tell("all")

    def rerun(self) -> None:
        """Run again what ran last."""
        self._session.tell("again")

    def failed_only(self) -> None:
        """From now on only tests that do not pass; again: all."""
        self._session.tell("failed")

    def only_files(self, text: str) -> None:
        """From now on only tests in files whose path holds `text`."""
        self._session.tell("file", text)

    def only_tests(self, expression: str) -> None:
        """From now on only tests that a ``-k`` expression selects."""
        self._session.tell("test", expression)

    def clear(self) -> None:
        """No filters; what changed while they left it out is run."""
        self._session.tell("clear")

    def accept(self) -> None:
        """Make the latest traces the baselines of the comparisons that fail."""
        self._session.tell("accept")

    def differing(self) -> list[str]:
        """Ids of comparisons that :meth:`accept` would settle."""
        return self._session.verdicts.differing()

    def why(self) -> list[str]:
        """Why each test was run or not, last time."""
        return self._session.why()

    def quit(self) -> None:
        """Ask it to end; what runs is stopped and counts as not run."""
        self._session.tell("stop", "quit")

    def interrupt(self) -> None:
        """Ask it to end as Ctrl-C does: what runs is interrupted."""
        self._job.cancel()

    def stop(self, timeout: float = CLEAN_UP_S) -> RunResult:
        """End it, wait until everything it started is gone, and give the last verdict of every test.

        Raises
        ------
        TimeoutError
            It has not ended within `timeout` seconds; it goes on ending.
        """
        self.quit()
        return self.wait(timeout)

    def wait(self, timeout: float | None = None) -> RunResult:
        """Wait until it has ended, at most `timeout` seconds.

        Raises
        ------
        TimeoutError
            It has not ended by then; it goes on.
        """
        if not self._job.wait(timeout):
            raise TimeoutError(f"watching has not ended within {timeout} s")
        return self._job.done.result()

    def __await__(self) -> Generator[Any, None, RunResult]:
        return asyncio.wrap_future(self._job.done).__await__()

    def __repr__(self) -> str:
        if self.is_over and self.status != "error":
            return repr(self.result)
        return f"<Watch {self.status}: {self.state.counts() or 'no verdict yet'}>"

    def _repr_mimebundle_(
        self, include: Container[str] | None = None, exclude: Container[str] | None = None
    ) -> dict[str, Any]:
        """The result's, once it has ended."""
        if self.is_over and self.status != "error":
            return self.result._repr_mimebundle_(include, exclude)
        return bundle({"text/plain": lambda: repr(self)}, include, exclude)


def watch(
    paths: Paths = ".",
    *,
    detach: bool = False,
    context: Context | None = None,
    listener: Listener | None = None,
    **options: Any,
) -> RunResult | Watch:
    """Run scenario files, and whenever something they depend on is saved, exactly the tests it concerns.

    Parameters
    ----------
    paths : path or sequence of paths
        Files or directories; new files in directories are noticed.
    detach : bool
        Return a live :class:`Watch` at once.
    listener : callable, optional
        Called with each :class:`~clnrm_nb.executor.events.Event` on the engine's thread; must return at once.
    **options
        Those of ``clnrm watch``, such as ``once=True``, ``settle=20`` or ``backend="process"``.

    Returns
    -------
    RunResult or Watch
        The last verdict of every test.

    Raises
    ------
    ConfigError
        CLN808: ``watch.enabled`` is false.
    UsageError
        An option is unknown, or makes no sense for somebody who watches.
    """
    here = context_of(context, options)
    once = bool(options.get("once"))
    state = WatchState()
    session = _prepared(paths, here, options, once=once, listener=_both(state, listener))
    if detach:
        return Watch(session, state)
    try:
        return run_blocking(_kept_open(session))
    except Interrupted as stop:
        if isinstance(stop.result, RunResult):
            return stop.result
        raise


def _prepared(
    paths: Paths, here: Context, options: dict[str, Any], *, once: bool, listener: Listener
) -> Session:
    if not here.settings.watch.enabled:
        raise ConfigError(
            f"`watch.enabled` is false (set in {here.settings.origin('watch.enabled')})",
            "CLN808",
            hint="Remove the key to watch, or use `clnrm run`.",
        )
    for name in ("repeat", "until_fail", "resume"):
        if options.get(name):
            raise UsageError(f"--{name.replace('_', '-')} is not for watching", hint="Use `clnrm run`.")
    if timebox := options.get("timebox"):
        here = _timeboxed(here, int(timebox))
    given: dict[str, Any] = {key: options[key] for key in ("vars", "map", "vars_file") if key in options}
    parameters = options.get("parameters")
    files = given.get("vars_file", ())
    prepared = prepare(paths, None, here, options, command="watch")
    return Session(
        here,
        prepared.request,
        listener=with_lines(listener, options.get("emit_events")),
        variable_files=[files] if isinstance(files, str) else [str(file) for file in files],
        variables=partial(_variables, given, parameters),
        once=once,
        wrote=prepared.write if any(options.get(name) for name in _REPORTS) else None,
    )


def _variables(given: dict[str, Any], parameters: Any) -> Any:
    return variables_from({**given, "parameters": parameters})


def _timeboxed(here: Context, timebox_ms: int) -> Context:
    """A test may take so long, unless its file says how long it may take."""
    from dataclasses import replace

    limit = {**here.overrides, "executor.test_timeout": f"{timebox_ms}ms"}
    return replace(here, overrides=limit).again()


def _both(state: WatchState, listener: Listener | None) -> Listener:
    def take(event: Event) -> None:
        state.take(event)
        if listener is not None:
            listener(event)

    return take


async def _kept_open(session: Session) -> RunResult:
    """Between two reactions the connection to the engine stays open; afterwards as it was before."""
    before = keep_backends(IDLE_S)
    try:
        return await session.run()
    finally:
        keep_backends(before)
        if before is None:
            await let_go()
