"""Watching goes on and misses nothing, whatever the system does to it (groups 5 and 7 of the fault list)."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import queue
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from clnrm_nb.watch import Canary, Facts, FileWatcher, Graph, Pace, Place, Rules
from clnrm_nb.watch.events import Events, open_notify

PATTERNS = ["**/*.clnrm.toml"]
PATIENCE_S = 60.0
# Fewer files than a queue holds are created by one process faster than they are read; so many are not.
FLOOD = 20_000


class Silent:
    """A watcher of a system that accepts everything and tells nothing."""

    def __init__(self, directories):
        self.closed = threading.Event()

    def watch(self, debounce_ms, step_ms, timeout_ms, stop_event):
        self.closed.wait(min(timeout_ms, 20) / 1_000)
        return "timeout"

    def close(self):
        self.closed.set()


class Broken(Silent):
    """A watcher that breaks down when asked."""

    def watch(self, debounce_ms, step_ms, timeout_ms, stop_event):
        raise RuntimeError("broken pipe in the watcher")


def refusing(text, number=None):
    def opener(directories):
        raise OSError(number, text) if number else RuntimeError(text)

    return opener


@contextlib.contextmanager
def watching(root, *, graph=None, opener=open_notify, pace=None):
    # Only where nothing ever comes is it waited for in vain; a busy machine can be late.
    patience_ns = 300_000_000 if opener is Silent else 30_000_000_000
    batches, remarks = queue.Queue(), queue.Queue()
    watcher = FileWatcher(
        graph or Graph(),
        Rules(str(root), str(root / ".clnrm"), patterns=PATTERNS),
        [Place(str(root / "tests"), recursive=True)],
        batches.put,
        remarks.put,
        canary=Canary(str(root / ".clnrm" / "watch"), patience_ns=patience_ns),
        events=Events(opener),
        pace=pace or Pace(poll_ms=20, look_s=0.2),
    )
    watcher.start()
    try:
        yield watcher, batches, remarks
    finally:
        watcher.close()


@pytest.fixture
def root(tmp_path):
    root = tmp_path.resolve()
    (root / "tests").mkdir()
    (root / "tests" / "a.clnrm.toml").write_text("first")
    return root


def kinds(remarks):
    return [remarks.get_nowait().kind for _ in range(remarks.qsize())]


def changes_until(batches, path):
    """All changes up to the one of this path."""
    changes = []
    while str(path) not in [change.path for change in changes]:
        changes.extend(batches.get(timeout=PATIENCE_S).changes)
    return changes


def test_where_no_events_come_files_are_polled_and_it_is_said_once(root):
    file = root / "tests" / "a.clnrm.toml"
    with watching(root, opener=Silent) as (watcher, batches, remarks):
        remark = remarks.get(timeout=PATIENCE_S)
        file.write_text("second")
        first = batches.get(timeout=PATIENCE_S)
        file.write_text("third")
        second = batches.get(timeout=PATIENCE_S)

    assert remark.kind == "no-events"
    assert "polled" in remark.message
    assert watcher.means == first.means == second.means == "polling"
    assert [change.path for change in (*first.changes, *second.changes)] == [str(file)] * 2
    assert remarks.empty()
    assert list((root / ".clnrm" / "watch").iterdir()) == []


def test_polling_sees_an_edit_of_the_same_size_within_the_same_second(root):
    file = root / "tests" / "a.clnrm.toml"
    with watching(root, opener=Silent) as (_watcher, batches, remarks):
        remarks.get(timeout=PATIENCE_S)
        seen = []
        for text in ("2econd", "3econd", "4econd"):
            with file.open("r+") as opened:  # In place and whole: never empty in between.
                opened.write(text)
            os.utime(file, ns=(10**18, 10**18))
            seen += batches.get(timeout=PATIENCE_S).changes

    assert len({change.after for change in seen}) == 3


@pytest.mark.parametrize(
    "opener",
    [
        refusing("no space left on device", errno.ENOSPC),
        refusing('OS file watch limit reached. about ["/p"]'),
        refusing("Error creating recommended watcher: Too many open files (os error 24)"),
    ],
)
def test_a_limit_of_the_system_leads_to_polling_and_says_how_to_raise_it(root, opener):
    with watching(root, opener=opener) as (watcher, batches, remarks):
        remark = remarks.get(timeout=PATIENCE_S)
        (root / "tests" / "a.clnrm.toml").write_text("second")
        batch = batches.get(timeout=PATIENCE_S)

    assert (remark.kind, watcher.means, batch.means) == ("limit", "polling", "polling")
    assert "raise it" in remark.hint
    assert remarks.empty()


def test_a_watcher_that_breaks_down_is_replaced_by_polling(root):
    with watching(root, opener=Broken) as (_watcher, batches, remarks):
        remark = remarks.get(timeout=PATIENCE_S)
        (root / "tests" / "a.clnrm.toml").write_text("second")
        batch = batches.get(timeout=PATIENCE_S)

    assert remark.kind == "unwatchable"
    assert "broken pipe in the watcher" in remark.message
    assert batch.means == "polling"


def test_events_that_stop_coming_are_found_out_by_looking(root):
    """The canary was heard, and then the file system fell silent."""

    class Deaf:
        def __init__(self, directories):
            self.real = open_notify(directories)

        def watch(self, *waiting):
            found = self.real.watch(*waiting)
            return {event for event in found if "canary" in event[1]} if isinstance(found, set) else found

        def close(self):
            self.real.close()

    with watching(root, opener=Deaf) as (watcher, batches, remarks):
        (root / "tests" / "a.clnrm.toml").write_text("second")
        batch = batches.get(timeout=PATIENCE_S)
        remark = remarks.get(timeout=PATIENCE_S)

    assert [change.path for change in batch.changes] == [str(root / "tests" / "a.clnrm.toml")]
    assert (remark.kind, watcher.means) == ("no-events", "polling")


def test_more_files_than_the_queue_holds_lose_no_change(root):
    flood = root / "tests" / "flood"
    flood.mkdir()
    with watching(root, pace=Pace()) as (_watcher, batches, remarks):
        for number in range(FLOOD):
            (flood / f"{number}.txt").touch()
        last = root / "tests" / "last.clnrm.toml"
        middle = root / "tests" / "a.clnrm.toml"
        middle.write_text("second")
        last.write_text("last")
        changes = changes_until(batches, last)
        shutil.rmtree(flood)
        middle.write_text("third")
        after = changes_until(batches, middle)

    assert {change.path for change in changes} == {str(middle), str(last)}
    assert [change.path for change in after] == [str(middle)]
    assert kinds(remarks) in ([], ["lost-events"])


def test_an_overflow_that_watchfiles_does_not_tell_of_is_made_up_for_by_a_look(root):
    """The queue holds less than was written: what is lost is found, and it is said once."""

    class Overflowing:
        def __init__(self, directories):
            self.real = open_notify(directories)

        def watch(self, *waiting):
            found = self.real.watch(*waiting)
            lost = isinstance(found, set) and any("burst" in path for _kind, path in found)
            return {(1, f"{root}/tests/burst/{number}") for number in range(9_000)} if lost else found

        def close(self):
            self.real.close()

    with watching(root, opener=Overflowing, pace=Pace()) as (watcher, batches, remarks):
        (root / "tests" / "a.clnrm.toml").write_text("second")
        (root / "tests" / "burst").touch()
        batch = batches.get(timeout=PATIENCE_S)

    assert [change.path for change in batch.changes] == [str(root / "tests" / "a.clnrm.toml")]
    assert watcher.means == "events"
    assert set(kinds(remarks)) <= {"lost-events"}


def test_a_root_that_is_deleted_and_created_again_is_watched_again(root):
    tests = root / "tests"
    with watching(root, pace=Pace()) as (watcher, batches, remarks):
        shutil.rmtree(tests)
        gone = changes_until(batches, tests / "a.clnrm.toml")
        remark = remarks.get(timeout=PATIENCE_S)
        tests.mkdir()
        (tests / "b.clnrm.toml").write_text("new")
        back = changes_until(batches, tests / "b.clnrm.toml")
        (tests / "b.clnrm.toml").write_text("newer")
        again = changes_until(batches, tests / "b.clnrm.toml")

    assert [change.kind for change in (*gone, *back, *again)] == ["deleted", "created", "changed"]
    assert remark.kind == "root-gone"
    assert watcher.means == "events"


def test_a_root_that_is_replaced_at_once_is_watched_again(root):
    tests, other = root / "tests", root / "other"
    other.mkdir()
    (other / "a.clnrm.toml").write_text("other")
    with watching(root, pace=Pace()) as (_watcher, batches, _remarks):
        tests.rename(root / "old")
        other.rename(tests)
        first = changes_until(batches, tests / "a.clnrm.toml")
        (root / "old" / "a.clnrm.toml").write_text("nobody watches this")
        (tests / "a.clnrm.toml").write_text("second")
        second = changes_until(batches, tests / "a.clnrm.toml")

    assert [change.kind for change in (*first, *second)] == ["changed", "changed"]


def test_a_storm_of_renames_ends_in_what_is_there(root):
    tests = root / "tests"
    with watching(root, pace=Pace()) as (_watcher, batches, _remarks):
        for number in range(200):
            (tests / f"d{number}").mkdir()
            (tests / f"d{number}" / "x.clnrm.toml").write_text("x")
            (tests / f"d{number}").rename(tests / f"e{number}")
        (tests / "end.clnrm.toml").write_text("end")
        present = set()
        changes = []
        until = time.monotonic() + PATIENCE_S
        while len(present) < 201 and time.monotonic() < until:
            for change in batches.get(timeout=PATIENCE_S).changes:
                changes.append(change)
                (present.discard if change.after is None else present.add)(change.path)
            present = {path for path in present if "/d" not in path}

    assert present == {
        *(str(tests / f"e{number}" / "x.clnrm.toml") for number in range(200)),
        str(tests / "end.clnrm.toml"),
    }


def test_when_no_file_can_be_opened_nothing_is_called_deleted_and_watching_goes_on(root):
    """EMFILE is no property of the file."""
    file = root / "tests" / "a.clnrm.toml"
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with watching(root) as (_watcher, batches, remarks):
        held = []
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())) + 8, hard))
        try:
            with contextlib.suppress(OSError):
                while True:
                    held.append(os.open("/dev/null", os.O_RDONLY))
            os.utime(file)
            time.sleep(0.5)
            while_full = batches.qsize()
        finally:
            for descriptor in held:
                os.close(descriptor)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        file.write_text("second")
        batch = batches.get(timeout=PATIENCE_S)

    assert while_full == 0
    assert [(change.path, change.kind) for change in batch.changes] == [(str(file), "changed")]
    assert set(kinds(remarks)) <= {"unreadable", "limit"}


def test_a_file_and_a_directory_that_may_not_be_read_are_told_and_do_not_end_the_watching(root, monkeypatch):
    """As root may read everything, the refusal is planted."""
    locked = root / "tests" / "locked"
    locked.mkdir()
    real = os.scandir

    def scandir(path="."):
        if str(path) == str(locked):
            raise PermissionError(errno.EACCES, "permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with watching(root) as (watcher, batches, remarks):
        remark = remarks.get(timeout=PATIENCE_S)
        (root / "tests" / "a.clnrm.toml").write_text("second")
        batch = batches.get(timeout=PATIENCE_S)

    assert remark.kind == "unreadable"
    assert str(locked) in remark.message
    assert (watcher.means, len(batch.changes)) == ("events", 1)


def test_a_fifo_and_a_directory_under_the_name_of_a_scenario_do_not_hang_the_watcher(root):
    with watching(root) as (_watcher, batches, _remarks):
        os.mkfifo(root / "tests" / "pipe.clnrm.toml")
        (root / "tests" / "folder.clnrm.toml").mkdir()
        (root / "tests" / "a.clnrm.toml").write_text("second")
        changes = changes_until(batches, root / "tests" / "a.clnrm.toml")

    assert str(root / "tests" / "folder.clnrm.toml") not in {change.path for change in changes}


def test_a_project_that_cannot_be_written_is_watched_without_a_canary(root):
    (root / ".clnrm").write_text("a file where the directory should be")
    with watching(root) as (watcher, batches, remarks):
        (root / "tests" / "a.clnrm.toml").write_text("second")
        batch = batches.get(timeout=PATIENCE_S)

    assert (batch.means, watcher.means) == ("events", "events")
    assert remarks.empty()


def test_include_that_is_deleted_and_restored_is_told_twice(root):
    include = root / "templates" / "_m.tera"
    include.parent.mkdir()
    include.write_text("m")
    graph = Graph()
    graph.put(Facts("a", str(root / "tests" / "a.clnrm.toml"), templates=frozenset({str(include)})))
    with watching(root, graph=graph, pace=Pace()) as (_watcher, batches, _remarks):
        include.unlink()
        include.parent.rmdir()
        gone = changes_until(batches, include)
        include.parent.mkdir()
        include.write_text("m")
        back = changes_until(batches, include)

    assert [change.kind for change in (*gone, *back)] == ["deleted", "created"]


STOPPED = """
import json, pathlib, queue, sys
from clnrm_nb.watch import FileWatcher, Graph, Pace, Place, Rules
root = pathlib.Path(sys.argv[1])
batches, remarks = queue.Queue(), queue.Queue()
rules = Rules(str(root), str(root / ".clnrm"), patterns=["**/*.clnrm.toml"])
roots = [Place(str(root / "tests"), recursive=True)]
watcher = FileWatcher(Graph(), rules, roots, batches.put, remarks.put, pace=Pace(look_s=3_600))
watcher.start()
print("watching", flush=True)
batch = batches.get(timeout=60)
print(json.dumps([watcher.means, remarks.get(timeout=60).kind, [change.path for change in batch.changes]]))
watcher.close()
"""


def test_a_queue_that_really_overflows_while_the_watcher_is_stopped_is_made_up_for(root):
    """Nothing tells that events were lost; without the look the last save would go unseen for an hour."""
    flood, file = root / "tests" / "flood", root / "tests" / "a.clnrm.toml"
    flood.mkdir()
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", STOPPED, str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "watching\n"
        process.send_signal(signal.SIGSTOP)
        for number in range(FLOOD // 2):
            (flood / f"{number}.txt").touch()
        file.write_text("second")
        process.send_signal(signal.SIGCONT)
        means, remark, paths = json.loads(process.stdout.readline())

    assert (means, remark, paths) == ("events", "lost-events", [str(file)])


LIMITED = """
import json, pathlib, queue, sys
from clnrm_nb.watch import Canary, FileWatcher, Graph, Pace, Place, Rules
pathlib.Path("/proc/sys/user/max_inotify_watches").write_text("3")
root = pathlib.Path(sys.argv[1])
batches, remarks = queue.Queue(), queue.Queue()
rules = Rules(str(root), str(root / ".clnrm"), patterns=["**/*.clnrm.toml"])
watcher = FileWatcher(Graph(), rules, [Place(str(root / "tests"), recursive=True)], batches.put, remarks.put, pace=Pace(poll_ms=20))
watcher.start()
remark = remarks.get(timeout=60)
(root / "tests" / "d7" / "x.clnrm.toml").write_text("new")
batch = batches.get(timeout=60)
watcher.close()
print(json.dumps([remark.kind, remark.message, batch.means, [change.path for change in batch.changes]]))
"""


def test_the_real_limit_of_watches_is_survived(root):
    """In a user namespace of its own, so that nobody else's limit changes."""
    for number in range(10):
        (root / "tests" / f"d{number}").mkdir()
    command = ["unshare", "--user", "--map-root-user", sys.executable, "-c", LIMITED, str(root)]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*command[:3], "true"], check=False, capture_output=True).returncode
    ):
        pytest.skip(
            "user namespaces cannot be made here (unshare --user): the limit of watches stays as it is"
        )

    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=180,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )

    assert done.returncode == 0, done.stderr
    kind, message, means, paths = json.loads(done.stdout)
    assert (kind, means) == ("limit", "polling")
    assert "watched directories" in message
    assert paths == [str(root / "tests" / "d7" / "x.clnrm.toml")]
