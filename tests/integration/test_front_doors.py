"""The three doors (function, command, magic) to one run, on the process backend."""

import asyncio
import json
import shutil
import subprocess
import sys
import threading
from importlib import resources
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

import clnrm_nb
from clnrm_nb import api
from clnrm_nb.errors import RunFailedError, UsageError, ValidationFailedError
from clnrm_nb.self_test import VERDICTS

GREEN, RED, BROKEN = "green.clnrm.toml.tera", "no_spans.clnrm.toml", "broken.clnrm.toml.tera"


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / ".clnrm").mkdir()
    with resources.as_file(resources.files("clnrm_nb.self_test")) as source:
        for file in VERDICTS:
            shutil.copy(source / file, tmp_path / file)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def clnrm(*words, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "clnrm_nb", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        timeout=60,
    )


def by_function(file, shell):
    return clnrm_nb.run(file, backend="process").raw


def by_awaited_function(file, shell):
    return asyncio.run(clnrm_nb.arun(file, backend="process")).raw


def by_command(file, shell):
    return json.loads(clnrm("run", file, "--backend", "process", "-f", "json").stdout)


def by_magic(file, shell):
    return shell.run_line_magic("clnrm", f"run {file} --backend process --no-raise").raw


def by_cell(file, shell):
    return shell.run_cell_magic("clnrm", "run --backend process --no-raise", Path(file).read_text()).raw


@pytest.mark.parametrize("door", [by_function, by_awaited_function, by_command, by_magic, by_cell])
@pytest.mark.parametrize("file", sorted(VERDICTS))
def test_every_door_gives_the_same_verdict(project, shell, file, door):
    document = door(file, shell)

    (test,) = document["data"]["tests"]
    assert test["status"] == VERDICTS[file]
    assert document["exit_code"] == {"passed": 0, "error": 2}.get(VERDICTS[file], 1)
    assert test["backend"] == "process"
    assert test["hermetic"] is False


def test_the_exit_code_of_many_causes_is_the_gravest(project):
    done = clnrm("run", ".", "--backend", "process")

    assert done.returncode == 2, done.stderr
    assert "7 tests: 1 passed, 4 failed, 1 error, 1 incomplete" in done.stdout


def test_only_the_report_is_on_stdout(project):
    done = clnrm("run", GREEN, "--backend", "process", "-f", "json")

    assert json.loads(done.stdout)["ok"] is True
    assert "passed" in done.stderr


@pytest.mark.parametrize("form", ["junit", "tap", "github", "human"])
def test_every_format_tells_the_failure_and_keeps_the_exit_code(project, form):
    done = clnrm("run", RED, "--backend", "process", "-f", form)

    assert done.returncode == 1
    assert "no span was received" in done.stdout
    if form == "junit":
        assert ET.fromstring(done.stdout).find(".//failure") is not None


def test_results_are_in_path_order_whatever_the_order_of_completion(project):
    result = clnrm_nb.run(".", backend="process", workers=4)

    ids = [test["id"] for test in result.raw["data"]["tests"]]
    assert ids == sorted(VERDICTS)


def test_a_failing_cell_raises_where_nobody_looks(project, shell):
    with pytest.raises(RunFailedError, match="1 of 1 test failed"):
        shell.run_line_magic("clnrm", f"run {RED} --backend process --raise")


def test_an_invalid_file_raises_with_its_place(project, shell):
    with pytest.raises(ValidationFailedError):
        shell.run_line_magic("clnrm", f"run {BROKEN} --backend process")


def test_a_mistyped_magic_raises_and_suggests(shell):
    with pytest.raises(UsageError, match="Did you mean 'run'"):
        shell.run_line_magic("clnrm", "rnu")


def test_an_unknown_option_of_a_function_is_refused_with_the_nearest_name():
    with pytest.raises(UsageError, match="workrs") as refused:
        api.run(".", workrs=3)
    assert "workers" in str(refused.value)


