"""What a baseline file held after each decision: from this machine's objects, else from the history of git.

Objects are exact and local. Git knows what was committed: of each commit that touched the file, the version
whose digest a decision names. What neither has is unknown, and said to be.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Final, Literal

from clnrm_nb.baseline.files import header_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from clnrm_nb.baseline.decisions import Decision
    from clnrm_nb.state.reviews import Reviews

__all__ = ["Origin", "Versions", "git_show"]

Origin = Literal["object", "git"]

_GIT_TIMEOUT_S: Final = 20.0
_MOST_COMMITS: Final = 1_000


class Versions:
    """Contents of one baseline file, by decision.

    Parameters
    ----------
    path : Path
        The file.
    baseline_id : str
    reviews : Reviews
        Where this machine keeps the bytes before and after each decision.
    """

    def __init__(self, path: Path, baseline_id: str, reviews: Reviews) -> None:
        self._path = path
        self._reviews = reviews
        self._changes = reviews.changes(baseline_id)
        self._committed: dict[str, bytes] | None = None

    def after(self, decision: Decision) -> tuple[bytes, Origin] | None:
        """The file as a decision left it, and where that is known from; ``None``: unknown."""
        made = [change.after for change in self._changes if change.decision == decision.hash]
        made += [change.after for change in self._changes if change.digest == decision.digest]
        for digest in filter(None, made):
            content = self._reviews.file(digest)
            if content is not None:
                return content, "object"
        content = self._from_git().get(decision.digest or "")
        return None if content is None else (content, "git")

    def committed(self) -> dict[int, bytes]:
        """The versions that the history of git has, by their numbers; of two with one number the newer."""
        found: dict[int, bytes] = {}
        for content in _committed(self._path):
            header = header_of(content)
            if header is not None and type(header.get("version")) is int:
                found.setdefault(header["version"], content)
        return found

    def with_digest(self, digest: str | None) -> bytes | None:
        """A file with this trace digest, as it was committed; ``None``: git knows none."""
        return self._from_git().get(digest or "")

    def _from_git(self) -> dict[str, bytes]:
        """By trace digest; of several commits with one digest the newest."""
        if self._committed is None:
            self._committed = {}
            for content in _committed(self._path):
                header = header_of(content)
                if header is not None:
                    self._committed.setdefault(str(header["digest"]), content)
        return self._committed


def _committed(path: Path) -> Iterator[bytes]:
    """Every committed content of a file, newest first; none outside a repository."""
    listed = _git(path.parent, ["log", f"--max-count={_MOST_COMMITS}", "--format=%H", "--", path.name])
    commits = (listed or b"").decode("ascii", "replace").split()
    if not commits:
        return
    wanted = "".join(f"{commit}:./{path.name}\n" for commit in commits)
    answer = _git(path.parent, ["cat-file", "--batch"], wanted.encode()) or b""
    place = 0
    while place < len(answer):
        end = answer.index(b"\n", place)
        words = answer[place:end].split(b" ")
        place = end + 1
        if len(words) == 3 and words[1] == b"blob":  # noqa: PLR2004  # Name, type, size.
            size = int(words[2])
            yield answer[place : place + size]
            place += size + 1


def git_show(path: Path, revision: str) -> bytes | None:
    """A file as it is in a commit, branch or tag; ``None``: it is not there, or there is no repository."""
    return _git(path.parent, ["show", f"{revision}:./{path.name}"])


def _git(directory: Path, words: Sequence[str], given: bytes = b"") -> bytes | None:
    try:
        done = subprocess.run(
            ["git", *words],
            cwd=directory,
            input=given,
            capture_output=True,
            timeout=_GIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None
