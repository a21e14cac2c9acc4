"""Engines that die, containers that vanish, waits that are cancelled: nothing hangs and nothing is left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import signal
import tempfile
import time
from pathlib import Path

import pytest

from clnrm_nb.config.project import Project
from clnrm_nb.config.settings import load_settings
from clnrm_nb.errors import BackendUnavailableError, ClnrmError
from clnrm_nb.executor.backends.docker import DockerBackend
from clnrm_nb.executor.backends.protocol import CommandSpec
from clnrm_nb.reaper.ownership import this_process
from clnrm_nb.scenario.model import Service

pytestmark = pytest.mark.docker

IDLE = ("sleep", "1000")
CLEAN = pytest.mark.usefixtures("no_leftovers")


def idle(name, **fields):
    return Service(name=name, args=IDLE, **fields)


def command(*argv, service="web", **fields):
    return CommandSpec("command", argv, service, **{"timeout_s": 30.0, **fields})


@pytest.fixture
async def open_unit(docker_backend, unit_spec):
    """Open units that are closed at the end, whatever the test does."""
    units = []

    async def build(*services):
        units.append(await docker_backend.open_unit(unit_spec(*services)))
        return units[-1]

    yield build
    for unit in units:
        await unit.close()


async def begun(unit, name="web"):
    """Start a command that says when it runs and then hangs; the task that waits for it."""
    await unit.execute(command("mkfifo", "/tmp/begun", service=name))
    waiting = asyncio.ensure_future(
        unit.execute(command("sh", "-c", "echo >/tmp/begun; exec sleep 1000", service=name))
    )
    await unit.execute(command("cat", "/tmp/begun", service=name))
    return waiting


# ---------------------------------------------------------------------------------- the engine dies


@pytest.fixture
async def mortal(private_engine_tool, image_maker, tmp_path):
    """A backend on an engine of its own, and what stops that engine."""
    import docker

    directory = Path(tempfile.mkdtemp(prefix="clnrm-mortal-"))
    url = await asyncio.to_thread(private_engine_tool.start, directory)
    client = docker.APIClient(base_url=url, version="auto")
    image = image_maker.busybox(client)
    client.close()
    overrides = {"executor.docker_host": url, "containers.pull_policy": "never"}
    settings = load_settings(Project(tmp_path, tmp_path / ".clnrm"), overrides=overrides, environ={})
    backend = DockerBackend(settings)
    await backend.open()
    yield backend, image, lambda: asyncio.to_thread(private_engine_tool.stop, directory)
    await backend.close()
    await asyncio.to_thread(private_engine_tool.stop, directory)
    shutil.rmtree(directory, ignore_errors=True)


async def test_engine_stopped_in_mid_run_ends_everything_soon_and_clearly(mortal, unit_spec):
    backend, image, stop_engine = mortal
    unit = await backend.open_unit(unit_spec(idle("web", image=image), runner_image=image))
    running = await unit.start_service("web", {})
    waiting = await begun(unit)

    await stop_engine()
    begun_s = time.monotonic()
    (result,) = await asyncio.gather(waiting, return_exceptions=True)
    with pytest.raises(BackendUnavailableError, match="stopped answering"):
        await unit.execute(command("true"))
    killed = await unit.stop_services(1.0)
    with pytest.raises(BackendUnavailableError, match="stopped answering"):
        await unit.close()

    # An engine that is told to stop ends its containers first: then the command's end may still be seen.
    assert isinstance(result, BackendUnavailableError) or "had ended" in result.error
    assert killed == ["web"]
    assert time.monotonic() - begun_s < 60
    with pytest.raises(BackendUnavailableError):
        await backend.open_unit(unit_spec(runner_image=image))
    assert isinstance(await asyncio.gather(running.exited(), return_exceptions=True), list)


async def test_engine_that_hangs_is_not_waited_for_without_end(mortal, unit_spec, monkeypatch):
    backend, image, _ = mortal
    for name in ("removal._PATIENCE_S", "unit._CALLS_END_WITHIN_S", "service._DIES_WITHIN_S"):
        monkeypatch.setattr(f"clnrm_nb.executor.backends.docker.{name}", 0.5)
    for name in ("_CALL_WITHIN_S", "_AFTER_KILL_S"):
        monkeypatch.setattr(f"clnrm_nb.executor.backends.docker.command.{name}", 0.5)
    unit = await backend.open_unit(unit_spec(idle("web", image=image), runner_image=image))
    await unit.start_service("web", {})
    pid = int((backend.engine.address.socket_path.parent / "pid").read_text())

    os.kill(pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(60):
            result = await unit.execute(command("true", timeout_s=0.5, grace_s=0.1))
            killed = await unit.stop_services(0.1)
            with pytest.raises(BackendUnavailableError):
                await unit.close()
    finally:
        os.kill(pid, signal.SIGCONT)

    assert result.timed_out
    assert result.exit_code is None
    assert killed == ["web"]


# ------------------------------------------------------------------------- somebody else interferes


@CLEAN
async def test_container_removed_by_somebody_else_ends_its_command_and_its_service(open_unit, engine):
    unit = await open_unit(idle("web"), idle("other"))
    running = await unit.start_service("web", {})
    await unit.start_service("other", {})
    waiting = await begun(unit)

    await asyncio.to_thread(engine.client.remove_container, running.id, force=True)

    # Removing kills first, so the command may end a moment before its container is gone.
    assert (await waiting).error in (
        "the container of service `web` was removed by somebody else while the command ran",
        "the container of service `web` had ended (exit code 137)",
    )
    assert "removed by somebody else" in (await unit.execute(command("true"))).error
    assert await running.exited() == 137
    assert not await running.oom_killed()
    assert (await unit.execute(command("echo", "on", service="other"))).stdout == b"on\n"
    assert await unit.stop_services(5.0) == ["web"]
    assert await unit.close() == []


@CLEAN
async def test_container_killed_by_somebody_else_is_said_to_have_ended(open_unit, engine):
    unit = await open_unit(idle("web"))
    running = await unit.start_service("web", {})
    waiting = await begun(unit)

    await asyncio.to_thread(engine.client.kill, running.id)

    assert (await waiting).error == "the container of service `web` had ended (exit code 137)"
    assert await unit.close() == []


@CLEAN
async def test_a_name_that_is_taken_is_one_sentence_and_its_holder_stays(open_unit, engine, busybox_image):
    unit = await open_unit(idle("web"))
    other = engine.client.create_container(busybox_image, ["true"], name=f"clnrm-{unit.id}-web")["Id"]
    try:
        with pytest.raises(ClnrmError) as refused:
            await unit.start_service("web", {})
        leftovers = await unit.close()
        engine.client.inspect_container(other)
    finally:
        engine.client.remove_container(other)

    assert refused.value.code == "CLN603"
    assert "already in use" in refused.value.message
    assert leftovers == []


@CLEAN
@pytest.mark.parametrize("is_removed", [False, True], ids=["disconnected", "removed"])
async def test_a_network_that_somebody_else_takes_away_fails_commands_and_leaves_nothing(
    open_unit, engine, is_removed
):
    web = Service(name="web", args=("sh", "-c", "mkdir /w; echo page >/w/page; exec httpd -f -p 80 -h /w"))
    unit = await open_unit(web)
    running = await unit.start_service("web", {})
    fetch = command("wget", "-q", "-O-", "http://web/page", service=None, timeout_s=10.0)
    for _ in range(500):
        if (result := await unit.execute(fetch)).exit_code == 0:
            break
        await asyncio.sleep(0.05)
    assert result.stdout == b"page\n", result

    client, network = engine.client, unit._network.id
    attached = [running.id] if not is_removed else list(client.inspect_network(network)["Containers"])
    for each in attached:
        client.disconnect_container_from_network(each, network, force=True)
    if is_removed:
        client.remove_network(network)
    result = await unit.execute(fetch)

    assert result.exit_code not in (0, None)
    assert await unit.stop_services(1.0) in ([], ["web"])
    assert await unit.close() == []


@CLEAN
async def test_image_removed_while_its_container_runs_harms_nothing(open_unit, engine, busybox_image):
    client = engine.client
    made = client.create_container(busybox_image, ["true"])["Id"]
    client.commit(made, repository="clnrm-test-used", tag="1")
    client.remove_container(made)
    unit = await open_unit(idle("web", image="clnrm-test-used:1"))
    await unit.start_service("web", {})

    client.remove_image("clnrm-test-used:1", force=True)
    result = await unit.execute(command("echo", "on"))

    assert result.stdout == b"on\n"
    assert await unit.close() == []


@CLEAN
async def test_a_service_that_ends_at_once_has_said_all_it_said(open_unit):
    unit = await open_unit(Service(name="web", args=("sh", "-c", "printf 'last\\nwords'; exit 3")))
    running = await unit.start_service("web", {})

    assert await running.exited() == 3
    assert running.stdout() == b"last\nwords"
    assert running.log_tail() == ["last", "words"]
    assert await unit.close() == []


@CLEAN
async def test_output_without_lines_or_meaning_is_kept_and_found_in(open_unit):
    noise = "head -c 1000000 /dev/urandom | tr -d '\\n'; printf '\\0\\377\\nready\\n'; exec sleep 1000"
    unit = await open_unit(Service(name="web", args=("sh", "-c", noise)))
    running = await unit.start_service("web", {})
    found = asyncio.Event()
    running.on_log_line(lambda line: found.set() if line == "ready" else None)

    await asyncio.wait_for(found.wait(), 60)

    assert running.stdout().endswith(b"\0\xff\nready\n")
    assert await unit.close() == []


@CLEAN
async def test_unit_closes_while_somebody_else_removes_the_same(open_unit, engine):
    unit = await open_unit(idle("one"), idle("two"))
    ids = [(await unit.start_service(name, {})).id for name in ("one", "two")]

    others = [asyncio.to_thread(_remove_quietly, engine.client, each) for each in ids]
    leftovers, *_ = await asyncio.gather(unit.close(), *others)

    assert leftovers == []


def _remove_quietly(client, container_id):
    import docker

    with contextlib.suppress(docker.errors.APIError):
        client.remove_container(container_id, force=True)


@CLEAN
async def test_foreign_container_on_the_network_does_not_keep_it(open_unit, engine, busybox_image):
    unit = await open_unit()
    client = engine.client
    foreign = client.create_container(
        busybox_image, ["sleep", "2"], host_config=client.create_host_config(network_mode=unit._network.id)
    )["Id"]
    client.start(foreign)
    try:
        leftovers = await unit.close()
    finally:
        client.remove_container(foreign, force=True)

    assert leftovers == []


@CLEAN
async def test_image_removed_during_the_run_is_one_sentence(docker_backend, open_unit, engine, busybox_image):
    client = engine.client
    made = client.create_container(busybox_image, ["true"])["Id"]
    image = client.commit(made, repository="clnrm-test-vanishing", tag="1")["Id"]
    client.remove_container(made)
    unit = await open_unit(idle("web", image="clnrm-test-vanishing:1"))
    await docker_backend._images.ensure("clnrm-test-vanishing:1")
    client.remove_image(image, force=True)

    with pytest.raises(ClnrmError) as gone:
        await unit.start_service("web", {})
    await unit.close()

    assert gone.value.code == "CLN602"
    assert gone.value.message == "cannot pull `clnrm-test-vanishing:1`: it was removed during the run"


@CLEAN
async def test_fork_bomb_is_ended_with_its_container_at_the_latest(open_unit):
    unit = await open_unit()
    bomb = "spawn() { while :; do (sleep 1000) & done; }; spawn 2>/dev/null"

    result = await unit.execute(command("sh", "-c", bomb, service=None, timeout_s=3.0, grace_s=0.2))
    after = await unit.execute(command("echo", "alive", service=None))

    assert result.timed_out or result.exit_code
    assert after.stdout == b"alive\n" or after.error
    assert await unit.close() == []


# ------------------------------------------------------------------------------------- cancellation


async def scenario(backend, spec):
    """One test as the executor runs it: closed whatever happens."""
    unit = await backend.open_unit(spec)
    try:
        await asyncio.gather(*(unit.start_service(name, {}) for name in spec.services))
        await unit.execute(command("sh", "-c", "sleep 0.05; echo done"))
        await unit.execute(command("echo", "x", service=None))
        await unit.read_files("web", "/etc", spec.project_root / unit.id)
        await unit.stop_services(1.0)
    finally:
        await asyncio.shield(unit.close())


async def cancel_at_random(backend, spec, engine, count):
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    moments = random.Random(seed)
    begun_s = time.monotonic()
    await scenario(backend, spec)
    whole_s = time.monotonic() - begun_s
    slots = asyncio.Semaphore(3)

    async def one(after_s):
        async with slots:
            running = asyncio.ensure_future(scenario(backend, spec))
            done, _ = await asyncio.wait({running}, timeout=after_s)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            return bool(done)

    # One in each part of the time, so that some are early even if the first one took unusually long.
    parts = [(part + moments.random()) / count for part in range(count)]
    finished = await asyncio.gather(*(one(part * 3 * whole_s) for part in parts))
    await backend.close()
    print(f"{count - sum(finished)} of {count} were cancelled in the middle of {whole_s:.2f} s")
    assert sum(finished) < count
    assert engine.labelled("clnrm_nb.owner", str(this_process())) == []


async def test_20_cancellations_at_random_moments_leave_nothing(docker_backend, unit_spec, engine):
    await cancel_at_random(docker_backend, unit_spec(idle("web"), idle("db")), engine, 20)


@pytest.mark.bench_full
async def test_bench_full_50_cancellations_at_random_moments_leave_nothing(docker_backend, unit_spec, engine):
    await cancel_at_random(docker_backend, unit_spec(idle("web"), idle("db")), engine, 50)


@CLEAN
async def test_cancelled_close_goes_on_and_can_be_awaited_again(open_unit, engine):
    unit = await open_unit(idle("web"))
    await unit.start_service("web", {})
    closing = asyncio.ensure_future(unit.close())
    await asyncio.sleep(0)

    closing.cancel()
    await asyncio.gather(closing, return_exceptions=True)

    assert await unit.close() == []
    assert engine.labelled("clnrm_nb.unit", unit.id) == []


@CLEAN
async def test_interrupt_has_everything_gone_within_2_seconds(open_unit):
    unit = await open_unit(idle("web"), idle("db"))
    await asyncio.gather(*(unit.start_service(name, {}) for name in ("web", "db")))
    waiting = await begun(unit)
    begun_s = time.monotonic()

    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    leftovers = await unit.close()

    assert leftovers == []
    # Two seconds are the promise on a machine of one's own.
    assert time.monotonic() - begun_s < 10.0


@CLEAN
async def test_nothing_starts_in_a_unit_that_is_being_closed(open_unit):
    unit = await open_unit(idle("web"))
    closing = asyncio.ensure_future(unit.close())
    await asyncio.sleep(0)

    with pytest.raises(ClnrmError):
        await unit.start_service("web", {})

    assert await closing == []
