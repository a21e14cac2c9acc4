"""The screen of a watcher: what matters is on it, whatever the size of the terminal, and it is true."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clnrm_nb.executor.events import Event
from clnrm_nb.report.lines import to_plain
from clnrm_nb.report.watchlines import event_lines
from clnrm_nb.report.watchscreen import WatchDisplay, screen_lines
from clnrm_nb.report.watchstate import WatchState

SESSION, RUN = "w1", "r1"


def change(*files):
    return Event(
        "watch.change", SESSION, data={"files": [{"file": file, "change": "changed"} for file in files]}
    )


def found(*findings, files=(), **data):
    told = [{"file": file, "line": 3, "column": 1, **rest} for file, rest in findings]
    return Event("watch.diagnostics", SESSION, data={"files": list(files), "findings": told, **data})


def plan(run=(), not_run=(), why="change", **data):
    told = [{"test": test, "reason": reason} for test, reason in not_run]
    more = {"not_run_total": len(told), **data}
    return Event("watch.plan", SESSION, data={"why": why, "run": list(run), "not_run": told, **more})


def result(*tests, **data):
    told = [{"id": test, "status": status, "reason": why, "duration_ms": 5.0} for test, status, why in tests]
    return Event("watch.result", SESSION, data={"tests": told, **data})


def of_test(event, name, status=None, run=RUN, **data):
    return Event(event, run, test=name, status=status, data=data)


START = Event("watch.start", SESSION, data={"tests": 3, "paths": ["."], "mode": "events"})
ERROR = {"severity": "error", "code": "CLN201", "message": "invalid value"}
WARNING = {"severity": "warning", "code": "CLN414", "message": "nobody knows it"}


@pytest.fixture
def state():
    state = WatchState(clock=lambda: 0.0)
    state.take(START)
    return state


@pytest.fixture
def screen(state):
    """The lines after some events."""

    def screen(*events, **options):
        for event in events:
            state.take(event)
        return to_plain(screen_lines(state, **options)).splitlines()

    return screen


def test_errors_stand_before_warnings_and_failures(screen):
    shown = screen(
        result(("c", "failed", "exit code 3")),
        change("a"),
        found(("a", WARNING), ("b", ERROR), files=["a", "b"]),
    )

    assert [line.split()[1] for line in shown[1:4]] == ["error", "warning", "failed"]
    assert "b:3:1" in shown[1]
    assert shown[3].endswith("c  exit code 3")


def test_before_it_is_known_what_runs_nothing_is_said_about_it(screen):
    before = screen(change("a"), found(files=["a"], reaction_ms=9.0))
    after = screen(plan([], [("a", "its file holds errors")], reaction_ms=60.0))

    assert not any(line.startswith("ran") for line in before)
    assert "ran      nothing" in after


def test_a_file_that_is_read_again_without_findings_has_none_any_more(screen, state):
    screen(found(("a", ERROR), files=["a"]))
    shown = screen(found(files=["a"]))

    assert state.findings_of("error") == []
    assert not any("CLN201" in line for line in shown)


def test_the_last_change_tells_its_times_what_ran_and_what_did_not_and_why(screen):
    shown = screen(
        change("_m.tera"),
        found(files=["a"], reaction_ms=12.0),
        plan(["a"], [("b", "does not depend on _m.tera"), ("c", "does not depend on _m.tera")]),
        result(("a", "passed", None), reaction_ms=812.0),
    )

    assert "changed  _m.tera · diagnostics 12 ms · verdict 812 ms" in shown
    assert "ran      a (passed 5 ms)" in shown
    assert "not run  2 tests: does not depend on _m.tera" in shown


def test_what_is_cached_was_not_run_and_says_why(screen):
    event = result(("a", "cached", "unchanged"))
    event.data["tests"][0]["cause"] = "a: 1 line changed, cosmetic"
    shown = screen(change("a"), plan(["a"]), event)

    assert "not run  a: cached: a: 1 line changed, cosmetic" in shown
    assert not any(line.startswith("ran") for line in shown)


def test_a_test_that_an_earlier_run_puts_away_still_runs_in_the_later_one(state):
    for event in (
        Event("run.start", "r1"),
        of_test("test.queued", "a"),
        of_test("test.start", "a"),
        Event("run.start", "r2"),
        of_test("test.queued", "a", run="r2"),
        of_test("test.start", "a", run="r2"),
        of_test("test.end", "a", "skipped"),
    ):
        state.take(event)

    assert [one.id for one in state.running] == ["a"]
    assert state.phase == "running"


def test_a_dropped_test_keeps_the_verdict_it_had(state):
    state.take(result(("a", "failed", "exit code 3")))
    for event in (
        Event("run.start", RUN),
        of_test("test.queued", "a"),
        of_test("test.start", "a"),
        of_test("test.end", "a", "skipped"),
        Event("run.end", RUN),
    ):
        state.take(event)

    assert [(one.id, one.status) for one in state.bad] == [("a", "failed")]
    assert state.phase == "waiting"


@given(
    height=st.integers(8, 60),
    counts=st.tuples(*[st.integers(0, 200)] * 3, st.integers(0, 50)),
    has_keys=st.booleans(),
)
def test_the_screen_never_has_more_lines_than_the_terminal(height, counts, has_keys):
    n_errors, n_failed, n_not_run, n_running = counts
    state = WatchState(clock=lambda: 0.0)
    state.take(START)
    state.take(result(*((f"f{number}", "failed", "no") for number in range(n_failed))))
    state.take(change("x"))
    state.take(found(*((f"e{number}", ERROR) for number in range(n_errors))))
    state.take(plan([], [(f"n{number}", f"reason {number}") for number in range(n_not_run)]))
    for number in range(n_running):
        state.take(of_test("test.start", f"t{number}"))

    lines = screen_lines(state, height=height, has_keys=has_keys)

    assert len(lines) <= height
    assert ("q", "bold") in lines[-1] or not has_keys
    wrong = n_errors or n_failed
    assert not wrong or any(text.strip()[:1] in "‼✗…" for text, _ in lines[1])


def test_what_strangers_wrote_cannot_move_the_cursor(screen):
    shown = screen(result(("a\x1b[2J", "failed", "no\x1b[31m\nway")), change("b\r\n"))

    assert not any("\x1b" in line or "\r" in line for line in shown)
    assert len(shown) == len(screen())


@pytest.mark.parametrize(
    ("event", "lines"),
    [
        (change("a", "b"), ["changed a, b"]),
        (found(("a", ERROR)), ["a:3:1: error CLN201 invalid value"]),
        (plan(["a"], [("b", "unchanged")]), ["running 1 test: a", "not run b: unchanged"]),
        (plan(), ["nothing to run"]),
        (result(("a", "failed", "no\nway"), reaction_ms=1.0), ["✗ failed a  no\\nway", "verdict after 1 ms"]),
        (
            Event("watch.filter", SESSION, data={"file": "x", "test": "", "failed": True}),
            ["only file x, failed"],
        ),
        (Event("watch.end", SESSION, data={"reason": "quit"}), ["watching ended: quit"]),
        (of_test("test.start", "a"), []),
    ],
)
def test_where_there_is_no_screen_whatever_matters_is_a_line(event, lines):
    assert event_lines(event) == lines


def test_without_a_terminal_nothing_but_plain_lines_is_written():
    stream = io.StringIO()

    with WatchDisplay(stream, color=True) as display:
        for event in (START, change("a"), plan(["a"]), result(("a", "passed", None))):
            display(event)

    assert stream.getvalue() == "watching 3 tests\nchanged a\nrunning 1 test: a\n✓ passed a\n"
