from __future__ import annotations

import json
import multiprocessing
import threading

import pytest

from clnrm_nb.state import State, new_run_id

CHECKOUT = {"name": "checkout", "trace_digest": "sha256:aa"}


def result(test_id, status="passed", **more):
    return {
        "id": test_id,
        "name": test_id,
        "status": status,
        "duration_ms": 10.0,
        "backend": "docker",
        "trace_digest": "sha256:aa",
        **more,
    }


def document(run_id, *tests, at="2025-01-01T00:00:00Z", **more):
    return {
        "format": "clnrm-report/1",
        "run": run_id,
        "command": "run",
        "started_at": at,
        "workers": 2,
        "data": {"tests": list(tests)},
        **more,
    }


@pytest.fixture
def state(tmp_path):
    with State.open(tmp_path / ".clnrm") as state:
        yield state


def exported(state):
    return [json.loads(line) for line in (state.directory / "history/runs.ndjson").read_text().splitlines()]


def test_a_saved_run_comes_back_whole(state):
    saved = document("01A", result("a"), result("b", "failed", scenarios=[CHECKOUT]))

    assert state.save_run(saved, {"a": b"spans of a"})

    assert state.run("01A") == saved
    assert state.diagnostics == ()


def test_a_run_without_an_id_gets_one(state):
    unnamed = {key: value for key, value in document("x", result("a")).items() if key != "run"}

    assert state.save_run(unnamed, {})

    assert state.run(state.runs()[0]["run"])["data"]["tests"] == [result("a")]


def test_an_unknown_run_is_none(state):
    state.save_run(document("01A"), {})

    assert state.run("01B") is None


def test_runs_are_newest_first_and_without_their_tests(state):
    for run_id in ("01A", "01B", "01C"):
        state.save_run(document(run_id, result("a")), {})

    found = state.runs(limit=2)

    assert [run["run"] for run in found] == ["01C", "01B"]
    assert "tests" not in found[0]["data"]


def test_a_run_saved_again_replaces_itself(state):
    state.save_run(document("01A", result("a", "failed")), {"a": b"1"})

    state.save_run(document("01A", result("b")), {})

    assert [test["id"] for test in state.run("01A")["data"]["tests"]] == ["b"]
    assert [row["test_id"] for row in state.history()] == ["b"]


def test_history_rows_have_the_columns_of_the_frame(state):
    state.save_run(document("01A", result("a", scenarios=[CHECKOUT], cached=True)), {})

    assert state.history() == [
        {
            "run": "01A",
            "at": "2025-01-01T00:00:00Z",
            "test_id": "a",
            "status": "passed",
            "duration_ms": 10.0,
            "cached": True,
            "backend": "docker",
            "trace_digest": "sha256:aa",
        }
    ]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ([], ["t/c.toml[db=pg]", "t/b.toml", "t/a.toml"]),
        (["t/a.toml"], ["t/a.toml"]),
        (["t/[ab].toml"], ["t/b.toml", "t/a.toml"]),
        (["*"], ["t/c.toml[db=pg]", "t/b.toml", "t/a.toml"]),
        (["t/c.toml[db=pg]"], ["t/c.toml[db=pg]"]),
        (["nothing", "t/b*"], ["t/b.toml"]),
        (["nothing"], []),
    ],
)
def test_history_takes_ids_and_globs_newest_first(state, wanted, found):
    state.save_run(document("01A", result("t/a.toml"), result("t/b.toml")), {})
    state.save_run(document("01B", result("t/c.toml[db=pg]")), {})

    assert [row["test_id"] for row in state.history(wanted)] == found


def test_history_keeps_to_its_limit(state):
    state.save_run(document("01A", *(result(f"t{i}") for i in range(5))), {})

    assert [row["test_id"] for row in state.history(limit=2)] == ["t4", "t3"]


def test_the_last_result_is_the_last_verdict(state):
    state.save_run(document("01A", result("a", "failed"), result("b"), result("c", "skipped")), {})
    state.save_run(document("01B", result("a", "interrupted"), result("b", "failed")), {})

    last = state.last_results()

    assert {test: row["status"] for test, row in last.items()} == {"a": "failed", "b": "failed"}
    assert last["a"]["run"] == "01A"


def test_durations_are_those_of_real_executions(state):
    state.save_run(document("01A", result("a", duration_ms=500.0), result("b", duration_ms=7.0)), {})
    state.save_run(
        document(
            "01B",
            result("a", "cached", duration_ms=1.0, cached=True),
            result("b", "failed", duration_ms=9.0),
            result("c", "error", duration_ms=0.5),
        ),
        {},
    )

    assert state.durations() == pytest.approx({"a": 500.0, "b": 7.8})


def test_expected_durations_follow_a_change_and_forgive_one_slow_run(state):
    for number, duration_ms in enumerate([100.0] * 20 + [1000.0]):
        state.save_run(document(f"{number:03}", result("a", duration_ms=duration_ms)), {})
    after_one_slow_run = state.durations()["a"]
    for number in range(21, 31):
        state.save_run(document(f"{number:03}", result("a", duration_ms=1000.0)), {})

    assert 100 < after_one_slow_run < 500
    assert state.durations()["a"] == pytest.approx(1000)


