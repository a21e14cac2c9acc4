"""``run``: blocking, awaitable, streaming or detached; four doors to one pipeline."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from clnrm_nb.api.contexts import Context, context_of, paths_of, refuse_unknown, variables_from
from clnrm_nb.codes import EXIT_INTERRUPTED
from clnrm_nb.errors import UsageError
from clnrm_nb.executor.loop import Interrupted, Job, run_blocking, run_here, submit
from clnrm_nb.pipeline.live import LiveTables
from clnrm_nb.pipeline.request import ComparisonRequest, RunRequest, Sources
from clnrm_nb.pipeline.run import run_pipeline
from clnrm_nb.report.mime import bundle
from clnrm_nb.report.results import RunResult
from clnrm_nb.report.text import number_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Container, Generator, Sequence

    import pandas as pd

    from clnrm_nb.api.watching.handle import Watch
    from clnrm_nb.executor.events import Event, Listener
    from clnrm_nb.pipeline.request import Cell
    from clnrm_nb.report.render import Format
    from clnrm_nb.report.trace import Trace

__all__ = ["Prepared", "Run", "arun", "carry_out", "finished", "prepare", "run", "stream", "with_lines"]

_WITH_RESULT = frozenset({"passed", "failed", "interrupted"})

Paths: TypeAlias = "str | Path | Sequence[str | Path]"


class Run:
    """A run that is going on: ``run(…, detach=True)`` or ``%clnrm run --detach``.

    Awaitable; its frame and spans grow while it runs.
    """

    def __init__(self, job: Job[RunResult], live: _Live) -> None:
        self._job = job
        self._live = live

    @property
    def status(self) -> str:
        """``running``, or how the run ended: ``passed``, ``failed``, ``interrupted`` or ``error``."""
        if not self._job.done.done():
            return "running"
        if self._job.done.cancelled() or self._job.done.exception() is not None:
            return "error"
        if self.result.exit_code == EXIT_INTERRUPTED:
            return "interrupted"
        return "passed" if self.result.ok else "failed"

    @property
    def result(self) -> RunResult:
        """The result, once the run has ended.

        Raises
        ------
        UsageError
            It is still running.
        """
        if not self._job.done.done():
            raise UsageError("the run is still going on", hint="Wait for it: run.wait().")
        return self._job.done.result()

    @property
    def frame(self) -> pd.DataFrame:
        """Spans received so far, in the columns of ``Trace``; of the finished run, its result's frame."""
        return self.result.frame if self._job.done.done() else self.spans.frame

    @property
    def spans(self) -> Trace:
        """All spans received so far."""
        if self._job.done.done():
            return self.result.spans
        from clnrm_nb.report.trace import Trace

        tables = self._live.tables
        return Trace([(name, tables.shown(name)) for name in list(tables)], mask=tables.mask)

    @property
    def events(self) -> list[Event]:
        """What has happened so far."""
        return list(self._live.events)

    def cancel(self) -> None:
        """Stop the run; everything it has started is removed."""
        self._job.cancel()

    def wait(self, timeout: float | None = None) -> RunResult:
        """The result, waiting at most `timeout` seconds.

        Raises
        ------
        TimeoutError
            It has not ended by then; it goes on.
        """
        if not self._job.wait(timeout):
            raise TimeoutError(f"the run has not ended within {timeout} s")
        return self.result

    def __await__(self) -> Generator[Any, None, RunResult]:
        return asyncio.wrap_future(self._job.done).__await__()

    def __repr__(self) -> str:
        if self.status in _WITH_RESULT:
            return repr(self.result)
        return f"<Run {self.status}: {number_text(len(self._live.events), 'event')}>"

    def _repr_mimebundle_(
        self, include: Container[str] | None = None, exclude: Container[str] | None = None
    ) -> dict[str, Any]:
        """The result's, once there is one."""
        if self.status in _WITH_RESULT:
            return self.result._repr_mimebundle_(include, exclude)
        return bundle({"text/plain": lambda: repr(self)}, include, exclude)


class _Live:
    """What a running pipeline shows: its events, and the tables its spans land in."""

    def __init__(self, listener: Listener | None) -> None:
        self.events: list[Event] = []
        self.tables = LiveTables()
        self._listener = listener

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        if self._listener is not None:
            self._listener(event)


