"""Verdicts written down as tests end, so that a run that dies can be gone on with.

On a thread of its own: the event loop never waits for the disk. What gathers while one transaction is under
way goes into the next one together.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from clnrm_nb.pipeline.record import stored_spans
from clnrm_nb.report.text import json_ready

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from clnrm_nb.executor.outcome import TestOutcome
    from clnrm_nb.report.text import Mask
    from clnrm_nb.state import State
    from clnrm_nb.state.journal import Journal

__all__ = ["NO_VERDICT", "Ledger"]

_log = logging.getLogger(__name__)

NO_VERDICT: Final = frozenset({"skipped", "interrupted"})


class Ledger:
    """The journal of one run, as its tests end.

    Parameters
    ----------
    mask : callable
        Hides secrets in what is written.

    Attributes
    ----------
    spans : dict of str to str
        By test, the digest of its stored spans.
    """

    def __init__(self, journal: Journal, state: State, mask: Mask) -> None:
        self._journal = journal
        self._state = state
        self._mask = mask
        self._ended: deque[TestOutcome] = deque()
        self._thread = ThreadPoolExecutor(1, "clnrm_nb-journal")
        self.spans: dict[str, str] = {}

    def begin(self, digests: Mapping[str, str]) -> None:
        """The run starts with these tests."""
        self._submit(lambda: self._journal.begin(digests))

    def add(self, outcome: TestOutcome) -> None:
        """A test has ended; it must not change before :meth:`written`."""
        if outcome.status not in NO_VERDICT:
            self._ended.append(outcome)
            self._submit(self._write)

    async def written(self) -> None:
        """Wait until all that ended so far is written."""
        await asyncio.wrap_future(self._thread.submit(lambda: None))

    def close(self) -> None:
        """Let the thread go when it has written everything."""
        self._thread.shutdown(wait=False)

    def _submit(self, work: Callable[[], object]) -> None:
        def carefully() -> None:
            try:
                work()
            except Exception:  # noqa: BLE001  # Whatever is wrong here, the verdicts are there at the end.
                _log.warning("the journal could not be written; the run goes on", exc_info=True)

        self._thread.submit(carefully)

    def _write(self) -> None:
        outcomes = [self._ended.popleft() for _ in range(len(self._ended))]
        if not outcomes:
            return
        for outcome in outcomes:
            content = stored_spans(outcome)
            if content is not None and (digest := self._state.put_object(content)):
                self.spans[outcome.id] = digest
        documents = {outcome.id: json_ready(outcome.to_json(), self._mask) for outcome in outcomes}
        self._journal.add(documents, self.spans)
