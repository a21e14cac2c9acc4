"""An engine in trouble of its own: restarted, out of addresses, out of disk, too old, not ours to use."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

from clnrm_nb.config.project import Project
from clnrm_nb.config.settings import load_settings
from clnrm_nb.errors import BackendUnavailableError
from clnrm_nb.executor.backends import open_backend
from clnrm_nb.executor.backends.docker.engine import Engine
from clnrm_nb.executor.plan import make_plan
from clnrm_nb.executor.pool import run_tests
from clnrm_nb.reaper.ownership import this_process
from clnrm_nb.scenario.model import Metadata, Service, Step, TestFile

IDLE = "trap 'exit 0' TERM; echo up; while :; do sleep 0.1; done"


@pytest.fixture
def directory():
    """A short one: the path of a socket has at most 107 bytes."""
    made = Path(tempfile.mkdtemp(prefix="clnrm-t-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def private_engine(private_engine_tool, image_maker, directory):
    """Start an engine of the test's own, with more options if need be; its client and its image."""
    import docker

    home, clients = directory / "e", []

    def start(*options):
        url = private_engine_tool.start(home, *options)
        client = docker.APIClient(base_url=url, version="auto")
        clients.append(client)
        return url, client, image_maker.busybox(client)

    yield start
    for client in clients:
        client.close()
    private_engine_tool.stop(home)


@pytest.fixture
def small_disk(private_engine_tool, directory):
    """All the space that the private engine will have; the engine takes it away when it is stopped."""
    data = directory / "e" / "data"
    data.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "clnrm-test", str(data)], check=True)
    return data


@pytest.fixture
def run(tmp_path):
    """Run tests on an engine, as many at once as there are."""
    project = Project(tmp_path, tmp_path / ".clnrm")

    async def run(url, image, *tests):
        overrides = {
            "executor.docker_host": url,
            "containers.default_image": image,
            "containers.pull_policy": "never",
            "executor.worker_count": len(tests),
        }
        settings = load_settings(project, overrides=overrides, environ={})
        plans = [make_plan(test, directory=tmp_path, project=project, settings=settings) for test in tests]
        backend = await open_backend("docker", settings)
        try:
            return await run_tests(plans, backend, settings=settings, project=project, run_id="R1")
        finally:
            await backend.close()

    return run


def a_test(name, image, script, **fields):
    web = Service(
        name="web", image=image, args=("sh", "-c", IDLE), wait_log_message="up", timeout_s=60.0, **fields
    )
    step = Step(name="go", command=("sh", "-c", script), timeout_s=60.0)
    return TestFile(
        file=f"{name}.clnrm.toml", metadata=Metadata(name=name), steps=(step,), services={"web": web}
    )


def errors(outcome):
    return [(each.code, str(each.message)) for each in outcome.diagnostics if each.severity == "error"]


def objects(client):
    wanted = {"label": [f"clnrm_nb.owner={this_process()}"]}
    networks = [each["Name"] for each in client.networks(filters=wanted)]
    return [*(each["Names"][0] for each in client.containers(all=True, filters=wanted)), *networks]


async def until(is_true, within_s=60.0):
    deadline_s = time.monotonic() + within_s
    while not is_true():
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.05)


@pytest.mark.docker
async def test_an_engine_restarted_in_mid_run_ends_its_tests_and_serves_the_next(
    private_engine, private_engine_tool, run
):
    url, client, image = private_engine()
    running = asyncio.ensure_future(run(url, image, a_test("a", image, "sleep 1000")))
    await until(lambda: len(client.containers()) == 2)

    pid = private_engine_tool._pid(Path(url.removeprefix("unix://")).parent)
    private_engine_tool._end(pid, 15)
    _, client, _ = await asyncio.to_thread(private_engine)
    (ended,) = await asyncio.wait_for(running, 60)
    (after,) = await run(url, image, a_test("b", image, "true"))

    print(ended.status, errors(ended), objects(client))
    assert ended.status in ("failed", "error")
    assert {code for code, _ in errors(ended)} <= {"CLN601", "CLN603", "CLN605"}
    assert after.status == "passed"
    assert objects(client) == []


@pytest.mark.docker
async def test_an_engine_without_addresses_says_so_and_goes_on_when_there_are_some(private_engine, run):
    url, client, image = private_engine("--default-address-pool=base=10.213.7.0/28,size=29")
    taken = client.create_network("taken", driver="bridge", internal=True)["Id"]
    also = client.create_network("also", driver="bridge", internal=True)["Id"]

    (refused,) = await run(url, image, a_test("a", image, "true"))
    client.remove_network(taken)
    (after,) = await run(url, image, a_test("b", image, "true"))
    client.remove_network(also)

    assert refused.status == "error"
    assert errors(refused) == [("CLN601", "the engine has no addresses left for another network")]
    assert after.status == "passed"
    assert objects(client) == []


@pytest.mark.docker
async def test_an_engine_without_disk_says_so_and_goes_on_when_there_is_some(small_disk, private_engine, run):
    url, client, image = private_engine()
    filler = small_disk / "filler"
    _fill(filler)

    (refused,) = await run(url, image, a_test("a", image, "true"))
    filler.unlink()
    (after,) = await run(url, image, a_test("b", image, "true"))

    print(errors(refused))
    assert refused.status in ("failed", "error")
    assert [code for code, _ in errors(refused)] in (["CLN603"], ["CLN601"])
    assert "no space left on the engine's disk" in errors(refused)[0][1]
    assert after.status == "passed"
    assert objects(client) == []


def _fill(path):
    """Take all the space there is."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


def test_a_socket_of_somebody_else_is_refused_with_advice(directory):
    with socket.socket(socket.AF_UNIX) as listening:
        path = directory / "s"
        listening.bind(str(path))
        listening.listen()
        path.chmod(0o600)
        directory.chmod(0o755)
        if os.geteuid() == 0:
            os.seteuid(65534)
        else:
            path.chmod(0o000)
        try:
            with pytest.raises(BackendUnavailableError) as refused:
                Engine._connect(f"unix://{path}", {})
        finally:
            if os.getuid() == 0:
                os.seteuid(0)

    assert refused.value.code == "CLN601"
    assert "permission denied" in refused.value.message
    assert "usermod -aG docker" in refused.value.hint


@pytest.fixture
def old_engine(directory):
    """What an engine of 2014 says; there is none to be had any more."""
    path = directory / "old"
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen()

    def serve():
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            with client:
                client.recv(65536)
                body = json.dumps({"Version": "1.0.0", "ApiVersion": "1.12"}).encode()
                client.sendall(
                    b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
                )
                client.sendall(body)

    threading.Thread(target=serve, daemon=True).start()
    yield f"unix://{path}"
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()


async def test_an_engine_of_a_version_that_nobody_speaks_is_refused(old_engine):
    with pytest.raises(BackendUnavailableError) as refused:
        await Engine.connect(old_engine, {})

    print(refused.value.message)
    assert refused.value.code == "CLN601"
    assert "API versions below 1.24 are no longer supported" in refused.value.message
