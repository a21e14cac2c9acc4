"""`clnrm notebooks`: parameters, secrets, timeouts, broken files, and the tour on its recording."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from clnrm_nb import api
from clnrm_nb.errors import UsageError
from clnrm_nb.testing import NotebookError, read_results

TOUR = Path(__file__).parents[2] / "notebooks" / "00-tour.ipynb"


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a notebook of some cells into a project of its own; the first one is tagged if asked for."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".clnrm").mkdir()

    def notebook(*sources: str, tagged: bool = True, name: str = "nb.ipynb", kernel: str = "python3") -> Path:
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        if tagged:
            cells[0].metadata["tags"] = ["parameters"]
        metadata = {"kernelspec": {"name": kernel, "display_name": kernel, "language": "python"}}
        path = tmp_path / name
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)
        return path

    return notebook


def verdict(*args, **options):
    [only] = api.notebooks(*args, **options).verdicts
    return only


def test_parameters_reach_the_notebook_typed_and_as_text(write):
    path = write("a = b = None", "assert (a, b) == ('1', [2]), (a, b)")

    assert verdict(path, parameters=["a=1", "b:=[2]"]).status == "passed"


def test_parameters_for_a_notebook_without_a_parameters_cell_are_refused_before_it_runs(write, tmp_path):
    path = write("open('ran', 'w').close()", tagged=False)

    found = verdict(path, parameters={"a": 1})

    assert (found.exit_code, found.status) == (2, "error")
    assert "no cell tagged `parameters`" in found.reason
    assert not (tmp_path / "ran").exists()


def test_parameter_nobody_reads_is_named_and_fails_nothing(write):
    found = verdict(write("known = 1"), parameters={"knwon": 2})

    assert found.exit_code == 0
    assert found.notes == ("`knwon` is no parameter of this notebook",)


def test_secrets_are_in_nothing_that_is_kept(write, tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP_TOKEN", "t0p-of-the-shop")
    path = write(
        "db_password = 'x'\npin_secret = ''",
        "import os\nprint('pw', db_password, os.environ['SHOP_TOKEN'])\nraise ValueError(db_password)",
    )

    result = api.notebooks(
        path,
        parameters={"db_password": "hunter-22", "pin_secret": "77"},
        junit=tmp_path / "junit.xml",
        html=tmp_path / "html",
        artifacts=tmp_path / "out",
    )

    texts = [file.read_text() for file in tmp_path.rglob("*.*") if file.is_file() and file != path]
    texts.append(json.dumps(result.raw))
    assert len(texts) >= 4
    for text in texts:
        assert "hunter-22" not in text
        assert "t0p-of-the-shop" not in text
    kept = json.loads((tmp_path / "out" / "nb.ipynb").read_text())
    assert kept["metadata"]["papermill"]["parameters"] == {"db_password": "•••", "pin_secret": "•••"}
    assert "77" not in "".join(str(cell["source"]) for cell in kept["cells"])


def test_time_limit_is_that_of_the_whole_notebook(write):
    found = verdict(write("import time", "time.sleep(600)", "time.sleep(600)"), timeout="2s")

    assert (found.exit_code, found.status) == (1, "failed")
    assert found.reason == "it did not end within 2 s"
    assert found.output is not None


@pytest.mark.parametrize(
    ("source", "exit_code", "status"),
    [
        ("1 / 0", 2, "error"),
        ("assert 1 == 2", 1, "failed"),
        ("import sys; sys.exit(3)", 1, "failed"),
        ("%load_ext clnrm_nb\n%clnrm rnu x", 2, "error"),
    ],
)
def test_error_of_a_cell_is_a_failed_check_or_a_broken_notebook(write, source, exit_code, status):
    found = verdict(write(source))

    assert (found.exit_code, found.status) == (exit_code, status)
    assert found.reason.startswith("cell 0: ")


def test_cell_tagged_raises_exception_may_raise(write, tmp_path):
    path = write("pass", "1 / 0", "open('reached', 'w').close()")
    notebook = nbformat.read(path, 4)
    notebook.cells[1].metadata["tags"] = ["raises-exception"]
    nbformat.write(notebook, path)

    assert verdict(path).exit_code == 0
    assert (tmp_path / "reached").exists()


def test_kernel_that_does_not_exist_is_missing_infrastructure(write):
    found = verdict(write("pass", kernel="no-such-kernel"))

    assert (found.exit_code, found.status) == (3, "error")
    assert "no-such-kernel" in found.reason


def test_file_that_is_no_notebook_does_not_keep_the_others_from_running(write, tmp_path):
    write("pass", name="good.ipynb")
    (tmp_path / "broken.ipynb").write_text('{"cells": [')

    result = api.notebooks(tmp_path)

    assert result.exit_code == 2
    assert [(each.file, each.status) for each in result.verdicts] == [
        ("broken.ipynb", "error"),
        ("good.ipynb", "passed"),
    ]
    assert list(result.frame["status"]) == ["error", "passed"]


def test_outputs_and_hidden_directories_are_not_taken_for_notebooks(write, tmp_path):
    path = write("pass")
    for place in (".ipynb_checkpoints", "out"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "copy.ipynb").write_bytes(path.read_bytes())

    result = api.notebooks(tmp_path, artifacts=tmp_path / "out")

    assert [each.file for each in result.verdicts] == ["nb.ipynb"]


@pytest.mark.parametrize("options", [{"paths": "nothing-here"}, {"paths": ".", "timeout": "soon"}])
def test_wrong_words_are_usage_errors(write, options):
    write("pass")

    with pytest.raises(UsageError):
        api.notebooks(**options)


def test_document_of_a_newer_version_is_refused_with_a_sentence(write):
    path = write("pass")
    notebook = json.loads(path.read_text())
    newer = {"application/vnd.clnrm.result.v2+json": {}}
    notebook["cells"][0]["outputs"] = [{"output_type": "display_data", "metadata": {}, "data": newer}]
    path.write_text(json.dumps(notebook))

    with pytest.raises(NotebookError, match="needs a newer clnrm_nb"):
        read_results(path)


def test_interrupt_ends_kernels_and_keeps_what_was_executed(write, tmp_path):
    write(
        "print('before')",
        "open('started', 'w').write(str(__import__('os').getpid()))",
        "import time; time.sleep(600)",
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "clnrm_nb", "-f", "json", "notebooks", "nb.ipynb"],
        stdout=subprocess.PIPE,
        text=True,
    )
    kernel = _wait_for_pid(tmp_path / "started")

    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)

    assert process.returncode == 130
    [told] = json.loads(said)["data"]["notebooks"]
    assert told["status"] == "interrupted"
    assert "before" in Path(told["output"]).read_text()
    assert not Path(f"/proc/{kernel}").exists()


def _wait_for_pid(path: Path) -> int:
    """The kernel's own word that it has come this far; bounded."""
    from watchfiles import watch

    for _ in watch(path.parent, yield_on_timeout=True, rust_timeout=500, stop_event=None):
        if path.exists() and path.read_text():
            break
    return int(path.read_text())


def test_tour_has_a_case_for_each_command_and_expectation(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nb").mkdir()
    (tmp_path / "nb" / "tour.ipynb").write_bytes(TOUR.read_bytes())
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / ".ipython"))

    result = api.notebooks("nb", parameters={"backend": "replay"}, junit="junit.xml")

    assert result.exit_code == 0, result
    [tour] = result.verdicts
    names = [case.name for case in tour.cases]
    [saved] = read_results(tour.output, "result")
    [test] = saved.document["tests"]
    commands = sum(len(scenario["commands"]) for scenario in test["scenarios"])
    expectations = test["counts"]["passed"] + test["counts"]["failed"] + test["counts"]["not-evaluated"]
    assert sum(name.startswith(f"[{saved.cell}] {test['id']}") for name in names) == commands + expectations
    assert len(set(names)) == len(names)
    assert "widgets" not in json.loads(Path(tour.output).read_text())["metadata"]
    assert Path(tour.output).stat().st_size < 600_000
