"""Copying files out of a container, which may hold anything at all.

The engine sends a tar archive. It is read as a stream and never extracted by its own words: only regular
files are taken, under names made harmless, into a directory whose links lead nowhere else, until a limit on
sizes and numbers is reached.

While an archive is being sent the engine lets nobody remove the container. So the response is always closed,
and :meth:`Copying.stop` ends it from another thread.
"""

from __future__ import annotations

import io
import os
import re
import tarfile
import threading
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, Final

from docker.errors import APIError, create_api_error_from_http_exception
from docker.utils import decode_json_header
from requests import HTTPError, Response

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

__all__ = ["Copying", "FileLimits"]

_MAGIC: Final = re.compile(r"[*?\[]")
_GLOB_TOKENS: Final = re.compile(r"(\*\*/|\*\*|\*|\?|\[!?\]?[^]]*\])")
_GLOB_PIECES: Final = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
# Control characters and what some file system or shell would take amiss.
_UNSAFE: Final = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\]')
_NAME_BYTES: Final = 200
_LINK_HOPS: Final = 8
_CHUNK_BYTES: Final = 256 * 1024
_SYMLINK_MODE: Final = 1 << 27  # Go's fs.ModeSymlink, as the engine writes modes.
_NOTHING_THERE: Final = (400, 404, 409)


@dataclass(frozen=True, slots=True)
class FileLimits:
    """What is copied at most, and how much is read to find it."""

    file_bytes: int = 64 * 1024 * 1024
    total_bytes: int = 256 * 1024 * 1024
    files: int = 10_000
    read_bytes: int = 2 * 1024 * 1024 * 1024


