"""Host paths of ``volumes``: where they really lead, and whether a container may have them.

Links are resolved first, and the resolved path is what is mounted. Checked before anything exists, again when
the container is made (what ran until then may have exchanged a directory for a link), and once more when it
has started: a container that was given something else does not live on.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from clnrm_nb.errors import Diagnostic, RefusedError
from clnrm_nb.executor.backends.docker.address import engine_sockets

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from clnrm_nb.executor.backends.protocol import UnitSpec
    from clnrm_nb.scenario.model import Service, Volume

__all__ = ["Mount", "checked_mounts", "mount_findings", "named", "outside_mounts", "resolve"]

_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_SOCKET_NAMES: Final = ("docker.sock", "podman.sock", "containerd.sock", "crio.sock")
_WORD: Final = "mount:"
# Where engines listen on most machines: never given away, whether or not one listens there now.
_RUN: Final = Path("/run")
_KERNEL: Final = (Path("/proc"), Path("/sys"), Path("/dev"))
_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108  # Ordinary files of whoever works there.


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


def named(volume: Volume, directory: Path, environ: Mapping[str, str] | None = None) -> Path:
    """The host path as the file names it: ``${VAR}`` (``${VAR:-default}``) and ``~`` expanded.

    Raises
    ------
    KeyError
        A variable is not set; its name.
    """
    environ = os.environ if environ is None else environ

    def value(match: re.Match[str]) -> str:
        name, default = match.groups()
        return environ[name] if default is None else environ.get(name) or default

    return directory / Path(_VARIABLE.sub(value, volume.host_path)).expanduser()


def resolve(volume: Volume, directory: Path, environ: Mapping[str, str] | None = None) -> Mount:
    """Where the host path of a volume, see :func:`named`, really leads: links are followed.

    Raises
    ------
    KeyError
        A variable is not set; its name.
    """
    source = named(volume, directory, environ).resolve()
    return Mount(source, volume.container_path, read_only=volume.read_only)


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
        elif (why := _reason(mount.source, spec)) and not _is_within(mount.source, allowed):
            found.append(_refused(what, mount.source, why))
        elif is_local and not mount.source.exists():
            found.append(Diagnostic("CLN001", f"{what}: {str(mount.source)!r} does not exist"))
    return found


def checked_mounts(
    spec: UnitSpec, service: Service, *, engine_socket: Path | None = None, is_local: bool = True
) -> list[Mount]:
    """The mounts of a service as they are now.

    Raises
    ------
    RefusedError
        The first finding of :func:`mount_findings`: it was not so when the test began.
    """
    mounts = [resolve(volume, spec.directory) for volume in service.volumes]
    if found := mount_findings(spec, service, engine_socket=engine_socket, is_local=is_local):
        raise RefusedError(found[0].message, found[0].code, hint=found[0].hint)
    return mounts


def outside_mounts(
    spec: UnitSpec, service: Service, *, environ: Mapping[str, str] | None = None
) -> list[tuple[Volume, Path, bool]]:
    """Volumes that need permission, where they lead, and whether it is given.

    What can never be mounted, or cannot be resolved, is the business of :func:`mount_findings`.
    """
    sockets, allowed = engine_sockets(environ), _allowed_directories(spec.allow)
    found: list[tuple[Volume, Path, bool]] = []
    for volume in service.volumes:
        try:
            source = resolve(volume, spec.directory, environ).source
        except KeyError:
            continue
        if not _gives_engine(source, sockets) and _reason(source, spec):
            found.append((volume, source, _is_within(source, allowed)))
    return found


def _allowed_directories(allow: Sequence[str]) -> list[Path]:
    return [Path(w.removeprefix(_WORD)).expanduser().resolve() for w in allow if w.startswith(_WORD)]


def _is_within(path: Path, roots: Iterable[Path]) -> bool:
    return any(path.is_relative_to(root) for root in roots)


def _reason(source: Path, spec: UnitSpec) -> str | None:
    """Why a path needs permission; ``None`` for files and directories of the project."""
    if not source.is_relative_to(spec.project_root.resolve()):
        return "lies outside the project"
    if _is_within(source, _KERNEL) and not source.is_relative_to(_SHARED_MEMORY):
        return "belongs to the kernel of this machine"
    mode = _mode(source)
    if mode and not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        return "is neither a file nor a directory"
    return None


def _gives_engine(path: Path, sockets: Iterable[Path]) -> bool:
    """Whether a container with this path could talk to an engine: the socket itself, or what holds it."""
    if path.name in _SOCKET_NAMES:
        return True
    resolved = [
        place for socket in sockets if (place := socket.resolve()).is_relative_to(_RUN) or _is_socket(place)
    ]
    if any(socket == path or socket.is_relative_to(path) for socket in resolved):
        return True
    # Another name of the same socket.
    return _is_socket(path) and any(_is_socket(socket) and path.samefile(socket) for socket in resolved)


def _is_socket(path: Path) -> bool:
    return stat.S_ISSOCK(_mode(path))


def _mode(path: Path) -> int:
    """Kind of a file; 0 where there is none."""
    try:
        return path.lstat().st_mode
    except OSError:
        return 0


def _engine_refused(what: str, path: Path) -> Diagnostic:
    return Diagnostic(
        "CLN411",
        f"{what} leads to a container engine's socket ({str(path)!r}), which gives control of this machine",
        hint="it is never mounted, and nothing allows it",
    )


def _refused(what: str, path: Path, why: str) -> Diagnostic:
    return Diagnostic(
        "CLN616",
        f"{what} {why} ({str(path)!r}) and is refused",
        hint=f"allow it by `--allow mount:{path}` or in `security.allow` of your own cleanroom.toml",
    )
