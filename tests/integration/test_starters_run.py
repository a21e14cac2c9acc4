"""Starters in containers: what only containers can prove is proved there."""

from __future__ import annotations

import pytest

from clnrm_nb import api
from clnrm_nb.starters import ENDING


@pytest.mark.docker
@pytest.mark.parametrize("name", ["full-validation", "lifecycle"])
def test_a_starter_passes_in_containers(name, tmp_path, monkeypatch, python_image, no_leftovers):
    (tmp_path / "cleanroom.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"{name}{ENDING}"
    api.template(name, output=path)

    result = api.run(path, vars={"app_image": python_image}, timeout="120s")

    (test,) = result.raw["data"]["tests"]
    assert test["status"] == "passed", result
    assert {e["status"] for e in test["expectations"]} == {"passed"}
    assert test["hermetic"]
