"""Running tests: plan, queue, bounded pool, the life of one test, and the backends it runs on.

``run_tests`` takes plans and gives one outcome a test; every rule of ``format.md`` 5 between "the file is
valid" and "its expectations are judged" lives here. Nothing is judged here but commands.
"""

from __future__ import annotations

from clnrm_nb.executor.events import Event, Listener
from clnrm_nb.executor.loop import Interrupted, run_blocking, run_here
from clnrm_nb.executor.outcome import CommandOutcome, ExpectationResult, ScenarioOutcome, TestOutcome, worst

__all__ = [
    "CommandOutcome",
    "Event",
    "ExpectationResult",
    "Interrupted",
    "Listener",
    "ScenarioOutcome",
    "TestOutcome",
    "run_blocking",
    "run_here",
    "worst",
]
