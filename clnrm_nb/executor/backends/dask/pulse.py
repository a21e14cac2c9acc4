"""The view of a run while its tests are elsewhere: events and spans fetched as they come.

A few times a second each worker that runs a test of ours is asked what is new. The question also says that
somebody still waits: tests of a run that has died are stopped by their workers. Nothing of it decides
anything; the whole account of a test comes with its outcome, and what was shown already is not shown twice.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.executor.backends.dask.clock import moved
from clnrm_nb.executor.backends.dask.payload import located_document, read_spans
from clnrm_nb.executor.backends.dask.worker import REPORT, TOPIC
from clnrm_nb.spans.table import SpanTable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from clnrm_nb.executor.attempt import RunContext
    from clnrm_nb.executor.backends.dask.cluster import Cluster
    from clnrm_nb.executor.plan import TestPlan

__all__ = ["Errand", "Pulse"]

_log = logging.getLogger(__name__)

_BEAT_S: Final = 0.25
_ANSWER_S: Final = 2.0
_BEATS_TO_ALL: Final = 20
"""Every so many beats all workers are asked: word of a start may have been lost."""
_BEATS_TO_LET_GO: Final = 8
"""Every so many beats the tasks of tests that are over are let go of."""


@dataclass(slots=True, eq=False)
class Errand:
    """One start of one attempt, while it is away.

    Attributes
    ----------
    worker : str or None
        Where it runs, as soon as that is known.
    started : asyncio.Event
        Set then.
    """

    plan: TestPlan
    context: RunContext
    fence: str
    worker: str | None = None
    started: asyncio.Event = field(default_factory=asyncio.Event)
    table: SpanTable = field(default_factory=SpanTable)
    n_events: int = 0

    def show(self, events: Sequence[dict[str, Any]], ahead_ns: int) -> None:
        """Publish the next events; those shown before must not be among them."""
        self.n_events += len(events)
        for document in events:
            at = datetime.fromisoformat(document["at"]) - timedelta(microseconds=ahead_ns / 1e3)
            known = {key: document[key] for key in ("test", "scenario", "status", "data") if key in document}
            if document["event"] == "diagnostic":
                known["data"] = located_document(known["data"], self.plan)
            self.context.emit(document["event"], at=at, **known)

    def grow(self, data: bytes, ahead_ns: int) -> None:
        """Let the live table have the next spans."""
        if data:
            self.table.extend(moved(read_spans(data), ahead_ns))


class Pulse:
    """Asks after the errands of one cluster.

    Parameters
    ----------
    cluster : Cluster
    lost : callable
        Called when a worker that ran a test has left the cluster.
    """

    def __init__(self, cluster: Cluster, lost: Callable[[], None]) -> None:
        self._cluster = cluster
        self._lost = lost
        self._errands: dict[str, Errand] = {}
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Listen to where tests start, and begin to ask."""
        self._cluster.client.subscribe_topic(TOPIC, self._heard)
        self._task = asyncio.ensure_future(self._beat())

    def add(self, errand: Errand) -> None:
        """It has been sent."""
        self._errands[errand.fence] = errand

    def remove(self, errand: Errand) -> None:
        """Its answer is here; later news of it are not listened to."""
        self._errands.pop(errand.fence, None)

    def _heard(self, event: tuple[float, Any]) -> None:
        said = event[1]
        errand = self._errands.get(said.get("fence", ""))
        if errand is not None and said.get("action") == "test-started":
            errand.worker = said["worker"]
            errand.started.set()

    async def _beat(self) -> None:
        number = 0
        while True:
            await asyncio.sleep(_BEAT_S)
            number += 1
            if number % _BEATS_TO_LET_GO == 0:
                self._cluster.let_go()
            try:
                await self._ask(to_all=number % _BEATS_TO_ALL == 0)
            except OSError:
                # The scheduler is gone; whoever waits for the tests hears of it, too.
                _log.debug("could not ask after the tests", exc_info=True)
            except Exception:  # noqa: BLE001  # A view that stops growing is a pity, no verdict.
                _log.exception("could not ask after the tests")

    async def _ask(self, *, to_all: bool) -> None:
        if not self._errands:
            return
        by_worker: dict[str, dict[str, tuple[int, int]]] = {}
        lost = [each for each in self._errands.values() if each.worker is None] if to_all else []
        for errand in self._errands.values():
            known = [errand.worker] if errand.worker in self._cluster.workers else []
            for place in self._cluster.workers if errand in lost else known:
                by_worker.setdefault(place, {})[errand.fence] = (errand.n_events, len(errand.table))
        asked = [
            self._cluster.ask(address, REPORT, asked=tests, timeout_s=_ANSWER_S)
            for address, tests in by_worker.items()
        ]
        answers = dict(zip(by_worker, await asyncio.gather(*asked), strict=True))
        for address, answer in answers.items():
            if isinstance(answer, dict):
                self._take(address, answer["tests"])
        silent = {address for address, answer in answers.items() if not isinstance(answer, dict)}
        if silent:
            await self._cluster.refresh()
            if silent - set(self._cluster.workers):
                self._lost()

    def _take(self, address: str, tests: dict[str, Any]) -> None:
        worker = self._cluster.workers.get(address)
        ahead_ns = worker.clock.ahead_ns if worker else 0
        for fence, news in tests.items():
            errand = self._errands.get(fence)
            if errand is not None:
                errand.worker = address
                errand.grow(news["spans"], ahead_ns)
                errand.show(news["events"], ahead_ns)

    async def close(self) -> None:
        """Stop asking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            with suppress(ValueError):
                self._cluster.client.unsubscribe_topic(TOPIC)
