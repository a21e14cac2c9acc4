"""How far a run is, from its events: plain data that every live view of a notebook draws.

Taking an event in is a few assignments, as it happens on the engine's loop.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Final

from clnrm_nb.codes import STATUSES
from clnrm_nb.report.progress import going_on
from clnrm_nb.report.text import duration_text, number_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from clnrm_nb.api import Event

__all__ = ["RunProgress", "TestProgress"]

RATE_WINDOW_S: Final = 2.0


@dataclass(slots=True)
class TestProgress:
    """One test of a run: its scenarios as they end."""

    __test__ = False

    id: str
    status: str = "queued"
    doing: str = ""
    scenarios: dict[str, str] = field(default_factory=dict)
    spans: int = 0
    since_s: float = 0.0
    duration_ms: float | None = None


class RunProgress:
    """The state of a run.

    Parameters
    ----------
    clock : callable
        Seconds; for tests.

    Attributes
    ----------
    tests : dict of str to TestProgress
        In the order they were queued.
    spans : int
        Spans of programs under test received so far.
    milestone : str
        The last thing worth saying aloud: started, failed (which), finished.

    Examples
    --------
    >>> from clnrm_nb.executor.events import Event
    >>> progress = RunProgress()
    >>> progress.take(Event("test.end", "r", test="a.clnrm.toml", status="passed"))
    >>> progress.counts()
    '1 passed'
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._began_s = clock()
        self._arrivals: deque[tuple[float, int]] = deque()
        self.tests: dict[str, TestProgress] = {}
        self.total = 0
        self.spans = 0
        self.milestone = "starting"

    def take(self, event: Event) -> None:
        """Take one event in."""
        if event.event == "run.start":
            self.total = int(event.data.get("tests", 0))
            taken = (event.data.get("resume") or {}).get("taken_over")
            resumed = f", {taken} taken over from a broken-off run" if taken else ""
            self.milestone = f"started: {number_text(self.total, 'test')}{resumed}"
        elif event.event == "run.end":
            self.milestone = f"finished: {self.counts()}"
        elif event.test is not None:
            self._take_of_test(event, self._test(event.test))

    def _test(self, test_id: str) -> TestProgress:
        if test_id not in self.tests:
            self.tests[test_id] = TestProgress(test_id)
            self.total = max(self.total, len(self.tests))
        return self.tests[test_id]

    def _take_of_test(self, event: Event, test: TestProgress) -> None:
        if event.event == "test.start":
            test.status, test.doing, test.since_s = "running", "starting services", self._clock()
        elif event.event in ("test.slow", "test.retry", "test.repeat"):
            test.doing = going_on(event)
        elif event.event == "service.ready":
            test.doing = f"service {event.data.get('service', '')} is ready"
        elif event.event == "span":
            count = int(event.data.get("count", 1))
            test.spans += count
            self.spans += count
            self._arrivals.append((self._clock(), count))
        elif event.event == "step.end":
            test.doing = f"{event.scenario or 'step'}: a step {event.status or 'ended'}"
        elif event.event == "scenario.end" and event.scenario:
            test.scenarios[event.scenario] = event.status or "passed"
            test.doing = f"scenario {event.scenario} {event.status or 'ended'}"
        elif event.event == "test.end":
            test.status, test.doing = event.status or "passed", ""
            test.duration_ms = event.data.get("duration_ms")
            if test.status not in ("passed", "cached", "skipped"):
                self.milestone = f"{test.status}: {test.id}"

    @property
    def elapsed_s(self) -> float:
        """Since the run began."""
        return self._clock() - self._began_s

    @property
    def n_ended(self) -> int:
        """Tests that are over."""
        return sum(test.status not in ("queued", "running") for test in self.tests.values())

    def running_s(self, test: TestProgress) -> float:
        """How long a running test has been running."""
        return self._clock() - test.since_s

    def spans_per_s(self) -> float:
        """Over the last two seconds."""
        now = self._clock()
        while self._arrivals and self._arrivals[0][0] < now - RATE_WINDOW_S:
            self._arrivals.popleft()
        return sum(count for _, count in self._arrivals) / max(min(RATE_WINDOW_S, self.elapsed_s), 0.1)

    def counts(self) -> str:
        """``3 passed, 1 failed``."""
        statuses = Counter(test.status for test in self.tests.values())
        return ", ".join(f"{statuses[word]} {word}" for word in STATUSES if statuses[word])

    def headline(self) -> str:
        """``2/5 tests (2 passed) · 41 spans · 12 spans/s · 3.2 s``."""
        counts = f" ({counts})" if (counts := self.counts()) else ""
        return " · ".join(
            [
                f"{self.n_ended}/{self.total} tests{counts}",
                number_text(self.spans, "span"),
                f"{self.spans_per_s():.0f} spans/s",
                duration_text(self.elapsed_s * 1e3),
            ]
        )

    def shown(self, limit: int) -> list[TestProgress]:
        """At most `limit` tests: running ones, then what went wrong, then the newest."""
        order = {"running": 0, "failed": 1, "error": 1, "incomplete": 1, "interrupted": 1, "queued": 3}
        newest_first = list(self.tests.values())[::-1]
        return sorted(newest_first, key=lambda test: order.get(test.status, 2))[:limit]
