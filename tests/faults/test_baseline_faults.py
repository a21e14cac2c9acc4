"""Baselines under fire: cut off, flipped, written twice at once, killed in the middle, on a full disk."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from clnrm_nb.baseline import BaselineReview, compare_run
from clnrm_nb.baseline.files import parse, write
from clnrm_nb.baseline.store import BaselineStore
from clnrm_nb.config.project import Project
from clnrm_nb.config.settings import load_settings
from clnrm_nb.errors import ClnrmError, UsageError
from clnrm_nb.executor.outcome import ScenarioOutcome, TestOutcome
from clnrm_nb.spans.canonical import canonical, canonical_bytes, trace_digest
from clnrm_nb.spans.model import Event, Link, Resource, Span
from clnrm_nb.spans.table import SpanTable
from clnrm_nb.state import State

TEST = "a.clnrm.toml"
ID = f"{TEST}::one"


def trace(**attributes):
    resource = Resource({"service.name": "api"})
    spans = SpanTable()
    spans.append(Span("1" * 32, "1" * 16, "GET", resource=resource), "one")
    for number, (key, value) in enumerate(attributes.items(), 2):
        span = Span(
            "1" * 32,
            f"{number:016x}",
            key,
            "1" * 16,
            attributes={key: value},
            events=(Event("said", 5, {"n": 1}),),
            links=(Link("1" * 32, "1" * 16, {}),),
            resource=resource,
        )
        spans.append(span, "one")
    return spans


def run(root, table, number, *, complete=True):
    project = Project(root, root / ".clnrm")
    outcome = TestOutcome(TEST, TEST, scenarios=[ScenarioOutcome("one")], spans=table, complete=complete)
    with State.open(project.state_dir) as state:
        return compare_run(
            [outcome],
            project=project,
            state=state,
            settings=load_settings(project, environ={}),
            run_id=f"01{number}",
            at="2025-01-01T00:00:00Z",
        )


def accept(root, **options):
    project = Project(root, root / ".clnrm")
    with State.open(project.state_dir) as state:
        return BaselineReview(project, state).accept([ID], by="ada", **options)


def review_of(root):
    project = Project(root, root / ".clnrm")
    return BaselineReview(project, State.open(project.state_dir))


def attempt(content):
    """The baseline, or the code of why there is none."""
    try:
        return parse(content, ID, name="x"), None
    except ClnrmError as error:
        return None, error.code


@pytest.fixture
def content():
    return write(ID, 1, canonical(trace(rows=2, table="orders")))


def test_a_file_cut_off_anywhere_is_told_and_never_taken_for_whole(content):
    whole = parse(content, ID, name="x")

    for size in range(len(content)):
        if not content[size:].strip():
            # Only the last line break is gone.
            assert parse(content[:size], ID, name="x").digest == whole.digest
            continue
        with pytest.raises(ClnrmError) as caught:
            parse(content[:size], ID, name="x")
        assert caught.value.code == "CLN702"


def test_a_flipped_bit_is_told_or_changes_nothing_that_is_compared(content):
    whole = canonical_bytes(parse(content, ID, name="x").table)

    for position in range(len(content)):
        flipped = bytearray(content)
        flipped[position] ^= 1 << (position % 8)
        found, code = attempt(bytes(flipped))
        assert code in {"CLN702", "CLN703"} if found is None else canonical_bytes(found.table) == whole


def test_two_lines_swapped_by_a_merge_are_told_or_harmless(content):
    whole = canonical_bytes(parse(content, ID, name="x").table)
    lines = content.splitlines(keepends=True)

    for index in range(1, len(lines) - 1):
        swapped = [*lines[:index], lines[index + 1], lines[index], *lines[index + 2 :]]
        found, code = attempt(b"".join(swapped))
        assert code == "CLN702" if found is None else canonical_bytes(found.table) == whole


def test_a_damaged_file_stops_every_decision_and_stays_as_it_is(tmp_path):
    run(tmp_path, trace(rows=1), 1)
    accept(tmp_path)
    run(tmp_path, trace(rows=2), 2)
    path = review_of(tmp_path).store.path(ID)
    damaged = path.read_bytes()[:-30]
    path.write_bytes(damaged)
    log = sorted(path.parent.glob("log/*"))

    with pytest.raises(ClnrmError, match="CLN702") as caught:
        accept(tmp_path)

    assert "baseline restore" in str(caught.value)
    assert path.read_bytes() == damaged
    assert sorted(path.parent.glob("log/*")) == log


# --------------------------------------------------------------------------------------------- at once


def _accept_one_edit(root, edit, barrier):
    barrier.wait(30)
    accept(Path(root), edits=[edit])


def test_edits_accepted_by_many_processes_at_once_are_all_kept(tmp_path):
    run(tmp_path, trace(a=1, b=1, c=1, d=1), 1)
    accept(tmp_path)
    wanted = trace(a=2, b=2, c=2, d=2)
    run(tmp_path, wanted, 2)
    review = review_of(tmp_path)
    edits = [edit.edit_id for edit in review.session(ID).diff.counted]
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(len(edits))

    workers = [
        context.Process(target=_accept_one_edit, args=(str(tmp_path), edit, barrier)) for edit in edits
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)

    assert len(edits) == 4
    assert [worker.exitcode for worker in workers] == [0] * 4
    found = review.show(ID)
    assert (found.digest, found.version, found.composed) == (trace_digest(wanted), 5, False)
    assert len(review.history(ID)) == 5
    assert review.verify() == []
    assert review.log().heads(ID) == (review.history(ID)[-1].hash,)


def test_two_threads_accepting_the_same_trace_make_one_version(tmp_path):
    run(tmp_path, trace(rows=1), 1)
    decided = []

    threads = [threading.Thread(target=lambda: decided.extend(accept(tmp_path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert sorted(one.changed for one in decided) == [False, False, False, True]
    assert [one.version for one in decided] == [1] * 4
    assert len(review_of(tmp_path).history(ID)) == 1


def test_a_lock_that_is_never_released_is_told(tmp_path):
    run(tmp_path, trace(rows=1), 1)
    project = Project(tmp_path, tmp_path / ".clnrm")

    impatient = BaselineStore(project, lock_timeout_s=0.05)

    with (
        BaselineStore(project).lock(),
        pytest.raises(ClnrmError, match="another process has been deciding") as caught,
        impatient.lock(),
    ):
        pytest.fail("the lock was given twice")

    assert caught.value.code == "CLN001"


# --------------------------------------------------------------------------------------------- killed


_KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
import test_baseline_faults as faults
target = sys.argv[2]
rename = Path.replace
def replace(self, other):
    if target in str(other):
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(self, other)
Path.replace = replace
faults.accept(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("target", ["/log/", "/baselines/a.clnrm"])
def test_a_process_killed_between_write_and_rename_loses_nothing(tmp_path, target):
    run(tmp_path, trace(rows=1), 1)
    accept(tmp_path)
    review = review_of(tmp_path)
    path = review.store.path(ID)
    before = path.read_bytes()
    run(tmp_path, trace(rows=2), 2)

    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, str(tmp_path), target, str(Path(__file__).parent)], check=False
    )

    assert killed.returncode == -signal.SIGKILL
    assert path.read_bytes() == before
    assert [one.id for one in review.pending()] == [ID]
    (decided,) = accept(tmp_path)
    assert decided.changed
    assert review.show(ID).digest == trace_digest(trace(rows=2))
    assert review.verify() == []
    assert list(path.parent.rglob("*.tmp")) == []


# ------------------------------------------------------------------------------------------- full disks


@pytest.mark.parametrize("target", ["/log/", "/baselines/a.clnrm", "/objects/"])
def test_a_full_disk_leaves_file_log_and_review_as_they_were(tmp_path, monkeypatch, target):
    run(tmp_path, trace(rows=1), 1)
    accept(tmp_path)
    review = review_of(tmp_path)
    run(tmp_path, trace(rows=2), 2)
    base = review.store.directory
    before = {path: path.read_bytes() for path in base.rglob("*") if path.is_file()}
    rename = Path.replace

    def full(self, other):
        if target in str(other):
            raise OSError(28, "No space left on device")
        return rename(self, other)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(ClnrmError) as caught:
        accept(tmp_path)
    monkeypatch.undo()

    assert caught.value.code == "CLN001"
    assert "nothing was changed" in (caught.value.hint or "")
    assert {path: path.read_bytes() for path in base.rglob("*") if path.is_file()} == before
    assert [one.id for one in review.pending()] == [ID]
    assert accept(tmp_path)[0].changed


_ON_A_SMALL_DISK = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sys.path.insert(0, sys.argv[1])
from test_baseline_faults import accept
from clnrm_nb.errors import ClnrmError
from pathlib import Path
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
try:
    accept(Path(sys.argv[2]))
except ClnrmError as error:
    sys.exit(f"{error.code} {error.hint}")
"""