@dataclass(slots=True)
class Copying:
    """One copy out of one container.

    Parameters
    ----------
    pattern : str
        A path (a directory: everything in it) or a glob (``*`` and ``?`` stay within a directory, ``**``
        does not); a relative one starts at ``/``.
    target : Path
        The container's whole path is kept below it.
    written : list of Path
    complaints : list of str
        One sentence for each thing left out because of a limit.
    """

    pattern: str
    target: Path
    limits: FileLimits = field(default_factory=FileLimits)
    written: list[Path] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    _total_bytes: int = 0
    _stopped: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """End :meth:`run` soon, from any thread."""
        self._stopped.set()

    def run(self, client: docker.APIClient, container_id: str) -> None:
        """Copy, in this thread. Nothing there, or no such container: nothing copied."""
        wanted = "/" + self.pattern.removeprefix("./").strip("/")
        base = _base_of(wanted)
        try:
            response = _request(client, container_id, base)
        except APIError as refused:
            if refused.status_code in _NOTHING_THERE:
                return
            raise
        if response is None:
            return
        with closing(response):
            reader = _Archive(response, self.limits.read_bytes, self._stopped)
            self._read(reader, base, _matcher(wanted))
        if reader.is_cut:
            limit_mb = self.limits.read_bytes >> 20
            self.complaints.append(
                f"`{self.pattern}`: there is more than {limit_mb} MiB; the rest was not read"
            )

    def _read(self, reader: _Archive, base: str, matcher: re.Pattern[str]) -> None:
        # An archive cut off by a limit, or by the end of the container, gives what came until then.
        with (
            suppress(tarfile.ReadError),
            tarfile.open(fileobj=io.BufferedReader(reader, _CHUNK_BYTES), mode="r|") as archive,
        ):
            for member in archive:
                path = _path_of(member.name, base)
                if not member.isreg() or not matcher.fullmatch(path):
                    continue
                if self._is_full(member.size):
                    self.complaints.append(
                        f"`{path}` and the rest were not copied: at most {self.limits.files} files and "
                        f"{self.limits.total_bytes >> 20} MiB"
                    )
                    return
                self._take(archive, member, path)

    def _is_full(self, more_bytes: int) -> bool:
        more_bytes = min(more_bytes, self.limits.file_bytes)
        return (
            len(self.written) >= self.limits.files or self._total_bytes + more_bytes > self.limits.total_bytes
        )

    def _take(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
        if member.size > self.limits.file_bytes:
            limit_mb = self.limits.file_bytes >> 20
            self.complaints.append(f"`{path}` is larger than {limit_mb} MiB and was not copied")
            return
        content = archive.extractfile(member)
        assert content is not None
        self._total_bytes += member.size
        self.written.append(_write(content, self.target, path))


def _request(client: docker.APIClient, container_id: str, path: str) -> Response | None:
    """Ask for the archive of a path, a link at its end followed (within the container, by the engine).

    ``None``: links lead in a circle.
    """
    url = f"{client.base_url}/v{client.api_version}/containers/{container_id}/archive"
    for _ in range(_LINK_HOPS):
        response = client.get(url, params={"path": path}, stream=True, timeout=client.timeout)
        try:
            response.raise_for_status()
        except HTTPError as refused:
            create_api_error_from_http_exception(refused)
        stat = decode_json_header(response.headers["X-Docker-Container-Path-Stat"])
        if not (stat["mode"] & _SYMLINK_MODE and stat.get("linkTarget")):
            return response
        response.close()
        path = os.path.normpath(PurePosixPath(path).parent / stat["linkTarget"])
    return None


def _path_of(member: str, base: str) -> str:
    """Path of a member in the container: the archive's first component stands for what was asked for."""
    below = member.lstrip("/") if base == "/" else member.partition("/")[2]
    return f"{base.rstrip('/')}/{below}".rstrip("/") or "/"


def _base_of(pattern: str) -> str:
    """The part of a pattern before its first wildcard, as a path."""
    parts = pattern.split("/")
    plain = next((index for index, part in enumerate(parts) if _MAGIC.search(part)), len(parts))
    return "/".join(parts[:plain]) or "/"


def _matcher(pattern: str) -> re.Pattern[str]:
    """A glob over whole paths; a plain path matches itself and everything below."""
    if not _MAGIC.search(pattern):
        return re.compile(re.escape(pattern.rstrip("/")) + "(?:/.*)?", re.DOTALL)
    return re.compile("".join(map(_regex_of, _GLOB_TOKENS.split(pattern))), re.DOTALL)


def _regex_of(token: str) -> str:
    if token in _GLOB_PIECES:
        return _GLOB_PIECES[token]
    if token[:1] == "[" and token[-1:] == "]" and len(token) > 2:  # noqa: PLR2004  # Something in brackets.
        inner = token[1:-1].replace("\\", "\\\\").replace("[", "\\[")
        return f"[^/{inner[1:]}]" if inner[0] == "!" else f"[{inner}]"
    return re.escape(token)


def _write(content: IO[bytes], target: Path, path: str) -> Path:
    """Write one file below `target`, replacing an older one and following no link."""
    written = target.joinpath(*map(_safe, path.strip("/").split("/")))
    written.parent.mkdir(parents=True, exist_ok=True)
    if not written.parent.resolve().is_relative_to(target.resolve()):
        raise PermissionError(f"{written.parent} leads out of {target}")
    temporary = written.with_name(f".{written.name}.part")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
    with os.fdopen(descriptor, "wb") as file:
        while chunk := content.read(_CHUNK_BYTES):
            file.write(chunk)
    temporary.replace(written)
    return written


def _safe(name: str) -> str:
    """One path component that means nothing to anybody."""
    cleaned = _UNSAFE.sub("_", name.encode("utf-8", "replace").decode())
    cleaned = "_" * len(cleaned) if set(cleaned) <= {"."} else cleaned
    return cleaned.encode()[:_NAME_BYTES].decode("utf-8", "ignore") or "_"


class _Archive(io.RawIOBase):
    """A response's body as a readable file that ends after a number of bytes, or when it is stopped."""

    def __init__(self, response: Response, limit_bytes: int, stopped: threading.Event) -> None:
        self._chunks: Iterator[bytes] = response.iter_content(_CHUNK_BYTES)
        self._rest = b""
        self._left_bytes = limit_bytes
        self._stopped = stopped
        self.is_cut = False

    def readable(self) -> bool:
        """As a file."""
        return True

    def readinto(self, buffer: Any) -> int:
        """As a file; 0 at the end."""
        self._rest = self._rest or next(self._chunks, b"")
        if not self._rest or self._stopped.is_set():
            return 0
        if self._left_bytes <= 0:
            self.is_cut = True
            return 0
        count = min(len(buffer), len(self._rest), self._left_bytes)
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        self._left_bytes -= count
        return count
