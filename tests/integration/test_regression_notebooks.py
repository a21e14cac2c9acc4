"""notebooks/10-review.ipynb and 20-regression.ipynb, executed as CI executes them: green, red, and small when saved."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import nbformat
import pytest

from clnrm_nb import api
from clnrm_nb.testing import read_results

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
REVIEW, REGRESSION = "10-review.ipynb", "20-regression.ipynb"
RESULT_BYTES = 150_000


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A directory with both notebooks, and a project around it that is not ours."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    work = tmp_path / "work"
    (work / ".clnrm").mkdir(parents=True)
    for name in (REVIEW, REGRESSION):
        shutil.copy(NOTEBOOKS / name, work / name)
    monkeypatch.chdir(work)
    return work


def execute(name: str, *, backend: str = "process", kept: str = "out", **parameters: str):
    """The verdict of `clnrm notebooks`, its exit code, and the cases of the JUnit report that failed."""
    words = {"backend": backend, **parameters}
    result = api.notebooks(name, parameters=words, junit="junit.xml", artifacts=kept)
    [verdict] = result.verdicts
    cases = ET.parse("junit.xml").iter("testcase")
    failed = [case.get("name", "") for case in cases if case.find("failure") is not None]
    return verdict, result.exit_code, failed


def statuses(verdict) -> list[list[str]]:
    """For each difference that the executed notebook shows, what became of its comparisons."""
    diffs = read_results(verdict.output, "diff")
    return [[entry["status"] for entry in diff.document["diffs"]] for diff in diffs]


def plant(file: Path) -> None:
    """Another word for an attribute that no expectation is about."""
    text = file.read_text(encoding="utf-8")
    assert "demo.lines" in text
    file.write_text(text.replace("demo.lines", "demo.line_count"), encoding="utf-8")


def assert_small(verdict) -> None:
    notebook = json.loads(Path(verdict.output).read_text(encoding="utf-8"))
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    assert "widgets" not in notebook["metadata"]
    assert not any("widget" in mime for output in outputs for mime in output.get("data", {}))
    assert any("application/vnd.plotly.v1+json" in output.get("data", {}) for output in outputs)
    assert max(len(json.dumps(output).encode()) for output in outputs) <= RESULT_BYTES


def test_regression_is_green_until_the_program_changes_and_red_from_then_on(work):
    unchanged, exit_code, failed = execute(REGRESSION, kept="unchanged")
    baselines = work / "clnrm-regression" / ".clnrm" / "baselines"
    before = {file.name: file.read_bytes() for file in baselines.glob("*.json")}
    plant(work / "clnrm-regression/tests/quickstart/services/gateway.py")
    changed, red_exit_code, red = execute(REGRESSION, kept="changed")

    assert (unchanged.status, exit_code, failed) == ("passed", 0, []), unchanged.reason
    assert statuses(unchanged) == [["same", "same"]]
    assert (changed.status, red_exit_code) == ("failed", 1), changed.reason
    assert statuses(changed) == [["changed", "changed"]]
    assert any(" diff " in name and "in-stock" in name for name in red), red
    assert any(" diff " in name and "sold-out" in name for name in red), red
    assert len(before) == 2
    assert {file.name: file.read_bytes() for file in baselines.glob("*.json")} == before
    assert_small(unchanged)
    assert_small(changed)


def test_regression_on_replay_holds_another_recording_against_the_accepted_one(work):
    """By papermill itself: red is an exception there, and the picture is saved before it."""
    import papermill
    from papermill.exceptions import PapermillExecutionError

    green, exit_code, _ = execute(REGRESSION, backend="replay")
    example = work / "clnrm-regression"
    other = example / "other-recording.json"
    shutil.copy(example / "tests/quickstart/recording.json", other)
    plant(other)

    with pytest.raises(PapermillExecutionError) as raised:
        papermill.execute_notebook(
            REGRESSION,
            "done.ipynb",
            parameters={"backend": "replay", "recording": other.name},
            progress_bar=False,
        )

    assert (green.status, exit_code) == ("passed", 0), green.reason
    assert raised.value.ename == "AssertionError"
    cells = {cell.id: cell for cell in nbformat.read("done.ipynb", 4).cells}
    assert "application/vnd.plotly.v1+json" in cells["picture"].outputs[0].data


def test_regression_without_an_accepted_trace_is_red(work):
    api.init("mine")

    verdict, exit_code, _ = execute(REGRESSION, backend="replay", project="mine")

    assert (verdict.status, exit_code) == ("failed", 1)
    assert "missing" in verdict.reason


def test_review_goes_from_a_change_to_an_accepted_baseline_each_time_it_is_executed(work, monkeypatch):
    verdict, exit_code, failed = execute(REVIEW, kept="once")
    again, again_exit_code, _ = execute(REVIEW, backend="replay", kept="again")

    assert (verdict.status, exit_code, failed) == ("passed", 0, []), verdict.reason
    assert (again.status, again_exit_code) == ("passed", 0), again.reason
    assert statuses(verdict) == statuses(again) == [["changed", "changed"], ["same", "same"]]
    assert_small(verdict)
    monkeypatch.chdir(work / "clnrm-review")
    history = api.baseline_history("tests/quickstart/quickstart.clnrm.toml.tera::in-stock").frame
    assert history["version"].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("name", [REVIEW, REGRESSION])
def test_stored_notebooks_have_no_outputs_and_one_cell_of_parameters(name):
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)

    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert [cell.id for cell in notebook.cells if cell.get("outputs") or cell.get("execution_count")] == []
    assert [cell.id for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])] == [
        "parameters"
    ]
