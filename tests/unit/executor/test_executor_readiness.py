from __future__ import annotations

import asyncio

import pytest

from clnrm_nb.errors import ClnrmError
from clnrm_nb.executor.readiness import Probing, accepts, answers, await_ready, until
from clnrm_nb.scenario.model import HealthCheck, NamePattern, PortMapping, Service

HEALTH = HealthCheck(cmd=("check",), interval_s=0.01, retries=2)
PORTS = (PortMapping(host=0, container=80),)


class Running:
    def __init__(self):
        self.end = asyncio.get_running_loop().create_future()
        self.lines, self.listeners, self.addresses = [], [], {}

    def print(self, line):
        self.lines.append(line)
        for listener in self.listeners:
            listener(line)

    def address(self, port):
        return self.addresses.get(port)

    async def exited(self):
        return await asyncio.shield(self.end)

    async def oom_killed(self):
        return False

    def log_tail(self, lines=20):
        return self.lines[-lines:]

    def on_log_line(self, listener):
        for line in self.lines:
            listener(line)
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)


@pytest.fixture
def probing(result):
    def make(exit_codes=(), *, span_comes=True):
        codes, commands = iter(exit_codes), []

        async def execute(command):
            commands.append(command)
            return result(next(codes))

        async def wait_for_span(pattern, service, timeout_s):
            if not span_comes:
                await asyncio.sleep(timeout_s)
            return span_comes

        made = Probing(execute, {"A": "b"}, wait_for_span, "db")
        return made, commands

    return make


@pytest.fixture
async def http_server():
    """A server whose status line the test chooses; its address."""
    status = ["200 OK"]

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status[0]}\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname(), status


async def test_a_service_without_probes_is_ready_as_soon_as_it_runs(probing):
    await await_ready(Service(name="db"), Running(), probing()[0], 1.0)


@pytest.mark.parametrize("first", [True, False])
async def test_a_log_line_makes_ready_whether_printed_before_or_after(probing, first):
    running = Running()
    if first:
        running.print("db: ready to serve")
    else:
        asyncio.get_running_loop().call_soon(running.print, "db: ready to serve")

    await await_ready(Service(name="db", wait_log_message="ready .* serve"), running, probing()[0], 1.0)

    assert running.listeners == []


async def test_a_port_makes_ready_when_it_accepts(probing, http_server):
    running = Running()
    running.addresses[80] = http_server[0]

    await await_ready(Service(name="db", ports=PORTS), running, probing()[0], 1.0)


async def test_a_port_that_does_not_accept_is_named(probing, unused_address):
    running = Running()
    running.addresses[80] = unused_address

    with pytest.raises(ClnrmError) as caught:
        await await_ready(Service(name="db", ports=PORTS), running, probing()[0], 0.1)

    assert (caught.value.code, caught.value.message) == (
        "CLN603",
        "`db` not ready after 0.1 s: port 80 does not accept",
    )


async def test_http_needs_the_answer_200(http_server):
    (host, port), status = http_server
    assert await answers(host, port, "/health")

    status[0] = "503 Service Unavailable"
    assert not await answers(host, port, "/health")


async def test_a_health_command_is_repeated_until_it_succeeds(probing):
    made, commands = probing([1, 0])

    await await_ready(Service(name="db", health_check=HEALTH), Running(), made, 1.0)

    assert [(command.service, command.argv, command.env) for command in commands] == [
        ("db", ("check",), {"A": "b"})
    ] * 2


async def test_a_health_command_gives_up_after_its_retries_at_full_pace(probing):
    made, commands = probing([1, 1, 1])

    with pytest.raises(ClnrmError, match="exit code 1 2 times in a row"):
        await await_ready(Service(name="db", health_check=HEALTH), Running(), made, 1.0)
    assert len(commands) == 2


async def test_failures_while_the_ramp_lasts_are_free(probing):
    made, commands = probing([1, 1, 1, 0])
    slow_paced = HealthCheck(cmd=("check",), interval_s=5.0, retries=1)

    await await_ready(Service(name="db", health_check=slow_paced), Running(), made, 5.0)

    assert len(commands) == 4


async def test_all_configured_probes_must_succeed(probing):
    running = Running()
    service = Service(name="db", wait_log_message="ready", health_check=HEALTH)

    with pytest.raises(ClnrmError, match=r"no log line matches `ready`$"):
        await await_ready(service, running, probing([0])[0], 0.05)


@pytest.mark.parametrize(
    ("strategy", "is_ready"), [("log", True), ("none", True), ("healthcheck", False), (None, False)]
)
async def test_the_wait_strategy_restricts_which_probes_count(probing, strategy, is_ready):
    running = Running()
    running.print("ready")
    never = HealthCheck(cmd=("check",), interval_s=0.01, retries=1)
    service = Service(name="db", wait_log_message="ready", health_check=never, wait_strategy=strategy)

    waiting = await_ready(service, running, probing([1])[0], 1.0)
    if is_ready:
        await waiting
    else:
        with pytest.raises(ClnrmError):
            await waiting


async def test_wait_for_ready_false_asks_for_nothing(probing):
    service = Service(name="db", wait_log_message="never", wait_for_ready=False)

    await await_ready(service, Running(), probing()[0], 0.05)


async def test_the_end_of_the_process_ends_the_waiting_at_once(probing):
    running = Running()
    running.print("fatal: no space")
    running.end.set_result(3)

    with pytest.raises(ClnrmError) as caught:
        await await_ready(Service(name="db", wait_log_message="ready"), running, probing()[0], 30.0)

    assert caught.value.message == "`db` ended with exit code 3 before it was ready"
    assert caught.value.hint == "last log lines:\n    fatal: no space"


async def test_a_one_shot_service_whose_last_line_makes_it_ready_is_ready(probing):
    running = Running()
    running.end.set_result(0)
    asyncio.get_running_loop().call_soon(running.print, "migrated")

    await await_ready(Service(name="db", wait_log_message="migrated"), running, probing()[0], 1.0)


async def test_a_span_that_does_not_come_has_a_limit_of_its_own(probing):
    service = Service(name="db", wait_for_span=NamePattern.of("up*"), wait_for_span_timeout_s=0.02)

    with pytest.raises(ClnrmError, match=r"no span `up\*` came within 0.02 s"):
        await await_ready(service, Running(), probing(span_comes=False)[0], 5.0)


async def test_only_the_last_twenty_lines_are_shown(probing):
    running = Running()
    for number in range(50):
        running.print(f"line {number}")
    running.end.set_result(1)

    with pytest.raises(ClnrmError) as caught:
        await await_ready(Service(name="db", wait_log_message="never"), running, probing()[0], 1.0)

    assert caught.value.hint.splitlines()[1:] == [f"    line {number}" for number in range(30, 50)]


@pytest.fixture
def unused_address():
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()


async def test_a_cancelled_port_probe_ends_though_a_refusal_comes_with_it(monkeypatch):
    """A service that never got ready held its test until the limit of the test."""
    refused = asyncio.get_running_loop().create_future()

    async def open_connection(*_):
        await refused

    monkeypatch.setattr(asyncio, "open_connection", open_connection)
    probe = asyncio.ensure_future(until(accepts, "127.0.0.1", 9))
    for _ in range(3):
        await asyncio.sleep(0)
    refused.set_exception(ConnectionRefusedError())
    await asyncio.sleep(0)
    probe.cancel()

    await asyncio.wait([probe], timeout=20)
    ended = probe.cancelled()
    probe.cancel()

    assert ended
