"""The network and containers of one test attempt, in a real engine."""

from __future__ import annotations

import asyncio
import ipaddress
import socket

import pytest

from clnrm_nb.errors import ClnrmError, RefusedError
from clnrm_nb.executor.backends.protocol import CommandSpec
from clnrm_nb.reaper.ownership import this_process
from clnrm_nb.scenario.model import Limits, NetworkPolicy, PortMapping, Service, Volume

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("no_leftovers")]

IDLE = ("sleep", "1000")
WEB = ("sh", "-c", "mkdir /w; echo page of $NAME >/w/index.html; exec httpd -f -p 80 -h /w")


def service(name, args=IDLE, **fields):
    return Service(name=name, args=args, **fields)


def command(*argv, service=None, **fields):
    return CommandSpec("command", argv, service, **{"timeout_s": 20.0, **fields})


@pytest.fixture
async def open_unit(docker_backend, unit_spec):
    """Open units that are closed at the end, and start all their services."""
    units = []

    async def build(*services, env=None, **changes):
        unit = await docker_backend.open_unit(unit_spec(*services, **changes))
        units.append(unit)
        for each in services:
            await unit.start_service(each.name, {**each.env, **(env or {})})
        return unit

    yield build
    for unit in units:
        await unit.close()


async def output(unit, *argv, service=None, **fields):
    result = await unit.execute(command(*argv, service=service, **fields))
    assert result.error is None
    return result.stdout.decode().strip()


# ------------------------------------------------------------------------------------------- network


async def test_services_find_each_other_by_name_and_at_their_container_port(open_unit):
    unit = await open_unit(service("shop.web_1", WEB), service("client"), env={"NAME": "shop"})

    page = await output(unit, "nc", "shop.web_1", "80", "-e", "echo", service="client")
    resolved = await output(unit, "nslookup", "shop.web_1", service="client")

    assert page == ""
    assert "Address" in resolved


async def test_unit_says_where_services_are(open_unit):
    unit = await open_unit(service("my-db.1", ports=(PortMapping(host=0, container=5432),)))

    assert unit.environment() == {"CLNRM_HOST_MY_DB_1": "my-db.1", "CLNRM_PORT_MY_DB_1_5432": "5432"}


async def test_containers_reach_this_process_at_the_gateway(open_unit):
    unit = await open_unit(service("client"))
    arrived = asyncio.get_running_loop().create_future()

    async def accept(reader, writer):
        arrived.set_result(await reader.readline())
        writer.close()

    server = await asyncio.start_server(accept, unit.listen_address, 0)
    port = server.sockets[0].getsockname()[1]
    await unit.execute(
        command("sh", "-c", f"echo hello | nc -w 2 {unit.receiver_host} {port}", service="client")
    )

    assert await asyncio.wait_for(arrived, 5) == b"hello\n"
    server.close()


async def test_network_is_internal_and_leads_nowhere_beyond_this_machine(open_unit, engine):
    unit = await open_unit(service("client"))

    result = await unit.execute(command("nc", "-w", "1", "192.0.2.123", "80", service="client"))
    (network,) = (await unit.objects())["network"]

    assert unit.hermetic
    assert engine.client.inspect_network(network)["Internal"]
    assert result.exit_code != 0


@pytest.mark.parametrize(
    "policy",
    [NetworkPolicy(mode="bridge"), NetworkPolicy(external_access=True)],
    ids=["bridge", "external_access"],
)
async def test_way_out_makes_the_test_non_hermetic(open_unit, engine, policy):
    unit = await open_unit(service("client", network=policy))

    (network,) = (await unit.objects())["network"]

    assert not unit.hermetic
    assert not engine.client.inspect_network(network)["Internal"]


async def test_network_service_makes_the_test_non_hermetic(docker_backend, unit_spec):
    spec = unit_spec(Service(name="api", plugin="network_service", endpoint="api.example:443"))

    unit = await docker_backend.open_unit(spec)

    assert not unit.hermetic
    assert unit.environment() == {"CLNRM_HOST_API": "api.example", "CLNRM_PORT_API_443": "443"}
    assert (
        await unit.execute(command("true", service="api"))
    ).error == "service `api` has no running container"
    await unit.close()


async def test_service_without_network_sees_only_itself(open_unit):
    unit = await open_unit(service("alone", network=NetworkPolicy(mode="none")))

    assert await output(unit, "ls", "/sys/class/net", service="alone") == "lo"


async def test_service_on_the_hosts_network_is_found_by_name_and_finds_the_others(open_unit):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    listening = ("sh", "-c", f"mkdir /w; echo host page >/w/p; exec httpd -f -p {port} -h /w")
    unit = await open_unit(
        service("inner", WEB),
        service(
            "outer",
            listening,
            network=NetworkPolicy(mode="host"),
            ports=(PortMapping(host=port, container=port),),
        ),
        service("late"),
        allow=["host-network"],
    )

    hosts_of_outer = await output(unit, "cat", "/etc/hosts", service="outer")
    hosts_of_late = await output(unit, "cat", "/etc/hosts", service="late")

    assert not unit.hermetic
    assert "inner" in hosts_of_outer
    assert f"{unit.listen_address}\touter" in hosts_of_late


