"""Which verdicts of a broken-off run still hold."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from clnrm_nb.config.project import Project
from clnrm_nb.config.settings import load_settings
from clnrm_nb.errors import Diagnostic
from clnrm_nb.executor.outcome import TestOutcome
from clnrm_nb.executor.stored import outcome_from
from clnrm_nb.pipeline.load import Sources, Variables, load
from clnrm_nb.pipeline.resume import digests_of, resume
from clnrm_nb.state import State
from clnrm_nb.state.journal import Journal

TEXT = """
[meta]
name = "a"
version = "1"
[services.app]
image = "none"
args = ["true"]
volumes = [{{ host_path = "{mount}", container_path = "/app", read_only = {read_only} }}]
[[steps]]
name = "go"
command = "true"
"""


class World:
    """A project with one test, and a run of it that broke off."""

    def __init__(self, root):
        self.project = Project(root, root / ".clnrm")
        self.mount = root / "programs"
        self.mount.mkdir()
        (self.mount / "app.py").write_text("print()")
        self.state = State.open(self.project.state_dir)
        self.spans = {}
        self.write()

    def write(self, read_only="true", more=""):
        text = TEXT.format(mount="./programs", read_only=read_only)
        (self.project.root / "a.clnrm.toml").write_text(text + more)

    def settings(self, **keys):
        return load_settings(
            self.project, overrides={f"executor.{k}": v for k, v in keys.items()}, environ={}
        )

    def tests(self):
        loaded = load(
            Sources([self.project.root]), Variables(), project=self.project, settings=self.settings()
        )
        assert not [
            finding for test in loaded.tests for finding in test.diagnostics if finding.severity == "error"
        ]
        return {test.test_id: test for test in loaded.tests}

    def break_off(self, at="2999-01-01T00:00:00Z", **outcome):
        """A run of now, unless it is to have begun earlier, and its verdict."""
        digests = digests_of(self.tests(), self.settings())
        journal = Journal(self.state, "first", at=at, owner="m:b:1:1")
        journal.begin(digests)
        found = TestOutcome(id="a.clnrm.toml", name="a", **{"status": "passed", **outcome})
        journal.add({"a.clnrm.toml": found.to_json()}, self.spans)
        journal.break_off()

    def taken_over(self, **keys):
        journal = Journal(self.state, "second", at="now", owner="m:b:1:1")
        tests = self.tests()
        found = resume(tests, digests_of(tests, self.settings(**keys)), journal=journal, state=self.state)
        assert found.run == "first"
        return found.outcomes.get("a.clnrm.toml")


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.state.close()


@pytest.mark.parametrize("status", ["passed", "failed", "flaky", "incomplete"])
def test_a_verdict_is_taken_over_and_says_so(world, status):
    world.break_off(status=status, reason="it is so")

    outcome = world.taken_over()

    assert (outcome.status, outcome.taken_over_from) == (status, "first")
    assert outcome.reason == "it is so; taken over from run first"


@pytest.mark.parametrize("status", ["skipped", "interrupted"])
def test_what_is_no_verdict_is_run_again(world, status):
    world.break_off(status=status)

    assert world.taken_over() is None


@pytest.mark.parametrize(("code", "is_taken"), [("CLN601", False), ("CLN901", False), ("CLN617", True)])
def test_an_error_of_the_engine_is_no_verdict_on_the_test(world, code, is_taken):
    world.break_off(status="error", diagnostics=[Diagnostic(code, "so it is")])

    assert (world.taken_over() is not None) == is_taken


def test_a_changed_test_is_run_again(world):
    world.break_off()
    world.write(more='[[steps]]\nname = "more"\ncommand = "true"\n')

    assert world.taken_over() is None


@pytest.mark.parametrize("keys", [{"isolation": "fresh"}, {"test_timeout": "5s"}, {"backend": "replay"}])
def test_under_other_settings_a_test_is_run_again(world, keys):
    world.break_off()

    assert world.taken_over(**keys) is None


def test_settings_that_cannot_change_a_verdict_do_not_matter(world):
    world.break_off()

    assert world.taken_over(worker_count=7, retries=3, max_fail=1) is not None


@pytest.mark.parametrize(("read_only", "is_taken"), [("true", False), ("false", True)])
def test_a_program_that_was_touched_since_is_another_test(world, read_only, is_taken):
    world.write(read_only=read_only)
    world.break_off(at="2020-01-01T00:00:00Z")

    # Times of content can be set back, as `cp -p` does.
    os.utime(world.mount / "app.py", (0, 0))

    assert (world.taken_over() is not None) == is_taken


def test_spans_that_are_gone_mean_that_the_test_is_run_again(world):
    digest = world.state.put_object(b'{"resourceSpans":[]}')
    world.spans = {"a.clnrm.toml": digest}
    world.break_off()
    Path(world.state.objects.path(digest)).unlink()

    assert world.taken_over() is None


def test_an_outcome_read_back_gives_the_same_document(world):
    world.break_off(
        status="failed", diagnostics=[Diagnostic("CLN605", "exit code 1", file="a", line=3, rendered=(2, 1))]
    )

    outcome = world.taken_over()

    assert outcome_from(outcome.to_json()).to_json() == outcome.to_json()
