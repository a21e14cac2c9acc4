"""The index: one SQLite file in WAL mode, shared by threads and processes.

A connection is opened when it is first needed, so that looking at a project does not create files in it. A
damaged file is set aside under a name that says when, and a fresh one takes its place. A file that cannot be
written is read as it is; where that fails too, or a newer version made it, one in memory stands in for as
long as this process lives.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

from clnrm_nb.state.ignore import ignore_local_state

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

__all__ = ["MIGRATIONS", "Database"]

MIGRATIONS: Final = (
    """
    CREATE TABLE runs (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        at TEXT NOT NULL,
        document BLOB NOT NULL
    );
    CREATE TABLE results (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        at TEXT NOT NULL,
        test_id TEXT NOT NULL,
        status TEXT NOT NULL,
        duration_ms REAL,
        cached INTEGER NOT NULL,
        backend TEXT,
        trace_digest TEXT,
        spans TEXT,
        document BLOB NOT NULL
    );
    CREATE VIEW history AS
        SELECT seq, run, at, test_id, status, duration_ms, cached, backend, trace_digest FROM results;
    CREATE INDEX results_by_test ON results (test_id, seq);
    CREATE INDEX results_by_run ON results (run, seq);
    """,
    """
    CREATE TABLE reviews (
        id TEXT PRIMARY KEY,
        run TEXT NOT NULL,
        document BLOB NOT NULL
    );
    CREATE TABLE baseline_changes (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        decision TEXT NOT NULL UNIQUE,
        id TEXT NOT NULL,
        version INTEGER,
        digest TEXT,
        before TEXT,
        after TEXT
    );
    CREATE INDEX baseline_changes_by_id ON baseline_changes (id, seq);
    """,
    """
    CREATE TABLE journal (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        run TEXT NOT NULL UNIQUE,
        at TEXT NOT NULL,
        owner TEXT NOT NULL,
        resumes TEXT,
        is_broken INTEGER NOT NULL
    );
    CREATE TABLE journal_tests (
        run TEXT NOT NULL REFERENCES journal (run) ON DELETE CASCADE,
        test_id TEXT NOT NULL,
        digest TEXT NOT NULL,
        origin TEXT,
        origin_at TEXT,
        document BLOB,
        spans TEXT,
        recorded_in TEXT,
        PRIMARY KEY (run, test_id)
    );
    """,
    """
    ALTER TABLE results ADD COLUMN hash TEXT;
    ALTER TABLE results ADD COLUMN hash_reason TEXT;
    CREATE TABLE evidence (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        test_id TEXT NOT NULL,
        number INTEGER NOT NULL,
        hash TEXT NOT NULL,
        expectations TEXT NOT NULL,
        status TEXT NOT NULL
    );
    CREATE INDEX evidence_by_test ON evidence (test_id, seq);
    CREATE INDEX evidence_by_run ON evidence (run);
    """,
    """
    CREATE TABLE cache_entries (
        test_id TEXT NOT NULL,
        hash TEXT NOT NULL,
        used INTEGER NOT NULL,
        last_used TEXT NOT NULL,
        size INTEGER NOT NULL,
        record TEXT NOT NULL,
        spans TEXT,
        document BLOB NOT NULL,
        key BLOB NOT NULL,
        PRIMARY KEY (test_id, hash)
    );
    CREATE INDEX cache_entries_by_use ON cache_entries (used, size);
    CREATE INDEX cache_entries_by_record ON cache_entries (record);
    CREATE INDEX cache_entries_by_spans ON cache_entries (spans);
    CREATE TABLE cache_garbage (
        digest TEXT PRIMARY KEY
    );
    CREATE TABLE cache_manifests (
        request TEXT PRIMARY KEY,
        file TEXT NOT NULL,
        used INTEGER NOT NULL,
        document BLOB NOT NULL,
        prints BLOB NOT NULL
    );
    CREATE INDEX cache_manifests_by_file ON cache_manifests (file, used);
    CREATE INDEX cache_manifests_by_use ON cache_manifests (used);
    CREATE TABLE cache_counters (
        name TEXT PRIMARY KEY,
        value INTEGER NOT NULL
    );
    CREATE TABLE cache_decisions (
        test_id TEXT PRIMARY KEY,
        document BLOB NOT NULL
    );
    CREATE TABLE cache_leases (
        key TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        session TEXT NOT NULL,
        beat INTEGER NOT NULL
    );
    """,
    """
    CREATE TABLE images_seen (
        engine TEXT NOT NULL,
        name TEXT NOT NULL,
        id TEXT,
        PRIMARY KEY (engine, name)
    );
    """,
    """
    CREATE TABLE history_objects (
        digest TEXT PRIMARY KEY
    ) WITHOUT ROWID;
    INSERT INTO history_objects SELECT DISTINCT spans FROM results WHERE spans IS NOT NULL;
    """,
    """
    CREATE TABLE rule_uses (
        rule TEXT NOT NULL,
        run TEXT NOT NULL,
        matched INTEGER NOT NULL,
        PRIMARY KEY (rule, run)
    ) WITHOUT ROWID;
    """,
)
"""Each lifts the schema by one version; ``PRAGMA user_version`` counts those applied."""

_BUSY_TIMEOUT_S: Final = 30.0

# Switching to WAL does not wait for the busy timeout: two first runs at once have to take turns.
_WAL_ATTEMPTS: Final = 100
_WAL_PAUSE_S: Final = 0.05

_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class _NewerSchemaError(Exception):
    """The file was made by a newer version."""


class Warn(Protocol):
    """Takes one sentence; of several with one topic only the first is told."""

    def __call__(self, message: str, *, topic: str | None = None) -> None:
        """Tell it."""


class Database:
    """The connection of one process.

    Parameters
    ----------
    path : Path
        ``.clnrm/state.db``.
    warn : callable
        Called with one sentence when the file is set aside or cannot be used.
    """

    def __init__(self, path: Path, warn: Warn) -> None:
        self.path = path
        self._warn = warn
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._inode: tuple[int, int] | None = None
        self.is_kept = True
        """Whether what is written is there for the next process."""

    def close(self) -> None:
        """Close the connection; a later use opens a new one."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def read(self, sql: str, parameters: Sequence[object] = ()) -> list[sqlite3.Row]:
        """Rows of a query; none where there is no database yet."""
        with self._lock:
            if self._connection is None and not self.path.exists():
                return []
            return self._retrying(lambda connection: connection.execute(sql, parameters).fetchall())

    def write(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Run `work` in one transaction; it may be run twice, and only one run is kept.

        Raises
        ------
        sqlite3.Error
            The disk is full, or another process holds the database for more than 30 s.
        """

        def transaction(connection: sqlite3.Connection) -> list[sqlite3.Row]:
            with _immediate(connection):
                work(connection)
            return []

        with self._lock:
            self._retrying(transaction)

    def _retrying(self, work: Callable[[sqlite3.Connection], list[sqlite3.Row]]) -> list[sqlite3.Row]:
        try:
            return work(self._connect())
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            if not _is_damage(error):
                raise
            self._set_aside(error)
            return work(self._connect())

    # ----------------------------------------------------------------------------------------- opening

    def _connect(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._open_file() or self._open_read_only() or self._open_memory()
        return self._connection

    def _open_file(self) -> sqlite3.Connection | None:
        why = "it is damaged and cannot be set aside"
        for _ in range(2):
            try:
                return self._open()
            except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
                why = str(error)
                if not _is_damage(error):
                    break
                self._set_aside(error)
            except OSError as error:
                why = str(error)
                break
            except _NewerSchemaError:
                why = "a newer version of clnrm_nb made it"
                break
        self.is_kept = False
        message = f"`{self.path.name}` cannot be used: {why}; the run goes on and is not recorded in it"
        self._warn(message, topic="write")
        return None

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.path.exists():
            ignore_local_state(self.path.parent)
        connection = sqlite3.connect(
            self.path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        try:
            self._inode = _inode(self.path)
            connection.row_factory = sqlite3.Row
            _use_wal(connection)
            connection.execute("PRAGMA foreign_keys = ON")
            _migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _open_read_only(self) -> sqlite3.Connection | None:
        """What was recorded before, on a disk that takes no more; only if its schema is the one known."""
        # Without a writable directory there is no shared memory for WAL: then the file is read as it is,
        # unless some of what was recorded stands in the journal only. Half of it may be worse than nothing.
        as_it_is = () if self._has_journal() else ("&immutable=1",)
        for how in ("", *as_it_is):
            try:
                uri = f"{self.path.absolute().as_uri()}?mode=ro{how}"
                connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
            except (OSError, sqlite3.Error):
                return None
            connection.row_factory = sqlite3.Row
            with suppress(sqlite3.Error):
                if _version(connection) == len(MIGRATIONS):
                    return connection
            connection.close()
        return None

    def _has_journal(self) -> bool:
        try:
            return self.path.with_name(f"{self.path.name}-wal").stat().st_size > 0
        except FileNotFoundError:
            return False
        except OSError:
            return True

    @staticmethod
    def _open_memory() -> sqlite3.Connection:
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        _migrate(connection)
        return connection

    # ------------------------------------------------------------------------------------- setting aside

    def _set_aside(self, error: Exception) -> None:
        """Make room for a fresh file, unless another process has done so already."""
        self.close()
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        aside = self.path.with_name(f"{self.path.name}.damaged-{stamp}")
        with suppress(OSError), _exclusive(self.path.parent):
            if self._inode is None or _inode(self.path) != self._inode:
                return
            # The file itself goes last: whoever opens a fresh one must not meet the old one's journal.
            for suffix in ("-wal", "-shm"):
                with suppress(FileNotFoundError):
                    self.path.with_name(self.path.name + suffix).rename(f"{aside}{suffix}")
            self.path.rename(aside)
            self._warn(
                f"`{self.path.name}` is damaged ({error}); set aside as `{aside.name}`, starting afresh"
            )


@contextmanager
def _exclusive(directory: Path) -> Iterator[None]:
    """Alone among the processes that hold this lock on a directory."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_damage(error: Exception) -> bool:
    if isinstance(error, UnicodeDecodeError):
        # SQLite quotes the schema that it cannot make sense of.
        return True
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _use_wal(connection: sqlite3.Connection) -> None:
    for attempt in range(_WAL_ATTEMPTS):
        try:
            # Where WAL cannot work (some network disks) SQLite keeps its other journal.
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            is_busy = getattr(error, "sqlite_errorcode", 0) & 0xFF in (
                sqlite3.SQLITE_BUSY,
                sqlite3.SQLITE_LOCKED,
            )
            if not is_busy or attempt == _WAL_ATTEMPTS - 1:
                raise
            time.sleep(_WAL_PAUSE_S)
        else:
            return


def _migrate(connection: sqlite3.Connection) -> None:
    if _version(connection) == len(MIGRATIONS):
        return
    with _immediate(connection):
        # Asked again: another process may have done it while this one waited.
        version = _version(connection)
        if version > len(MIGRATIONS):
            raise _NewerSchemaError
        for script in MIGRATIONS[version:]:
            for statement in filter(str.strip, script.split(";")):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def _version(connection: sqlite3.Connection) -> int:
    with closing(connection.execute("PRAGMA user_version")) as cursor:
        return int(cursor.fetchone()[0])


@contextmanager
def _immediate(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
