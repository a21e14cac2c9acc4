"""``hashes.json``: what is in the cache, for other programs (``format.md`` 9). Written, never read.

A pure function of the store: equal stores make equal bytes, and a file that holds them already is left alone.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import orjson

from clnrm_nb.config.writing import write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from clnrm_nb.cache.entry import Entry
    from clnrm_nb.cache.store import CacheStore
    from clnrm_nb.config.keys import Cache
    from clnrm_nb.config.project import Project

__all__ = ["document", "export_path", "remove_export", "write_export"]

_VERSION: Final = "2.0.0"
_SEAL: Final = "hmac:"
_SEAL_DIGITS: Final = 16
_OPTIONS: Final = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE


def export_path(project: Project, settings: Cache) -> Path:
    """Where the export of a project goes: ``cache.cache_dir``, relative to its root."""
    return project.root / settings.cache_dir / "hashes.json"


def write_export(store: CacheStore, path: Path) -> str | None:
    """Write the latest entry of each test; why that cannot be done, else ``None``."""
    content = _written(document(store.latest()))
    try:
        with suppress(OSError):
            if path.read_bytes() == content:
                return None
        write_atomically(path, content)
    except OSError as error:
        return f"`{path.name}` cannot be written: {error.strerror or error}"
    return None


def remove_export(path: Path) -> None:
    """Remove it, as nothing is in the cache any more; what cannot be removed stays."""
    with suppress(OSError):
        path.unlink(missing_ok=True)


def document(latest: Mapping[str, Entry]) -> dict[str, Any]:
    """The export of the latest entry of each test."""
    entries = {test_id: _entry(entry) for test_id, entry in latest.items()}
    return {
        "version": _VERSION,
        "last_updated": max((entry["updated"] for entry in entries.values()), default=None),
        "hashes": {test_id: entry["hash"] for test_id, entry in entries.items()},
        "entries": entries,
    }


def _written(exported: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(exported, option=_OPTIONS)
    except TypeError:  # Integers beyond 64 bits, lone surrogates.
        return json.dumps(exported, indent=2, sort_keys=True).encode() + b"\n"


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "hash": entry.hash,
        "verdict": entry.verdict,
        "rendered": entry.rendered,
        "vars_hash": entry.vars_hash,
        "env": {name: _short(value) for name, value in entry.env.items()},
        "files": dict(entry.files),
        "matrix": dict(entry.matrix),
        "backend": entry.backend,
        "status": "passed",
        "duration_ms": entry.duration_ms,
        "spans_digest": entry.spans,
        "last_used": entry.last_used,
        "updated": entry.updated,
    }


def _short(value: str | None) -> str | None:
    """A seal by its beginning: enough to compare."""
    is_seal = value is not None and value.startswith(_SEAL)
    return value[: len(_SEAL) + _SEAL_DIGITS] if value is not None and is_seal else value
