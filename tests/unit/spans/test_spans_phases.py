from __future__ import annotations

import asyncio
import threading

from hypothesis import given
from hypothesis import strategies as st

from clnrm_nb.spans import phases
from clnrm_nb.spans.phases import Phase, Place, at, begun, here, move, phase, running


def tree(root):
    return {each.name: each.parent.name if each.parent else None for each in root.walk()}


def test_a_phase_that_begins_in_another_is_a_part_of_it():
    with running("R1") as run:
        with phase("clnrm.load"), phase("clnrm.render"):
            pass
        with phase("clnrm.record"):
            pass

    assert tree(run) == {
        "clnrm.run": None,
        "clnrm.load": "clnrm.run",
        "clnrm.render": "clnrm.load",
        "clnrm.record": "clnrm.run",
    }


def test_a_run_is_a_part_of_what_it_is_a_run_for():
    with begun(Phase("clnrm.watch.change")) as change, running("R1") as run:
        pass

    assert run.parent is change
    assert run.trace_id == change.trace_id
    assert run.run is run


def test_outside_of_a_run_a_phase_is_timed_and_kept_nowhere():
    with phase("clnrm.render") as alone:
        assert here() is None

    assert alone.end_ns is not None
    assert alone.parent is None


def test_a_phase_ends_once_and_never_before_it_began():
    begins_later = Phase("p", start_ns=2_000_000_000_000_000_000)
    begins_later.end(5)
    begins_later.end(2_000_000_000_000_000_009)

    assert begins_later.end_ns == begins_later.start_ns


def test_a_clock_that_is_set_back_makes_no_phase_negative(monkeypatch):
    one = Phase("p")
    monkeypatch.setattr(phases.time, "time_ns", lambda: 0)
    one.end()

    assert one.duration_ms >= 0
    assert one.end_ns >= one.start_ns


def test_parts_beyond_the_most_are_counted(monkeypatch):
    monkeypatch.setattr(phases, "_MOST_PARTS", 2)
    run = Phase("clnrm.run")
    for _ in range(5):
        run.part("clnrm.render").end()

    assert len(run.parts) == 2
    assert run.attributes["clnrm.parts.left_out"] == 3


def test_what_is_logged_in_a_test_is_of_that_test_and_its_run():
    async def one(name):
        with at(Place("t" * 32, "0" * 16, run="R1", test=name)):
            await asyncio.sleep(0)
            move(span_id=name * 16)
            await asyncio.sleep(0)
            return here()

    async def both():
        return await asyncio.gather(one("a"), one("b"))

    places = asyncio.run(both())

    assert [(place.test, place.span_id, place.run) for place in places] == [
        ("a", "a" * 16, "R1"),
        ("b", "b" * 16, "R1"),
    ]
    assert here() is None


def test_another_thread_is_in_no_run():
    places = []
    with running("R1"):
        thread = threading.Thread(target=lambda: places.append(here()))
        thread.start()
        thread.join()

    assert places == [None]


def test_spans_of_phases_are_own_spans_of_one_trace():
    with running("R1") as run, phase("clnrm.load", {"clnrm.files": 3}):
        pass

    spans = [each.span() for each in run.walk()]

    assert all(span.own and span.scope.name == "clnrm_nb" for span in spans)
    assert len({span.trace_id for span in spans}) == 1
    assert spans[0].attributes == {"clnrm.run.id": "R1"}
    assert spans[1].parent_span_id == spans[0].span_id
    assert spans[0].start_ns <= spans[1].start_ns <= spans[1].end_ns <= spans[0].end_ns


@given(st.lists(st.integers(0, 3), max_size=30))
def test_a_walk_visits_every_phase_once_and_parents_first(choices):
    root = Phase("clnrm.run")
    known = [root]
    for choice in choices:
        known.append(known[choice % len(known)].part("p"))

    walked = list(root.walk())

    assert len(walked) == len(known)
    assert {id(each) for each in walked} == {id(each) for each in known}
    position = {id(each): number for number, each in enumerate(walked)}
    assert all(position[id(each.parent)] < position[id(each)] for each in walked if each.parent)
