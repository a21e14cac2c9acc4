"""Which branch and commit a project stands at, read from git's own files: no process is started for it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

__all__ = ["head_of", "main_branch"]

_COMMIT: Final = re.compile(r"[0-9a-f]{40,64}")
_HEADS: Final = "refs/heads/"
_USUAL: Final = ("main", "master")


def head_of(root: Path) -> dict[str, str | None] | None:
    """Branch and commit of a checkout; ``None`` outside one.

    Returns
    -------
    dict or None
        ``branch`` (``None``: none is checked out) and ``commit`` (``None``: none yet, or it cannot be read).

    Examples
    --------
    >>> head_of(Path("/"))
    """
    places = _places(root)
    if places is None:
        return None
    own, common = places
    head = _read(own / "HEAD")
    if not head.startswith("ref: "):
        return {"branch": None, "commit": head if _COMMIT.fullmatch(head) else None}
    ref = head.removeprefix("ref: ")
    return {"branch": ref.removeprefix(_HEADS), "commit": _commit(own, common, ref)}


def main_branch(root: Path) -> str | None:
    """The branch that others start from: what ``origin`` calls its head, else ``main`` or ``master``."""
    places = _places(root)
    if places is None:
        return None
    own, common = places
    start = "refs/remotes/origin/"
    named = _read(common / start / "HEAD")
    if named.startswith(f"ref: {start}"):
        return named.removeprefix(f"ref: {start}")
    for name in _USUAL:
        if _commit(own, common, _HEADS + name) or _commit(own, common, start + name):
            return name
    return None


def _places(root: Path) -> tuple[Path, Path] | None:
    """The directory of this checkout's own files, and the one that all checkouts share."""
    for place in (root, *root.parents):
        found = place / ".git"
        if found.is_dir():
            return found, found
        if found.is_file():
            own = place / _read(found).removeprefix("gitdir: ")
            return own, own / (_read(own / "commondir") or ".")
    return None


def _commit(own: Path, common: Path, ref: str) -> str | None:
    for place in (own, common):
        found = _read(place / ref)
        if _COMMIT.fullmatch(found):
            return found
    for line in _read(common / "packed-refs").splitlines():
        commit, _, name = line.partition(" ")
        if name == ref and _COMMIT.fullmatch(commit):
            return commit
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
