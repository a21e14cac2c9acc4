"""The state of one project, as everybody else sees it: runs, results, spans, history, objects.

Spans are objects, everything that is asked for by test or by time is a row; documents are compressed JSON in
their rows. Rows are written in one short transaction after their objects, so a row without its object can
only mean that somebody removed the object: a miss.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import zlib
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final, Self

from clnrm_nb.errors import Diagnostic
from clnrm_nb.state import heads
from clnrm_nb.state.database import Database
from clnrm_nb.state.export import append_lines, history_line
from clnrm_nb.state.ids import new_run_id
from clnrm_nb.state.objects import ObjectStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

__all__ = ["GIT", "MADE_OF", "State"]

MADE_OF: Final = "made_of"
"""Key of a stored run's ``data``: test id → hashes of its file and of the variables it read."""
GIT: Final = "git"
"""Key of a stored run's ``data``: branch and commit of the checkout it ran in."""

_NO_VERDICT: Final = ("skipped", "interrupted")

RUNS_WEIGHED: Final = 10
_WEIGHT_OF_NEWEST: Final = 0.4


class State:
    """The state directory of a project. Safe for threads, and for any number of processes at once.

    Parameters
    ----------
    state_dir : Path
        ``.clnrm``, or what ``--state-dir`` names. Created by the first write; reading creates nothing.
    """

    def __init__(self, state_dir: Path) -> None:
        self.directory = state_dir
        self._lock = threading.Lock()
        self._findings: dict[str, Diagnostic] = {}
        self._database = Database(state_dir / "state.db", self._warn)
        self.objects = ObjectStore(state_dir / "objects", self._warn)

    @classmethod
    def open(cls, state_dir: Path) -> Self:
        """The state below `state_dir`; never raises for what is, or is not, on disk."""
        return cls(state_dir)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files. May be called twice."""
        self._database.close()

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """What was found damaged or could not be written (CLN804), each thing once."""
        with self._lock:
            return tuple(self._findings.values())

    def warn(self, message: str) -> None:
        """Say one more thing of the kind (CLN804), for whoever keeps things here."""
        self._warn(message)

    def _warn(self, message: str, *, topic: str | None = None) -> None:
        with self._lock:
            self._findings.setdefault(topic or message, Diagnostic("CLN804", message))

    def _keep(self, work: Callable[[], object]) -> bool:
        """Do something that may fail for the state of the disk; whether it succeeded."""
        try:
            work()
        except (OSError, sqlite3.Error, UnicodeError) as error:
            what = f"`{self.directory.name}` cannot be written: {error}"
            self._warn(f"{what}; the run goes on, not all of it is recorded", topic="write")
            return False
        return True

    # ------------------------------------------------------------------------------------------ writing

    def save_run(
        self,
        document: Mapping[str, Any],
        spans: Mapping[str, bytes],
        *,
        kept: Mapping[str, str] | None = None,
        moved_from: Mapping[str, str] | None = None,
        records: Mapping[str, str] | None = None,
    ) -> bool:
        """Record a run: its document, its tests, their spans; then export its history lines.

        Parameters
        ----------
        document : mapping
            The report of ``format.md`` 11.3, tests in ``data.tests``, with ``run`` (its id; default: a new
            one) and, if known, ``workers``. A run that is saved again is replaced.
        spans : mapping of test id to bytes
            All spans of a test as OTLP/JSON.
        kept : mapping of test id to str, optional
            Digests of spans that are objects already.
        moved_from : mapping of test id to str, optional
            Runs in which tests really ran whose verdicts were taken over. Where such a run is recorded, the
            verdict moves from there to this run: each stands in the history once.
        records : mapping of test id to str, optional
            Of cached tests whose documents are heads: digests of the objects that hold the rest.

        Returns
        -------
        bool
            Whether everything was kept; if not, :attr:`diagnostics` says why. Never raises for the disk.
        """
        run = {key: value for key, value in document.items() if key != "data"}
        data = dict(document.get("data") or {})
        tests: list[dict[str, Any]] = list(data.pop("tests", ()))
        run["data"] = data
        run.setdefault("run", new_run_id())
        at = str(run.get("started_at") or "")
        digests: dict[str, str] = dict(kept or {})
        is_kept = self._keep(
            lambda: digests.update((test_id, self.objects.put(spans[test_id])) for test_id in spans)
        )
        held = records or {}
        rows = [
            _result_row(run["run"], at, test, digests.get(test["id"]), held.get(test["id"])) for test in tests
        ]
        named = [(digest,) for digest in {*digests.values(), *held.values()}]
        moved: set[str] = set()

        def work(db: sqlite3.Connection) -> None:
            moved.clear()
            moved.update(_take_away(db, moved_from or {}))
            _insert(db, run, at, rows)
            # The history is never shortened: what it has named once stays. Those of cached tests are known.
            db.executemany("INSERT OR IGNORE INTO history_objects (digest) VALUES (?)", named)

        is_kept &= self._keep(lambda: self._database.write(work))
        lines = [history_line(run, test, at=at) for test in tests if test["id"] not in moved]
        is_kept &= self._keep(lambda: append_lines(self.directory / "history" / "runs.ndjson", lines))
        return is_kept and self._database.is_kept

    def put_object(self, content: bytes) -> str | None:
        """Keep some bytes; their digest, or ``None`` if they cannot be written (see :attr:`diagnostics`)."""
        digests: list[str] = []
        self._keep(lambda: digests.append(self.objects.put(content)))
        return digests[0] if digests else None

    def write(self, work: Callable[[sqlite3.Connection], None]) -> bool:
        """Change rows in one transaction; whether the next process will see it (see :attr:`diagnostics`)."""
        return self._keep(lambda: self._database.write(work)) and self._database.is_kept

    # ------------------------------------------------------------------------------------------ reading

    def read(self, sql: str, parameters: Sequence[object] = ()) -> list[sqlite3.Row]:
        """Rows of a query; none where they cannot be read (see :attr:`diagnostics`)."""
        return self._read(sql, parameters)

    def get_object(self, digest: str) -> bytes | None:
        """The bytes of a digest; ``None`` if they are missing or damaged."""
        return self.objects.get(digest)

    def runs(self, limit: int = 20) -> list[dict[str, Any]]:
        """The last runs, newest first: their documents without the tests."""
        return self._documents("SELECT document FROM runs ORDER BY seq DESC LIMIT ?", (limit,))

    def run(self, run_id: str) -> dict[str, Any] | None:
        """The whole document of one run, tests in report order; ``None`` if there is no such run."""
        for document in self._documents("SELECT document FROM runs WHERE id = ?", (run_id,)):
            tests = self._documents("SELECT document FROM results WHERE run = ? ORDER BY seq", (run_id,))
            return {**document, "data": {**document["data"], "tests": tests}}
        return None

    def history(self, tests: Sequence[str] = (), limit: int | None = None) -> list[dict[str, Any]]:
        """Rows of the ``History`` frame (``format.md`` 12), newest first.

        Parameters
        ----------
        tests : sequence of str
            Test ids or globs of them; empty: all.
        limit : int, optional
            At most so many rows.
        """
        most = -1 if limit is None else limit
        if not tests:
            rows = self._read("SELECT * FROM history ORDER BY seq DESC LIMIT ?", (most,))
        else:
            known = [row["test_id"] for row in self._read("SELECT DISTINCT test_id FROM results")]
            chosen = [
                name for name in known if any(name == text or fnmatchcase(name, text) for text in tests)
            ]
            rows = self._read(
                "SELECT * FROM history WHERE test_id IN (SELECT value FROM json_each(?)) "
                "ORDER BY seq DESC LIMIT ?",
                (json.dumps(chosen), most),
            )
        return [_history_row(row) for row in rows]

    def last_results(self) -> dict[str, dict[str, Any]]:
        """The latest verdict on each test (skipped, interrupted: none), as rows of :meth:`history`."""
        rows = self._read(
            "SELECT * FROM history WHERE seq IN "
            "(SELECT max(seq) FROM results WHERE status NOT IN (?, ?) GROUP BY test_id)",
            _NO_VERDICT,
        )
        return {row["test_id"]: _history_row(row) for row in rows}

    def durations(self) -> dict[str, float]:
        """Milliseconds that each test is expected to take.

        An exponentially weighted mean of the last :data:`RUNS_WEIGHED` times it was really run to its end:
        one slow day does not make a test a long one, and one that has become faster is soon known to be.
        """
        # The index gives the names and each test's newest rows; no other row is read.
        rows = self._read(
            "SELECT test_id, duration_ms FROM (SELECT DISTINCT test_id AS name FROM results) "
            "JOIN results ON seq IN (SELECT seq FROM results WHERE test_id = name AND NOT cached "
            "AND duration_ms IS NOT NULL AND status NOT IN (?, ?, 'cached', 'error') "
            "ORDER BY seq DESC LIMIT ?) ORDER BY seq",
            (*_NO_VERDICT, RUNS_WEIGHED),
        )
        means: dict[str, float] = {}
        for row in rows:
            name, duration_ms = row["test_id"], row["duration_ms"]
            mean = means.get(name, duration_ms)
            means[name] = mean + _WEIGHT_OF_NEWEST * (duration_ms - mean)
        return means

    def spans_of(self, test_id: str, run_id: str | None = None) -> bytes | None:
        """Stored spans of a test (OTLP/JSON): of one run, or the latest that has any; ``None``: none."""
        rows = self._read(
            "SELECT spans FROM results WHERE test_id = ? AND spans IS NOT NULL AND (? IS NULL OR run = ?) "
            "ORDER BY seq DESC LIMIT 1",
            (test_id, run_id, run_id),
        )
        return self.get_object(rows[0]["spans"]) if rows else None

    def _documents(self, sql: str, parameters: Sequence[object]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for row in self._read(sql, parameters):
            try:
                found.append(heads.unpack(row["document"], self.get_object))
            except (ValueError, KeyError, zlib.error) as error:
                self._warn(f"a document in `state.db` is damaged ({error}); left out")
        return found

    def _read(self, sql: str, parameters: Sequence[object] = ()) -> list[sqlite3.Row]:
        try:
            return self._database.read(sql, parameters)
        except (OSError, sqlite3.Error, UnicodeError) as error:
            self._warn(f"`state.db` cannot be read: {error}", topic="read")
            return []


# ------------------------------------------------------------------------------------------------ rows


def _result_row(
    run_id: str, at: str, test: Mapping[str, Any], spans: str | None, record: str | None
) -> tuple[Any, ...]:
    return (
        run_id,
        at,
        test["id"],
        test["status"],
        test.get("duration_ms"),
        bool(test.get("cached")),
        test.get("backend"),
        test.get("trace_digest"),
        spans,
        test.get("hash"),
        test.get("hash_reason"),
        heads.pack(test) if record is None else heads.pack_head(test, record),
    )


def _insert(db: sqlite3.Connection, run: Mapping[str, Any], at: str, rows: Sequence[tuple[Any, ...]]) -> None:
    db.execute("DELETE FROM runs WHERE id = ?", (run["run"],))
    db.execute("INSERT INTO runs (id, at, document) VALUES (?, ?, ?)", (run["run"], at, heads.pack(run)))
    db.executemany(
        "INSERT INTO results "
        "(run, at, test_id, status, duration_ms, cached, backend, trace_digest, spans, "
        "hash, hash_reason, document) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )


def _take_away(db: sqlite3.Connection, origins: Mapping[str, str]) -> set[str]:
    """Remove the results of tests from the runs they ran in; those that were there."""
    return {
        test_id
        for test_id, run in origins.items()
        if db.execute("DELETE FROM results WHERE run = ? AND test_id = ?", (run, test_id)).rowcount
    }


def _history_row(row: sqlite3.Row) -> dict[str, Any]:
    columns = {key: row[key] for key in row.keys() if key != "seq"}  # noqa: SIM118  # A row iterates over values.
    return {**columns, "cached": bool(row["cached"])}
