"""The reaper: what it removes, when it leaves everything alone, and what it does not die of."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clnrm_nb.executor.leftovers import collect_local
from clnrm_nb.executor.scratch import make_scratch, remove_scratch
from clnrm_nb.reaper.ownership import Owner, this_process
from clnrm_nb.reaper.processes import marked, start_time
from clnrm_nb.reaper.removal import remove

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")

# Keeps a directory, a marked process that hid in a session of its own, and one without the mark, by its group.
VICTIM = """
import json, os, subprocess, sys
from clnrm_nb.executor import reaper
from clnrm_nb.reaper.ownership import this_process
from clnrm_nb.executor.scratch import make_scratch, remove_scratch
reaper.keep({"marked": f"{this_process()}/"})
directory = make_scratch("clnrm-test-")
(directory / "closed").mkdir(mode=0)
start = lambda env: subprocess.Popen(["sleep", "1000"], env=env, start_new_session=True).pid
pids = [start({"CLNRM_PROCESS": f"{this_process()}/unit.1."}), start({})]
reaper.keep(reaper.group_fact(pids[1]))
def tell(**more):
    pipe = os.readlink(f"/proc/self/fd/{reaper._reaper._pipe}")
    print(json.dumps({"directory": str(directory), "pids": pids, "pipe": pipe, **more}), flush=True)
tell()
for line in sys.stdin:
    exec(line)
"""


class Victim:
    """A process that keeps things, obeys, and is killed."""

    def __init__(self, temporary):
        environ = {**os.environ, "TMPDIR": str(temporary)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", VICTIM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environ,
        )
        self.read()

    def read(self):
        said = json.loads(self.process.stdout.readline())
        self.directory, self.pids, self.pipe = Path(said["directory"]), said["pids"], said["pipe"]
        return said

    def do(self, python):
        self.process.stdin.write(f"{python}\n")
        self.process.stdin.flush()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        self.process.communicate()

    @property
    def marker(self):
        return self.directory.with_name(self.directory.name + ".owner")

    def is_all_there(self):
        return self.directory.exists() and all(map(is_alive, self.pids))

    def is_all_gone(self):
        return not any(
            [os.path.lexists(self.directory), os.path.lexists(self.marker), *map(is_alive, self.pids)]
        )


def is_alive(pid):
    return start_time(pid) is not None


def reaper_of(victim):
    """The process that holds the other end of the pipe, once it is nobody's child."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if entry.joinpath("fd/0").readlink() == Path(victim.pipe) and parent_of(entry.name) not in (
                victim.process.pid,
                os.getpid(),
            ):
                return int(entry.name)
    return None


def parent_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def until(condition, seconds=20):
    """Wait for what other processes bring about, and nothing here can be told of."""
    end_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end_s, "it did not happen"
        time.sleep(0.01)


@pytest.fixture
def victim(tmp_path):
    made = Victim(tmp_path)
    until(lambda: reaper_of(made))
    yield made
    # It would go on looking for a few seconds.
    if (reaper := reaper_of(made)) is not None:
        os.kill(reaper, signal.SIGKILL)
    made.kill()
    for pid in filter(is_alive, made.pids):
        os.kill(pid, signal.SIGKILL)


def test_a_killed_process_leaves_no_process_and_no_directory(victim):
    assert victim.is_all_there()

    victim.kill()

    until(victim.is_all_gone)


def test_the_reaper_waits_with_little_memory_in_a_session_of_its_own(victim):
    status = Path(f"/proc/{reaper_of(victim)}/status").read_text()

    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert int(fields["VmRSS"].split()[0]) < 14_000
    assert os.getsid(reaper_of(victim)) != os.getsid(victim.process.pid)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_of_a_terminal_do_not_end_the_reaper(victim, number):
    os.kill(reaper_of(victim), number)

    victim.kill()

    until(victim.is_all_gone)


def test_a_process_that_ends_with_nothing_left_sends_the_reaper_home(victim):
    victim.do("group = reaper.group_fact(pids[1]); [os.killpg(pid, 9) for pid in pids]; reaper.drop(group)")
    victim.do("remove_scratch(directory); print(reaper.is_needed(), file=sys.stderr)")

    victim.end()

    assert victim.process.returncode == 0
    until(lambda: reaper_of(victim) is None)


def test_a_process_that_ends_with_something_left_leaves_it_to_the_reaper(victim):
    victim.end()

    until(victim.is_all_gone)


