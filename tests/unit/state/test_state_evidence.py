"""What proves a test flaky, and what earlier runs say about it."""

import json
import threading

import pytest

from clnrm_nb.state import State
from clnrm_nb.state.evidence import Attempt, Evidence
from clnrm_nb.state.redgreen import append_records
from clnrm_nb.state.statistics import records_of, statistics_of

TEST = "a.clnrm.toml"


@pytest.fixture
def state(tmp_path):
    with State.open(tmp_path / ".clnrm") as state:
        yield state


def saved(state, run_id, status="passed", *, inputs="h", judged_by="e", attempts=None, **more):
    """A run of one test, with the verdicts of its attempts."""
    test = {"id": TEST, "name": TEST, "status": status, "duration_ms": 10.0, "hash": inputs, **more}
    state.save_run({"run": run_id, "started_at": "2025-01-01T00:00:00Z", "data": {"tests": [test]}}, {})
    if inputs:
        verdicts = [status] if attempts is None else attempts
        Evidence(state).add(
            run_id,
            [Attempt(TEST, n, inputs, judged_by, verdict) for n, verdict in enumerate(verdicts, start=1)],
        )


def statistics(state, limit=100):
    (found,) = statistics_of(state, records_of(state, limit))
    return found.to_json()


def test_equal_inputs_and_unequal_verdicts_prove_it_with_the_two_runs(state):
    saved(state, "01A", "passed")
    saved(state, "01B", "failed")
    saved(state, "01C", "failed")

    found = statistics(state)

    assert found["flaky"] is True
    assert found["evidence"] == {
        "hash": "h",
        "runs": [
            {"run": "01A", "attempt": 1, "status": "passed"},
            {"run": "01B", "attempt": 1, "status": "failed"},
        ],
    }
    assert (found["pass_rate"], found["reason"]) == (0.3333, None)


def test_a_pass_in_a_retry_is_a_proof_within_one_run(state):
    saved(state, "01A", "flaky", attempts=["failed", "passed"])

    found = statistics(state)

    assert [(one["run"], one["attempt"]) for one in found["evidence"]["runs"]] == [("01A", 1), ("01A", 2)]
    assert found["passed"] == 0


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        ({"inputs": "other"}, "its inputs or expectations differed wherever its verdicts did"),
        ({"judged_by": "other"}, "its inputs or expectations differed wherever its verdicts did"),
        ({"inputs": None, "hash_reason": "uncacheable: the clock"}, "uncacheable: the clock"),
    ],
    ids=["other inputs", "other expectations", "no hash"],
)
def test_unequal_verdicts_alone_prove_nothing(state, second, reason):
    saved(state, "01A", "passed")
    saved(state, "01B", "failed", **second)

    found = statistics(state)

    assert (found["flaky"], found["evidence"], found["reason"]) == (False, None, reason)


def test_what_was_not_judged_is_no_verdict(state):
    saved(state, "01A", "passed")
    saved(state, "01B", "error", attempts=[])
    saved(state, "01C", "interrupted", inputs=None)

    found = statistics(state)

    assert (found["flaky"], found["runs"], found["passed"], found["status"]) == (False, 2, 1, "interrupted")


def test_runs_beyond_the_limit_prove_nothing_any_more(state):
    for run_id, status in [("01A", "failed"), ("01B", "passed"), ("01C", "passed")]:
        saved(state, run_id, status)

    assert statistics(state)["flaky"] is True
    assert statistics(state, limit=2)["flaky"] is False


def test_durations_are_those_of_runs_that_were_judged(state):
    for number, duration_ms in enumerate([100.0, 200.0, 300.0, 400.0]):
        saved(state, f"01{number}", duration_ms=duration_ms)
    saved(state, "02", "error", duration_ms=9_000.0)
    saved(state, "03", "cached", cached=True, duration_ms=1.0)

    found = statistics(state)

    assert (found["median_ms"], found["p95_ms"]) == (250.0, 385.0)
    # 100, then 0.3 of the way to each newer one: 130, 181, 246.7.
    assert found["ewma_ms"] == pytest.approx(246.7)
    assert (found["runs"], found["cached"]) == (5, 1)


def test_a_test_that_only_came_from_the_cache_has_no_rate(state):
    saved(state, "01A", "cached", cached=True)

    found = statistics(state)

    assert (found["runs"], found["pass_rate"], found["median_ms"]) == (0, None, None)


def test_a_run_saved_again_takes_its_evidence_along(state):
    saved(state, "01A", "passed")
    saved(state, "01A", "failed")

    assert statistics(state)["flaky"] is False


# ------------------------------------------------------------------------------------ tdd-history.json


def test_records_are_appended_whoever_else_writes(tmp_path):
    path = tmp_path / ".clnrm" / "tdd-history.json"
    threads = [
        threading.Thread(target=append_records, args=(path, [{"test_name": str(number)}]))
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    records = json.loads(path.read_bytes())["records"]
    assert sorted(record["test_name"] for record in records) == [str(number) for number in range(8)]


@pytest.mark.parametrize("damage", [b"{", b'{"records": 3}', b"[]", b""])
def test_a_damaged_file_is_set_aside_and_lost_to_nobody(tmp_path, damage):
    path = tmp_path / "tdd-history.json"
    path.write_bytes(damage)

    (finding,) = append_records(path, [{"test_name": "a"}])

    assert finding.code == "CLN804"
    assert len(json.loads(path.read_bytes())["records"]) == 1
    (aside,) = tmp_path.glob("tdd-history.json.damaged-*")
    assert aside.read_bytes() == damage


def test_a_file_that_cannot_be_written_is_a_warning(tmp_path):
    (tmp_path / "file").write_text("")

    (finding,) = append_records(tmp_path / "file" / "tdd-history.json", [{"test_name": "a"}])

    assert (finding.code, finding.severity) == ("CLN804", "warning")
