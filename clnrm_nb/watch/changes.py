"""The words of this package: a change of a file, several noticed at once, a place that is watched, a remark.

Paths are absolute strings without ``.`` and ``..``, spelled as the person or the template spelled them: a
symlink keeps its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Batch", "Change", "Kind", "Means", "Place", "Remark"]

Kind = Literal["created", "changed", "deleted"]
Means = Literal["events", "polling"]


@dataclass(frozen=True, slots=True)
class Change:
    """A file whose content is another than when it was last looked at.

    Parameters
    ----------
    path : str
        The file.
    before, after : str or None
        What it held (SHA-256 in hex, for very large files a word made of size and times); None: no file.
    targets : tuple of str
        Where it led and leads to, if it is or was a symlink.
    written_ns : int or None
        Its modification time, in nanoseconds since 1970; None if it is gone.
    """

    path: str
    before: str | None
    after: str | None
    targets: tuple[str, ...] = ()
    written_ns: int | None = None

    @property
    def kind(self) -> Kind:
        """What happened, in one word."""
        if self.before is None:
            return "created"
        return "deleted" if self.after is None else "changed"


@dataclass(frozen=True, slots=True)
class Batch:
    """Changes that were noticed together.

    Parameters
    ----------
    changes : tuple of Change
        At least one, each path once, sorted by path.
    noticed_ns : int
        ``time.monotonic_ns()`` when the first of them was noticed.
    means : {"events", "polling"}
        Whether the system told of it, or it was found by looking.
    """

    changes: tuple[Change, ...]
    noticed_ns: int
    means: Means = "events"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A directory that is watched; it need not exist yet.

    Parameters
    ----------
    path : str
        The directory.
    recursive : bool
        Directories below it too, without those that discovery skips.
    whole : bool
        Ignored directories too: somebody depends on all of it, as on a mounted directory.
    """

    path: str
    recursive: bool = False
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Remark:
    """Something a person should know about the watching itself; each is told once.

    Parameters
    ----------
    kind : str
        ``no-events``, ``limit`` and ``unwatchable`` (from now on files are polled), ``lost-events``,
        ``unreadable``, ``root-gone``.
    message : str
        One sentence.
    hint : str or None
        What can be done about it.
    """

    kind: str
    message: str
    hint: str | None = None
