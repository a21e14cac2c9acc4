"""Removing what a unit made: everything, in parallel, whatever state it is in.

The engine may be starting, stopping or already removing an object, and says so with 404 or 409; networks
refuse while an endpoint is still going away. All of that is waited out, within a bound.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from docker.errors import APIError

from clnrm_nb.errors import BackendUnavailableError
from clnrm_nb.executor.backends.docker.labels import filters
from clnrm_nb.executor.backends.protocol import Leftover

if TYPE_CHECKING:
    from collections.abc import Callable

    from clnrm_nb.executor.backends.docker.engine import Engine

__all__ = [
    "Found",
    "container_name",
    "find_labelled",
    "remove_all",
    "remove_container",
    "remove_network",
    "remove_volume",
]

_PATIENCE_S: Final = 20.0
# An engine that does not answer at all gets this long to come back (a restart), since somebody waits.
_LOST_PATIENCE_S: Final = 1.5
_FIRST_PAUSE_S: Final = 0.02
_LONGEST_PAUSE_S: Final = 0.5
_NOT_FOUND: Final = 404


class Found:
    """Objects of one label, by type: id → name."""

    def __init__(self) -> None:
        self.containers: dict[str, str] = {}
        self.networks: dict[str, str] = {}
        self.volumes: dict[str, str] = {}

    def without(self, other: Found) -> Found:
        """Those that `other` does not hold."""
        rest = Found()
        rest.containers = {key: name for key, name in self.containers.items() if key not in other.containers}
        rest.networks = {key: name for key, name in self.networks.items() if key not in other.networks}
        rest.volumes = {key: name for key, name in self.volumes.items() if key not in other.volumes}
        return rest

    def leftovers(self) -> list[Leftover]:
        """The same as the protocol names them."""
        return [
            *(Leftover("container", name) for name in self.containers.values()),
            *(Leftover("network", name) for name in self.networks.values()),
            *(Leftover("volume", name) for name in self.volumes.values()),
        ]


async def find_labelled(engine: Engine, label: str, value: str, *, volumes: bool) -> Found:
    """Look up all objects with a label.

    Parameters
    ----------
    volumes : bool
        Whether there can be any.

    Raises
    ------
    BackendUnavailableError
        CLN601: the engine does not say.
    """
    client, wanted = engine.client, filters(label, value)
    try:
        async with asyncio.timeout(_PATIENCE_S):
            containers, networks, kept = await asyncio.gather(
                engine.call(client.containers, all=True, filters=wanted),
                engine.call(client.networks, filters=wanted),
                _volumes(engine, wanted) if volumes else _none(),
            )
    except (APIError, TimeoutError) as failed:
        raise engine.lost(failed) from failed
    found = Found()
    found.containers = {each["Id"]: container_name(each) for each in containers}
    found.networks = {each["Id"]: each["Name"] for each in networks}
    found.volumes = {each["Name"]: each["Name"] for each in kept}
    return found


def container_name(listed: Any) -> str:
    """A container's name as people write it."""
    names = listed.get("Names") or [listed["Id"][:12]]
    return str(names[0]).lstrip("/")


async def _volumes(engine: Engine, wanted: Any) -> list[dict[str, Any]]:
    return (await engine.call(engine.client.volumes, filters=wanted)).get("Volumes") or []


async def _none() -> list[dict[str, Any]]:
    return []


async def remove_container(engine: Engine, container_id: str) -> bool:
    """Kill and remove a container with its anonymous volumes; whether it is gone."""
    return await _persist(engine, lambda: engine.client.remove_container(container_id, force=True, v=True))


async def remove_network(engine: Engine, network_id: str) -> bool:
    """Remove a network as soon as nothing is connected to it any more; whether it is gone."""
    return await _persist(engine, lambda: engine.client.remove_network(network_id))


async def remove_volume(engine: Engine, name: str) -> bool:
    """Remove a volume; whether it is gone."""
    return await _persist(engine, lambda: engine.client.remove_volume(name, force=True))


async def remove_all(engine: Engine, found: Found) -> None:
    """Remove what was found: containers first, since they hold the rest."""
    await asyncio.gather(*(remove_container(engine, each) for each in found.containers))
    await asyncio.gather(
        *(remove_network(engine, each) for each in found.networks),
        *(remove_volume(engine, each) for each in found.volumes),
    )


async def _persist(engine: Engine, remove: Callable[[], object]) -> bool:
    """Repeat a removal until the engine says that the object is gone, or patience ends."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            return await _repeat(engine, remove)
    except TimeoutError:
        return False


async def _repeat(engine: Engine, remove: Callable[[], object]) -> bool:
    lost_s, pause_s = 0.0, _FIRST_PAUSE_S
    while True:
        try:
            await engine.call(remove)
        except APIError as refused:
            if refused.status_code == _NOT_FOUND:
                return True
        except BackendUnavailableError:
            # Counted from the first failure: a call that hung for longer is tried once more all the same.
            lost_s = lost_s or time.monotonic()
            if time.monotonic() - lost_s > _LOST_PATIENCE_S:
                return False
        else:
            return True
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
