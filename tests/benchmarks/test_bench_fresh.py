"""What a fresh unit costs beside the raw docker SDK doing the same calls (`make bench-full`; `make bench` holds whole runs,
which do more, against the same peer: `test_bench_run.py`).

The peer makes a network and a container, starts it, runs one command, reads the log and removes both; the
unit does all that and attaches to the output, ends the program by TERM, and looks that nothing is left. Both
take turns in one run, so that whatever else the machine does concerns both.
"""

from __future__ import annotations

import asyncio
import os
import platform
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from clnrm_nb.executor.backends.protocol import CommandSpec
from clnrm_nb.scenario.model import Service

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("no_leftovers")]

IDLE = ("sleep", "1000")
COMMAND = ("echo", "hello")
MOST_TIMES_RAW = 1.25
LEAST_SHARE_OF_THROUGHPUT = 0.85
SCENARIOS = 24
WORKERS = 4
_numbers = count()


def raw_scenario(client, image):
    """One scenario by the SDK's own high-level calls."""
    number = f"{os.getpid()}-{next(_numbers)}"
    network = client.networks.create(f"raw-{number}", driver="bridge", internal=True)
    container = client.containers.create(image, list(IDLE), name=f"raw-{number}", network=network.name)
    try:
        container.start()
        assert container.exec_run(list(COMMAND), demux=True).output[0] == b"hello\n"
        container.logs()
    finally:
        container.remove(force=True)
        network.remove()


async def unit_scenario(backend, spec):
    """The same by a unit."""
    unit = await backend.open_unit(spec)
    try:
        await unit.start_service("web", {})
        result = await unit.execute(CommandSpec("hello", COMMAND, "web", timeout_s=30.0))
        assert result.stdout == b"hello\n"
        await unit.stop_services(2.0)
    finally:
        assert await unit.close() == []


@pytest.fixture
def raw_client(engine):
    """The SDK as a person would use it."""
    import docker

    client = docker.DockerClient(base_url=engine.url, version="auto", max_pool_size=32)
    yield client
    client.close()


@pytest.fixture
def spec(unit_spec):
    """One idle service."""
    return unit_spec(Service(name="web", args=IDLE))


def machine():
    return f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"


async def compare_one(backend, spec, raw_client, repeats):
    raw_s, unit_s = [], []
    image = spec.runner_image
    await asyncio.to_thread(raw_scenario, raw_client, image)
    await unit_scenario(backend, spec)
    for _ in range(repeats):
        begun_s = time.perf_counter()
        await asyncio.to_thread(raw_scenario, raw_client, image)
        between_s = time.perf_counter()
        await unit_scenario(backend, spec)
        raw_s.append(between_s - begun_s)
        unit_s.append(time.perf_counter() - between_s)
    raw_ms, unit_ms = statistics.median(raw_s) * 1e3, statistics.median(unit_s) * 1e3
    print(f"\nfresh scenario: raw SDK {raw_ms:.0f} ms, unit {unit_ms:.0f} ms: {unit_ms / raw_ms:.2f} times")
    print(f"median of {repeats}, interleaved; {machine()}")
    return unit_ms / raw_ms


async def compare_many(backend, spec, raw_client, repeats):
    raw_s, unit_s = [], []
    for _ in range(repeats):
        begun_s = time.perf_counter()
        await asyncio.to_thread(raw_many, raw_client, spec.runner_image)
        between_s = time.perf_counter()
        await unit_many(backend, spec)
        raw_s.append(between_s - begun_s)
        unit_s.append(time.perf_counter() - between_s)
    raw, unit = (SCENARIOS / statistics.median(each) for each in (raw_s, unit_s))
    print(
        f"\n{SCENARIOS} scenarios, {WORKERS} workers: "
        f"raw SDK {raw:.2f}/s, unit {unit:.2f}/s: {unit / raw:.2f}"
    )
    print(f"median of {repeats}, interleaved; {machine()}")
    return unit / raw


def raw_many(raw_client, image):
    with ThreadPoolExecutor(WORKERS) as threads:
        for each in [threads.submit(raw_scenario, raw_client, image) for _ in range(SCENARIOS)]:
            each.result()


async def unit_many(backend, spec):
    waiting = iter(range(SCENARIOS))

    async def work():
        for _ in waiting:
            await unit_scenario(backend, spec)

    await asyncio.gather(*(work() for _ in range(WORKERS)))


@pytest.mark.bench_full
async def test_bench_full_one_fresh_scenario(docker_backend, spec, raw_client):
    assert await compare_one(docker_backend, spec, raw_client, 31) <= MOST_TIMES_RAW


@pytest.mark.bench_full
async def test_bench_full_24_fresh_scenarios(docker_backend, spec, raw_client):
    assert await compare_many(docker_backend, spec, raw_client, 21) >= LEAST_SHARE_OF_THROUGHPUT
