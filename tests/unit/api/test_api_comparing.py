"""What cannot be compared is said, with its exit status, whichever way the spans were to come."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import clnrm_nb.api as clnrm
from clnrm_nb.api.running import Run
from clnrm_nb.errors import Diagnostic
from clnrm_nb.executor.outcome import TestOutcome
from clnrm_nb.report.results import RunResult

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".clnrm").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("run_when", ["auto", "never"])
def test_a_path_that_does_not_exist_is_no_diff_without_differences(run_when: str) -> None:
    diff = clnrm.diff("nowhere", run_when=run_when)

    assert (diff.exit_code, diff.code) == (2, "CLN001")
    assert "nowhere" in diff.headline
    assert "CLN001" in repr(diff)
    assert "CLN001" in diff.html()
    assert "✓" not in diff.html()


@pytest.mark.parametrize("run_when", ["auto", "never"])
def test_a_file_that_cannot_be_read_is_no_diff_without_differences(project: Path, run_when: str) -> None:
    (project / "broken.clnrm.toml").write_text("[meta\n")

    diff = clnrm.diff(".", run_when=run_when)

    assert diff.exit_code == 2
    assert {f["file"] for f in diff.raw["diagnostics"]} == {"broken.clnrm.toml"}
    assert diff.headline == diff.raw["diagnostics"][0]["message"]


# -------------------------------------------------------------------------------------- a detached run


def detached(done: Future[RunResult], number_of_events: int) -> Run:
    live: Any = SimpleNamespace(events=[object()] * number_of_events)
    job: Any = SimpleNamespace(done=done)
    return Run(job, live)


def test_a_run_that_goes_on_counts_its_events() -> None:
    done: Future[RunResult] = Future()

    assert repr(detached(done, 1)) == "<Run running: 1 event>"
    assert detached(done, 2)._repr_mimebundle_() == {"text/plain": "<Run running: 2 events>"}


def test_a_run_that_has_ended_looks_like_its_result() -> None:
    done: Future[RunResult] = Future()
    result = RunResult([TestOutcome("a.clnrm.toml", "a")])
    done.set_result(result)
    run = detached(done, 17)

    assert repr(run) == repr(result)
    assert run._repr_mimebundle_() == result._repr_mimebundle_()


def test_a_run_that_broke_says_so_in_place_of_a_result() -> None:
    done: Future[RunResult] = Future()
    done.set_exception(RuntimeError("gone"))

    assert repr(detached(done, 0)) == "<Run error: 0 events>"


# ------------------------------------------------------------------------------------- a test unread


def test_no_backend_is_claimed_for_a_test_that_could_not_be_read() -> None:
    unread = TestOutcome("a.clnrm.toml", "a", status="error", backend="docker", hermetic=False)
    unread.diagnostics.append(Diagnostic("CLN201", "expected `=`"))
    result = RunResult([unread])

    assert "docker" not in repr(result)
    assert "docker" not in result._repr_mimebundle_()["text/html"]
