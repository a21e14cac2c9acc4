"""Notices about tests that take long, while they do: ``test.slow``, again after each further period.

A test that hangs says so long before its limit ends it, and a log that ends in mid-run names what was
running.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clnrm_nb.executor.attempt import RunContext
    from clnrm_nb.executor.plan import TestPlan

__all__ = ["noticed", "period_s"]

_LONGEST_PERIOD_S: Final = 60.0


def period_s(limit_s: float) -> float:
    """Seconds between notices: a minute, or half of the test's own limit where that is less."""
    return min(_LONGEST_PERIOD_S, limit_s / 2)


@contextmanager
def noticed(plan: TestPlan, context: RunContext) -> Iterator[None]:
    """Publish a notice for each period that passes inside."""
    loop = asyncio.get_running_loop()
    period = period_s(plan.timeout_s)
    handle: asyncio.TimerHandle

    def notice(number: int) -> None:
        nonlocal handle
        data = {"running_s": round(number * period, 3), "limit_s": plan.timeout_s}
        context.emit("test.slow", test=plan.id, data=data)
        handle = loop.call_later(period, notice, number + 1)

    handle = loop.call_later(period, notice, 1)
    try:
        yield
    finally:
        handle.cancel()
