"""`%clnrm guard`: what lets a notebook go on, and how it ends, with a person in front of it and without."""

from __future__ import annotations

import nbclient
import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell

from clnrm_nb.errors import UsageError


@pytest.fixture
def shell(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / ".ipython"))
    (tmp_path / ".clnrm").mkdir()
    shell = InteractiveShell()
    shell.run_line_magic("load_ext", "clnrm_nb")
    return shell


@pytest.fixture
def shown(monkeypatch):
    """What was displayed: (data, metadata)."""
    outputs = []
    monkeypatch.setattr(
        "IPython.display.display", lambda data, *, raw, metadata: outputs.append((data, metadata))
    )
    return outputs


@pytest.mark.parametrize("value", [True, 1, "yes", "true", [0]])
def test_true_variable_and_a_backend_that_answers_let_it_go_on(shell, value):
    shell.user_ns["wanted"] = value

    found = shell.run_line_magic("clnrm", "guard wanted --backend process")

    assert found.passes
    assert found.ok


@pytest.mark.parametrize("value", [False, 0, None, "false", "No", "0", ""])
def test_false_variable_ends_it_even_as_the_text_that_parameters_are(shell, shown, value):
    shell.user_ns["wanted"] = value

    with pytest.raises(SystemExit) as stop:
        shell.run_line_magic("clnrm", "guard wanted --backend process")

    assert stop.value.code == 0
    [(data, metadata)] = shown
    assert data["text/plain"] == f"skipped: wanted is {value!r}"
    assert metadata["clnrm"] == {"skipped": f"wanted is {value!r}"}


def test_backend_that_does_not_answer_ends_it(shell, shown):
    with pytest.raises(SystemExit):
        shell.run_line_magic("clnrm", "guard")

    [(data, _)] = shown
    assert data["text/plain"].startswith("skipped: backend docker: ")


def test_own_sentence_stands_in_place_of_ours(shell, shown):
    with pytest.raises(SystemExit):
        shell.run_line_magic("clnrm", "guard --reason 'needs an engine'")

    [(data, _)] = shown
    assert data["text/plain"] == "skipped: needs an engine"
    assert "needs an engine" in data["text/html"]


def test_unknown_variable_is_an_error_with_the_nearest_name(shell):
    shell.user_ns["wanted"] = True

    with pytest.raises(UsageError, match="no variable 'wantde'") as error:
        shell.run_line_magic("clnrm", "guard wantde")

    assert error.value.hint == "Did you mean 'wanted'?"


@pytest.mark.parametrize("wanted", [True, False])
def test_where_nobody_looks_on_the_rest_of_the_notebook_does_nothing_and_says_why(wanted, tmp_path):
    sources = [
        f"%load_ext clnrm_nb\nwanted = {wanted}",
        "try:\n    %clnrm guard wanted --backend process --reason 'not today'\nexcept Exception:\n    pass\nopen('a', 'w')",
        "%%bash\ntouch b",
        "import asyncio\nawait asyncio.sleep(0)\nopen('c', 'w')",
        "%clnrm guard unknown" if not wanted else "pass",
        "this is no Python" if not wanted else "pass",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])

    nbclient.NotebookClient(
        notebook, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()

    lines = [[output.get("data", {}).get("text/plain") for output in cell.outputs] for cell in notebook.cells]
    files = {path.name for path in tmp_path.iterdir()} & {"a", "b", "c"}
    if wanted:
        assert files == {"a", "b", "c"}
        assert not any("skipped" in str(line) for line in lines)
    else:
        assert files == set()
        assert lines == [[], *[["skipped: not today"]] * 5]