async def test_names_of_the_world_are_not_resolved_and_fail_soon(open_unit, python_image):
    unit = await open_unit(service("client", ("sleep", "1000"), image=python_image))
    code = (
        "import socket\n"
        "try: socket.getaddrinfo('outside.example', 80)\n"
        "except OSError as error: print(type(error).__name__)"
    )

    result = await unit.execute(command("python3", "-c", code, service="client"))

    assert result.stdout == b"gaierror\n"
    assert result.duration_ms < 8_000


# --------------------------------------------------------------------------------------------- ports


async def fetch(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    writer.write_eof()
    answer = await asyncio.wait_for(reader.read(), 60)
    writer.close()
    return answer


async def answering(address):
    """Wait until a program listens (it was started a moment ago)."""
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection(*address)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return


async def test_published_port_is_served_on_loopback_until_the_unit_closes(docker_backend, unit_spec):
    unit = await docker_backend.open_unit(
        unit_spec(service("web", WEB, ports=(PortMapping(host=0, container=80),)))
    )
    running = await unit.start_service("web", {"NAME": "web"})
    await answering(running.address(80))

    answer = await fetch(running.host_ports[80])
    await unit.close()

    assert answer.endswith(b"page of web\n")
    with pytest.raises(ConnectionRefusedError):
        await fetch(running.host_ports[80])


async def test_fixed_port_that_is_taken_is_one_clear_error(docker_backend, unit_spec):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        spec = unit_spec(service("web", WEB, ports=(PortMapping(host=port, container=80),)))
        unit = await docker_backend.open_unit(spec)

        with pytest.raises(ClnrmError) as refused:
            await unit.start_service("web", {})
        await unit.close()

    assert refused.value.code == "CLN603"
    assert f"port {port} of this machine cannot be served for `web`" in refused.value.message


async def test_udp_and_other_addresses_are_reported_as_not_supported(open_unit):
    ports = (
        PortMapping(host=0, container=53, protocol="udp"),
        PortMapping(host=0, container=80, ip="0.0.0.0"),
    )
    unit = await open_unit(service("web", WEB, ports=ports))

    findings = unit.diagnostics()

    assert [each.code for each in findings] == ["CLN611", "CLN611"]
    assert "udp port 53" in findings[0].message
    assert "not on 0.0.0.0" in findings[1].message


# ------------------------------------------------------------------------------------ create options


async def test_entrypoint_args_workdir_and_environment_reach_the_program(open_unit):
    given = service(
        "web",
        ("-c", 'echo "$0 $1 $A"; pwd; exec sleep 1000', "x y", "$Z"),
        entrypoint=("sh",),
        workdir="/var",
    )
    unit = await open_unit(given, env={"A": "a b"})
    seen = asyncio.get_running_loop().create_future()
    lines = []

    def listen(line):
        lines.append(line)
        if len(lines) == 2:
            seen.set_result(lines)

    unit._containers["web"].on_log_line(listen)

    assert await asyncio.wait_for(seen, 60) == ["x y $Z a b", "/var"]


async def test_limits_are_really_applied(open_unit, engine):
    unit = await open_unit(
        service("small", limits=Limits(memory_mb=48, cpu_millicores=250)), service("usual")
    )

    small, usual = (
        engine.client.inspect_container(unit._containers[name].id)["HostConfig"]
        for name in ("small", "usual")
    )
    script = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max"

    assert (small["Memory"], small["MemorySwap"], small["NanoCpus"]) == (48 << 20, 48 << 20, 250_000_000)
    assert (usual["Memory"], usual["NanoCpus"], usual["PidsLimit"]) == (64 << 20, 1_000_000_000, 1024)
    assert await output(unit, "sh", "-c", script, service="small") == str(48 << 20)


async def test_services_have_default_capabilities_without_raw_sockets(open_unit):
    unit = await open_unit(
        service("web"), service("more", capabilities=("CAP_SYS_NICE",)), allow=["capability:sys_nice"]
    )

    plain = int(await output(unit, "sh", "-c", "grep CapEff /proc/self/status | cut -f2", service="web"), 16)
    more = int(await output(unit, "sh", "-c", "grep CapEff /proc/self/status | cut -f2", service="more"), 16)

    assert plain == 0xA80405FB & ~(1 << 13)
    assert more == plain | 1 << 23


async def test_runner_has_no_capability_and_gains_none(open_unit, engine):
    unit = await open_unit()

    status = await output(unit, "cat", "/proc/self/status")

    assert "CapEff:\t0000000000000000" in status
    assert "CapBnd:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    assert engine.client.inspect_container(unit._containers[None].id)["HostConfig"]["PidsLimit"] == 256


async def test_volumes_are_mounted_relative_to_the_file_and_read_only_where_asked(open_unit, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "in.txt").write_text("content")
    (tmp_path / "link").symlink_to("data")
    unit = await open_unit(
        service(
            "web",
            volumes=(
                Volume(host_path="./data", container_path="/rw"),
                Volume(host_path="link", container_path="/ro", read_only=True),
            ),
        )
    )

    written = await unit.execute(command("sh", "-c", "cat /ro/in.txt; echo new >/rw/out.txt", service="web"))
    refused = await unit.execute(command("touch", "/ro/x", service="web"))

    assert written.stdout == b"content"
    assert (tmp_path / "data" / "out.txt").read_text() == "new\n"
    assert refused.exit_code == 1


async def test_every_object_is_labelled_with_run_test_and_owner(open_unit, engine, volume_image):
    unit = await open_unit(service("web", image=volume_image))
    await unit.execute(command("true"))
    expected = {
        "clnrm_nb.run": "run-1",
        "clnrm_nb.test": "test.clnrm.toml",
        "clnrm_nb.owner": str(this_process()),
    }

    found = await unit.objects()
    labels = [engine.client.inspect_container(name)["Config"]["Labels"] for name in found["container"]]
    labels += [engine.client.inspect_network(name)["Labels"] for name in found["network"]]
    labels += [engine.client.inspect_volume(name)["Labels"] for name in found["volume"]]

    assert {kind: len(names) for kind, names in found.items()} == {
        "container": 2,
        "network": 1,
        "volume": 1,
        "service": 1,
    }
    assert all(expected.items() <= each.items() for each in labels)


# ------------------------------------------------------------------------------------------ refusals


async def test_refused_options_create_nothing(docker_backend, unit_spec):
    spec = unit_spec(service("web", privileged=True))

    with pytest.raises(RefusedError) as refused:
        await docker_backend.open_unit(spec)

    assert refused.value.code == "CLN616"


async def test_image_that_is_not_there_is_one_sentence(docker_backend, unit_spec):
    unit = await docker_backend.open_unit(unit_spec(service("web", image="nowhere/to-be-found:1")))

    with pytest.raises(ClnrmError) as missing:
        await unit.start_service("web", {})
    await unit.close()

    assert missing.value.code == "CLN602"
    assert missing.value.message.startswith("cannot pull `nowhere/to-be-found:1`: it is not on this machine")


async def test_program_that_does_not_exist_ends_its_service_with_the_reason_in_its_log(
    docker_backend, unit_spec
):
    unit = await docker_backend.open_unit(unit_spec(service("web", ("no-such-program",))))

    running = await unit.start_service("web", {})

    assert await running.exited() == 127
    assert "no-such-program" in running.log_tail()[-1]
    assert await unit.close() == []


async def test_what_the_engine_refuses_is_a_service_that_cannot_start(docker_backend, unit_spec):
    unit = await docker_backend.open_unit(unit_spec(service("web", limits=Limits(memory_mb=1))))

    with pytest.raises(ClnrmError) as refused:
        await unit.start_service("web", {})

    assert refused.value.code == "CLN603"
    assert refused.value.message.startswith("`web` cannot start: ")
    assert "memory" in refused.value.message
    assert await unit.close() == []


# ----------------------------------------------------------------------------------------------- end


async def test_close_may_be_called_twice_and_leaves_nothing(docker_backend, unit_spec, engine):
    unit = await docker_backend.open_unit(unit_spec(service("web")))
    await unit.start_service("web", {})
    await unit.execute(command("true"))

    first, second = await asyncio.gather(unit.close(), unit.close())

    assert first == second == []
    assert engine.labelled("clnrm_nb.unit", unit.id) == []


@pytest.mark.parametrize("kind", ["container", "network", "volume"])
async def test_what_somebody_else_labelled_for_this_unit_is_reported_and_removed(
    docker_backend, unit_spec, engine, busybox_image, kind
):
    unit = await docker_backend.open_unit(unit_spec())
    name, labels = f"stray-{unit.id}", {"clnrm_nb.unit": unit.id}
    make = {
        "container": lambda: engine.client.create_container(
            busybox_image, ["true"], labels=labels, name=name
        ),
        "network": lambda: engine.client.create_network(name, labels=labels),
        "volume": lambda: engine.client.create_volume(name, labels=labels),
    }
    make[kind]()

    leftovers = await unit.close()

    assert [(each.type, each.name) for each in leftovers] == [(kind, name)]
    assert engine.labelled("clnrm_nb.unit", unit.id) == []


async def test_units_of_one_test_at_the_same_time_remove_only_their_own(docker_backend, unit_spec):
    first = await docker_backend.open_unit(unit_spec(service("web")))
    second = await docker_backend.open_unit(unit_spec(service("web")))
    await asyncio.gather(first.start_service("web", {}), second.start_service("web", {}))

    await first.close()

    assert (await second.execute(command("echo", "alive", service="web"))).stdout == b"alive\n"
    await second.close()


async def test_addresses_of_the_unit_hold_its_containers_and_nothing_else(open_unit):
    unit = await open_unit(service("web"))
    (subnet, receiver) = unit.addresses()

    said = await unit.execute(command("hostname", "-i", service="web"))

    address = ipaddress.ip_address(said.stdout.decode().split()[0])
    assert address in ipaddress.ip_network(subnet)
    assert receiver == unit.receiver_host
