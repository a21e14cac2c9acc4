"""Removing what was left in an engine: only of this machine, only of processes that are gone.

Also what this very process had to give up because the engine did not answer: a kernel may live for days, and
its next run, or its next ``clnrm gc``, finds the engine back.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal

from docker.errors import APIError

from clnrm_nb.executor.backends.docker.labels import OWNER, RUN, TEST, UNIT, filters
from clnrm_nb.executor.backends.docker.removal import (
    container_name,
    remove_container,
    remove_network,
    remove_volume,
)
from clnrm_nb.executor.leftovers import Removed
from clnrm_nb.reaper.ownership import Owner, is_gone

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from clnrm_nb.executor.backends.docker.engine import Engine

__all__ = ["collect_garbage", "give_up"]

_GIVEN_UP: set[str] = set()


def give_up(unit: str) -> None:
    """Leave the objects of a unit of this process to the next collection."""
    _GIVEN_UP.add(unit)


async def collect_garbage(engine: Engine, *, dry_run: bool = False) -> list[Removed]:
    """Remove the containers, networks and volumes whose owner was a process of this machine that has ended.

    Parameters
    ----------
    engine : Engine
    dry_run : bool
        Only say what would be removed.

    Returns
    -------
    list of Removed
        Containers first, then networks and volumes, each by name.

    Raises
    ------
    BackendUnavailableError
        CLN601: the engine does not say what there is.
    """
    client, owned = engine.client, filters(OWNER)
    try:
        containers, networks, volumes = await asyncio.gather(
            engine.call(client.containers, all=True, filters=owned),
            engine.call(client.networks, filters=owned),
            engine.call(client.volumes, filters=owned),
        )
    except APIError as refused:
        raise engine.lost(refused) from refused
    dead_containers = _dead(containers)
    dead_networks = _dead(networks)
    dead_volumes = _dead(volumes.get("Volumes") or [])
    gone = await asyncio.gather(
        *(_remove(engine, "container", each["Id"], dry_run) for each in dead_containers)
    )
    rest = [
        *(("network", each, each["Id"]) for each in dead_networks),
        *(("volume", each, each["Name"]) for each in dead_volumes),
    ]
    gone_rest = await asyncio.gather(*(_remove(engine, kind, key, dry_run) for kind, _, key in rest))
    removed = [
        _removed("container", container_name(each), each, ok)
        for each, ok in zip(dead_containers, gone, strict=True)
    ]
    removed += [
        _removed("network" if kind == "network" else "volume", each["Name"], each, ok)
        for (kind, each, _), ok in zip(rest, gone_rest, strict=True)
    ]
    return sorted(removed, key=lambda each: (each.type, each.name))


def _dead(listed: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [each for each in listed if _is_dead(each.get("Labels") or {})]


def _is_dead(labels: Mapping[str, Any]) -> bool:
    owner = Owner.parse(str(labels.get(OWNER, "")))
    return owner is not None and (is_gone(owner) or labels.get(UNIT) in _GIVEN_UP)


async def _remove(engine: Engine, kind: str, key: str, dry_run: bool) -> bool:  # noqa: FBT001  # Private.
    if dry_run:
        return False
    by_kind = {"container": remove_container, "network": remove_network, "volume": remove_volume}
    return await by_kind[kind](engine, key)


def _removed(
    kind: Literal["container", "network", "volume"],
    name: str,
    listed: Mapping[str, Any],
    ok: bool,  # noqa: FBT001
) -> Removed:
    labels = listed["Labels"]
    return Removed(kind, name, labels.get(RUN, ""), labels.get(TEST, ""), labels[OWNER], ok)
