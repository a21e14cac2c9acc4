"""What opening somebody's project must not do to this machine, held against a real engine."""

from __future__ import annotations

import os
import socket
import stat
import tomllib
from pathlib import Path

import docker
import pytest

import clnrm_nb
from clnrm_nb import api
from clnrm_nb.executor.backends.docker.policy import DEFAULT_CAPABILITIES
from clnrm_nb.reaper.ownership import this_process
from clnrm_nb.scenario.model import NetworkPolicy, Service, Volume

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("no_leftovers")]

DATA = tomllib.loads(Path(__file__).with_name("docker_policy.toml").read_text(encoding="utf-8"))
# Bits of linux/capability.h.
BITS = {
    "CHOWN": 0, "DAC_OVERRIDE": 1, "FOWNER": 3, "FSETID": 4, "KILL": 5, "SETGID": 6, "SETUID": 7, "SETPCAP": 8,
    "NET_BIND_SERVICE": 10, "SYS_CHROOT": 18, "MKNOD": 27, "AUDIT_WRITE": 29, "SETFCAP": 31,
}  # fmt: skip
NET_RAW = 13
FILE = """
[meta]
name = "{name}"
version = "1"
[services.web]
image = "{image}"
args = ["sleep", "60"]
{service}
[[scenario]]
name = "s"
service = "web"
run = "true"
"""


@pytest.fixture
def places(tmp_path, engine, monkeypatch):
    """A project with all that the cases name; the places by name."""
    project, outside = tmp_path / "project", tmp_path / "outside"
    for directory in (project / ".clnrm", project / "data", outside / "deep"):
        directory.mkdir(parents=True)
    (outside / "file").write_text("not yours")
    engine_socket = Path(engine.url.removeprefix("unix://")).resolve()
    links = {"to-outside": outside, "to-etc": "/etc", "to-proc": "/proc", "to-socket": engine_socket}
    for name, target in links.items():
        (project / name).symlink_to(target)
    (project / "into-outside").symlink_to(outside.parent)
    (outside.parent / "deep").symlink_to(outside)
    os.mkfifo(project / "fifo")
    os.link(engine_socket, project / "renamed")
    # A path of a socket is short; one by which it is bound is shorter from where it stands.
    monkeypatch.chdir(project)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("listening")
    monkeypatch.setenv("WHERE", str(outside))
    monkeypatch.setenv("HOME", str(outside))
    return {
        "project": project,
        "outside": outside,
        "socket": engine_socket,
        "around": engine_socket.parent,
    }


def placed(text, places):
    for name, place in places.items():
        text = text.replace(f"<{name}>", str(place))
    return text


def written(case, places, image):
    return FILE.format(name=case["name"], image=image, service=placed(case["service"], places))


def word_of(case, places):
    return placed(case.get("word", ""), places)


@pytest.fixture
def files(places, busybox_image):
    """One scenario file a case."""
    made = []
    for number, case in enumerate(DATA["case"]):
        made.append(places["project"] / f"case{number:02}.clnrm.toml")
        made[-1].write_text(written(case, places, busybox_image), encoding="utf-8")
    return made


@pytest.fixture
def created(monkeypatch):
    """Addresses of all that this process asked the engine to create; other workers share the engine."""
    asked = []
    post = docker.APIClient._post

    def watched(client, url, *words, **keys):
        if url.rpartition("/")[2].startswith("create"):
            asked.append(url)
        return post(client, url, *words, **keys)

    monkeypatch.setattr(docker.APIClient, "_post", watched)
    return asked


def refusals(result):
    return {
        test["id"]: {
            (finding["code"], finding.get("hint", ""))
            for finding in test["diagnostics"]
            if finding["severity"] == "error"
        }
        for test in result.raw["data"]["tests"]
    }


def test_everything_forbidden_is_refused_with_its_word_before_anything_exists(engine, files, places, created):
    before = engine.labelled("clnrm_nb.owner", str(this_process()))

    result = clnrm_nb.run(files)

    assert result.exit_code == 2
    assert {test["status"] for test in result.raw["data"]["tests"]} == {"error"}
    found = refusals(result)
    assert len(found) == len(DATA["case"]) >= 30
    for number, case in enumerate(DATA["case"]):
        ((code, hint),) = found[f"case{number:02}.clnrm.toml"]
        assert (case["name"], code) == (case["name"], case["code"])
        assert "word" not in case or f"`--allow {word_of(case, places)}`" in hint
        assert "word" in case or "--allow" not in hint
    assert created == []
    assert engine.labelled("clnrm_nb.owner", str(this_process())) == before == []


