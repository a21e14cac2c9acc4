"""Verdicts with the hash of what they were reached from: these rows alone prove that a test is flaky.

One row an attempt, so that a failure that a retry made good is kept beside the pass. A test is flaky if equal
inputs, judged by equal expectations, gave unequal verdicts; nothing else is evidence.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from clnrm_nb.state.store import State

__all__ = ["VERDICTS", "Attempt", "Contradiction", "Evidence"]

VERDICTS: Final = ("passed", "failed", "incomplete")
"""The statuses that say something about a test: the others mean that it was not judged."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One verdict on one test.

    Parameters
    ----------
    number : int
        Which attempt of its run, from 1.
    hash, expectations : str
        Of its inputs, and of what it was judged by.
    """

    test_id: str
    number: int
    hash: str
    expectations: str
    status: str


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two verdicts that prove a test flaky: the later one, and the last before it that says otherwise."""

    test_id: str
    hash: str
    earlier: dict[str, Any]
    later: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """``hash`` and ``runs``, each run with its id, its attempt and its status; the earlier one first."""
        return {"hash": self.hash, "runs": [self.earlier, self.later]}


class Evidence:
    """The rows of one project.

    Parameters
    ----------
    state : State
        Where they are kept. Writing never raises for the disk: it returns whether it is kept.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    def add(self, run_id: str, attempts: Sequence[Attempt]) -> bool:
        """Keep the verdicts of a run, which is saved already."""
        if not attempts:
            return True
        rows = [{"run": run_id, **asdict(attempt)} for attempt in attempts]

        def work(db: sqlite3.Connection) -> None:
            db.executemany(
                "INSERT INTO evidence (run, test_id, number, hash, expectations, status) "
                "VALUES (:run, :test_id, :number, :hash, :expectations, :status)",
                rows,
            )

        return self._state.write(work)

    def contradictions(self, since: Mapping[str, str]) -> dict[str, Contradiction]:
        """By test, the latest pair of unequal verdicts on equal inputs; tests without one are left out.

        Parameters
        ----------
        since : mapping of test id to run id
            The tests asked about, each with the first run that counts.
        """
        rows = self._state.read(
            "SELECT run, test_id, number, hash, expectations, status FROM evidence "
            "JOIN json_each(?) AS since ON since.key = test_id AND run >= since.value ORDER BY seq",
            (json.dumps(dict(since)),),
        )
        last: dict[tuple[str, str, str], dict[str, Any]] = {}
        found: dict[str, Contradiction] = {}
        for row in rows:
            key = (row["test_id"], row["hash"], row["expectations"])
            now = {"run": row["run"], "attempt": row["number"], "status": row["status"]}
            before = last.get(key)
            if before is not None and before["status"] != now["status"]:
                found[row["test_id"]] = Contradiction(row["test_id"], row["hash"], before, now)
            last[key] = now
        return found
