"""The measures of a run: read off its outcomes and its phases, when the last verdict is there."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Final

from clnrm_nb.pipeline.reaction import CHANGE, CHECK, is_written
from clnrm_nb.spans.phases import RUN, Phase, here
from clnrm_nb.state.measures import Measures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clnrm_nb.executor.backends.protocol import PoolReport
    from clnrm_nb.executor.outcome import TestOutcome

__all__ = ["measured", "memory_bytes"]

_BYTES_PER_UNIT: Final = 1 if sys.platform == "darwin" else 1024
"""Of what the kernel says about the peak."""


def measured(
    outcomes: Sequence[TestOutcome],
    *,
    run_id: str,
    at: str,
    lookups: Mapping[str, int] | None = None,
    pool: PoolReport | None = None,
) -> Measures:
    """What the run that goes on here measured so far.

    Parameters
    ----------
    lookups : mapping, optional
        ``hit``, ``rejudged``, ``miss``, ``uncacheable``; ``None`` or empty: the cache was not asked.
    pool : PoolReport, optional
        Of containers that are used again.
    """
    place = here()
    run = (place.phase.run if place is not None and place.phase is not None else None) or Phase(RUN)
    own = [
        outcome
        for outcome in outcomes
        if not outcome.cached and not outcome.taken_over_from and outcome.status != "skipped"
    ]
    peak = memory_bytes()[1]
    return Measures(
        run=run_id,
        at=at,
        duration_ms=run.duration_ms,
        tests=dict(Counter(outcome.status for outcome in outcomes)),
        spans=sum(outcome.span_count for outcome in own),
        peak_memory_mb=None if peak is None else round(peak / 2**20, 1),
        lookups={name: number for name, number in (lookups or {}).items() if number},
        pool=_pool(own, pool),
        queue_wait_ms=[outcome.timings_ms["queue"] for outcome in own if "queue" in outcome.timings_ms],
        **_since_written(run),
    )


def memory_bytes() -> tuple[int | None, int | None]:
    """What this process has now, and the most it ever had; ``None`` where the system does not say."""
    return _resident(), _peak()


def _resident() -> int | None:
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123  # Of the kernel, read in one go.
            import resource

            return int(file.read().split()[1]) * resource.getpagesize()
    except (OSError, ImportError, ValueError, IndexError):
        return None


def _peak() -> int | None:
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _BYTES_PER_UNIT


def _pool(outcomes: Sequence[TestOutcome], report: PoolReport | None) -> dict[str, int]:
    """How often a unit was there when it was wanted, and how often it had to be made."""
    ready = [outcome.was_ready for outcome in outcomes if outcome.was_ready is not None]
    hits, misses = sum(ready), len(ready) - sum(ready)
    if report is not None:
        hits += report.reused
        misses += report.uses - report.reused
    return {name: number for name, number in (("hits", hits), ("misses", misses)) if hits or misses}


def _since_written(run: Phase) -> dict[str, float]:
    """Milliseconds from the editor's write to what came of it; nothing if no write is known."""
    change = run.parent
    if change is None or change.name != CHANGE or not is_written(change):
        return {}
    checks = [part for part in change.parts if part.name == CHECK]
    known = {"start_ms": run.start_ns, "verdict_ms": run.now_ns}
    if checks:
        known["reaction_ms"] = checks[0].start_ns
        known["diagnostics_ms"] = checks[0].end_ns or checks[0].now_ns
    return {name: max(time_ns - change.start_ns, 0) / 1e6 for name, time_ns in known.items()}
