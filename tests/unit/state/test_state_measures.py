from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clnrm_nb.state import State
from clnrm_nb.state.measures import Measures, measures_of, spread, summary


def measures(run="R1", **known):
    return Measures(
        run=run, at="2026-01-01T00:00:00Z", duration_ms=500.0, **{"tests": {"passed": 2}, **known}
    )


def save(state, one):
    document = {"run": one.run, "started_at": one.at, "data": {"tests": [], "measures": one.to_json()}}
    state.save_run(document, {})


def test_measures_are_kept_with_their_run_and_read_newest_first(tmp_path):
    first = measures("R1", lookups={"hit": 3, "miss": 1}, queue_wait_ms=[1.0, 2.5], reaction_ms=9.25)
    with State.open(tmp_path / ".clnrm") as state:
        save(state, first)
        save(state, measures("R2"))

        found = measures_of(state, 10)

    assert [one.run for one in found] == ["R2", "R1"]
    assert found[1] == first


def test_runs_of_versions_that_measured_nothing_are_passed_over(tmp_path):
    with State.open(tmp_path / ".clnrm") as state:
        state.save_run({"run": "R1", "data": {"tests": []}}, {})

        assert measures_of(state, 10) == []


def test_what_a_newer_version_measures_besides_is_left_out():
    known = {**measures().to_json(), "of_tomorrow": 1}

    assert Measures.from_json(known, run="R1", at="2026-01-01T00:00:00Z") == measures()


def test_what_was_not_measured_is_not_written_and_is_none_in_the_summary():
    document = measures().to_json()

    assert set(document) == {"duration_ms", "tests", "spans"}
    told = summary([measures()])
    assert told["tests"] == 2
    assert told["throughput_per_s"] == 4.0
    for name in ("lookups", "pool", "queue_wait_ms", "reaction_ms", "verdict_ms", "peak_memory_mb"):
        assert told[name] is None


def test_of_no_run_nothing_is_known():
    told = summary([])

    assert (told["runs"], told["throughput_per_s"], told["lookups"]) == (0, None, None)


def test_what_is_judged_again_counts_as_found_and_skipped_tests_as_none():
    runs = [
        measures("R1", lookups={"hit": 6, "miss": 2}, pool={"hits": 1, "misses": 1}),
        measures("R2", lookups={"hit": 1, "rejudged": 1}, tests={"passed": 1, "skipped": 7}),
    ]

    told = summary(runs)

    assert told["lookups"] == {"hit": 7, "miss": 2, "rejudged": 1, "hit_rate": 0.8}
    assert told["pool"] == {"hits": 1, "misses": 1, "hit_rate": 0.5}
    assert told["tests"] == 3


@pytest.mark.parametrize(
    ("values", "p50", "p99"), [([5.0], 5.0, 5.0), ([1.0, 3.0], 2.0, 2.98), (list(range(101)), 50, 99)]
)
def test_a_spread_is_of_the_values_that_are_there(values, p50, p99):
    assert spread(values) == {"n": len(values), "p50": p50, "p99": p99, "max": max(values)}


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=2_000))
def test_few_waiting_times_stand_for_many(waits_ms):
    kept = measures(queue_wait_ms=waits_ms).to_json()["queue_wait_ms"]

    assert len(kept) <= 200
    assert kept == sorted(kept)
    assert kept[0] == round(min(waits_ms), 2)
    assert kept[-1] == round(max(waits_ms), 2)
