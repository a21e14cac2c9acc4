"""Whether events can be trusted here: they come at all, and those that came are all.

watchfiles says nothing when the system's queue overflows, and some file systems accept a watch and tell
nothing. So three things are doubted: silence after the canary, a change that a look found and no event told,
and too many events at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from clnrm_nb.watch.changes import Remark

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from clnrm_nb.watch.canary import Canary
    from clnrm_nb.watch.events import Raw

__all__ = ["Trust"]

# An event that comes so much later than its change was found by looking is taken for lost.
_LATE_NS: Final = 2_000_000_000
_USUAL_QUEUE: Final = 16_384
_SHARE: Final = 8
_FLOOD_NS: Final = 3_000_000_000


class Trust:
    """Evidence for and against the events of one watcher.

    Parameters
    ----------
    canary : Canary, optional
        None where nothing can be written: then nothing is proved at the start.
    flood : int, optional
        So many events in a short time that more may have been lost; default: an eighth of the system's queue
        (a file that is written makes three or four events, of which watchfiles tells one or two).
    """

    def __init__(self, canary: Canary | None, flood: int | None = None) -> None:
        self.canary = canary if canary is not None and canary.prepare() else None
        self.flood = _queue() // _SHARE if flood is None else flood
        self._suspects: dict[str, int] = {}
        self._since_ns = self._heard = 0

    def begin(self, now_ns: int) -> None:
        """The directories are watched: from now on events have to come."""
        if self.canary is not None:
            self.canary.write(now_ns)

    def again(self, now_ns: int) -> None:
        """What has not been heard yet is lost, the canary too: nothing is held against the system for it."""
        self._suspects.clear()
        if self.canary is not None and self.canary.is_awaited:
            self.canary.write(now_ns)

    def hear(self, raw: Raw, now_ns: int) -> Remark | None:
        """Events that came, maybe none; a remark if events are not to be trusted any more."""
        paths = {path for _kind, path in raw}
        for path in paths & self._suspects.keys():
            del self._suspects[path]
        if self.canary is not None and not self.canary.hears(paths) and self.canary.is_silent(now_ns):
            self.canary.remove()
            return Remark("no-events", "the system tells no file events here; files are polled instead")
        for path, since_ns in self._suspects.items():
            if now_ns - since_ns > _LATE_NS:
                self._suspects.clear()
                return Remark(
                    "no-events", f"the system told nothing of a change of {path}; files are polled instead"
                )
        return None

    def is_flood(self, raw: Raw, now_ns: int) -> bool:
        """Whether so many events came of late that they may not be all; once for each so many.

        They are handed out in portions: a full queue takes many turns to be read.
        """
        if now_ns - self._since_ns > _FLOOD_NS:
            self._since_ns, self._heard = now_ns, 0
        self._heard += len(raw)
        if self._heard < self.flood:
            return False
        self._heard = 0
        return True

    def doubt(self, paths: Iterable[str], heard: Collection[str], now_ns: int) -> None:
        """A look found these changed; events should have told."""
        for path in paths:
            if path not in heard:
                self._suspects.setdefault(path, now_ns)

    def end(self) -> None:
        """Nothing is watched any more."""
        if self.canary is not None:
            self.canary.remove()


def _queue() -> int:
    try:
        return int(Path("/proc/sys/fs/inotify/max_queued_events").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return _USUAL_QUEUE
