"""Runner containers that are used again: what a test leaves is cleaned and proved, or nobody sees it."""

from __future__ import annotations

import asyncio
import shlex

import pytest

import clnrm_nb
from clnrm_nb.executor.backends.protocol import CommandSpec
from clnrm_nb.scenario.model import NetworkPolicy, Service

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("no_leftovers")]

IDLE = ("sleep", "1000")
# Everything that a test could notice of one before it.
LOOK = (
    "ls -A /tmp /var/tmp /run /dev /dev/shm /dev/mqueue; stat -c '%A %U %n' /tmp /var/tmp /run /dev/shm; umask; pwd;"
    "ulimit -a; cat /proc/net/tcp /proc/net/udp /proc/net/unix | wc -l; cat /proc/sysvipc/* | wc -l; "
    "cat /proc/self/oom_score_adj; cut -d ' ' -f 19 /proc/self/stat; env; "
    "for p in /proc/[0-9]*; do [ -e $p/exe ] && tr '\\0' ' ' <$p/cmdline && echo; done"
)


def command(*argv, service=None, **fields):
    return CommandSpec("command", argv, service, **{"timeout_s": 20.0, **fields})


@pytest.fixture
def verified(docker_backend, unit_spec):
    """Run commands as a test of its own each, in order; their results, and the unit."""

    async def test(*scripts, services=(), **changes):
        unit = await docker_backend.open_unit(unit_spec(*services, isolation="verified", **changes))
        for each in services:
            await unit.start_service(each.name, {})
        results = [await unit.execute(command("sh", "-c", script)) for script in scripts]
        left = await unit.close()
        assert left == []
        return results, unit

    return test


@pytest.fixture
async def view(verified, docker_backend):
    """What a test sees that comes after nobody, and after a test that did something."""

    async def look(*scripts, **changes):
        (seen,), _ = await verified(LOOK)
        await verified(*scripts, **changes)
        (again,), _ = await verified(LOOK)
        return _shown(seen), _shown(again), docker_backend.pool_report()

    return look


def _shown(result):
    """Without numbers of processes and the like, which belong to the moment."""
    assert result.exit_code == 0
    lines = result.stdout.decode().splitlines()
    return sorted(line for line in lines if not line.startswith("CLNRM_COMMAND="))


async def test_clean_test_leaves_its_runner_to_the_next(verified, docker_backend):
    (first,), unit = await verified("hostname; echo a >/tmp/a")
    (second,), other = await verified("hostname; ls /tmp")

    report = docker_backend.pool_report()
    assert (unit.isolation, other.isolation) == ("verified", "verified")
    assert (first.stdout, second.stdout) == (b"runner\n", b"runner\n")
    assert (report.made, report.uses, report.reused, report.discards) == (1, 2, 1, {})


@pytest.mark.parametrize(
    "script",
    [
        "mkdir -p /tmp/a/.b /var/tmp/c; echo x >/tmp/a/.b/x; echo x >'/tmp/..y'; ln -s nowhere /run/link",
        "dd if=/dev/zero of=/dev/shm/block bs=1k count=100; touch /dev/mqueue/queue",
        "setsid sleep 1001 >/dev/null 2>&1 & sleep 1002 & echo",
        "env -i setsid sleep 1001 >/dev/null 2>&1 & echo",
        "trap '' TERM HUP; (trap '' TERM HUP INT; while :; do sleep 0.1; done) & echo",
        "nc -l -p 8080 & until grep -q :1F90 /proc/net/tcp /proc/net/tcp6; do :; done",
        "httpd -p 8080 -h /tmp; echo page >/tmp/x; wget -q -O - http://127.0.0.1:8080/x",
        "umask 077; ulimit -n 100; cd /tmp; export LEFT=x; exec 9>/tmp/open",
        "touch /new 2>/dev/null; touch /etc/new 2>/dev/null; rm /bin/ls 2>/dev/null; echo x >>/etc/hosts || true",
    ],
    ids=["files", "shm", "daemon", "cleared", "stubborn", "ports", "connections", "state", "root"],
)
async def test_what_a_test_leaves_is_cleaned_and_proved(view, script):
    seen, again, report = await view(script)

    assert again == seen
    assert (report.made, report.reused, report.discards) == (1, 2, {})


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("touch /dev/left", "a file was left or changed: /dev/left -rw-r--r--"),
        ("chmod 700 /tmp", "a file was left or changed: /tmp drwx------"),
        ("mkdir /tmp/a; touch /tmp/a/x; chmod 555 /tmp/a", "a file was left or changed:"),
        ("renice 13 $PPID", "the shell changed:"),
        ("echo 500 >/proc/$PPID/oom_score_adj", "the shell changed:"),
        ("echo 0 >/proc/$PPID/coredump_filter", "the shell changed:"),
        ("kill -9 $PPID", "its runner container ended"),
    ],
    ids=["dev", "mode", "readonly", "nice", "oom", "core", "killed"],
)
async def test_what_cannot_be_cleaned_is_thrown_away(view, script, reason):
    seen, again, report = await view(script)

    assert again == seen
    assert report.made == 2
    assert [each.startswith(reason) for each in report.discards] == [True]


