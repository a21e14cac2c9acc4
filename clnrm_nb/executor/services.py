"""Starting services: who waits for whom, each until ready (``format.md`` 5.1 step 4).

External services (``network_service``) are only looked for.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from clnrm_nb.errors import ClnrmError
from clnrm_nb.executor.backends.protocol import Replaying
from clnrm_nb.executor.readiness import Probing, accepts, await_ready, not_ready, until
from clnrm_nb.executor.together import together

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping

    from clnrm_nb.executor.attempt import Attempt
    from clnrm_nb.executor.backends.protocol import RunningService
    from clnrm_nb.executor.tracing import OwnSpan
    from clnrm_nb.scenario.model import Service

__all__ = ["ServiceWatch", "external_address", "start_in_order", "start_order", "start_services"]

_SCHEME_PORTS: Final = {"http": 80, "https": 443, "redis": 6379, "postgres": 5432, "postgresql": 5432}


# A container that has ended says so within this time.
_ENDED_BEFORE_S: Final = 0.005

# Health commands are the runner's doing: spans of theirs would come and go with the speed of the machine.
_UNTRACED: Final = {"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "none"}


async def start_services(attempt: Attempt) -> None:
    """Start all services of a test; in a replay hand over what they sent before any scenario.

    Raises
    ------
    ClnrmError
        CLN602 or CLN603 of the first that failed, at its place in the file.
    """
    if attempt.context.backend.replayed:
        if isinstance(attempt.unit, Replaying):
            await attempt.unit.play(None, attempt.collector.add_recorded)
        return

    async def start(service: Service) -> None:
        span = attempt.tracer.service(service.name)
        try:
            with span.entered():
                await _start_one(attempt, service, span)
        except ClnrmError as error:
            span.fail(error.message)
            if error.location is None and attempt.plan.locate is not None:
                error.location = attempt.plan.locate(service.source or ("services", service.name))
            raise
        finally:
            span.end()

    await start_in_order(attempt.plan.services, start)


async def _start_one(attempt: Attempt, service: Service, span: OwnSpan) -> None:
    started_s = time.monotonic()
    if service.plugin == "network_service":
        await _look_for(attempt, service)
    else:
        telemetry = attempt.telemetry(attempt.collector.services_token, attempt.tracer.test, None)
        env = attempt.environment(telemetry, service.name)
        running = attempt.running[service.name] = await attempt.unit.start_service(service.name, env)
        span.event("container.start", **{"container.image.name": service.image})
        probing = Probing(
            execute=attempt.execute,
            env={**env, **_UNTRACED},
            wait_for_span=attempt.collector.wait_for_span,
            service_name=attempt.plan.service_name(service.name),
            mask=attempt.masker.text,
        )
        await await_ready(service, running, probing, _limit_s(attempt, service))
    spent_ms = round((time.monotonic() - started_s) * 1e3, 3)
    attempt.emit("service.ready", data={"service": service.name, "duration_ms": spent_ms})


def _limit_s(attempt: Attempt, service: Service) -> float:
    own_s = service.timeout_s
    return attempt.remaining_s if own_s is None else min(own_s, attempt.remaining_s)


async def _look_for(attempt: Attempt, service: Service) -> None:
    """Wait until the endpoint of an external service accepts."""
    if not service.wait_for_ready or service.wait_strategy == "none":
        return
    host, port = external_address(service)
    limit_s = _limit_s(attempt, service)
    try:
        async with asyncio.timeout(limit_s):
            await until(accepts, host, port)
    except TimeoutError:
        raise not_ready(service, f"not ready after {limit_s:g} s: {host}:{port} does not accept") from None


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


class ServiceWatch:
    """Notices services that end between being ready and being needed."""

    def __init__(self) -> None:
        self._ends: list[asyncio.Future[int]] = []

    async def begin(self, services: Iterable[RunningService]) -> None:
        """Watch those that run; what has ended by now was meant to (a migration, say)."""
        ends = [asyncio.ensure_future(service.exited()) for service in services]
        if ends:
            await asyncio.wait(ends, timeout=_ENDED_BEFORE_S)
        self._ends = [end for end in ends if not end.done()]

    @property
    def has_lost_one(self) -> bool:
        """Whether one of them has ended."""
        return any(end.done() for end in self._ends)

    def end(self) -> None:
        """Stop watching; how they end does not matter any more."""
        for end in self._ends:
            end.cancel()
            end.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        self._ends = []


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
