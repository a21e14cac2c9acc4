"""What a run is a run of: branch and commit, and on the main branch whether the files are the commit's.

Only what ran of a clean main stands for it later (:mod:`clnrm_nb.baseline.threeway`); elsewhere nobody asks,
and no process is started.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.config.revision import head_of, main_branch

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["checkout_of"]

_LONGEST_S: Final = 5.0
_CHANGES: Final = (
    "git",
    # A run writes nothing into the repository, not even what git knows of its files.
    "--no-optional-locks",
    "status",
    "--porcelain",
    "--untracked-files=no",
    "--",
    ":/",
    # What is accepted says nothing about what ran.
    ":(exclude).clnrm",
)


def checkout_of(root: Path) -> dict[str, Any] | None:
    """Branch and commit of a checkout, and whether it has changes; ``None`` outside one.

    Returns
    -------
    dict or None
        ``branch`` and ``commit`` as of :func:`~clnrm_nb.config.revision.head_of`; ``dirty``: whether a file
        that git knows differs from the commit (``None``: not looked at, or git does not answer).
    """
    head = head_of(root)
    if head is None:
        return None
    is_main = head["branch"] is not None and head["branch"] == main_branch(root)
    return {**head, "dirty": _is_dirty(root) if is_main else None}


def _is_dirty(root: Path) -> bool | None:
    try:
        done = subprocess.run(_CHANGES, cwd=root, capture_output=True, timeout=_LONGEST_S, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return bool(done.stdout.strip()) if done.returncode == 0 else None
