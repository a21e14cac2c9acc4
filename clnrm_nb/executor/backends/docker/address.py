"""Where the container engine may be found: what somebody chose, else the usual sockets.

An address that was chosen (the setting, ``DOCKER_HOST``, a docker context) is the only one tried: falling
through to another engine would run tests where nobody expects them.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clnrm_nb.errors import BackendUnavailableError
from clnrm_nb.executor.backends.docker.labels import OWNER
from clnrm_nb.reaper.engine import EngineFact, can_reach

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Address", "candidates", "engine_sockets"]


@dataclass(frozen=True, slots=True)
class Address:
    """One place to look for an engine.

    Parameters
    ----------
    url : str
        As ``DOCKER_HOST`` takes it.
    source : str
        Who named it, for messages.
    tls : object or None
        :class:`docker.tls.TLSConfig` where the address needs one.
    """

    url: str
    source: str
    tls: Any = None

    @property
    def socket_path(self) -> Path | None:
        """The file of a local socket."""
        return Path(self.url.removeprefix("unix://")) if self.url.startswith("unix://") else None

    def fact(self, owner: str) -> dict[str, EngineFact] | None:
        """What the reaper must know to remove an owner's objects; ``None`` where it cannot come (``ssh://``)."""
        from docker.utils import parse_host

        url = str(parse_host(self.url, tls=self.tls is not None)).replace("http+unix://", "unix://")
        if not can_reach(url):
            return None
        cert, key = (self.tls and self.tls.cert) or (None, None)
        ca = self.tls and self.tls.ca_cert
        cert, key, ca = (str(Path(file).absolute()) if file else None for file in (cert, key, ca))
        verify = bool(self.tls and self.tls.verify)
        return {
            "engine": EngineFact(url=url, ca=ca, cert=cert, key=key, verify=verify, label=OWNER, owner=owner)
        }


def candidates(setting: str, environ: Mapping[str, str] | None = None) -> list[Address]:
    """Addresses to try, in order; a single one where somebody chose.

    Parameters
    ----------
    setting : str
        ``executor.docker_host`` (``--docker-host``); empty if unset.
    environ : mapping, optional
        Defaults to the process's environment.

    Raises
    ------
    BackendUnavailableError
        CLN601: ``DOCKER_CONTEXT`` names a context that does not exist.
    """
    environ = os.environ if environ is None else environ
    if setting:
        return [Address(setting, "executor.docker_host", _tls(setting, environ))]
    if host := environ.get("DOCKER_HOST"):
        return [Address(host, "DOCKER_HOST", _tls(host, environ))]
    if chosen := _context(environ):
        return [chosen]
    return [
        Address(f"unix://{path}", "default socket") for path in _default_sockets(environ) if path.is_socket()
    ]


def engine_sockets(environ: Mapping[str, str] | None = None) -> list[Path]:
    """Files that no container may be given: sockets of engines and of what they are made of."""
    environ = os.environ if environ is None else environ
    known = [*_default_sockets(environ), Path("/run/containerd/containerd.sock"), Path("/run/crio/crio.sock")]
    host = environ.get("DOCKER_HOST", "")
    if host.startswith("unix://"):
        known.append(Path(host.removeprefix("unix://")))
    return known


def _default_sockets(environ: Mapping[str, str]) -> list[Path]:
    home = Path(environ.get("HOME", "~")).expanduser()
    runtime = Path(environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}")
    paths = [
        Path("/var/run/docker.sock"),
        runtime / "docker.sock",
        home / ".docker/run/docker.sock",
        home / ".colima/default/docker.sock",
        runtime / "podman/podman.sock",
        Path("/run/podman/podman.sock"),
    ]
    if sys.platform == "darwin":
        paths.append(home / ".local/share/containers/podman/machine/podman.sock")
    return paths


def _tls(url: str, environ: Mapping[str, str]) -> Any:
    """TLS as docker's own client reads it from ``DOCKER_TLS_VERIFY`` and ``DOCKER_CERT_PATH``."""
    if url.startswith(("unix://", "npipe://", "ssh://")):
        return None
    if not (environ.get("DOCKER_TLS_VERIFY") or environ.get("DOCKER_CERT_PATH")):
        return None
    from docker.utils import kwargs_from_env

    given = kwargs_from_env(environment={**environ, "DOCKER_HOST": url})
    return given.get("tls")


def _has_current_context(environ: Mapping[str, str]) -> bool:
    """Whether somebody may have chosen a context; the SDK takes far longer to find out that nobody did."""
    folder = environ.get("DOCKER_CONFIG") or Path(environ.get("HOME", "~")).expanduser() / ".docker"
    try:
        return "currentContext" in (Path(folder) / "config.json").read_text("utf-8", "replace")
    except OSError:
        return False


def _context(environ: Mapping[str, str]) -> Address | None:
    """The docker context in use, unless it is the built-in one (which means the usual socket)."""
    if not environ.get("DOCKER_CONTEXT") and not _has_current_context(environ):
        return None
    from docker.context import ContextAPI
    from docker.errors import ContextException

    wanted = environ.get("DOCKER_CONTEXT")
    try:
        context = ContextAPI.get_context(wanted)
    except (ContextException, OSError, ValueError):
        context = None
    if context is None and wanted:
        raise BackendUnavailableError(
            f"there is no docker context {wanted!r}",
            "CLN601",
            hint="DOCKER_CONTEXT names it; `docker context ls` lists those there are",
        )
    if context is None or context.name == "default" or not context.Host:
        return None
    return Address(context.Host, f"docker context {context.name}", context.TLSConfig)
