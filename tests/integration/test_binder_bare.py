"""binder/, tried from a virtual environment that has never seen clnrm_nb or anything it needs.

postBuild does there what it does for Binder: the wheel is built, and it and all it depends on come from the
package index; the tour runs on its recording. It takes a minute or two, most of it downloads.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import nbformat
import pytest

BUILD_S = 600
ROOT = Path(__file__).parents[2]
PARTS = (
    "binder",
    "clnrm_nb",
    "labextension/build_backend.py",
    "notebooks",
    "pyproject.toml",
    "README.md",
    "LICENSE",
)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home directory, a checkout and a virtual environment, after postBuild."""
    home = tmp_path_factory.mktemp("binder")
    for part in PARTS:
        _copy(ROOT / part, home / "checkout" / part)
    venv.create(home / "venv", with_pip=True)
    done = _in(home, "bash", "checkout/binder/postBuild")
    if "No matching distribution found for hatchling" in done.stderr:
        pytest.skip("pip cannot reach a package index for the build backend")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"00-tour\.ipynb\s+✓ passed", done.stdout), done.stdout
    return home


def _copy(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(
            source, target, ignore=shutil.ignore_patterns("__pycache__", "clnrm-tour", "labextension")
        )
    elif source.exists():
        shutil.copy(source, target)


def _in(home, *words, cwd=None):
    unset = {"XDG_CONFIG_HOME", "IPYTHONDIR", "VIRTUAL_ENV", "PYTHONPATH", "JUPYTER_PATH"}
    environment = {
        **{name: value for name, value in os.environ.items() if name not in unset},
        "HOME": str(home),
        "PATH": f"{home / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "DOCKER_HOST": f"unix://{home}/nobody.sock",
        "CLNRM_SKIP_LABEXTENSION": "1",
        # Most of what is installed is never imported here.
        "PIP_NO_COMPILE": "1",
    }
    return subprocess.run(
        words, cwd=cwd or home, env=environment, capture_output=True, text=True, check=False, timeout=BUILD_S
    )


def test_nothing_comes_from_elsewhere(home):
    done = _in(
        home, "python", "-c", "import sys, papermill, clnrm_nb; print(papermill.__file__, clnrm_nb.__file__)"
    )

    assert all(place.startswith(str(home / "venv")) for place in done.stdout.split()), done


def test_image_with_a_tour_that_fails_is_not_built(home, tmp_path):
    """The last step of postBuild ends non-zero, and postBuild with it."""
    shutil.copytree(home / "checkout" / "binder", tmp_path / "binder")
    broken = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("assert 1 == 2")])
    (tmp_path / "notebooks").mkdir()
    nbformat.write(broken, tmp_path / "notebooks" / "00-tour.ipynb")
    steps = (tmp_path / "binder" / "postBuild").read_text().splitlines()

    done = _in(home, "python", "binder/check.py", cwd=tmp_path)

    assert done.returncode == 1, done.stdout + done.stderr
    assert "set -euo pipefail" in steps
    assert steps[-1] == "python binder/check.py"


def test_first_cell_of_a_notebook_names_the_backend(home, tmp_path):
    cells = [nbformat.v4.new_code_cell(source) for source in ("1", "%load_ext clnrm_nb", "2")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "any.ipynb")

    done = _in(home, "clnrm", "-f", "json", "notebooks", "any.ipynb", cwd=tmp_path)

    [told] = json.loads(done.stdout)["data"]["notebooks"]
    executed = nbformat.read(tmp_path / told["output"], 4).cells
    banner = "no Docker engine answers, so the examples are **replayed**"
    assert [banner in str(cell.outputs) for cell in executed] == [True, False, False]


def test_examples_replay_without_a_flag_and_say_so(home, tmp_path):
    assert _in(home, "clnrm", "init", "mine", cwd=tmp_path).returncode == 0

    done = _in(home, "clnrm", "-f", "json", "run", "mine", cwd=tmp_path)

    tests = json.loads(done.stdout)["data"]["tests"]
    assert done.returncode == 0, done.stdout
    assert [(test["backend"], test["replayed"], test["hermetic"], test["status"]) for test in tests] == [
        ("replay", True, False, "incomplete")
    ] * 2


def test_process_backend_is_never_chosen_by_itself(home):
    configuration = (home / ".config" / "cleanroom" / "cleanroom.toml").read_text()

    assert 'backend = "auto"' in configuration
    assert "process" not in configuration
    assert sys.executable not in configuration
