"""The cache as one run uses it: asked before, filled after, and waited for where another run is faster."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from typing import TYPE_CHECKING

from clnrm_nb.cache.lease import Leases
from clnrm_nb.cache.store import CacheStore
from clnrm_nb.errors import Diagnostic
from clnrm_nb.pipeline.images import resolved_backend, seen_images
from clnrm_nb.pipeline.known import Tests
from clnrm_nb.pipeline.lookup import Found, Lookup

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from clnrm_nb.cache import Entry, Key
    from clnrm_nb.cache.shared import SharedCache
    from clnrm_nb.config.project import Project
    from clnrm_nb.config.settings import Settings
    from clnrm_nb.diff.rules import Rule
    from clnrm_nb.executor.outcome import TestOutcome
    from clnrm_nb.pipeline.inputs import Inputs
    from clnrm_nb.pipeline.load import LoadedTest
    from clnrm_nb.pipeline.lookup import AnyTest
    from clnrm_nb.pipeline.request import RunRequest
    from clnrm_nb.secrets import Masker
    from clnrm_nb.state import State

__all__ = ["Caching"]

_log = logging.getLogger(__name__)


class Caching:
    """The cache of one run. To be closed: tests that it has reserved for itself are free then.

    Parameters
    ----------
    run_id, at : str
        The run, and when it began.
    rules : sequence of Rule
        The project's.

    Attributes
    ----------
    backend : str
        Name of the backend that tests run on; ``auto`` is decided.
    tests : Tests
        All there are to choose from.
    answers : Counter
        How often the cache said ``hit``, ``rejudged``, ``miss`` or ``uncacheable``.
    """

    def __init__(
        self,
        request: RunRequest,
        *,
        project: Project,
        settings: Settings,
        state: State,
        run_id: str,
        at: str,
        rules: Sequence[Rule] = (),
    ) -> None:
        self._request = request
        self._project = project
        self._settings = settings
        self._state = state
        self._run_id = run_id
        self._at = at
        self._rules = rules
        self._environ = request.variables.environ or os.environ
        self._is_on = settings.cache.enabled
        self._asks = self._is_on and not request.force and not request.is_repeated
        self._store = CacheStore(state, settings.cache)
        self._leases: Leases | None = None
        self._beating: asyncio.Task[None] | None = None
        self._lookup: Lookup | None = None
        self._has_changed = False
        self.answers: Counter[str] = Counter()
        self._shared = self._shared_cache()
        self.backend = resolved_backend(settings)
        self.tests = Tests(
            request,
            project=project,
            settings=settings,
            store=self._store,
            backend=self.backend,
            # A run that is gone on with is known by what its files said.
            uses_manifests=self._asks and not request.resume,
        )

    def _shared_cache(self) -> SharedCache | None:
        """That of the settings, if any: most runs need not even know how to ask one."""
        wanted = self._settings.cache.shared
        if not self._is_on or not (wanted.url or wanted.dir):
            return None
        from clnrm_nb.cache.shared import SharedCache

        return SharedCache.of(wanted, self._project.root, self._state.warn)

    @property
    def inputs(self) -> Inputs | None:
        """What tests depend on, as far as it was read to look them up."""
        return self._lookup.inputs if self._lookup else None

    def make_inputs(self) -> Inputs:
        """Inputs that hold nothing yet."""
        from clnrm_nb.pipeline.inputs import Inputs

        return Inputs(
            project=self._project,
            settings=self._settings,
            backend=self.backend,
            environ=self._environ,
            rules=self._rules,
        )

    # -------------------------------------------------------------------------------------------- before

    async def look_up(self, chosen: Sequence[AnyTest], masker: Masker) -> tuple[list[AnyTest], Found]:
        """Which of the chosen tests need not run; see :meth:`~clnrm_nb.pipeline.lookup.Lookup.decide`."""
        if not self._is_on or self._request.is_repeated:
            return list(chosen), Found()
        self._lookup = Lookup(
            self.tests,
            store=self._store,
            state=self._state,
            settings=self._settings,
            make_inputs=self.make_inputs,
            backend=self.backend,
            run_id=self._run_id,
            at=self._at,
            given=self._request.variables.origins,
            masker=masker,
            shared=self._shared,
            rules=self._rules,
        )
        try:
            if not self._asks:
                await asyncio.to_thread(self._lookup.prepare, "forced", chosen)
                return list(chosen), Found()
            decided = await asyncio.to_thread(self._lookup.decide, chosen)
        except Exception:  # noqa: BLE001  # Whatever is wrong with what is stored, tests can be run.
            _log.warning("the cache could not be asked; everything is run", exc_info=True)
            return self._lookup.unanswered(chosen), Found()
        self.answers += self._lookup.answers()
        return decided

    async def settle(self) -> None:
        """Keep what the look-up came to. To be awaited before anything runs."""
        if self._lookup is None or not self._asks:
            return
        try:
            await asyncio.to_thread(self._lookup.settle)
        except Exception:  # noqa: BLE001  # The answers are right; the next run finds them out anew.
            _log.warning("what the cache said could not be written down", exc_info=True)

    async def look_up_again(self, tests: Sequence[LoadedTest]) -> Found:
        """The same for tests that another run has had in hand meanwhile."""
        assert self._lookup is not None
        found = await asyncio.to_thread(self._lookup.decide_again, tests)
        self.answers += self._lookup.answers()
        return found

    def reserve(self, hashes: Mapping[str, str]) -> set[str]:
        """Tests that are this run's to run; the others some other run has in hand at this moment."""
        if not hashes:
            return set()
        if self._leases is None:
            self._leases = Leases(self._state)
            self._beating = asyncio.create_task(self._leases.beat())
        mine = self._leases.take([_lease(*each) for each in hashes.items()])
        return {test_id for test_id, value in hashes.items() if _lease(test_id, value) in mine}

    def release(self, hashes: Mapping[str, str]) -> None:
        """Let others have tests that this run has done."""
        if self._leases is not None:
            self._leases.release([_lease(*each) for each in hashes.items()])

    async def wait(self, hashes: Mapping[str, str]) -> set[str]:
        """Wait until other runs are done with some of these tests; those they are done with."""
        assert self._leases is not None
        free = await self._leases.wait([_lease(*each) for each in hashes.items()])
        return {test_id for test_id, value in hashes.items() if _lease(test_id, value) in free}

    # --------------------------------------------------------------------------------------------- after

    async def keep(
        self,
        outcomes: Sequence[TestOutcome],
        tests: Collection[AnyTest],
        keys: Mapping[str, Key],
        *,
        audited: Mapping[str, Entry],
        spans: Mapping[str, str],
        masker: Masker,
    ) -> None:
        """Store what passed, drop what did not, and let other runs have it."""
        if not self._is_on or not keys:
            return
        try:
            await self._kept(outcomes, tests, keys, audited=audited, spans=spans, masker=masker)
        except Exception:  # noqa: BLE001  # The tests have their verdicts.
            _log.warning("results could not be stored in the cache", exc_info=True)

    async def _kept(
        self,
        outcomes: Sequence[TestOutcome],
        tests: Collection[AnyTest],
        keys: Mapping[str, Key],
        *,
        audited: Mapping[str, Entry],
        spans: Mapping[str, str],
        masker: Masker,
    ) -> None:
        from clnrm_nb.pipeline.keeping import hold_against_the_stored, keep
        from clnrm_nb.pipeline.load import LoadedTest

        self._has_changed = True
        held = [
            hold_against_the_stored(outcome, audited[outcome.id], self._store)
            for outcome in outcomes
            if outcome.id in audited
        ]
        if not all(held):
            self._store.settle(counts={"false_hits": held.count(False)})
        ran = {name: found for key in keys.values() for name, found in key.parts.get("images", {}).items()}
        seen_images(self._settings, self._state).note(ran)
        await asyncio.to_thread(
            keep,
            outcomes,
            {test.test_id: test for test in tests if isinstance(test, LoadedTest)},
            keys,
            store=self._store,
            run_id=self._run_id,
            spans=spans,
            mask=masker.text,
            is_repeated=self._request.is_repeated,
            shared=self._shared,
        )

    def close(self) -> None:
        """Let go of what is reserved, and tell other programs what is stored."""
        if self._beating is not None:
            self._beating.cancel()
            self._beating = None
        if self._leases is not None:
            self._leases.close()
            self._leases = None

    def export(self) -> list[Diagnostic]:
        """Write the export, unless nothing new is in the store; what is to be said about it."""
        from clnrm_nb.cache.export import export_path, write_export

        path = export_path(self._project, self._settings.cache)
        if not self._is_on or not (self._has_changed or not path.exists()):
            return []
        why = write_export(self._store, path)
        # A disk that takes nothing is said to once.
        return [Diagnostic("CLN804", why)] if why and not self._state.diagnostics else []


def _lease(test_id: str, value: str) -> str:
    """One a test and hash: two tests with equal inputs are two tests all the same."""
    return f"{value} {test_id}"
