"""The ``docker`` backend: one engine connection a run, one unit a test attempt."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from docker.errors import APIError

from clnrm_nb.errors import BackendUnavailableError, RefusedError
from clnrm_nb.executor.backends.docker.engine import Engine
from clnrm_nb.executor.backends.docker.gc import collect_garbage
from clnrm_nb.executor.backends.docker.images import Images
from clnrm_nb.executor.backends.docker.network import can_listen, wants_way_out
from clnrm_nb.executor.backends.docker.policy import policy_findings
from clnrm_nb.executor.backends.docker.reachability import is_reached_from, unreachable
from clnrm_nb.executor.backends.docker.recycle import Recycler
from clnrm_nb.executor.backends.docker.unit import DockerUnit
from clnrm_nb.executor.backends.docker.verified import VerifiedUnit
from clnrm_nb.executor.backends.protocol import PoolReport
from clnrm_nb.executor.leftovers import sweep_local

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.config.settings import Settings
    from clnrm_nb.errors import Diagnostic
    from clnrm_nb.executor.backends.protocol import UnitSpec

__all__ = ["DockerBackend"]

_log = logging.getLogger(__name__)
# Where Docker Desktop and configured rootless engines lead `host.docker.internal`.
_LOOPBACK: Final = "127.0.0.1"


class DockerBackend:
    """See :class:`~clnrm_nb.executor.backends.protocol.Backend`.

    Parameters
    ----------
    settings : Settings
        ``executor.docker_host`` and ``containers.pull_policy`` are read.
    """

    name = "docker"
    hermetic = True
    replayed = False

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._engine: Engine | None = None
        self._images: Images | None = None
        self._recycler: Recycler | None = None
        self._sweep: asyncio.Task[None] | None = None
        self._reachable: asyncio.Task[bool] | None = None
        self._closing: set[asyncio.Task[Any]] = set()

    @property
    def engine(self) -> Engine:
        """The connected engine.

        Raises
        ------
        BackendUnavailableError
            CLN601 before :meth:`open`.
        """
        if self._engine is None:
            raise BackendUnavailableError("the docker backend is not open", "CLN601")
        return self._engine

    async def open(self) -> None:
        """Reach the engine, and remove in the background what dead owners left in it.

        Raises
        ------
        BackendUnavailableError
            CLN601 with every address tried and what to do.
        """
        self._engine = await Engine.connect(self._settings.executor.docker_host)
        self._images = Images(self._engine, self._settings.containers.pull_policy)
        self._recycler = Recycler(self._engine, self._images)
        self._sweep = asyncio.ensure_future(_sweep(self._engine))

    async def wake(self, *, is_shared: bool = False) -> bool:
        """See :class:`~clnrm_nb.executor.backends.protocol.Waking`."""
        if self._engine is None or self._images is None or self._recycler is None:
            return False
        try:
            await self._engine.call(self._engine.client.ping)
        except (APIError, BackendUnavailableError):
            return False
        self._images.forget_all()
        if not is_shared:
            self._recycler.begin()
        return True

    def policy_findings(self, spec: UnitSpec) -> list[Diagnostic]:
        """What is refused before anything is created (CLN616, CLN411), or cannot be (CLN001, CLN106)."""
        address = self._engine.address if self._engine else None
        return policy_findings(
            spec,
            engine_socket=address.socket_path if address else None,
            is_local=address is None or address.socket_path is not None,
        )

    async def open_unit(self, spec: UnitSpec) -> DockerUnit:
        """Create the network of one test attempt.

        Raises
        ------
        RefusedError
            The findings of :meth:`policy_findings`, should nobody have looked at them.
        BackendUnavailableError
            CLN601: no engine, no network, or no way for spans to arrive.
        """
        if refused := [each for each in self.policy_findings(spec) if each.severity == "error"]:
            raise RefusedError(refused[0].message, refused[0].code, hint=refused[0].hint, diagnostics=refused)
        assert self._images is not None
        why_fresh: str | None = None
        if spec.isolation == "verified":
            opened = await self._open_verified(spec)
            if isinstance(opened, VerifiedUnit):
                return opened
            why_fresh = opened
        unit = DockerUnit(self.engine, self._images, spec)
        if why_fresh is not None:
            unit.note(f"isolation `verified` is not possible, so this was `fresh`: {why_fresh}")
        try:
            network = await unit.open(internal=not wants_way_out(spec))
            if self.engine.facts.is_podman:
                # Its networks have a bridge, and so a gateway, only while a container is on them.
                await unit.start_runner()
            if can_listen(network.gateway):
                return unit
        except BaseException:
            # Nobody else knows this unit: it goes on being removed even if we are cancelled again.
            await self._close_unit(unit)
            raise
        await self._close_unit(unit)
        return await self._open_beyond_gateway(spec)

    async def _open_verified(self, spec: UnitSpec) -> VerifiedUnit | str:
        """A unit in a network and a runner that are used again; else why there can be none."""
        if wants_way_out(spec):
            return "a service wants a way out of the network"
        if None in spec.files_of:
            return "files are copied out of the runner container, whose places to write are in memory"
        if self._recycler is None or self._images is None:
            return "the backend is not open"
        taken = await self._recycler.take(spec)
        if isinstance(taken, str):
            return taken
        return VerifiedUnit(self.engine, self._images, spec, taken, self._recycler)

    def pool_report(self) -> PoolReport:
        """See :class:`~clnrm_nb.executor.backends.protocol.Pooling`."""
        return self._recycler.report if self._recycler is not None else PoolReport()

    async def _open_beyond_gateway(self, spec: UnitSpec) -> DockerUnit:
        """A unit whose containers reach this machine by name, where the gateway is not ours to listen on."""
        if self._reachable is None:
            self._reachable = asyncio.ensure_future(self._try_reaching(spec))
        if not await asyncio.shield(self._reachable):
            raise unreachable(self.engine.address.url)
        return await self._opened_beyond_gateway(spec)

    async def _try_reaching(self, spec: UnitSpec) -> bool:
        unit = await self._opened_beyond_gateway(replace(spec, services={}))
        try:
            return await is_reached_from(unit, _LOOPBACK)
        finally:
            await self._close_unit(unit)

    async def _opened_beyond_gateway(self, spec: UnitSpec) -> DockerUnit:
        assert self._images is not None
        unit = DockerUnit(self.engine, self._images, spec)
        try:
            await unit.open(internal=False, listen_address=_LOOPBACK)
        except BaseException:
            await self._close_unit(unit)
            raise
        return unit

    async def image_ids(self, names: Sequence[str]) -> dict[str, str | None]:
        """See :class:`~clnrm_nb.executor.backends.protocol.KnowsImages`."""
        assert self._images is not None
        found = {name: await self._images.look_up(name) for name in names}
        return {name: image.id if image else None for name, image in found.items()}

    async def _close_unit(self, unit: DockerUnit) -> None:
        closing: asyncio.Task[Any] = asyncio.ensure_future(unit.close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        await asyncio.shield(closing)

    async def close(self) -> None:
        """Let go of the engine, after removals that are still under way and of what would be used again."""
        if self._recycler is not None:
            await self._recycler.drain()
        if self._images is not None:
            self._images.close()
        waiting = [*self._closing, *filter(None, (self._sweep, self._reachable))]
        await asyncio.gather(*waiting, return_exceptions=True)
        if self._engine is not None:
            self._engine.close_when_idle()
            self._engine = None


async def _sweep(engine: Engine) -> None:
    """Collect garbage without bothering anybody: a failure here says nothing about this run."""
    await sweep_local()
    try:
        removed = await collect_garbage(engine)
    except BackendUnavailableError as failed:
        _log.info("could not look for leftovers of killed runs: %s", failed)
        return
    for each in removed:
        _log.info("removed %s %s, left by a run that was killed", each.type, each.name)
