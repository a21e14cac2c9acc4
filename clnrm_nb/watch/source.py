"""Notices that files changed, quickly by events and surely by looking, in a thread of its own.

Events are hints: each path they name is looked at, and only another content is a change. A look at everything
that counts (`Tree`) is made whenever events cannot be the whole truth: at the start, when directories come or
go, when too many events came to be all, and every few seconds. Where events do not come at all, looking is
all there is.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from clnrm_nb.watch.changes import Batch, Place, Remark
from clnrm_nb.watch.events import Events, UnwatchableError
from clnrm_nb.watch.identity import Identity
from clnrm_nb.watch.ignore import IGNORE_FILES, is_passing
from clnrm_nb.watch.pace import Pace
from clnrm_nb.watch.sieve import Sieve
from clnrm_nb.watch.tree import Tree
from clnrm_nb.watch.trust import Trust

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from clnrm_nb.watch.canary import Canary
    from clnrm_nb.watch.changes import Means, Reading
    from clnrm_nb.watch.events import Raw
    from clnrm_nb.watch.graph import Graph
    from clnrm_nb.watch.ignore import Rules

__all__ = ["FileWatcher"]

_MS: Final = 1_000_000
_DELETED: Final = 3
# Time to the next look after one that failed.
_TROUBLE_NS: Final = 1_000 * _MS
# A turn that took so long was stopped on its way, and the queue may have overflowed meanwhile.
_STOPPED_NS: Final = 3_000 * _MS


@dataclass(frozen=True, slots=True)
class _Asked:
    """What to watch: places and single files; and what others have read."""

    places: tuple[Place, ...] = ()
    names: tuple[str, ...] = ()
    readings: tuple[Reading, ...] = ()

    def expect(self, identity: Identity) -> set[str]:
        """Take note of what was read; gives the files."""
        for reading in self.readings:
            identity.expect(reading)
        return {path for reading in self.readings for path in reading.contents}


class FileWatcher:
    """Watches directories until it is closed.

    Parameters
    ----------
    graph : Graph
        What tests depend on counts, whatever its name. Call `refresh` after changing it.
    rules : Rules
        What counts by its name below `roots`.
    roots : sequence of Place
        Where new files are looked for: what the person asked to watch.
    deliver : callable
        Is given each batch of changes, in the watcher's thread; it should only hand it on.
    tell : callable
        Is given remarks, each kind once, in the watcher's thread.
    canary : Canary, optional
        Proves at the start that events come.
    pace : Pace, optional
        How often to look.
    events : Events, optional
        The system's events; others in tests.
    poll : bool
        Never ask for events.
    """

    def __init__(
        self,
        graph: Graph,
        rules: Rules,
        roots: Collection[Place],
        deliver: Callable[[Batch], None],
        tell: Callable[[Remark], None],
        *,
        canary: Canary | None = None,
        pace: Pace | None = None,
        events: Events | None = None,
        poll: bool = False,
    ) -> None:
        self.means: Means = "polling" if poll else "events"
        self._graph = graph
        self._rules = rules
        self._roots = tuple(roots)
        self._deliver = deliver
        self._tell = tell
        self._trust = Trust(canary)
        self._pace = pace or Pace()
        self._events = events or Events()
        self._tree = Tree(self._counts, self._enters)
        self._identity = Identity()
        self._sieve = Sieve(self._identity, self._counts)
        self._closing = threading.Event()
        self._ready = threading.Event()
        self._lock = threading.Lock()
        self._asked: _Asked | None = None
        self._told: set[str] = set()
        self._next_look_ns = 0
        self._thread = threading.Thread(target=self._run, name="clnrm-watch", daemon=True)

    def start(self, *readings: Reading) -> None:
        """Begin, and return when no later change can be missed.

        Parameters
        ----------
        *readings : Reading
            What was read of files so far: a change since then is delivered first. All other files are taken
            as they are now.
        """
        self._want(readings)
        self._thread.start()
        self._ready.wait()

    def refresh(self, *readings: Reading) -> None:
        """The graph has other facts than before, or files were read.

        Returns at once. Call it in the thread that changes the graph.

        Parameters
        ----------
        *readings : Reading
            As in `start`; of tests that began to run, too.
        """
        self._want(readings)

    def close(self) -> None:
        """End; nothing is delivered any more."""
        self._closing.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def _want(self, readings: Iterable[Reading]) -> None:
        places = {*self._roots, *self._graph.places(), Place(self._rules.root)}
        if self._trust.canary is not None:
            places.add(Place(self._trust.canary.directory))
        with self._lock:
            asked = self._asked.readings if self._asked is not None else ()
            self._asked = _Asked(tuple(sorted(places)), tuple(self._graph.paths()), (*asked, *readings))

    # What counts

    def _counts(self, path: str) -> bool:
        if self._graph.names(path) or self._counts_by_name(path):
            return True
        is_nothing = self._rules.is_own(path) or is_passing(os.path.basename(path))
        return not is_nothing and self._graph.covers(path)

    def _counts_by_name(self, path: str) -> bool:
        return self._rules.counts(path) and _lies_in_any(path, self._roots)

    def _enters(self, directory: str, is_whole: bool) -> bool:  # noqa: FBT001  # Called by position.
        return self._rules.enters(directory, whole=is_whole)

    # The thread

    def _run(self) -> None:
        try:
            self._begin()
            self._ready.set()
            while not self._closing.is_set():
                self._survive()
        finally:
            self._ready.set()
            self._events.close()
            self._trust.end()

    def _begin(self) -> None:
        self._pace.changed(time.monotonic_ns())
        asked = self._take()
        self._tree.places = asked.places
        read = asked.expect(self._identity)
        paths = self._look(is_forced=True)
        while not self._tree.directories and not self._closing.wait(_TROUBLE_NS / 1e9):
            paths = self._look(is_forced=True)
        self._identity.learn((*asked.names, *paths))
        paths.update(read)
        if self.means == "events":
            self._trust.begin(time.monotonic_ns())
        self._confirm(paths)

    def _survive(self) -> None:
        """One turn; whatever goes wrong in it is told, and watching goes on."""
        try:
            self._once()
        except Exception as error:  # noqa: BLE001  # Dying in silence would look like seeing nothing.
            self._give_up_events(
                Remark("unwatchable", f"watching by events broke down ({error!r}); files are polled instead")
            )
            self._next_look_ns = time.monotonic_ns() + _TROUBLE_NS

    def _once(self) -> None:
        if self._asked is not None:
            paths = self._adopt(self._take())
        elif self.means == "events":
            paths = self._by_events()
        else:
            paths = self._by_looking()
        if not self._closing.is_set():
            self._confirm(paths)

    def _take(self) -> _Asked:
        with self._lock:
            asked, self._asked = self._asked, None
        return asked or _Asked(self._tree.places)

    def _adopt(self, asked: _Asked) -> set[str]:
        """Other places: what nobody watched for is taken as it is, what should have been known is new."""
        read = asked.expect(self._identity)
        links = [name for name in asked.names if name not in self._identity and os.path.islink(name)]
        self._identity.learn(asked.names)
        if asked.places == self._tree.places and not links:
            return read
        whole = [place for place in self._tree.places if place.whole]
        self._tree.places = asked.places
        paths = self._look()
        self._learn_strangers(paths, whole)
        return paths | read

    def _by_events(self) -> set[str]:
        began = time.monotonic_ns()
        try:
            raw = self._events.wait(self._pace.step_ms(began), self._patience_ms(began), self._closing)
        except UnwatchableError as refusal:
            self._refuse(refusal)
            return set()
        now = time.monotonic_ns()
        distrust = self._trust.hear(raw, now)
        if distrust is not None:
            self._give_up_events(distrust)
            return set()
        paths = {path for _kind, path in raw}
        was_stopped = now - began > _STOPPED_NS
        if self._is_structural(raw, now) or was_stopped:
            return paths | self._look(is_forced=self._has_lost_directory(raw))
        for path in paths & self._tree.aliases.keys():
            paths.update(self._tree.aliases[path])
        return paths | self._check(paths, now) if now >= self._next_look_ns else paths

    def _by_looking(self) -> set[str]:
        now = time.monotonic_ns()
        wait_ns = min(self._next_look_ns - now, self._sieve.again_ns or _TROUBLE_NS, self._pace.turn_ns(now))
        self._closing.wait(max(wait_ns, _MS) / 1e9)
        return self._look() if time.monotonic_ns() >= self._next_look_ns else set()

    def _patience_ms(self, now_ns: int) -> int:
        """How long to wait for events: until something else has to be done, or may have been asked for.

        watchfiles forgets what it has heard when its waiting is cut short, so that it never is.
        """
        until_ns = min(
            self._next_look_ns - now_ns, self._sieve.again_ns or _TROUBLE_NS, self._pace.turn_ns(now_ns)
        )
        return max(until_ns // _MS, 1)

    # What events leave open

    def _is_structural(self, raw: Raw, now_ns: int) -> bool:
        """Whether directories came or went, ignore rules changed, or there were too many events to be all."""
        if self._trust.is_flood(raw, now_ns):
            self._remark(
                Remark(
                    "lost-events",
                    "so many files changed at once that events may be lost; everything was looked at again",
                )
            )
            return True
        if any(path.endswith(IGNORE_FILES) for _kind, path in raw):
            self._rules.forget()
            return True
        return any(
            self._tree.is_concerned(path) or (os.path.islink(path) and self._counts(path))
            for _kind, path in raw
        )

    def _has_lost_directory(self, raw: Raw) -> bool:
        """Whether a watch is void: another directory may stand in the place, with the same number."""
        return any(kind == _DELETED and path in self._tree.directories for kind, path in raw)

    def _look(self, *, is_forced: bool = False) -> set[str]:
        """Look at everything, and watch the directories that are there now."""
        paths: set[str] = set()
        try:
            look = self._tree.look()
            paths.update(look.paths)
            is_open = True
            for _attempt in range(3):
                if self.means == "polling" or not (look.is_moved or is_forced):
                    break
                is_open = self._open()
                look = self._tree.look()  # What came before the directories were watched.
                paths.update(look.paths)
                is_forced = False
        except OSError as error:
            self._remark(Remark("unreadable", f"directories cannot be read just now: {error}"))
            self._next_look_ns = time.monotonic_ns() + _TROUBLE_NS
            return paths
        now = time.monotonic_ns()
        is_evented = self.means == "events"
        pause_ns = self._pace.look_ns(look.cost_ns) if is_evented else self._pace.poll_ns(now, look.cost_ns)
        self._next_look_ns = now + (pause_ns if is_open else _MS)
        self._remark_places()
        return paths

    def _open(self) -> bool:
        """Watch the directories; False if one of them has just gone."""
        try:
            self._events.open(list(self._tree.directories))
            self._trust.again(time.monotonic_ns())
        except FileNotFoundError:
            return False
        except UnwatchableError as refusal:
            self._refuse(refusal)
        return True

    def _check(self, heard: Collection[str], now_ns: int) -> set[str]:
        """The look from time to time; what it finds without an event is suspicious."""
        directories = self._tree.directories
        paths = self._look()
        if self._tree.directories.keys() == directories.keys():
            silent = (
                path
                for path in paths
                if not (self._sieve.holds(path) or os.path.islink(path))
                and self._identity.look(path)[0] is not None
            )
            self._trust.doubt(silent, heard, now_ns)
        return paths

    def _refuse(self, refusal: UnwatchableError) -> None:
        self._give_up_events(Remark(refusal.kind, f"{refusal}; files are polled instead", refusal.hint))

    def _give_up_events(self, remark: Remark) -> None:
        self.means = "polling"
        self._events.close()
        self._next_look_ns = 0
        self._remark(remark)

    # What is told

    def _learn_strangers(self, paths: Iterable[str], whole: Collection[Place]) -> None:
        """Take files that nobody knew as they are, but where new ones are looked for."""
        self._identity.learn(
            path for path in paths if not (self._counts_by_name(path) or _lies_in_any(path, whole))
        )

    def _confirm(self, paths: Iterable[str]) -> None:
        now = time.monotonic_ns()
        counting = [path for path in paths if self._counts(path)]
        # A look may come between a new fact of the graph and the `refresh` that says so.
        self._learn_strangers(counting, [place for place in self._tree.places if place.whole])
        changes = self._sieve.take(counting, now)
        if changes:
            self._pace.changed(now)
            self._deliver(Batch(changes, now, self.means))

    def _remark_places(self) -> None:
        missing = [place.path for place in self._roots if place.path in self._tree.missing]
        if missing:
            self._remark(Remark("root-gone", f"{missing[0]} is gone; it is watched again when it comes back"))
        else:
            self._told.discard("root-gone")
        if self._tree.unreadable:
            path = self._tree.unreadable[0]
            self._remark(Remark("unreadable", f"{path} cannot be read and is not watched"))

    def _remark(self, remark: Remark) -> None:
        if remark.kind not in self._told:
            self._told.add(remark.kind)
            self._tell(remark)


def _lies_in_any(path: str, places: Iterable[Place]) -> bool:
    for place in places:
        if place.recursive:
            if path.startswith(place.path if place.path.endswith("/") else f"{place.path}/"):
                return True
        elif os.path.dirname(path) == place.path:
            return True
    return False
