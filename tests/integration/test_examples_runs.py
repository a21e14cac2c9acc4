"""The examples through the command line, on every backend they are for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from clnrm_nb import examples
from clnrm_nb.examples import images

RUN_S = 180
SPANS = {"quickstart": 18, "shop": 19}
KINDS = {
    "quickstart": {"span", "counts", "graph", "window", "order", "status", "hermeticity"},
    "shop": {"span", "counts", "graph", "window", "order", "status", "hermeticity", "resource"},
}


@pytest.fixture
def project(tmp_path) -> Path:
    """A project of its own that holds both examples."""
    (tmp_path / "cleanroom.toml").write_text("")
    for name in examples.NAMES:
        examples.lay_down(name, tmp_path)
    return tmp_path


@pytest.fixture
def clnrm(project):
    """Run ``clnrm --format json run`` there; the exit code and the report."""

    def run(*words: str) -> tuple[int, dict]:
        ended = subprocess.run(
            [sys.executable, "-m", "clnrm_nb", "--format", "json", "run", *words],
            cwd=project,
            capture_output=True,
            text=True,
            timeout=RUN_S,
            check=False,
        )
        assert ended.stdout, ended.stderr
        return ended.returncode, json.loads(ended.stdout)

    return run


def verdicts(test: dict) -> dict[str, set[str]]:
    """Ids of expectations by their status."""
    found: dict[str, set[str]] = {"passed": set(), "failed": set(), "not-evaluated": set()}
    for result in test["expectations"]:
        found[result["status"]].add(result["id"])
    return found


@pytest.fixture
def demo_images():
    with closing(images.engine()) as client:
        images.ensure(images.NAMES, client)


@pytest.mark.docker
@pytest.mark.parametrize("name", examples.NAMES)
def test_example_passes_in_docker_and_proves_its_isolation(name, clnrm, demo_images):
    code, report = clnrm(name)

    [test] = report["data"]["tests"]
    assert (code, test["status"]) == (0, "passed"), test
    assert (test["backend"], test["hermetic"], test["replayed"]) == ("docker", True, False)
    assert verdicts(test)["failed"] == verdicts(test)["not-evaluated"] == set()
    assert {result["kind"] for result in test["expectations"]} == KINDS[name]
    assert test["span_count"] == SPANS[name]


@pytest.mark.docker
def test_both_examples_run_side_by_side_and_are_reported_in_path_order(clnrm, demo_images):
    code, report = clnrm("shop", "quickstart", "--workers", "2")

    assert code == 0, report
    assert [test["name"] for test in report["data"]["tests"]] == ["quickstart", "shop"]


@pytest.mark.docker
def test_images_are_made_once_and_then_found(demo_images):
    with closing(images.engine()) as client:
        again = images.ensure(images.NAMES, client)

    assert [image.made for image in again] == [False, False]
    assert all(image.size_mb < 400 for image in again)


@pytest.mark.docker
def test_a_change_of_the_mounted_program_is_what_runs_next(clnrm, project, demo_images):
    """The picture of a person at work: break the gateway, and the order check names it."""
    gateway = project / "quickstart" / "services" / "gateway.py"
    original = gateway.read_text()
    broken = original.replace(
        "    refused = reserve(lines)", "    price(lines)\n    refused = reserve(lines)"
    )
    assert broken != original
    gateway.write_text(broken)

    code, report = clnrm("quickstart")

    [test] = report["data"]["tests"]
    assert (code, test["status"]) == (1, "failed")
    assert "order.must_precede[reserve lines→price order]" in verdicts(test)["failed"]


def test_quickstart_on_processes_holds_but_for_what_needs_isolation(clnrm):
    code, report = clnrm("quickstart", "--backend", "process")

    [test] = report["data"]["tests"]
    assert (code, test["status"]) == (1, "incomplete"), test
    assert (test["backend"], test["hermetic"]) == ("process", False)
    assert verdicts(test)["failed"] == set()
    assert {"hermeticity.no_external_services"} <= verdicts(test)["not-evaluated"]
    assert all(result.startswith("hermeticity.") for result in verdicts(test)["not-evaluated"])
    assert test["span_count"] == SPANS["quickstart"]


def test_leave_for_what_is_not_evaluated_makes_the_exit_code_zero_and_nothing_else(clnrm):
    code, report = clnrm("quickstart", "--backend", "process", "--allow-not-evaluated")

    assert code == 0
    assert report["data"]["tests"][0]["status"] == "incomplete"


@pytest.mark.parametrize("name", examples.NAMES)
def test_recording_of_the_example_replays_without_an_engine(name, clnrm):
    code, report = clnrm(name, "--replay", f"{name}/recording.json", "--allow-not-evaluated")

    [test] = report["data"]["tests"]
    assert (code, test["status"]) == (0, "incomplete"), test
    assert (test["backend"], test["hermetic"], test["replayed"]) == ("replay", False, True)
    assert verdicts(test)["failed"] == set()
    assert test["span_count"] == SPANS[name]


@pytest.mark.parametrize("name", examples.NAMES)
def test_recording_is_small_and_names_neither_machine_nor_address(name):
    text = (examples.directory(name) / "recording.json").read_text()

    assert json.loads(text)["format"] == "clnrm-recording/1"
    assert len(text) < 200_000
    assert not any(word in text for word in (str(Path.home()), "172.", "127.0.0.1", os.uname().nodename))
