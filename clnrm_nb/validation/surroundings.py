"""What services and commands touch around them: ports, mounts, environment (CLN324, CLN408 to CLN413)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from clnrm_nb.secrets import names_a_secret
from clnrm_nb.validation.walk import variables_of

if TYPE_CHECKING:
    from clnrm_nb.scenario.findings import Findings
    from clnrm_nb.scenario.model import KeyPath, Service, TestFile

__all__ = ["check_surroundings"]

_FIRST_FREE_PORT: Final = 1_024
_SYSTEM_PATHS: Final = (
    "/etc", "/proc", "/sys", "/dev", "/boot", "/root", "/bin", "/sbin", "/lib", "/lib64", "/usr/bin",
    "/usr/sbin",
)  # fmt: skip
_SOCKETS: Final = ("docker.sock", "podman.sock", "containerd.sock")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def check_surroundings(test: TestFile, findings: Findings) -> None:
    """Ports, mounts and environment variables of a test."""
    _check_ports(test, findings)
    for service in test.services.values():
        _check_mounts(service, findings)
    for index, name in enumerate(test.secrets.env):
        _check_name(name, ("secrets", "env", index), findings)
    for name, value, path in variables_of(test):
        _check_variable(name, value, path, findings)


def _check_ports(test: TestFile, findings: Findings) -> None:
    taken: dict[tuple[int, str], tuple[str, KeyPath]] = {}
    for service in test.services.values():
        for index, port in enumerate(service.ports):
            if not port.fixed:
                continue
            path = service.path_of("ports", index)
            if port.host < _FIRST_FREE_PORT:
                findings.add(
                    "CLN409", path, f"host port {port.host} needs privileges", hint="0 takes a free one"
                )
            owner, first = taken.setdefault((port.host, port.protocol), (service.name, path))
            if owner != service.name:
                findings.add(
                    "CLN408",
                    path,
                    f"host port {port.host} used by `{owner}` and `{service.name}`",
                    related=((first, "first used here"),),
                )


def _check_mounts(service: Service, findings: Findings) -> None:
    for volume in service.volumes:
        if volume.host_path.rstrip("/").endswith(_SOCKETS):
            findings.add(
                "CLN411",
                volume.path_of("host_path"),
                "the engine's socket gives control of the host; it is never mounted",
            )
        target = volume.container_path.rstrip("/")
        if any(target == known or target.startswith(f"{known}/") for known in _SYSTEM_PATHS):
            findings.add(
                "CLN410",
                volume.path_of("container_path"),
                f"container path `{volume.container_path}` hides system files",
            )


def _check_variable(name: str, value: str, path: KeyPath, findings: Findings) -> None:
    _check_name(name, path, findings)
    if name == "OTEL_TRACES_EXPORTER" or name.startswith("OTEL_EXPORTER_OTLP_"):
        findings.add(
            "CLN324", path, f"`{name}` is set by clnrm_nb; the file's value has no effect", part="key"
        )
    if value and not value.startswith("$") and names_a_secret(name):
        findings.add(
            "CLN413",
            path,
            f"`{name}` holds a literal secret",
            hint="name it in `[secrets]`, or read it with env()",
        )


def _check_name(name: str, path: KeyPath, findings: Findings) -> None:
    if _VARIABLE.fullmatch(name) is None:
        findings.add("CLN412", path, f"`{name}` is not a variable name", part="key")
