"""One test attempt in a network and a runner container that others used before it, and will after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clnrm_nb.executor.backends.docker.unit import DockerUnit

if TYPE_CHECKING:
    from clnrm_nb.executor.backends.docker.engine import Engine
    from clnrm_nb.executor.backends.docker.images import Images
    from clnrm_nb.executor.backends.docker.recycle import Pair, Recycler
    from clnrm_nb.executor.backends.docker.service import Container
    from clnrm_nb.executor.backends.protocol import (
        CommandResult,
        CommandSpec,
        IsolationHeld,
        Leftover,
        UnitSpec,
    )

__all__ = ["VerifiedUnit"]


class VerifiedUnit(DockerUnit):
    """A unit that has borrowed its network and its runner."""

    isolation: IsolationHeld = "verified"

    def __init__(self, engine: Engine, images: Images, spec: UnitSpec, pair: Pair, pool: Recycler) -> None:
        super().__init__(engine, images, spec)
        self.hermetic = pair.hermetic
        self.listen_address = pair.listen_address
        self.receiver_host = pair.receiver_host
        self._network = pair.network
        self._pair = pair
        self._pool = pool
        self._uses_runner = False
        self._doubt: str | None = None

    async def _runner(self) -> Container:
        if self._pair.runner.has_ended:
            # Ended by a command: what comes after it has a container of its own, as in every other unit.
            self._doubt = "its runner container ended"
            return await super()._runner()
        self._uses_runner = True
        return self._pair.runner

    async def warm_up(self, service: str | None) -> None:
        """As of every unit; the runner is there."""
        if service is not None:
            await super().warm_up(service)

    async def execute(self, command: CommandSpec) -> CommandResult:
        """As of every unit; what had to be killed casts doubt on the runner."""
        result = await super().execute(command)
        if command.service is None and (result.timed_out or result.oom_killed):
            self._doubt = "a command reached a limit"
        return result

    async def objects(self) -> dict[str, list[str]]:
        """Its own, and what it borrowed as far as it used it."""
        found = await super().objects()
        found["network"] = sorted([*found["network"], self._pair.network.name])
        if self._uses_runner:
            found["container"] = sorted([*found["container"], self._pair.runner_name])
        return found

    async def _remove(self) -> list[Leftover]:
        is_interrupted = bool(self._background)
        left = await super()._remove()
        doubt = "a command was cancelled" if is_interrupted else self._doubt
        return [*left, *await self._pool.give_back(self._pair, doubt)]
