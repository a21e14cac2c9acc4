from __future__ import annotations

import time

from clnrm_nb.executor.outcome import TestOutcome
from clnrm_nb.pipeline.measuring import measured
from clnrm_nb.pipeline.reaction import Reaction
from clnrm_nb.spans.phases import here, phase, running

SEEN_NS = 1_900_000_000_000_000_000


def carried_out(reaction, *, checks=True):
    """What the run measures, for a change that is checked and run."""
    if checks:
        with reaction.checking(), phase("clnrm.render"):
            pass
    with reaction.running(), running("R1"):
        return measured([TestOutcome("a", "a", timings_ms={"queue": 4.0})], run_id="R1", at="")


def test_a_change_is_one_trace_from_the_write_to_the_run():
    reaction = Reaction(["a.clnrm.toml"], written_ns=SEEN_NS - 3_000_000, seen_ns=SEEN_NS)
    carried_out(reaction)

    change = reaction.change
    assert [part.name for part in change.parts] == [
        "clnrm.watch.event",
        "clnrm.watch.check",
        "clnrm.watch.settle",
        "clnrm.run",
    ]
    assert change.parts[0].duration_ms == 3.0
    assert [part.name for part in change.parts[1].parts] == ["clnrm.render"]
    assert {part.trace_id for part in change.walk()} == {change.trace_id}
    assert change.end_ns is not None
    assert here() is None


def test_times_since_the_write_are_measured_in_the_order_things_happen():
    seen_ns = time.time_ns()
    found = carried_out(Reaction(["a"], written_ns=seen_ns - 1_000_000, seen_ns=seen_ns))

    assert 1.0 <= found.reaction_ms <= found.diagnostics_ms <= found.start_ms <= found.verdict_ms


def test_a_time_that_cannot_be_true_measures_nothing():
    seen_ns = time.time_ns()
    for written_ns in (None, seen_ns + 1, seen_ns - 3_600_000_000_000):
        found = carried_out(Reaction(["a"], written_ns=written_ns, seen_ns=seen_ns))

        assert (found.reaction_ms, found.verdict_ms) == (None, None)


def test_without_a_check_there_is_no_reaction_but_a_verdict():
    seen_ns = time.time_ns()
    found = carried_out(Reaction(["a"], written_ns=seen_ns, seen_ns=seen_ns), checks=False)

    assert found.reaction_ms is None
    assert found.verdict_ms is not None


def test_a_run_of_nobodys_change_measures_no_reaction():
    with running("R1"):
        found = measured([], run_id="R1", at="")

    assert found.reaction_ms is None


def test_only_tests_that_ran_are_measured():
    ran = TestOutcome("a", "a", timings_ms={"queue": 4.0}, was_ready=True)
    late = TestOutcome("b", "b", timings_ms={"queue": 6.0}, was_ready=False)
    cached = TestOutcome("c", "c", status="cached", cached=True, timings_ms={"queue": 9.0}, was_ready=True)
    taken_over = TestOutcome("d", "d", timings_ms={"queue": 9.0}, taken_over_from="R0")

    found = measured([ran, late, cached, taken_over], run_id="R1", at="")

    assert found.queue_wait_ms == [4.0, 6.0]
    assert found.pool == {"hits": 1, "misses": 1}
    assert found.tests == {"passed": 3, "cached": 1}
    assert found.peak_memory_mb is None or found.peak_memory_mb > 1
