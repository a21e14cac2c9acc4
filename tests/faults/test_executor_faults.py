"""What goes wrong in the world: one message with its code each, nothing left, no other test harmed."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

import pytest

from clnrm_nb.config.project import Project
from clnrm_nb.config.settings import load_settings
from clnrm_nb.executor.backends import open_backend
from clnrm_nb.executor.plan import make_plan
from clnrm_nb.executor.pool import run_tests
from clnrm_nb.scenario.model import HealthCheck, Limits, Metadata, PortMapping, Service, Step, TestFile

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("no_leftovers")]

IDLE = "trap 'exit 0' TERM; while :; do sleep 0.1; done"
STUBBORN = ("sh", "-c", "trap '' TERM; while :; do sleep 0.1; done")


@pytest.fixture
def run_beside(tmp_path, busybox_image):
    """Run the faulty test and a healthy one at once; the faulty one's outcome."""
    project = Project(tmp_path, tmp_path / ".clnrm")

    async def run(faulty, **keys):
        dotted = {key.replace("__", "."): value for key, value in keys.items()}
        overrides = {"containers.default_image": busybox_image, "executor.worker_count": 2, **dotted}
        settings = load_settings(project, overrides=overrides, environ={})
        healthy = a_test("healthy", steps=[Step(name="ok", command=("sh", "-c", "sleep 0.3; echo ok"))])
        plans = [
            make_plan(test, directory=tmp_path, project=project, settings=settings)
            for test in (faulty, healthy)
        ]
        backend = await open_backend("docker", settings)
        try:
            outcomes = await run_tests(plans, backend, settings=settings, project=project, run_id="R1")
        finally:
            await backend.close()
        assert outcomes[1].status == "passed"
        return outcomes[0]

    return run


@pytest.fixture
def service(busybox_image):
    def make(*command, **fields):
        return Service(**{"name": "web", "image": busybox_image, "args": command or None, **fields})

    return make


def a_test(name="faulty", steps=(), services=(), **fields):
    return TestFile(
        file=f"{name}.clnrm.toml",
        metadata=Metadata(name=name, **fields.pop("meta", {})),
        steps=tuple(steps) or (Step(name="go", command=("true",)),),
        services={service.name: service for service in services},
        **fields,
    )


def sh(script, **fields):
    return Step(**{"name": "go", "command": ("sh", "-c", script), **fields})


def codes(outcome):
    return [finding.code for finding in outcome.diagnostics if finding.severity == "error"]


@pytest.mark.parametrize(
    "probe",
    [
        pytest.param({"wait_log_message": "never"}, id="log"),
        pytest.param({"ports": (PortMapping(host=0, container=9),)}, id="port"),
        pytest.param({"health_check": HealthCheck(cmd=("false",))}, id="health"),
        pytest.param(
            {"health_check": HealthCheck(cmd=("sleep", "1000"), timeout_s=0.3)}, id="hanging-health"
        ),
        pytest.param({"ready_http": (80, "/")}, id="http"),
    ],
)
async def test_a_service_that_never_gets_ready(run_beside, service, probe):
    never = service("sh", "-c", "echo trying; while :; do sleep 0.1; done", timeout_s=3.0, **probe)

    outcome = await run_beside(a_test(services=[never]))

    assert (outcome.status, codes(outcome)) == ("failed", ["CLN603"])
    assert "trying" in outcome.diagnostics[0].hint
    assert outcome.scenarios[0].status == "skipped"


async def test_an_image_that_does_not_exist(run_beside, service):
    absent = service(image="no-such-image-anywhere:1")

    outcome = await run_beside(a_test(services=[absent]), containers__pull_policy="never")

    assert (outcome.status, codes(outcome)) == ("failed", ["CLN602"])


async def test_a_command_that_hangs_and_ignores_term(run_beside):
    outcome = await run_beside(a_test(steps=[Step(name="hang", command=STUBBORN, timeout_s=0.5)]))

    assert (outcome.status, codes(outcome)) == ("failed", ["CLN604"])
    assert outcome.scenarios[0].commands[0].duration_ms < 60_000


async def test_a_test_that_hangs_in_all_its_steps_ends_at_its_limit(run_beside, service):
    outcome = await run_beside(
        a_test(
            services=[service(*STUBBORN)],
            steps=[Step(name="hang", command=STUBBORN)],
            meta={"timeout_s": 5.0},
        )
    )

    assert outcome.status == "failed"
    assert codes(outcome) == ["CLN604"]
    assert outcome.duration_ms < 60_000


