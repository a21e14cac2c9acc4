"""Commands in containers: their arguments, output, ends and limits, in a real engine."""

from __future__ import annotations

import asyncio
import gc
import resource
import time

import pytest

from clnrm_nb.executor.backends.protocol import CommandSpec
from clnrm_nb.scenario.model import Limits, Service

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("no_leftovers")]

IDLE = ("sleep", "1000")
# For commands that have to have come somewhere before they reach their limit, on a machine with many neighbours too.
LIMIT_S = 2.5
# Lists what runs, without the listing itself and without what belongs to the container.
PROCESSES = ("sh", "-c", "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline; echo; done")


def command(*argv, service="web", **fields):
    return CommandSpec("command", argv, service, **{"timeout_s": 30.0, **fields})


@pytest.fixture
async def unit(docker_backend, unit_spec):
    """A unit with one idle service."""
    unit = await docker_backend.open_unit(unit_spec(Service(name="web", args=IDLE)))
    await unit.start_service("web", {"OF_SERVICE": "s"})
    yield unit
    await unit.close()


@pytest.fixture
def unit_of(docker_backend, unit_spec):
    """Open a unit with one idle service of an image."""

    async def build(image, **fields):
        opened = await docker_backend.open_unit(
            unit_spec(Service(name="web", args=IDLE, image=image, **fields))
        )
        await opened.start_service("web", {})
        return opened

    return build


async def processes(unit):
    listed = await unit.execute(command(*PROCESSES))
    return listed.stdout.decode()


async def test_arguments_reach_the_program_as_they_are(unit):
    argv = ("printf", "[%s]", "a b", "$HOME", "*", "", "'\"\\", "ü\n")

    result = await unit.execute(command(*argv))

    assert result.stdout.decode() == "".join(f"[{argument}]" for argument in argv[2:])


async def test_environment_and_workdir_are_the_commands_own_and_the_containers(unit):
    result = await unit.execute(
        command("sh", "-c", "echo $OF_SERVICE $OF_STEP; pwd", env={"OF_STEP": "a=b c"}, workdir="/tmp")
    )
    after = await unit.execute(command("sh", "-c", "echo [$OF_STEP]"))

    assert result.stdout == b"s a=b c\n/tmp\n"
    assert after.stdout == b"[]\n"


async def test_streams_and_exit_code_are_told_apart(unit):
    result = await unit.execute(command("sh", "-c", "echo out; echo err >&2; exit 42"))

    assert (result.exit_code, result.stdout, result.stderr) == (42, b"out\n", b"err\n")
    assert result.error is None
    assert not result.timed_out
    assert 0 < result.duration_ms < 30_000


async def test_binary_output_arrives_unchanged(unit):
    result = await unit.execute(command("sh", "-c", "head -c 300000 /dev/zero; printf '\\377\\001'"))

    assert result.stdout == bytes(300_000) + b"\xff\x01"


async def test_commands_of_no_service_share_one_runner(unit):
    first = await unit.execute(command("sh", "-c", "echo kept >/tmp/x", service=None))
    second = await unit.execute(command("cat", "/tmp/x", service=None))

    assert first.exit_code == 0
    assert second.stdout == b"kept\n"


async def test_concurrent_first_commands_share_one_runner(unit):
    results = await asyncio.gather(*(unit.execute(command("hostname", service=None)) for _ in range(3)))

    assert [each.stdout for each in results] == [b"runner\n"] * 3
    assert len((await unit.objects())["container"]) == 2


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"argv": ("no-such-program", "x")}, "program 'no-such-program' is not there in service `web`"),
        ({"argv": ("/etc/passwd",)}, "program '/etc/passwd' may not be executed in service `web`"),
        ({"argv": ("true",), "workdir": "/etc/passwd"}, "working directory '/etc/passwd' cannot be used"),
    ],
)
async def test_command_that_never_started_says_why(unit, fields, sentence):
    result = await unit.execute(command(*fields.pop("argv"), **fields))

    assert result.exit_code is None
    assert sentence in result.error
    assert result.stdout == b""


async def test_program_that_itself_exits_127_keeps_its_exit_code(unit):
    result = await unit.execute(command("sh", "-c", "echo mine; exit 127"))

    assert (result.exit_code, result.stdout, result.error) == (127, b"mine\n", None)


async def test_command_in_a_service_that_has_ended_says_so(unit):
    await unit.stop_services(30.0)

    result = await unit.execute(command("true"))

    assert result.exit_code is None
    assert result.error == "the container of service `web` had ended (exit code 143)"


async def test_command_in_a_service_that_was_never_started_says_so(docker_backend, unit_spec):
    unit = await docker_backend.open_unit(unit_spec(Service(name="web", args=IDLE)))

    result = await unit.execute(command("true"))
    await unit.close()

    assert result.error == "service `web` has no running container"


