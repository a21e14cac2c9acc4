from __future__ import annotations

from clnrm_nb.report.lines import to_plain
from clnrm_nb.report.measured import measure_words, measures_document
from clnrm_nb.report.timings import timing_lines, timings
from clnrm_nb.spans.phases import Phase
from clnrm_nb.state.measures import Measures


def a_run():
    run = Phase("clnrm.run", start_ns=1_000_000_000)
    load = run.note("clnrm.load", 1_001_000_000, 1_011_000_000)
    for start_ns in (1_002_000_000, 1_005_000_000):
        load.note("clnrm.render", start_ns, start_ns + 2_000_000)
    run.end(1_050_000_000)
    return run


TEST = {"cached": False, "duration_ms": 20.0, "timings_ms": {"queue": 1.0, "scenarios": 15.0}}


def test_phases_of_one_name_in_one_place_are_added_up():
    document = timings(a_run(), [])

    assert document["phases"] == [
        {"name": "clnrm.run", "parent": None, "count": 1, "start_ms": 0.0, "duration_ms": 50.0},
        {"name": "clnrm.load", "parent": 0, "count": 1, "start_ms": 1.0, "duration_ms": 10.0},
        {"name": "clnrm.render", "parent": 1, "count": 2, "start_ms": 2.0, "duration_ms": 4.0},
    ]


def test_tests_that_ran_are_phases_and_cached_ones_are_not():
    document = timings(a_run(), [TEST, TEST, {**TEST, "cached": True}])

    tests = [phase for phase in document["phases"] if phase["name"] == "clnrm.test"]
    assert [(phase["count"], phase["duration_ms"], phase["parent"]) for phase in tests] == [(2, 40.0, 0)]
    assert [phase["name"] for phase in document["phases"][-2:]] == ["queue", "scenarios"]


def test_tests_of_a_watched_change_stand_below_its_run():
    change = Phase("clnrm.watch.change", start_ns=0)
    change.parts.append(a_run())
    change.parts[0].parent = change
    change.end(60_000_000)

    phases = timings(change, [TEST])["phases"]

    names = [phase["name"] for phase in phases]
    assert phases[names.index("clnrm.test")]["parent"] == names.index("clnrm.run")


def test_the_text_shows_phases_below_what_they_are_parts_of():
    text = to_plain(timing_lines(timings(a_run(), [TEST])), 100)

    assert [line.rstrip() for line in text.splitlines()] == [
        "where the time went",
        "  clnrm.run              50 ms",
        "    clnrm.load           10 ms",
        "      clnrm.render        4 ms  2 times",
        "    clnrm.test           20 ms",
        "      queue               1 ms",
        "      scenarios          15 ms",
    ]


def test_sentences_are_only_about_what_was_measured():
    bare = Measures("R1", "", 100.0, {"passed": 1})
    rich = Measures(
        "R2",
        "",
        100.0,
        {"passed": 1, "cached": 9},
        lookups={"hit": 9, "miss": 1},
        reaction_ms=11.0,
        peak_memory_mb=80.0,
    )

    assert measure_words([bare]) == ["the last run:", "  throughput        10 tests/s"]
    assert measure_words([rich, bare]) == [
        "the last 2 runs:",
        "  save to rendering p50 11 ms, p99 11 ms, most 11 ms (1 save)",
        "  throughput        55 tests/s",
        "  cache             90.0% without a run (hit 9, miss 1)",
        "  peak memory       80 MiB",
    ]
    assert measures_document([bare])["runs"][0]["hits"] is None
