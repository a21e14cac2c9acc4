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
from pathlib import Path
from typing import TYPE_CHECKING, Final

from clnrm_nb.watch.changes import Batch, Place, Remark
from clnrm_nb.watch.events import Events, UnwatchableError
from clnrm_nb.watch.identity import Identity
from clnrm_nb.watch.ignore import IGNORE_FILES, is_passing
from clnrm_nb.watch.pace import Pace
from clnrm_nb.watch.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from clnrm_nb.watch.canary import Canary
    from clnrm_nb.watch.changes import Change, Means
    from clnrm_nb.watch.events import Raw
    from clnrm_nb.watch.graph import Graph
    from clnrm_nb.watch.ignore import Rules

__all__ = ["FileWatcher"]

_MS: Final = 1_000_000
# A file that is gone or empty is looked at again before that is believed: editors truncate, or delete and
# create.
_HOLD_NS: Final = 30 * _MS
# An event that comes so much later than the change was found by looking is taken for lost.
_LATE_NS: Final = 2_000 * _MS
_DELETED: Final = 3


def _flood() -> int:
    """So many events at once that the queue may have overflowed; watchfiles does not say whether it has."""
    try:
        return int(Path("/proc/sys/fs/inotify/max_queued_events").read_text(encoding="ascii")) // 4
    except (OSError, ValueError):
        return 4_096


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
        self._canary = canary
        self._pace = pace or Pace()
        self._events = events or Events()
        self._tree = Tree(self._counts, self._enters)
        self._identity = Identity()
        self._attention = threading.Event()
        self._ready = threading.Event()
        self._lock = threading.Lock()
        self._is_closing = False
        self._wanted: tuple[tuple[Place, ...], dict[str, str | None]] | None = None
        self._told: set[str] = set()
        self._held: dict[str, int] = {}
        self._suspects: dict[str, int] = {}
        self._next_look_ns = 0
        self._flood = _flood()
        self._thread = threading.Thread(target=self._run, name="clnrm-watch", daemon=True)

    def start(self, known: Mapping[str, str | None] | None = None) -> None:
        """Begin, and return when no later change can be missed.

        Parameters
        ----------
        known : Mapping, optional
            What files held when they were last read (SHA-256 in hex; None: looked for and not there), by
            path: a change since then is delivered first. All other files are taken as they are now.
        """
        self._want(known)
        self._thread.start()
        self._ready.wait()

    def refresh(self, known: Mapping[str, str | None] | None = None) -> None:
        """The graph has other facts than before: watch where they are; `known` as in `start`.

        Returns at once. Call it in the thread that changes the graph.
        """
        self._want(known)

    def close(self) -> None:
        """End; nothing is delivered any more."""
        self._is_closing = True
        self._attention.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def _want(self, known: Mapping[str, str | None] | None) -> None:
        places = {*self._roots, *self._graph.places(), Place(self._rules.root)}
        if self._canary is not None:
            places.add(Place(self._canary.directory))
        with self._lock:
            before = self._wanted[1] if self._wanted else {}
            self._wanted = tuple(sorted(places)), {**before, **(known or {})}
            self._attention.set()

    # What counts

    def _counts(self, path: str) -> bool:
        if self._graph.names(path):
            return True
        if self._rules.is_own(path) or is_passing(os.path.basename(path)):
            return False
        return self._graph.covers(path) or self._counts_by_name(path)

    def _counts_by_name(self, path: str) -> bool:
        return self._rules.counts(path) and any(_lies_in(path, root) for root in self._roots)

    def _enters(self, directory: str, is_whole: bool) -> bool:  # noqa: FBT001  # Called by position.
        return self._rules.enters(directory, whole=is_whole)

    # The thread

    def _run(self) -> None:
        try:
            self._begin()
            self._ready.set()
            while not self._is_closing:
                self._once()
        finally:
            self._ready.set()
            self._events.close()
            if self._canary is not None:
                self._canary.remove()

    def _begin(self) -> None:
        now = time.monotonic_ns()
        self._pace.changed(now)
        if self._canary is not None and not self._canary.prepare():
            self._canary = None
        places, known = self._take()
        self._tree.places = places
        self._identity.expect(known)
        self._tree.look()
        self._identity.learn(self._tree.files)
        paths = {*known, *self._look(is_forced=True)}
        if self._canary is not None and self.means == "events":
            self._canary.write(now)
        self._confirm(paths, now)

    def _once(self) -> None:
        if self._attention.is_set():
            paths = self._adopt()
        elif self.means == "events":
            paths = self._by_events()
        else:
            paths = self._by_looking()
        if not self._is_closing:
            self._confirm(paths, time.monotonic_ns())

    def _take(self) -> tuple[tuple[Place, ...], dict[str, str | None]]:
        with self._lock:
            wanted, self._wanted = self._wanted, None
            self._attention.clear()
            if self._is_closing:
                self._attention.set()
        return wanted or (self._tree.places, {})

    def _adopt(self) -> Iterable[str]:
        """Other places: what nobody watched for is taken as it is, what should have been known is new."""
        places, known = self._take()
        watched = self._tree.directories.keys()
        self._identity.expect(known)
        self._tree.places = places
        paths = {*known, *self._look()}
        new = [path for path in paths if path not in self._identity]
        self._identity.learn(
            path for path in new if os.path.dirname(path) not in watched or not self._counts_by_name(path)
        )
        return paths

    def _by_events(self) -> Iterable[str]:
        now = time.monotonic_ns()
        step_ms = self._pace.step_ms(now)
        try:
            raw = self._events.wait(step_ms, self._patience_ms(now), self._attention)
        except UnwatchableError as refusal:
            self._give_up_events(Remark(refusal.kind, f"{refusal}; files are polled", refusal.hint))
            return ()
        now = time.monotonic_ns()
        paths = {path for _kind, path in raw}
        if self._is_silent(paths, now):
            return ()
        if self._is_structural(raw):
            return {*paths, *self._look(is_forced=self._has_lost_directory(raw))}
        for path in tuple(paths & self._tree.aliases.keys()):
            paths.update(self._tree.aliases[path])
        if now >= self._next_look_ns:
            paths |= self._check(paths, now)
        self._accuse(paths, now)
        return paths

    def _by_looking(self) -> Iterable[str]:
        wait_ns = min(self._next_look_ns - time.monotonic_ns(), self._hold_ns())
        self._attention.wait(max(wait_ns, _MS) / 1e9)
        return self._look() if time.monotonic_ns() >= self._next_look_ns else ()

    def _patience_ms(self, now_ns: int) -> int:
        """How long to wait for events: until something else has to be done."""
        until_ns = min(self._next_look_ns - now_ns, self._hold_ns(), 500 * _MS)
        return max(until_ns // _MS, 1)

    def _hold_ns(self) -> int:
        return 5 * _MS if self._held else 3_600_000 * _MS

    # What events leave open

    def _is_structural(self, raw: Raw) -> bool:
        """Whether directories came or went, rules changed, or there were too many events to be all."""
        if len(raw) >= self._flood:
            self._remark(
                "lost-events",
                "so many files changed at once that events may be lost; all were looked at again",
            )
            return True
        is_structural = False
        for _kind, path in raw:
            if os.path.basename(path) in IGNORE_FILES:
                self._rules.forget()
                is_structural = True
            elif path in self._tree.directories or (not self._counts(path) and os.path.isdir(path)):
                is_structural = True
        return is_structural

    def _has_lost_directory(self, raw: Raw) -> bool:
        """Whether a watch is void: another directory may stand in the place, with the same number."""
        return any(kind == _DELETED and path in self._tree.directories for kind, path in raw)

    def _look(self, *, is_forced: bool = False) -> set[str]:
        """Look at everything, and watch the directories that are there now."""
        look = self._tree.look()
        paths = set(look.paths)
        is_open = self.means == "polling"
        for _attempt in range(3):
            if self.means == "polling" or not (look.is_moved or is_forced):
                is_open = True
                break
            is_forced = not self._open()
            look = self._tree.look()  # What came before the directories were watched.
            paths.update(look.paths)
        now = time.monotonic_ns()
        between = (
            self._pace.look_ns(look.cost_ns)
            if self.means == "events"
            else self._pace.poll_ns(now, look.cost_ns)
        )
        self._next_look_ns = now + (between if is_open else 0)
        self._remark_places()
        return paths

    def _open(self) -> bool:
        """Watch the directories; False if one of them has just gone."""
        try:
            self._events.open(list(self._tree.directories))
        except FileNotFoundError:
            return False
        except UnwatchableError as refusal:
            self._give_up_events(Remark(refusal.kind, f"{refusal}; files are polled", refusal.hint))
        return True

    def _check(self, heard: Collection[str], now_ns: int) -> set[str]:
        """The look from time to time; what it finds without an event is suspicious."""
        directories = self._tree.directories.keys()
        paths = self._look()
        for path in paths:
            is_plain = os.path.dirname(path) in directories and not os.path.islink(path)
            if path not in heard and is_plain and self._identity.look(path)[0] is not None:
                self._suspects.setdefault(path, now_ns)
        return paths

    def _accuse(self, heard: Collection[str], now_ns: int) -> None:
        """Events that have still not come after a look found their change do not come here."""
        for path, since_ns in tuple(self._suspects.items()):
            if path in heard and since_ns != now_ns:
                del self._suspects[path]
            elif now_ns - since_ns > _LATE_NS:
                self._suspects.clear()
                self._give_up_events(
                    Remark("no-events", f"the system told nothing of a change of {path}; files are polled")
                )
                return

    def _is_silent(self, heard: Collection[str], now_ns: int) -> bool:
        if self._canary is None or self._canary.hears(heard) or not self._canary.is_silent(now_ns):
            return False
        self._canary.remove()
        self._give_up_events(
            Remark("no-events", "the system tells no file events here; files are polled instead")
        )
        return True

    def _give_up_events(self, remark: Remark) -> None:
        self.means = "polling"
        self._events.close()
        self._next_look_ns = 0
        self._remark(remark.kind, remark.message, remark.hint)

    # What is told

    def _confirm(self, paths: Iterable[str], now_ns: int) -> None:
        """Tell of those files whose content is another; what looks unfinished is looked at again first."""
        changes: list[Change] = []
        for path in sorted({*(path for path in paths if self._counts(path)), *self._held}):
            change, sight = self._identity.look(path)
            if change is None:
                self._held.pop(path, None)
            elif sight.is_unfinished and now_ns - self._held.setdefault(path, now_ns) < _HOLD_NS:
                continue
            else:
                self._held.pop(path, None)
                self._identity.remember(path, sight)
                changes.append(change)
        if changes:
            self._pace.changed(now_ns)
            self._deliver(Batch(tuple(changes), now_ns, self.means))

    def _remark_places(self) -> None:
        missing = [place.path for place in self._roots if place.path in self._tree.missing]
        if missing:
            self._remark("root-gone", f"{missing[0]} is gone; it is watched again when it comes back")
        else:
            self._told.discard("root-gone")
        if self._tree.unreadable:
            self._remark("unreadable", f"{self._tree.unreadable[0]} cannot be read and is not watched")

    def _remark(self, kind: str, message: str, hint: str | None = None) -> None:
        if kind not in self._told:
            self._told.add(kind)
            self._tell(Remark(kind, message, hint))


def _lies_in(path: str, root: Place) -> bool:
    if root.recursive:
        return path.startswith(root.path if root.path.endswith("/") else f"{root.path}/")
    return os.path.dirname(path) == root.path
