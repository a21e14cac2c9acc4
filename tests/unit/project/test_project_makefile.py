from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = re.findall(r"^([a-z-]+):.*## (.+)$", MAKEFILE, re.MULTILINE)


def make(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    return subprocess.run(
        ["make", *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_make_alone_prints_every_target_with_its_sentence():
    shown = make()

    assert shown.returncode == 0
    for name, sentence in TARGETS:
        assert re.search(rf"^  make {name}\s+{re.escape(sentence)}$", shown.stdout, re.MULTILINE)


def test_every_target_a_person_can_type_is_phony_and_explained():
    phony = set(re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[1].split())

    assert phony == {name for name, _ in TARGETS}
    assert {"help", "demo", "test", "lint", "bench", "bench-full", "clean"} <= phony


@pytest.mark.parametrize("name", [name for name, _ in TARGETS if name not in {"help", "clean"}])
def test_target_sets_up_its_environment_itself(name):
    """A bare checkout has no .venv: whatever needs one must depend on the stamp that makes it."""
    prerequisites = re.search(rf"^{name}:(.*?)##", MAKEFILE, re.MULTILINE)[1]

    assert "_READY)" in prerequisites


def test_too_old_python_ends_with_a_sentence_that_says_what_to_type(tmp_path):
    old = tmp_path / "python-old"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)

    ended = make("VENV=" + str(tmp_path / "venv"), f"PYTHON={old}", "test")

    assert ended.returncode != 0
    assert "make PYTHON=/path/to/a/newer/python3 test" in ended.stderr
    assert not (tmp_path / "venv").exists()


def test_ci_runs_the_commands_of_the_readme_and_requires_engine_and_browser():
    script = (ROOT / ".ci" / "run").read_text()

    assert "export CLNRM_REQUIRE=docker,browser" in script
    for command in ("make test", "make lint", "make bench"):
        assert re.search(rf"^ *part \w+ \d+ {command}$", script, re.MULTILINE)
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_ci_may_take_at_most_ninety_minutes():
    script = (ROOT / ".ci" / "run").read_text()

    minutes = re.findall(r"(?:^ *|\|\| )(?:part|again) \w\S* (\d+) ", script, re.MULTILINE)
    assert len(minutes) == 7
    assert sum(map(int, minutes)) <= 90


@pytest.fixture
def ci(tmp_path):
    """Run CI with a `make` of its own; `failing` are the names of tests that fail, `again` those that do twice."""

    def run(failing: list[str], again: list[str]) -> subprocess.CompletedProcess[str]:
        programs = tmp_path / "bin"
        programs.mkdir()
        told = {False: failing, True: again}
        cases = [
            f"[ $# {'-gt' if is_again else '-eq'} 1 ] && {{ {_failed(names)}; }}"
            for is_again, names in told.items()
        ]
        lines = ["#!/bin/sh", '[ "$1" = test ] || exit 0', *cases, "exit 0"]
        for name, text in (("make", "\n".join(lines)), ("apt-get", "#!/bin/sh"), ("sudo", "#!/bin/sh")):
            (programs / name).write_text(text + "\n")
            (programs / name).chmod(0o755)
        script = tmp_path / "checkout" / ".ci" / "run"
        script.parent.mkdir(parents=True)
        script.write_text((ROOT / ".ci" / "run").read_text())
        environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
        return subprocess.run(
            ["bash", str(script)], env=environment, capture_output=True, text=True, check=False
        )

    return run


def _failed(names: list[str]) -> str:
    said = [f"echo 'FAILED {name} - assert'" for name in names]
    return "; ".join([*said, "exit 2"] if said else ["exit 0"])


def test_a_test_that_passes_by_itself_is_named_as_unsteady(ci):
    done = ci(["tests/a.py::one"], [])

    assert done.returncode == 0
    closing = done.stdout.partition("== unsteady")[2]
    assert "FAILED tests/a.py::one" in closing
    assert "all passed" in closing


def test_a_test_that_fails_by_itself_too_fails_the_whole(ci):
    done = ci(["tests/a.py::one", "tests/a.py::two"], ["tests/a.py::two"])

    assert done.returncode == 1
    assert "== failed: test test-again" in done.stdout
    assert "unsteady" not in done.stdout


def test_many_failures_are_no_unsteadiness(ci):
    done = ci([f"tests/a.py::{number}" for number in range(4)], [])

    assert done.returncode == 1
    assert "test-again" not in done.stdout
