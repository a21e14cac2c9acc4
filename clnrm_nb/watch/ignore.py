"""Which files matter by their names: patterns of the configuration, ignore files, what editors leave about.

Three kinds of names never matter: what this program writes itself (``.clnrm/``, reports), what editors write
beside the file they save, and what somebody asked to ignore. Of ``.clnrm/`` only what people commit matters:
``baselines/`` and ``config.toml``. A file that a test depends on matters all the same; the graph knows that,
not this module.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from clnrm_nb.config.discovery import SKIPPED_DIRECTORIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pathspec import GitIgnoreSpec

__all__ = ["IGNORE_FILES", "Rules", "is_passing"]

IGNORE_FILES: Final = (".gitignore", ".ignore")
# Verdicts kept: matching a path costs 20 µs, and every look asks for every file.
_REMEMBERED: Final = 100_000
_PASSING: Final = re.compile(
    r"""
      .*~                                  # backups: emacs, kate, gedit, vim with 'backup'
    | \.?.*\.sw[a-z]x? | 4913              # vim: swap files; whether it may write here
    | \#.*\# | \.\#.*                      # emacs: auto-save and lock
    | .*___jb_(tmp|old)___                 # JetBrains
    | .*\.kate-swp | \.goutputstream-.*    # kate; GLib's atomic replacement
    | .*\.tmp | .*\.temp | .*\.bak | .*\.orig
    | .*\.tmp\.[0-9]+(\.[0-9a-f]+)? | sed[A-Za-z0-9]{6}   # editors on Node; sed -i
    | \.~lock\..*\# | \.fuse_hidden.* | \.nfs[0-9a-f]+ | \.DS_Store
    """,
    re.VERBOSE,
)


_BYTECODE: Final = "__pycache__"
"""Interpreters write it beside the sources it is made of; no content of a mount for the cache either."""


def is_passing(name: str) -> bool:
    """Whether a base name is that of a file which editors leave beside what they save.

    Examples
    --------
    >>> [is_passing(name) for name in (".a.toml.swp", "a.toml~", "4913", "#a.toml#", "a.clnrm.toml")]
    [True, True, True, True, False]
    """
    return _PASSING.fullmatch(name) is not None


class Rules:
    """What matters by name.

    Parameters
    ----------
    root : str
        The project root; patterns are relative to it.
    state_dir : str
        The directory of state, ``.clnrm``.
    patterns : sequence of str
        ``watch.patterns``: files whose changes count, in the syntax of ``.gitignore``.
    ignore_patterns : sequence of str
        ``watch.ignore_patterns``: of these, those that do not count.
    outputs : iterable of str
        Absolute paths of files and directories that this program writes: reports, artifacts.
    """

    def __init__(
        self,
        root: str,
        state_dir: str,
        *,
        patterns: Sequence[str],
        ignore_patterns: Sequence[str] = (),
        outputs: Iterable[str] = (),
    ) -> None:
        self.root = root
        self.state_dir = state_dir
        self.outputs = tuple(outputs)
        self._patterns = _spec(patterns)
        self._ignored = _spec(ignore_patterns)
        self._top = _repository(root)
        self.forget()

    def forget(self) -> None:
        """Read ignore files again when next asked."""
        self._specs: dict[str, GitIgnoreSpec | None] = {}
        self._ignored_directories: dict[str, bool] = {}
        self._counted: dict[str, bool] = {}

    def counts(self, path: str) -> bool:
        """Whether a file counts by its name alone."""
        known = self._counted.get(path)
        if known is None:
            if len(self._counted) >= _REMEMBERED:
                self._counted.clear()
            self._counted[path] = known = self._counts(path)
        return known

    def _counts(self, path: str) -> bool:
        if self.is_own(path) or is_passing(os.path.basename(path)):
            return False
        relative = self._relative(path)
        if not self._patterns.match_file(relative) or self._ignored.match_file(relative):
            return False
        return not self.ignores(path)

    def is_own(self, path: str) -> bool:
        """Whether this program writes it: state that nobody commits, and reports."""
        for output in self.outputs:
            if _is_in(path, output):
                return True
        if not _is_in(path, self.state_dir):
            return False
        below = path[len(self.state_dir) + 1 :]
        return not (below in ("", "config.toml", "baselines") or below.startswith("baselines/"))

    def enters(self, directory: str, *, whole: bool = False) -> bool:
        """Whether a directory below a watched one is watched too; `whole`: whatever ignore rules say."""
        name = os.path.basename(directory)
        if name in SKIPPED_DIRECTORIES or name == _BYTECODE or self.is_own(directory):
            return False
        if whole:
            return True
        is_ignored = self._ignored.match_file(f"{self._relative(directory)}/")
        return not is_ignored and not self._ignores_directory(directory)

    def ignores(self, path: str) -> bool:
        """Whether ignore files say that a file is ignored; the innermost rule that speaks decides."""
        return self._ignores_directory(os.path.dirname(path)) or self._says(path, is_directory=False)

    def _ignores_directory(self, directory: str) -> bool:
        """Git's rule: below an ignored directory nothing can be taken back."""
        known = self._ignored_directories.get(directory)
        if known is None:
            known = (
                directory != self._top
                and _is_in(directory, self._top)
                and (
                    self._ignores_directory(os.path.dirname(directory))
                    or self._says(directory, is_directory=True)
                )
            )
            self._ignored_directories[directory] = known
        return known

    def _says(self, path: str, *, is_directory: bool) -> bool:
        if not _is_in(path, self._top):
            return False
        place = path
        while place != self._top:
            place = os.path.dirname(place)
            spec = self._specs[place] if place in self._specs else self._read(place)
            if spec is not None:
                relative = path[len(place.rstrip("/")) + 1 :] + ("/" if is_directory else "")
                verdict = spec.check_file(relative).include
                if verdict is not None:
                    return verdict
        return False

    def _read(self, directory: str) -> GitIgnoreSpec | None:
        lines: list[str] = []
        for name in IGNORE_FILES:
            try:
                with open(os.path.join(directory, name), encoding="utf-8", errors="replace") as file:
                    lines.extend(file.read().splitlines())
            except OSError:
                continue
        self._specs[directory] = spec = _spec(lines) if lines else None
        return spec

    def _relative(self, path: str) -> str:
        return path[len(self.root) + 1 :] if _is_in(path, self.root) else path.lstrip("/")


def _spec(lines: Sequence[str]) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec

    kept: list[str] = []
    for line in lines:
        try:
            GitIgnoreSpec.from_lines([line])
        except ValueError:  # Git passes over a pattern it cannot read, too.
            continue
        kept.append(line)
    return GitIgnoreSpec.from_lines(kept)


def _repository(root: str) -> str:
    """Where ignore files begin: the repository around the project, else the project."""
    place = root
    while not os.path.exists(os.path.join(place, ".git")):
        parent = os.path.dirname(place)
        if parent == place:
            return root
        place = parent
    return place


def _is_in(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory if directory.endswith("/") else f"{directory}/")
