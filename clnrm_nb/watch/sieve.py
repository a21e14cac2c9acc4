"""From paths that something may have happened to, to changes of content.

Many ways to save a file pass through a moment in which it is empty or gone. Such a moment is not told at
once: the file is looked at again until it was like that for `HOLD_MS`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from clnrm_nb.watch.changes import Change
    from clnrm_nb.watch.identity import Identity

__all__ = ["HOLD_MS", "Sieve"]

HOLD_MS: Final = 30
_AGAIN_MS: Final = 5
_MS: Final = 1_000_000


@dataclass(slots=True)
class Sieve:
    """Keeps back what is no change, or not yet.

    Parameters
    ----------
    identity : Identity
        What files held when last told.
    counts : callable
        Whether a file counts, by its path.
    """

    identity: Identity
    counts: Callable[[str], bool]
    _held: dict[str, int] = field(default_factory=dict, repr=False)

    def take(self, paths: Iterable[str], now_ns: int) -> tuple[Change, ...]:
        """Changes among these paths and those held back, sorted by path; each is told once."""
        changes: list[Change] = []
        for path in sorted({*(path for path in paths if self.counts(path)), *self._held}):
            change, sight = self.identity.look(path)
            if sight.is_unknown:
                self._held[path] = now_ns
            elif change is None:
                self._held.pop(path, None)
            elif not sight.is_unfinished or now_ns - self._held.setdefault(path, now_ns) >= HOLD_MS * _MS:
                self._held.pop(path, None)
                self.identity.remember(path, sight, now_ns)
                changes.append(change)
        return tuple(changes)

    def holds(self, path: str) -> bool:
        """Whether a file is held back."""
        return path in self._held

    @property
    def again_ns(self) -> int | None:
        """In how many nanoseconds `take` should be called again, whatever happens; None: no need."""
        return _AGAIN_MS * _MS if self._held else None
