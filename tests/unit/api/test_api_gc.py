"""`gc` on a machine whose engine does not answer, and what it shows of the machine itself."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from clnrm_nb import api
from clnrm_nb.errors import BackendUnavailableError
from clnrm_nb.reaper.ownership import this_process


@pytest.fixture
def abandoned(tmp_path, monkeypatch):
    """A scratch directory, and half-written artifacts, of a process of this machine that is no more."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".clnrm" / "artifacts").mkdir(parents=True)
    directories = [tmp_path / "clnrm-process-1", tmp_path / ".clnrm" / "artifacts" / ".writing-1"]
    for directory in directories:
        directory.mkdir()
        directory.with_name(f"{directory.name}.owner").symlink_to(str(replace(this_process(), start="1")))
    return directories


def test_gc_cleans_this_machine_even_if_no_engine_answers_and_says_so(abandoned):
    with pytest.raises(BackendUnavailableError) as unavailable:
        api.gc(docker_host="unix:///nowhere.sock")

    assert unavailable.value.exit_code == 3
    assert [f"directory {directory}: removed" for directory in abandoned] == sorted(
        unavailable.value.__notes__, reverse=True
    )
    assert not any(map(os.path.lexists, abandoned))


def test_gc_dry_run_removes_nothing(abandoned):
    with pytest.raises(BackendUnavailableError) as unavailable:
        api.gc(dry_run=True, docker_host="unix:///nowhere.sock")

    assert all("would be removed" in note for note in unavailable.value.__notes__)
    assert all(directory.exists() for directory in abandoned)
