"""Baseline, main and this run: what is new here, and where main's trace comes from."""

from __future__ import annotations

import subprocess

import pytest

from clnrm_nb.baseline.difference import difference
from clnrm_nb.baseline.files import write
from clnrm_nb.baseline.store import BaselineStore
from clnrm_nb.baseline.threeway import MainTrace, MainTraces, three_way
from clnrm_nb.config.project import Project
from clnrm_nb.config.revision import head_of, main_branch
from clnrm_nb.diff import DiffOptions
from clnrm_nb.errors import UsageError
from clnrm_nb.executor.outcome import ScenarioOutcome, TestOutcome
from clnrm_nb.pipeline.checkout import checkout_of
from clnrm_nb.spans.canonical import canonical, trace_digest
from clnrm_nb.spans.loaders import write_otlp_json
from clnrm_nb.spans.model import Resource, Span
from clnrm_nb.spans.table import SpanTable
from clnrm_nb.state import State
from clnrm_nb.state.store import GIT

TEST = "a.clnrm.toml"
ID = f"{TEST}::one"
API = Resource({"service.name": "api"})


def trace(root="GET", **children):
    table = SpanTable()
    table.append(Span("1" * 32, "1" * 16, root, attributes={"a": 1, "b": 2, "c": 3}, resource=API), "one")
    for number, (name, attributes) in enumerate(children.items(), 2):
        span = Span("1" * 32, f"{number:016x}", name, "1" * 16, attributes=attributes, resource=API)
        table.append(span, "one")
    return table


def beside(baseline, main, run):
    """``sentence → standing`` of the run's edits, and operations of what is gone."""
    options = DiffOptions()
    trace_of_main = MainTrace("file", "main", trace_digest(main), main)
    diff = difference(baseline, run, options)
    found = three_way(baseline, trace_of_main, diff, options)
    said = {
        f"{edit.op} {edit.key or edit.baseline or ''}".strip(): found.standing[edit.edit_id]
        for edit in diff.counted
    }
    return said, [edit.op for edit in found.gone], found


def test_a_difference_that_main_has_too_is_not_this_branchs():
    base = trace(SELECT={"rows": 1}, charge={"sum": 1})
    main = trace(SELECT={"rows": 2}, charge={"sum": 1})
    run = trace(SELECT={"rows": 2}, charge={"sum": 2})

    said, gone, _ = beside(base, main, run)

    assert said == {"attr~ rows": "already on main", "attr~ sum": "new here"}
    assert gone == []


def test_another_value_at_the_same_place_differs_from_main_and_names_mains():
    said, gone, found = beside(
        trace(SELECT={"rows": 1}), trace(SELECT={"rows": 2}), trace(SELECT={"rows": 3})
    )

    assert said == {"attr~ rows": "differs from main"}
    assert [edit.current for edit in found.on_main.values()] == [2]
    assert gone == []


def test_what_only_main_changed_is_gone_here():
    base = trace(SELECT={"rows": 1})

    said, gone, found = beside(base, trace(SELECT={"rows": 2}), base)

    assert (said, gone) == ({}, ["attr~"])
    assert found.counts["gone here"] == 1


def test_a_root_renamed_here_does_not_make_what_is_below_it_new():
    base = trace(SELECT={"rows": 1}, charge={"sum": 1})
    main = trace(SELECT={"rows": 2}, charge={"sum": 1}, mail={"to": "x"})
    run = trace("POST", SELECT={"rows": 2}, charge={"sum": 1}, mail={"to": "x"})

    said, gone, _ = beside(base, main, run)

    assert said == {"rename GET": "new here", "attr~ rows": "already on main", "insert": "already on main"}
    assert gone == []


def test_without_main_the_comparison_is_of_two():
    base = trace(SELECT={"rows": 1})
    found = three_way(base, None, difference(base, trace(), DiffOptions()), DiffOptions())

    assert found.main is None
    assert set(found.counts.values()) == {0}


# --------------------------------------------------------------------------------------- where main is


class Place:
    def __init__(self, root):
        self.root = root
        self.project = Project(root, root / ".clnrm")
        self.state = State.open(self.project.state_dir)
        self.runs = 0

    def git(self, *words):
        who = ("-c", "user.name=ada", "-c", "user.email=ada@example.com", "-c", "init.defaultBranch=main")
        subprocess.run(["git", *who, *words], cwd=self.root, check=True, capture_output=True)

    def run(self, table, *, complete=True):
        self.runs += 1
        outcome = TestOutcome(TEST, TEST, scenarios=[ScenarioOutcome("one")], spans=table, complete=complete)
        data = {"tests": [outcome.to_json()], GIT: checkout_of(self.root)}
        run_id = f"01{self.runs:03d}"
        at = "2025-01-01T00:00:00Z"
        self.state.save_run({"run": run_id, "started_at": at, "data": data}, {TEST: write_otlp_json(table)})
        return run_id

    def main(self, given=None):
        return MainTraces(self.project, self.state, given).of(ID)

    def baseline(self, table):
        path = BaselineStore(self.project).path(ID)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(write(ID, 1, canonical(table)))


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    made.git("init", "-q")
    made.git("commit", "-q", "--allow-empty", "-m", "one")
    yield made
    made.state.close()


