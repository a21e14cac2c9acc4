"""The semantic hash of each test that ran, confirmed after it has ended, and the verdicts that go with it.

The inputs were read before anything ran (:mod:`~clnrm_nb.pipeline.inputs`); a test one of whose inputs has
changed since has no hash. Image ids are those of what really ran.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING, Final

from clnrm_nb.executor.backends import has_containers
from clnrm_nb.executor.backends.protocol import KnowsImages
from clnrm_nb.pipeline.inputs import Inputs
from clnrm_nb.state.evidence import VERDICTS, Attempt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from clnrm_nb.cache import Key
    from clnrm_nb.codes import Status
    from clnrm_nb.executor.backends.protocol import Backend
    from clnrm_nb.executor.outcome import TestOutcome
    from clnrm_nb.pipeline.load import LoadedTest

__all__ = ["Evidences"]

_log = logging.getLogger(__name__)

_ENGINE_S: Final = 10.0
_RAN: Final = frozenset({"passed", "failed", "incomplete", "flaky"})


class Evidences:
    """The inputs of the tests of one run, round for round, and what was said about them.

    Parameters
    ----------
    backend : Backend
        Open.
    make : callable
        Makes inputs that hold nothing yet.
    taken : Inputs, optional
        Those of the first round, read already.

    Attributes
    ----------
    attempts : list of Attempt
        Grows with each round that is confirmed.
    keys : dict of str to Key
        The confirmed keys of the last round.
    """

    def __init__(self, backend: Backend, make: Callable[[], Inputs], taken: Inputs | None = None) -> None:
        self._backend = backend
        self._make = make
        self._taken = taken
        self._inputs: Inputs = make()
        self._said: dict[str, list[Status]] = {}
        self._images: Mapping[str, str | None] = {}
        self._numbers: Counter[str] = Counter()
        self.attempts: list[Attempt] = []
        self.keys: dict[str, Key] = {}

    async def take(self, tests: Mapping[str, LoadedTest]) -> None:
        """Read what the tests depend on. To be awaited before any of them starts, in every round."""
        self._inputs, self._taken = self._taken or self._make(), None
        self._said, self._images, self.keys = {}, {}, {}
        missing = {test_id: test for test_id, test in tests.items() if test_id not in self._inputs}
        if missing:
            await asyncio.to_thread(self._inputs.take, missing)

    def say(self, test_id: str, status: Status) -> None:
        """Note the verdict of one attempt."""
        self._said.setdefault(test_id, []).append(status)

    async def confirm(self, outcomes: Sequence[TestOutcome]) -> None:
        """Give each test that ran its hash, or the reason why it has none; keep the evidence that makes."""
        ran = [outcome for outcome in outcomes if outcome.status in _RAN]
        is_stopped = any(outcome.status == "interrupted" for outcome in outcomes)
        if is_stopped or not await self._is_confirmed(ran):
            # Whoever stops a run does not wait for its files to be read.
            for outcome in ran:
                outcome.hash_reason = "uncacheable: the run was interrupted"
            return
        for outcome in ran:
            self._settle(outcome)

    async def _is_confirmed(self, outcomes: Sequence[TestOutcome]) -> bool:
        """Look at everything again; false if somebody would not wait for that."""
        try:
            await self._ask_for_images(outcomes)
            await asyncio.to_thread(self._inputs.look_again)
        except asyncio.CancelledError:
            # All tests have ended: their verdicts stand, and only the evidence is given up.
            task = asyncio.current_task()
            while task is not None and task.cancelling():
                task.uncancel()
            return False
        return True

    async def _ask_for_images(self, outcomes: Sequence[TestOutcome]) -> None:
        if not isinstance(self._backend, KnowsImages):
            self._refuse_unknown_images(outcomes)
            return
        names = {name for outcome in outcomes for name in self._inputs[outcome.id].images}
        try:
            async with asyncio.timeout(_ENGINE_S):
                self._images = await self._backend.image_ids(sorted(names))
        except Exception as error:  # noqa: BLE001  # Whatever an engine does now, the tests have their verdicts.
            _log.info("the engine does not say what images ran: %s", error)
            for outcome in outcomes:
                self._inputs[outcome.id].refuse("the engine does not say what images ran")

    def _refuse_unknown_images(self, outcomes: Sequence[TestOutcome]) -> None:
        """A tag may have moved between two runs: without content addresses they are not known to be equal."""
        for outcome in outcomes:
            inputs = self._inputs[outcome.id]
            if inputs.images and has_containers(self._backend.name):
                inputs.refuse(f"the backend `{self._backend.name}` does not say what images ran")

    def _settle(self, outcome: TestOutcome) -> None:
        inputs = self._inputs[outcome.id]
        if inputs.key is None:
            outcome.hash_reason = inputs.reason
            return
        known = {name: self._images[name] for name in inputs.images if name in self._images}
        gone = next((name for name, found in known.items() if found is None), None)
        if gone is not None:
            outcome.hash_reason = f"uncacheable: the image `{gone}` was removed during the run"
            return
        key = self.keys[outcome.id] = inputs.key.with_images(known)
        outcome.hash = key.hash
        for status in self._said.get(outcome.id, ()):
            self._numbers[outcome.id] += 1
            if status in VERDICTS:
                number = self._numbers[outcome.id]
                self.attempts.append(Attempt(outcome.id, number, key.hash, key.verdict, status))
