"""Which images an engine had under which names when it was last asked, for runs in which none answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from clnrm_nb.state.store import State

__all__ = ["SeenImages"]


class SeenImages:
    """The images of one engine.

    Parameters
    ----------
    engine : str
        What the engine goes by here: an address as it was given.
    """

    def __init__(self, state: State, engine: str) -> None:
        self._state = state
        self._engine = engine

    def last(self) -> dict[str, str | None]:
        """Content addresses by name as last seen; ``None`` for one that was gone."""
        rows = self._state.read("SELECT name, id FROM images_seen WHERE engine = ?", (self._engine,))
        return {row["name"]: row["id"] for row in rows}

    def note(self, ids: Mapping[str, str | None]) -> None:
        """Remember what an engine has just said."""
        last = self.last() if ids else {}
        rows = [(self._engine, name, found) for name, found in ids.items() if last.get(name, "") != found]

        def work(db: sqlite3.Connection) -> None:
            db.executemany("INSERT OR REPLACE INTO images_seen (engine, name, id) VALUES (?, ?, ?)", rows)

        if rows:
            self._state.write(work)
