"""Spares: units made ready for the next run of the tests that are being edited.

A person who edits a test runs it again and again, and mostly changes what it does and expects, not what it
runs in. So when one of these tests has ended, its next unit is opened and its services are started while
nobody waits. A spare serves one attempt of the test it was made for, and only if all it was made from is
equal at that moment: everything in the file but what is done and expected, secrets, mounted files, images,
engine; and if its services live. In any doubt it is removed, and the test prepares as it always does.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.cache.fingerprint import Fingerprints
from clnrm_nb.errors import ClnrmError
from clnrm_nb.executor.admission import LEAST_AVAILABLE_MB, available_memory_mb
from clnrm_nb.executor.attempt import RunContext
from clnrm_nb.executor.backends.docker.mounts import resolve
from clnrm_nb.executor.backends.protocol import KnowsImages
from clnrm_nb.executor.capacity import capacity_of
from clnrm_nb.executor.environment import read_secrets
from clnrm_nb.executor.kept import before_closing
from clnrm_nb.executor.receiving import receiver_of
from clnrm_nb.executor.test_run import Life, prepares_ahead, unit_spec
from clnrm_nb.executor.tracing import no_run_span
from clnrm_nb.scenario.model import Expect, Report
from clnrm_nb.spans.phases import Place, at

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from clnrm_nb.executor.admission import Capacity
    from clnrm_nb.executor.backends.protocol import Backend, UnitSpec
    from clnrm_nb.executor.plan import TestPlan

__all__ = ["MOST_SPARES", "Spares"]

_log = logging.getLogger(__name__)

MOST_SPARES: Final = 2
"""Nobody edits more tests in turn; ``executor.pool.size`` may ask for fewer."""

_ENGINE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class _Origin:
    """All that decides what a unit and its services are; two that are equal make the same."""

    plan: TestPlan
    spec: UnitSpec
    secrets: Mapping[str, str] = field(repr=False)
    mounts: Sequence[Path]
    receiver: Any


def _origin(plan: TestPlan, spec: UnitSpec, secrets: Mapping[str, str], context: RunContext) -> _Origin:
    """Of a plan all counts but what a test does and expects once it is ready."""
    quiet = {"steps": (), "scenarios": (), "expect": Expect(), "tolerance": (), "report": Report()}
    volumes = [volume for service in plan.services.values() for volume in service.volumes]
    return _Origin(
        plan=replace(plan, test=plan.test.model_copy(update=quiet), hash=None),
        spec=replace(spec, run_id=""),
        secrets=dict(secrets),
        mounts=[resolve(volume, plan.directory).source for volume in volumes],
        receiver=context.settings.receiver,
    )


@dataclass(slots=True, eq=False)
class _Spare:
    """One, ready or on its way."""

    plan: TestPlan
    context: RunContext
    origin: _Origin
    prints: Fingerprints
    images: Mapping[str, str | None] = field(default_factory=dict)
    lasting: AsyncExitStack = field(default_factory=AsyncExitStack)
    life: Life | None = None
    making: asyncio.Task[None] | None = None

    async def make(self) -> None:
        """Make all of it ready, from files and images as they are now."""
        context = self.context
        # Its own: that of a run ends with the run.
        context.receiver = await self.lasting.enter_async_context(receiver_of(context.settings))
        await asyncio.to_thread(self._read)
        self.images = await _images(context.backend, self.plan)
        life = self.life = Life(self.plan, context, self.lasting)
        await life.prepare()
        await life.watch_services()

    def _read(self) -> None:
        for path in self.origin.mounts:
            self.prints.of(path)

    async def is_fit(self, origin: _Origin, backend: Backend) -> bool:
        """Whether it is what would be made now from `origin`; waits if it is not ready yet."""
        if self.context.backend is not backend or self.origin != origin or self.making is None:
            return False
        await asyncio.wait([self.making])
        if not self._is_ready:
            return False
        if await asyncio.to_thread(self._has_changed) or await _images(backend, self.plan) != self.images:
            return False
        # Again, since that took its time.
        return self._is_ready

    @property
    def _is_ready(self) -> bool:
        return self.life is not None and self.life.is_ready

    def _has_changed(self) -> bool:
        return any(self.prints.has_changed(path) for path in self.origin.mounts)

    async def remove(self) -> None:
        """Stop making it, and remove all there is of it."""
        if self.making is not None:
            self.making.cancel()
            await asyncio.wait([self.making])
            if not self.making.cancelled() and (error := self.making.exception()) is not None:
                _log.info("no spare for %s: %s", self.plan.id, error)
        if self.life is not None:
            await self.life.abandon()
        await self.lasting.aclose()


async def _images(backend: Backend, plan: TestPlan) -> Mapping[str, str | None]:
    """What the names of the images stand for now."""
    if not isinstance(backend, KnowsImages):
        return {}
    async with asyncio.timeout(_ENGINE_S):
        return await backend.image_ids(sorted(plan.images))


class Spares:
    """The spares of one process that runs the same tests again and again. All on one event loop.

    They stand in a backend that is kept between runs (:mod:`~clnrm_nb.executor.kept`) and go when it does.
    """

    def __init__(self) -> None:
        self._edited: list[str] = []
        self._last: dict[str, tuple[TestPlan, RunContext]] = {}
        self._spares: dict[str, _Spare] = {}
        self._removals: set[asyncio.Task[None]] = set()
        self._is_closed = False

    # ------------------------------------------------------------------------------- what is wanted

    def edit(self, test_ids: Collection[str]) -> None:
        """These tests have just been edited; of others that were, the latest still count.

        More at once than there may be spares are nobody's edits of a test, but of what many tests share.
        """
        if not 0 < len(test_ids) <= MOST_SPARES:
            return
        self._edited = list(dict.fromkeys([*test_ids, *self._edited]))[:MOST_SPARES]
        self._last = {test: last for test, last in self._last.items() if test in self._edited}
        self.drop(self._spares.keys() - set(self._edited))

    def note(self, plan: TestPlan, context: RunContext) -> None:
        """A test has run; if it is being edited, this is how it is made ready."""
        if plan.id in self._edited and _may_wait(plan, context):
            self._last[plan.id] = (plan, _between_runs(context))

    def fill(self) -> None:
        """Begin to make what is missing. To be called when nothing runs; does not wait."""
        for test_id in self._edited:
            if self._is_closed or test_id in self._spares or test_id not in self._last:
                continue
            plan, context = self._last[test_id]
            size = context.settings.executor.pool.size or MOST_SPARES
            has_room = self._fits([plan], capacity_of(context, most=MOST_SPARES)) and _has_memory()
            if len(self._spares) < size and has_room and before_closing(context.backend, self.clear):
                try:
                    self._spares[test_id] = _begun(plan, context)
                except (ClnrmError, KeyError) as error:
                    _log.info("no spare for %s: %s", test_id, error)

    # ------------------------------------------------------------------------------- what is there

    async def take(
        self, plan: TestPlan, spec: UnitSpec, secrets: Mapping[str, str], context: RunContext
    ) -> Life | None:
        """A life in which everything is ready for `plan`, to be used up; ``None`` if there is none.

        One that does not fit is removed in the background.
        """
        spare = self._spares.pop(plan.id, None)
        if spare is None:
            return None
        is_fit = False
        try:
            if prepares_ahead(plan, context.backend):
                is_fit = await spare.is_fit(_origin(plan, spec, secrets, context), context.backend)
        except Exception as error:  # noqa: BLE001  # The test does without it, whatever is wrong with it.
            _log.info("%s: its spare is not used: %s", plan.id, error)
        finally:
            if not is_fit:
                self._remove(spare)
        return spare.life if is_fit else None

    async def make_room(self, plans: Sequence[TestPlan], capacity: Capacity) -> None:
        """Have all removed if they and what is to run do not fit into the machine together."""
        others = [plan for plan in plans if plan.id not in self._spares]
        if not self._fits(others, capacity):
            await self.clear()

    def _fits(self, plans: Iterable[TestPlan], capacity: Capacity) -> bool:
        together = [*(spare.plan for spare in self._spares.values()), *plans]
        return (
            sum(plan.container_count for plan in together) <= capacity.containers
            and sum(plan.memory_mb for plan in together) <= capacity.memory_mb
        )

    # ------------------------------------------------------------------------------- their end

    def drop(self, test_ids: Iterable[str]) -> None:
        """Remove those of some tests in the background."""
        for test_id in list(test_ids):
            if (spare := self._spares.pop(test_id, None)) is not None:
                self._remove(spare)

    def forget(self, test_ids: Iterable[str]) -> None:
        """These tests are gone."""
        for test_id in test_ids:
            self._last.pop(test_id, None)
            self.drop([test_id])

    async def clear(self) -> None:
        """Remove all, and wait until they are gone."""
        self.drop(self._spares)
        if self._removals:
            await asyncio.wait(self._removals)

    async def close(self) -> None:
        """Remove all; there will be none any more."""
        self._is_closed = True
        self._last.clear()
        await self.clear()

    def _remove(self, spare: _Spare) -> None:
        removal = asyncio.ensure_future(spare.remove())
        self._removals.add(removal)
        removal.add_done_callback(self._removals.discard)


def _begun(plan: TestPlan, context: RunContext) -> _Spare:
    secrets, _ = read_secrets(plan, context.environ)
    origin = _origin(plan, unit_spec(plan, ""), secrets, context)
    root = no_run_span()
    spare = _Spare(
        plan, replace(context, run_span=root), origin, prints=Fingerprints([context.project.state_dir])
    )
    with at(Place(root.trace_id, root.span_id, test=plan.id)):
        spare.making = asyncio.ensure_future(spare.make())
    return spare


def _may_wait(plan: TestPlan, context: RunContext) -> bool:
    """Whether a test can be made ready without being in the way of anybody, and stay so."""
    is_alone = not plan.groups and not context.settings.receiver.port
    is_inside = all(
        service.plugin != "network_service" and service.network.mode != "host"
        for service in plan.services.values()
    )
    is_pinned = context.settings.containers.pull_policy != "always"
    return prepares_ahead(plan, context.backend) and is_alone and is_inside and is_pinned


def _between_runs(context: RunContext) -> RunContext:
    """The context of a run without the run: who takes the spare brings a new one."""
    return replace(context, publish=None, tables={}, spares=None)


def _has_memory() -> bool:
    available_mb = available_memory_mb()
    return available_mb is None or available_mb >= LEAST_AVAILABLE_MB
