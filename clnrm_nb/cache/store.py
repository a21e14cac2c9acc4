"""What is kept of tests that passed, so that they need not run again while nothing changes.

Entries are rows, what they hold of a run are objects; a row is written after its objects, so one without them
means that somebody removed them: a miss. Nothing here raises for the state of the disk: what cannot be read
is a miss, what cannot be written is said once (``State.diagnostics``, CLN804), and work goes on.
"""

from __future__ import annotations

import zlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.cache import upkeep
from clnrm_nb.cache.entry import Stats
from clnrm_nb.cache.manifest import Manifest
from clnrm_nb.cache.packing import pack, pack_large, unpack_large
from clnrm_nb.cache.rows import (
    array,
    decision_of,
    documents,
    entries_of,
    key_of,
    later_than_all,
    packed_key,
)
from clnrm_nb.cache.stamps import Stamps

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from clnrm_nb.cache.entry import Decision, Deposit, Entry, Stamp
    from clnrm_nb.cache.key import Key
    from clnrm_nb.cache.upkeep import Verification
    from clnrm_nb.config.keys import Cache
    from clnrm_nb.state.store import State

__all__ = ["CacheStore"]

_PACKED_LEVEL: Final = 1
_LATELY: Final = timedelta(minutes=1)

_TOUCH: Final = """
    UPDATE cache_entries SET used = ?, last_used = ? WHERE rowid IN (
        SELECT entry.rowid FROM json_each(?) AS one JOIN cache_entries AS entry
        ON entry.test_id = json_extract(one.value, '$[0]') AND entry.hash = json_extract(one.value, '$[1]')
        WHERE entry.last_used NOT BETWEEN ? AND ?
        OR EXISTS (SELECT 1 FROM cache_entries AS other
                   WHERE other.test_id = entry.test_id AND other.used > entry.used)
    )
"""


