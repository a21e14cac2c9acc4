"""Single flight: what another run has in hand at this moment is waited for, not run a second time.

A run first does all that is its own and gives it free, and only then waits: so of any number of runs that
wait for each other one always goes on.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from clnrm_nb.executor.outcome import TestOutcome
    from clnrm_nb.pipeline.caching import Caching
    from clnrm_nb.pipeline.load import LoadedTest
    from clnrm_nb.pipeline.lookup import Found

__all__ = ["run_or_wait"]


async def run_or_wait(
    tests: Sequence[LoadedTest],
    found: Found,
    caching: Caching,
    *,
    run: Callable[[Sequence[LoadedTest], Found], Awaitable[Mapping[str, TestOutcome]]],
    taken: Callable[[Mapping[str, TestOutcome]], object],
    why_over: Callable[[Mapping[str, TestOutcome]], str | None],
    not_started: Callable[[LoadedTest, str], TestOutcome],
) -> dict[str, TestOutcome]:
    """One outcome a test: of a run of its own, or of one that another run has just made.

    Parameters
    ----------
    found : Found
        What the cache said about them.
    run : callable
        Runs tests, and stores what comes of it.
    taken : callable
        Is told of outcomes that others have made.
    why_over : callable
        By what has ended so far: why nothing more starts, or ``None``.
    not_started : callable
        The outcome of a test that does not start, with the reason.
    """
    mine = caching.reserve(found.hashes)
    waiting = {test.test_id: test for test in tests if test.test_id in found.hashes.keys() - mine}
    hashes = {name: found.hashes[name] for name in waiting}
    outcomes = dict(await run([test for test in tests if test.test_id not in waiting], found))
    caching.release({name: found.hashes[name] for name in mine})
    why = why_over(outcomes)
    while waiting and why is None:
        free = await _awaited(caching, {name: hashes[name] for name in waiting})
        if free is None:
            why = "not started: the run was interrupted"
            break
        freed = [waiting.pop(name) for name in sorted(free)]
        again = await caching.look_up_again(freed)
        taken(again.outcomes)
        outcomes |= again.outcomes
        hashes |= again.hashes
        mine = caching.reserve(again.hashes)
        left = [test for test in freed if test.test_id not in again.outcomes]
        waiting |= {test.test_id: test for test in left if test.test_id in again.hashes.keys() - mine}
        outcomes |= await run([test for test in left if test.test_id not in waiting], again)
        caching.release({name: again.hashes[name] for name in mine})
        why = why_over(outcomes)
    return outcomes | {name: not_started(test, why or "") for name, test in waiting.items()}


async def _awaited(caching: Caching, hashes: Mapping[str, str]) -> set[str] | None:
    """Tests that others are done with; ``None``: somebody would not wait for that."""
    try:
        return await caching.wait(hashes)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        while task is not None and task.cancelling():
            task.uncancel()
        return None
