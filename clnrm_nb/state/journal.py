"""Runs that are going on, so that one that breaks off can be gone on with (``--resume``, ``format.md`` 5.5).

A run is written down when it starts, with its owner and a digest of each test; each verdict follows as soon
as it is there. A run that ends whole leaves nothing behind here: its history takes over. What is left is of
runs that still go on, that were interrupted, or whose owner died.

A broken-off run is gone on with by one process only: taking it over is one transaction, which moves its
verdicts to the run that goes on and removes it. Whatever dies, each verdict stands in exactly one place.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Mapping, Sequence

    from clnrm_nb.state.store import State

__all__ = ["BrokenRun", "Journal", "Verdict", "broken_runs", "resumed_now"]

_RUNS_KEPT: Final = 100
"""A broken-off run that so many others have followed is forgotten."""


@dataclass(frozen=True, slots=True)
class BrokenRun:
    """A run that did not come to its end.

    Parameters
    ----------
    tests : mapping of str to str
        Digest of each test of the run.
    """

    run: str
    tests: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a broken-off run found out about a test.

    Parameters
    ----------
    origin : str
        The run in which the test really ran.
    at : str
        When that run began.
    document : dict
        The test's document (``format.md`` 11.3).
    spans : str, optional
        Digest of the object that holds its spans.
    recorded_in : str, optional
        The broken-off run in whose record the verdict stands, if it came to be recorded.
    """

    origin: str
    at: str
    document: Mapping[str, Any]
    spans: str | None
    recorded_in: str | None = None


class Journal:
    """The entry of one run. Nothing here raises for the state of the disk (see ``State.diagnostics``).

    Parameters
    ----------
    run : str
        Its id.
    at : str
        When it began.
    owner : str
        The process it lives and dies with.
    """

    def __init__(self, state: State, run: str, *, at: str, owner: str) -> None:
        self._state = state
        self._run = run
        self._at = at
        self._owner = owner

    def begin(self, digests: Mapping[str, str]) -> bool:
        """Write the run down as going on, none of its tests with a verdict yet."""
        return self._state.write(lambda db: self._begin(db, digests, resumes=None))

    def take_over(
        self, broken: BrokenRun, digests: Mapping[str, str], keeps: Collection[str]
    ) -> dict[str, Verdict] | None:
        """Write the run down as the one that goes on with `broken`.

        Parameters
        ----------
        digests : mapping of str to str
            The tests of this run.
        keeps : collection of str
            Those of them whose verdict counts if there is one.

        Returns
        -------
        dict of str to Verdict or None
            Verdicts by test; ``None`` if another process was faster.
        """
        taken: list[dict[str, Verdict]] = []

        def work(db: sqlite3.Connection) -> None:
            taken.clear()
            if not _rows(db, "SELECT 1 FROM journal WHERE run = ?", broken.run):
                return
            is_recorded = _rows(db, "SELECT 1 FROM runs WHERE id = ?", broken.run)
            sql = "SELECT * FROM journal_tests WHERE run = ? AND document IS NOT NULL"
            found = [_verdict(row) for row in _rows(db, sql, broken.run) if row["test_id"] in keeps]
            verdicts = {
                verdict.document["id"]: replace(verdict, recorded_in=broken.run) if is_recorded else verdict
                for verdict in found
                if verdict is not None
            }
            _rows(db, "DELETE FROM journal WHERE run = ?", broken.run)
            self._begin(db, digests, resumes=broken.run)
            for test_id, verdict in verdicts.items():
                self._put(db, test_id, verdict)
            taken.append(verdicts)

        self._state.write(work)
        return taken[0] if taken else None

    def add(self, documents: Mapping[str, Mapping[str, Any]], spans: Mapping[str, str]) -> bool:
        """Write down verdicts; spans are in the objects already."""

        def work(db: sqlite3.Connection) -> None:
            for test_id, document in documents.items():
                self._put(db, test_id, Verdict(self._run, self._at, document, spans.get(test_id)))

        return self._state.write(work)

    def break_off(self) -> bool:
        """The run has stopped before its end, its process lives on."""

        def work(db: sqlite3.Connection) -> None:
            _rows(db, "UPDATE journal SET is_broken = 1 WHERE run = ?", self._run)

        return self._state.write(work)

    def is_wanted(self) -> bool:
        """Whether any run is written down at all; a run in which nothing ran has nothing to add."""
        return bool(self._state.read("SELECT 1 FROM journal LIMIT 1"))

    def close(self, superseded: Sequence[str] = ()) -> bool:
        """The run is whole and stands in the history.

        Parameters
        ----------
        superseded : sequence of str
            Broken-off runs of which nothing is left that this one did not do.
        """

        def work(db: sqlite3.Connection) -> None:
            for run in (self._run, *superseded):
                _rows(db, "DELETE FROM journal WHERE run = ?", run)

        return self._state.write(work)

    def _begin(self, db: sqlite3.Connection, digests: Mapping[str, str], *, resumes: str | None) -> None:
        db.execute(
            "INSERT INTO journal (run, at, owner, resumes, is_broken) VALUES (?, ?, ?, ?, 0)",
            (self._run, self._at, self._owner, resumes),
        )
        db.executemany(
            "INSERT INTO journal_tests (run, test_id, digest) VALUES (?, ?, ?)",
            [(self._run, test_id, digest) for test_id, digest in digests.items()],
        )
        db.execute("DELETE FROM journal WHERE seq <= (SELECT max(seq) FROM journal) - ?", (_RUNS_KEPT,))

    def _put(self, db: sqlite3.Connection, test_id: str, verdict: Verdict) -> None:
        content = json.dumps(verdict.document, default=str, separators=(",", ":")).encode()
        db.execute(
            "UPDATE journal_tests SET origin = ?, origin_at = ?, document = ?, spans = ?, recorded_in = ? "
            "WHERE run = ? AND test_id = ?",
            (
                verdict.origin,
                verdict.at,
                zlib.compress(content, 1),
                verdict.spans,
                verdict.recorded_in,
                self._run,
                test_id,
            ),
        )