def test_main_is_its_last_whole_run_whatever_ran_on_branches_since(place):
    place.run(trace(SELECT={"rows": 1}))
    last = place.run(trace(SELECT={"rows": 2}))
    place.run(trace(SELECT={"rows": 9}), complete=False)
    place.git("checkout", "-qb", "feature")
    place.run(trace(SELECT={"rows": 3}))

    found = place.main()

    assert found.kind == "run"
    assert last in found.name
    assert "`main` at " in found.name
    assert found.digest == trace_digest(trace(SELECT={"rows": 2}))


def test_on_main_itself_it_is_the_run_before_this_one(place):
    before = place.run(trace(SELECT={"rows": 1}))
    place.run(trace(SELECT={"rows": 2}))

    assert before in place.main().name


def test_a_run_of_files_that_nobody_committed_stood_for_main(place):
    """What somebody tried out on main and took back was `already on main` on every branch."""
    (place.root / "service.py").write_text("rows = 1\n")
    place.git("add", "service.py")
    tried = place.run(trace(SELECT={"rows": 8}))
    place.git("commit", "-qm", "service")
    committed = place.run(trace(SELECT={"rows": 1}))
    (place.root / "service.py").write_text("rows = 9\n")
    place.run(trace(SELECT={"rows": 9}))
    place.git("checkout", "-qb", "feature")

    found = place.main()

    assert committed in found.name
    assert tried not in found.name


def test_where_nothing_else_is_known_of_main_its_changes_are_told(place):
    (place.root / "service.py").write_text("rows = 1\n")
    place.git("add", "service.py")
    tried = place.run(trace(SELECT={"rows": 8}))
    place.git("checkout", "-qb", "feature")

    found = place.main()

    assert tried in found.name
    assert "with changes that were not committed" in found.name


def test_without_a_run_of_main_it_is_the_baseline_as_it_is_committed_there(place):
    place.baseline(trace(SELECT={"rows": 2}))
    place.git("add", ".")
    place.git("commit", "-qm", "baseline")
    place.git("checkout", "-qb", "feature")
    place.baseline(trace(SELECT={"rows": 3}))
    place.run(trace(SELECT={"rows": 4}))

    found = place.main()

    assert (found.kind, found.name) == ("baseline", "the baseline on `main`")
    assert found.digest == trace_digest(trace(SELECT={"rows": 2}))


def test_a_run_or_a_file_can_be_named(place):
    first = place.run(trace(SELECT={"rows": 1}))
    place.run(trace(SELECT={"rows": 2}))
    (place.root / "main.json").write_bytes(write_otlp_json(trace(SELECT={"rows": 7})))

    assert place.main(first).digest == trace_digest(trace(SELECT={"rows": 1}))
    assert place.main("main.json").digest == trace_digest(trace(SELECT={"rows": 7}))
    with pytest.raises(UsageError, match="no stored run"):
        place.main("nothing")


def test_outside_a_repository_nothing_of_main_is_known(tmp_path):
    made = Place(tmp_path)
    made.run(trace())

    assert made.main() is None
    made.state.close()


# ------------------------------------------------------------------------------------------------- git


def test_branch_and_commit_are_read_where_git_keeps_them(place):
    def asked(*words, where=place.root):
        done = subprocess.run(["git", *words], cwd=where, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    assert head_of(place.root) == {"branch": "main", "commit": asked("rev-parse", "HEAD")}
    place.git("checkout", "-qb", "feature/x")
    place.git("commit", "-q", "--allow-empty", "-m", "two")
    place.git("pack-refs", "--all")
    assert head_of(place.root) == {"branch": "feature/x", "commit": asked("rev-parse", "HEAD")}
    place.git("worktree", "add", "-q", "beside", "main")
    assert head_of(place.root / "beside") == {"branch": "main", "commit": asked("rev-parse", "main")}
    assert main_branch(place.root / "beside") == "main"
    place.git("checkout", "-q", "--detach")
    assert head_of(place.root) == {"branch": None, "commit": asked("rev-parse", "HEAD")}


def test_a_repository_without_a_commit_has_a_branch_and_no_commit(tmp_path):
    Place(tmp_path).git("init", "-q")

    assert head_of(tmp_path) == {"branch": "main", "commit": None}
    assert main_branch(tmp_path) is None
