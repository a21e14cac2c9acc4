"""Ports and volumes of a compose service, in their short and their long form."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.scaffold.interpolation import interpolated
from clnrm_nb.scaffold.paper import Expression
from clnrm_nb.scaffold.yamltext import is_true

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["mounts_of", "ports_of"]

_PORT: Final = re.compile(
    r"(?:(?P<ip>\[[^]]*\]|\d+(?:\.\d+){3}):)?(?:(?P<host>[^:/]*):)?(?P<container>[^:/]+)(?:/(?P<protocol>\w+))?"
)
_RANGE: Final = re.compile(r"(\d+)-(\d+)")
_BARE_VARIABLE: Final = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")
_LARGEST_PORT: Final = 65_535
_MOST_PORTS: Final = 16
_SOCKETS: Final = ("docker.sock", "podman.sock", "containerd.sock")


def ports_of(written: Any, notes: list[str]) -> list[str | Expression] | None:
    """Published ports, each at a *free* port of the host: tests that fix one cannot run beside each other.

    Inside the test's network services reach each other at any port by name.
    """
    if not isinstance(written, list):
        return None
    ports: dict[str | Expression, None] = {}
    for entry in written:
        host, container, protocol = _port(entry)
        tail = "" if protocol in {"", "tcp"} else f"/{protocol}"
        numbers: list[int | str] = [*_numbers(container)]
        if not numbers and "$" not in container:
            notes.append(f"port {entry!r} is left out")
            continue
        ports |= dict.fromkeys(interpolated(f"0:{number}{tail}") for number in numbers or [container])
        if host:
            notes.append(f"port {container} takes a free port of the host; compose takes {host}")
    return list(ports) or None


def _port(entry: Any) -> tuple[str, str, str]:
    """Host, container and protocol as written."""
    if isinstance(entry, dict):
        return (
            str(entry.get("published") or ""),
            str(entry.get("target") or ""),
            str(entry.get("protocol") or ""),
        )
    text = str(entry)
    if "$" in text:
        # A default may hold a colon; the container's port is what follows the last one outside braces.
        outside = re.sub(r"\$\{[^}]*\}", lambda match: "_" * len(match[0]), text)
        cut = outside.rfind(":") + 1
        container, _, protocol = text[cut:].partition("/")
        return text[: max(cut - 1, 0)], container, protocol
    match = _PORT.fullmatch(text)
    return (match["host"] or "", match["container"], match["protocol"] or "") if match else ("", "", "")


def _numbers(container: str) -> Iterator[int]:
    """The ports of ``8080`` or of a range ``3000-3003``."""
    match = _RANGE.fullmatch(container)
    first, last = (int(match[1]), int(match[2])) if match else (0, -1)
    if container.isdecimal():
        first = last = int(container)
    if 0 < first <= last <= _LARGEST_PORT:
        yield from range(first, min(last, first + _MOST_PORTS - 1) + 1)


def mounts_of(written: Any, directory: str, notes: list[str]) -> list[dict[str, Any]] | None:
    """Mounts of host directories and files; volumes that the engine keeps have no counterpart.

    Parameters
    ----------
    directory : str
        Directory of the compose file from that of the scenario file.
    """
    if not isinstance(written, list):
        return None
    mounts: list[dict[str, Any]] = []
    for entry in written:
        source, target, is_read_only = _volume(entry)
        if not _is_path(source):
            notes.append(
                f"volume {source or 'without a name'} at {target}: every test starts with an empty one"
            )
        elif source.rstrip("/").endswith(_SOCKETS):
            notes.append(f"{source} is left out: an engine's socket is never mounted")
        elif not target.startswith("/"):
            notes.append(f"volume {entry!r} is left out")
        else:
            mount = {"host_path": _from_here(source, directory), "container_path": target}
            mounts.append(mount | ({"read_only": True} if is_read_only else {}))
    return mounts or None


def _volume(entry: Any) -> tuple[str, str, bool]:
    """Source (empty: none), target, and whether it is read-only."""
    if isinstance(entry, dict):
        source = str(entry.get("source") or "") if entry.get("type", "bind") == "bind" else ""
        return (
            source or str(entry.get("type", "")),
            str(entry.get("target") or ""),
            is_true(entry.get("read_only")),
        )
    hidden = re.sub(r"\$\{[^}]*\}", lambda match: "_" * len(match[0]), str(entry))
    cuts = [index for index, sign in enumerate(hidden) if sign == ":"]
    parts = [
        str(entry)[start:end] for start, end in zip([0, *(c + 1 for c in cuts)], [*cuts, None], strict=True)
    ]
    if len(parts) == 1:
        return "", parts[0], False
    return parts[0], parts[1], "ro" in (parts[2].split(",") if len(parts) > 2 else ())  # noqa: PLR2004  # Mode.


def _is_path(source: str) -> bool:
    """Whether a source is a place of the host, by the rule of the specification: it looks like a path."""
    return source.startswith((".", "/", "~", "$"))


def _from_here(source: str, directory: str) -> str:
    """A relative host path, from the scenario file's directory; variables are expanded when it is mounted."""
    if source.startswith(("/", "~", "$")):
        return _BARE_VARIABLE.sub(r"${\1}", source)
    return posixpath.normpath(posixpath.join(directory, source))
