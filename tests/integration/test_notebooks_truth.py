"""The truth table of CI: every way a notebook can go × every program that executes notebooks.

What must be red is red under all of them; what our command adds is the right exit code and cases that
say why.
Each program executes all notebooks once; the tests read what it left.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree as ET

import nbformat
import pytest

from clnrm_nb import api
from clnrm_nb.testing import read_results

HEAD = '[meta]\nname = "t"\nversion = "1"\n[[scenario]]\nname = "s"\n'
RUN = "%%clnrm run --backend process --name t\n"
NOTEBOOKS = {
    "pass": RUN + HEAD + 'run = "true"\n',
    "failed-check": RUN + HEAD + 'run = "false"\n',
    "missing-span": RUN + HEAD + 'run = "true"\n[[expect.span]]\nname = "never"\n',
    "timeout": "%%clnrm run --backend process --name t --timeout 300ms\n" + HEAD + 'run = "sleep 60"\n',
    "bad-toml": RUN + HEAD + "run = \n",
    "no-docker": "%%clnrm run --backend docker --docker-host unix:///nowhere/docker.sock --name t\n"
    + HEAD
    + 'run = "true"\n',
    "dead-kernel": "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
    "clean-stop": "%clnrm guard wanted --reason 'not today'",
}
# exit code of our command, status of the notebook, a word of the reason.
OURS = {
    "pass": (0, "passed", ""),
    "failed-check": (1, "failed", "CLN605"),
    "missing-span": (1, "failed", "CLN60"),
    "timeout": (1, "failed", "CLN604"),
    "bad-toml": (2, "error", "CLN201"),
    "no-docker": (3, "error", "CLN601"),
    "dead-kernel": (2, "error", "its kernel died"),
    "clean-stop": (0, "skipped", "not today"),
}
RED = {"failed-check", "missing-span", "timeout", "bad-toml", "no-docker", "dead-kernel"}
# A notebook ended on purpose: papermill knows SystemExit(0) for a clean stop, our plugin tells nbmake. The
# bare library cannot be told; its red is a false alarm with a name, never a false green.
FALSE_ALARMS = {("nbclient", "clean-stop")}


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory):
    """A directory with one notebook a row; the last cell writes down that it was reached."""
    folder = tmp_path_factory.mktemp("truth")
    (folder / ".clnrm").mkdir()
    for name, source in NOTEBOOKS.items():
        cells = [
            nbformat.v4.new_code_cell("wanted = False", metadata={"tags": ["parameters"]}),
            nbformat.v4.new_code_cell("%load_ext clnrm_nb"),
            nbformat.v4.new_code_cell(source),
            nbformat.v4.new_code_cell(f"open('{name}.reached', 'a').close()"),
        ]
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / f"{name}.ipynb")
    return folder


@pytest.fixture(scope="module")
def ours(notebooks):
    result = api.notebooks(
        notebooks, jobs=2, artifacts=notebooks / "out", html=notebooks / "html", junit=notebooks / "junit.xml"
    )
    return {verdict.file.rsplit("/", 1)[-1].removesuffix(".ipynb"): verdict for verdict in result.verdicts}


@pytest.fixture(scope="module")
def is_red(notebooks, ours):
    """(runner, name) → whether the runner said that something is wrong."""
    verdicts = {("ours", name): verdict.exit_code != 0 for name, verdict in ours.items()}
    with ThreadPoolExecutor(2) as threads:
        by_api = threads.map(lambda runner: _execute_all(notebooks, runner), EXECUTE)
        return verdicts | dict(pair for pairs in by_api for pair in pairs.items()) | _nbmake(notebooks)


EXECUTE = {
    "papermill": "papermill.execute_notebook(name + '.ipynb', f'.{name}.ipynb', progress_bar=False)",
    "nbclient": "nbclient.NotebookClient(nbformat.read(name + '.ipynb', 4), kernel_name='python3').execute()",
}
LOOP = """
import json, sys, {runner}, nbformat
red = {{}}
for name in sys.argv[1:]:
    try:
        {execute}
    except Exception:
        red[name] = True
print(json.dumps(red))
"""


def _execute_all(folder, runner):
    """One process a program: what takes the time is its import."""
    done = _python(folder, "-c", LOOP.format(runner=runner, execute=EXECUTE[runner]), *NOTEBOOKS)
    red = json.loads(done.stdout.splitlines()[-1])
    return {(runner, name): red.get(name, False) for name in NOTEBOOKS}


def _python(folder, *words):
    environment = {**os.environ, "IPYTHONDIR": str(folder / ".ipython")}
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def _nbmake(folder):
    report = folder / "nbmake.xml"
    plugins = ["-p", "no:cacheprovider", "-p", "clnrm_nb.pytest_plugin"]
    files = [f"{name}.ipynb" for name in NOTEBOOKS]
    _python(folder, "-m", "pytest", "--nbmake", "-q", *plugins, f"--junitxml={report}", *files)
    cases = list(ET.parse(report).iter("testcase"))
    assert len(cases) == len(NOTEBOOKS)
    named = {
        name: case for name in NOTEBOOKS for case in cases if f"{name}.ipynb" in ET.tostring(case).decode()
    }
    return {
        ("nbmake", name): case.find("failure") is not None or case.find("error") is not None
        for name, case in named.items()
    }


@pytest.mark.parametrize("runner", ["papermill", "nbclient", "nbmake", "ours"])
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_is_red_where_it_must_be_and_only_there(is_red, runner, name):
    assert is_red[runner, name] == (name in RED or (runner, name) in FALSE_ALARMS)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_our_command_tells_what_kind_of_red_it_is(ours, name):
    exit_code, status, word = OURS[name]
    verdict = ours[name]

    assert (verdict.exit_code, verdict.status) == (exit_code, status), verdict.reason
    assert word in verdict.reason


def test_junit_has_a_suite_a_notebook_and_a_case_a_check(notebooks, ours):
    suites = {
        suite.get("name").rsplit("/", 1)[-1]: suite for suite in ET.parse(notebooks / "junit.xml").getroot()
    }

    assert set(suites) == {f"{name}.ipynb" for name in NOTEBOOKS}
    bad = [
        case.get("name")
        for case in suites["missing-span.ipynb"].iter("testcase")
        if case.find("failure") is not None
    ]
    assert bad == ["[2] cell:t::expect span[never]#0"]
    for name in RED:
        counts = [int(suites[f"{name}.ipynb"].get(word)) for word in ("failures", "errors")]
        assert sum(counts) > 0, name


def test_executed_notebooks_are_kept_with_their_documents(notebooks, ours):
    [failed] = read_results(ours["failed-check"].output, "result")

    assert (failed.cell, failed.document["ok"]) == (2, False)
    assert (notebooks / "html").is_dir()
    assert all(ours[name].output for name in NOTEBOOKS)


def test_notebook_that_ended_itself_says_why_in_one_line_that_stays(notebooks, ours):
    stopped = nbformat.read(ours["clean-stop"].output, 4)
    [shown] = [output for output in stopped.cells[2].outputs if output.output_type == "display_data"]

    assert shown.data["text/plain"] == "skipped: not today"
    assert not [output for output in stopped.cells[2].outputs if output.output_type == "stream"]
    assert not (notebooks / "clean-stop.reached").exists()