def test_nothing_on_the_line_or_in_the_cell_is_expanded(project, shell):
    shell.user_ns["root"] = "expanded"

    result = shell.run_cell_magic("clnrm", "render", (project / GREEN).read_text())

    assert 'name = "checkout"' in result.text
    assert "expanded" not in result.text


def test_notebook_variables_come_in_by_p_and_by_a_dict(project, shell):
    shell.user_ns["clnrm_params"] = {"who": "dict"}
    template = '[meta]\nname = "{{ who }} {{ port + 1 }}"\nversion = "1"\n[[steps]]\nname = "s"\ncommand = ["true"]\n'
    try:
        result = shell.run_cell_magic("clnrm", "render -p port:=8080", template)
    finally:
        del shell.user_ns["clnrm_params"]

    assert 'name = "dict 8081"' in result.text


def test_as_stores_the_result_of_a_cell(project, shell):
    value = shell.run_cell_magic("clnrm", "run --backend process --as kept", (project / GREEN).read_text())

    assert value is None
    assert shell.user_ns["kept"].ok


def test_save_keeps_the_body_of_the_cell(project, shell):
    body = (project / GREEN).read_text()

    shell.run_cell_magic("clnrm", "run --backend process --save kept.clnrm.toml.tera", body)

    assert (project / "kept.clnrm.toml.tera").read_text() == body


def test_loading_the_extension_twice_changes_nothing(shell):
    before = shell.magics_manager.magics["line"]["clnrm"]

    shell.run_line_magic("load_ext", "clnrm_nb")

    assert shell.magics_manager.magics["line"]["clnrm"] is before


def test_a_detached_run_shows_rows_while_it_goes_on(project):
    (project / "slow.clnrm.toml").write_text(
        '[meta]\nname = "slow"\nversion = "1"\n[otel]\nexporter = "stdout"\n'
        '[[scenario]]\nname = "first"\nrun = ["printf", "%s\\\\n", '
        '\'{"name": "early", "trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331", '
        '"start_time_unix_nano": 1, "end_time_unix_nano": 2}\']\n'
        '[[scenario]]\nname = "second"\nrun = ["sleep", "30"]\n'
    )
    seen = threading.Event()

    def listener(event):
        if event.event == "scenario.end" and event.scenario == "first":
            seen.set()

    run = clnrm_nb.run("slow.clnrm.toml", backend="process", detach=True, listener=listener)
    assert seen.wait(20)

    names = set(run.spans.frame["name"])
    status = run.status
    run.cancel()
    result = run.wait(20)

    assert "early" in names
    assert status == "running"
    assert result.exit_code == 130


def test_events_stream_to_the_end(project):
    async def collect():
        return [event async for event in clnrm_nb.stream(GREEN, backend="process")]

    events = asyncio.run(collect())

    names = [event.event for event in events]
    assert names[0] == "run.start"
    assert names[-1] == "run.end"
    assert {"test.start", "scenario.end", "test.end"} <= set(names)


def test_emitted_events_are_json_lines_on_stderr(project):
    done = clnrm("run", GREEN, "--backend", "process", "--emit-events", "jsonl")

    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert [event["event"] for event in events if event["event"].startswith("run.")] == [
        "run.start",
        "run.end",
    ]


def test_runs_are_kept_and_can_be_looked_at_again(project):
    clnrm_nb.run(GREEN, backend="process")

    history = api.history()
    spans = api.spans(GREEN)
    analysed = api.analyze(GREEN)

    assert history.frame["test_id"].tolist() == [GREEN]
    assert {"checkout", "reserve"} <= set(spans.frame["name"])
    assert analysed.ok