def run(
    paths: Paths = ".",
    *,
    cell: Cell | None = None,
    detach: bool = False,
    context: Context | None = None,
    listener: Listener | None = None,
    **options: Any,
) -> RunResult | Run | Watch:
    """Render, validate and run scenario files; judge their spans.

    Parameters
    ----------
    paths : path or sequence of paths
        Files or directories.
    cell : Cell, optional
        A notebook cell instead of files.
    detach : bool
        Return a live :class:`Run` at once.
    listener : callable, optional
        Called with each :class:`~clnrm_nb.executor.events.Event` on the engine's thread; must return at once.
    **options
        Those of ``clnrm run``, such as ``vars={"port": 8080}``, ``workers=4``, ``backend="process"``. With
        ``watch=True`` this is :func:`~clnrm_nb.api.watch`.

    Returns
    -------
    RunResult or Run
        A run that fails is a result with ``ok`` False, not an exception.

    Raises
    ------
    BackendUnavailableError
        No engine answers.
    KeyboardInterrupt
        Interrupted; everything the run had started is gone.
    """
    here = context_of(context, options)
    if here.settings.cli.watch and here.settings.origin("cli.watch") == "command line" and cell is None:
        from clnrm_nb.api.watching.handle import watch

        options.pop("digest", None)
        return watch(paths, detach=detach, context=here, listener=listener, **options)
    prepared = prepare(paths, cell, here, options)
    if detach:
        live = prepared.live(listener)
        return Run(submit(finished(prepared, live)), live)
    return carry_out(prepared, listener)


def carry_out(prepared: Prepared, listener: Listener | None = None) -> RunResult:
    """Run to the end; see :func:`run`."""
    try:
        return run_blocking(finished(prepared, prepared.live(listener)))
    except Interrupted as stop:
        if isinstance(stop.result, RunResult):
            return stop.result
        raise


async def arun(
    paths: Paths = ".",
    *,
    cell: Cell | None = None,
    context: Context | None = None,
    listener: Listener | None = None,
    **options: Any,
) -> RunResult:
    """As :func:`run`, awaited from a loop of the caller's own."""
    prepared = prepare(paths, cell, context, options)
    return await run_here(finished(prepared, prepared.live(listener)))


async def stream(paths: Paths = ".", **options: Any) -> AsyncIterator[Event]:
    """The events of a run, as they happen; the last one is ``run.end``.

    Leaving the iteration early cancels the run.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[Event | None] = asyncio.Queue()

    def deliver(event: Event) -> None:
        loop.call_soon_threadsafe(queue.put_nowait, event)

    task = asyncio.ensure_future(arun(paths, listener=deliver, **options))
    task.add_done_callback(lambda _: queue.put_nowait(None))
    try:
        while (event := await queue.get()) is not None:
            yield event
        await task
    finally:
        task.cancel()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run that is understood and not yet started."""

    request: RunRequest
    here: Context
    write: Callable[[RunResult], None]
    emit_events: str | None = None

    def live(self, listener: Listener | None) -> _Live:
        """What follows the run."""
        return _Live(with_lines(listener, self.emit_events))


def prepare(
    paths: Paths,
    cell: Cell | None,
    context: Context | None,
    options: dict[str, Any],
    *,
    command: str = "run",
) -> Prepared:
    """Understand the options of ``run``, as all commands share them that run tests.

    Raises
    ------
    UsageError
        An option is unknown.
    """
    here = context_of(context, options)
    refuse_unknown(command, options)
    request = RunRequest(
        sources=Sources(paths_of(paths, cell), [cell] if cell else [], bool(options.get("no_template"))),
        variables=variables_from(options),
        tags=tuple(options.get("tag", ())),
        only=tuple(options.get("only", ())),
        expression=options.get("expression"),
        shard=options.get("shard"),
        repeat=max(1, int(options.get("repeat") or 1)),
        until_fail=bool(options.get("until_fail")),
        force=bool(options.get("force")),
        resume=bool(options.get("resume")),
        digest=bool(options.get("digest")),
        comparison=_comparison(here, update=bool(options.get("update_baseline"))),
    )
    files: dict[Format, Any] = {
        "junit": options.get("report_junit"),
        "json": options.get("report_json"),
        "html": options.get("report_html"),
    }

    def write(result: RunResult) -> None:
        from clnrm_nb.report.files import write_report

        for kind, file in files.items():
            if file:
                try:
                    write_report(result, Path(file), kind)
                except OSError as error:
                    raise UsageError(f"cannot write {file}: {error.strerror}") from None

    return Prepared(request, here, write, options.get("emit_events"))


async def finished(prepared: Prepared, live: _Live) -> RunResult:
    """The pipeline, followed by `live`, and the reports that were asked for."""
    here = prepared.here
    result = await run_pipeline(
        prepared.request, project=here.project, settings=here.settings, listener=live, tables=live.tables
    )
    prepared.write(result)
    return result


def _comparison(here: Context, *, update: bool) -> ComparisonRequest | None:
    if not (update or here.settings.baseline.compare):
        return None
    return ComparisonRequest(update=update, ci=here.ci)


def with_lines(listener: Listener | None, emit_events: str | None) -> Listener | None:
    """``--emit-events jsonl``: each event as one line on stderr too."""
    if emit_events is None:
        return listener
    import orjson

    def both(event: Event) -> None:
        sys.stderr.write(orjson.dumps(event.to_json(), default=str).decode() + "\n")
        sys.stderr.flush()
        if listener is not None:
            listener(event)

    return both
