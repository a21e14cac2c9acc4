"""Networks with a runner container that are used again, each after a proof that nothing was left in it.

A pair is made for the first test that finds none and lives until the run ends, until something about it is in
doubt, or until too many wait unused. What made it is its key: image, limits, and everything else that the
engine was told. Services are never used again: each test starts its own in the pair's network and removes
them, and the proof includes that nobody but the runner is left there.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from docker.errors import APIError

from clnrm_nb.errors import BackendUnavailableError, ClnrmError
from clnrm_nb.executor.backends.docker import create
from clnrm_nb.executor.backends.docker.network import can_listen
from clnrm_nb.executor.backends.docker.proof import (
    SCRATCH,
    SCRIPT,
    SYSCTLS,
    difference,
    fingerprint,
    is_whole,
)
from clnrm_nb.executor.backends.docker.unit import DockerUnit
from clnrm_nb.executor.backends.protocol import PoolReport

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from clnrm_nb.executor.backends.docker.engine import Engine
    from clnrm_nb.executor.backends.docker.images import Image, Images
    from clnrm_nb.executor.backends.docker.network import Network
    from clnrm_nb.executor.backends.docker.proof import Fingerprint
    from clnrm_nb.executor.backends.docker.service import Container
    from clnrm_nb.executor.backends.protocol import Leftover, UnitSpec

__all__ = ["Pair", "Recycler", "key_of"]

_log = logging.getLogger(__name__)

_PROVED_WITHIN_S: Final = 3.0
_SECOND_LOOK_S: Final = 0.05
# Networks are scarce: an engine has 31 by default.
_MOST_IDLE: Final = 16


@dataclass(frozen=True, slots=True)
class _State:
    """What a pair is compared by: inside, and as the engine sees it."""

    inside: Fingerprint
    endpoints: tuple[str, ...]
    files: tuple[str, ...] | None
    """What differs from the image; ``None``: not asked for."""

    def difference(self, now: _State) -> str | None:
        """What is wrong now, in a few words."""
        if now.endpoints != self.endpoints:
            return "a container was left in the network"
        if self.files is not None and now.files not in (None, self.files):
            changed = sorted({*(now.files or ())} ^ {*self.files})
            return f"a file of the image was changed: {changed[0]}"
        return difference(self.inside, now.inside)


class Pair(DockerUnit):
    """A network and a runner container that nothing can be written to but its memory."""

    def __init__(self, engine: Engine, images: Images, spec: UnitSpec, key: str) -> None:
        super().__init__(engine, images, replace(spec, test_id="", attempt="", services={}))
        self.key = key
        self.uses = 0
        self._birth: _State | None = None

    async def make(self) -> str | None:
        """Create both and look at them; why they cannot be used again, if so."""
        network = await self.open(internal=True)
        if not can_listen(network.gateway):
            return "the network's gateway is not this machine's to listen on"
        await self._runner()
        self._birth = await self._state()
        return None if self._birth is not None else "its runner image lacks tools for the proof"

    @property
    def network(self) -> Network:
        """Of the pair."""
        assert self._network is not None
        return self._network

    @property
    def runner(self) -> Container:
        """Of the pair."""
        return self._containers[None]

    @property
    def runner_name(self) -> str:
        """As the engine lists it."""
        return self._made.containers[self.runner.id]

    async def doubt(self) -> str | None:
        """End, wipe and compare; ``None``: it is as it was born."""
        if self.runner.has_ended or self._birth is None:
            return "its runner container ended"
        try:
            found = await self._difference(self._birth)
            if found is not None:
                # Sockets of what was killed are closed by the kernel in its own time.
                await asyncio.sleep(_SECOND_LOOK_S)
                found = await self._difference(self._birth)
        except (APIError, BackendUnavailableError) as failed:
            _log.info("no proof for %s: %s", self.id, failed)
            return "the engine did not say how it looks"
        return found

    async def _difference(self, birth: _State) -> str | None:
        now = await self._state()
        return "its shell did not answer" if now is None else birth.difference(now)

    async def _state(self) -> _State | None:
        """How it looks with everything ended; ``None`` if the shell did not tell."""
        call, client = self._engine.call, self._engine.client
        printed, network, files = await asyncio.gather(
            self.runner.shells.reset(SCRIPT, _PROVED_WITHIN_S),
            call(client.inspect_network, self.network.id),
            self._changed_files(),
        )
        if printed is None:
            return None
        inside = fingerprint(printed)
        if not is_whole(inside):
            return None
        return _State(inside, tuple(sorted(network.get("Containers") or ())), files)

    async def _changed_files(self) -> tuple[str, ...] | None:
        """The engine's own account, at birth and after 1, 2, 4, 8 … uses.

        For it the engine walks through the whole image. The root cannot be written, which the mount table
        shows after each use; this is the check of that from outside.
        """
        if self.uses & (self.uses - 1):
            return None
        found = await self._engine.call(self._engine.client.diff, self.runner.id)
        return tuple(sorted(f"{change['Path']} {change['Kind']}" for change in found or ()))

    def _runner_body(self, image: Image) -> dict[str, Any]:
        return sealed_body(image, self._surroundings(), self._spec)


class Recycler:
    """All pairs of a run.

    Attributes
    ----------
    report : PoolReport
        Counts, for people.
    """

    def __init__(self, engine: Engine, images: Images) -> None:
        self.report = PoolReport()
        self._engine = engine
        self._images = images
        self._idle: list[Pair] = []
        self._unfit: dict[str, str] = {}
        self._closing: set[asyncio.Task[Any]] = set()
        self._is_drained = False

    def begin(self) -> None:
        """Another run: what is idle stays, counts begin anew."""
        self.report = PoolReport()
        self._unfit.clear()

    async def take(self, spec: UnitSpec) -> Pair | str:
        """A pair for a test, used before or new; else why there can be none.

        Raises
        ------
        ClnrmError
            CLN602, CLN603: no image, or the engine refuses.
        BackendUnavailableError
            CLN601: the engine is gone.
        """
        image = await self._images.ensure(spec.runner_image)
        if image.volumes:
            return f"image `{spec.runner_image}` keeps files in volumes"
        key = key_of(image, spec)
        if key in self._unfit:
            return self._unfit[key]
        pair = self._found(key)
        if pair is None:
            pair = Pair(self._engine, self._images, spec, key)
            try:
                why = await pair.make()
            except BackendUnavailableError:
                await self._close(pair)
                raise
            except (ClnrmError, APIError) as refused:
                why = f"the engine refuses its runner container: {refused}"
            except BaseException:
                await self._close(pair)
                raise
            if why is not None:
                await self._close(pair)
                self._unfit[key] = why
                return why
            self.report.made += 1
        self.report.uses += 1
        self.report.reused += pair.uses > 0
        pair.uses += 1
        return pair

    def _found(self, key: str) -> Pair | None:
        for pair in reversed(self._idle):
            if pair.key == key:
                self._idle.remove(pair)
                if not pair.runner.has_ended:
                    return pair
                self._discard(pair, "its runner container ended")
        return None

    async def give_back(self, pair: Pair, doubt: str | None = None) -> list[Leftover]:
        """Prove that nothing was left, or remove the pair; what could not be removed at once.

        Parameters
        ----------
        doubt : str, optional
            What already speaks against it.
        """
        doubt = doubt or await pair.doubt()
        if doubt is not None:
            _log.info("runner container %s is not used again: %s", pair.id, doubt)
            self.report.discard(doubt)
            return await self._close(pair)
        self._idle.append(pair)
        if self._is_drained:
            return await self._close(self._idle.pop())
        if len(self._idle) > _MOST_IDLE:
            self._in_background(self._close(self._idle.pop(0)))
        return []

    async def drain(self) -> None:
        """Remove all that is not in use; what comes back later is removed then."""
        self._is_drained = True
        idle, self._idle = self._idle, []
        await asyncio.gather(*(self._close(pair) for pair in idle), *self._closing, return_exceptions=True)

    def _discard(self, pair: Pair, doubt: str) -> None:
        self.report.discard(doubt)
        self._in_background(self._close(pair))

    async def _close(self, pair: Pair) -> list[Leftover]:
        return await asyncio.shield(self._in_background(pair.close()))

    def _in_background(self, work: Coroutine[Any, Any, list[Leftover]]) -> asyncio.Task[list[Leftover]]:
        task = asyncio.ensure_future(work)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        return task


def key_of(image: Image, spec: UnitSpec) -> str:
    """What two tests must have in common to use the same pair: all that the engine is told, but for names."""
    return json.dumps(sealed_body(image, create.Surroundings("", {}), spec), sort_keys=True)


def sealed_body(image: Image, around: create.Surroundings, spec: UnitSpec) -> dict[str, Any]:
    """Create body of a runner that is used again."""
    return create.runner_body(
        image,
        around,
        memory_mb=spec.memory_mb,
        cpu_millicores=spec.cpu_millicores,
        scratch=SCRATCH,
        sysctls=SYSCTLS,
    )