def test_spans_come_from_the_latest_run_that_has_any(state):
    state.save_run(document("01A", result("a")), {"a": b"old"})
    state.save_run(document("01B", result("a")), {"a": b"new"})
    state.save_run(document("01C", result("a", "error")), {})

    assert state.spans_of("a") == b"new"
    assert state.spans_of("a", "01A") == b"old"
    assert state.spans_of("a", "01C") is None
    assert state.spans_of("unknown") is None


def test_spans_whose_object_is_gone_are_a_miss(state):
    state.save_run(document("01A", result("a")), {"a": b"spans"})
    for digest in state.objects.digests():
        state.objects.path(digest).unlink()

    assert state.spans_of("a") is None


def test_another_process_sees_what_was_saved(state):
    state.save_run(document("01A", result("a")), {"a": b"spans"})

    with State.open(state.directory) as other:
        assert other.spans_of("a") == b"spans"


def test_reading_creates_nothing(tmp_path):
    with State.open(tmp_path / ".clnrm") as state:
        assert state.runs() == []
        assert state.run("01A") is None
        assert state.history(["*"]) == []
        assert state.last_results() == {}
        assert state.durations() == {}
        assert state.spans_of("a") is None

    assert list(tmp_path.iterdir()) == []


def test_text_that_is_not_unicode_survives(state):
    saved = document("01A", result("a", reason="\udcff and \x00"))

    assert state.save_run(saved, {})

    assert state.run("01A") == saved


def test_closing_twice_is_fine_and_the_state_can_be_used_again(state):
    state.save_run(document("01A"), {})
    state.close()
    state.close()

    assert len(state.runs()) == 1


# ---------------------------------------------------------------------------------------------- export


def test_each_test_of_a_run_becomes_one_exported_line(state):
    state.save_run(
        document("01A", result("a", scenarios=[CHECKOUT, {"name": "x"}]), result("b", "failed")), {}
    )

    assert exported(state) == [
        {
            "run": "01A",
            "at": "2025-01-01T00:00:00Z",
            "test": "a",
            "status": "passed",
            "duration_ms": 10.0,
            "cached": False,
            "digests": {"checkout": "sha256:aa"},
            "workers": 2,
            "backend": "docker",
        },
        {
            "run": "01A",
            "at": "2025-01-01T00:00:00Z",
            "test": "b",
            "status": "failed",
            "duration_ms": 10.0,
            "cached": False,
            "digests": {},
            "workers": 2,
            "backend": "docker",
        },
    ]


def test_a_line_that_a_crash_left_half_written_does_not_spoil_the_next(state):
    state.save_run(document("01A", result("a")), {})
    path = state.directory / "history/runs.ndjson"
    path.write_bytes(path.read_bytes() + b'{"run": "01B", "te')

    state.save_run(document("01C", result("c")), {})

    lines = path.read_text().splitlines()
    assert [json.loads(line)["run"] for line in (lines[0], lines[2])] == ["01A", "01C"]


# ------------------------------------------------------------------------------------------ concurrency


def test_threads_share_one_state(state):
    def save(worker):
        for number in range(10):
            state.save_run(document(f"{worker}-{number}", result("a")), {"a": f"{worker}-{number}".encode()})

    threads = [threading.Thread(target=save, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(state.history()) == 40
    assert len(exported(state)) == 40
    assert all(state.spans_of("a", f"{w}-{n}") == f"{w}-{n}".encode() for w in range(4) for n in range(10))


def save_many(directory, worker, barrier):
    barrier.wait(timeout=60)
    with State.open(directory) as state:
        for number in range(100):
            state.save_run(document(f"{worker}-{number:03}", result(f"t{worker}")), {f"t{worker}": b"same"})
        if state.diagnostics:
            raise SystemExit(str(state.diagnostics))


def test_runs_of_several_processes_at_once_lose_nothing(state):
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(4)
    processes = [context.Process(target=save_many, args=(state.directory, w, barrier)) for w in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=120)

    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert len(state.runs(limit=1000)) == 400
    assert len({(row["run"], row["test_id"]) for row in state.history()}) == 400
    assert len({line["run"] for line in exported(state)}) == 400


# ------------------------------------------------------------------------------------------------ ids


def test_run_ids_sort_as_they_were_made():
    ids = [new_run_id() for _ in range(1000)]

    assert ids == sorted(set(ids))
    assert all(len(run_id) == 26 for run_id in ids)


def test_a_run_id_begins_with_its_time():
    assert new_run_id(0).startswith("0000000000")
    assert new_run_id(1_735_689_600_000).startswith("01JGFJJZ00")
    assert new_run_id(1_735_689_600_000) != new_run_id(1_735_689_600_000)


def test_a_new_state_directory_keeps_its_key_and_its_cache_out_of_version_control(tmp_path):
    with State.open(tmp_path / ".clnrm") as state:
        state.save_run(document("01A"), {})

    assert "\n*\n!.gitignore\n!config.toml\n!baselines/" in (tmp_path / ".clnrm" / ".gitignore").read_text()


def test_a_gitignore_that_somebody_wrote_stays(tmp_path):
    ignore = tmp_path / ".clnrm" / ".gitignore"
    ignore.parent.mkdir()
    ignore.write_text("mine")

    with State.open(tmp_path / ".clnrm") as state:
        state.save_run(document("01A"), {})

    assert ignore.read_text() == "mine"


def test_a_state_directory_of_another_name_gets_no_gitignore_that_could_hide_other_files(tmp_path):
    with State.open(tmp_path) as state:
        state.save_run(document("01A"), {})

    assert not (tmp_path / ".gitignore").exists()
