"""Rows of the store read and written: what cannot be read any more is as if it were not there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.cache.entry import Decision, Entry
from clnrm_nb.cache.key import Key
from clnrm_nb.cache.packing import DamagedError, pack_large, unpack, unpack_large

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Iterable

__all__ = ["array", "decision_of", "documents", "entries_of", "key_of", "later_than_all", "packed_key"]

_entry: Final[Callable[..., Entry]] = Entry
"""By position, the last field by name: an earlier version wrote fewer of them."""


def array(values: Collection[object]) -> str:
    """Values as a parameter for ``json_each``."""
    return json.dumps(list(values))


def entries_of(rows: Iterable[sqlite3.Row]) -> list[Entry]:
    """Entries of rows that begin with test, hash, document and time of use."""
    found: list[Entry] = []
    for row in rows:
        try:
            entry = _entry(*unpack(row[2]), last_used=row[3])
        except (DamagedError, TypeError):
            continue
        # A row that took the place of another one is no answer.
        if entry.test_id == row[0] and entry.hash == row[1]:
            found.append(entry)
    return found


def documents(rows: Iterable[sqlite3.Row], read: Callable[[bytes], Any]) -> list[Any]:
    """What the first columns hold."""
    found = []
    for row in rows:
        try:
            found.append(read(row[0]))
        except (DamagedError, TypeError, AttributeError, KeyError):
            continue
    return found


def decision_of(packed: bytes) -> Decision:
    """The decision of some bytes."""
    return Decision.from_json(unpack(packed))


def packed_key(key: Key) -> bytes:
    """A key with all its parts."""
    return pack_large({"parts": key.parts, "expectations": key.expectations, "rules": key.rules})


def key_of(packed: bytes) -> Key:
    """The key of some bytes."""
    document = unpack_large(packed)
    return Key(document["parts"], document["expectations"], document.get("rules", {}))


def later_than_all(db: sqlite3.Connection) -> int:
    """Later than every use so far: clocks go back, this does not."""
    found = db.execute(
        "SELECT max(coalesce((SELECT max(used) FROM cache_entries), 0), "
        "coalesce((SELECT max(used) FROM cache_manifests), 0)) + 1"
    )
    return int(found.fetchone()[0])
