"""The create call's body: pure, and as strict as the page says."""

from __future__ import annotations

from pathlib import Path

from clnrm_nb.executor.backends.docker.create import Surroundings, runner_body, service_body
from clnrm_nb.executor.backends.docker.images import Image
from clnrm_nb.executor.backends.docker.mounts import Mount
from clnrm_nb.scenario.model import NetworkPolicy, PortMapping, Service

IMAGE = Image("sha256:abc", volumes=("/data", "/log"))
AROUND = Surroundings("net-id", {"clnrm_nb.run": "r"})


def body_of(service, around=AROUND, mounts=(), image=IMAGE):
    return service_body(service, image, {"A": "1"}, mounts, around, memory_mb=64, cpu_millicores=500)


def test_same_input_gives_the_same_body():
    service = Service(name="web", args=("x",), capabilities=("KILL", "CHOWN"))

    assert body_of(service) == body_of(service)


def test_what_the_file_does_not_say_is_left_to_the_image():
    body = body_of(Service(name="web"))

    assert not {"Cmd", "Entrypoint", "WorkingDir", "User"} & body.keys()
    assert body_of(Service(name="web", args=()))["Cmd"] == []


def test_service_is_known_by_its_name_on_the_tests_network_only():
    body = body_of(Service(name="web"))

    assert body["NetworkingConfig"] == {"EndpointsConfig": {"net-id": {"Aliases": ["web"]}}}
    assert body["HostConfig"]["NetworkMode"] == "net-id"
    assert body["Hostname"] == "web"
    assert body["Labels"] == {"clnrm_nb.run": "r", "clnrm_nb.service": "web"}


def test_host_name_too_long_for_a_kernel_is_left_out():
    assert "Hostname" not in body_of(Service(name="w" * 64))


def test_service_without_network_is_connected_nowhere():
    body = body_of(Service(name="web", network=NetworkPolicy(mode="none")))

    assert body["HostConfig"]["NetworkMode"] == "none"
    assert "NetworkingConfig" not in body


def test_volumes_of_the_image_are_made_labelled_unless_something_is_mounted_there():
    body = body_of(Service(name="web"), mounts=[Mount(Path("/p/d"), "/data", read_only=False)])

    assert body["HostConfig"]["Mounts"] == [
        {"Type": "bind", "Source": "/p/d", "Target": "/data", "ReadOnly": False},
        {"Type": "volume", "Target": "/log", "VolumeOptions": {"Labels": {"clnrm_nb.run": "r"}}},
    ]


def test_raw_sockets_are_taken_away_unless_they_were_allowed():
    assert body_of(Service(name="web"))["HostConfig"]["CapDrop"] == ["NET_RAW"]
    assert body_of(Service(name="web", capabilities=("NET_RAW",)))["HostConfig"]["CapDrop"] == []
    assert "CapDrop" not in body_of(Service(name="web", privileged=True))["HostConfig"]


def test_devices_are_written_as_the_engine_wants_them():
    body = body_of(Service(name="web", devices=("/dev/a", "/dev/a:/dev/b:r")))

    assert body["HostConfig"]["Devices"] == [
        {"PathOnHost": "/dev/a", "PathInContainer": "/dev/a", "CgroupPermissions": "rwm"},
        {"PathOnHost": "/dev/a", "PathInContainer": "/dev/b", "CgroupPermissions": "r"},
    ]


def test_ports_are_published_by_the_engine_only_where_it_must():
    service = Service(name="web", ports=(PortMapping(host=8080, container=80),), ready_http=(90, "/"))
    around = Surroundings("net-id", {}, publish=True)

    bindings = body_of(service, around)["HostConfig"]["PortBindings"]

    assert bindings == {port: [{"HostIp": "127.0.0.1", "HostPort": ""}] for port in ("80/tcp", "90/tcp")}
    assert "PortBindings" not in body_of(service)["HostConfig"]


def test_limits_that_the_engine_lacks_are_not_asked_for():
    around = Surroundings("net-id", {}, missing_limits=("swap", "cpu"))

    host = body_of(Service(name="web"), around)["HostConfig"]

    assert host["Memory"] == 64 << 20
    assert not {"MemorySwap", "NanoCpus"} & host.keys()


def test_runner_waits_at_a_shell_with_nothing_to_gain():
    body = runner_body(IMAGE, AROUND, memory_mb=64, cpu_millicores=500)

    assert (body["Entrypoint"], body["OpenStdin"]) == (["/bin/sh"], True)
    assert body["HostConfig"]["CapDrop"] == ["ALL"]
    assert body["HostConfig"]["SecurityOpt"] == ["no-new-privileges:true"]
    assert "CapAdd" not in body["HostConfig"]