# -------------------------------------------------------------------------------------------- limits


async def test_hanging_command_is_ended_with_everything_it_started(unit):
    tree = "setsid sleep 1001 & (sleep 1002; :) & env -i sleep 1003 & echo started; wait"

    result = await unit.execute(command("sh", "-c", tree, timeout_s=LIMIT_S, grace_s=0.5))

    assert result.timed_out
    assert result.stdout == b"started\n"
    assert not {"1001", "1002", "1003"} & set((await processes(unit)).split())
    assert (await unit.execute(command("echo", "alive"))).stdout == b"alive\n"


async def test_command_may_clean_up_during_its_grace(unit):
    patient = "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.05; done"

    result = await unit.execute(command("sh", "-c", patient, timeout_s=LIMIT_S, grace_s=60.0))

    assert (result.timed_out, result.exit_code, result.stdout) == (True, 7, b"ready\nbye\n")
    assert result.duration_ms < 30_000


async def test_command_that_ignores_its_end_is_killed_after_its_grace(unit):
    stubborn = "trap '' TERM; while :; do sleep 0.1; done"

    result = await unit.execute(command("sh", "-c", stubborn, timeout_s=LIMIT_S, grace_s=0.3))

    assert (result.timed_out, result.exit_code) == (True, 137)
    assert "trap" not in await processes(unit)


async def test_without_grace_nothing_is_asked_first(unit):
    patient = "trap 'echo bye' TERM; while :; do sleep 0.05; done"

    result = await unit.execute(command("sh", "-c", patient, timeout_s=0.3, grace_s=0.0))

    assert (result.exit_code, result.stdout) == (137, b"")


async def test_other_commands_of_the_container_survive_the_end_of_one(unit):
    await unit.execute(command("mkfifo", "/tmp/begun", "/tmp/go"))
    survivor = command("sh", "-c", "echo >/tmp/begun; cat /tmp/go; echo survived")
    other = asyncio.ensure_future(unit.execute(survivor))
    await unit.execute(command("cat", "/tmp/begun"))

    await unit.execute(command("sleep", "1000", timeout_s=0.3, grace_s=0.0))
    await unit.execute(command("sh", "-c", "echo >/tmp/go"))

    assert (await other).stdout == b"\nsurvived\n"


async def test_image_with_few_tools_is_enough_to_end_a_command(unit_of, volume_image):
    unit = await unit_of(volume_image)

    result = await unit.execute(command("sh", "-c", "sleep 1001 & wait", timeout_s=LIMIT_S, grace_s=0.3))
    listed = await unit.execute(command("ps"))
    await unit.close()

    assert result.timed_out
    assert b"1001" not in listed.stdout
    assert b"sleep 1000" in listed.stdout


async def test_image_without_shell_has_its_container_killed_at_the_limit(unit_of, shellless_image):
    unit = await unit_of(shellless_image)

    result = await unit.execute(command("sleep", "1000", timeout_s=0.3, grace_s=0.3))
    after = await unit.execute(command("echo", "x"))
    await unit.close()

    assert result.timed_out
    assert after.error == "the container of service `web` had ended (exit code 137)"


async def test_runner_that_had_to_be_killed_is_replaced(
    docker_backend, unit_spec, shellless_image, busybox_image
):
    unit = await docker_backend.open_unit(unit_spec())
    await unit.execute(command("true", service=None))
    await unit._containers[None].signal("SIGKILL")
    await unit._containers[None].exited()

    result = await unit.execute(command("echo", "again", service=None))
    await unit.close()

    assert result.stdout == b"again\n"


async def test_cancelled_command_does_not_go_on(unit):
    await unit.execute(command("mkfifo", "/tmp/started"))
    waiting = asyncio.ensure_future(unit.execute(command("sh", "-c", "echo >/tmp/started; exec sleep 1001")))
    await unit.execute(command("cat", "/tmp/started"))

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.gather(*unit._background)

    assert "1001" not in (await processes(unit)).split()


# -------------------------------------------------------------------------------------------- output


async def test_100_mb_of_output_are_capped_without_growing(unit):
    flood = "yes 0123456789012345678901234567890123456789012345678901234567890123456789 | head -c 104857600"
    gc.collect()
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    result = await unit.execute(command("sh", "-c", flood, max_output_bytes=1_000_000, timeout_s=120.0))

    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb) / 1024
    assert result.exit_code == 0
    assert len(result.stdout) == 1_000_000
    assert result.truncated
    assert grown_mb < 20


