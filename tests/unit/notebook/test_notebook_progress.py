"""Progress of a run from its events, and the HTML and lines drawn of it."""

from clnrm_nb.executor.events import Event
from clnrm_nb.notebook.live import LinesLive
from clnrm_nb.notebook.livehtml import progress_html
from clnrm_nb.notebook.progress import RunProgress


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def fed(*events, clock=None):
    progress = RunProgress(clock or Clock())
    for name, fields in events:
        progress.take(Event(name, "r1", **fields))
    return progress


def test_counts_are_of_tests_that_ended():
    progress = fed(
        ("run.start", {"data": {"tests": 3}}),
        ("test.queued", {"test": "a"}),
        ("test.end", {"test": "a", "status": "passed"}),
        ("test.end", {"test": "b", "status": "failed"}),
    )

    assert progress.counts() == "1 passed, 1 failed"
    assert progress.headline().startswith("2/3 tests (1 passed, 1 failed) · 0 spans")


def test_rate_forgets_what_is_older_than_two_seconds():
    clock = Clock()
    progress = RunProgress(clock)
    progress.take(Event("span", "r", test="a", data={"count": 100}))
    clock.now = 1.0
    progress.take(Event("span", "r", test="a", data={"count": 10}))

    clock.now = 2.5

    assert progress.spans == 110
    assert progress.spans_per_s() == 5


def test_milestone_names_the_test_that_failed():
    progress = fed(("test.end", {"test": "a", "status": "failed"}))

    assert progress.milestone == "failed: a"


def test_a_running_test_says_that_it_is_slow_or_tried_again():
    progress = fed(
        ("run.start", {"data": {"tests": 3, "resume": {"run": "01J", "taken_over": 1}}}),
        ("test.start", {"test": "a"}),
        ("test.slow", {"test": "a", "data": {"running_s": 60.0}}),
        ("test.start", {"test": "b"}),
        ("test.retry", {"test": "b", "status": "failed", "data": {"attempt": 2, "pause_ms": 200.0}}),
    )

    assert progress.tests["a"].doing == "running for 1 min 0 s"
    assert progress.tests["b"].doing == "failed, attempt 2 in 200 ms"
    assert progress.tests["b"].status == "running"
    assert progress.milestone == "started: 3 tests, 1 taken over from a broken-off run"


def test_running_tests_are_shown_first_and_queued_ones_last():
    progress = fed(
        ("test.queued", {"test": "queued"}),
        ("test.end", {"test": "done", "status": "passed"}),
        ("test.end", {"test": "red", "status": "failed"}),
        ("test.start", {"test": "busy"}),
    )

    assert [test.id for test in progress.shown(10)] == ["busy", "red", "done", "queued"]


def test_html_of_many_tests_stays_below_twenty_kilobytes_and_says_what_it_shows():
    names = [f"{'long/' * 40}{number}<i>" for number in range(300)]
    progress = fed(
        *(("test.start", {"test": name}) for name in names),
        *(("scenario.end", {"test": n, "scenario": "s" * 500, "status": "failed"}) for n in names),
    )

    html = progress_html(progress)

    assert len(html) < 20_000
    assert "showing 12 of 300 tests" in html
    assert "<i>" not in html


def test_lines_say_each_scenario_once():
    said = []
    live = LinesLive(said.append)

    live(Event("scenario.end", "r", test="a", scenario="one", status="passed", data={"duration_ms": 12.0}))
    live(Event("test.end", "r", test="a", status="passed"))
    live(Event("test.end", "r", test="b", status="error", data={"duration_ms": 1.0}))

    assert [line.split() for line in said] == [["passed", "a::one", "12", "ms"], ["error", "b", "1", "ms"]]


def test_lines_of_a_huge_run_keep_only_what_does_not_pass():
    said = []
    live = LinesLive(said.append)

    for number in range(500):
        live(Event("scenario.end", "r", test="a", scenario=str(number), status="passed"))
    live(Event("scenario.end", "r", test="a", scenario="bad", status="failed"))

    assert len(said) == 202
    assert "a::bad" in said[-1]