@pytest.mark.parametrize(
    ("program", "reasons"),
    [
        ("import socket; s = socket.socket(socket.AF_UNIX); s.bind('\\0left'); s.listen(); fork()", ()),
        ("import socket; s = socket.socket(socket.AF_UNIX); s.bind('/tmp/left'); s.listen(); fork()", ()),
        ("import ctypes; assert ctypes.CDLL(None).shmget(7, 4096, 0o1600) >= 0", ("an IPC object was left",)),
        (
            "import ctypes; assert ctypes.CDLL(None).mq_open(b'/left', 0o102, 0o600, None) >= 0",
            (),
        ),
        (
            "import os, resource as r; r.prlimit(os.getppid(), r.RLIMIT_NOFILE, (64, 64))",
            ("the shell changed",),
        ),
        ("import os; os.sched_setaffinity(os.getppid(), {0})", ("the shell changed",)),
    ],
    ids=["abstract", "path", "shm", "mq", "prlimit", "affinity"],
)
async def test_what_python_leaves_is_cleaned_or_thrown_away(
    verified, docker_backend, python_image, program, reasons
):
    head = "import os, time\ndef fork():\n    if os.fork() == 0:\n        os.setsid(); time.sleep(1000)\n"
    look = "cat /proc/net/unix /proc/sysvipc/shm; ls -A /tmp /dev/mqueue; cat /proc/self/limits; grep Cpus /proc/self/status"

    (seen,), _ = await verified(look, runner_image=python_image)
    (left,), _ = await verified(f"exec python3 -c {shlex.quote(head + program)}", runner_image=python_image)
    (again,), _ = await verified(look, runner_image=python_image)

    assert left.exit_code == 0, left.stderr
    assert again.stdout == seen.stdout
    report = docker_backend.pool_report()
    assert report.uses == 3
    assert [reason.partition(":")[0] for reason in report.discards] == list(reasons)


async def test_command_at_its_limit_casts_doubt(docker_backend, unit_spec):
    unit = await docker_backend.open_unit(unit_spec(isolation="verified"))
    await unit.execute(command("sleep", "1000", timeout_s=0.2, grace_s=0.0))
    await unit.close()

    assert docker_backend.pool_report().discards == {"a command reached a limit": 1}


async def test_cancelled_command_casts_doubt(docker_backend, unit_spec):
    unit = await docker_backend.open_unit(unit_spec(isolation="verified"))
    await unit.execute(command("mkfifo", "/tmp/started"))
    waiting = asyncio.ensure_future(unit.execute(command("sh", "-c", "echo >/tmp/started; exec sleep 1001")))
    await unit.execute(command("cat", "/tmp/started"))

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await unit.close()

    assert docker_backend.pool_report().discards == {"a command was cancelled": 1}


async def test_container_left_in_the_network_is_noticed(docker_backend, unit_spec, engine, busybox_image):
    unit = await docker_backend.open_unit(unit_spec(isolation="verified"))
    stranger = engine.client.create_container(
        busybox_image,
        IDLE,
        host_config=engine.client.create_host_config(network_mode=unit._pair.network.id, init=True),
    )["Id"]
    engine.client.start(stranger)
    try:
        doubt = await unit._pair.doubt()
    finally:
        await asyncio.to_thread(engine.client.remove_container, stranger, force=True)
    await unit.close()

    assert doubt == "a container was left in the network"


async def test_services_are_made_for_each_test_and_find_each_other(verified, docker_backend):
    web = Service(
        name="web", args=("sh", "-c", "echo $$ >/w; mkdir /h; cp /w /h/x; exec httpd -f -p 80 -h /h")
    )
    ask = "until wget -q -O /dev/null http://web/x; do sleep 0.05; done; ls /tmp; echo kept >/tmp/kept"

    (first,), _ = await verified(ask, services=[web])
    (second,), _ = await verified(ask, services=[web])

    assert (first.stdout, second.stdout) == (b"", b"")
    assert docker_backend.pool_report().reused == 1


