"""The runs of a watcher: several may go on at once, each test in at most one of them.

A run is the whole pipeline for some tests. What is obsolete in it is dropped test by test; the rest goes on,
and what was changed starts at once in a run of its own.
"""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clnrm_nb.errors import ClnrmError, InternalError
from clnrm_nb.executor.control import Control, Slots
from clnrm_nb.executor.spares import Spares
from clnrm_nb.pipeline.live import LiveTables
from clnrm_nb.pipeline.load import Sources
from clnrm_nb.pipeline.run import run_pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from clnrm_nb.api.contexts import Context
    from clnrm_nb.api.watching.project import KnownTest
    from clnrm_nb.executor.events import Event, Listener
    from clnrm_nb.pipeline.reaction import Reaction
    from clnrm_nb.pipeline.request import RunRequest
    from clnrm_nb.report.results import RunResult

__all__ = ["EndedRun", "Runs"]


@dataclass(slots=True, eq=False)
class _Going:
    """One run that goes on."""

    number: int
    tests: Mapping[str, KnownTest]
    control: Control
    since_ns: int
    reaction: Reaction | None = None
    open: set[str] = field(default_factory=set)
    """Tests that have no end yet and were not dropped."""
    dropped: dict[str, str] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None


@dataclass(frozen=True, slots=True)
class EndedRun:
    """What a run came to.

    Parameters
    ----------
    number : int
        Counted from 1.
    since_ns : int
        The clock reading it was started with.
    dropped : mapping
        Tests that were given up, with the reasons.
    result : RunResult, optional
    error : ClnrmError, optional
        Why there is no result.
    """

    number: int
    tests: Mapping[str, KnownTest]
    since_ns: int
    dropped: Mapping[str, str]
    result: RunResult | None = None
    error: ClnrmError | None = None

    @property
    def timings(self) -> Mapping[str, Any] | None:
        """Where the time went, if that was asked for."""
        return None if self.result is None else self.result.head["data"].get("timings")


class Runs:
    """See the module. Everything happens on one event loop.

    Parameters
    ----------
    slots : int
        Most tests that have their turn at once, in all runs together (``watch.max_concurrent``).
    publish : callable
        Takes the events of all runs.
    ended : callable
        Takes each run that is over.
    """

    def __init__(self, slots: int, publish: Listener, ended: Callable[[EndedRun], object]) -> None:
        self._slots = Slots(slots)
        self.spares = Spares()
        """What is ready for the tests that are being edited."""
        self._publish = publish
        self._ended = ended
        self._numbers = count(1)
        self._going: list[_Going] = []
        self.latest = 0
        """Number of the run that was started last."""

    @property
    def running(self) -> dict[str, KnownTest]:
        """Tests that are queued or running, as they were when their run began."""
        return {test: run.tests[test] for run in self._going for test in run.open}

    @property
    def awaited(self) -> set[str]:
        """Tests whose verdict will come with a run that goes on, whether they have ended or not."""
        return {test for run in self._going for test in run.tests if test not in run.dropped}

    def __bool__(self) -> bool:
        """Whether any run goes on."""
        return bool(self._going)

    def start(
        self,
        tests: Iterable[KnownTest],
        request: RunRequest,
        here: Context,
        *,
        since_ns: int,
        reaction: Reaction | None = None,
        **how: Any,
    ) -> int:
        """Begin a run; its number.

        Parameters
        ----------
        request : RunRequest
            Of the whole session: what is chosen of it is said by `tests`.
        reaction : Reaction, optional
            What the run is a part of.
        **how
            Further fields of the request.
        """
        known = {test.test_id: test for test in tests}
        run = _Going(
            next(self._numbers),
            known,
            Control(slots=self._slots, spares=self.spares),
            since_ns=since_ns,
            reaction=reaction,
            open=set(known),
        )
        files = sorted({Path(test.file) for test in known.values()})
        chosen = replace(
            request,
            sources=Sources(files, no_template=request.sources.no_template),
            tags=(),
            only=(),
            expression=None,
            shard=None,
            ids=frozenset(known),
            **how,
        )
        self.latest = run.number
        self._going.append(run)
        run.task = asyncio.ensure_future(self._carry_out(run, chosen, here))
        return run.number

    def forget(self, number: int) -> None:
        """What a run came to has been taken note of; until then it counts as going on."""
        self._going = [run for run in self._going if run.number != number]

    def drop(self, reasons: Mapping[str, str]) -> list[str]:
        """Give tests up, wherever they run; those that really were under way."""
        dropped: list[str] = []
        for run in self._going:
            mine = {test: why for test, why in reasons.items() if test in run.open}
            for test, why in mine.items():
                run.open.discard(test)
                run.dropped[test] = why
                run.control.drop([test], why)
            dropped += mine
        return dropped

    async def stop(self) -> None:
        """Interrupt everything and wait until it is gone."""
        for run in self._going:
            if run.task is not None:
                run.task.cancel()
        await self.end()

    async def end(self) -> None:
        """Wait until no run goes on."""
        tasks = [run.task for run in self._going if run.task is not None]
        if tasks:
            await asyncio.wait(tasks)

    async def _carry_out(self, run: _Going, request: RunRequest, here: Context) -> None:
        def listen(event: Event) -> None:
            if event.event == "test.end":
                run.open.discard(event.test)
            self._publish(event)

        result: RunResult | None = None
        error: ClnrmError | None = None
        try:
            with run.reaction.running() if run.reaction else nullcontext():
                result = await run_pipeline(
                    request,
                    project=here.project,
                    settings=here.settings,
                    listener=listen,
                    tables=LiveTables(),
                    control=run.control,
                )
        except ClnrmError as failure:
            error = failure
        except Exception as failure:  # noqa: BLE001  # A watcher goes on, whatever one run meets.
            error = InternalError(f"{type(failure).__name__}: {failure}, please report")
        self._ended(EndedRun(run.number, run.tests, run.since_ns, run.dropped, result, error))
