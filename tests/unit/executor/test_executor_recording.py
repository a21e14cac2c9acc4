from __future__ import annotations

import json

import pytest

from clnrm_nb.config.project import safe_name
from clnrm_nb.errors import ClnrmError
from clnrm_nb.executor.outcome import CommandOutcome, ScenarioOutcome, TestOutcome
from clnrm_nb.executor.recording import find_recording, parse_recording, recording
from clnrm_nb.spans.table import SpanTable


@pytest.fixture
def recorded(a_span):
    def make(test_id="tests/a.clnrm.toml"):
        table = SpanTable()
        table.append(a_span("boot", "01" * 8), None)
        table.append(a_span("work", "02" * 8, attributes={"n": 1}), "buy")
        table.append(a_span("clnrm.test", "03" * 8, own=True), None)
        table.scope[2] = type(table.scope[2])("clnrm_nb")
        command = CommandOutcome("go", ["go"], "db", "failed", 2, stdout="o", stderr="e", code="CLN605")
        return TestOutcome(test_id, "a", scenarios=[ScenarioOutcome("buy", commands=[command])], spans=table)

    return make


def names(table):
    return list(table.name)


def test_a_recording_reads_back_as_it_was_written(recorded):
    outcome = recorded()

    (test,) = parse_recording(recording([outcome]))

    (command,) = test.commands["buy"]
    assert (command.name, command.exit_code, command.stdout, command.stderr) == ("go", 2, "o", "e")
    assert (command.code, command.attempts) == ("CLN605", 1)
    assert names(test.spans["buy"]) == ["work"]
    of_test = test.spans[None]
    assert dict(zip(of_test.name, of_test.own, strict=True)) == {"boot": False, "clnrm.test": True}
    assert test.spans["buy"].attributes == [{"n": 1}]
    assert test.spans["buy"].scenario == ["buy"]
    assert test.spans["buy"].start_ns == [1_000]


def test_a_recording_is_the_documented_json(recorded):
    document = json.loads(recording([recorded()]))

    assert document["format"] == "clnrm-recording/1"
    assert document["tests"][0]["scenarios"][0]["commands"][0]["exit_code"] == 2
    assert "resourceSpans" in document["tests"][0]["scenarios"][0]["spans"]


@pytest.mark.parametrize("layout", ["file", "directory", "artifacts"])
def test_a_test_is_found_in_a_file_and_in_both_kinds_of_directory(recorded, tmp_path, layout):
    name = safe_name("tests/a.clnrm.toml")
    path = {"file": "all.json", "directory": f"{name}.json", "artifacts": f"{name}/recording.json"}[layout]
    (tmp_path / path).parent.mkdir(exist_ok=True)
    (tmp_path / path).write_bytes(recording([recorded("other.clnrm.toml"), recorded()]))

    source = tmp_path / path if layout == "file" else tmp_path
    found = find_recording(source, "tests/a.clnrm.toml", scenarios=["buy"])

    assert found.id == "tests/a.clnrm.toml"


def test_a_copied_project_finds_the_only_test_of_the_same_file_name(recorded, tmp_path):
    path = tmp_path / "r.json"
    path.write_bytes(recording([recorded("examples/a.clnrm.toml"), recorded("examples/b.clnrm.toml")]))

    assert find_recording(path, "here/a.clnrm.toml", scenarios=[]).id == "examples/a.clnrm.toml"
    assert find_recording(path, "here/c.clnrm.toml", scenarios=[]) is None


def test_two_tests_of_the_same_file_name_are_not_guessed_between(recorded, tmp_path):
    path = tmp_path / "r.json"
    path.write_bytes(recording([recorded("x/a.clnrm.toml"), recorded("y/a.clnrm.toml")]))

    assert find_recording(path, "z/a.clnrm.toml", scenarios=[]) is None


def test_a_directory_without_the_test_has_nothing(tmp_path):
    assert find_recording(tmp_path, "a.clnrm.toml", scenarios=[]) is None


@pytest.mark.parametrize(
    "content",
    [
        b'{"format": "clnrm-recording/2", "tests": []}',
        b'{"format": "clnrm-recording/1", "tests": [{"id": "a"}]}',
        b'{"format": "clnrm-recording/1"}',
        b'{"format": "clnrm-recording/1", "tests": [7]}',
        b"no spans in here",
        b"",
    ],
)
def test_what_cannot_be_replayed_is_said_with_its_code(tmp_path, content):
    path = tmp_path / "r.json"
    path.write_bytes(content)

    with pytest.raises(ClnrmError) as caught:
        find_recording(path, "a.clnrm.toml", scenarios=[])

    assert caught.value.code == "CLN618"


def test_a_recording_that_cannot_be_read_is_said_with_its_code(tmp_path):
    with pytest.raises(ClnrmError) as caught:
        find_recording(tmp_path / "absent.json", "a.clnrm.toml", scenarios=[])

    assert caught.value.code == "CLN618"


def flat(name, span_id, scenario=None):
    resource = {"attributes": {"clnrm.scenario": scenario}} if scenario else {"attributes": {}}
    return {"name": name, "trace_id": "ab" * 16, "span_id": span_id * 8, "resource": resource}


def test_spans_of_a_plain_file_go_to_the_scenario_they_name(tmp_path):
    path = tmp_path / "spans.json"
    path.write_text(json.dumps([flat("a", "01", "one"), flat("b", "02", "gone"), flat("c", "03")]))

    found = find_recording(path, "a.clnrm.toml", scenarios=["one", "two"])

    assert found.commands is None
    assert (names(found.spans["one"]), names(found.spans[None])) == (["a"], ["b", "c"])


def test_spans_of_a_plain_file_go_to_the_only_scenario_there_is(tmp_path):
    path = tmp_path / "spans.json"
    path.write_text(json.dumps([flat("a", "01")]))

    assert names(find_recording(path, "a.clnrm.toml", scenarios=["one"]).spans["one"]) == ["a"]