async def test_tests_at_the_same_time_have_runners_of_their_own(docker_backend, unit_spec):
    units = [await docker_backend.open_unit(unit_spec(isolation="verified")) for _ in range(3)]

    results = await asyncio.gather(
        *(unit.execute(command("sh", "-c", "echo x >>/tmp/x; wc -l </tmp/x")) for unit in units)
    )
    for unit in units:
        await unit.close()

    assert [result.stdout for result in results] == [b"1\n"] * 3
    assert docker_backend.pool_report().made == 3


async def test_other_limits_have_other_runners(verified, docker_backend):
    await verified("true", memory_mb=64)
    await verified("true", memory_mb=32)

    assert docker_backend.pool_report().made == 2


async def test_test_that_reaches_out_is_fresh_and_says_so(verified, docker_backend):
    out = Service(name="web", args=IDLE, network=NetworkPolicy(mode="bridge"))

    _, unit = await verified("true", services=[out])

    assert unit.isolation == "fresh"
    assert "isolation `verified` is not possible" in unit.diagnostics()[0].message
    assert docker_backend.pool_report().uses == 0


async def test_image_with_volumes_is_fresh_and_says_so(verified, volume_image):
    _, unit = await verified("true", runner_image=volume_image)

    assert unit.isolation == "fresh"
    assert "keeps files in volumes" in unit.diagnostics()[0].message


async def test_copying_files_out_of_the_runner_is_fresh_and_says_so(verified):
    _, unit = await verified("true", files_of={None})

    assert unit.isolation == "fresh"
    assert "copied out" in unit.diagnostics()[0].message


async def test_objects_are_those_of_a_fresh_unit(docker_backend, unit_spec):
    counts = []
    for isolation in ("fresh", "verified"):
        unit = await docker_backend.open_unit(unit_spec(Service(name="web", args=IDLE), isolation=isolation))
        await unit.start_service("web", {})
        before = {kind: len(names) for kind, names in (await unit.objects()).items()}
        await unit.execute(command("true"))
        after = {kind: len(names) for kind, names in (await unit.objects()).items()}
        await unit.close()
        counts.append((before, after))

    assert counts[0] == counts[1]


async def test_nothing_is_left_when_the_backend_closes(verified, docker_backend, engine):
    from clnrm_nb.reaper.ownership import this_process

    await asyncio.gather(verified("true"), verified("true"))
    await docker_backend.close()

    assert engine.labelled("clnrm_nb.owner", str(this_process())) == []


async def test_runner_whose_making_was_cancelled_is_removed(docker_backend, unit_spec, engine):
    from clnrm_nb.reaper.ownership import this_process

    opening = asyncio.ensure_future(docker_backend.open_unit(unit_spec(isolation="verified")))
    await asyncio.wait({opening}, timeout=0.1)
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)
    await docker_backend.close()

    assert opening.cancelled()
    assert engine.labelled("clnrm_nb.owner", str(this_process())) == []


# ------------------------------------------------------------------------------------------ whole runs

SPAN = (
    '{"name": "work", "trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331", '
    '"start_time_unix_nano": 1000000, "end_time_unix_nano": 3000000}'
)


@pytest.fixture
def project(tmp_path, busybox_image, monkeypatch):
    """Write tests of one command each into a project that is the working directory."""
    (tmp_path / ".clnrm").mkdir()
    (tmp_path / ".clnrm" / "config.toml").write_text(
        f'[containers]\ndefault_image = "{busybox_image}"\npull_policy = "never"\n'
    )
    monkeypatch.chdir(tmp_path)

    def write(**scripts):
        for name, script in scripts.items():
            (tmp_path / f"{name}.clnrm.toml").write_text(
                f'[meta]\nname = "{name}"\nversion = "1"\n[otel]\nexporter = "stdout"\n[[steps]]\nname = "do"\n'
                f"command = ['sh', '-c', '''{script}''']\n"
            )

    return write


def test_run_says_what_was_used_again_and_what_the_audit_found(project):
    project(
        **{f"same{number}": f"echo '{SPAN}'; echo x >/tmp/x" for number in range(3)},
        other=f"touch /root/x && echo '{SPAN}'; true",
    )

    result = clnrm_nb.run(".", isolation="verified", workers=1, audit=100)

    statuses = {test["name"]: (test["status"], test["isolation"]) for test in result.tests}
    pool = result.raw["data"]["pool"]
    assert statuses == {
        **{f"same{number}": ("passed", "verified") for number in range(3)},
        "other": ("failed", "verified"),
    }
    assert result.code == "CLN807"
    assert pool == {"made": 1, "uses": 4, "reused": 3, "discards": {}, "audited": 4, "differing": 1}


def test_run_without_audit_runs_each_test_once(project):
    project(one="true", two="true")

    result = clnrm_nb.run(".", isolation="verified", workers=1)

    assert result.ok
    assert result.raw["data"]["pool"]["audited"] == 0
