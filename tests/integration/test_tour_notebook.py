"""notebooks/00-tour.ipynb, executed as papermill executes it, on each backend; its outputs are read."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import nbformat
import pytest

from clnrm_nb.examples import images

TOUR = Path(__file__).parents[2] / "notebooks" / "00-tour.ipynb"
RESULT = "application/vnd.clnrm.result.v1+json"
SPANS = 18


@pytest.fixture
def execute(tmp_path, monkeypatch):
    """Execute the tour in a directory of its own; its cells by id."""

    def run(backend: str) -> dict[str, nbformat.NotebookNode]:
        import papermill

        monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
        done = papermill.execute_notebook(
            str(TOUR),
            str(tmp_path / "done.ipynb"),
            parameters={"backend": backend},
            cwd=str(tmp_path),
            kernel_name="python3",
            progress_bar=False,
            execution_timeout=180,
        )
        return {cell.id: cell for cell in done.cells}

    return run


def data(cell, mime: str) -> object:
    """The cell's output of one MIME type."""
    [found] = [output.data[mime] for output in cell.outputs if mime in output.get("data", {})]
    return found


def printed(cell) -> str:
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def assert_tour_is_whole(cells, *, backend: str, hermetic: bool, replayed: bool, status: str) -> None:
    [test] = data(cells["run"], RESULT)["tests"]
    assert (test["status"], test["backend"], test["hermetic"], test["replayed"]) == (
        status,
        backend,
        hermetic,
        replayed,
    )
    assert "<script" not in data(cells["run"], "text/html")
    assert 'image = "clnrm-demo-python:local"' in printed(cells["render"])
    assert "CLN301" in str(data(cells["typo"], "text/plain"))
    assert "workdir" in str(data(cells["typo"], "text/plain"))
    frame = data(cells["spans"], "text/html")
    assert all(name in frame for name in ("POST /orders", "take from shelf", "customer", "inventory"))
    assert f"{SPANS} rows" in frame or frame.count("<tr") == SPANS + 1
    figure = data(cells["plot"], "application/vnd.plotly.v1+json")
    assert sum(len(trace["y"]) for trace in figure["data"]) == 11
    assert "hermeticity" in data(cells["verdicts"], "text/html")
    assert sum(len(str(output)) for cell in cells.values() for output in cell.get("outputs", [])) < 500_000


def test_tour_runs_on_the_recording_where_there_is_no_engine(execute):
    cells = execute("replay")

    assert_tour_is_whole(cells, backend="replay", hermetic=False, replayed=True, status="incomplete")


def test_tour_runs_on_processes_if_asked_for_by_name(execute):
    cells = execute("process")

    assert_tour_is_whole(cells, backend="process", hermetic=False, replayed=False, status="incomplete")


def test_tour_chooses_the_recording_by_itself_where_no_engine_answers(execute, monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")

    cells = execute("auto")

    assert "No Docker engine answers" in printed(cells["images"])
    assert_tour_is_whole(cells, backend="replay", hermetic=False, replayed=True, status="incomplete")


@pytest.mark.docker
def test_tour_runs_in_docker_where_an_engine_answers(execute):
    with closing(images.engine()) as client:
        images.ensure(["python"], client)

    cells = execute("auto")

    assert "clnrm-demo-python:local" in printed(cells["images"])
    assert_tour_is_whole(cells, backend="docker", hermetic=True, replayed=False, status="passed")


def test_stored_tour_has_no_outputs_and_names_its_kernel():
    """Outputs belong to a run; JupyterLab asks for a kernel where the file names none."""
    tour = nbformat.read(TOUR, as_version=4)

    nbformat.validate(tour)
    assert tour.metadata.kernelspec.name == "python3"
    assert [cell.id for cell in tour.cells if cell.get("outputs") or cell.get("execution_count")] == []
    assert [cell.id for cell in tour.cells if "parameters" in cell.metadata.get("tags", [])] == ["parameters"]


@pytest.mark.docker
def test_lines_of_the_readme_can_be_pasted_into_a_notebook(tmp_path, python_image):
    import nbclient

    readme = (TOUR.parents[1] / "README.md").read_text()
    lines = readme.split("```python\n", 1)[1].split("```", 1)[0]
    cells = [nbformat.v4.new_code_cell(block) for block in lines.strip().split("\n\n")]
    notebook = nbformat.v4.new_notebook(cells=cells)

    nbclient.NotebookClient(
        notebook, timeout=180, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()

    assert "order.must_precede[reserve lines→price order]" in data(notebook.cells[-1], "text/html")
