"""Bodies of the engine's create calls: everything a container may use and do, in one place.

Pure: the same service and surroundings give the same body, which later is the key of warm containers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.executor.backends.docker.labels import SERVICE
from clnrm_nb.executor.backends.docker.policy import capability

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clnrm_nb.executor.backends.docker.images import Image
    from clnrm_nb.executor.backends.docker.mounts import Mount
    from clnrm_nb.scenario.model import Service

__all__ = ["Surroundings", "runner_body", "service_body"]

_MIB: Final = 1024 * 1024
# Threads count. A runner shell needs few; a JVM or a database a few hundred.
_RUNNER_PIDS: Final = 256
_SERVICE_PIDS: Final = 1024
# The output is read as it comes; the engine's own copy is for a person who looks while the test runs.
_ENGINE_LOG: Final = {"Type": "json-file", "Config": {"max-size": "8m", "max-file": "1"}}
# A runner prints what its commands print, which the result holds: no second copy on the engine's disk.
_NO_LOG: Final = {"Type": "none"}
_ATTACHED_SHELL: Final = {
    "Entrypoint": ["/bin/sh"],
    "Cmd": [],
    "AttachStdin": True,
    "OpenStdin": True,
    "StdinOnce": False,
}
# A host name of the kernel has at most 64 bytes, a DNS label 63.
_HOSTNAME_LENGTH: Final = 63


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the unit gives to each of its containers.

    Parameters
    ----------
    network_id : str
    labels : mapping
    extra_hosts : mapping
        Names that the network's own resolver does not know, with their addresses.
    resolver : sequence of str
        Name servers for names outside the network; empty: the engine's choice and patience.
    publish : bool
        Whether the engine itself publishes ports, on loopback (where containers' addresses cannot be
        reached from this machine).
    missing_limits : sequence of str
        Limits that the engine cannot apply and must not be asked for.
    """

    network_id: str
    labels: Mapping[str, str]
    extra_hosts: Mapping[str, str] = field(default_factory=dict)
    resolver: Sequence[str] = ()
    publish: bool = False
    missing_limits: Sequence[str] = ()


def service_body(
    service: Service,
    image: Image,
    env: Mapping[str, str],
    mounts: Sequence[Mount],
    around: Surroundings,
    *,
    memory_mb: int,
    cpu_millicores: int,
) -> dict[str, Any]:
    """Create body of a service's container. `env` is its whole environment."""
    ports = sorted({*(port.container for port in service.ports), *_ready_ports(service)})
    covered = {mount.target for mount in mounts}
    volumes = [_volume(path, around.labels) for path in image.volumes if path not in covered]
    host: dict[str, Any] = {
        **_limits(memory_mb, cpu_millicores, _SERVICE_PIDS, around.missing_limits),
        "Privileged": service.privileged,
        "Devices": [_device(device) for device in service.devices],
        "Mounts": [*map(_bind, mounts), *volumes],
    }
    if not service.privileged:
        added = sorted(set(map(capability, service.capabilities)))
        host["CapAdd"] = added
        host["CapDrop"] = [] if {"NET_RAW", "ALL"} & set(added) else ["NET_RAW"]
    if around.publish:
        host["PortBindings"] = {f"{port}/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}] for port in ports}
    body = _body(image.id, service.name, around, host, mode=service.network.mode)
    body["Env"] = [f"{key}={value}" for key, value in env.items()]
    if around.publish:
        body["ExposedPorts"] = {f"{port}/tcp": {} for port in ports}
    if service.entrypoint is not None:
        body["Entrypoint"] = list(service.entrypoint)
    if service.args is not None:
        body["Cmd"] = list(service.args)
    if service.workdir is not None:
        body["WorkingDir"] = service.workdir
    return body


def runner_body(
    image: Image,
    around: Surroundings,
    *,
    memory_mb: int,
    cpu_millicores: int,
    scratch: Sequence[str] | None = None,
    sysctls: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Create body of the runner container: a shell without capabilities that waits for input.

    Parameters
    ----------
    scratch : sequence of str, optional
        Nothing can be written but these directories, in memory.
    sysctls : mapping of str to str, optional
        Of the container's network.
    """
    host = {
        **_limits(memory_mb, cpu_millicores, _RUNNER_PIDS, around.missing_limits),
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true"],
        "Mounts": [_volume(path, around.labels) for path in image.volumes],
    }
    body = _body(image.id, None, around, host, mode="internal")
    body["HostConfig"]["LogConfig"] = _NO_LOG
    if scratch is not None:
        tmpfs = dict.fromkeys(scratch, "rw,exec,nosuid,nodev,mode=1777")
        body["HostConfig"] |= {"ReadonlyRootfs": True, "Tmpfs": tmpfs, "IpcMode": "private"}
    if sysctls is not None:
        body["HostConfig"]["Sysctls"] = dict(sysctls)
    return {**body, **_ATTACHED_SHELL}


def _body(
    image_id: str, service: str | None, around: Surroundings, host: dict[str, Any], *, mode: str
) -> dict[str, Any]:
    own_network = mode in ("none", "host")
    host = {
        **host,
        "NetworkMode": mode if own_network else around.network_id,
        "Init": True,
        "LogConfig": _ENGINE_LOG,
        "ExtraHosts": [f"{name}:{address}" for name, address in around.extra_hosts.items()],
    }
    if around.resolver and not own_network:
        host["Dns"] = list(around.resolver)
        # The engine answers for names of the test at once and not at all for others: 2 s instead of 10.
        host["DnsOptions"] = ["timeout:1", "attempts:2"]
    labels = dict(around.labels)
    if service is not None:
        labels[SERVICE] = service
    body: dict[str, Any] = {
        "Image": image_id,
        "Labels": labels,
        "AttachStdout": True,
        "AttachStderr": True,
        "HostConfig": host,
    }
    if mode != "host" and (service is None or len(service) <= _HOSTNAME_LENGTH):
        body["Hostname"] = service or "runner"
    if not own_network:
        alias = {"Aliases": [service]} if service is not None else {}
        body["NetworkingConfig"] = {"EndpointsConfig": {around.network_id: alias}}
    return body


def _limits(memory_mb: int, cpu_millicores: int, pids: int, missing: Sequence[str]) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    if "memory" not in missing:
        limits["Memory"] = memory_mb * _MIB
    # With swap equal to memory there is no swap: what exceeds the limit is killed, not slowed down.
    if not {"memory", "swap"} & set(missing):
        limits["MemorySwap"] = memory_mb * _MIB
    if "cpu" not in missing:
        limits["NanoCpus"] = cpu_millicores * 1_000_000
    if "pids" not in missing:
        limits["PidsLimit"] = pids
    return limits


def _ready_ports(service: Service) -> list[int]:
    ready = [service.ready_port, service.ready_http[0] if service.ready_http else None]
    return [port for port in ready if port is not None]


def _bind(mount: Mount) -> dict[str, Any]:
    return {"Type": "bind", "Source": str(mount.source), "Target": mount.target, "ReadOnly": mount.read_only}


def _volume(path: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """A volume that the image declares: made by us instead of the engine, so that it is labelled."""
    return {"Type": "volume", "Target": path, "VolumeOptions": {"Labels": dict(labels)}}


def _device(device: str) -> dict[str, str]:
    host, _, rest = device.partition(":")
    inside, _, rights = rest.partition(":")
    return {"PathOnHost": host, "PathInContainer": inside or host, "CgroupPermissions": rights or "rwm"}