async def test_flood_of_a_hanging_command_ends_at_its_limit(unit):
    begun_s = time.monotonic()

    result = await unit.execute(command("yes", timeout_s=LIMIT_S, grace_s=0.5, max_output_bytes=1000))

    assert result.timed_out
    assert result.stdout == b"y\n" * 500
    assert time.monotonic() - begun_s < 60


async def test_output_without_limit_reached_is_not_truncated(unit):
    result = await unit.execute(command("printf", "12345", max_output_bytes=5))

    assert (result.stdout, result.truncated) == (b"12345", False)


# -------------------------------------------------------------------------------------------- memory


async def test_command_killed_for_memory_says_so_and_the_service_lives(unit_of, busybox_image):
    unit = await unit_of(busybox_image, limits=Limits(memory_mb=16))

    result = await unit.execute(command("sh", "-c", "tail -c 200000000 /dev/zero"))
    after = await unit.execute(command("false"))
    await unit.close()

    assert result.exit_code == 137
    assert result.oom_killed
    assert not after.oom_killed


# ------------------------------------------------------------------------------------- between commands


async def test_command_that_leaves_a_process_behind_returns_at_once(unit):
    await unit.execute(command("true"))
    begun_s = time.monotonic()

    result = await unit.execute(command("sh", "-c", "sleep 1000 & echo left"))

    assert (result.exit_code, result.stdout) == (0, b"left\n")
    assert time.monotonic() - begun_s < 60


@pytest.mark.parametrize("service", ["web", None])
async def test_late_output_of_one_command_is_not_in_the_next(unit, service):
    late = "mkfifo /tmp/go; (read x </tmp/go; echo late; echo late >&2; echo >/tmp/gone) & echo first"
    first = await unit.execute(command("sh", "-c", "mkfifo /tmp/gone; " + late, service=service))

    second = await unit.execute(
        command("sh", "-c", "echo >/tmp/go; cat /tmp/gone; echo second", service=service)
    )
    third = await unit.execute(command("echo", "third", service=service))

    assert first.stdout == b"first\n"
    assert (second.stdout, second.stderr) == (b"\nsecond\n", b"")
    assert third.stdout == b"third\n"


async def test_commands_at_the_same_time_keep_their_own_output(unit):
    # Each goes on when all have begun.
    meet = (
        "echo $1; echo $1 >&2; touch /tmp/$1; until test $(ls /tmp | wc -l) = 5; do sleep 0.02; done; echo $1"
    )

    results = await asyncio.gather(
        *(unit.execute(command("sh", "-c", meet, "x", str(number))) for number in range(5))
    )

    for number, result in enumerate(results):
        assert (result.stdout, result.stderr) == (f"{number}\n{number}\n".encode(), f"{number}\n".encode())


async def test_variables_that_no_shell_hands_on_arrive(unit):
    result = await unit.execute(command("env", env={"a.b": "dotted", "UID": "7"}))

    assert {b"a.b=dotted", b"UID=7"} <= set(result.stdout.split(b"\n"))


async def test_container_with_variables_that_no_shell_hands_on_keeps_them(docker_backend, unit_spec):
    unit = await docker_backend.open_unit(unit_spec(Service(name="web", args=IDLE)))
    await unit.start_service("web", {"of.service": "s"})

    result = await unit.execute(command("env"))
    await unit.close()

    assert b"of.service=s" in result.stdout


@pytest.mark.parametrize("service", ["web", None])
async def test_command_that_kills_its_shell_says_so_and_the_next_one_runs(unit, service):
    killed = await unit.execute(command("sh", "-c", "echo last; kill -9 $PPID $$", service=service))
    after = await unit.execute(command("echo", "alive", service=service))

    assert (killed.exit_code, killed.stdout) == (None, b"last\n")
    assert killed.error is not None
    assert after.stdout == b"alive\n"


async def test_command_that_stops_its_shell_ends_at_its_limit_and_the_next_one_runs(unit):
    result = await unit.execute(
        command("sh", "-c", "echo last; kill -STOP $PPID", timeout_s=LIMIT_S, grace_s=0.1)
    )
    after = await unit.execute(command("echo", "alive"))

    assert (result.timed_out, result.exit_code, result.stdout) == (True, None, b"last\n")
    assert after.stdout == b"alive\n"


async def test_command_cancelled_before_it_started_never_runs(unit):
    waiting = asyncio.ensure_future(unit.execute(command("touch", "/tmp/ran")))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.gather(*unit._background)

    assert (await unit.execute(command("ls", "/tmp"))).stdout == b""


async def test_engine_keeps_no_copy_of_what_commands_print(unit, engine):
    await unit.execute(command("echo", "printed", service=None))
    runner = unit._containers[None].id

    assert engine.client.inspect_container(runner)["HostConfig"]["LogConfig"]["Type"] == "none"
