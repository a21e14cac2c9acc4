"""When a started service counts as ready (``format.md`` 5.4).

All configured probes run at once and each must succeed: log lines and spans by event, ports every 20 ms,
health commands with a fast ramp. The end of the service's main process before that, or its time limit, is
CLN603 with the last log lines.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.errors import ClnrmError
from clnrm_nb.executor.backends.protocol import CommandSpec
from clnrm_nb.executor.together import cancel_all
from clnrm_nb.patterns import compiled

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping

    from clnrm_nb.executor.backends.protocol import CommandResult, RunningService
    from clnrm_nb.scenario.model import HealthCheck, NamePattern, Service

__all__ = ["Probing", "accepts", "answers", "await_ready", "not_ready", "until"]

PORT_PAUSE_S: Final = 0.02
CONNECT_S: Final = 1.0
HEALTH_FIRST_PAUSE_S: Final = 0.1
LAST_WORDS_S: Final = 0.2
"""How long after a service's end its last log lines and spans may still make it ready (one-shot services)."""

LOG_LINES: Final = 20
LINE_LENGTH: Final = 4_000
"""Characters of a log line that are shown, its last ones: a line without end comes from the log in pieces."""

_HTTP_OK: Final = 200


@dataclass(frozen=True, slots=True)
class Probing:
    """What the probes of one service work with.

    Parameters
    ----------
    execute : callable
        Runs a command in the unit.
    env : mapping
        Environment of health commands.
    wait_for_span : callable
        ``(pattern, service name, timeout in seconds)`` → whether such a span came.
    service_name : str
        ``service.name`` of its spans.
    mask : callable
        Hides secrets in a log line, before anything of it is cut off.
    """

    execute: Callable[[CommandSpec], Awaitable[CommandResult]]
    env: Mapping[str, str]
    wait_for_span: Callable[[NamePattern, str, float], Awaitable[bool]]
    service_name: str
    mask: Callable[[str], str] = str


async def await_ready(service: Service, running: RunningService, probing: Probing, timeout_s: float) -> None:
    """Wait until `service` is ready.

    Parameters
    ----------
    timeout_s : float
        Limit for all probes together.

    Raises
    ------
    ClnrmError
        CLN603: it ended before, a probe gave up, or the limit was reached.
    """
    probes = _probes(service, running, probing)
    if not probes:
        return
    pending = {asyncio.ensure_future(probe): text for text, probe in probes.items()}
    tasks = list(pending)
    end = asyncio.ensure_future(running.exited())
    try:
        async with asyncio.timeout(timeout_s):
            while pending:
                await asyncio.wait({*pending, end}, return_when=asyncio.FIRST_COMPLETED)
                if end.done():
                    await asyncio.wait(pending, timeout=LAST_WORDS_S)
                for task in [task for task in pending if task.done()]:
                    del pending[task]
                    if given_up := task.result():
                        raise not_ready(service, given_up, running, probing.mask)
                if end.done() and pending:
                    raise await _ended(service, running, end.result(), probing.mask)
    except TimeoutError:
        still = ", ".join(pending.values())
        text = f"not ready after {timeout_s:g} s: {still}"
        raise not_ready(service, text, running, probing.mask) from None
    finally:
        await cancel_all([*tasks, end])


def not_ready(
    service: Service, what: str, running: RunningService | None = None, mask: Callable[[str], str] = str
) -> ClnrmError:
    """CLN603 with the last log lines as its hint."""
    lines = [mask(line)[-LINE_LENGTH:] for line in running.log_tail(LOG_LINES)] if running else []
    hint = "last log lines:\n" + "\n".join(f"    {line}" for line in lines) if lines else None
    return ClnrmError(f"`{service.name}` {what}", "CLN603", hint=hint)


async def _ended(
    service: Service, running: RunningService, exit_code: int, mask: Callable[[str], str]
) -> ClnrmError:
    cause = " (killed for using more memory than its limit allows)" if await running.oom_killed() else ""
    return not_ready(service, f"ended with exit code {exit_code}{cause} before it was ready", running, mask)


