"""Single flight: of several processes that want the same test with the same inputs, one runs it.

A lease is a row with the process and the session that holds it. Of processes of this machine it is known
whether they live (a pid is told from one that is used again by its start time and boot); those of another one
show that they live by a beat, judged by the clock of whoever waits, since clocks of two machines differ. A
lease whose holder is gone is taken over. Nobody has to hold one to be right: it only saves work. Whoever
holds some finishes those before he waits for others, so that no two runs wait for each other.
"""

from __future__ import annotations

import asyncio
import json
import time
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final, Self

from clnrm_nb.reaper.ownership import Owner, is_gone, this_process

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Sequence
    from types import TracebackType

    from clnrm_nb.state.store import State

__all__ = ["BEAT_S", "Leases"]

BEAT_S: Final = 5.0
_SILENT_S: Final = 6 * BEAT_S
_FIRST_PAUSE_S: Final = 0.02
_LONGEST_PAUSE_S: Final = 0.25

_OF_KEYS: Final = "SELECT * FROM cache_leases WHERE key IN (SELECT value FROM json_each(?))"

_sessions: set[str] = set()
"""Those of this process that may still hold leases."""


class Leases:
    """The leases of one run. To be closed: what it holds then is free.

    Parameters
    ----------
    state : State
        Where no lease can be written, each is granted: everybody runs what he wants.
    owner : Owner, optional
        The process that holds them (default: this one).

    Examples
    --------
    ::

        with Leases(state) as leases:
            mine = leases.take(hashes)
            theirs = hashes - mine
            ...                                 # run mine, leases.release(hash) after each is stored
            while theirs:
                free = await leases.wait(theirs)
                theirs -= free
                ...                             # look up again; what is a miss: leases.take, run
    """

    def __init__(self, state: State, owner: Owner | None = None) -> None:
        self._state = state
        self._owner = str(owner or this_process())
        self._session = token_hex(8)
        self._beats: dict[tuple[str, str], tuple[int, float]] = {}
        _sessions.add(self._session)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of everything. May be called twice."""
        if self._session in _sessions:
            _sessions.discard(self._session)
            self._state.write(self._delete_all)

    def take(self, keys: Collection[str]) -> set[str]:
        """Those of the keys (hashes) that nobody alive holds; they are this run's now."""
        mine: set[str] = set()

        def work(db: sqlite3.Connection) -> None:
            mine.clear()
            _sweep(db)
            rows = db.execute(_OF_KEYS, (json.dumps(list(keys)),)).fetchall()
            mine.update(set(keys) - self._taken(rows))
            db.executemany(
                "INSERT OR REPLACE INTO cache_leases (key, owner, session, beat) VALUES (?, ?, ?, 0)",
                [(key, self._owner, self._session) for key in mine],
            )

        if keys and not self._state.write(work):
            return set(keys)
        return mine

    def release(self, keys: Collection[str]) -> None:
        """Let go of leases, results stored or not."""

        def work(db: sqlite3.Connection) -> None:
            db.executemany(
                "DELETE FROM cache_leases WHERE key = ? AND session = ?",
                [(key, self._session) for key in keys],
            )

        if keys:
            self._state.write(work)

    def held(self, keys: Collection[str]) -> set[str]:
        """Those of the keys that some other run holds which is not known to be gone."""
        return self._taken(self._state.read(_OF_KEYS, (json.dumps(list(keys)),)))

    async def wait(self, keys: Collection[str], timeout_s: float | None = None) -> set[str]:
        """Wait until some of the keys are free; those that are. Empty: none in time."""
        end = None if timeout_s is None else time.monotonic() + timeout_s
        pause_s = _FIRST_PAUSE_S
        while not (free := set(keys) - self.held(keys)) and keys:
            left_s = pause_s if end is None else min(pause_s, end - time.monotonic())
            if left_s <= 0:
                break
            await asyncio.sleep(left_s)
            pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)
        return free

    async def beat(self) -> None:
        """Show other machines that this run lives; to be cancelled at its end."""
        while True:
            await asyncio.sleep(BEAT_S)
            await asyncio.to_thread(
                self._state.write,
                lambda db: _discard(
                    db.execute("UPDATE cache_leases SET beat = beat + 1 WHERE session = ?", (self._session,))
                ),
            )

    def _taken(self, rows: Sequence[sqlite3.Row]) -> set[str]:
        """Keys of the leases that others hold who are not gone."""
        owners = {text: _living(text) for text in {row["owner"] for row in rows}}
        return {
            row["key"]
            for row in rows
            if row["session"] != self._session and not self._is_free(row, owners[row["owner"]])
        }

    def _is_free(self, row: sqlite3.Row, owner: Owner | None) -> bool:
        here = this_process()
        if owner is None or owner == here:
            return owner is None or row["session"] not in _sessions
        return owner.machine != here.machine and self._is_silent(row)

    def _is_silent(self, row: sqlite3.Row) -> bool:
        """Whether a holder elsewhere has not shown that it lives for long, as seen from here."""
        lease = (row["key"], row["session"])
        beat, since_s = self._beats.get(lease, (None, 0.0))
        if beat != row["beat"]:
            self._beats[lease] = (row["beat"], time.monotonic())
            return False
        return time.monotonic() - since_s > _SILENT_S

    def _delete_all(self, db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM cache_leases WHERE session = ?", (self._session,))


def _sweep(db: sqlite3.Connection) -> None:
    """Remove what processes that are gone have left: nobody may ever ask for it again."""
    owners = [row["owner"] for row in db.execute("SELECT DISTINCT owner FROM cache_leases").fetchall()]
    gone = [(owner,) for owner in owners if _living(owner) is None]
    db.executemany("DELETE FROM cache_leases WHERE owner = ?", gone)


def _living(text: str) -> Owner | None:
    """The owner with a name, unless it is known to be gone."""
    owner = Owner.parse(text)
    return None if owner is None or is_gone(owner) else owner


def _discard(_: Any) -> None:
    """A transaction returns nothing."""
