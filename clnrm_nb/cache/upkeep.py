"""What keeps the store within its limits and whole: eviction, clearing, verification.

Objects may be shared: the spans of an entry are those of a run in the history, and a run that took its result
names its record. So an entry that goes only says which objects the cache has no use for any more; they are
removed when nothing else refers to them, and not while they are so young that somebody may have put them
there for a row he has yet to write.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from clnrm_nb.errors import ClnrmError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterator, Sequence

    from clnrm_nb.cache.entry import Entry
    from clnrm_nb.state.store import State

__all__ = ["Verification", "clear", "evict", "is_among", "locked", "remove", "verify"]

_YOUNG_S: Final = 120.0
_MOST_GARBAGE: Final = 1_000
"""So many objects nobody may need are looked at together, even where nothing has to go."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What checking every object came to.

    Parameters
    ----------
    entries, objects : int
        How many were looked at.
    damaged : tuple of str
        Digests of objects that do not hold what they should; they are set aside.
    missing : tuple of str
        Digests of objects that entries name and that are not there.
    dropped : tuple of (str, str)
        Test and hash of the entries that went with them.
    """

    entries: int
    objects: int
    damaged: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    dropped: tuple[tuple[str, str], ...] = ()


def is_among(test_id: str, paths: Sequence[str]) -> bool:
    """Whether a test is meant by any of these: its id, its file, or a directory its file is in.

    Examples
    --------
    >>> is_among("tests/a.clnrm.toml[db=pg]", ["tests"]), is_among("tests/a.clnrm.toml", ["test"])
    (True, False)
    """
    if not paths:
        return True
    places = [path.rstrip("/") for path in paths]
    return any(place in (".", test_id) or test_id.startswith((f"{place}[", f"{place}/")) for place in places)


def remove(db: sqlite3.Connection, keys: Collection[tuple[str, str]]) -> None:
    """Remove entries within a transaction, and note what they leave behind."""
    for key in keys:
        row = db.execute(
            "DELETE FROM cache_entries WHERE test_id = ? AND hash = ? RETURNING record, spans", key
        ).fetchone()
        if row is not None:
            db.executemany(
                "INSERT OR IGNORE INTO cache_garbage (digest) VALUES (?)",
                [(digest,) for digest in row if digest is not None],
            )


def evict(state: State, max_entries: int, max_bytes: int) -> int:
    """Remove the least recently used entries beyond either limit; how many went."""
    rows = state.read(
        "SELECT (SELECT count(*) FROM cache_entries), (SELECT sum(size) FROM cache_entries), "
        "(SELECT count(*) FROM cache_manifests), (SELECT count(*) FROM cache_garbage)"
    )
    if not rows:
        return 0
    entries, size, manifests, garbage = rows[0]
    gone: list[tuple[str, str]] = []
    if max(entries, manifests) > max_entries or (size or 0) > max_bytes:
        state.write(lambda db: _let_go(db, max_entries, max_bytes, gone))
    if gone or garbage > _MOST_GARBAGE:
        _collect(state)
    return len(gone)


def _let_go(db: sqlite3.Connection, max_entries: int, max_bytes: int, gone: list[tuple[str, str]]) -> None:
    gone.clear()
    entries, size = 0, 0
    rows = db.execute("SELECT test_id, hash, size FROM cache_entries ORDER BY used DESC, rowid DESC")
    for row in rows.fetchall():
        entries, size = entries + 1, size + row["size"]
        if entries > max_entries or size > max_bytes:
            gone.append((row["test_id"], row["hash"]))
    remove(db, gone)
    db.execute(
        "DELETE FROM cache_manifests WHERE rowid NOT IN "
        "(SELECT rowid FROM cache_manifests ORDER BY used DESC, rowid DESC LIMIT ?)",
        (max_entries,),
    )


def clear(state: State, paths: Sequence[str]) -> int:
    """Remove entries and manifests of tests, alone among those who clear; how many entries went.

    Raises
    ------
    ClnrmError
        CLN805: another process is at it. CLN001: nothing can be written.
    """
    if not os.path.exists(state.directory):  # noqa: PTH110  # Unlike Path.exists() it never raises.
        return 0
    gone: list[tuple[str, str]] = []

    def work(db: sqlite3.Connection) -> None:
        gone.clear()
        keys = db.execute("SELECT test_id, hash FROM cache_entries").fetchall()
        gone.extend((row["test_id"], row["hash"]) for row in keys if is_among(row["test_id"], paths))
        remove(db, gone)
        files = db.execute("SELECT DISTINCT file FROM cache_manifests").fetchall()
        # A test's id begins with its file: what means a test of a file means its manifest.
        meant = [(row["file"],) for row in files if is_among(row["file"], [_file(path) for path in paths])]
        db.executemany("DELETE FROM cache_manifests WHERE file = ?", meant)

    with locked(state):
        if not state.write(work):
            raise ClnrmError(
                f"`{state.directory.name}` cannot be written", "CLN001", hint="nothing was cleared"
            )
        _collect(state)
    return len(gone)


def verify(state: State, keys: Collection[tuple[str, str]], entries: Sequence[Entry]) -> Verification:
    """Read every object there is; entries that lack one go, and rows that are no entries any more.

    Parameters
    ----------
    keys : collection of (str, str)
        Of all rows.
    entries : sequence of Entry
        Those of them that can be read.

    Raises
    ------
    ClnrmError
        CLN001: the objects cannot be listed; nothing is dropped for that.
    """
    try:
        digests = list(state.objects.digests())
    except OSError as error:
        raise ClnrmError(f"the objects cannot be read: {error.strerror}", "CLN001") from error
    good = {digest for digest in digests if state.objects.get(digest) is not None}
    lacking = [entry for entry in entries if not good.issuperset(entry.objects)]
    unreadable = set(keys).difference(entry.key for entry in entries)
    dropped = (*(entry.key for entry in lacking), *sorted(unreadable))
    if dropped:
        state.write(lambda db: remove(db, dropped))
    named = {digest for entry in lacking for digest in entry.objects}
    return Verification(
        entries=len(keys),
        objects=len(digests),
        damaged=tuple(digest for digest in digests if digest not in good),
        missing=tuple(sorted(named.difference(digests))),
        dropped=dropped,
    )


def _file(path: str) -> str:
    return path.partition("[")[0] if path.endswith("]") else path


@contextmanager
def locked(state: State) -> Iterator[None]:
    """Hold ``.clnrm/lock``; the system takes it from a process that dies.

    Raises
    ------
    ClnrmError
        CLN805: another process is clearing. CLN001: it cannot be written.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(state.directory / "lock", thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ClnrmError(
            f"`{state.directory.name}/lock` is held: another process is clearing",
            "CLN805",
            hint="wait until it is done; a lock that nobody holds does not count",
        ) from None
    except OSError as error:
        raise ClnrmError(
            f"`{state.directory.name}/lock` cannot be written: {error.strerror}",
            "CLN001",
            hint="nothing was cleared",
        ) from error
    try:
        yield
    finally:
        lock.release()


def _collect(state: State) -> None:
    """Remove the objects that evicted entries have left and nobody else refers to."""
    young_s = time.time() - _YOUNG_S

    def work(db: sqlite3.Connection) -> None:
        db.execute(_KEEP_REFERRED)
        for row in db.execute("SELECT digest FROM cache_garbage").fetchall():
            with suppress(OSError):
                path = state.objects.path(row["digest"])
                with suppress(FileNotFoundError):
                    if path.stat().st_mtime > young_s:
                        continue
                    path.unlink()
                db.execute("DELETE FROM cache_garbage WHERE digest = ?", (row["digest"],))

    state.write(work)


_KEEP_REFERRED: Final = """
    DELETE FROM cache_garbage AS g WHERE
    EXISTS (SELECT 1 FROM cache_entries WHERE record = g.digest)
    OR EXISTS (SELECT 1 FROM cache_entries WHERE spans = g.digest)
    OR EXISTS (SELECT 1 FROM history_objects WHERE digest = g.digest)
    OR EXISTS (SELECT 1 FROM journal_tests WHERE spans = g.digest)
    OR EXISTS (SELECT 1 FROM baseline_changes WHERE g.digest IN (before, after))
    OR EXISTS (SELECT 1 FROM reviews WHERE instr(document, g.digest))
"""
