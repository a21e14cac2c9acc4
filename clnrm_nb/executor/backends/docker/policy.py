"""What a test's own files may not ask for (``format.md`` 5.2, Permission): found before anything exists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from clnrm_nb.errors import Diagnostic
from clnrm_nb.executor.backends.docker.mounts import mount_findings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from clnrm_nb.executor.backends.protocol import UnitSpec
    from clnrm_nb.scenario.model import Service

__all__ = ["DEFAULT_CAPABILITIES", "capability", "policy_findings"]

# The engine's default set without NET_RAW: with raw sockets a container can pose as its neighbours.
DEFAULT_CAPABILITIES: Final = frozenset(
    {
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    }
)


def capability(name: str) -> str:
    """A capability's name as engines take it: upper case, without ``CAP_``."""
    return name.strip().upper().removeprefix("CAP_")


def policy_findings(
    spec: UnitSpec,
    *,
    engine_socket: Path | None = None,
    environ: Mapping[str, str] | None = None,
    is_local: bool = True,
) -> list[Diagnostic]:
    """Everything that is refused, service by service, each with the word that allows it."""
    found: list[Diagnostic] = []
    for service in spec.services.values():
        found += _option_findings(service, set(spec.allow))
        found += mount_findings(
            spec, service, engine_socket=engine_socket, environ=environ, is_local=is_local
        )
    return found


def _option_findings(service: Service, allow: set[str]) -> list[Diagnostic]:
    wanted = [("host-network", "the host's network")] if service.network.mode == "host" else []
    if service.privileged:
        wanted.append(("privileged", "`privileged`"))
    wanted += [(f"device:{_host_device(device)}", f"device {device!r}") for device in service.devices]
    names = dict.fromkeys(map(capability, service.capabilities))
    wanted += [
        (f"capability:{name}", f"capability `{name}`") for name in names if name not in DEFAULT_CAPABILITIES
    ]
    allowed_capabilities = {
        f"capability:{capability(w.partition(':')[2])}" for w in allow if w[:11] == "capability:"
    }
    return [
        _refused(service, what, word) for word, what in wanted if word not in allow | allowed_capabilities
    ]


def _host_device(device: str) -> str:
    """``/dev/x`` of ``/dev/x:/dev/y:rwm``."""
    return device.partition(":")[0]


def _refused(service: Service, what: str, word: str) -> Diagnostic:
    return Diagnostic(
        "CLN616",
        f"{what} is refused for service `{service.name}`",
        hint=f"allow it by `--allow {word}` or in `security.allow` of your own cleanroom.toml",
    )
