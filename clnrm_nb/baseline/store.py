"""All baseline files of a project: ``.clnrm/baselines/`` (``format.md`` 8.4).

A file is replaced as a whole or not at all, and only under the lock. Reading needs no lock. What cannot be
read says so and is never repaired on the way.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from clnrm_nb.baseline.files import Baseline, header_of, parse, scenario_of
from clnrm_nb.baseline.kept import Kept
from clnrm_nb.config.project import safe_name
from clnrm_nb.config.writing import write_atomically
from clnrm_nb.errors import ClnrmError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from clnrm_nb.config.project import Project

__all__ = ["BaselineStore", "StoredFile"]

_CELL: Final = "cell:"
_LOCK_TIMEOUT_S: Final = 30.0

_parsed: Final[Kept[Baseline]] = Kept(max_spans=50_000)
"""Baselines by the SHA-256 of their file and by id; nobody changes what is parsed."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A baseline file as far as its header tells; `id` is ``None`` where that cannot be read."""

    path: Path
    id: str | None
    digest: str | None = None


class BaselineStore:
    """The baseline files of one project.

    Parameters
    ----------
    project : Project
        Its state directory holds ``baselines/``.
    lock_timeout_s : float
        How long to wait for another process that decides something.
    """

    def __init__(self, project: Project, *, lock_timeout_s: float = _LOCK_TIMEOUT_S) -> None:
        self._project = project
        self._lock_timeout_s = lock_timeout_s
        self.directory = project.state_dir / "baselines"
        self.log_directory = self.directory / "log"
        self.rules_path = self.directory / "rules.toml"

    def path(self, baseline_id: str) -> Path:
        """Where the baseline of an id is or would be."""
        return self.directory / f"{safe_name(baseline_id)}.json"

    def name(self, path: Path) -> str:
        """A path as messages show it."""
        return self._project.relative(path)

    # ------------------------------------------------------------------------------------------ reading

    def read(self, path: Path) -> bytes | None:
        """Bytes of a file; ``None`` if there is none.

        Raises
        ------
        ClnrmError
            CLN001: it is there and cannot be read.
        """
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ClnrmError(f"`{self.name(path)}` cannot be read: {error.strerror}", "CLN001") from error

    def load(self, baseline_id: str) -> Baseline | None:
        """The baseline of an id; ``None`` if it has no file.

        Raises
        ------
        ClnrmError
            CLN702, CLN703: its file is damaged or of a newer format. CLN001: it cannot be read.
        """
        path = self.path(baseline_id)
        content = self.read(path)
        if content is None:
            return None
        # Parsed and checked once a process, as long as the file stays what it is.
        key = f"{hashlib.sha256(content).hexdigest()} {baseline_id}"
        found = _parsed.get(key)
        if found is None:
            found = parse(content, baseline_id, name=self.name(path))
            _parsed.put(key, found, n_spans=len(found.table))
        return found

    def files(self) -> list[StoredFile]:
        """Every baseline file, by name.

        Raises
        ------
        ClnrmError
            CLN001: the directory cannot be read.
        """
        try:
            found = sorted(self.directory.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            name = self.name(self.directory)
            raise ClnrmError(f"`{name}` cannot be read: {error.strerror}", "CLN001") from error
        paths = [path for path in found if path.suffix == ".json" and not path.name.startswith(".")]
        return [StoredFile(path, *self._head(path)) for path in paths]

    def unowned(self, suite: Collection[str]) -> list[StoredFile]:
        """Files that none of these ids owns, by their names: what they hold may be anything.

        Notebook cells, and scenario files that no search finds but that are there, are no part of a suite:
        nothing is said about theirs.
        """
        owned = {self.path(baseline_id) for baseline_id in suite}
        known = [stored.id for stored in self.files() if stored.id is not None]
        gone = set(self.ownerless(known, suite))
        return [
            stored
            for stored in self.files()
            if stored.path not in owned and (stored.id is None or stored.id in gone)
        ]

    def ownerless(self, ids: Sequence[str], suite: Collection[str]) -> list[str]:
        """Those of some ids that are not in the suite, and of no source that is outside of it."""
        searched = {_source(baseline_id) for baseline_id in suite}

        def is_elsewhere(source: str) -> bool:
            is_file = source not in searched and (self._project.root / source).is_file()
            return is_file or source.startswith(_CELL)

        return [one for one in ids if one not in suite and not is_elsewhere(_source(one))]

    def _head(self, path: Path) -> tuple[str | None, str | None]:
        """Id and digest that a file's header names."""
        try:
            with path.open("rb") as file:
                header = header_of(file.readline()) or header_of(path.read_bytes()) or {}
        except OSError:
            header = {}
        found, digest = header.get("id"), header.get("digest")
        return (found if isinstance(found, str) else None, digest if isinstance(digest, str) else None)

    # ------------------------------------------------------------------------------------------ writing

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Alone among all processes and threads that decide about baselines of this project.

        Raises
        ------
        ClnrmError
            CLN001: the state directory cannot be written, or another process keeps the lock.
        """
        from filelock import FileLock, Timeout

        path = self._project.state_dir / "review.lock"
        lock = FileLock(path, timeout=self._lock_timeout_s, thread_local=False)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            raise ClnrmError(
                f"another process has been deciding about baselines for {self._lock_timeout_s:g} s",
                "CLN001",
                hint=f"it holds `{self.name(path)}`; nothing was changed",
            ) from None
        except OSError as error:
            raise self._unwritable(path, error) from error
        try:
            self._sweep()
            yield
        finally:
            lock.release()

    def replace(self, path: Path, content: bytes | None) -> None:
        """Put `content` in place of a file, or remove it; only under the lock.

        Raises
        ------
        ClnrmError
            CLN001: it cannot be written; the file is as it was.
        """
        try:
            if content is None:
                path.unlink(missing_ok=True)
            else:
                write_atomically(path, content)
        except OSError as error:
            raise self._unwritable(path, error) from error

    def _unwritable(self, path: Path, error: OSError) -> ClnrmError:
        return ClnrmError(
            f"`{self.name(path)}` cannot be written: {error.strerror or error}",
            "CLN001",
            hint="nothing was changed",
        )

    def _sweep(self) -> None:
        """Remove what a writer that was killed left beside the files: nobody else writes under the lock."""
        for directory in (self.directory, self.log_directory):
            if directory.is_dir():
                for leftover in directory.glob(".*.tmp"):
                    leftover.unlink(missing_ok=True)


def _source(baseline_id: str) -> str:
    """The scenario file of an id, or the cell."""
    return scenario_of(baseline_id)[0].partition("[")[0]