def test_analysing_given_spans_judges_them_by_todays_expectations(project):
    clnrm_nb.run(GREEN, backend="process")
    (spans,) = (project / ".clnrm" / "artifacts").rglob("prints/spans.json")

    changed = (project / GREEN).read_text().replace("spans_total = 2", "spans_total = 3")
    (project / GREEN).write_text(changed)
    done = clnrm("analyze", GREEN, "--traces", str(spans))

    assert done.returncode == 1
    assert "counts.spans_total" in done.stdout


def test_a_report_can_be_made_of_a_json_report(project):
    clnrm("run", RED, "--backend", "process", "--report-json", "out/r.json", "--report-junit", "out/r.xml")

    done = clnrm("report", "-i", "out/r.json", "--type", "markdown")

    assert done.returncode == 0, done.stderr
    assert "no span was received" in done.stdout
    assert ET.parse(project / "out" / "r.xml").find(".//failure") is not None


@pytest.mark.parametrize("view", ["ascii", "dot", "mermaid", "json"])
def test_a_graph_shows_both_spans_in_every_view(project, view):
    clnrm_nb.run(GREEN, backend="process")

    done = clnrm("graph", GREEN, "--view", view)

    assert done.returncode == 0, done.stderr
    assert "checkout" in done.stdout
    assert "reserve" in done.stdout


def test_a_graph_highlights_edges_that_are_demanded_and_missing(project):
    clnrm_nb.run("missing_edge.clnrm.toml", backend="process")

    done = clnrm("graph", "missing_edge.clnrm.toml", "--highlight-missing", "missing_edge.clnrm.toml")

    assert "missing checkout -> reserve" in done.stdout


def test_init_lays_down_an_example_and_overwrites_nothing(tmp_path):
    first = clnrm("init", "--config", cwd=tmp_path)
    scenario = tmp_path / "tests" / "quickstart" / "quickstart.clnrm.toml.tera"
    scenario.write_text("mine")

    second = clnrm("init", cwd=tmp_path)

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert scenario.read_text() == "mine"
    assert (tmp_path / ".clnrm" / "config.toml").is_file()
    assert "config.toml" in (tmp_path / ".clnrm" / ".gitignore").read_text()


def test_the_configuration_that_init_writes_loads_without_a_finding(tmp_path):
    clnrm("init", "--config", cwd=tmp_path)
    config = tmp_path / ".clnrm" / "config.toml"
    config.write_text(
        "\n".join(
            line.removeprefix("# ") if " = " in line else line for line in config.read_text().splitlines()
        )
    )

    done = clnrm("validate", "tests", "-f", "json", cwd=tmp_path)

    assert not [d for d in json.loads(done.stdout)["diagnostics"] if d["code"].startswith("CLN8")], (
        done.stdout
    )


def test_the_self_test_proves_what_must_fail(project):
    result = api.self_test()

    assert result.ok, result


def test_a_project_may_not_choose_the_process_backend(project):
    (project / ".clnrm" / "config.toml").write_text('[executor]\nbackend = "process"\n')

    done = clnrm("run", GREEN)

    assert done.returncode == 2
    assert "CLN806" in done.stderr


def test_repeated_runs_keep_the_worst_verdict(project):
    (project / "second.clnrm.toml").write_text(
        '[meta]\nname = "s"\nversion = "1"\n[[steps]]\nname = "once"\n'
        f'command = "test ! -e {project}/mark && touch {project}/mark"\n'
    )

    result = clnrm_nb.run("second.clnrm.toml", backend="process", repeat=2)

    assert result.raw["data"]["tests"][0]["status"] == "failed"


def test_until_fail_stops_at_the_first_failure(project):
    (project / "third.clnrm.toml").write_text(
        '[meta]\nname = "s"\nversion = "1"\n[[steps]]\nname = "thrice"\n'
        f'command = "echo x >> {project}/count; test $(wc -l < {project}/count) -lt 3"\n'
    )

    result = clnrm_nb.run("third.clnrm.toml", backend="process", until_fail=True)

    assert result.exit_code == 1
    assert (project / "count").read_text().count("x") == 3
