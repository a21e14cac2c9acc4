"""A command through the channel beside the same command by the engine's exec (`make bench`).

Both run `true` in one container, taking turns, so that whatever else the machine does concerns both. The
container's shell is the runner's main process, as in every test.
"""

from __future__ import annotations

import asyncio
import os
import platform
import statistics
import time

import pytest

from clnrm_nb.executor.backends.protocol import CommandSpec

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("no_leftovers")]

LEAST_TIMES_FASTER = 20
COMMAND = ("true",)
# What every command of a test gets: the injected variables are about so many.
ENVIRONMENT = {f"VARIABLE_{number}": "x" * 40 for number in range(20)}
ROUNDS_OF_CHANNEL = 10


async def compare(backend, spec, client, repeats):
    unit = await backend.open_unit(spec)
    command = CommandSpec("true", COMMAND, None, env=ENVIRONMENT, timeout_s=30.0)
    channel_ms, exec_ms = [], []
    try:
        await unit.execute(command)
        container = client.containers.list(filters={"label": f"clnrm_nb.unit={unit.id}"})[0]
        for _ in range(repeats):
            begun_s = time.perf_counter()
            code, _ = await asyncio.to_thread(container.exec_run, list(COMMAND), environment=ENVIRONMENT)
            exec_ms.append((time.perf_counter() - begun_s) * 1e3)
            assert code == 0
            for _ in range(ROUNDS_OF_CHANNEL):
                begun_s = time.perf_counter()
                result = await unit.execute(command)
                channel_ms.append((time.perf_counter() - begun_s) * 1e3)
                assert result.exit_code == 0
    finally:
        assert await unit.close() == []
    ours, theirs = statistics.median(channel_ms), statistics.median(exec_ms)
    worst = statistics.quantiles(channel_ms, n=20)[-1]
    print(f"\n`true`, round trip: exec_run p50 {theirs:.1f} ms, channel p50 {ours:.2f} ms (p95 {worst:.2f})")
    print(f"{theirs / ours:.0f} times faster, goal {LEAST_TIMES_FASTER}; {repeats} turns")
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    return theirs / ours


@pytest.fixture
def client(engine):
    """The SDK as a person would use it."""
    import docker

    client = docker.DockerClient(base_url=engine.url, version="auto")
    yield client
    client.close()


@pytest.mark.bench
async def test_command_through_the_channel_is_at_least_20_times_faster_than_exec(
    docker_backend, unit_spec, client
):
    assert await compare(docker_backend, unit_spec(), client, 15) >= LEAST_TIMES_FASTER


@pytest.mark.bench_full
async def test_command_through_the_channel_keeps_its_lead_over_200_turns(docker_backend, unit_spec, client):
    assert await compare(docker_backend, unit_spec(), client, 200) >= LEAST_TIMES_FASTER
