from __future__ import annotations

import subprocess
import sys

import pytest

from clnrm_nb.errors import BackendUnavailableError, ConfigError
from clnrm_nb.executor import backends
from clnrm_nb.executor.backends import backend_names, get_backend, has_containers, open_backend


@pytest.mark.parametrize("name", ["docker", "process", "replay"])
def test_built_in_backends_are_found_without_being_installed(settings_for, name, monkeypatch):
    monkeypatch.setattr(backends, "entry_points", lambda group: [])

    assert get_backend(name, settings_for()).name == name


def test_an_installed_package_adds_a_backend_but_replaces_no_built_in_one(settings_for, monkeypatch):
    class Entry:
        def __init__(self, name):
            self.name, self.value = name, "collections:Counter"

    monkeypatch.setattr(backends, "entry_points", lambda group: [Entry("mine"), Entry("process")])

    assert type(get_backend("mine", {})).__name__ == "Counter"
    assert type(get_backend("process", settings_for())).__name__ == "ProcessBackend"
    assert "mine" in backend_names()


def test_an_unknown_backend_is_a_configuration_error_that_names_the_known_ones(settings_for):
    with pytest.raises(ConfigError) as caught:
        get_backend("podmann", settings_for())

    assert caught.value.code == "CLN802"
    assert "docker, process, replay" in caught.value.hint


async def test_auto_falls_back_to_a_recording_and_never_to_processes(settings_for, tmp_path):
    recording = tmp_path / "r.json"
    recording.write_text("{}")
    nowhere = f"unix://{tmp_path}/absent.sock"

    chosen = await open_backend(
        "auto", settings_for(executor__docker_host=nowhere, executor__replay=str(recording))
    )
    assert chosen.name == "replay"

    with pytest.raises(BackendUnavailableError):
        await open_backend("auto", settings_for(executor__docker_host=nowhere))


def test_only_some_backends_have_containers():
    assert [has_containers(name) for name in ("docker", "dask", "process", "replay")] == [
        True,
        True,
        False,
        False,
    ]


def test_the_loop_and_the_records_load_nothing_heavy():
    heavy = {"docker", "opentelemetry", "tornado", "pandas", "pydantic", "plotly", "ipywidgets"}
    program = "import sys, clnrm_nb.executor; print(*{name.partition('.')[0] for name in sys.modules})"

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert heavy & set(loaded.stdout.split()) == set()
