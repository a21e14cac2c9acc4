"""What is kept of tests that passed: found again by key, let go by last use, cleared, checked, counted."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from clnrm_nb.cache import (
    CacheStore,
    Cause,
    Decision,
    Deposit,
    export_path,
    remove_export,
    upkeep,
    write_export,
)
from clnrm_nb.config.keys import Cache
from clnrm_nb.config.project import Project
from clnrm_nb.errors import ClnrmError
from clnrm_nb.state import State
from tests.cached import deposit, hours, key, manifest, open_store, stored


@pytest.fixture
def state(tmp_path):
    with State.open(tmp_path / ".clnrm") as state:
        yield state
        assert state.diagnostics == ()


@pytest.fixture
def store(state):
    return open_store(state)


@pytest.fixture
def ageless(monkeypatch):
    """Objects may go however young they are."""
    monkeypatch.setattr(upkeep, "_YOUNG_S", -60.0)


def names(store):
    return [entry.test_id for entry in store.entries()]


def test_a_result_comes_back_whole(store):
    put = deposit(
        isolation="warm",
        hermetic=True,
        matrix={"db": "pg", "n": 2**70},
        env={"CI": "true", "HOST": "hmac:aa", "UNSET": None},
        files={"_m.tera": "f" * 64, "none.tera": None},
        span_count=3,
        trace_digest="sha256:aa",
    )

    (entry,) = stored(store, put)

    assert entry.matrix == {"db": "pg", "n": 2**70}
    assert (entry.env, entry.files, entry.hermetic) == (put.entry.env, put.entry.files, True)
    assert store.record_of(entry) == put.record
    assert store.spans_of(entry) == put.spans
    assert store.key_of(entry) == put.key
    assert store.are_whole([entry]) == {entry.key}
    assert entry.size > len(put.spans)


def test_spans_that_are_an_object_already_are_not_written_twice(state, store):
    digest = state.put_object(b"spans")
    put = deposit(spans=b"x")

    (entry,) = stored(store, Deposit(deposit(spans=None).entry, put.key, put.record))
    (named,) = stored(store, Deposit(_with_spans(put.entry, digest), put.key, put.record))

    assert store.spans_of(entry) is None
    assert store.spans_of(named) == b"spans"


def _with_spans(entry, digest):
    from dataclasses import replace

    return replace(entry, spans=digest)


def test_a_branch_switched_back_and_forth_is_found_each_time(store):
    main, branch = stored(store, deposit(version=1), deposit(version=2))

    assert store.find([main.key, branch.key, ("t/a.clnrm.toml", "none")]).keys() == {main.key, branch.key}


def test_the_latest_is_the_one_used_last_not_the_one_stored_last(store):
    main, branch = (stored(store, deposit(version=version))[0] for version in (1, 2))
    assert store.latest()[main.test_id].key == branch.key

    store.settle(used=[main])

    assert store.latest([main.test_id])[main.test_id].key == main.key
    assert store.latest(["another"]) == {}


def test_a_result_stored_again_takes_the_place_of_the_first(store):
    stored(store, deposit(record=b"first"))

    (entry,) = stored(store, deposit(record=b"second"))

    assert names(store) == [entry.test_id]
    assert store.record_of(entry) == b"second"


def test_what_failed_is_forgotten(store):
    one, other = stored(store, deposit(version=1), deposit(version=2))

    assert store.drop([one.key])

    assert [entry.key for entry in store.entries()] == [other.key]


def test_an_entry_judged_again_has_the_new_verdict_and_expectations(store):
    (entry,) = stored(store, deposit())
    newer = key(version=9)

    assert store.rejudge(entry, newer.verdict, newer)
    assert store.find([entry.key])[entry.key].verdict == newer.verdict
    assert store.key_of(entry) == newer
    assert store.rejudge(entry, None)

    assert store.find([entry.key])[entry.key].verdict is None
    assert store.key_of(entry) == newer


# ---------------------------------------------------------------------------------------------- limits


def test_the_least_recently_used_go_first(state):
    store = open_store(state, now=hours(), max_entries=2)
    first, second = (stored(store, deposit(f"t/{name}"))[0] for name in "ab")
    store.settle(used=[first])

    (third,) = stored(store, deposit("t/c"))

    assert set(names(store)) == {first.test_id, third.test_id}
    assert second.key not in store.find([second.key])


def test_an_entry_in_use_all_the_time_is_written_once_a_minute(state):
    clock = [datetime(2026, 1, 1, 12, tzinfo=UTC)]
    store = open_store(state, now=lambda: clock[0])
    (entry,) = stored(store, deposit())
    seen = []
    for step_s in (20, 20, 30, -3600):
        clock[0] += timedelta(seconds=step_s)
        store.settle(used=[entry])
        seen.append(store.entries()[0].last_used[11:19])

    assert seen == ["12:00:00", "12:00:00", "12:01:10", "11:01:10"]


def test_a_clock_that_goes_back_changes_nothing_about_who_goes_first(state):
    clock = [datetime(2026, 1, 1, 12, tzinfo=UTC)]
    store = CacheStore(state, Cache(max_entries=2), now=lambda: clock[0])
    stored(store, deposit("t/old"))
    clock[0] -= timedelta(hours=1)
    for name in ("t/b", "t/c"):
        stored(store, deposit(name))

    assert names(store) == ["t/c", "t/b"]


def test_beyond_the_size_the_oldest_go(state):
    store = open_store(state, max_size_mb=1)
    for version in range(4):
        # Random enough not to shrink.
        content = b"".join(f"{version}-{n}-{hash((version, n))}".encode() for n in range(20_000))
        store.put([deposit(version=version, spans=content[:400_000])])

    assert store.stats().size <= 1024**2
    assert [entry.run for entry in store.entries()] == ["run-3", "run-2"]


def test_objects_go_with_the_last_entry_that_needs_them(state, ageless):
    store = open_store(state, max_entries=2)
    first, second = stored(store, deposit("t/a", spans=b"shared"), deposit("t/b", spans=b"shared"))

    (third,) = stored(store, deposit("t/c"))
    gone, kept = sorted([first, second], key=lambda entry: entry.test_id in names(store))

    assert state.get_object(gone.record) is None
    assert store.record_of(kept) is not None
    assert state.get_object(kept.spans) == b"shared"
    assert third.key in store.are_whole([third])


def test_objects_that_others_refer_to_stay(state, store, ageless):
    run = {"run": "01A", "started_at": "", "data": {"tests": [{"id": "a", "status": "passed"}]}}
    state.save_run(run, {"a": b"in the history"})
    state.write(
        lambda db: db.executemany(
            "INSERT INTO baseline_changes (decision, id, before, after) VALUES (?, 'x', ?, ?)",
            [("d", state.put_object(b"before"), state.put_object(b"after"))],
        )
    )
    state.write(
        lambda db: db.execute(
            "INSERT INTO reviews (id, run, document) VALUES ('r', '01A', ?)",
            (json.dumps({"trace": state.put_object(b"reviewed")}),),
        )
    )
    contents = [b"in the history", b"before", b"after", b"reviewed"]
    entries = stored(store, *(deposit(version=n, spans=spans) for n, spans in enumerate(contents)))
    own = ("name", "stored_status", "duration_ms", "backend", "hash", "reason")
    head = {**dict.fromkeys(own), "id": "a", "status": "cached", "cached": True, "diagnostics": []}
    cached = {**run, "run": "01B", "data": {"tests": [head]}}
    assert state.save_run(cached, {}, records={"a": entries[3].record})

    store.clear()

    assert [state.get_object(entry.spans) for entry in entries] == contents
    assert [state.get_object(entry.record) is not None for entry in entries] == [False, False, False, True]


def test_objects_that_somebody_may_just_have_written_stay(state, store):
    (entry,) = stored(store, deposit())

    store.clear()

    assert state.get_object(entry.record) is not None


# ------------------------------------------------------------------------------------- clear and verify


@pytest.mark.parametrize(
    ("paths", "left"),
    [
        ([], []),
        (["t/a.clnrm.toml"], ["t/ab.clnrm.toml", "u/c.clnrm.toml"]),
        (["t/a.clnrm.toml[db=pg]"], ["t/a.clnrm.toml[db=my]", "t/ab.clnrm.toml", "u/c.clnrm.toml"]),
        (["t"], ["u/c.clnrm.toml"]),
        (["t/", "u/c.clnrm.toml"], []),
        (["."], []),
        (
            ["elsewhere"],
            ["t/a.clnrm.toml[db=my]", "t/a.clnrm.toml[db=pg]", "t/ab.clnrm.toml", "u/c.clnrm.toml"],
        ),
    ],
)
def test_tests_are_cleared_by_id_file_and_directory(store, tmp_path, paths, left):
    ids = ["t/a.clnrm.toml[db=pg]", "t/a.clnrm.toml[db=my]", "t/ab.clnrm.toml", "u/c.clnrm.toml"]
    stored(store, *map(deposit, ids))
    for directory in ("t", "u"):
        (tmp_path / directory).mkdir()
    files = {test_id.partition("[")[0] for test_id in ids}
    for file in files:
        (tmp_path / file).touch()
    made = [manifest(tmp_path, file) for file in files]
    store.settle(manifests=made)

    gone = store.clear(paths)

    assert sorted(names(store)) == left
    assert gone == len(ids) - len(left)
    meant = {one.file for one in made} - {
        one.file for one in store.manifests([m.request for m in made]).values()
    }
    assert meant >= files - {test_id.partition("[")[0] for test_id in left}


def test_clearing_where_nothing_is_makes_nothing(tmp_path):
    with State.open(tmp_path / ".clnrm") as state:
        assert open_store(state).clear() == 0

    assert not (tmp_path / ".clnrm").exists()


def test_two_cannot_clear_at_once(state, store):
    from filelock import FileLock

    stored(store, deposit())

    with FileLock(state.directory / "lock"), pytest.raises(ClnrmError) as caught:
        store.clear()

    assert caught.value.code == "CLN805"
    assert len(names(store)) == 1
    assert store.clear() == 1


def test_verifying_a_sound_store_finds_nothing(store):
    stored(store, deposit(version=1), deposit(version=2))

    found = store.verify()

    assert (found.entries, found.objects) == (2, 4)
    assert (found.damaged, found.missing, found.dropped) == ((), (), ())


# ----------------------------------------------------------------------------- decisions and counters


def test_the_last_decision_about_a_test_stands(store):
    first = Decision("t/a", "miss", "h1", causes=(Cause("variables", "svc", "a", "b", at=("m.tera:12:9",)),))
    last = Decision("t/a", "hit", "h1", "v1", causes=(Cause("files", "m.tera", lines=2, is_cosmetic=True),))

    store.settle(decisions=[first, Decision("t/b", "uncacheable", reason="the clock")])
    store.settle(decisions=[last])

    assert store.decisions(["t/a"]) == {"t/a": last}
    assert store.decisions().keys() == {"t/a", "t/b"}


def test_a_decision_of_another_version_is_understood_as_far_as_it_goes():
    document = {
        "test_id": "a",
        "answer": "hit",
        "mood": "good",
        "causes": [{"kind": "files", "shade": "blue"}],
    }

    assert Decision.from_json(document) == Decision("a", "hit", causes=(Cause("files"),))
    assert Decision.from_json(Decision("a", "miss").to_json()) == Decision("a", "miss")


def test_counters_add_up_and_survive_clearing(store):
    store.settle(counts={"hits": 3, "misses": 1})
    store.settle(counts={"hits": 2, "false_hits": 1})
    stored(store, deposit())

    store.clear()

    stats = store.stats()
    assert stats.counters == {"hits": 5, "misses": 1, "false_hits": 1}
    assert (stats.entries, stats.size, stats.oldest) == (0, 0, None)


def test_a_renewed_manifest_keeps_its_line_prints(store, tmp_path):
    (tmp_path / "a.clnrm.toml").write_text("one\ntwo\n")
    made = manifest(tmp_path)
    store.settle(manifests=[made])

    store.settle(renewed=[made])

    assert store.manifests([made.request]) == {made.request: made}
    assert store.manifest_of("a.clnrm.toml") == made
    assert store.manifest_of("b.clnrm.toml") is None
    assert store.prints_of(made) == dict(made.prints)


# ----------------------------------------------------------------------------------------------- export


def test_the_export_has_the_documented_form(tmp_path, state, store):
    entry = deposit(
        "tests/api.clnrm.toml",
        env={"CI": "true", "API_URL": "hmac:" + "ab" * 32, "UNSET": None},
        files={"templates/m.tera": "f" * 64},
        rendered="e" * 64,
        vars_hash="d" * 64,
    )
    (kept,) = stored(store, entry)
    path = export_path(Project(root=tmp_path, state_dir=tmp_path / ".clnrm"), Cache())

    assert write_export(store, path) is None

    assert path == tmp_path / ".clnrm/cache/hashes.json"
    assert json.loads(path.read_bytes()) == {
        "version": "2.0.0",
        "last_updated": kept.updated,
        "hashes": {kept.test_id: kept.hash},
        "entries": {
            kept.test_id: {
                "hash": kept.hash,
                "verdict": kept.verdict,
                "rendered": "e" * 64,
                "vars_hash": "d" * 64,
                "env": {"CI": "true", "API_URL": "hmac:" + "ab" * 8, "UNSET": None},
                "files": {"templates/m.tera": "f" * 64},
                "matrix": {},
                "backend": "docker",
                "status": "passed",
                "duration_ms": 10.0,
                "spans_digest": kept.spans,
                "last_used": kept.last_used,
                "updated": kept.updated,
            }
        },
    }


def test_an_export_that_says_it_all_already_is_left_alone(tmp_path, store):
    stored(store, *(deposit(f"t/{n}") for n in range(5)))
    path = tmp_path / "hashes.json"
    write_export(store, path)
    inode = path.stat().st_ino

    assert write_export(store, path) is None

    assert path.stat().st_ino == inode
    remove_export(path)
    remove_export(path)
    assert not path.exists()


def test_an_export_that_cannot_be_written_says_so(tmp_path, store):
    (tmp_path / "file").touch()

    assert "cannot be written" in (write_export(store, tmp_path / "file" / "hashes.json") or "")
