"""Every command that takes a trace file takes every form of it, from a file and from standard input."""

from __future__ import annotations

import gzip
import io
import json
import sys
from pathlib import Path

import pytest

from clnrm_nb.api import load_trace
from clnrm_nb.cli.main import run_command_line
from clnrm_nb.errors import ClnrmError

DATA = Path(__file__).parents[1] / "spans" / "data"
FILES = [
    "python-console.txt",
    "python-otlp.pb",
    "python-proto3.json",
    "python-snake.json",
    "python-zipkin.json",
    "js-otlp.json",
    "js-zipkin.json",
]
SCENARIO = """
[meta]
name = "shop"
version = "1.0.0"

[[scenario]]
name = "order"
run = "true"

[[expect.span]]
name = "SELECT stock"
"""
MANIFEST = """
[system]
name = "shop"

[dimensions.api_surface]
endpoints = ["POST /Orders"]
"""


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.clnrm.toml").write_text(SCENARIO)
    return tmp_path


@pytest.fixture(params=["file", "standard input"])
def given(request, monkeypatch):
    """A function that gives what to type for a trace file."""

    def typed(name):
        if request.param == "file":
            return str(DATA / name)
        packed = gzip.compress((DATA / name).read_bytes())
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(packed)))
        return "-"

    return typed


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("command", ["spans", "graph"])
def test_a_trace_file_of_any_form_is_shown(command, name, given, capsys):
    assert run_command_line([command, given(name)]) == 0
    assert "SELECT stock" in capsys.readouterr().out


@pytest.mark.parametrize("name", FILES)
def test_a_trace_file_of_any_form_is_judged(name, given, capsys):
    assert run_command_line(["analyze", "shop.clnrm.toml", "--traces", given(name)]) == 0
    assert "SELECT stock" not in capsys.readouterr().err


@pytest.mark.parametrize("name", FILES[:5])
def test_a_trace_file_of_any_form_is_compared(name, given, capsys):
    assert run_command_line(["diff", str(DATA / "python-otlp.pb"), given(name)]) == 0
    assert "1 same" in capsys.readouterr().out


@pytest.mark.parametrize("name", FILES)
def test_a_trace_file_of_any_form_makes_a_scenario(name, given, capsys):
    assert run_command_line(["scaffold", given(name)]) == 0
    assert "SELECT stock" in capsys.readouterr().out


@pytest.mark.parametrize("name", FILES)
def test_a_trace_file_of_any_form_is_measured(name, given, project, capsys):
    (project / "shop.coverage.toml").write_text(MANIFEST)

    assert run_command_line(["coverage", "shop.coverage.toml", "--traces", given(name)]) == 0
    assert "100" in capsys.readouterr().out


def test_what_there_is_to_say_about_a_file_is_shown_with_its_spans(capsys):
    run_command_line(["spans", str(DATA / "python-zipkin.json")])
    text = capsys.readouterr().out
    run_command_line(["spans", str(DATA / "python-zipkin.json"), "-f", "json"])
    document = json.loads(capsys.readouterr().out)

    assert "note: times are whole microseconds" in text
    assert document["data"]["loading"]["format"] == "zipkin"
    assert document["data"]["loading"]["spans"] == 3


def test_what_could_not_be_read_of_a_file_is_warned_about_with_its_place(project, capsys):
    (project / "torn.json").write_bytes((DATA / "js-otlp.json").read_bytes() + b'\n{"resourceSpans": [')

    assert run_command_line(["spans", "torn.json", "-f", "json"]) == 0

    (finding,) = json.loads(capsys.readouterr().out)["diagnostics"]
    assert (finding["code"], finding["file"], finding["line"]) == ("CLN609", "torn.json", 2)
    assert "line 2, byte " in finding["message"]


def test_a_file_without_spans_ends_a_command_with_the_reason(capsys):
    assert run_command_line(["spans", str(DATA / "js-console.txt")]) == 1
    assert "JavaScript SDK" in capsys.readouterr().err


def test_a_trace_is_loaded_from_several_files_with_its_report(project):
    document = json.loads((DATA / "js-otlp.json").read_bytes())
    spans = document["resourceSpans"][0]["scopeSpans"][0]["spans"]
    for number, span in enumerate(list(spans)):
        spans[:] = [span]
        (project / f"part{number}.json").write_text(json.dumps(document))

    trace = load_trace([f"part{number}.json" for number in range(3)])

    assert len(trace) == 3
    assert (trace.loading.orphans, trace.loading.roots) == (0, 1)
    assert load_trace("part0.json").loading.orphans == 1


def test_a_trace_that_must_be_whole_is_refused_where_a_part_cannot_be_read(project):
    (project / "torn.json").write_bytes((DATA / "js-otlp.json").read_bytes() + b'\n{"resourceSpans": [')

    assert len(load_trace("torn.json")) == 3
    with pytest.raises(ClnrmError, match="only partly readable"):
        load_trace("torn.json", strict=True)


def test_a_diff_of_an_incomplete_trace_says_that_it_is_unreliable(project, capsys):
    document = json.loads((DATA / "js-otlp.json").read_bytes())
    document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["droppedAttributesCount"] = 2
    (project / "dropped.json").write_text(json.dumps(document))

    run_command_line(["diff", str(DATA / "js-otlp.json"), "dropped.json"])

    assert "current: this diff is unreliable: 2 attributes" in capsys.readouterr().out
