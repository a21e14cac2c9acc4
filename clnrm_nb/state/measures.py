"""What runs measured about themselves, and what several of them come to (``clnrm stats``).

A run keeps numbers, not verdicts: how soon it began after a save, how often nothing had to be run, how long
tests waited, how much memory there was at most. What was not measured stays out, and is never a zero.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from statistics import quantiles
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from clnrm_nb.state.store import State

__all__ = ["MEASURES", "Measures", "measures_of", "spread", "summary"]

MEASURES: Final = "measures"
"""Where they stand in the ``data`` of a run's document."""

_MOST_WAITS: Final = 200
"""Waiting times kept of one run; of more, these are spread evenly over all, shortest to longest."""

_UNJUDGED: Final = frozenset({"skipped", "interrupted"})


@dataclass(frozen=True, slots=True)
class Measures:
    """One run.

    Parameters
    ----------
    duration_ms : float
        From the first file that was read to the last verdict.
    tests : mapping of status to int
    spans : int
        Received from programs under test.
    peak_memory_mb : float, optional
        The most that this process ever had, before and during the run.
    lookups : mapping
        ``hit``, ``rejudged``, ``miss``, ``uncacheable``; empty if the cache was not asked.
    pool : mapping
        ``hits``: units that were ready when their test's turn came, or used again; ``misses``: those that
        had to be made then. Empty where no unit is made ahead.
    queue_wait_ms : sequence of float
        From the beginning of the execution until a test began.
    reaction_ms, diagnostics_ms, start_ms, verdict_ms : float, optional
        Since a file was written: rendering began, its findings were shown, tests were started, the last
        verdict was there. Only of a run for a change that was watched.
    """

    run: str
    at: str
    duration_ms: float
    tests: Mapping[str, int]
    spans: int = 0
    peak_memory_mb: float | None = None
    lookups: Mapping[str, int] = field(default_factory=dict)
    pool: Mapping[str, int] = field(default_factory=dict)
    queue_wait_ms: Sequence[float] = ()
    reaction_ms: float | None = None
    diagnostics_ms: float | None = None
    start_ms: float | None = None
    verdict_ms: float | None = None

    def to_json(self) -> dict[str, Any]:
        """What is kept with the run, without what it did not measure."""
        document = {name: value for name, value in asdict(self).items() if value not in (None, {}, ())}
        for name in ("run", "at"):
            del document[name]
        if self.queue_wait_ms:
            document["queue_wait_ms"] = [round(wait_ms, 2) for wait_ms in _thinned(self.queue_wait_ms)]
        return {
            name: round(value, 3) if isinstance(value, float) else value for name, value in document.items()
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any], *, run: str, at: str) -> Measures:
        """What :meth:`to_json` wrote; keys of newer versions are left out."""
        known = {each.name for each in fields(cls)} - {"run", "at"}
        return cls(run=run, at=at, **{name: value for name, value in document.items() if name in known})


def measures_of(state: State, limit: int) -> list[Measures]:
    """Those of the last `limit` runs that have any, newest first."""
    found = []
    for document in state.runs(limit):
        kept = document.get("data", {}).get(MEASURES)
        if kept:
            found.append(Measures.from_json(kept, run=document["run"], at=str(document.get("started_at"))))
    return found


def summary(runs: Sequence[Measures]) -> dict[str, Any]:
    """What they come to together; ``None`` where nothing was measured.

    Returns
    -------
    dict
        ``runs``, ``tests`` (judged), ``throughput_per_s``, ``spans``, ``peak_memory_mb``, ``lookups`` and
        ``pool`` with a ``hit_rate``, and ``queue_wait_ms``, ``reaction_ms``, ``diagnostics_ms``,
        ``start_ms``, ``verdict_ms`` as :func:`spread` gives them.
    """
    judged = sum(n for one in runs for status, n in one.tests.items() if status not in _UNJUDGED)
    spent_s = sum(one.duration_ms for one in runs) / 1e3
    peaks = [one.peak_memory_mb for one in runs if one.peak_memory_mb is not None]
    lookups = _total(one.lookups for one in runs)
    pool = _total(one.pool for one in runs)
    known = {
        name: spread(value for one in runs if (value := getattr(one, name)) is not None)
        for name in ("reaction_ms", "diagnostics_ms", "start_ms", "verdict_ms")
    }
    return {
        "runs": len(runs),
        "tests": judged,
        "throughput_per_s": round(judged / spent_s, 3) if spent_s and judged else None,
        "spans": sum(one.spans for one in runs),
        "peak_memory_mb": max(peaks, default=None),
        "lookups": _with_rate(lookups, ("hit", "rejudged")),
        "pool": _with_rate(pool, ("hits",)),
        "queue_wait_ms": spread(wait_ms for one in runs for wait_ms in one.queue_wait_ms),
        **known,
    }


def spread(values: Iterable[float]) -> dict[str, float] | None:
    """Number, median, 99th percentile and largest; ``None`` of nothing.

    Examples
    --------
    >>> spread([3.0, 1.0, 2.0])
    {'n': 3, 'p50': 2.0, 'p99': 2.98, 'max': 3.0}
    """
    known = sorted(values)
    if not known:
        return None
    cuts = quantiles(known, n=100, method="inclusive") if len(known) > 1 else known * 99
    return {"n": len(known), "p50": round(cuts[49], 3), "p99": round(cuts[98], 3), "max": known[-1]}


def _thinned(values: Sequence[float]) -> list[float]:
    known = sorted(values)
    if len(known) <= _MOST_WAITS:
        return known
    return [known[number * (len(known) - 1) // (_MOST_WAITS - 1)] for number in range(_MOST_WAITS)]


def _total(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for one in counts:
        for name, number in one.items():
            total[name] = total.get(name, 0) + number
    return total


def _with_rate(counts: Mapping[str, int], hits: Sequence[str]) -> dict[str, Any] | None:
    """Counts, and what share of them did not have to be made anew."""
    asked = sum(counts.values())
    if not asked:
        return None
    return {**counts, "hit_rate": round(sum(counts.get(name, 0) for name in hits) / asked, 4)}
