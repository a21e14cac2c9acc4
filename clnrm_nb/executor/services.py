"""Starting services: who waits for whom, and external ones that are only looked for (``format.md`` 5.1 step 4)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from clnrm_nb.errors import ClnrmError
from clnrm_nb.executor.together import together

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from clnrm_nb.scenario.model import Service

__all__ = ["external_address", "start_in_order", "start_order"]

_SCHEME_PORTS: Final = {"http": 80, "https": 443, "redis": 6379, "postgres": 5432, "postgresql": 5432}


def start_order(services: Mapping[str, Service]) -> list[str]:
    """Names such that each comes after all it depends on, file order otherwise.

    Raises
    ------
    ClnrmError
        CLN403: a cycle. Validation finds it first; a file that was not validated ends here.
    """
    order: list[str] = []
    waiting = dict(services)
    while waiting:
        free = [name for name, service in waiting.items() if not waiting.keys() & set(service.depends_on)]
        if not free:
            raise ClnrmError(f"services wait for each other: {', '.join(sorted(waiting))}", "CLN403")
        order += free
        for name in free:
            del waiting[name]
    return order


async def start_in_order(
    services: Mapping[str, Service], start: Callable[[Service], Coroutine[Any, Any, None]]
) -> None:
    """Call `start` for each service once all it depends on have started; independent ones at once.

    The first failure ends the starting of all others and is raised.
    """
    started = {name: asyncio.Event() for name in services}

    async def start_one(name: str) -> None:
        for needed in services[name].depends_on:
            if needed in started:
                await started[needed].wait()
        await start(services[name])
        started[name].set()

    await together([start_one(name) for name in start_order(services)])


def external_address(service: Service) -> tuple[str, int]:
    """Host and port of a ``network_service``.

    Raises
    ------
    ClnrmError
        CLN603 if ``endpoint`` names no port that could be reached.
    """
    endpoint = service.endpoint or ""
    parts = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")
    try:
        port = parts.port or _SCHEME_PORTS.get(parts.scheme)
    except ValueError:
        port = None
    if not parts.hostname or not port:
        raise ClnrmError(f"`{service.name}`: {endpoint!r} is neither host:port nor a URL", "CLN603")
    return parts.hostname, port
