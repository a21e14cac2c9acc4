"""As much of a container engine's API as removing takes, on the standard library.

The SDK is what the backend uses; loading it would cost the reaper half a second at the moment that counts.
"""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from typing import Any, TypedDict
from urllib.parse import quote, urlsplit

__all__ = ["EngineFact", "Owned", "can_reach", "look", "open_connection", "remove_owned"]

_CALL_TIMEOUT_S = 20.0
_AT_ONCE = 32
_NETWORK_TRIES = 25
_NETWORK_PAUSE_S = 0.02
_DONE = (200, 204, 304, 404)


class EngineFact(TypedDict):
    """Where an engine is, and whose objects in it go.

    ``url`` as ``DOCKER_HOST`` takes it; the files of TLS are absolute or ``None``; ``owner`` is the value of
    ``label``.
    """

    url: str
    ca: str | None
    cert: str | None
    key: str | None
    verify: bool
    label: str
    owner: str


def can_reach(url: str) -> bool:
    """Whether an address is one that this module can speak to (not ``ssh://``, not ``npipe://``)."""
    return urlsplit(url).scheme in ("unix", "tcp", "http", "https")


class Owned:
    """What an owner has in an engine: containers with their networks, networks, volumes."""

    def __init__(
        self, containers: list[dict[str, Any]], networks: list[dict[str, Any]], volumes: list[dict[str, Any]]
    ) -> None:
        self.networks = {each["Id"] for each in networks}
        self.volumes = [each["Name"] for each in volumes]
        self.containers: dict[str, set[str]] = {}
        for each in containers:
            joined = (each.get("NetworkSettings") or {}).get("Networks") or {}
            ids = {network.get("NetworkID", "") for network in joined.values()}
            self.containers[each["Id"]] = ids & self.networks

    def __bool__(self) -> bool:
        return bool(self.containers or self.networks or self.volumes)


def look(engine: EngineFact) -> Owned:
    """What the owner has now.

    Raises
    ------
    OSError, http.client.HTTPException, ValueError
        The engine does not say.
    """
    wanted = quote(json.dumps({"label": [f"{engine['label']}={engine['owner']}"]}))
    return Owned(
        _listed(engine, f"/containers/json?all=1&filters={wanted}"),
        _listed(engine, f"/networks?filters={wanted}"),
        _listed(engine, f"/volumes?filters={wanted}"),
    )


def remove_owned(engine: EngineFact, owned: Owned) -> None:
    """Try to remove all of it once: networks each as soon as its last container is gone, then volumes.

    Containers go in parallel with the networks of others: an engine spends most of a removal waiting for its
    kernel.
    """
    waiting = dict.fromkeys(owned.networks, 0)
    for networks in owned.containers.values():
        for network in networks:
            waiting[network] += 1
    lock = threading.Lock()

    def remove_container(container: str) -> None:
        _delete(engine, f"/containers/{container}?force=1&v=1")
        for network in owned.containers[container]:
            with lock:
                waiting[network] -= 1
                is_last = waiting[network] == 0
            if is_last:
                _remove_network(engine, network)

    free = [network for network, containers in waiting.items() if containers == 0]
    _together([(remove_container, each) for each in owned.containers])
    _together([(lambda network: _remove_network(engine, network), each) for each in free])
    _together([(lambda name: _delete(engine, f"/volumes/{name}?force=1"), each) for each in owned.volumes])


def _remove_network(engine: EngineFact, network: str) -> None:
    """Endpoints of a container that is gone may take a moment more."""
    for _ in range(_NETWORK_TRIES):
        if _delete(engine, f"/networks/{network}"):
            return
        time.sleep(_NETWORK_PAUSE_S)


def _together(work: list[tuple[Any, str]]) -> None:
    slots = threading.Semaphore(_AT_ONCE)

    def do(function: Any, argument: str) -> None:
        with slots:
            function(argument)

    threads = [threading.Thread(target=do, args=each, daemon=True) for each in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _listed(engine: EngineFact, path: str) -> list[dict[str, Any]]:
    status, body = _call(engine, "GET", path)
    if status != http.client.OK:
        raise OSError(f"{path}: {status}")
    found: Any = json.loads(body)
    # Volumes come in an object of their own.
    listed = found.get("Volumes") if isinstance(found, dict) else found
    return list(listed or ())


def _delete(engine: EngineFact, path: str) -> bool:
    """Whether it is gone; what is not yet is looked for again."""
    try:
        return _call(engine, "DELETE", path)[0] in _DONE
    except (OSError, http.client.HTTPException):
        return False


def _call(engine: EngineFact, method: str, path: str) -> tuple[int, bytes]:
    connection = open_connection(engine)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def open_connection(engine: EngineFact, *, timeout_s: float = _CALL_TIMEOUT_S) -> http.client.HTTPConnection:
    """A connection to the engine, made at its first request."""
    place = urlsplit(engine["url"])
    if place.scheme == "unix":
        return _UnixConnection(engine["url"].removeprefix("unix://"), timeout_s)
    host, port = place.hostname or "localhost", place.port
    if not (engine["cert"] or engine["ca"] or place.scheme == "https"):
        return http.client.HTTPConnection(host, port or 2375, timeout=timeout_s)
    import ssl

    secured = ssl.create_default_context(cafile=engine["ca"])
    if not engine["verify"]:
        secured.check_hostname = False
        secured.verify_mode = ssl.CERT_NONE
    if engine["cert"]:
        secured.load_cert_chain(engine["cert"], engine["key"])
    return http.client.HTTPSConnection(host, port or 2376, timeout=timeout_s, context=secured)
