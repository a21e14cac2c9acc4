"""What a test's own files may not ask for (``format.md`` 5.2, Permission): found before anything exists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from clnrm_nb.errors import Diagnostic
from clnrm_nb.executor.backends.docker.mounts import mount_findings, outside_mounts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from clnrm_nb.executor.backends.protocol import UnitSpec
    from clnrm_nb.scenario.model import Service

__all__ = ["DEFAULT_CAPABILITIES", "Permission", "capability", "permissions", "policy_findings"]

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


@dataclass(frozen=True, slots=True)
class Permission:
    """Something of a service that a person must allow: what it is, and the word of ``--allow`` for it."""

    what: str
    word: str
    granted: bool


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


def permissions(
    spec: UnitSpec, service: Service, *, environ: Mapping[str, str] | None = None
) -> list[Permission]:
    """All that a service needs permission for, allowed or not."""
    mounts = [
        Permission(f"volume {volume.host_path!r}", f"mount:{source}", granted)
        for volume, source, granted in outside_mounts(spec, service, environ=environ)
    ]
    return [*_options(service, set(spec.allow)), *mounts]


def _options(service: Service, allow: set[str]) -> list[Permission]:
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
    return [Permission(what, word, word in allow | allowed_capabilities) for word, what in wanted]


def _option_findings(service: Service, allow: set[str]) -> list[Diagnostic]:
    return [_refused(service, each.what, each.word) for each in _options(service, allow) if not each.granted]


def _host_device(device: str) -> str:
    """``/dev/x`` of ``/dev/x:/dev/y:rwm``."""
    return device.partition(":")[0]


def _refused(service: Service, what: str, word: str) -> Diagnostic:
    return Diagnostic(
        "CLN616",
        f"{what} is refused for service `{service.name}`",
        hint=f"allow it by `--allow {word}` or in `security.allow` of your own cleanroom.toml",
    )
