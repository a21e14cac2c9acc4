"""``--repeat`` and ``--until-fail``: the same tests several times, and what that makes of each.

A test that was run several times has the worst of its outcomes, in all its detail, and says how often it was
run and what came of it. To those who watch it is still one test: it is queued, starts and ends once.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from clnrm_nb.codes import STATUSES
from clnrm_nb.executor.events import Event
from clnrm_nb.executor.outcome import fails_run
from clnrm_nb.report.text import number_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from clnrm_nb.config.keys import Executor
    from clnrm_nb.executor.events import Listener
    from clnrm_nb.executor.outcome import TestOutcome

__all__ = ["run_rounds"]

_SEVERITY = ("interrupted", "error", "failed", "incomplete", "flaky", "passed", "skipped")


async def run_rounds(
    run_once: Callable[[Listener], Awaitable[Sequence[TestOutcome]]],
    listener: Listener,
    *,
    repeat: int,
    until_fail: bool,
    settings: Executor,
) -> list[TestOutcome]:
    """Run all tests again and again; one outcome a test.

    Parameters
    ----------
    run_once : callable
        Runs all tests once, publishing to the listener it is given.
    repeat : int
        Rounds; with `until_fail`: at most so many, where it is more than 1.
    until_fail : bool
        Stop after the first round in which a test fails the run.
    """
    if repeat == 1 and not until_fail:
        return list(await run_once(listener))
    story = _Story(listener)
    endless = until_fail and repeat == 1
    for number in itertools.count(1) if endless else range(1, repeat + 1):
        story.number = number
        outcomes = await run_once(story)
        story.take(outcomes)
        if any(outcome.status == "interrupted" for outcome in outcomes):
            break
        if until_fail and any(fails_run(outcome.status, settings) for outcome in outcomes):
            break
    return story.conclude()


class _Story:
    """What became of each test so far; between the rounds and those who watch them."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._told: set[tuple[str, str | None]] = set()
        self._run = ""
        self.number = 0
        """The present round."""
        self._worst: dict[str, TestOutcome] = {}
        self._statuses: dict[str, Counter[str]] = {}

    def __call__(self, event: Event) -> None:
        """Pass an event on; how a test ends is known only after the last round."""
        self._run = event.run
        if event.event == "test.end":
            event = replace(event, event="test.repeat", data={"number": self.number, **event.data})
        elif event.event in ("test.queued", "test.start"):
            if (event.event, event.test) in self._told:
                return
            self._told.add((event.event, event.test))
        self._listener(event)

    def take(self, outcomes: Sequence[TestOutcome]) -> None:
        """Add the outcomes of a round."""
        for outcome in outcomes:
            self._statuses.setdefault(outcome.id, Counter())[outcome.status] += 1
            self._worst[outcome.id] = _worse(self._worst.get(outcome.id, outcome), outcome)

    def conclude(self) -> list[TestOutcome]:
        """The worst outcome of each test, which says how often it was run; tests have ended now."""
        for outcome in self._worst.values():
            counts = self._statuses[outcome.id]
            outcome.reason = "; ".join(filter(None, [outcome.why, _counted(counts)]))
            data = {
                "duration_ms": round(outcome.duration_ms, 3),
                "span_count": outcome.span_count,
                "runs": counts.total() - counts["skipped"],
            }
            self._listener(Event("test.end", self._run, outcome.id, status=outcome.status, data=data))
        return list(self._worst.values())


def _counted(counts: Counter[str]) -> str:
    """``run 5 times: 3 passed, 2 failed``."""
    told = ", ".join(f"{counts[word]} {word}" for word in STATUSES if counts[word] and word != "skipped")
    return f"run {number_text(counts.total() - counts['skipped'], 'time')}: {told}" if told else ""


def _worse(one: TestOutcome, other: TestOutcome) -> TestOutcome:
    """The one whose status comes first in ``format.md`` 5.1; of equals the later."""
    return min((other, one), key=lambda outcome: _SEVERITY.index(outcome.status))
