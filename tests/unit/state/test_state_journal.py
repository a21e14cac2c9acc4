"""The journal of runs that are going on: what is taken over, by whom, and that it is taken over once."""

from __future__ import annotations

import multiprocessing
import sqlite3

import pytest

from clnrm_nb.state import State
from clnrm_nb.state.journal import Journal, broken_runs, resumed_now

ALIVE, DEAD = "alive", "dead"
DIGESTS = {"a": "1", "b": "2", "c": "3"}


def is_gone(owner):
    return owner == DEAD


def document(test_id, status="passed"):
    return {"id": test_id, "status": status}


@pytest.fixture
def state(tmp_path):
    with State.open(tmp_path / ".clnrm") as state:
        yield state


@pytest.fixture
def journal(state):
    def make(run, owner=DEAD):
        return Journal(state, run, at=f"at {run}", owner=owner)

    return make


def broken(state):
    return [one.run for one in broken_runs(state, is_gone)]


def test_only_a_run_whose_owner_is_gone_or_that_was_broken_off_can_be_gone_on_with(state, journal):
    for run, owner in (("lives", ALIVE), ("died", DEAD), ("whole", DEAD), ("stopped", ALIVE)):
        journal(run, owner).begin(DIGESTS)
    journal("whole").close()
    journal("stopped").break_off()

    assert broken(state) == ["stopped", "died"]
    assert broken_runs(state, is_gone)[0].tests == DIGESTS


def test_verdicts_move_to_the_run_that_goes_on(state, journal):
    first = journal("first")
    first.begin(DIGESTS)
    first.add({"a": document("a"), "b": document("b", "failed")}, {"a": "sha256:spans"})

    second = journal("second", ALIVE)
    taken = second.take_over(broken_runs(state, is_gone)[0], DIGESTS, keeps={"a", "c"})

    assert set(taken) == {"a"}
    assert (taken["a"].origin, taken["a"].at, taken["a"].spans) == ("first", "at first", "sha256:spans")
    assert taken["a"].document == document("a")
    assert broken(state) == []


def test_a_run_that_went_on_and_died_too_is_gone_on_with_as_a_whole(state, journal):
    first = journal("first")
    first.begin(DIGESTS)
    first.add({"a": document("a")}, {})
    second = journal("second")
    second.take_over(broken_runs(state, is_gone)[0], DIGESTS, keeps=DIGESTS)
    second.add({"b": document("b")}, {})

    taken = journal("third", ALIVE).take_over(broken_runs(state, is_gone)[0], DIGESTS, keeps=DIGESTS)

    assert {name: verdict.origin for name, verdict in taken.items()} == {"a": "first", "b": "second"}


def test_the_slower_of_two_is_told_who_goes_on(state, journal):
    journal("first").begin(DIGESTS)
    found = broken_runs(state, is_gone)[0]

    fast = journal("fast", ALIVE).take_over(found, DIGESTS, keeps=DIGESTS)
    slow = journal("slow", ALIVE).take_over(found, DIGESTS, keeps=DIGESTS)

    assert (fast, slow) == ({}, None)
    assert resumed_now(state, {"a"}, is_gone) == "first"
    assert resumed_now(state, {"other"}, is_gone) is None
    journal("fast").close()
    assert resumed_now(state, {"a"}, is_gone) is None


def _claim(directory, name, start, results):
    with State.open(directory) as state:
        found = broken_runs(state, is_gone)[0]
        start.wait(30)
        taken = Journal(state, name, at="now", owner=ALIVE).take_over(found, DIGESTS, keeps=DIGESTS)
        results.put(taken is not None)


def test_of_many_processes_at_once_exactly_one_goes_on(tmp_path, state, journal):
    journal("first").begin(DIGESTS)
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(4), context.Queue()
    arguments = [(tmp_path / ".clnrm", f"r{number}", start, results) for number in range(4)]
    processes = [context.Process(target=_claim, args=each) for each in arguments]
    for process in processes:
        process.start()
    won = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(30)

    assert sorted(won) == [False, False, False, True]


def test_a_recorded_verdict_moves_in_the_history_and_stands_there_once(state, journal):
    first = journal("first")
    first.begin(DIGESTS)
    first.add({"a": document("a")}, {})
    first.break_off()
    tests = [document("a"), document("b", "interrupted")]
    state.save_run({"run": "first", "started_at": "x", "data": {"tests": tests}}, {})

    verdicts = journal("second", ALIVE).take_over(broken_runs(state, is_gone)[0], DIGESTS, keeps=DIGESTS)
    moved = {name: verdict.recorded_in for name, verdict in verdicts.items()}
    tests = [document("a"), document("b")]
    state.save_run({"run": "second", "started_at": "x", "data": {"tests": tests}}, {}, moved_from=moved)

    rows = [(row["run"], row["test_id"], row["status"]) for row in state.history()]
    assert rows == [("second", "b", "passed"), ("second", "a", "passed"), ("first", "b", "interrupted")]
    lines = (state.directory / "history" / "runs.ndjson").read_text().splitlines()
    assert len(lines) == 3


def test_a_whole_run_leaves_nothing_of_itself_and_of_what_it_superseded(state, journal):
    journal("old").begin({"a": "1"})
    new = journal("new", ALIVE)
    new.begin(DIGESTS)
    new.add({"a": document("a")}, {})

    new.close(["old"])

    assert broken(state) == []
    assert state.read("SELECT * FROM journal_tests") == []


def test_broken_off_runs_do_not_pile_up(state, journal):
    for number in range(130):
        journal(f"r{number}").begin({"a": "1"})

    assert len(broken(state)) == 100


def test_a_damaged_verdict_is_left_out_and_the_others_are_taken_over(state, journal):
    first = journal("first")
    first.begin(DIGESTS)
    first.add({"a": document("a"), "b": document("b")}, {})
    with sqlite3.connect(state.directory / "state.db") as connection:
        connection.execute("UPDATE journal_tests SET document = x'00' WHERE test_id = 'a'")

    taken = journal("second", ALIVE).take_over(broken_runs(state, is_gone)[0], DIGESTS, keeps=DIGESTS)

    assert set(taken) == {"b"}


def test_a_disk_that_takes_nothing_costs_a_warning_and_no_more(tmp_path):
    (tmp_path / ".clnrm").write_text("a file where the directory should be")

    with State.open(tmp_path / ".clnrm") as state:
        journal = Journal(state, "r", at="now", owner=ALIVE)
        kept = [journal.begin(DIGESTS), journal.add({"a": document("a")}, {}), journal.close()]

        assert kept == [False, False, False]
        assert [finding.code for finding in state.diagnostics] == ["CLN804"]
        assert broken_runs(state, is_gone) == []
