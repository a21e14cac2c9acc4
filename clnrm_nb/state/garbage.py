"""Objects that nothing refers to any more: what a killed process left, and versions that are not kept.

An object counts as needed when any row of any table names its digest: a table made later need not be told
here. All is done in one transaction, so that no row is written meanwhile; what may still get its row (it is
young, or a run that was there before it goes on) is left alone.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

from clnrm_nb.reaper.ownership import Owner, is_gone

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from clnrm_nb.state.store import State

__all__ = ["Garbage", "collect"]

YOUNG_S: Final = 600.0
"""Objects are written right before their rows; this is many times what lies between."""

_DIGEST: Final = re.compile(rb"sha256:[0-9a-f]{64}")
_PREFIX: Final = "sha256:"
_NOT_A_USE: Final = frozenset({"cache_garbage"})


@dataclass(slots=True)
class Garbage:
    """What was found.

    Parameters
    ----------
    objects : list of (str, int)
        Digest and size in bytes of each object that went, or would.
    leftovers : list of (str, int)
        The same of files that writers who were killed left half-written, by name.
    young : int
        Objects without a row that are too young to judge.
    kept : int
        Objects without a row that somebody vouched for.
    versions : int
        Rows of older versions that went.
    """

    objects: list[tuple[str, int]] = field(default_factory=list)
    leftovers: list[tuple[str, int]] = field(default_factory=list)
    young: int = 0
    kept: int = 0
    versions: int = 0

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(size for _, size in (*self.objects, *self.leftovers))


def collect(
    state: State,
    *,
    is_needed: Callable[[bytes], bool] = lambda _: False,
    keep_versions: int = 0,
    dry_run: bool = False,
    young_s: float = YOUNG_S,
) -> Garbage | None:
    """Remove the objects that nothing refers to.

    Parameters
    ----------
    is_needed : callable
        Told the first kilobyte of an object without a row: whether it must stay all the same.
    keep_versions : int
        So many older versions of each baseline keep their rows, and with them their objects; 0: all.
    dry_run : bool
        Remove nothing.
    young_s : float
        Seconds in which an object may wait for its row.

    Returns
    -------
    Garbage or None
        ``None``: the index cannot be relied on, so that nothing was removed.
    """
    found = Garbage()

    def work(db: sqlite3.Connection) -> None:
        found.objects, found.leftovers = [], []
        found.young = found.kept = 0
        found.versions = _forget_versions(db, keep_versions)
        _sweep(state, found, _used(db), _cutoff(db, young_s), is_needed, dry_run=dry_run)
        if dry_run:
            raise _NothingWrittenError

    if _is_lost(state):
        return None
    try:
        is_done = state.write(work)
    except _NothingWrittenError:
        is_done = True
    return found if is_done and not state.diagnostics else None


class _NothingWrittenError(Exception):
    """Takes a transaction back."""


def _is_lost(state: State) -> bool:
    """Whether rows are missing that should be there: an index that was set aside, or none beside objects."""
    if any(state.directory.glob("state.db.damaged-*")):
        return True
    return not (state.directory / "state.db").is_file() and state.objects.root.is_dir()


def _used(db: sqlite3.Connection) -> set[str]:
    """Every digest that any row names, in whatever column."""
    used: set[str] = set()
    tables = [row["name"] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    for table in tables:
        if table in _NOT_A_USE or table.startswith("sqlite_"):
            continue
        for column in [row["name"] for row in db.execute(f'PRAGMA table_info("{table}")')]:
            wanted = f'SELECT "{column}" FROM "{table}" WHERE instr("{column}", ?)'  # noqa: S608  # Names of our own schema.
            for prefix in (_PREFIX, _PREFIX.encode()):
                for row in db.execute(wanted, (prefix,)):
                    value = row[0] if isinstance(row[0], bytes) else str(row[0]).encode()
                    used.update(digest.decode() for digest in _DIGEST.findall(value))
    return used


def _cutoff(db: sqlite3.Connection, young_s: float) -> float:
    """Seconds since the epoch: what is younger may be of somebody who has yet to write its row."""
    starts = [time.time() - young_s]
    for row in db.execute("SELECT at, owner FROM journal WHERE NOT is_broken"):
        owner = Owner.parse(row["owner"])
        if owner is not None and not is_gone(owner):
            starts.append(datetime.fromisoformat(row["at"]).timestamp())
    return min(starts)


def _forget_versions(db: sqlite3.Connection, keep: int) -> int:
    """Remove the rows of versions beyond the newest one and `keep` older ones; how many."""
    if not keep:
        return 0
    gone = 0
    for (baseline_id,) in db.execute("SELECT DISTINCT id FROM baseline_changes").fetchall():
        rows = db.execute(
            "SELECT seq, version FROM baseline_changes WHERE id = ? ORDER BY seq DESC", (baseline_id,)
        ).fetchall()
        kept: set[int | None] = set()
        for row in rows:
            if len(kept) <= keep or row["version"] in kept:
                kept.add(row["version"])
            else:
                db.execute("DELETE FROM baseline_changes WHERE seq = ?", (row["seq"],))
                gone += 1
    return gone


def _sweep(
    state: State,
    found: Garbage,
    used: set[str],
    cutoff: float,
    is_needed: Callable[[bytes], bool],
    *,
    dry_run: bool,
) -> None:
    for digest in list(state.objects.digests()):
        if digest in used:
            continue
        try:
            with state.objects.path(digest).open("rb") as file:
                head = file.read(1024)
        except OSError:
            continue
        if is_needed(head):
            found.kept += 1
            continue
        size = state.objects.discard(digest, older_than=cutoff, dry_run=dry_run)
        if size is None:
            found.young += 1
        else:
            found.objects.append((digest, size))
    for path in sorted(state.objects.root.glob("*/.*.tmp")):
        try:
            status = path.stat()
            if status.st_mtime <= cutoff:
                if not dry_run:
                    path.unlink()
                found.leftovers.append((path.name, status.st_size))
        except OSError:
            continue