@pytest.mark.parametrize("most", [0, 600, 1_200, 2_600])
def test_a_disk_that_takes_no_more_loses_nothing_and_says_so(tmp_path, most):
    run(tmp_path, trace(rows=1), 1)
    accept(tmp_path)
    run(tmp_path, trace(**{f"row_{number}": number for number in range(30)}), 2)
    before = stored(tmp_path)

    done = subprocess.run(
        [sys.executable, "-c", _ON_A_SMALL_DISK, str(Path(__file__).parent), str(tmp_path), str(most)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr.strip().splitlines()[-1][:6]) == (1, "CLN001"), done.stderr
    assert "Traceback" not in done.stderr
    assert stored(tmp_path) == before
    (decided,) = accept(tmp_path)
    assert decided.changed
    assert review_of(tmp_path).verify() == []


def test_a_log_that_cannot_be_read_is_no_empty_log(tmp_path):
    run(tmp_path, trace(rows=1), 1)
    accept(tmp_path)
    run(tmp_path, trace(rows=2), 2)
    log = review_of(tmp_path).store.log_directory
    log.rename(log.with_name("elsewhere"))
    log.write_bytes(b"")
    before = stored(tmp_path)

    with pytest.raises(ClnrmError, match="cannot be read") as caught:
        accept(tmp_path)

    assert caught.value.code == "CLN001"
    assert stored(tmp_path) == before


def test_baselines_behind_symbolic_links_are_read_and_replaced_where_the_checkout_has_them(tmp_path):
    run(tmp_path, trace(rows=1), 1)
    accept(tmp_path)
    path = review_of(tmp_path).store.path(ID)
    elsewhere = tmp_path / "elsewhere.json"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    kept = elsewhere.read_bytes()

    assert run(tmp_path, trace(rows=1), 2)[0].status == "same"
    run(tmp_path, trace(rows=2), 3)
    accept(tmp_path)

    assert not path.is_symlink()
    assert elsewhere.read_bytes() == kept
    assert run(tmp_path, trace(rows=2), 4)[0].status == "same"


@pytest.mark.parametrize("target", ["nowhere.json", "itself"])
def test_a_link_to_nothing_is_a_missing_baseline_or_one_message(tmp_path, target):
    run(tmp_path, trace(rows=1), 1)
    path = review_of(tmp_path).store.path(ID)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(path.name if target == "itself" else target)

    (comparison,) = run(tmp_path, trace(rows=1), 2)

    assert comparison.code == ("CLN001" if target == "itself" else "CLN701")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere: run the tests as another user")
def test_a_read_only_checkout_can_be_compared(tmp_path):
    run(tmp_path, trace(rows=1), 1)
    accept(tmp_path)
    state = tmp_path / ".clnrm"
    for path in [state, *state.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)

    try:
        (comparison,) = run(tmp_path, trace(rows=2), 2)
    finally:
        for path in [state, *state.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)

    assert comparison.code == "CLN704"


def stored(root):
    """Every file that decisions are kept in."""
    return {path: path.read_bytes() for path in (root / ".clnrm" / "baselines").rglob("*") if path.is_file()}


def test_a_trace_without_spans_is_no_baseline_and_takes_none_away(tmp_path):
    run(tmp_path, trace(rows=1), 1)
    accept(tmp_path)
    before = stored(tmp_path)

    (comparison,) = run(tmp_path, SpanTable(), 2)
    with pytest.raises(UsageError, match="has no spans"):
        accept(tmp_path)

    assert (comparison.status, comparison.code) == ("changed", "CLN704")
    assert stored(tmp_path) == before


def test_an_incomplete_trace_is_shown_but_decides_nothing(tmp_path):
    run(tmp_path, trace(rows=1), 1)
    accept(tmp_path)
    before = stored(tmp_path)

    (comparison,) = run(tmp_path, trace(rows=2), 2, complete=False)

    assert (comparison.status, comparison.code, comparison.is_failure) == ("incomplete", "CLN707", True)
    assert "provisional" in comparison.diagnostics[0].message
    assert comparison.diff
    assert stored(tmp_path) == before


def test_an_incomplete_trace_without_a_baseline_is_refused_with_the_reason(tmp_path):
    (comparison,) = run(tmp_path, trace(rows=1), 1, complete=False)
    with pytest.raises(UsageError):
        accept(tmp_path)

    assert (comparison.code, comparison.is_failure) == ("CLN707", True)
    assert "the trace is incomplete" in comparison.diagnostics[0].message
    assert not stored(tmp_path)


def test_a_baseline_of_a_newer_format_stops_comparison_and_decision_and_stays(tmp_path):
    run(tmp_path, trace(rows=1), 1)
    accept(tmp_path)
    path = review_of(tmp_path).store.path(ID)
    path.write_bytes(path.read_bytes().replace(b"clnrm-trace/1", b"clnrm-trace/2"))
    before = stored(tmp_path)

    (comparison,) = run(tmp_path, trace(rows=2), 2)
    with pytest.raises(ClnrmError, match="is not known") as caught:
        accept(tmp_path)

    assert (comparison.status, comparison.code) == ("error", "CLN703")
    assert caught.value.code == "CLN703"
    assert stored(tmp_path) == before
