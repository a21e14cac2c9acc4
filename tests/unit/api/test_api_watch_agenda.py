"""What a watcher owes: nothing that changed is ever forgotten, nothing is run that should not be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from clnrm_nb.api.watching.agenda import Agenda
from clnrm_nb.api.watching.project import KnownTest
from clnrm_nb.executor.outcome import TestOutcome

NAMES = "abcdef"


def known(*, invalid=()):
    return {
        name: KnownTest(name, f"/{name}", (), (), "m", TestOutcome(name, name) if name in invalid else None)
        for name in NAMES
    }


def ids(decided):
    return [test.test_id for test in decided.run]


def test_what_is_filtered_out_is_owed_and_runs_with_the_next_that_may():
    agenda = Agenda()

    filtered = agenda.decide({"a": "a changed"}, known(), {"b"}, (), rest="-")
    cleared = agenda.decide({}, known(), set(NAMES), (), rest="-")

    assert ids(filtered) == []
    assert filtered.not_run["a"] == "filtered out, though a changed"
    assert (ids(cleared), cleared.reasons) == (["a"], {"a": "a changed"})
    assert agenda.owed == {}


def test_an_invalid_test_has_its_verdict_and_is_not_run():
    decided = Agenda().decide({"a": "a changed"}, known(invalid="a"), set(NAMES), (), rest="-")

    assert ids(decided) == []
    assert [outcome.id for outcome in decided.invalid] == ["a"]


def test_why_is_told_of_those_that_ran_first():
    agenda = Agenda()
    agenda.decide({"c": "c changed"}, known(), set(NAMES), (), rest="unchanged")

    assert agenda.why()[:2] == ["c: run: c changed", "a: not run: unchanged"]


names = st.sets(st.sampled_from(NAMES))


@given(steps=st.lists(st.tuples(names, names, names), max_size=8), invalid=names)
def test_every_change_is_run_answered_or_owed(steps, invalid):
    agenda, tests = Agenda(), known(invalid=invalid)
    for changed, chosen, running in steps:
        before = set(agenda.owed)
        decided = agenda.decide(dict.fromkeys(changed, "changed"), tests, chosen, running, rest="rest")

        run = set(ids(decided))
        assert run <= chosen - running - invalid
        answered = run | {outcome.id for outcome in decided.invalid} | (running & chosen)
        assert changed | before <= answered | agenda.owed.keys()
        assert not agenda.owed.keys() & chosen
        assert run | decided.not_run.keys() | running == set(NAMES)
