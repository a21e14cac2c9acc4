"""`--resume` after real deaths: SIGKILL at random moments, Ctrl-C, two at once, and again."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from importlib import resources

import pytest

import clnrm_nb
from clnrm_nb.errors import UsageError

NAMES = [f"t{number}" for number in range(6)]
RED = "t2"
LIMIT_S = 180

# The mark is the first thing a test does: what ran twice shows twice. While `hold` is there, whoever starts when all
# have started does not end: a run that is about to be stopped does not end by itself before.
BEGIN = "echo {name} >> {marks}; while test -e {marks}.hold -a $(sort -u {marks} | wc -l) -ge 6; do sleep 0.02; done"
TEST = """
[meta]
name = "{name}"
version = "1"
[[steps]]
name = "go"
command = ["sh", "-c", "BEGIN; sleep {pause}; exit {code}"]
""".replace("BEGIN", BEGIN)


class Project:
    """A project whose tests leave marks."""

    def __init__(self, root, pause=0.15):
        self.root, self.pause = root, pause
        self.hold = root / "marks.hold"
        (root / ".clnrm").mkdir()
        (root / "temporary").mkdir()
        for name in NAMES:
            self.write(name)

    def write(self, name, comment=""):
        text = TEST.format(name=name, marks=self.root / "marks", pause=self.pause, code=int(name == RED))
        (self.root / f"{name}.clnrm.toml").write_text(text + comment)

    def start(self, *words):
        environ = {**os.environ, "TMPDIR": str(self.root / "temporary")}
        return subprocess.Popen(
            [sys.executable, "-m", "clnrm_nb", "-f", "json", "run", "--backend", "process", "-j2", *words],
            cwd=self.root,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words):
        process = self.start(*words)
        out, err = process.communicate(timeout=LIMIT_S)
        return process.returncode, json.loads(out) if out else None, err

    def marks(self):
        try:
            return Counter((self.root / "marks").read_text().split())
        except FileNotFoundError:
            return Counter()

    def started(self, least):
        """Wait until so many tests have started."""
        until = time.monotonic() + LIMIT_S
        while len(self.marks()) < least and time.monotonic() < until:
            time.sleep(0.01)
        assert len(self.marks()) >= least

    def rows(self, sql):
        with sqlite3.connect(self.root / ".clnrm" / "state.db") as connection:
            return connection.execute(sql).fetchall()

    def verdicts(self):
        """Tests of broken-off runs that have their verdict."""
        try:
            rows = self.rows("SELECT test_id FROM journal_tests WHERE document IS NOT NULL")
        except sqlite3.OperationalError:  # Nothing was written yet.
            rows = []
        return {name.removesuffix(".clnrm.toml") for (name,) in rows}

    def history(self):
        rows = self.rows("SELECT test_id FROM results WHERE status NOT IN ('interrupted', 'skipped')")
        return Counter(name.removesuffix(".clnrm.toml") for (name,) in rows)

    def die(self, started, *words, after_s=0.0, verdicts=1):
        """Kill a run when so many of its tests have started and have verdicts, and a while later."""
        self.hold.touch()
        process = self.start(*words)
        self.started(started)
        until = time.monotonic() + LIMIT_S
        while len(self.verdicts()) < verdicts and time.monotonic() < until:
            time.sleep(0.005)
        time.sleep(after_s)
        process.kill()
        process.communicate(timeout=LIMIT_S)
        self.hold.unlink()


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def statuses(document):
    return {test["id"].removesuffix(".clnrm.toml"): test["status"] for test in document["data"]["tests"]}


EXPECTED = {name: "failed" if name == RED else "passed" for name in NAMES}


@pytest.mark.parametrize("seed", range(3))
def test_after_a_sigkill_every_test_has_one_verdict_and_no_finished_one_ran_again(project, seed):
    chance = random.Random(seed)
    project.die(chance.randint(1, len(NAMES) - 2), after_s=chance.uniform(0, 0.15), verdicts=0)
    finished, before = project.verdicts(), project.marks()

    code, document, err = project.run("--resume")

    assert (code, statuses(document)) == (1, EXPECTED)
    assert all(project.marks()[name] == before[name] for name in finished)
    assert project.history() == Counter(NAMES)
    told = {t["id"] for t in document["data"]["tests"] if "taken over from run" in (t["reason"] or "")}
    assert told == {f"{name}.clnrm.toml" for name in finished}
    assert f"{len(finished)} test" in err
    assert project.rows("SELECT count(*) FROM journal") == [(0,)]


def test_a_run_that_went_on_and_was_killed_too_is_gone_on_with(project):
    project.die(3)
    project.die(5, "--resume", verdicts=2)
    finished, before = project.verdicts(), project.marks()

    code, document, _ = project.run("--resume")

    assert (code, statuses(document)) == (1, EXPECTED)
    assert finished
    assert all(project.marks()[name] == before[name] for name in finished)
    assert project.history() == Counter(NAMES)


def test_an_interrupted_run_is_gone_on_with_and_its_verdicts_stand_once(project):
    project.hold.touch()
    process = project.start()
    project.started(4)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=LIMIT_S)
    project.hold.unlink()
    assert process.returncode == 130

    code, document, _ = project.run("--resume")

    assert (code, statuses(document)) == (1, EXPECTED)
    assert project.history() == Counter(NAMES)


def test_a_test_that_was_changed_is_run_again(project):
    project.die(5)
    finished = sorted(project.verdicts())
    project.write(finished[0], comment="\n# edited\n")

    _, document, _ = project.run("--resume")

    assert statuses(document) == EXPECTED
    assert project.marks()[finished[0]] == 2
    assert all(project.marks()[name] == 1 for name in finished[1:])


def test_another_limit_is_another_question(project):
    project.die(5)
    finished = project.verdicts()

    project.run("--resume", "--timeout", "30s")

    assert finished
    assert all(project.marks()[name] == 2 for name in finished)


def test_of_two_that_resume_at_once_one_refuses_and_verdicts_stand_once(project):
    project.die(3)
    project.hold.touch()
    both = [project.start("--resume") for _ in range(2)]
    until = time.monotonic() + LIMIT_S
    # Whoever is first does not end before the other has been refused.
    while all(process.poll() is None for process in both) and time.monotonic() < until:
        time.sleep(0.01)
    project.hold.unlink()
    ended = [(process.communicate(timeout=LIMIT_S), process.returncode) for process in both]

    assert sorted(code for _, code in ended) == [1, 2]
    ((_, err),) = [streams for streams, code in ended if code == 2]
    assert "is being resumed by another process" in err
    assert project.history() == Counter(NAMES)


def test_with_nothing_to_resume_it_is_a_run_like_any_other_and_that_is_said(project):
    project.pause = 0
    for name in NAMES:
        project.write(name)

    first = project.run("--resume")
    second = project.run("--resume", "--force")

    assert first[0] == second[0] == 1
    assert "nothing to resume: this is a run from the start" in second[2]
    assert project.marks() == Counter(NAMES * 2)


@pytest.mark.parametrize("words", [("--repeat", "2"), ("--until-fail",)])
def test_what_runs_several_times_cannot_be_resumed(project, words):
    code, _, err = project.run("--resume", *words)

    assert code == 2
    assert "--resume cannot be combined with --repeat or --until-fail" in err


def test_what_was_selected_is_what_is_reported(project):
    project.die(5)

    _, document, _ = project.run("--resume", "--only", "t[0-3]*")

    assert list(statuses(document)) == NAMES[:4]


# The engine's containers cannot write to the host but where something is mounted.
CONTAINER_TEST = """
[meta]
name = "{name}"
version = "1"
[services.box]
image = "{image}"
args = ["sleep", "1000"]
volumes = [{{ host_path = "./shared", container_path = "/shared" }}]
[[steps]]
name = "go"
service = "box"
command = ["sh", "-c", "BEGIN; sleep 0.5; exit {code}"]
""".replace("BEGIN", BEGIN)


@pytest.mark.docker
def test_after_a_sigkill_with_containers_the_rest_is_run_and_nothing_twice(tmp_path, engine, busybox_image):
    project = Project(tmp_path)
    (tmp_path / "shared").mkdir()
    (tmp_path / "marks").symlink_to(tmp_path / "shared" / "marks")
    project.hold = tmp_path / "shared" / "marks.hold"
    for name in NAMES:
        text = CONTAINER_TEST.format(
            name=name, marks="/shared/marks", image=busybox_image, code=int(name == RED)
        )
        (tmp_path / f"{name}.clnrm.toml").write_text(text)
    words = ["--backend", "docker", "--docker-host", engine.url]
    project.die(3, *words)
    finished, before = project.verdicts(), project.marks()

    code, document, _ = project.run("--resume", *words)

    assert (code, statuses(document)) == (1, EXPECTED)
    assert finished
    assert all(project.marks()[name] == before[name] == 1 for name in finished)
    assert project.history() == Counter(NAMES)
    assert clnrm_nb.api.gc(docker_host=engine.url).ok


@pytest.fixture
def cancelled(tmp_path, monkeypatch):
    """A run in this process, stopped when its first test had its verdict; what it had seen of that test."""
    (tmp_path / ".clnrm").mkdir()
    monkeypatch.chdir(tmp_path)
    with resources.as_file(resources.files("clnrm_nb.self_test")) as source:
        shutil.copy(source / "green.clnrm.toml.tera", tmp_path / "a.clnrm.toml.tera")
    (tmp_path / "b.clnrm.toml").write_text(TEST.format(name="b", marks=tmp_path / "marks", pause=30, code=0))

    def listen(event):
        if (event.event, event.status) == ("test.end", "passed"):
            run.cancel()

    run = clnrm_nb.run(".", backend="process", workers=1, detach=True, listener=listen)
    return run.wait(LIMIT_S)


def test_spans_and_verdicts_of_what_is_taken_over_are_there_as_if_it_had_run(cancelled, tmp_path):
    (tmp_path / "b.clnrm.toml").write_text(TEST.format(name="b", marks="marks", pause=0, code=0))

    result = clnrm_nb.run(".", backend="process", resume=True)

    before, after = (run.tests[0] for run in (cancelled, result))
    volatile = {"reason", "taken_over_from", "hash", "hash_reason"}
    assert cancelled.exit_code == 130
    assert {key: after[key] for key in after if key not in volatile} == {
        key: before[key] for key in before if key not in volatile
    }
    spans = set(cancelled.spans.frame.query("test_id == @before['id']").span_id)
    assert set(result.spans.frame.query("test_id == @before['id']").span_id) == spans != set()
    assert result.ok


def test_a_run_that_still_goes_on_in_this_process_is_not_resumed(tmp_path, monkeypatch):
    (tmp_path / ".clnrm").mkdir()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.clnrm.toml").write_text(TEST.format(name="a", marks=tmp_path / "marks", pause=30, code=0))
    first = clnrm_nb.run(".", backend="process", detach=True)
    while not (tmp_path / "marks").exists():
        time.sleep(0.02)
    first.cancel()
    first.wait(LIMIT_S)
    resumed = clnrm_nb.run(".", backend="process", resume=True, detach=True)
    while (tmp_path / "marks").read_text().count("a") < 2:
        time.sleep(0.02)

    with pytest.raises(UsageError, match="being resumed"):
        clnrm_nb.run(".", backend="process", resume=True)
    resumed.cancel()
    resumed.wait(LIMIT_S)
