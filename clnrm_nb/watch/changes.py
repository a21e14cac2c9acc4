"""The words of this package: a change of a file, several noticed at once, a place that is watched, a remark.

Paths are absolute strings without ``.`` and ``..``, spelled as the person or the template spelled them: a
symlink keeps its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Batch", "Change", "Kind", "Means", "Place", "Reading", "Remark"]

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
    readers : tuple of str
        The tests it concerns, if not all that depend on the file: they have read it in the middle of a save,
        and all others know what it holds.
    """

    path: str
    before: str | None
    after: str | None
    targets: tuple[str, ...] = ()
    written_ns: int | None = None
    readers: tuple[str, ...] = ()

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


@dataclass(frozen=True, slots=True)
class Reading:
    """What files held when they were read.

    What became of them since is a change, also if they became again what they were: a test that began in the
    middle of a save has seen something else than what is there in the end.

    Parameters
    ----------
    contents : Mapping
        SHA-256 in hex by path; None: looked for and not there.
    since_ns : int
        ``time.monotonic_ns()`` before the first of them was read; 0 if that is not known.
    test : str
        Id of the test that read them; empty if they were read for all that depend on them.
    """

    contents: Mapping[str, str | None]
    since_ns: int = 0
    test: str = ""


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
