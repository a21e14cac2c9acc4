"""Where an engine is looked for, in which order, and what is said where there is none."""

from __future__ import annotations

import json
import socket

import pytest

from clnrm_nb.errors import BackendUnavailableError
from clnrm_nb.executor.backends.docker.address import candidates
from clnrm_nb.executor.backends.docker.engine import Engine


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty home and runtime directory, and no docker variables."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    (tmp_path / "run").mkdir()
    return tmp_path


def add_context(home, name, host):
    import hashlib

    digest = hashlib.sha256(name.encode()).hexdigest()
    meta = home / ".docker" / "contexts" / "meta" / digest
    meta.mkdir(parents=True)
    document = {"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": False}}}
    (meta / "meta.json").write_text(json.dumps(document))
    (home / ".docker" / "config.json").write_text(json.dumps({"currentContext": name}))


def test_setting_wins_over_everything(home):
    found = candidates("unix:///chosen.sock", {"DOCKER_HOST": "unix:///env.sock"})

    assert [(each.url, each.source) for each in found] == [("unix:///chosen.sock", "executor.docker_host")]


def test_variable_wins_over_context_and_sockets(home):
    found = candidates("", {"DOCKER_HOST": "tcp://10.0.0.1:2375", "HOME": str(home)})

    assert [(each.url, each.source, each.tls) for each in found] == [
        ("tcp://10.0.0.1:2375", "DOCKER_HOST", None)
    ]
    assert found[0].socket_path is None


def test_current_docker_context_is_used(home, monkeypatch):
    monkeypatch.setattr("docker.context.config.get_context_dir", lambda: str(home / ".docker" / "contexts"))
    add_context(home, "colima", "unix:///colima.sock")

    found = candidates("")

    assert [(each.url, each.source) for each in found] == [("unix:///colima.sock", "docker context colima")]


def test_context_that_does_not_exist_is_said_so(home):
    with pytest.raises(BackendUnavailableError) as refused:
        candidates("", {"DOCKER_CONTEXT": "nowhere", "HOME": str(home)})

    assert refused.value.code == "CLN601"
    assert "'nowhere'" in refused.value.message


def test_podmans_socket_is_among_the_usual_ones(home):
    path = home / "run" / "podman" / "podman.sock"
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))

        urls = [each.url for each in candidates("")]

    assert f"unix://{path}" in urls


def test_sockets_that_are_not_there_are_no_candidates(home):
    urls = [each.url for each in candidates("")]

    assert all(str(home) not in url for url in urls)


async def test_socket_that_nobody_serves_is_one_sentence_with_advice(tmp_path):
    with pytest.raises(BackendUnavailableError) as refused:
        await Engine.connect(f"unix://{tmp_path}/none.sock")

    assert refused.value.exit_code == 3
    assert refused.value.message == (
        f"no container engine answers at unix://{tmp_path}/none.sock: no such file or directory"
    )
    assert refused.value.hint.startswith("executor.docker_host names this address")


async def test_no_engine_at_all_says_how_to_get_one(home, monkeypatch):
    monkeypatch.setattr("clnrm_nb.executor.backends.docker.engine.candidates", lambda *_: [])

    with pytest.raises(BackendUnavailableError) as refused:
        await Engine.connect()

    assert refused.value.message.startswith("no container engine: none of the usual sockets is there")
    assert "--docker-host" in refused.value.hint


async def test_port_that_is_closed_is_refused_at_once():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    with pytest.raises(BackendUnavailableError) as refused:
        await Engine.connect(f"tcp://127.0.0.1:{port}")

    assert "connection refused" in refused.value.message


async def test_socket_that_accepts_and_says_nothing_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr("clnrm_nb.executor.backends.docker.engine._CONNECT_TIMEOUT_S", 0.2)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "s"))
        silent.listen()

        with pytest.raises(BackendUnavailableError) as refused:
            await Engine.connect(f"unix://{tmp_path}/s")

    assert "no answer in time" in refused.value.message


async def test_server_that_is_no_engine_is_said_to_be_none(tmp_path):
    import asyncio

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/html\r\n\r\nhello")
        await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(serve, tmp_path / "s")
    async with server:
        with pytest.raises(BackendUnavailableError) as refused:
            await Engine.connect(f"unix://{tmp_path}/s")

    assert refused.value.code == "CLN601"