def test_dry_run_names_each_permission_and_what_is_given_is_no_finding_any_more(files, places):
    words = sorted({word_of(case, places) for case in DATA["case"] if "word" in case})

    asked, given = api.dry_run(files), api.dry_run(files, allow=words)

    assert asked.exit_code == 2  # What nobody may allow is an error here too.
    named = {
        row["word"]: row["granted"] for plan in asked.raw["data"]["plans"] for row in plan["permissions"]
    }
    assert named == dict.fromkeys(words, False)
    assert {finding["code"] for finding in given.raw["diagnostics"] if finding["severity"] == "error"} == {
        "CLN411"
    }
    assert "CLN616" not in {finding["code"] for finding in given.raw["diagnostics"]}
    granted = {row["granted"] for plan in given.raw["data"]["plans"] for row in plan["permissions"]}
    assert granted == {True}


def test_sockets_of_engines_are_refused_even_where_everything_is_allowed(files, created):
    never = [file for file, case in zip(files, DATA["case"], strict=True) if case["code"] == "CLN411"]

    result = clnrm_nb.run(never, allow=["mount:/", "privileged"])

    assert {code for found in refusals(result).values() for code, _ in found} == {"CLN411"}
    assert len(refusals(result)) == len(never)
    assert created == []


@pytest.mark.parametrize("place", ["cleanroom.toml", ".clnrm/config.toml"])
def test_a_project_cannot_allow_itself_anything(files, places, place, created):
    (places["project"] / place).write_text('[security]\nallow = ["privileged"]\n')

    with pytest.raises(clnrm_nb.errors.ConfigError) as refused:
        clnrm_nb.run(files[:1])

    assert "CLN806" in str(refused.value)
    assert created == []


def test_the_persons_own_configuration_can(tmp_path, monkeypatch, busybox_image, places):
    own = tmp_path / "own" / "cleanroom"
    own.mkdir(parents=True)
    (own / "cleanroom.toml").write_text('[security]\nallow = ["capability:NET_RAW"]\n')
    monkeypatch.setenv("XDG_CONFIG_HOME", str(own.parent))
    file = places["project"] / "asks.clnrm.toml"
    text = written({"name": "asks", "service": 'capabilities = ["net_raw"]'}, places, busybox_image)
    file.write_text(text.replace('run = "true"', 'run = "grep CapEff /proc/1/status"'))

    result = clnrm_nb.run(file)

    (command,) = result.raw["data"]["tests"][0]["scenarios"][0]["commands"]
    assert result.exit_code == 0, result.raw["data"]["tests"][0]["diagnostics"]
    assert int(command["stdout"].split()[1], 16) & 1 << NET_RAW


def test_keys_of_other_tools_open_nothing(engine, places, busybox_image, created):
    file = places["project"] / "hidden.clnrm.toml"
    text = written({"name": "hidden", "service": ""}, places, busybox_image)
    file.write_text(text.replace("[services.web]\n", f"[services.web]\n{DATA['hidden']}"))
    seen = []

    def look(event):
        if event.event == "service.ready":
            # Of this test: others may have services of that name in the engine, which they share.
            labels = ["clnrm_nb.service=web", f"clnrm_nb.test={event.test}"]
            (found,) = engine.client.containers(filters={"label": labels})
            seen.append(engine.client.inspect_container(found["Id"]))

    result = clnrm_nb.run(file, listener=look)

    assert len(created) == 2  # The watch works: a network and a container.
    host, config = seen[0]["HostConfig"], seen[0]["Config"]
    warned = [
        each["message"] for each in result.raw["data"]["tests"][0]["diagnostics"] if each["code"] == "CLN301"
    ]
    keys = [
        line.partition(" =")[0] for line in DATA["hidden"].strip().splitlines() if not line.startswith("x-")
    ]
    assert [key for key in keys if not any(f"`{key}`" in message for message in warned)] == []
    assert not host["Privileged"]
    assert not host["CapAdd"]
    assert not host["Binds"]
    assert not host["SecurityOpt"]
    assert not host.get("Sysctls")
    assert (host["PidMode"], host["IpcMode"], host["UTSMode"], host["UsernsMode"]) == ("", "private", "", "")
    assert config["Labels"]["clnrm_nb.owner"] == str(this_process())


# ------------------------------------------------------------------------------- what containers are given


@pytest.fixture
async def open_unit(docker_backend, unit_spec):
    units = []

    async def build(*services, **changes):
        unit = await docker_backend.open_unit(unit_spec(*services, **changes))
        units.append(unit)
        return unit

    yield build
    for unit in units:
        await unit.close()


