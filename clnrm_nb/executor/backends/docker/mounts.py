"""Host paths of ``volumes``: where they really lead, and whether a container may have them.

Links are resolved first and the resolved path is what is mounted, so that a link exchanged after the check
leads nowhere else.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from clnrm_nb.errors import Diagnostic
from clnrm_nb.executor.backends.docker.address import engine_sockets

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from clnrm_nb.executor.backends.protocol import UnitSpec
    from clnrm_nb.scenario.model import Service, Volume

__all__ = ["Mount", "mount_findings", "outside_mounts", "resolve"]

_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_SOCKET_NAMES: Final = ("docker.sock", "podman.sock", "containerd.sock", "crio.sock")
_WORD: Final = "mount:"


@dataclass(frozen=True, slots=True)
class Mount:
    """A volume whose host side is known.

    Parameters
    ----------
    source : Path
        Absolute, links resolved.
    target : str
        Absolute path in the container.
    """

    source: Path
    target: str
    read_only: bool


def resolve(volume: Volume, directory: Path, environ: Mapping[str, str] | None = None) -> Mount:
    """Expand ``${VAR}`` (``${VAR:-default}``) and ``~``, start at `directory`, follow links.

    Raises
    ------
    KeyError
        A variable is not set; its name.
    """
    environ = os.environ if environ is None else environ

    def value(match: re.Match[str]) -> str:
        name, default = match.groups()
        return environ[name] if default is None else environ.get(name) or default

    text = _VARIABLE.sub(value, volume.host_path)
    return Mount(
        (directory / Path(text).expanduser()).resolve(), volume.container_path, read_only=volume.read_only
    )


def mount_findings(
    spec: UnitSpec,
    service: Service,
    *,
    engine_socket: Path | None = None,
    environ: Mapping[str, str] | None = None,
    is_local: bool = True,
) -> list[Diagnostic]:
    """What is wrong with the volumes of one service, before anything is created.

    Parameters
    ----------
    engine_socket : Path, optional
        Of the engine in use.
    is_local : bool
        Whether the engine sees this machine's files.
    """
    sockets = [*engine_sockets(environ), *([engine_socket] if engine_socket else [])]
    allowed = _allowed_directories(spec.allow)
    found: list[Diagnostic] = []
    for volume in service.volumes:
        what = f"volume {volume.host_path!r} of service `{service.name}`"
        try:
            mount = resolve(volume, spec.directory, environ)
        except KeyError as unset:
            found.append(Diagnostic("CLN106", f"{what}: environment variable `{unset.args[0]}` is not set"))
            continue
        if _gives_engine(mount.source, sockets):
            found.append(_engine_refused(what, mount.source))
        elif not _is_within(mount.source, (spec.project_root.resolve(), *allowed)):
            found.append(_outside_refused(what, mount.source))
        elif is_local and not mount.source.exists():
            found.append(Diagnostic("CLN001", f"{what}: {str(mount.source)!r} does not exist"))
    return found


def outside_mounts(
    spec: UnitSpec, service: Service, *, environ: Mapping[str, str] | None = None
) -> list[tuple[Volume, Path, bool]]:
    """Volumes that lead outside the project, where to, and whether that is allowed.

    What can never be mounted, or cannot be resolved, is the business of :func:`mount_findings`.
    """
    sockets, allowed = engine_sockets(environ), _allowed_directories(spec.allow)
    found: list[tuple[Volume, Path, bool]] = []
    for volume in service.volumes:
        try:
            source = resolve(volume, spec.directory, environ).source
        except KeyError:
            continue
        if not _gives_engine(source, sockets) and not _is_within(source, (spec.project_root.resolve(),)):
            found.append((volume, source, _is_within(source, allowed)))
    return found


def _allowed_directories(allow: Sequence[str]) -> list[Path]:
    return [Path(w.removeprefix(_WORD)).expanduser().resolve() for w in allow if w.startswith(_WORD)]


def _is_within(path: Path, roots: Iterable[Path]) -> bool:
    return any(path.is_relative_to(root) for root in roots)


def _gives_engine(path: Path, sockets: Iterable[Path]) -> bool:
    """Whether a container with this path could talk to an engine: the socket itself, or what holds it."""
    if path.name in _SOCKET_NAMES:
        return True
    resolved = [socket.resolve() for socket in sockets if _is_socket(socket)]
    return any(socket == path or socket.is_relative_to(path) for socket in resolved)


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        return False


def _engine_refused(what: str, path: Path) -> Diagnostic:
    return Diagnostic(
        "CLN411",
        f"{what} leads to a container engine's socket ({str(path)!r}), which gives control of this machine",
        hint="it is never mounted, and nothing allows it",
    )


def _outside_refused(what: str, path: Path) -> Diagnostic:
    return Diagnostic(
        "CLN616",
        f"{what} lies outside the project ({str(path)!r}) and is refused",
        hint=f"allow it by `--allow mount:{path}` or in `security.allow` of your own cleanroom.toml",
    )
