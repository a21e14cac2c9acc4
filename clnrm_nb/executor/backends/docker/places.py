"""Where services are found: by their neighbours by name, by this machine on loopback."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from clnrm_nb.errors import ClnrmError
from clnrm_nb.executor.backends.docker.proxy import PortProxy, is_loopback
from clnrm_nb.executor.services import external_address

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from clnrm_nb.executor.backends.docker.service import Container
    from clnrm_nb.scenario.model import Service

__all__ = ["environment_of", "is_reached", "publish"]


def environment_of(services: Mapping[str, Service]) -> dict[str, str]:
    """``CLNRM_HOST_<SERVICE>`` and ``CLNRM_PORT_<SERVICE>_<PORT>``: by name, at the container's own port."""
    found: dict[str, str] = {}
    for name, service in services.items():
        word = "".join(char if char.isalnum() and char.isascii() else "_" for char in name).upper()
        host, ports = _place_of(service)
        found[f"CLNRM_HOST_{word}"] = host
        found.update({f"CLNRM_PORT_{word}_{port}": str(port) for port in ports})
    return found


def is_reached(service: Service) -> bool:
    """Whether this process connects to the service itself, so that its address must be known."""
    return bool(service.ports or service.ready_port or service.ready_http)


async def publish(
    service: Service, container: Container, proxies: list[PortProxy], note: Callable[[str], None]
) -> None:
    """Serve the ports of a started service on loopback; what cannot be served so is noted.

    Parameters
    ----------
    proxies : list of PortProxy
        Each is added as soon as it listens, also where the next one fails.

    Raises
    ------
    ClnrmError
        CLN603: a port is taken.
    """
    for port in service.ports:
        target = container.address(port.container)
        if port.protocol == "udp":
            note(f"`{service.name}`: udp port {port.container} is reached inside the test only")
        elif target is None:
            note(f"`{service.name}`: port {port.container} cannot be published without a network")
        elif service.network.mode != "host":
            if port.ip is not None and not is_loopback(port.ip):
                note(f"`{service.name}`: port {port.container} is served on loopback, not on {port.ip}")
            proxies.append(await PortProxy.open(service.name, port, target))
            container.host_ports[port.container] = proxies[-1].host_port


def _place_of(service: Service) -> tuple[str, list[int]]:
    """Host name and ports of a service, as its neighbours see it."""
    if service.plugin == "network_service":
        # One whose endpoint makes no sense is reported when it is looked for.
        with suppress(ClnrmError):
            host, port = external_address(service)
            return host, [port]
    return service.name, [port.container for port in service.ports]
