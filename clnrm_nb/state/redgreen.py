"""``tdd-history.json``: which tests were red and which green, run for run (``format.md`` 8.4)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.config.writing import write_atomically
from clnrm_nb.errors import Diagnostic

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["append_records"]

_VERSION: Final = "1"
_LOCK_S: Final = 30.0


def append_records(path: Path, records: Sequence[dict[str, Any]]) -> list[Diagnostic]:
    """Add records under a lock that all processes share; the file is replaced whole.

    Returns
    -------
    list of Diagnostic
        CLN804: it could not be written, or was damaged and is set aside. Never raises for the disk.
    """
    from filelock import FileLock, Timeout

    found: list[Diagnostic] = []
    if not records:
        return found
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock"), timeout=_LOCK_S):
            document = _read(path, found)
            document["records"] += records
            write_atomically(path, json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n")
    except (OSError, Timeout) as error:
        found.append(Diagnostic("CLN804", f"`{path.name}` cannot be written: {error}"))
    return found


def _read(path: Path, found: list[Diagnostic]) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
        if isinstance(document["records"], list):
            return dict(document)
        why = "`records` is no list"
    except FileNotFoundError:
        return {"version": _VERSION, "records": []}
    except (ValueError, KeyError, TypeError) as error:
        why = f"{type(error).__name__}: {error}"
    aside = path.with_name(f"{path.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S%f}")
    path.rename(aside)
    found.append(Diagnostic("CLN804", f"`{path.name}` is damaged ({why}); set aside as `{aside.name}`"))
    return {"version": _VERSION, "records": []}
