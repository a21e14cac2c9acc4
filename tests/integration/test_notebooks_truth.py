"""The truth table of CI: every way a notebook can go × every program that executes notebooks.

What must be red is red under all of them; what our command adds is the right exit code and cases that
say why.
Each program executes all notebooks once; the tests read what it left. What can say so reports a notebook that
ended on purpose as skipped; for the others it is no failure, and its outputs say that it was skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import entry_points
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
RUNNERS = ["papermill", "nbclient", "nbmake", "nbval", "ours"]


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
def outcomes(notebooks, ours):
    """(runner, name) → `green`, `red` or `skipped`, as the runner itself says it."""
    said = {("ours", name): _colour(verdict) for name, verdict in ours.items()}
    with ThreadPoolExecutor(2) as threads:
        jobs = [threads.submit(_execute_all, notebooks, runner) for runner in EXECUTE]
        jobs += [threads.submit(_pytest, notebooks, plugin) for plugin in PLUGINS]
        for job in jobs:
            said |= job.result()
    return said


def _colour(verdict):
    return "skipped" if verdict.status == "skipped" else "red" if verdict.exit_code else "green"


EXECUTE = {
    "papermill": "papermill.execute_notebook(name + '.ipynb', f'.{name}.ipynb', progress_bar=False)",
    "nbclient": "nbclient.NotebookClient(nbformat.read(name + '.ipynb', 4), kernel_name='python3').execute()",
}
LOOP = """
import json, sys, {runner}, nbformat
red = []
for name in sys.argv[1:]:
    try:
        {execute}
    except Exception:
        red.append(name)
print(json.dumps(red))
"""
PLUGINS = {"nbmake": ["--nbmake"], "nbval": ["--nbval-lax", "--nbval-cell-timeout=60"]}
# nbval has no other sign of a dead kernel than that a cell takes too long; this notebook it executes by itself.
DEAD = {"nbmake": [], "nbval": ["--nbval-cell-timeout=5"]}


def _execute_all(folder, runner):
    """One process a program: what takes the time is its import."""
    done = _python(folder, "-c", LOOP.format(runner=runner, execute=EXECUTE[runner]), *NOTEBOOKS)
    red = json.loads(done.stdout.splitlines()[-1])
    return {(runner, name): "red" if name in red else "green" for name in NOTEBOOKS}


def _python(folder, *words):
    environment = {**os.environ, "IPYTHONDIR": str(folder / ".ipython")}
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def _pytest(folder, plugin):
    """What pytest says of each notebook: a case a notebook (nbmake) or a cell (nbval)."""
    cases = []
    for names, more in ((NOTEBOOKS.keys() - {"dead-kernel"}, []), (["dead-kernel"], DEAD[plugin])):
        report = folder / f"{plugin}.xml"
        words = ["-q", "-p", "no:cacheprovider", *_our_plugin(), f"--junitxml={report}"]
        _python(folder, "-m", "pytest", *PLUGINS[plugin], *more, *words, *(f"{name}.ipynb" for name in names))
        cases += ET.parse(report).iter("testcase")
    return {(plugin, name): _worst([each for each in cases if _is_of(each, name)]) for name in NOTEBOOKS}


def _our_plugin():
    """Its entry point is there once the package was installed; a checkout older than that names it."""
    known = {each.name for each in entry_points(group="pytest11")}
    return [] if "clnrm_nb.pytest_plugin" in known else ["-p", "clnrm_nb.pytest_plugin"]


def _is_of(case, name):
    return name in {case.get("name").removesuffix(".ipynb"), case.get("classname").removesuffix(".ipynb")}


def _worst(cases):
    assert cases
    if any(case.find(word) is not None for case in cases for word in ("failure", "error")):
        return "red"
    return "skipped" if any(case.find("skipped") is not None for case in cases) else "green"


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_is_red_where_it_must_be_and_only_there(outcomes, runner, name):
    assert (outcomes[runner, name] == "red") == (name in RED)


@pytest.mark.parametrize("runner", ["nbmake", "nbval", "ours"])
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_who_can_say_skipped_says_it_of_the_notebook_that_ended_on_purpose_and_of_no_other(
    outcomes, runner, name
):
    assert (outcomes[runner, name] == "skipped") == (name == "clean-stop")


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


def test_notebook_that_ended_itself_did_nothing_more_under_any_program(notebooks, outcomes):
    assert not (notebooks / "clean-stop.reached").exists()
    assert (notebooks / "pass.reached").exists()
