"""The network of a test, and the address at which its containers reach this process.

An internal network has no route beyond this machine; the machine itself stands in it with the gateway's
address. Where that address is not this process's to listen on (Docker Desktop, a remote or rootless engine,
a kernel in a container), containers get a network with a way out and the name ``host.docker.internal``, and
the test is no longer hermetic.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from docker.errors import APIError

from clnrm_nb.errors import BackendUnavailableError
from clnrm_nb.executor.backends.docker.engine import engine_says

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import docker

    from clnrm_nb.executor.backends.protocol import UnitSpec

__all__ = ["HOST_NAME", "Network", "can_listen", "create_network", "wants_way_out"]

HOST_NAME: Final = "host.docker.internal"
# What Podman says when a network of the machine vanishes while it looks for free addresses; and how often
# in a row that is believed.
_RACED: Final = "no such network interface"
_RACES: Final = 20


@dataclass(frozen=True, slots=True)
class Network:
    """A network that exists.

    Parameters
    ----------
    gateway : str
        The machine's own address in it.
    is_internal : bool
    subnets : tuple of str
        Its addresses, as CIDR.
    """

    id: str
    name: str
    gateway: str
    is_internal: bool
    subnets: tuple[str, ...] = ()


def wants_way_out(spec: UnitSpec) -> bool:
    """Whether a service asks for more than an internal network (then the test is not hermetic)."""
    return any(
        service.network.mode in ("bridge", "host")
        or service.network.external_access
        or service.plugin == "network_service"
        for service in spec.services.values()
    )


def can_listen(address: str) -> bool:
    """Whether this process can listen at an address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def create_network(
    client: docker.APIClient,
    name: str,
    labels: Mapping[str, str],
    *,
    internal: bool,
    created: Callable[[str], None],
) -> Network:
    """Create a network (in this thread) and learn its gateway.

    Parameters
    ----------
    created : callable
        Told the id as soon as there is one.

    Raises
    ------
    BackendUnavailableError
        CLN601: the engine has no addresses left, or says no for another reason.
    """
    try:
        network_id = _create(client, name, labels, internal=internal)
        created(network_id)
        found: dict[str, Any] = client.inspect_network(network_id)
    except APIError as refused:
        raise _no_network(refused) from refused
    pools = (found.get("IPAM") or {}).get("Config") or ()
    subnets = tuple(str(pool["Subnet"]) for pool in pools if pool.get("Subnet"))
    return Network(network_id, name, _gateway(pools), internal, subnets)


def _create(client: docker.APIClient, name: str, labels: Mapping[str, str], *, internal: bool) -> str:
    for _ in range(_RACES):
        try:
            return _create_once(client, name, labels, internal=internal)
        except APIError as refused:
            if _RACED not in engine_says(refused):
                raise
    return _create_once(client, name, labels, internal=internal)


def _create_once(client: docker.APIClient, name: str, labels: Mapping[str, str], *, internal: bool) -> str:
    made = client.create_network(name, driver="bridge", internal=internal, labels=dict(labels))
    return str(made["Id"])


def _gateway(pools: Sequence[Mapping[str, Any]]) -> str:
    gateways = [str(pool["Gateway"]).partition("/")[0] for pool in pools if pool.get("Gateway")]
    return next((gateway for gateway in gateways if ":" not in gateway), gateways[0] if gateways else "")


def _no_network(refused: APIError) -> BackendUnavailableError:
    says = engine_says(refused)
    if "non-overlapping" in says or "subnet" in says:
        return BackendUnavailableError(
            "the engine has no addresses left for another network",
            "CLN601",
            hint="`clnrm gc` and `docker network prune` remove unused networks; `default-address-pools` of "
            "the engine's configuration makes room for more",
        )
    return BackendUnavailableError(f"the engine made no network: {says}", "CLN601")
