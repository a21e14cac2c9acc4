"""``history/runs.ndjson``: one line a test and run, for other programs. Written after runs, never read.

Lines are appended in one piece under a lock on the file, so that two runs at once do not tear them; a line
that a crash left half written is ended first.
"""

from __future__ import annotations

import fcntl
import json
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["append_lines", "history_line"]


def history_line(run: dict[str, Any], test: dict[str, Any], *, at: str) -> dict[str, Any]:
    """The form of ``format.md`` 8.4.

    Parameters
    ----------
    run, test : dict
        The run's document, and that of one of its tests.
    at : str
        When the run began.
    """
    return {
        "run": run["run"],
        "at": at,
        "test": test["id"],
        "status": test["status"],
        "duration_ms": test.get("duration_ms"),
        "cached": bool(test.get("cached")),
        "digests": {
            scenario["name"]: scenario["trace_digest"]
            for scenario in test.get("scenarios", ())
            if scenario.get("trace_digest")
        },
        "workers": run.get("workers"),
        "backend": test.get("backend"),
    }


def append_lines(path: Path, lines: Sequence[dict[str, Any]]) -> None:
    """Append one line of JSON each.

    Raises
    ------
    OSError
        It cannot be written; what was there before is untouched.
    """
    if not lines:
        return
    content = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+", buffering=0) as file:
        # The lock goes with the descriptor when the file is closed.
        fcntl.flock(file, fcntl.LOCK_EX)
        size = file.seek(0, os.SEEK_END)
        if size and os.pread(file.fileno(), 1, size - 1) != b"\n":
            content = b"\n" + content
        try:
            _write_all(file.fileno(), content)
        except OSError:
            os.ftruncate(file.fileno(), size)
            raise


def _write_all(descriptor: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]
