"""One suite for every backend: the cases of ``backend_verdicts.toml`` get the verdicts written there."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

import clnrm_nb
from clnrm_nb.reaper.ownership import this_process

CASES = tomllib.loads(Path(__file__).with_name("backend_verdicts.toml").read_text())["case"]


@pytest.fixture
def on_docker(engine, image_maker):
    """What a run needs to be told to go there, the image there, and what there may be."""
    yield {"docker_host": engine.url}, image_maker.busybox(engine.client), {"containers"}
    assert engine.labelled("clnrm_nb.owner", str(this_process())) == []


@pytest.fixture
def on_podman(podman_engine, image_maker):
    yield {"docker_host": podman_engine.url}, image_maker.busybox(podman_engine.client), {"containers"}
    assert podman_engine.labelled("clnrm_nb.owner", str(this_process())) == []


@pytest.fixture
def on_process():
    return {"backend": "process"}, "not-looked-at:1", set()


@pytest.fixture(params=["docker", "podman", "process"])
def place(request):
    """One backend after the other; a new one needs a fixture ``on_NAME`` and its name here."""
    return request.getfixturevalue(f"on_{request.param}")


async def test_every_backend_gives_the_verdicts_of_the_cases(place, tmp_path, monkeypatch):
    options, image, abilities = place
    cases = [case for case in CASES if not case.get("only") or case["only"] in abilities]
    (tmp_path / ".clnrm").mkdir()
    configuration = f'[containers]\ndefault_image = "{image}"\npull_policy = "never"\n'
    (tmp_path / ".clnrm" / "config.toml").write_text(configuration)
    for case in cases:
        meta = f'[meta]\nname = "{case["name"]}"\nversion = "1"\n'
        path = tmp_path / f"{case['name'].replace(' ', '-')}.clnrm.toml"
        path.write_text(meta + case["text"].replace("IMAGE", image))
    monkeypatch.chdir(tmp_path)

    told = await told_by_a_run(options)
    if any("CLN601" in codes for _, codes, _ in told.values()):
        # No verdict of a test: the engine refused, which one that others keep busy may do once.
        told = await told_by_a_run(options)

    assert told == {case["name"]: (case["status"], case.get("codes", []), case["commands"]) for case in cases}


async def told_by_a_run(options):
    result = await clnrm_nb.arun(".", workers=4, force=True, **options)
    tests = result.raw["data"]["tests"]
    print([f"{test['name']}: {each['message']}" for test in tests for each in test["diagnostics"]])
    return {test["name"]: told_of(test) for test in tests}


def told_of(test):
    codes = {each["code"] for each in test["diagnostics"] if each["severity"] != "info"}
    codes |= {"CLN607" for each in test["expectations"] if each["reason"] == "no-spans"}
    commands = [command["status"] for scenario in test["scenarios"] for command in scenario["commands"]]
    # What a backend cannot do at all (CLN611) is another matter than what it makes of the test.
    return test["status"], sorted(codes - {"CLN611"}), commands