async def test_a_container_killed_for_memory_while_it_gets_ready(run_beside, service):
    eater = service(
        "sh", "-c", "echo eating; tail /dev/zero", limits=Limits(memory_mb=12), wait_log_message="never"
    )

    outcome = await run_beside(a_test(services=[eater]))

    assert (outcome.status, codes(outcome)) == ("failed", ["CLN603"])
    assert "before it was ready" in outcome.diagnostics[0].message


async def test_a_command_killed_for_memory(run_beside, service):
    outcome = await run_beside(
        a_test(
            services=[service("sh", "-c", IDLE, limits=Limits(memory_mb=12))],
            steps=[sh("tail /dev/zero", service="web", timeout_s=30.0)],
        )
    )

    assert (outcome.status, codes(outcome)) == ("failed", ["CLN605"])


@pytest.mark.parametrize("of", ["command", "service"])
async def test_a_hundred_megabytes_of_output_are_cut_and_drained(run_beside, service, of):
    flood = "head -c 100000000 /dev/zero | tr '\\0' 'x'"
    if of == "command":
        outcome = await run_beside(a_test(steps=[sh(f"{flood}; exit 0", timeout_s=60.0)]))
        command = outcome.scenarios[0].commands[0]
        assert command.truncated
        assert len(command.stdout) <= 10 * 1024 * 1024
    else:
        flooding = service(
            "sh",
            "-c",
            f"trap 'exit 0' TERM; {flood}; echo; echo done; while :; do sleep 0.1; done",
            wait_log_message="^done$",
        )
        outcome = await run_beside(a_test(services=[flooding]))

    assert (outcome.status, codes(outcome)) == ("passed", [])


async def test_output_without_any_meaning_is_kept(run_beside):
    outcome = await run_beside(a_test(steps=[sh("head -c 100000 /dev/urandom; printf '{\"name\":\\0'")]))

    assert outcome.status == "passed"


async def test_a_service_that_dies_under_its_command(run_beside, service):
    mortal = service(
        "sh", "-c", "echo up; while ! test -e /tmp/die; do sleep 0.05; done; exit 9", wait_log_message="up"
    )

    outcome = await run_beside(
        a_test(services=[mortal], steps=[sh("touch /tmp/die; sleep 1000", service="web", timeout_s=120.0)])
    )

    assert outcome.status == "failed"
    assert codes(outcome) == ["CLN605"]
    assert outcome.scenarios[0].commands[0].duration_ms < 60_000


async def test_a_container_removed_by_somebody_else(run_beside, service, engine):
    async def remove_it():
        while True:
            found = engine.client.containers(filters={"label": "clnrm_nb.test=faulty.clnrm.toml"})
            if found:
                engine.client.remove_container(found[0]["Id"], force=True)
                return
            await asyncio.sleep(0.05)

    removing = asyncio.create_task(remove_it())
    outcome = await run_beside(a_test(steps=[sh("sleep 1000", timeout_s=20.0)]))
    await removing

    assert outcome.status in {"failed", "error"}
    assert len(codes(outcome)) == 1


async def test_the_engine_stops_in_mid_run(tmp_path, private_engine_tool, image_maker):
    import docker

    # Short: the path of a socket has at most 107 bytes.
    directory = Path(tempfile.mkdtemp(prefix="clnrm-e-"))
    url = private_engine_tool.start(directory)
    try:
        client = docker.APIClient(base_url=url, version="auto")
        image = image_maker.busybox(client)
        client.close()
        project = Project(tmp_path, tmp_path / ".clnrm")
        overrides = {
            "executor.docker_host": url,
            "containers.default_image": image,
            "executor.worker_count": 2,
        }
        settings = load_settings(project, overrides=overrides, environ={})
        tests = [a_test(name, steps=[sh("echo on; sleep 1000", timeout_s=120.0)]) for name in "ab"]
        plans = [make_plan(test, directory=tmp_path, project=project, settings=settings) for test in tests]
        backend = await open_backend("docker", settings)
        running = asyncio.create_task(
            run_tests(plans, backend, settings=settings, project=project, run_id="R1")
        )
        await asyncio.to_thread(_until_running, url, 2)
        await asyncio.to_thread(private_engine_tool.stop, directory)
        outcomes = await asyncio.wait_for(running, 60)
        await backend.close()
    finally:
        private_engine_tool.stop(directory)

    assert {outcome.status for outcome in outcomes} <= {"error", "failed"}
    for outcome in outcomes:
        assert codes(outcome)


def _until_running(url, count):
    import docker

    client = docker.APIClient(base_url=url, version="auto")
    deadline = time.monotonic() + 60
    while len(client.containers()) < count:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    client.close()
