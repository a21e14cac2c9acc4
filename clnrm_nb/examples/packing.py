"""A root filesystem out of what this machine already has: programs, the libraries they load, files.

Why: an image for a demo or a test must not need a registry, a package mirror or two minutes. A program
together with the shared libraries that ``ldd`` names runs in an otherwise empty container, so a tar of these
and ``docker import`` make an image in seconds. Nothing here knows what is packed (:mod:`.images` does), and
nothing here knows Docker.

The one idea: an archive path is the path on this machine with its *directory* resolved, so that nothing is
ever written below a symbolic link; the links at the top (``lib -> usr/lib``) are repeated as links.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import subprocess
import tarfile
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["RootFilesystem"]

_TOP_LINKS: Final = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_EMPTY_DIRECTORIES: Final = {"app": 0o755, "root": 0o755, "run": 0o755, "tmp": 0o1777, "var/tmp": 0o1777}
_TEXTS: Final = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}
# glibc loads these by name at run time, so ldd does not see them; since 2.34 the library itself holds them.
_RESOLVER_LIBRARIES: Final = ("libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2")
_LDD_LINE: Final = re.compile(r"(?:=>\s+)?(/\S+)\s+\(0x")
_FILES_A_CALL: Final = 200


class RootFilesystem:
    """What will be in the image, collected before anything is written.

    Parameters
    ----------
    origins : iterable of Path
        Directories that stand for ``/``: files below them lose this prefix, and their libraries come first.
        For packages extracted somewhere.
    """

    def __init__(self, origins: Iterable[Path] = ()) -> None:
        self._origins = [origin.resolve() for origin in origins]
        self._files: dict[str, Path] = {}
        self._links: dict[str, str] = {}

    def add_file(self, source: Path, target: str | None = None) -> None:
        """Put `source` (links are followed) at `target`, or where it is on this machine."""
        self._files[(target or self._place(source)).lstrip("/")] = source

    def add_link(self, path: str, target: str) -> None:
        """Make `path` a symbolic link to `target`."""
        self._links[path.lstrip("/")] = target

    def add_tree(self, root: Path, *, without: frozenset[str] = frozenset()) -> None:
        """Put all files below `root`, leaving out directories whose name matches a glob of `without`."""
        for directory, names, leaves in os.walk(root, followlinks=False):
            names[:] = [name for name in names if not any(fnmatchcase(name, glob) for glob in without)]
            for leaf in leaves:
                path = Path(directory, leaf)
                if path.is_file():
                    self.add_file(path)

    def add_libraries(self) -> None:
        """Put the shared libraries that the programs and libraries collected so far load."""
        binaries = sorted({path for path in self._files.values() if _is_elf(path)})
        libraries: set[Path] = set()
        for start in range(0, len(binaries), _FILES_A_CALL):
            libraries |= self._loaded_by(binaries[start : start + _FILES_A_CALL])
        for library in sorted(libraries):
            self.add_file(library)
            for name in _RESOLVER_LIBRARIES if library.name == "libc.so.6" else ():
                if (library.parent / name).exists():
                    self.add_file(library.parent / name)

    def library_directories(self) -> list[str]:
        """Directories that hold shared libraries, for ``LD_LIBRARY_PATH``."""
        found = {str(PurePosixPath("/", path).parent) for path in self._files if _is_library(path)}
        return sorted(found)

    def digest(self) -> str:
        """SHA-256 over every path, mode and content: equal digests make equal images."""
        total = hashlib.sha256()
        for path, source in sorted(self._files.items()):
            content = hashlib.sha256(source.read_bytes()).hexdigest()
            total.update(f"{path}\0{_mode(source):o}\0{content}\n".encode())
        for path, target in sorted(self._all_links().items()):
            total.update(f"{path}\0->{target}\n".encode())
        return total.hexdigest()

    def write(self, stream: IO[bytes]) -> None:
        """Write the tar; times of files are kept, because compiled Python modules are checked by them."""
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for path, mode in _EMPTY_DIRECTORIES.items():
                archive.addfile(_entry(path, mode, tarfile.DIRTYPE))
            for path, target in sorted(self._all_links().items()):
                link = _entry(path, 0o777, tarfile.SYMTYPE)
                link.linkname = target
                archive.addfile(link)
            for path, text in _TEXTS.items():
                _add_bytes(archive, _entry(path, 0o644, tarfile.REGTYPE), text.encode())
            for path, source in sorted(self._files.items()):
                entry = _entry(path, _mode(source), tarfile.REGTYPE)
                entry.mtime = int(source.stat().st_mtime)
                _add_bytes(archive, entry, source.read_bytes())

    def _all_links(self) -> Mapping[str, str]:
        """Links asked for, and those at the top of this machine's own filesystem."""
        top = {name: str(Path("/", name).readlink()) for name in _TOP_LINKS if Path("/", name).is_symlink()}
        return {name: target.lstrip("/") for name, target in top.items()} | self._links

    def _place(self, source: Path) -> str:
        path = source.parent.resolve() / source.name
        for origin in self._origins:
            if path.is_relative_to(origin):
                inside = Path("/", path.relative_to(origin))
                return str(inside.parent.resolve() / inside.name)
        return str(path)

    def _loaded_by(self, binaries: list[Path]) -> set[Path]:
        directories = {str(path.parent) for origin in self._origins for path in origin.rglob("*.so*")}
        environment = dict(os.environ, LC_ALL="C")
        if directories:
            environment["LD_LIBRARY_PATH"] = ":".join(sorted(directories))
        # Not checked: ldd ends non-zero as soon as one of the files is statically linked.
        output = subprocess.run(
            ["ldd", *map(str, binaries)], env=environment, capture_output=True, text=True, check=False
        ).stdout
        return {Path(found) for found in _LDD_LINE.findall(output)}


def _is_elf(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) == b"\x7fELF"


def _is_library(path: str) -> bool:
    name = PurePosixPath(path).name
    return name.startswith("lib") and ".so" in name


def _mode(source: Path) -> int:
    return 0o755 if source.stat().st_mode & 0o100 else 0o644


def _entry(path: str, mode: int, kind: bytes) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path)
    entry.mode, entry.type = mode, kind
    return entry


def _add_bytes(archive: tarfile.TarFile, entry: tarfile.TarInfo, content: bytes) -> None:
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))
