"""Where the gateway is not ours to listen on (Docker Desktop, remote engines, a kernel in a container)."""

from __future__ import annotations

import asyncio

import pytest

from clnrm_nb.errors import BackendUnavailableError
from clnrm_nb.executor.backends.docker import backend as backend_module
from clnrm_nb.executor.backends.protocol import CommandSpec
from clnrm_nb.scenario.model import PortMapping, Service

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("no_leftovers")]


@pytest.fixture
def no_gateway(monkeypatch):
    """No gateway can be listened on."""
    monkeypatch.setattr(backend_module, "can_listen", lambda _: False)


@pytest.fixture
def host_gateway(engine, monkeypatch):
    """`host.docker.internal` leads to where we listen, as Docker Desktop has it."""
    found = engine.client.inspect_network("bridge")["IPAM"]["Config"][0]
    gateway = found.get("Gateway") or found["Subnet"].rpartition(".")[0] + ".1"
    monkeypatch.setattr(backend_module, "_LOOPBACK", gateway)
    return gateway


async def test_containers_get_a_way_to_the_receiver_and_the_test_is_not_hermetic(
    docker_backend, unit_spec, no_gateway, host_gateway
):
    script = "mkdir /w; echo page >/w/index.html; exec httpd -f -p 80 -h /w"
    web = Service(name="web", args=("sh", "-c", script), ports=(PortMapping(host=0, container=80),))
    unit = await docker_backend.open_unit(unit_spec(web))
    running = await unit.start_service("web", {})
    arrived = asyncio.get_running_loop().create_future()

    async def accept(reader, writer):
        arrived.set_result(await reader.readline())
        writer.close()

    async with await asyncio.start_server(accept, unit.listen_address, 0) as server:
        port = server.sockets[0].getsockname()[1]
        script = f"echo span | nc -w 20 {unit.receiver_host} {port}"
        await unit.execute(CommandSpec("send", ("sh", "-c", script), "web", timeout_s=60))
        assert await asyncio.wait_for(arrived, 60) == b"span\n"

    assert (unit.receiver_host, unit.listen_address) == ("host.docker.internal", host_gateway)
    assert not unit.hermetic
    assert running.address(80)[0] == "127.0.0.1"
    await unit.close()


async def test_engine_whose_containers_cannot_reach_us_is_refused_with_advice(
    docker_backend, unit_spec, no_gateway
):
    answers = await asyncio.gather(
        *(docker_backend.open_unit(unit_spec()) for _ in range(2)), return_exceptions=True
    )

    assert all(isinstance(each, BackendUnavailableError) for each in answers)
    assert "cannot reach this process" in answers[0].message
    assert "run clnrm on the engine's own machine" in answers[0].hint