def test_a_reaper_that_died_is_replaced_at_the_next_use_and_told_everything(victim):
    first = reaper_of(victim)
    os.kill(first, signal.SIGKILL)
    until(lambda: not is_alive(first))

    victim.do("reaper.keep({'marked': f'{this_process()}/'}); tell()")
    victim.read()
    until(lambda: reaper_of(victim))
    victim.kill()

    assert reaper_of(victim) != first
    until(victim.is_all_gone)


@pytest.mark.parametrize(
    "then",
    ["os.execvp('sleep', ['sleep', '1000'])", "__import__('time').sleep(1000)"],
    ids=["exec", "python"],
)
def test_a_forked_child_does_not_keep_the_reaper_waiting(victim, then):
    # In one line: the child would read the next one from the same pipe.
    victim.do(f"child = os.fork(); child or (os.close(0), os.close(1), {then}); tell(child=child)")
    child = victim.read()["child"]

    victim.kill()

    try:
        until(victim.is_all_gone)
        assert is_alive(child)
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_process_that_only_let_go_of_its_pipe_keeps_what_it_has(victim, monkeypatch):
    monkeypatch.setattr("clnrm_nb.reaper.removal._DIES_WITHIN_S", 0.1)
    started = start_time(victim.process.pid)
    alive = Owner(this_process().machine, this_process().boot, victim.process.pid, started)

    remove(map(json.dumps, [{"owner": str(alive)}, {"directory": str(victim.directory)}]))

    assert victim.is_all_there()


def test_a_group_whose_number_now_belongs_to_another_process_is_left_alone(victim):
    dead = Owner(this_process().machine, this_process().boot, victim.process.pid, "1")

    remove(map(json.dumps, [{"owner": str(dead)}, {"group": [victim.pids[1], "1"]}]), patience_s=0.5)

    assert victim.is_all_there()


# ------------------------------------------------------------------------------------ gc, without a reaper


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def dead(monkeypatch):
    """The label of a process that has ended, on a machine whose other runs do not clean up meanwhile."""
    monkeypatch.setattr("clnrm_nb.reaper.ownership._machine_id", lambda: "a-machine-of-its-own")
    return str(Owner("a-machine-of-its-own", this_process().boot, os.getpid(), "1"))


def test_gc_says_what_a_dead_owner_left_on_this_machine_and_then_removes_it(temporary, dead):
    directory, marker = temporary / "clnrm-process-1", temporary / "clnrm-process-1.owner"
    directory.mkdir()
    marker.symlink_to(dead)
    process = subprocess.Popen(["sleep", "1000"], env={"CLNRM_PROCESS": f"{dead}/unit.1."})
    until(lambda: marked(dead))

    would = collect_local(dry_run=True)
    still_there = directory.exists() and process.poll() is None
    removed = collect_local()

    assert still_there
    assert [(each.type, each.removed) for each in would] == [("directory", False), ("process", False)]
    assert [each.name for each in would] == [str(directory), f"sleep 1000 ({process.pid})"]
    assert [(each.type, each.removed) for each in removed] == [("directory", True), ("process", True)]
    assert not any(map(os.path.lexists, [directory, marker]))
    assert process.wait() == -signal.SIGKILL


def test_gc_leaves_alone_what_belongs_to_the_living(victim, temporary):
    removed = collect_local()

    assert not any(str(victim.process.pid) in each.owner for each in removed)
    assert victim.is_all_there()


@pytest.mark.parametrize(
    "label",
    ["another-machine:boot:1:1", "not an owner", f"{'0' * 32}:{this_process().boot}:{this_process().pid}:1"],
    ids=["another machine", "nobody", "the same process id elsewhere"],
)
def test_gc_leaves_alone_what_belongs_to_another_machine_or_nobody(temporary, label):
    directory = temporary / "clnrm-process-1"
    directory.mkdir()
    (temporary / "clnrm-process-1.owner").symlink_to(label)

    assert not [each for each in collect_local() if each.type == "directory"]
    assert directory.exists()


def test_gc_takes_a_reused_process_id_for_another_owner(temporary):
    directory = temporary / "clnrm-process-1"
    directory.mkdir()
    reused = this_process().__class__(this_process().machine, this_process().boot, os.getpid(), "1")
    (temporary / "clnrm-process-1.owner").symlink_to(str(reused))

    found = [each for each in collect_local() if each.type == "directory"]

    assert [(each.name, each.removed) for each in found] == [(str(directory), True)]
    assert not directory.exists()


def test_a_scratch_directory_goes_with_its_marker(temporary):
    directory = make_scratch("clnrm-test-", temporary)
    (directory / "below").mkdir()

    remove_scratch(directory)

    assert list(temporary.iterdir()) == []
