"""What a killed process leaves in an engine is found and removed, and nothing else is."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from clnrm_nb.executor.backends.docker import collect_garbage
from clnrm_nb.executor.backends.docker.engine import Engine
from clnrm_nb.reaper.ownership import this_process

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("no_leftovers")]

# A run that stands still in the middle of a test until it is killed.
VICTIM = """
import asyncio, sys
from pathlib import Path
from clnrm_nb.executor import reaper
from clnrm_nb.reaper import ownership
reaper._reaper._start = lambda: None  # gc is for what the reaper did not outlive.
ownership._machine_id = lambda: "a-machine-of-its-own"
from types import SimpleNamespace as Namespace
from clnrm_nb.executor.backends.docker import DockerBackend
from clnrm_nb.executor.backends.protocol import CommandSpec, UnitSpec
from clnrm_nb.reaper.ownership import this_process
from clnrm_nb.scenario.model import Service

async def main():
    url, image, runner = sys.argv[1:]
    settings = Namespace(executor=Namespace(docker_host=url), containers=Namespace(pull_policy="never"))
    backend = DockerBackend(settings)
    await backend.open()
    service = Service(name="web", image=image, args=("sleep", "1000"))
    here = Path.cwd()
    unit = await backend.open_unit(UnitSpec("run-k", "killed", {"web": service}, here, here, runner, 64, 500))
    await unit.start_service("web", {})
    await unit.execute(CommandSpec("c", ("true",), None, timeout_s=20))
    print(this_process(), flush=True)
    await asyncio.sleep(1000)

asyncio.run(main())
"""


@pytest.fixture
async def connected(engine):
    """A connection to the session's engine."""
    connected = await Engine.connect(engine.url)
    yield connected
    connected.close()


@pytest.fixture
def make_network(engine):
    """Make networks with an owner; removed at the end if they are still there."""
    made = []

    def build(owner):
        name = f"clnrm-test-{len(made)}-{this_process().pid}"
        labels = {"clnrm_nb.owner": str(owner), "clnrm_nb.run": "r", "clnrm_nb.test": "t"}
        made.append(engine.client.create_network(name, labels=labels)["Id"])
        return name

    yield build
    left = {each["Id"] for each in engine.client.networks()}
    for each in left.intersection(made):
        engine.client.remove_network(each)


async def test_kill_9_leaves_everything_to_gc(engine, connected, volume_image, busybox_image, monkeypatch):
    # Other tests' runs share the engine, and sweep up what is left on this machine as they start.
    monkeypatch.setattr("clnrm_nb.reaper.ownership._machine_id", lambda: "a-machine-of-its-own")
    victim = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", VICTIM, engine.url, volume_image, busybox_image), stdout=subprocess.PIPE
    )
    owner = (await victim.stdout.readline()).decode().strip()
    alive = await collect_garbage(connected)

    victim.send_signal(signal.SIGKILL)
    await victim.wait()
    would = [each for each in await collect_garbage(connected, dry_run=True) if each.owner == owner]
    still_there = engine.labelled("clnrm_nb.owner", owner)
    removed = [each for each in await collect_garbage(connected) if each.owner == owner]

    assert owner not in {each.owner for each in alive}
    assert len(still_there) == 4
    assert [each.type for each in would] == ["container", "container", "network", "volume"]
    assert {(each.run, each.test, each.removed) for each in would} == {("run-k", "killed", False)}
    assert {(each.type, each.removed) for each in removed} >= {("container", True), ("network", True)}
    assert engine.labelled("clnrm_nb.owner", owner) == []


async def test_start_of_a_run_sweeps(engine, docker_backend, make_network):
    dead = make_network(replace(this_process(), start="1"))

    await docker_backend.close()
    await docker_backend.open()
    await docker_backend._sweep

    assert dead not in {each["Name"] for each in engine.client.networks()}


@pytest.mark.parametrize(
    "owner",
    [
        replace(this_process(), machine="0" * 32, boot="another"),
        replace(this_process(), pid=1, start="x").machine,
        "somebody:else",
        "",
    ],
    ids=["another machine", "not an owner", "another tool", "empty"],
)
async def test_objects_of_others_are_left_alone(engine, connected, make_network, owner):
    name = make_network(owner)

    removed = await collect_garbage(connected)

    assert name not in {each.name for each in removed}
    assert name in {each["Name"] for each in engine.client.networks()}
