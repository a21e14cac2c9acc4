"""The run behind a baseline: baselines hold no times, so what needs them is compared with a stored run.

The run whose trace was accepted comes first; of others that equal the baseline the oldest, so that slow drift
is not followed. What this machine has not stored cannot be compared, which is said and never guessed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from clnrm_nb.baseline.files import scenario_of
from clnrm_nb.spans.canonical import of_scenario, trace_digest
from clnrm_nb.spans.loaders import load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clnrm_nb.baseline.decisions import DecisionLog
    from clnrm_nb.baseline.files import Baseline
    from clnrm_nb.diff import DiffOptions
    from clnrm_nb.spans.table import SpanTable
    from clnrm_nb.state import State

__all__ = ["UNTIMED", "needs_times", "timed"]

UNTIMED: Final = (
    "times, order and volatile values are not compared: no run stored on this machine equals the baseline"
)

_MOST_RUNS: Final = 20
"""Stored runs, each with a trace of its own, looked into beside the accepted one."""


def needs_times(options: DiffOptions) -> bool:
    """Whether something is asked for that no baseline file holds."""
    return (
        not options.ignore_timestamps
        or options.order_sensitive
        or not options.volatile_defaults
        or any(rule.word in ("order", "duration") for rule in options.rules)
    )


def timed(baseline: Baseline, log: DecisionLog, state: State) -> SpanTable | None:
    """The spans of a run that equals a baseline, with their times; ``None`` if none is stored."""
    test_id, scenario = scenario_of(baseline.id)
    for run in dict.fromkeys(_runs(baseline, test_id, log, state)):
        content = state.spans_of(test_id, run)
        if content is None:
            continue
        table = of_scenario(load(content, allow_empty=True)[0], scenario)
        if any(table.start_ns) and trace_digest(table) == baseline.digest:
            return table
    return None


def _runs(baseline: Baseline, test_id: str, log: DecisionLog, state: State) -> Iterator[str]:
    for decision in reversed(log.of(baseline.id)):
        if decision.run and decision.digest == baseline.digest and decision.action == "accept":
            yield decision.run
    rows = [row for row in state.history([test_id]) if row["test_id"] == test_id]
    # Of runs with one and the same trace the oldest: the others hold no other scenarios.
    oldest = {row["trace_digest"]: row["run"] for row in rows}
    yield from sorted(oldest.values())[:_MOST_RUNS]
