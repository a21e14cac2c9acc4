"""Whose a change is that comes while tests run which may write there."""

from __future__ import annotations

import time

import pytest

from clnrm_nb.api.watching.own import OwnWrites
from clnrm_nb.watch import Change, Facts, Graph

FILE = "/p/data/file"
DATA = frozenset({"/p/data"})


@pytest.fixture
def own():
    graph = Graph()
    graph.put(Facts("reader", "/p/r.toml", mounts=DATA))
    graph.put(Facts("writer", "/p/w.toml", mounts=DATA, writable=DATA))
    return OwnWrites(graph)


def change(**more):
    return Change(FILE, "1", "2", **more)


def test_while_a_test_runs_what_it_may_have_written_concerns_only_those_who_read_it(own):
    kept, told = own.apart([change()], {"writer"})

    assert [each.readers for each in kept] == [("reader",)]
    assert told == {"writer": FILE}


def test_it_is_told_once_a_test(own):
    own.apart([change()], {"writer"})

    assert own.apart([change()], {"writer"})[1] == {}


def test_what_a_reader_could_not_have_written_counts_for_all(own):
    assert own.apart([change()], {"reader"}) == ([change()], {})
    assert own.apart([change()], ()) == ([change()], {})


def test_what_was_written_during_the_run_is_its_own_also_when_it_is_noticed_later(own):
    own.began(["writer"])
    during_ns = time.time_ns()
    own.ended(["writer"])

    kept, _ = own.apart([change(written_ns=during_ns)], ())
    later = change(written_ns=time.time_ns() + 1)

    assert [each.readers for each in kept] == [("reader",)]
    assert own.apart([later], ()) == ([later], {})


def test_a_scenario_file_counts_though_its_test_may_write_all_around_it(own):
    own.graph.put(Facts("whole", "/p/t.toml", mounts=frozenset({"/p"}), writable=frozenset({"/p"})))
    edited = Change("/p/t.toml", "1", "2")

    assert own.apart([edited], {"whole"}) == ([edited], {})
