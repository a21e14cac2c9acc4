"""Finding template files, inside the project only.

Looked up relative to the file that asks, then in the project root, in ``templates/``, among the extra
library files of the configuration, and last in the library of this package (``format.md`` 2.6). Whatever
is read, or was looked for and is not there, is recorded: creating a missing file changes a rendering
too.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

from clnrm_nb.template.compiler import Unit, compile_unit
from clnrm_nb.template.faults import Unfindable, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BUILTIN_LIBRARY", "FaultyFileError", "Loader", "TemplateFile", "read_bytes"]

BUILTIN_LIBRARY: Final = "_macros.toml.tera"
_MAX_FILE_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class TemplateFile:
    """A template file of a rendering.

    Parameters
    ----------
    path : Path
        Its real path; for the built-in library one that does not exist.
    display : str
        How findings name it: POSIX path from the project root.
    unit : Unit
        Its compiled text.
    is_builtin : bool
        Whether it is part of this package.
    """

    path: Path
    display: str
    unit: Unit
    is_builtin: bool = False


class OutsideError(Unfindable):
    """A file that exists but may not be read."""


class FaultyFileError(Unfindable):
    """A file that was found but holds mistakes of its own."""

    def __init__(self, file: TemplateFile) -> None:
        super().__init__(f"`{file.display}` cannot be compiled")
        self.file = file


def read_bytes(path: Path) -> bytes:
    """Bytes of a regular file of at most 1 MiB; devices, pipes and the like are never opened for reading.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is no regular file, or too large.
    """
    # O_NONBLOCK: opening a FIFO that nobody writes to must not hang.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as handle:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is not a regular file")
        if status.st_size > _MAX_FILE_BYTES:
            raise ValueError("it is larger than 1 MiB")
        return handle.read(_MAX_FILE_BYTES + 1)


class Loader:
    """Loads the files one rendering asks for."""

    def __init__(self, root: Path, libraries: Sequence[Path] = ()) -> None:
        self.root = root
        self.libraries = libraries
        self.files: dict[str, str] = {}
        self.missing: list[str] = []
        self._loaded: dict[Path, TemplateFile] = {}
        self._found: dict[tuple[str, Path], TemplateFile] = {}

    @cached_property
    def _real_root(self) -> Path:
        return Path(os.path.realpath(self.root))

    def load(self, name: str, asking: TemplateFile) -> TemplateFile:
        """The file `name` means when `asking` refers to it.

        Raises
        ------
        Unfindable
            CLN107 if there is none, or it lies outside the project.
        """
        known = self._found.get((name, asking.path))
        if known is not None:
            return known
        self._refuse_odd(name)
        for candidate in self._candidates(name, asking):
            found = self._at(candidate, name)
            if found is not None:
                self._found[name, asking.path] = found
                return found
        if name == BUILTIN_LIBRARY:
            return _builtin()
        raise Unfindable(
            f"cannot find template `{name}`{did_you_mean(name, self._known(asking))}",
            "looked beside the file, in the project root and in `templates/`",
        )

    def _refuse_odd(self, name: str) -> None:
        if not name or "\0" in name or "\\" in name:
            raise Unfindable(f"`{name!r}` is not a file name")
        if Path(name).is_absolute():
            raise OutsideError(
                f"template `{name}` is outside the project", "name it relative to the project root"
            )

    def _candidates(self, name: str, asking: TemplateFile) -> list[Path]:
        beside = [] if asking.is_builtin else [asking.path.parent / name]
        extra = [path for path in self.libraries if path.name == name or path.as_posix().endswith(f"/{name}")]
        candidates = [*beside, self.root / name, self.root / "templates" / name, *extra]
        return list(dict.fromkeys(candidates))

    def _at(self, candidate: Path, name: str) -> TemplateFile | None:
        real = Path(os.path.realpath(candidate))
        if real in self._loaded:
            self._note_link(candidate, real)
            return self._loaded[real]
        is_inside = real.is_relative_to(self._real_root) or candidate in self.libraries
        if not is_inside:
            if real.exists():
                raise OutsideError(f"template `{name}` is outside the project", f"it resolves to `{real}`")
            self.missing.append(self.display(candidate))
            return None
        try:
            content = read_bytes(real)
            text = content.decode("utf-8").removeprefix("\ufeff")
        except (FileNotFoundError, NotADirectoryError):
            self.missing.append(self.display(candidate))
            return None
        except UnicodeDecodeError as error:
            raise Unfindable(f"template `{name}` is not UTF-8 (byte {error.start})") from error
        except (OSError, ValueError) as error:
            raise Unfindable(f"cannot read template `{name}`: {error}") from error
        display = self.display(real)
        self.files[display] = hashlib.sha256(content).hexdigest()
        self._note_link(candidate, real)
        return self.adopt(TemplateFile(real, display, compile_unit(text)))

    def _note_link(self, candidate: Path, real: Path) -> None:
        """A link by which a file was found is an input too: it may lead elsewhere tomorrow."""
        named, display = self.display(candidate), self.display(real)
        if named != display and display in self.files:
            self.files[named] = self.files[display]

    def adopt(self, file: TemplateFile) -> TemplateFile:
        """Remember a file under its path.

        Raises
        ------
        FaultyFileError
            If it holds mistakes.
        """
        self._loaded[file.path] = file
        if file.unit.problems:
            raise FaultyFileError(file)
        return file

    @property
    def loaded(self) -> list[TemplateFile]:
        """Every file of the rendering so far."""
        return list(self._loaded.values())

    def display(self, path: Path) -> str:
        """POSIX path from the project root; absolute outside it."""
        plain = Path(os.path.normpath(path))
        for root in (self.root, self._real_root):
            if plain.is_relative_to(root):
                return plain.relative_to(root).as_posix()
        return plain.as_posix()

    def _known(self, asking: TemplateFile) -> list[str]:
        """Names that a person could have meant."""
        names = {BUILTIN_LIBRARY}
        for folder in (asking.path.parent, self.root, self.root / "templates"):
            try:
                names.update(entry.name for entry in os.scandir(folder) if ".tera" in entry.name)
            except OSError:
                continue
        return sorted(names)


_builtin_file: list[TemplateFile] = []


def _builtin() -> TemplateFile:
    """The library this package ships."""
    if not _builtin_file:
        text = resources.files("clnrm_nb.template").joinpath("library", BUILTIN_LIBRARY).read_text("utf-8")
        path = Path("/builtin") / BUILTIN_LIBRARY
        _builtin_file.append(TemplateFile(path, BUILTIN_LIBRARY, compile_unit(text), is_builtin=True))
    return _builtin_file[0]
