"""No room, or no right, to write down what happened: the run gives its verdict, with a warning for each loss."""

from __future__ import annotations

import os
import subprocess
from functools import partial

import pytest

import clnrm_nb

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("no_leftovers")]

TEST = """
[meta]
name = "keeps"
version = "1"
[services.box]
image = "IMAGE"
args = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.05; done"]
[[scenario]]
name = "writes"
artifacts = { collect = ["files:/tmp/kept", "logs:all"] }
[[scenario.steps]]
name = "write"
command = ["sh", "-c", "head -c 1000000 /dev/urandom >/tmp/kept; head -c 300000 /dev/zero | tr '\\\\0' x"]
expected_output_regex = "^x+$"
"""


@pytest.fixture
def mounted(tmp_path):
    """Mount a tmpfs as the state directory."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small or read-only disk")
    directory = tmp_path / ".clnrm"
    directory.mkdir()

    def mount(options):
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "clnrm-test", str(directory)], check=True)
        return directory

    yield mount
    subprocess.run(["umount", "--lazy", str(directory)], check=False)


@pytest.fixture
async def run(tmp_path, monkeypatch, engine, busybox_image):
    (tmp_path / "keeps.clnrm.toml").write_text(TEST.replace("IMAGE", busybox_image))
    monkeypatch.chdir(tmp_path)
    return partial(clnrm_nb.arun, "keeps.clnrm.toml", docker_host=engine.url)


@pytest.mark.parametrize(
    ("options", "losses"),
    [
        pytest.param("size=64k", ["CLN001", "CLN804"], id="no room at all"),
        pytest.param("size=1m", ["CLN001"], id="no room for artifacts"),
        pytest.param("ro", ["CLN001", "CLN804"], id="read-only"),
    ],
)
async def test_a_run_that_cannot_write_gives_its_verdict(mounted, run, options, losses):
    mounted(options)

    result = await run()

    findings = [each for each in result.raw["diagnostics"] if each["severity"] != "info"]
    assert result.raw["data"]["tests"][0]["status"] == "passed", findings
    assert result.raw["exit_code"] == 0
    assert sorted(each["code"] for each in findings) == losses
    assert {each["severity"] for each in findings} == {"warning"}
