"""What happens to the state when its files are damaged, read-only, full, locked or newer."""

from __future__ import annotations

import json
import multiprocessing
import sqlite3
import subprocess
import sys

import pytest

from clnrm_nb.state import State
from clnrm_nb.state.database import Database

DOCUMENT = {
    "run": "01A",
    "started_at": "2025-01-01T00:00:00Z",
    "data": {"tests": [{"id": "a", "status": "passed", "duration_ms": 1.0}]},
}


@pytest.fixture
def directory(tmp_path):
    return tmp_path / ".clnrm"


def save(directory, run_id="01A", spans=b"spans"):
    with State.open(directory) as state:
        kept = state.save_run({**DOCUMENT, "run": run_id}, {"a": spans})
        return kept, state.diagnostics


def runs(directory):
    with State.open(directory) as state:
        return [run["run"] for run in state.runs()]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda content: b"this is no database" * 300, id="other content"),
        pytest.param(lambda content: b"\xff" * 100 + content[100:], id="header"),
        pytest.param(lambda content: content[:100] + b"\xff" * (len(content) - 100), id="pages"),
        pytest.param(lambda content: content[: len(content) // 2 + 7], id="cut"),
    ],
)
def test_a_damaged_database_is_set_aside_and_a_fresh_one_takes_over(directory, damage):
    save(directory)
    path = directory / "state.db"
    path.write_bytes(damage(path.read_bytes()))

    kept, diagnostics = save(directory, "01B")

    assert kept
    assert [finding.code for finding in diagnostics] == ["CLN804"]
    assert "starting afresh" in diagnostics[0].message
    assert runs(directory) == ["01B"]
    assert [p.name for p in directory.iterdir() if "damaged" in p.name] == [
        diagnostics[0].message.split("`")[3]
    ]


def test_damage_found_while_reading_is_a_miss_with_a_warning(directory):
    save(directory)
    path = directory / "state.db"
    path.write_bytes(b"\xff" * len(path.read_bytes()))

    with State.open(directory) as state:
        assert state.runs() == []
        assert state.spans_of("a") is None
        assert [finding.code for finding in state.diagnostics] == ["CLN804"]


def test_an_empty_file_is_an_empty_state(directory):
    directory.mkdir()
    (directory / "state.db").touch()

    assert save(directory) == (True, ())


def test_the_second_process_to_find_the_damage_keeps_what_the_first_saved_since(directory):
    save(directory)
    with State.open(directory) as second:
        assert len(second.runs()) == 1
        path = directory / "state.db"
        path.write_bytes(b"\xff" * len(path.read_bytes()))
        save(directory, "01B")

        second.close()
        second.save_run({**DOCUMENT, "run": "01C"}, {})

    assert runs(directory) == ["01C", "01B"]


def test_a_document_that_cannot_be_unpacked_is_left_out(directory):
    save(directory)
    with sqlite3.connect(directory / "state.db") as connection:
        connection.execute("UPDATE runs SET document = x'00'")

    with State.open(directory) as state:
        assert state.runs() == []
        assert "damaged" in state.diagnostics[0].message


def test_a_database_of_a_newer_version_is_left_alone(directory):
    save(directory)
    with sqlite3.connect(directory / "state.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    before = (directory / "state.db").read_bytes()

    kept, diagnostics = save(directory, "01B")

    assert not kept
    assert "newer version" in diagnostics[0].message
    assert (directory / "state.db").read_bytes() == before


def test_a_state_directory_that_cannot_be_made_costs_one_warning(tmp_path):
    (tmp_path / ".clnrm").write_text("a file where the directory should be")

    with State.open(tmp_path / ".clnrm") as state:
        assert not state.save_run(DOCUMENT, {"a": b"spans"})
        assert not state.save_run({**DOCUMENT, "run": "01B"}, {"a": b"spans"})
        assert state.put_object(b"x") is None
        (finding,) = state.diagnostics

    assert finding.code == "CLN804"
    assert "the run goes on" in finding.message


def test_a_disk_that_is_read_only_still_tells_what_was_recorded(directory, monkeypatch):
    save(directory)

    def refuse(self):
        raise sqlite3.OperationalError("attempt to write a readonly database")

    monkeypatch.setattr(Database, "_open", refuse)
    with State.open(directory) as state:
        assert [run["run"] for run in state.runs()] == ["01A"]
        assert state.spans_of("a") == b"spans"
        assert not state.save_run({**DOCUMENT, "run": "01B"}, {})
        (finding,) = state.diagnostics

    assert "readonly" in finding.message
    monkeypatch.undo()
    assert runs(directory) == ["01A"]


FULL_DISK = """
import json, resource, sys
from pathlib import Path
from clnrm_nb.state import State
from clnrm_nb.state.database import Database
limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
document = {"run": "01B", "started_at": "", "data": {"tests": [{"id": "a", "status": "passed"}]}}
with State.open(Path(sys.argv[1])) as state:
    kept = state.save_run(document, {"a": b"x" * 1_000_000})
    print(json.dumps({"kept": kept, "codes": [d.code for d in state.diagnostics]}))
"""


@pytest.mark.parametrize("limit_bytes", [0, 1000, 20_000])
def test_a_disk_that_takes_no_more_breaks_neither_the_run_nor_the_state(directory, limit_bytes):
    save(directory)
    command = [sys.executable, "-c", FULL_DISK, str(directory), str(limit_bytes)]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)

    said = json.loads(done.stdout)
    assert not said["kept"]
    assert set(said["codes"]) == {"CLN804"}
    assert "01A" in runs(directory)
    assert not list(directory.rglob("*.tmp"))
    lines = (directory / "history/runs.ndjson").read_text().splitlines()
    assert all(json.loads(line)["run"] in ("01A", "01B") for line in lines)


def test_a_write_that_fails_half_way_leaves_no_half_run(directory):
    with State.open(directory) as state:
        bad = {"id": "b", "status": None}

        assert not state.save_run({"run": "01A", "data": {"tests": [DOCUMENT["data"]["tests"][0], bad]}}, {})

        assert state.runs() == []
        assert state.history() == []


def die_while_writing(directory):
    with State.open(directory) as state:
        state.save_run({**DOCUMENT, "run": "01B"}, {})
        connection = state._database._connect()
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM runs")
        import os

        os.kill(os.getpid(), 9)


def test_a_process_killed_in_mid_transaction_loses_only_that_transaction(directory):
    save(directory)
    process = multiprocessing.get_context("spawn").Process(target=die_while_writing, args=(directory,))
    process.start()
    process.join(timeout=60)

    assert process.exitcode == -9
    assert save(directory, "01C") == (True, ())
    assert runs(directory) == ["01C", "01B", "01A"]
