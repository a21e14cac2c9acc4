"""Services: their log by event, their end, and what it means, in a real engine."""

from __future__ import annotations

import asyncio

import pytest

from clnrm_nb.scenario.model import Limits, Service

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("no_leftovers")]


@pytest.fixture
async def start(docker_backend, unit_spec):
    """Start services in a unit that is closed at the end."""
    units = []

    async def build(*services, **changes):
        unit = await docker_backend.open_unit(unit_spec(*services, **changes))
        units.append(unit)
        started = await asyncio.gather(*(unit.start_service(each.name, each.env) for each in services))
        return (unit, *started)

    yield build
    for unit in units:
        await unit.close()


def shell(name, script, **fields):
    return Service(name=name, args=("sh", "-c", script), **fields)


async def line_with(running, text):
    """Wait for a log line by event."""
    seen = asyncio.get_running_loop().create_future()

    def listen(line):
        if text in line and not seen.done():
            seen.set_result(line)

    end = running.on_log_line(listen)
    try:
        return await asyncio.wait_for(seen, 60)
    finally:
        end()


async def test_log_lines_come_as_they_are_printed_and_earlier_ones_first(start):
    _, running = await start(shell("web", "echo one; echo two >&2; sleep 0.3; echo three; exec sleep 1000"))
    lines = []
    await line_with(running, "two")

    end = running.on_log_line(lines.append)
    await line_with(running, "three")
    end()

    assert set(lines[:2]) == {"one", "two"}
    assert lines[2] == "three"
    assert running.log_tail(1) == ["three"]
    assert (running.stdout(), running.stderr()) == (b"one\nthree\n", b"two\n")


async def test_output_of_a_service_that_ended_is_complete(start):
    _, running = await start(shell("web", "seq 1 5000; printf unfinished; exit 3"))

    code = await running.exited()

    assert code == 3
    assert running.log_tail(2) == ["5000", "unfinished"]
    assert running.stdout().count(b"\n") == 5000
    assert not await running.oom_killed()


async def test_service_killed_for_memory_is_told_apart(start):
    _, running = await start(shell("web", "exec tail -c 200000000 /dev/zero", limits=Limits(memory_mb=16)))

    assert await running.exited() == 137
    assert await running.oom_killed()


async def test_services_end_by_term_and_only_stubborn_ones_are_killed(start):
    unit, polite, stubborn = await start(
        shell("polite", "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done"),
        shell("stubborn", "trap '' TERM; echo ready; while :; do sleep 0.05; done"),
    )
    await line_with(polite, "ready")
    await line_with(stubborn, "ready")

    killed = await unit.stop_services(3.0)

    assert killed == ["stubborn"]
    assert await polite.exited() == 0
    assert polite.log_tail(1) == ["bye"]


async def test_without_grace_every_service_is_killed(start):
    unit, _, _ = await start(shell("one", "exec sleep 1000"), shell("two", "exec sleep 1000"))

    assert sorted(await unit.stop_services(0.0)) == ["one", "two"]


async def test_service_that_had_ended_by_itself_was_not_killed(start):
    unit, running = await start(shell("web", "exit 0"))
    await running.exited()

    assert await unit.stop_services(1.0) == []


async def test_image_says_how_its_programs_want_to_be_ended(start, volume_image):
    script = "trap 'echo interrupted; exit 0' INT; echo ready; while :; do sleep 0.05; done"
    unit, running = await start(shell("web", script, image=volume_image))
    await line_with(running, "ready")

    killed = await unit.stop_services(30.0)

    assert killed == []
    assert running.log_tail(1) == ["interrupted"]


async def test_flood_of_log_is_kept_at_its_cap_and_its_end_at_hand(start):
    _, running = await start(
        shell("web", "yes 012345678901234567890123456789 | head -c 30000000; echo; echo last")
    )

    code = await running.exited()

    assert code == 0
    assert len(running.stdout()) == 10 * 1024 * 1024
    assert running.log_tail(1) == ["last"]


async def test_files_can_be_read_after_services_have_stopped(start, tmp_path):
    unit, running = await start(shell("web", "echo kept >/tmp/f; echo ready; exec sleep 1000"))
    await line_with(running, "ready")
    await unit.stop_services(2.0)

    written = await unit.read_files("web", "/tmp/f", tmp_path / "out")

    assert [path.read_text() for path in written] == ["kept\n"]
