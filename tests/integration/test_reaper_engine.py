"""The reaper's own way to an engine: by socket, by TCP, by TLS with certificates; and whose objects it takes."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from dataclasses import replace

import pytest
from docker.tls import TLSConfig

from clnrm_nb.executor.backends.docker.address import Address
from clnrm_nb.reaper.engine import look, remove_owned
from clnrm_nb.reaper.ownership import this_process

pytestmark = pytest.mark.docker


@pytest.fixture
def owned(engine, busybox_image):
    """One container in a network, one network and one volume of an owner of their own, and another's network."""
    client, owner = engine.client, replace(this_process(), machine="no-machine", start="1")
    labels, others = {"clnrm_nb.owner": str(owner)}, {"clnrm_nb.owner": f"{owner}0"}
    tag = f"clnrm-reaper-{owner.pid}"
    networks = [client.create_network(f"{tag}-{number}", labels=labels)["Id"] for number in range(2)]
    client.create_volume(tag, labels=labels)
    host = {"NetworkMode": networks[0], "Init": True}
    body = {"Image": busybox_image, "Cmd": ["sleep", "1000"], "Labels": labels, "HostConfig": host}
    client.start(client.create_container_from_config(body)["Id"])
    foreign = client.create_network(f"{tag}-other", labels=others)["Id"]
    yield str(owner)
    client.remove_network(foreign)
    assert engine.labelled("clnrm_nb.owner", str(owner)) == []


@pytest.fixture
def certificates(tmp_path):
    """A certificate of 127.0.0.1 that signs itself, for both sides."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificates of this test: apt-get install -y openssl")
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1 "
        "-addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem"
    )
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    return str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")


async def gate(url, secured=None):
    """A TCP port that leads to the engine."""

    async def pump(reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def serve(reader, writer):
        to, back = await asyncio.open_unix_connection(url.removeprefix("unix://"))
        await asyncio.gather(pump(reader, back), pump(to, writer), return_exceptions=True)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=secured)
    return server, server.sockets[0].getsockname()[1]


def removed(fact, owner):
    """What the reaper finds and removes; what it finds then."""
    found = look(fact)
    remove_owned(fact, found)
    return (len(found.containers), len(found.networks), len(found.volumes)), bool(look(fact))


async def test_by_socket_only_what_has_exactly_this_label_is_removed(engine, owned):
    fact = Address(engine.url, "test").fact(owned)["engine"]

    found, left = await asyncio.to_thread(removed, fact, owned)

    assert found == (1, 2, 1)
    assert not left
    assert len(engine.labelled("clnrm_nb.owner", f"{owned}0")) == 1


async def test_by_tcp(engine, owned):
    server, port = await gate(engine.url)
    fact = Address(f"tcp://127.0.0.1:{port}", "test").fact(owned)["engine"]

    async with server:
        found, left = await asyncio.to_thread(removed, fact, owned)

    assert (found, left) == ((1, 2, 1), False)


async def test_by_tls_with_certificates_on_both_sides(engine, owned, certificates):
    secured = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificates[0])
    secured.load_cert_chain(*certificates)
    secured.verify_mode = ssl.CERT_REQUIRED
    server, port = await gate(engine.url, secured)
    tls = TLSConfig(client_cert=certificates, ca_cert=certificates[0], verify=True)
    fact = Address(f"tcp://127.0.0.1:{port}", "test", tls).fact(owned)["engine"]

    async with server:
        found, left = await asyncio.to_thread(removed, fact, owned)

    assert fact["url"].startswith("https://")
    assert (found, left) == ((1, 2, 1), False)


def test_an_engine_behind_ssh_is_beyond_its_reach():
    assert Address("ssh://host", "test").fact("owner") is None
