"""What runs measured about themselves, for ``clnrm stats``: as sentences, and as one row a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.report.text import duration_text, number_text
from clnrm_nb.state.measures import spread, summary

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clnrm_nb.state.measures import Measures

__all__ = ["measure_words", "measures_document"]

_TIMES: Final = (
    ("reaction_ms", "save to rendering", "save"),
    ("diagnostics_ms", "save to findings", "save"),
    ("start_ms", "save to run", "save"),
    ("verdict_ms", "save to verdict", "save"),
    ("queue_wait_ms", "queue wait", "test"),
)

_MISSES: Final = ("miss", "uncacheable")


def measures_document(runs: Sequence[Measures]) -> dict[str, Any]:
    """``runs``, newest first, and what they come to: ``summary``."""
    return {"summary": summary(runs), "runs": [_row(one) for one in runs]}


def measure_words(runs: Sequence[Measures]) -> list[str]:
    """A line for each thing that was measured; nothing about what was not."""
    told = summary(runs)
    lines = [f"the last {number_text(told['runs'], 'run')}:" if told["runs"] > 1 else "the last run:"]
    lines += [
        f"  {label:<18}p50 {duration_text(found['p50'])}, p99 {duration_text(found['p99'])}, "
        f"most {duration_text(found['max'])} ({number_text(found['n'], of)})"
        for name, label, of in _TIMES
        if (found := told[name])
    ]
    if told["throughput_per_s"]:
        lines.append(f"  {'throughput':<18}{told['throughput_per_s']:.3g} tests/s")
    if asked := told["lookups"]:
        lines.append(f"  {'cache':<18}{_share(asked)} without a run ({_counts(asked)})")
    if pool := told["pool"]:
        lines.append(f"  {'pool':<18}{_share(pool)} ready ({_counts(pool)})")
    if told["spans"]:
        lines.append(f"  {'spans received':<18}{told['spans']:,}")
    if told["peak_memory_mb"] is not None:
        lines.append(f"  {'peak memory':<18}{told['peak_memory_mb']:,.0f} MiB")
    return lines


def _share(counts: Mapping[str, Any]) -> str:
    return f"{counts['hit_rate']:.1%}"


def _counts(counts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in counts.items() if name != "hit_rate")


def _row(one: Measures) -> dict[str, Any]:
    waits = spread(one.queue_wait_ms)
    return {
        "run": one.run,
        "at": one.at,
        "tests": sum(one.tests.values()),
        "duration_ms": round(one.duration_ms, 3),
        "hits": one.lookups.get("hit", 0) if one.lookups else None,
        "rejudged": one.lookups.get("rejudged", 0) if one.lookups else None,
        "misses": sum(one.lookups.get(name, 0) for name in _MISSES) if one.lookups else None,
        "pool_hits": one.pool.get("hits", 0) if one.pool else None,
        "pool_misses": one.pool.get("misses", 0) if one.pool else None,
        "queue_wait_p50_ms": waits["p50"] if waits else None,
        "reaction_ms": one.reaction_ms,
        "diagnostics_ms": one.diagnostics_ms,
        "start_ms": one.start_ms,
        "verdict_ms": one.verdict_ms,
        "spans": one.spans,
        "peak_memory_mb": one.peak_memory_mb,
    }
