"""Whether the objects of an entry are there and unharmed, mostly without reading them."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clnrm_nb.cache.entry import Entry, Stamp
    from clnrm_nb.state.objects import ObjectStore

__all__ = ["Stamps"]


class Stamps:
    """What the files of objects looked like when they were known good, and look like now.

    Parameters
    ----------
    objects : ObjectStore
    """

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._place = objects.place
        self._checked: dict[str, Stamp] = {}

    def look(self, digest: str) -> Stamp | None:
        """The stamp of an object as it is now; ``None`` if there is none."""
        try:
            found = os.stat(self._place(digest))  # noqa: PTH116  # Texts, of thousands.
        except (OSError, ValueError):
            return None
        return found.st_size, found.st_mtime_ns, found.st_ino

    def are_good(self, entry: Entry) -> bool:
        """Whether all objects of an entry are there and hold what their digests say."""
        stamps = entry.stamps
        for digest in entry.objects:
            stamp = self.look(digest)
            known = stamps.get(digest)
            # As JSON has it, a known one is a list.
            is_known = known is not None and stamp == tuple(known)
            if not is_known and (stamp is None or not self._is_good(digest, stamp)):
                return False
        return True

    def renewed(self, entry: Entry) -> Entry | None:
        """With the stamps of objects that were read and found good since; ``None`` if none were."""
        if not self._checked:
            return None
        newer = {digest: self._checked[digest] for digest in entry.objects if digest in self._checked}
        return replace(entry, stamps={**entry.stamps, **newer}) if newer else None

    def _is_good(self, digest: str, stamp: Stamp) -> bool:
        if self._checked.get(digest) == stamp:
            return True
        if self._objects.get(digest) is None:
            return False
        self._checked[digest] = stamp
        return True