def broken_runs(state: State, is_gone: Callable[[str], bool]) -> list[BrokenRun]:
    """Runs that did not come to their end and nobody goes on with, the last one first.

    Parameters
    ----------
    is_gone : callable
        Whether the owner with this name has ended.
    """
    found = [
        row["run"]
        for row in state.read("SELECT run, owner, is_broken FROM journal ORDER BY seq DESC")
        if row["is_broken"] or is_gone(row["owner"])
    ]
    return [BrokenRun(run, _tests(state, run)) for run in found]


def resumed_now(state: State, tests: Collection[str], is_gone: Callable[[str], bool]) -> str | None:
    """The run that some process is going on with at this moment, if any of `tests` is among it."""
    rows = state.read("SELECT run, owner, resumes FROM journal WHERE resumes IS NOT NULL AND NOT is_broken")
    for row in rows:
        if not is_gone(row["owner"]) and not _tests(state, row["run"]).keys().isdisjoint(tests):
            return str(row["resumes"])
    return None


def _tests(state: State, run: str) -> dict[str, str]:
    rows = state.read("SELECT test_id, digest FROM journal_tests WHERE run = ?", (run,))
    return {row["test_id"]: row["digest"] for row in rows}


def _verdict(row: sqlite3.Row) -> Verdict | None:
    """``None`` for a damaged one: the test is simply run again."""
    try:
        document = json.loads(zlib.decompress(row["document"]))
    except (ValueError, zlib.error):
        return None
    return Verdict(row["origin"], row["origin_at"], document, row["spans"], row["recorded_in"])


def _rows(db: sqlite3.Connection, sql: str, *parameters: object) -> list[sqlite3.Row]:
    return db.execute(sql, parameters).fetchall()
