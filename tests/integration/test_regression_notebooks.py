"""The notebooks as CI executes them: `clnrm notebooks` on docker and on recordings, green, red, and small when saved.

They are executed together, once a backend; the tests look at what was kept of them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import nbformat
import pytest

from clnrm_nb import api
from clnrm_nb.testing import read_results

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
TOUR, REVIEW, REGRESSION = "00-tour.ipynb", "10-review.ipynb", "20-regression.ipynb"
REVIEWED = "tests/quickstart/quickstart.clnrm.toml.tera::in-stock"
RESULT_BYTES = 150_000
LIMIT_S = 300


@dataclass(frozen=True)
class Executed:
    """What one `clnrm notebooks` came to: its exit code, its own words on each notebook, its JUnit cases."""

    exit_code: int
    told: dict[str, dict]
    cases: dict[str, list[ET.Element]]

    def failed(self, name: str) -> list[str]:
        return [case.get("name") for case in self.cases[name] if case.find("failure") is not None]

    def output(self, name: str) -> str:
        return self.told[name]["output"]

    def statuses(self, name: str) -> list[list[str]]:
        """For each difference that the executed notebook shows, what became of its comparisons."""
        diffs = read_results(self.output(name), "diff")
        return [[entry["status"] for entry in diff.document["diffs"]] for diff in diffs]


@dataclass(frozen=True)
class Work:
    """A directory with the notebooks, in a project that is not ours, on one backend."""

    directory: Path
    backend: str

    def execute(self, *names: str, kept: str, **parameters: str) -> Executed:
        """The command, as CI types it."""
        words = [f"-p{name}={value}" for name, value in {"backend": self.backend, **parameters}.items()]
        words += ["--jobs=2", f"--artifacts={kept}", "--junit=junit.xml"]
        done = subprocess.run(
            [sys.executable, "-m", "clnrm_nb", "--format=json", "notebooks", *names, *words],
            cwd=self.directory,
            env=os.environ | {"IPYTHONDIR": str(self.directory / ".ipython")},
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        told = {Path(each["file"]).name: each for each in json.loads(done.stdout)["data"]["notebooks"]}
        for each in told.values():
            each["output"] = str(self.directory / each["output"])
        suites = ET.parse(self.directory / "junit.xml").getroot()
        cases = {Path(suite.get("name")).name: list(suite.iter("testcase")) for suite in suites}
        return Executed(done.returncode, told, cases)


def make_work(directory: Path, backend: str) -> Work:
    (directory / ".clnrm").mkdir(parents=True)
    for name in (TOUR, REVIEW, REGRESSION):
        shutil.copy(NOTEBOOKS / name, directory / name)
    return Work(directory, backend)


def plant(file: Path) -> None:
    """Another word for an attribute that no expectation is about."""
    text = file.read_text(encoding="utf-8")
    assert "demo.lines" in text
    file.write_text(text.replace("demo.lines", "demo.line_count"), encoding="utf-8")


@pytest.fixture(scope="module", params=[pytest.param("docker", marks=pytest.mark.docker), "replay"])
def work(request, tmp_path_factory):
    if request.param == "docker":
        request.getfixturevalue("python_image")
    return make_work(tmp_path_factory.mktemp(request.param) / "work", request.param)


@pytest.fixture(scope="module")
def unchanged(work):
    """All three notebooks, with nothing changed under them."""
    return work.execute(TOUR, REVIEW, REGRESSION, kept="unchanged")


@pytest.fixture(scope="module")
def changed(work, unchanged):
    """The regression notebook after a program of the demo changed, or the recording of one."""
    example = work.directory / "clnrm-regression"
    if work.backend == "docker":
        plant(example / "tests/quickstart/services/gateway.py")
        return work.execute(REGRESSION, kept="changed")
    other = example / "other-recording.json"
    shutil.copy(example / "tests/quickstart/recording.json", other)
    plant(other)
    return work.execute(REGRESSION, kept="changed", recording=other.name)


def test_notebooks_are_green_while_nothing_changes(work, unchanged):
    reasons = {name: told["reason"] for name, told in unchanged.told.items()}

    assert reasons == {TOUR: None, REVIEW: None, REGRESSION: None}
    assert unchanged.exit_code == 0
    assert unchanged.statuses(REGRESSION) == [["same", "same"]]
    [result] = read_results(unchanged.output(TOUR), "result")
    [test] = result.document["tests"]
    assert (test["backend"], test["replayed"]) == (work.backend, work.backend == "replay")


def test_regression_is_red_from_the_change_on(changed):
    assert (changed.exit_code, changed.told[REGRESSION]["status"]) == (1, "failed"), changed.told
    assert changed.statuses(REGRESSION) == [["changed", "changed"]]
    red = changed.failed(REGRESSION)
    for scenario in ("in-stock", "sold-out"):
        assert any(" diff " in name and scenario in name for name in red), red


def test_red_regression_changes_no_accepted_trace(work, unchanged, changed):
    baselines = work.directory / "clnrm-regression" / ".clnrm" / "baselines"
    files = [file for file in baselines.rglob("*") if file.is_file()]

    assert len(list(baselines.glob("*.json"))) == 2
    assert [file for file in files if "demo.line_count" in file.read_text(encoding="utf-8")] == []


def test_junit_has_a_case_for_each_step_expectation_and_group_of_edits(changed):
    cases = [case.get("name") for case in changed.cases[REGRESSION]]
    [result] = read_results(changed.output(REGRESSION), "result")
    [diff] = read_results(changed.output(REGRESSION), "diff")
    causes = diff.document["causes"]["counted"].split().count("1")

    assert len(set(cases)) == len(cases)
    for test in result.document["tests"]:
        prefix = f"[{result.cell}] {test['id']}"
        steps = {
            f"{prefix}::{scenario['name']}::{command['name']}"
            for scenario in test["scenarios"]
            for command in scenario["commands"]
        }
        assert steps
        assert steps <= set(cases)
        judged = sum(test["counts"][word] for word in ("passed", "failed", "not-evaluated"))
        assert sum(name.startswith(f"{prefix}::expect ") for name in cases) == judged
    assert causes >= 2
    assert sum(" diff " in name for name in cases) == causes


def test_review_goes_from_a_change_to_an_accepted_baseline(work, unchanged, monkeypatch):
    monkeypatch.chdir(work.directory / "clnrm-review")

    history = api.baseline_history(REVIEWED).frame

    assert unchanged.statuses(REVIEW) == [["changed", "changed"], ["same", "same"]]
    assert history["version"].tolist()[:2] == [1, 2]


@pytest.mark.parametrize("work", ["replay"], indirect=True)
def test_review_does_so_each_time_it_is_executed(work, unchanged, monkeypatch):
    again = work.execute(REVIEW, kept="again")

    assert (again.exit_code, again.failed(REVIEW)) == (0, []), again.told
    assert again.statuses(REVIEW) == [["changed", "changed"], ["same", "same"]]
    monkeypatch.chdir(work.directory / "clnrm-review")
    assert api.baseline_history(REVIEWED).frame["version"].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("name", [REVIEW, REGRESSION])
def test_saved_results_are_small_and_hold_no_widget(unchanged, changed, name):
    for executed in [unchanged, changed][: 1 + (name == REGRESSION)]:
        notebook = json.loads(Path(executed.output(name)).read_text(encoding="utf-8"))
        outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
        assert "widgets" not in notebook["metadata"]
        assert not any("widget" in mime for output in outputs for mime in output.get("data", {}))
        assert any("application/vnd.plotly.v1+json" in output.get("data", {}) for output in outputs)
        assert max(len(json.dumps(output).encode()) for output in outputs) <= RESULT_BYTES


def test_red_is_an_exception_for_papermill_and_the_picture_is_saved_before_it(tmp_path, monkeypatch):
    import papermill
    from papermill.exceptions import PapermillExecutionError

    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    work = make_work(tmp_path / "work", "replay")
    monkeypatch.chdir(work.directory)
    papermill.execute_notebook(REGRESSION, "first.ipynb", {"backend": "replay"}, progress_bar=False)
    plant(work.directory / "clnrm-regression/tests/quickstart/recording.json")

    with pytest.raises(PapermillExecutionError) as raised:
        papermill.execute_notebook(REGRESSION, "done.ipynb", {"backend": "replay"}, progress_bar=False)

    assert raised.value.ename == "AssertionError"
    cells = {cell.id: cell for cell in nbformat.read("done.ipynb", 4).cells}
    assert "application/vnd.plotly.v1+json" in cells["picture"].outputs[0].data


def test_regression_without_an_accepted_trace_is_red(tmp_path, monkeypatch):
    work = make_work(tmp_path / "work", "replay")
    monkeypatch.chdir(work.directory)
    api.init("mine")

    executed = work.execute(REGRESSION, kept="out", project="mine")

    assert (executed.exit_code, executed.told[REGRESSION]["status"]) == (1, "failed")
    assert "missing" in executed.told[REGRESSION]["reason"]


@pytest.mark.parametrize("name", [REVIEW, REGRESSION])
def test_stored_notebooks_have_no_outputs_and_one_cell_of_parameters(name):
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)

    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert [cell.id for cell in notebook.cells if cell.get("outputs") or cell.get("execution_count")] == []
    assert [cell.id for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])] == [
        "parameters"
    ]