def _probes(
    service: Service, running: RunningService, probing: Probing
) -> dict[str, Coroutine[Any, Any, str | None]]:
    """Text of what is still missing → coroutine that ends when it is there, or with why it never will be."""
    only = service.wait_strategy
    probes: dict[str, Coroutine[Any, Any, str | None]] = {}
    if not service.wait_for_ready or only == "none":
        return probes
    if only in (None, "port"):
        for port, address in _addresses(service, running).items():
            probes[f"port {port} does not accept"] = until(accepts, *address)
        if service.ready_http and (target := running.address(service.ready_http[0])):
            port, path = service.ready_http
            probes[f"HTTP {path} on port {port} does not answer 200"] = until(answers, *target, path)
    if only in (None, "healthcheck") and service.health_check and service.health_check.cmd:
        probes["its health command does not succeed"] = _healthy(service, service.health_check, probing)
    if only in (None, "log") and service.wait_log_message:
        text = f"no log line matches `{service.wait_log_message}`"
        probes[text] = _log_line(running, service.wait_log_message)
    if only in (None, "span") and service.wait_for_span:
        probes[f"no span `{service.wait_for_span}` came"] = _span(service, service.wait_for_span, probing)
    return probes


def _addresses(service: Service, running: RunningService) -> dict[int, tuple[str, int]]:
    ports = [port.container for port in service.ports if port.protocol == "tcp"]
    if service.ready_port:
        ports.append(service.ready_port)
    found = {port: running.address(port) for port in dict.fromkeys(ports)}
    return {port: address for port, address in found.items() if address}


async def until(probe: Callable[..., Awaitable[bool]], *arguments: Any) -> str | None:
    """Repeat `probe` every 20 ms until it says yes."""
    while not await probe(*arguments):  # noqa: ASYNC110  # Another process's port makes no event here.
        await asyncio.sleep(PORT_PAUSE_S)
    return None


async def accepts(host: str, port: int) -> bool:
    """Whether a TCP connection is accepted within a second."""
    try:
        # Not `wait_for`: before Python 3.12 it loses a cancellation that comes together with a refusal.
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


async def answers(host: str, port: int, path: str) -> bool:
    """Whether ``GET path`` is answered with 200."""
    try:
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    try:
        async with asyncio.timeout(CONNECT_S):
            writer.write(f"GET {path} HTTP/1.0\r\nHost: {host}:{port}\r\n\r\n".encode())
            status = (await reader.readline()).split()
    except (OSError, TimeoutError, ValueError):
        return False
    finally:
        writer.close()
    return len(status) > 1 and status[1] == str(_HTTP_OK).encode()


async def _healthy(service: Service, check: HealthCheck, probing: Probing) -> str | None:
    """Run the health command until it succeeds: 100 ms apart, doubling up to ``interval``.

    Failures of the ramp are free, as the service may still be starting; from then on ``retries`` failures
    in a row are too many.
    """
    assert check.cmd is not None
    await asyncio.sleep(check.start_period_s)
    command = CommandSpec(
        f"health of {service.name}", check.cmd, service.name, env=probing.env, timeout_s=check.timeout_s
    )
    pause_s, failures = min(HEALTH_FIRST_PAUSE_S, check.interval_s), 0
    while True:
        result = await probing.execute(replace(command, workdir=service.workdir))
        if result.exit_code == 0 and not result.timed_out:
            return None
        failures += pause_s >= check.interval_s
        if failures >= max(check.retries, 1):
            outcome = "timed out" if result.timed_out else f"gave exit code {result.exit_code}"
            return f"is not healthy: its health command {outcome} {failures} times in a row"
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, check.interval_s)


async def _log_line(running: RunningService, pattern: str) -> str | None:
    seen = asyncio.Event()
    regex = compiled(pattern)
    stop = running.on_log_line(lambda line: seen.set() if regex.search(line) else None)
    try:
        await seen.wait()
    finally:
        stop()
    return None


async def _span(service: Service, pattern: NamePattern, probing: Probing) -> str | None:
    timeout_s = service.wait_for_span_timeout_s
    if await probing.wait_for_span(pattern, probing.service_name, timeout_s):
        return None
    return f"not ready: no span `{pattern}` came within {timeout_s:g} s"
