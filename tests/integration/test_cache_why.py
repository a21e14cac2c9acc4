"""`why` names the true cause of each kind of change, at its place, and of no other."""

import re

import pytest

from clnrm_nb import api
from tests.cache_changes import CHANGES, COSMETIC, FILE, Place

VALUE = "value-of-a-test"
AT = re.escape(FILE) + r":\d+:\d+"

TOLD = {
    "a variable of the command line": rf'variable given is read now: "{VALUE}" \(used at {AT}, set by the call\)',
    "the type of a variable": rf"variable given is read now: 1 \(used at {AT}, set by the call\)",
    "a notebook parameter": r'variable given is read now: "told by a notebook" .*set by a notebook parameter\)',
    "a variable of [vars]": rf'variable inner: "one" -> "{VALUE}" \(used at {AT}, set in \[vars\] at {AT}\)',
    "a variable of the environment": rf"variable svc changed \(value not shown\) \(used at {AT}, set by environment SERVICE_NAME\)",
    "the environment read by the template": rf"environment GREETING is set now \(value not shown\) \(read at {AT}\)",
    "the environment that programs see": rf'environment LANG: "C.UTF-8" -> "{VALUE}"',
    "the environment in the path of a mount": r"mounts app:/named changed.*",
    "the value of a secret": r"environment API_KEY changed \(value not shown\)",
    "an include of an include": r"include templates/real.toml.tera changed \(1 line\)",
    "where a link to an include leads": r"include templates/deep.toml.tera changed \(1 line\)",
    "an include that stands nearer now": r"include part.toml.tera is there now",
    "an import": r"include mine.toml.tera changed \(1 line\)",
    "a library of template.macros": r"include lib/extra.toml.tera changed \(1 line\)",
    "an import that stands nearer now": r"include extra.toml.tera is there now",
    "the value of a matrix": r"it has not passed before: this is its first run",
    "an argument of a command": rf'scenario scenario\[0\].steps\[4\].command\[1\]: "1" -> "{VALUE}" \(at {AT}\)',
    "the elements of a loop": rf'scenario scenario\[0\].steps\[5\].name: "bnone" -> "{VALUE}none" \(at {AT}\)',
    "the name of a scenario": rf'scenario scenario\[0\].name: "only" -> "{VALUE}" \(at {AT}\)',
    "a step more": rf"scenario scenario\[0\].steps\[6\] is new: .* \(at {AT}\)",
    "a scenario more": rf"scenario scenario\[1\] is new: .* \(at {AT}\)",
    "the limit of a scenario": rf"scenario scenario\[0\].timeout_ms: 30 s -> 30.001 s \(at {AT}\)",
    "the limit of the test": r"limit test_s: 300 -> 60",
    "the environment of a service": rf'scenario services.app.env.MODE: "a" -> "{VALUE}" \(at {AT}\)',
    "the image of a service": rf'scenario services.app.image: "busybox:1" -> "busybox:{VALUE}" \(at {AT}\)',
    "the arguments of a service": rf'scenario services.app.args\[1\]: "60" -> "61" \(at {AT}\)',
    "the limits of a service": r"limit services.app.memory_mb: 64 -> 65",
    "a mounted file": r"mounts app:/data changed: a.txt",
    "a mounted file of the same size and time": r"mounts app:/data changed: a.txt",
    "a new file in a mounted directory": r"mounts app:/data changed: inner/new.txt",
    "a file renamed in a mounted directory": rf"mounts app:/data changed: a.txt, {VALUE}.txt",
    "a file gone from a mounted directory": r"mounts app:/data changed: inner/b.txt",
    "the mode of a mounted file": r"mounts app:/data changed: a.txt",
    "where a mounted link leads": r"mounts app:/link changed: a.txt, .*",
    "where it is mounted": rf'scenario services.app.volumes\[0\].container_path: "/data" -> "/{VALUE}" \(at {AT}\)',
    "whether a mount may be written to": rf"scenario services.app.volumes\[1\].read_only: true -> false \(at {AT}\)",
    "the seed": rf"scenario determinism.seed: 7 -> 8 \(at {AT}\)",
    "the clock": rf'scenario determinism.freeze_clock: "2025-01-01T00:00:00Z" -> "2025-01-02T00:00:00Z" \(at {AT}\)',
    "a resource of the traces": rf'scenario otel.resources.team: "x" -> "{VALUE}" \(at {AT}\)',
    "--memory": r"limit runner.memory_mb: 512 -> 333",
    "--cpu": r"limit runner.cpu_millicores: 1000 -> 500",
    "--timeout": r"limit test_s: 300 -> 77",
    "--isolation": r'isolation: "warm" -> "fresh"',
    "the default image": rf'limit runner.image: "alpine:latest" -> "busybox:{VALUE}"',
    "the user's configuration": r"limit step_s: 60 -> 44",
    "the list of template.macros": r"include lib2/extra.toml.tera is read now",
}
FOLLOWS = {
    "variables": {"variables", "environment", "scenario"},
    "environment": {"variables", "environment", "scenario"},
    "files": {"files", "scenario"},
    "mounts": {"mounts"},
    "limits": {"limits", "scenario"},
    "scenario": {"scenario", "mounts"},
    "isolation": {"isolation"},
    "first": {"first"},
}
"""What may be told beside a cause of a kind, because it follows from it."""


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def last_decision(place, monkeypatch):
    monkeypatch.chdir(place.root)
    for name, value in place.environ.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    (found,) = api.cache_why(FILE).raw["data"]["why"]
    return found["last"]


def test_every_kind_of_change_has_its_words():
    assert TOLD.keys() == CHANGES.keys()


@pytest.mark.parametrize("kind", CHANGES)
def test_the_cause_of_a_change_is_named_and_no_other(place, monkeypatch, kind):
    assert place.run().ok
    CHANGES[kind](place, VALUE)
    assert place.run().ok

    decision = last_decision(place, monkeypatch)

    assert decision["answer"] == "miss"
    (index,) = [i for i, text in enumerate(decision["sentences"]) if re.fullmatch(TOLD[kind], text)][:1] or [
        None
    ]
    assert index is not None, decision["sentences"]
    causes = decision["causes"]
    assert {cause["kind"] for cause in causes} <= FOLLOWS[causes[index]["kind"]], decision["sentences"]
    assert not [text for text in decision["sentences"] if "a-key-of-the-first-run" in text]
    if kind in (
        "the value of a secret",
        "the environment read by the template",
        "a variable of the environment",
    ):
        assert VALUE not in str(decision)


@pytest.mark.parametrize("kind", COSMETIC)
def test_an_edit_that_does_not_count_is_named_as_such(place, monkeypatch, kind):
    assert place.run().ok
    before = (place.root / FILE).read_bytes()
    COSMETIC[kind](place, "something else")
    place.run()

    decision = last_decision(place, monkeypatch)

    assert decision["answer"] == "hit"
    if (place.root / FILE).read_bytes() == before:
        assert decision["sentences"] == []
    else:
        (said,) = decision["sentences"]
        assert re.fullmatch(
            rf"{re.escape(FILE)} changed \(\d+ lines?\): comments and spelling only, .*", said
        )