async def status_in(unit, service):
    from clnrm_nb.executor.backends.protocol import CommandSpec

    result = await unit.execute(CommandSpec("look", ("cat", "/proc/self/status"), service, timeout_s=20.0))
    lines = (line.partition(":") for line in result.stdout.decode().splitlines())
    return {name: value.strip() for name, _, value in lines}


async def test_services_have_the_engines_capabilities_without_raw_sockets(open_unit):
    unit = await open_unit(Service(name="web", args=("sleep", "60")))
    await unit.start_service("web", {})

    status = await status_in(unit, "web")

    wanted = sum(1 << BITS[name] for name in DEFAULT_CAPABILITIES)
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == wanted
    assert status["Seccomp"] == "2"


async def test_runner_shells_have_no_capability_and_can_gain_none(open_unit):
    unit = await open_unit()

    status = await status_in(unit, None)

    names = ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb")
    assert {name: int(status[name], 16) for name in names} == dict.fromkeys(names, 0)
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


async def test_containers_are_limited_have_an_init_and_no_way_out(engine, open_unit, docker_backend):
    from clnrm_nb.executor.backends.protocol import CommandSpec

    unit = await open_unit(Service(name="web", args=("sleep", "60")))
    await unit.start_service("web", {})
    await unit.execute(CommandSpec("start the runner", ("true",), None, timeout_s=20.0))
    made = await unit.objects()

    bodies = [engine.client.inspect_container(name)["HostConfig"] for name in made["container"]]

    assert len(bodies) == 2
    assert [engine.client.inspect_network(name)["Internal"] for name in made["network"]] == [True]
    missing = docker_backend.engine.facts.missing_limits
    for body in bodies:
        assert body["Init"]
        assert not body["Privileged"]
        assert "pids" in missing or body["PidsLimit"] in (256, 1024)
        assert "memory" in missing or body["Memory"] == 64 << 20
        assert {"memory", "swap"} & set(missing) or body["MemorySwap"] == body["Memory"]


# ------------------------------------------------------------------------------------------------ races


async def test_directory_exchanged_for_a_link_after_the_check_is_not_mounted(engine, open_unit, tmp_path):
    inside = tmp_path / "project" / "data"
    inside.mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    volume = Volume(host_path="data", container_path="/data")
    unit = await open_unit(
        Service(name="web", args=("sleep", "60"), volumes=(volume,)),
        directory=inside.parent,
        project_root=inside.parent,
    )
    inside.rmdir()
    inside.symlink_to(tmp_path / "outside")

    with pytest.raises(clnrm_nb.errors.RefusedError) as refused:
        await unit.start_service("web", {})

    assert refused.value.code == "CLN616"
    assert (await unit.objects())["container"] == []


async def test_container_whose_volume_was_exchanged_while_it_started_does_not_live_on(
    open_unit, tmp_path, monkeypatch
):
    inside = tmp_path / "project" / "data"
    inside.mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    volume = Volume(host_path="data", container_path="/data")
    unit = await open_unit(
        Service(name="web", args=("sleep", "60"), volumes=(volume,)),
        directory=inside.parent,
        project_root=inside.parent,
    )
    start = unit._start

    async def exchanging(*arguments):
        container = await start(*arguments)
        inside.rmdir()
        inside.symlink_to(tmp_path / "outside")
        return container

    monkeypatch.setattr(unit, "_start", exchanging)

    with pytest.raises(clnrm_nb.errors.ClnrmError) as refused:
        await unit.start_service("web", {})

    assert refused.value.code == "CLN616"


# ------------------------------------------------------------------------------------------------ ports


def addresses_listening_on(port):
    """Local addresses, in hex as the kernel writes them, on which something accepts."""
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return [row[1].split(":")[0] for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "0A"]


async def test_port_asked_for_on_all_interfaces_is_served_on_loopback_only(open_unit):
    from clnrm_nb.scenario.model import PortMapping

    port = PortMapping(host=0, container=80, ip="0.0.0.0")
    unit = await open_unit(Service(name="web", args=("httpd", "-f", "-p", "80"), ports=(port,)))
    running = await unit.start_service("web", {})

    assert addresses_listening_on(running.host_ports[80]) == ["0100007F"]
    assert [finding.code for finding in unit.diagnostics()] == ["CLN611"]
    assert "on loopback, not on 0.0.0.0" in unit.diagnostics()[0].message


def test_the_cases_hold_what_they_say(places):
    assert stat.S_ISFIFO((places["project"] / "fifo").stat().st_mode)
    assert stat.S_ISSOCK((places["project"] / "listening").stat().st_mode)
    assert (places["project"] / "renamed").samefile(places["socket"])
    assert NetworkPolicy().mode == "internal"
