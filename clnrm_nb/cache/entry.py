"""What the cache knows of a test: what is stored of a passed run, and what was decided last and why.

Plain data, written and read as JSON. A field added later has a default, so that what an older process wrote
is still understood; one that an older process does not know is passed over by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, Literal, Self

if TYPE_CHECKING:
    from clnrm_nb.cache.key import Key

__all__ = ["ANSWERS", "Answer", "Cause", "Decision", "Deposit", "Entry", "Stamp", "Stats"]

Answer = Literal["hit", "rejudge", "miss", "uncacheable"]
"""``hit``: not run. ``rejudge``: stored spans are judged again. Else it is run, and stored if it may be."""

ANSWERS: Final[tuple[Answer, ...]] = ("hit", "rejudge", "miss", "uncacheable")

Stamp = tuple[int, int, int]
"""Size in bytes, time of change in ns, inode: of the file of an object when it was known good."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is stored of a passed run of one test under one hash.

    Parameters
    ----------
    test_id, hash : str
        Its key in the store.
    verdict : str or None
        Hash of what it was judged by; ``None``: it did not pass when judged again and has to be.
    record : str
        Digest of the object with its outcome. Filled in by the store.
    spans : str or None
        Digest of the object with its spans.
    stamps : mapping of str to Stamp
        Of each object, by digest. Filled in by the store.
    run : str
        The run in which it really ran.
    duration_ms : float or None
    isolation : str
        ``warm``, ``fresh``, …
    matrix : mapping
    trace_digest : str or None
        Of its canonical trace: what an audit compares.
    rendered : str or None
        SHA-256 of the rendered text, 64 hex digits.
    vars_hash : str or None
        Of the variables that the rendering read.
    env : mapping of str to (str or None)
        Environment values that count, sealed but for those in clear; ``None``: not set.
    files : mapping of str to (str or None)
        SHA-256 of the files that the rendering read; ``None``: not there.
    more : mapping
        What else its reader may want, as JSON.
    size : int
        Bytes it takes on disk. Filled in by the store.
    updated, last_used : str
        RFC 3339 in UTC. Filled in by the store.
    """

    test_id: str
    hash: str
    verdict: str | None
    run: str
    duration_ms: float | None
    backend: str
    isolation: str = ""
    hermetic: bool | None = None
    matrix: Mapping[str, Any] = field(default_factory=dict)
    trace_digest: str | None = None
    span_count: int = 0
    rendered: str | None = None
    vars_hash: str | None = None
    env: Mapping[str, str | None] = field(default_factory=dict)
    files: Mapping[str, str | None] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)
    record: str = ""
    spans: str | None = None
    stamps: Mapping[str, Stamp] = field(default_factory=dict)
    size: int = 0
    updated: str = ""
    last_used: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """``(test_id, hash)``."""
        return self.test_id, self.hash

    @property
    def objects(self) -> tuple[str, ...]:
        """Digests of its objects."""
        return (self.record,) if self.spans is None else (self.record, self.spans)

    def values(self) -> list[Any]:
        """All fields but the last, in order: a later version may only add some behind them."""
        return [getattr(self, name) for name in _STORED]


@dataclass(frozen=True, slots=True)
class Deposit:
    """A passed run of one test, to be kept.

    Parameters
    ----------
    entry : Entry
        Without what the store fills in. ``spans`` may name an object that is there already.
    key : Key
        Its inputs part by part, for whoever asks later what changed.
    record : bytes
        The outcome as JSON, secrets masked.
    spans : bytes or None
        OTLP/JSON, where they are no object yet.
    """

    entry: Entry
    key: Key
    record: bytes
    spans: bytes | None = None


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that made a look-up a miss, or that changed and was found not to count.

    Parameters
    ----------
    kind : str
        A part of the key (``scenario``, ``variables``, ``environment``, ``files``, ``mounts``, …),
        ``expectations`` or ``baseline`` for the verdict, or why there is nothing to compare with
        (``no-entry``, ``no-manifest``, ``object``, ``settings``, ``version``, ``uncacheable``).
    name : str
        Of the variable, file, image, field; empty where there is only one.
    before, after : str or None
        As people read them; sealed values as their seals. ``None``: not there.
    at : tuple of str
        ``file:line:column`` where it is used.
    origin : str or None
        Where its value was set.
    lines : int or None
        How many lines of a file changed.
    is_cosmetic : bool
        It changed, and makes no difference to what is run.
    """

    kind: str
    name: str = ""
    before: str | None = None
    after: str | None = None
    at: tuple[str, ...] = ()
    origin: str | None = None
    lines: int | None = None
    is_cosmetic: bool = False

    def to_json(self) -> dict[str, Any]:
        """Fields that are not their defaults."""
        return _spoken(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Fields of another version are passed over."""
        known = _known(cls, document)
        return cls(**{**known, "at": tuple(known.get("at", ()))})


@dataclass(frozen=True, slots=True)
class Decision:
    """What the last look-up of a test said, and why.

    Parameters
    ----------
    answer : Answer
    hash, verdict : str or None
        Of the inputs as they were then; ``None``: there was none to be had.
    causes : tuple of Cause
        Of a hit: what changed and does not count.
    reason : str or None
        One sentence, for what has no causes.
    by : str
        ``manifest``: nothing was rendered to find out; ``hash``: the file was.
    at : str
        When, RFC 3339 in UTC.
    run : str or None
        The run that asked.
    stored_run : str or None
        The run whose result was taken.
    """

    test_id: str
    answer: Answer
    hash: str | None = None
    verdict: str | None = None
    causes: tuple[Cause, ...] = ()
    reason: str | None = None
    by: str = "hash"
    at: str = ""
    run: str | None = None
    stored_run: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Fields that are not their defaults."""
        return {**_spoken(self), "causes": [cause.to_json() for cause in self.causes]}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Fields of another version are passed over."""
        causes = tuple(Cause.from_json(cause) for cause in document.get("causes", ()))
        return cls(**{**_known(cls, document), "causes": causes})


@dataclass(frozen=True, slots=True)
class Stats:
    """The store at a glance.

    Parameters
    ----------
    entries, tests : int
        Stored results, and tests that have any.
    size : int
        Bytes of them.
    oldest, newest : str or None
        When the least and the most recently used one was used.
    counters : mapping of str to int
        What was counted since the store was made (:meth:`CacheStore.count`).
    """

    entries: int
    tests: int
    size: int
    oldest: str | None
    newest: str | None
    counters: Mapping[str, int]


_STORED: Final = tuple(each.name for each in fields(Entry))[:-1]


def _spoken(record: Cause | Decision) -> dict[str, Any]:
    values = {each.name: (getattr(record, each.name), each.default) for each in fields(record)}
    return {name: value for name, (value, default) in values.items() if value != default}


def _known(kind: type[Cause | Decision], document: Mapping[str, Any]) -> dict[str, Any]:
    names = {each.name for each in fields(kind)}
    return {name: value for name, value in document.items() if name in names}