class CacheStore:
    """The cache of one project. Safe for threads, and for any number of processes at once.

    Parameters
    ----------
    state : State
        Where it is kept; stays open as long as the store is used.
    settings : Cache
        ``[cache]``: ``max_entries`` and ``max_size_mb`` are heeded here.
    now : callable, optional
        The clock of what is shown; nothing is decided by it.
    """

    def __init__(
        self, state: State, settings: Cache, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._state = state
        self._settings = settings
        self._now = now
        self._stamps = Stamps(state.objects)

    # ------------------------------------------------------------------------------------ entries: read

    def find(self, keys: Collection[tuple[str, str]]) -> dict[tuple[str, str], Entry]:
        """Those of the entries with these keys ``(test_id, hash)`` that there are, objects unseen."""
        rows = self._state.read(
            "SELECT entry.test_id, entry.hash, document, last_used FROM json_each(?) AS wanted "
            "JOIN cache_entries AS entry ON entry.test_id = json_extract(wanted.value, '$[0]') "
            "AND entry.hash = json_extract(wanted.value, '$[1]')",
            (array(keys),),
        )
        return {entry.key: entry for entry in entries_of(rows)}

    def latest(self, test_ids: Collection[str] | None = None) -> dict[str, Entry]:
        """Of each test the entry that was stored or used last; of all tests where none are named."""
        if test_ids is None:
            rows = self._state.read(
                "SELECT test_id, hash, document, last_used, max(used) FROM cache_entries "
                "GROUP BY test_id ORDER BY test_id"
            )
        else:
            rows = self._state.read(
                "SELECT test_id, hash, document, last_used, max(used) FROM cache_entries "
                "WHERE test_id IN (SELECT value FROM json_each(?)) GROUP BY test_id ORDER BY test_id",
                (array(test_ids),),
            )
        return {entry.test_id: entry for entry in entries_of(rows)}

    def entries(self, paths: Sequence[str] = ()) -> list[Entry]:
        """Entries of tests by id, file or directory (empty: all), those used last first."""
        rows = self._state.read(
            "SELECT test_id, hash, document, last_used FROM cache_entries ORDER BY used DESC, test_id"
        )
        return entries_of(row for row in rows if upkeep.is_among(row["test_id"], paths))

    def are_whole(self, entries: Collection[Entry]) -> set[tuple[str, str]]:
        """Keys of the entries whose objects are there and unharmed.

        An object that looks as it did when it was known good is trusted; else its content is checked, and if
        that is not what it should be, set aside.
        """
        return {entry.key for entry in entries if self._stamps.are_good(entry)}

    def record_of(self, entry: Entry) -> bytes | None:
        """The outcome as JSON; ``None`` if it is gone or damaged."""
        packed = self._state.get_object(entry.record)
        try:
            return None if packed is None else zlib.decompress(packed)
        except zlib.error:
            return None

    def spans_of(self, entry: Entry) -> bytes | None:
        """The spans as OTLP/JSON; ``None`` if there are none, or they are gone or damaged."""
        return None if entry.spans is None else self._state.get_object(entry.spans)

    def key_of(self, entry: Entry) -> Key | None:
        """The inputs of an entry part by part, and what it was judged by; ``None`` if they are damaged."""
        rows = self._state.read(
            "SELECT key FROM cache_entries WHERE test_id = ? AND hash = ?", (entry.test_id, entry.hash)
        )
        return next(iter(documents(rows, key_of)), None)

    # ----------------------------------------------------------------------------------- entries: write

    def put(self, deposits: Iterable[Deposit]) -> bool:
        """Keep results, objects first; then let the least recently used go where it is too much.

        Returns
        -------
        bool
            Whether all of them are kept for the next process.
        """
        kept = [self._kept(deposit) for deposit in deposits]
        rows = [row for row in kept if row is not None]
        if rows:
            is_kept = self._state.write(lambda db: self._insert(db, rows))
            self.evict()
            return is_kept and len(rows) == len(kept)
        return not kept

    def drop(self, keys: Collection[tuple[str, str]]) -> bool:
        """Forget entries: their tests failed under these hashes, or their objects are gone."""
        return not keys or self._state.write(lambda db: upkeep.remove(db, keys))

    def rejudge(self, entry: Entry, verdict: str | None, key: Key | None = None) -> bool:
        """Give an entry the verdict of what its spans were judged by now; ``None``: it did not pass.

        Parameters
        ----------
        key : Key, optional
            With the expectations of now.
        """
        document = pack(replace(entry, verdict=verdict).values())

        def work(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE cache_entries SET document = ?, key = coalesce(?, key) "
                "WHERE test_id = ? AND hash = ?",
                (document, key and packed_key(key), entry.test_id, entry.hash),
            )

        return self._state.write(work)

    def settle(
        self,
        *,
        used: Collection[Entry] = (),
        decisions: Collection[Decision] = (),
        counts: Mapping[str, int] | None = None,
        manifests: Collection[Manifest] = (),
        renewed: Collection[Manifest] = (),
    ) -> bool:
        """Write down what a look-up came to, in one transaction.

        Parameters
        ----------
        used : collection of Entry
            Hits: they are the last to go now. One that was so within a minute, and is the latest of its test,
            stays where it is: a thousand hits a second need not be a thousand rows written.
        decisions : collection of Decision
            Each in place of the last one about its test.
        counts : mapping of str to int
            Added to the counters: ``hits``, ``misses``, ``rejudged``, ``uncacheable``, ``audited``,
            ``false_hits``.
        manifests : collection of Manifest
            New ones, each in place of that of the same request.
        renewed : collection of Manifest
            What :meth:`Manifest.renewed` gave.
        """
        now = self._now()
        at, lately = _dated(now), _dated(now - _LATELY)
        seen = array([entry.key for entry in used])
        better = [(pack(entry.values()), *entry.key) for entry in map(self._stamps.renewed, used) if entry]
        said = [(one.test_id, pack(one)) for one in decisions]
        made = [(one.request, one.file, one.packed(), pack_large(one.prints)) for one in manifests]
        again = [(one.packed(), one.request) for one in renewed]
        counted = list((counts or {}).items())

        def work(db: sqlite3.Connection) -> None:
            tick = later_than_all(db)
            db.execute(_TOUCH, (tick, at, seen, lately, at))
            db.executemany("UPDATE cache_entries SET document = ? WHERE test_id = ? AND hash = ?", better)
            db.executemany("INSERT OR REPLACE INTO cache_decisions (test_id, document) VALUES (?, ?)", said)
            db.executemany(
                "INSERT OR REPLACE INTO cache_manifests (used, request, file, document, prints) "
                "VALUES (?, ?, ?, ?, ?)",
                [(tick, *row) for row in made],
            )
            db.executemany("UPDATE cache_manifests SET document = ? WHERE request = ?", again)
            db.executemany(
                "INSERT INTO cache_counters (name, value) VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
                counted,
            )

        return self._state.write(work)

    # ---------------------------------------------------------------------------------------- manifests

    def manifests(self, requests: Collection[str]) -> dict[str, Manifest]:
        """Manifests by request; those that are damaged or of another version are not there."""
        rows = self._state.read(
            "SELECT document FROM cache_manifests WHERE request IN (SELECT value FROM json_each(?))",
            (array(requests),),
        )
        return {one.request: one for one in documents(rows, Manifest.unpacked)}

    def manifest_of(self, file: str) -> Manifest | None:
        """The last manifest made of a scenario file, whatever was given: to tell what differs."""
        rows = self._state.read(
            "SELECT document FROM cache_manifests WHERE file = ? ORDER BY used DESC LIMIT 1", (file,)
        )
        return next(iter(documents(rows, Manifest.unpacked)), None)

    def prints_of(self, manifest: Manifest) -> dict[str, Any]:
        """:attr:`Manifest.prints`: of the lines of its files and the members of its mounts."""
        rows = self._state.read("SELECT prints FROM cache_manifests WHERE request = ?", (manifest.request,))
        return next(iter(documents(rows, unpack_large)), {})

    # --------------------------------------------------------------------------- decisions and counters

    def decisions(self, test_ids: Collection[str] | None = None) -> dict[str, Decision]:
        """The last decision about each test; about all tests where none are named."""
        if test_ids is None:
            rows = self._state.read("SELECT document FROM cache_decisions ORDER BY test_id")
        else:
            rows = self._state.read(
                "SELECT document FROM cache_decisions WHERE test_id IN (SELECT value FROM json_each(?)) "
                "ORDER BY test_id",
                (array(test_ids),),
            )
        return {decision.test_id: decision for decision in documents(rows, decision_of)}

    def stats(self) -> Stats:
        """The store at a glance."""
        counters = {
            row["name"]: row["value"]
            for row in self._state.read("SELECT name, value FROM cache_counters ORDER BY name")
        }
        for row in self._state.read(
            "SELECT count(*) AS entries, count(DISTINCT test_id) AS tests, coalesce(sum(size), 0) AS size, "
            "min(last_used) AS oldest, max(last_used) AS newest FROM cache_entries"
        ):
            return Stats(**dict(row), counters=counters)
        return Stats(0, 0, 0, None, None, counters)

    # ------------------------------------------------------------------------------------------- upkeep

    def evict(self) -> int:
        """Let the least recently used entries go until the rest is within the limits; how many went."""
        return upkeep.evict(self._state, self._settings.max_entries, self._settings.max_size_mb * 1024**2)

    def clear(self, paths: Sequence[str] = ()) -> int:
        """Forget entries and manifests of tests by id, file or directory (empty: all); how many entries went.

        Counters and the last decisions stay: they say what happened.

        Raises
        ------
        ClnrmError
            CLN805: another process is clearing. CLN001: the state directory cannot be written.
        """
        return upkeep.clear(self._state, paths)

    def verify(self) -> Verification:
        """Check every object against its digest; what is damaged is set aside, entries without objects go.

        Raises
        ------
        ClnrmError
            CLN001: the objects cannot be listed.
        """
        rows = self._state.read("SELECT test_id, hash, document, last_used FROM cache_entries")
        return upkeep.verify(self._state, [(row[0], row[1]) for row in rows], entries_of(rows))

    # ------------------------------------------------------------------------------------------- rows

    def _kept(self, deposit: Deposit) -> tuple[Any, ...] | None:
        """The row of an entry whose objects are written; ``None`` if they cannot be."""
        record = self._state.put_object(zlib.compress(deposit.record, _PACKED_LEVEL))
        spans = deposit.entry.spans
        if deposit.spans is not None:
            spans = self._state.put_object(deposit.spans)
        stamps = {digest: self._stamps.look(digest) for digest in (record, spans) if digest is not None}
        known: dict[str, Stamp] = {digest: stamp for digest, stamp in stamps.items() if stamp is not None}
        if record is None or len(known) != len(stamps) or (deposit.spans is not None and spans is None):
            return None
        key = packed_key(deposit.key)
        size = sum(stamp[0] for stamp in known.values()) + len(key)
        at = _dated(self._now())
        entry = replace(deposit.entry, record=record, spans=spans, stamps=known, updated=at, size=size)
        return (*entry.key, at, size, record, spans, pack(entry.values()), key)

    @staticmethod
    def _insert(db: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        upkeep.remove(db, [(row[0], row[1]) for row in rows])
        tick = later_than_all(db)
        db.executemany(
            "INSERT INTO cache_entries (used, test_id, hash, last_used, size, record, spans, document, key) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(tick, *row) for row in rows],
        )


def _dated(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
