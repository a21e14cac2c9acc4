"""What a watcher is doing and what is known of its tests: plain data, folded from its events.

Screen, notebook and lines of a log are drawn from this and from nothing else, so that they cannot disagree
with each other or with ``--emit-events jsonl``. Taking an event in is a few assignments.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.codes import STATUSES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from clnrm_nb.executor.events import Event

__all__ = ["Reaction", "TestLine", "WatchState"]

_BAD: Final = ("error", "failed", "incomplete", "interrupted", "flaky")


@dataclass(slots=True)
class TestLine:
    """What is known of one test."""

    __test__ = False

    id: str
    status: str = ""
    """Of its last verdict; empty: none yet."""
    why: str = ""
    """In one line why it did not pass."""
    doing: str = ""
    """While it runs."""
    since_s: float | None = None
    """When it started; ``None``: it does not run."""
    duration_ms: float | None = None
    run: str = ""
    """The last run that started it: an earlier one may still be putting it away."""


@dataclass(slots=True)
class Reaction:
    """The last change and what became of it; times in milliseconds since the change was noticed."""

    files: list[str] = field(default_factory=list)
    why: str = "start"
    diagnosed_ms: float | None = None
    planned_ms: float | None = None
    judged_ms: float | None = None
    timings: Mapping[str, Any] | None = None
    """Where the time went, if that was asked for."""
    ran: list[str] = field(default_factory=list)
    """Ids of tests that were to run; how they ended is in their :class:`TestLine`."""
    not_run: list[tuple[str, str]] = field(default_factory=list)
    """Test and reason; at most a window of them."""
    not_run_total: int = 0


class WatchState:
    """See the module.

    Parameters
    ----------
    clock : callable
        Seconds; for tests.

    Examples
    --------
    >>> from clnrm_nb.executor.events import Event
    >>> state = WatchState()
    >>> state.take(Event("watch.start", "w1", data={"tests": 2, "paths": ["tests"]}))
    >>> state.phase, state.n_tests
    ('starting', 2)
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self.phase = "starting"
        """starting, waiting, validating, running or ended."""
        self.paths: list[str] = []
        self.mode = ""
        self.n_tests = 0
        self.tests: dict[str, TestLine] = {}
        self.findings: dict[str, list[Mapping[str, Any]]] = {}
        """Of the last validation of each file that has any."""
        self.reaction = Reaction()
        self.filters: dict[str, Any] = {}
        self.notes: list[tuple[str, str]] = []
        """Level and text, the newest last."""
        self.ended: Mapping[str, Any] | None = None
        self._going: dict[str, set[str]] = {}
        """Tests of runs that are going on, which still have to end."""
        self._sizes: dict[str, int] = {}

    # ------------------------------------------------------------------------------------ what is asked

    @property
    def is_running(self) -> bool:
        """Whether any run is going on."""
        return bool(self._going)

    @property
    def n_ended(self) -> int:
        """Tests of the runs going on that are over."""
        return self.n_going - sum(len(waiting) for waiting in self._going.values())

    @property
    def n_going(self) -> int:
        """Tests of the runs going on."""
        return sum(self._sizes[run] for run in self._going)

    @property
    def running(self) -> list[TestLine]:
        """Tests that run now, those that started first at the top."""
        return sorted(
            (test for test in self.tests.values() if test.since_s is not None), key=lambda t: t.since_s or 0.0
        )

    @property
    def bad(self) -> list[TestLine]:
        """Tests that do not pass, the worst first."""
        bad = (test for test in self.tests.values() if test.status in _BAD)
        return sorted(bad, key=lambda test: (_BAD.index(test.status), test.id))

    def running_ms(self, test: TestLine) -> float:
        """How long it has been running."""
        return (self._clock() - test.since_s) * 1e3 if test.since_s is not None else 0.0

    def findings_of(self, severity: str) -> list[Mapping[str, Any]]:
        """Present findings of one severity, by file."""
        return [
            finding
            for file in sorted(self.findings)
            for finding in self.findings[file]
            if finding.get("severity") == severity
        ]

    def counts(self) -> str:
        """``3 passed, 1 failed``: the last verdict of each test."""
        statuses = Counter(test.status for test in self.tests.values())
        return ", ".join(f"{statuses[word]} {word}" for word in STATUSES if statuses[word])

    # ------------------------------------------------------------------------------------------- events

    def take(self, event: Event) -> None:
        """Take one event in."""
        handler = getattr(self, f"_{event.event.replace('.', '_')}", None)
        if handler is not None:
            handler(event)

    def _test(self, test_id: str | None) -> TestLine:
        return self.tests.setdefault(test_id or "", TestLine(test_id or ""))

    def _watch_start(self, event: Event) -> None:
        self.paths = [str(path) for path in event.data.get("paths", ())]
        self.mode = str(event.data.get("mode", ""))
        self.n_tests = int(event.data.get("tests", 0))

    def _watch_change(self, event: Event) -> None:
        self.reaction = Reaction([str(each["file"]) for each in event.data.get("files", ())], "change")
        self.phase = "validating"
        self.notes = []

    def _watch_diagnostics(self, event: Event) -> None:
        for file in event.data.get("files", ()):
            self.findings.pop(file, None)
        for finding in event.data.get("findings", ()):
            self.findings.setdefault(str(finding.get("file") or ""), []).append(finding)
        self.reaction.diagnosed_ms = event.data.get("reaction_ms")
        self.n_tests = int(event.data.get("tests", self.n_tests))
        for test_id in event.data.get("gone", ()):
            self.tests.pop(test_id, None)
        self._rest()

    def _watch_plan(self, event: Event) -> None:
        if event.data.get("why") != "change":
            self.reaction = Reaction(why=str(event.data.get("why")))
        self.reaction.ran = list(event.data.get("run", ()))
        self.reaction.not_run = [(each["test"], each["reason"]) for each in event.data.get("not_run", ())]
        self.reaction.not_run_total = int(event.data.get("not_run_total", len(self.reaction.not_run)))
        self.reaction.planned_ms = event.data.get("reaction_ms")
        self._rest()

    def _watch_result(self, event: Event) -> None:
        for test in event.data.get("tests", ()):
            line = self._test(test["id"])
            if test["status"] != "skipped":
                line.status = test["status"]
                cause = test.get("cause") if line.status == "cached" else None
                line.why = str(cause or test.get("reason") or "")
                line.duration_ms = test.get("duration_ms")
        if event.data.get("is_latest", True) and "reaction_ms" in event.data:
            self.reaction.judged_ms = event.data.get("reaction_ms")
            self.reaction.timings = event.data.get("timings")
        self._rest()

    def _watch_filter(self, event: Event) -> None:
        self.filters = {name: value for name, value in event.data.items() if value}

    def _watch_note(self, event: Event) -> None:
        self.notes = [*self.notes, (str(event.data.get("level", "info")), str(event.data["text"]))][-6:]

    def _watch_end(self, event: Event) -> None:
        self.ended, self.phase = event.data, "ended"

    def _run_start(self, event: Event) -> None:
        self._going[event.run] = set()
        self._sizes[event.run] = 0
        self.phase = "running"

    def _run_end(self, event: Event) -> None:
        self._going.pop(event.run, None)
        self._rest()

    def _test_queued(self, event: Event) -> None:
        if event.run in self._going:
            self._going[event.run].add(event.test or "")
            self._sizes[event.run] += 1

    def _test_start(self, event: Event) -> None:
        line = self._test(event.test)
        line.run, line.since_s, line.doing = event.run, self._clock(), ""

    def _service_ready(self, event: Event) -> None:
        self._test(event.test).doing = f"{event.data.get('service', '')} ready"

    def _step_end(self, event: Event) -> None:
        self._test(event.test).doing = f"{event.data.get('name', 'a step')} {event.status}"

    def _scenario_end(self, event: Event) -> None:
        self._test(event.test).doing = f"{event.scenario} {event.status}"

    def _test_end(self, event: Event) -> None:
        if event.run in self._going:
            self._going[event.run].discard(event.test or "")
        line = self._test(event.test)
        if line.run not in ("", event.run):
            return
        line.since_s, line.doing, line.run = None, "", ""
        if event.status != "skipped":
            # Why it did so comes with the result; an older reason would be somebody else's.
            if line.status != event.status:
                line.why = ""
            line.status = event.status or "passed"
            line.duration_ms = event.data.get("duration_ms")

    def _rest(self) -> None:
        """Whatever has just ended: what goes on now."""
        if self.phase != "ended":
            self.phase = "running" if self._going else "waiting"
