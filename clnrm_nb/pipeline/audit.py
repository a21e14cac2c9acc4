"""Tests that ran in what others had used before, a share of them run again as ``fresh`` and compared.

Reuse is proved after each test; the audit asks whether the proof sees enough. A test whose trace is another
in a container of its own has failed (CLN807): it saw something of its predecessors, or is not deterministic,
and both must be known.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

from clnrm_nb.errors import Diagnostic

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable

    from clnrm_nb.executor.backends.protocol import PoolReport
    from clnrm_nb.executor.outcome import TestOutcome

__all__ = ["audit"]


async def audit(
    outcomes: Iterable[TestOutcome],
    again: Callable[[Collection[str]], Awaitable[Iterable[TestOutcome]]],
    *,
    percent: float,
    seed: str,
    report: PoolReport,
) -> None:
    """Run a share of the tests that passed as ``verified`` once more, and fail those that differ.

    Parameters
    ----------
    outcomes : iterable of TestOutcome
        Of the whole run; those that differ are changed in place.
    again : callable
        Runs tests by id as ``fresh``, expectations judged.
    percent : float
        0 to 100; at least one test where it is more than 0.
    seed : str
        Chooses among the tests.
    report : PoolReport
        Counts what was audited and what differed.
    """
    known = {each.id: each for each in outcomes if each.isolation == "verified" and each.status == "passed"}
    count = math.ceil(len(known) * percent / 100)
    chosen = random.Random(seed).sample(sorted(known), count)  # noqa: S311  # A sample, no secret.
    if not chosen:
        return
    for fresh in await again(chosen):
        if fresh.status == "interrupted":
            continue
        report.audited += 1
        outcome = known[fresh.id]
        if (why := _difference(outcome, fresh)) is not None:
            report.differing += 1
            outcome.diagnostics.append(Diagnostic("CLN807", why, test=outcome.id))
            outcome.status, outcome.reason = "failed", why


def _difference(outcome: TestOutcome, fresh: TestOutcome) -> str | None:
    """What a run in containers of its own shows that the verified one did not; ``None``: nothing."""
    if fresh.status != outcome.status:
        return f"audit: run again as `fresh` it is {fresh.status}: {fresh.reason or 'no reason given'}"
    for part, other in zip(outcome.scenarios, fresh.scenarios, strict=True):
        if part.trace_digest != other.trace_digest:
            return f"audit: the trace of scenario `{part.name}` is another when run as `fresh`"
    if outcome.trace_digest != fresh.trace_digest:
        return "audit: the trace of the test is another when run as `fresh`"
    return None
