"""When something happens after a save: two edges, told by a clock that the caller owns.

The *leading* edge is the first change after quiet: what changed is rendered, validated and shown at once. The
*trailing* edge comes when it was quiet for ``settle_ms``, at the latest ``debounce_ms`` after the first
change: then tests run. Each change belongs to exactly one trailing edge. What was changed back meanwhile is
no change.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clnrm_nb.watch.changes import Change

__all__ = ["Leading", "Settle", "Trailing"]

_MS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Leading:
    """The first changes after quiet: show diagnostics, cancel what is obsolete."""

    changes: tuple[Change, ...]
    since_ns: int


@dataclass(frozen=True, slots=True)
class Trailing:
    """Quiet, or waited long enough: run what depends on these.

    Parameters
    ----------
    changes : tuple of Change
        From what the last run saw to what is there now; sorted by path. Empty if all was changed back.
    since_ns : int
        When the first of them came.
    """

    changes: tuple[Change, ...]
    since_ns: int


@dataclass(slots=True)
class Settle:
    """The machine; times are nanoseconds of any clock that does not go back.

    Parameters
    ----------
    settle_ms : int
        Quiet that ends a burst of changes.
    debounce_ms : int
        Longest wait from its first change; if it is shorter than `settle_ms`, it decides.
    """

    settle_ms: int = 50
    debounce_ms: int = 300
    _pending: dict[tuple[str, tuple[str, ...]], Change] = field(default_factory=dict, repr=False)
    _first_ns: int | None = field(default=None, repr=False)
    _last_ns: int = field(default=0, repr=False)

    def event(self, changes: Iterable[Change], now_ns: int) -> Leading | None:
        """Changes came; a leading edge if they are the first since the last trailing one."""
        changes = tuple(changes)
        if not changes:
            return None
        for change in changes:
            key = change.path, change.readers
            earlier = self._pending.get(key)
            self._pending[key] = change if earlier is None else joined(earlier, change)
        self._last_ns = now_ns
        if self._first_ns is not None:
            return None
        self._first_ns = now_ns
        return Leading(changes, now_ns)

    @property
    def due_ns(self) -> int | None:
        """When `tick` will have something to give; None if nothing is pending."""
        if self._first_ns is None:
            return None
        return min(self._last_ns + self.settle_ms * _MS, self._first_ns + self.debounce_ms * _MS)

    def tick(self, now_ns: int) -> Trailing | None:
        """A trailing edge, if it is time for one."""
        due = self.due_ns
        return self.flush() if due is not None and now_ns >= due else None

    def flush(self) -> Trailing | None:
        """The trailing edge at once, as when a person asks for it; None if nothing is pending."""
        if self._first_ns is None:
            return None
        changes = (change for change in self._pending.values() if change.before != change.after)
        edge = Trailing(tuple(sorted(changes, key=lambda change: change.path)), self._first_ns)
        self._pending = {}
        self._first_ns = None
        return edge


def joined(earlier: Change, later: Change) -> Change:
    """Two changes of a file one after the other, as one."""
    targets = tuple(dict.fromkeys((*earlier.targets, *later.targets)))
    return replace(later, before=earlier.before, targets=targets)
