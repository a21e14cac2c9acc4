"""Baselines in a real repository: lines that change, and branches that merge."""

from __future__ import annotations

import json
import subprocess

import pytest

from clnrm_nb import api
from clnrm_nb.baseline import BaselineReview, compare_run
from clnrm_nb.baseline.evolution import evolution
from clnrm_nb.config.project import Project
from clnrm_nb.config.settings import load_settings
from clnrm_nb.errors import ClnrmError, UsageError
from clnrm_nb.executor.outcome import ScenarioOutcome, TestOutcome
from clnrm_nb.spans.model import Resource, Span
from clnrm_nb.spans.table import SpanTable
from clnrm_nb.state import State

TEST = "a.clnrm.toml"
API = Resource({"service.name": "api"})


def trace(children, *, root="GET"):
    table = SpanTable()
    table.append(Span("1" * 32, "1" * 16, root, resource=API))
    for number, (name, attributes) in enumerate(children.items(), 2):
        table.append(Span("1" * 32, f"{number:016x}", name, "1" * 16, attributes=attributes, resource=API))
    return table


def items(count=60, **more):
    return {f"item {number:02}": {"i": number, **more} for number in range(count)}


class Repository:
    """A checkout with baselines committed and the state of this machine ignored."""

    def __init__(self, root):
        self.root = root
        self.project = Project(root, root / ".clnrm")
        self.state = State.open(self.project.state_dir)
        self.runs = 0
        self.git("init", "-q")
        (root / ".gitignore").write_text(".clnrm/*\n!.clnrm/baselines\n", encoding="utf-8")
        self.commit("empty")

    def git(self, *words, check=True):
        who = ("-c", "user.name=ada", "-c", "user.email=ada@example.com", "-c", "init.defaultBranch=main")
        done = subprocess.run(
            ["git", *who, *words], cwd=self.root, check=check, capture_output=True, text=True
        )
        return done.stdout

    def commit(self, message):
        self.git("add", "-A")
        self.git("commit", "-qm", message)

    def run(self, table, scenario="one"):
        self.runs += 1
        spans = SpanTable()
        for span in table.spans():
            spans.append(span, scenario)
        outcome = TestOutcome(TEST, TEST, scenarios=[ScenarioOutcome(scenario)], spans=spans)
        return compare_run(
            [outcome],
            project=self.project,
            state=self.state,
            settings=load_settings(self.project, environ={}),
            run_id=f"01{self.runs:03d}",
            at="2025-01-01T00:00:00Z",
        )[0]

    def review(self):
        return BaselineReview(self.project, self.state)

    def accept(self, table, scenario="one", **options):
        found = self.run(table, scenario)
        self.review().accept([f"{TEST}::{scenario}"], by="ada", **options)
        return found

    def numstat(self):
        """Added and removed lines of the baseline files."""
        lines = self.git("diff", "--numstat", "--", ".clnrm/baselines").splitlines()
        return [tuple(map(int, line.split("\t")[:2])) for line in lines]

    def ids(self, scenario="one"):
        baseline = self.review().store.load(f"{TEST}::{scenario}")
        return dict(zip(baseline.table.name, baseline.table.span_id, strict=True))


@pytest.fixture
def repository(tmp_path):
    made = Repository(tmp_path)
    yield made
    made.state.close()


# The header, whose version and digest change with every version, is the other line.
def test_one_changed_attribute_is_one_changed_line_beside_the_header(repository):
    repository.accept(trace(items()))
    repository.commit("one")

    repository.accept(trace(items() | {"item 30": {"i": 31}}))

    assert repository.numstat() == [(2, 2)]


def test_a_span_in_the_middle_shifts_no_id_and_no_line(repository):
    repository.accept(trace(items()))
    before = repository.ids()
    repository.commit("one")

    repository.accept(trace(items() | {"item 29 and a half": {}}))

    assert repository.numstat() == [(2, 1)]
    assert before.items() <= repository.ids().items()


def test_a_resource_attribute_is_one_line_whatever_the_number_of_spans(repository):
    repository.accept(trace(items()))
    repository.commit("one")
    table = trace(items())
    table.resource[:] = [Resource({"service.name": "api", "deployment.environment": "prod"})] * len(table)

    repository.accept(table)

    assert repository.numstat() == [(2, 2)]


def test_names_live_on_through_moves_and_renames(repository):
    repository.accept(trace(items(5)))
    before = repository.ids()

    repository.accept(trace(items(5), root="POST"))
    table = trace(items(5) | {"inner": {}})
    table.parent_span_id[1] = table.span_id[table.name.index("inner")]
    repository.accept(table)

    after = repository.ids()
    assert {after[name] for name in items(5)} == {before[name] for name in items(5)}


def test_an_unchanged_run_leaves_the_checkout_clean(repository):
    repository.accept(trace(items()))
    repository.commit("one")

    found = repository.run(trace(dict(reversed(items().items()))))

    assert found.status == "same"
    assert repository.git("status", "--porcelain") == ""


def test_sixty_spans_of_one_cause_are_one_decision(repository):
    repository.accept(trace({name: {"i": n, "http.method": "GET"} for n, name in enumerate(items())}))
    found = repository.run(
        trace({name: {"i": n, "http.request.method": "GET"} for n, name in enumerate(items())})
    )
    (cause,) = found.diff.causes
    before = set(repository.review().store.log_directory.iterdir())

    (done,) = repository.review().accept([f"{TEST}::one"], causes=[cause.cause_id], by="ada")

    (decision,) = set(repository.review().store.log_directory.iterdir()) - before
    assert done.left == 0
    assert json.loads(decision.read_bytes())["causes"] == [cause.cause_id]
    assert found.diff.totals["changed"] == 60


def test_two_branches_that_decide_about_different_scenarios_merge_without_conflict(repository):
    repository.accept(trace(items(3)), "one")
    repository.accept(trace(items(3)), "two")
    repository.commit("both")
    repository.git("checkout", "-qb", "left")
    repository.accept(trace(items(4)), "one")
    repository.commit("left")
    repository.git("checkout", "-q", "main")
    repository.accept(trace(items(5)), "two")
    repository.commit("right")

    repository.git("merge", "-q", "--no-edit", "left")

    assert repository.review().verify() == []
    assert repository.run(trace(items(4)), "one").status == "same"
    assert repository.run(trace(items(5)), "two").status == "same"
    assert len(list(repository.review().store.log_directory.iterdir())) == 4


def two_branches(repository):
    """Two branches that accept different traces of one scenario; `main` is checked out."""
    repository.accept(trace(items(3)))
    repository.commit("base")
    repository.git("checkout", "-qb", "left")
    repository.accept(trace(items(3) | {"item 00": {"i": "left"}}))
    repository.commit("left")
    repository.git("checkout", "-q", "main")
    repository.accept(trace(items(3) | {"item 02": {"i": "right"}}))
    repository.commit("right")


def test_two_branches_that_decide_about_one_scenario_keep_both_decisions_and_the_next_names_both(repository):
    two_branches(repository)

    repository.git("merge", "--no-edit", "left", check=False)

    # Both say which trace is trusted: only a person can tell, and the only line in dispute is the header.
    conflicts = repository.git("diff", "--name-only", "--diff-filter=U").split()
    (path,) = [repository.root / name for name in conflicts]
    assert path.read_bytes().count(b"<<<<<<<") == 1
    with pytest.raises(ClnrmError) as caught:
        repository.review().show(f"{TEST}::one")
    assert (caught.value.code, caught.value.location.line) == ("CLN702", 1)
    repository.git("checkout", "--ours", "--", conflicts[0])
    repository.accept(trace(items(3) | {"item 00": {"i": "left"}, "item 02": {"i": "right"}}))
    repository.commit("merged")

    *_, last = repository.review().history(f"{TEST}::one")
    assert len(last.parents) == 2
    assert repository.review().verify() == []


def test_a_decision_that_was_tampered_with_or_is_missing_is_told_by_its_name(repository):
    for count in (2, 3, 4):
        repository.accept(trace(items(count)))
    first, second, _ = repository.review().history(f"{TEST}::one")
    log = repository.review().store.log_directory

    (log / f"{first.hash}.json").write_text((log / f"{first.hash}.json").read_text().replace("ada", "eve"))
    (log / f"{second.hash}.json").unlink()
    told = repository.review().verify()

    assert {finding.code for finding in told} == {"CLN702"}
    assert {finding.severity for finding in told} == {"error"}
    assert any(first.hash in finding.message for finding in told)
    assert any(second.hash[:12] in finding.message for finding in told)


def test_each_branch_of_a_merge_is_told_against_the_version_it_changed(repository):
    two_branches(repository)
    repository.git("merge", "--no-edit", "left", check=False)
    repository.git("checkout", "--ours", "--", ".clnrm/baselines")

    versions = evolution(repository.review(), f"{TEST}::one")

    assert [version.edits for version in versions] == [None, 1, 1]
    (in_use,) = [version for version in versions if version.in_use]
    assert in_use.digest == repository.review().store.load(f"{TEST}::one").digest


def test_a_conflict_says_how_to_take_one_side_and_leaves_other_scenarios_to_be_decided(repository):
    two_branches(repository)
    (repository.root / TEST).touch()
    repository.run(trace(items(2)), "two")
    repository.git("merge", "--no-edit", "left", check=False)

    one, two = sorted(repository.review().accept(everything=True, by="ada"), key=lambda done: done.id)

    assert "merge conflict" in one.refused
    assert two.changed
    with pytest.raises(ClnrmError) as found:
        repository.review().accept([f"{TEST}::one"], by="ada")
    assert "git checkout --ours '.clnrm/baselines/" in found.value.hint


def test_what_was_decided_is_told_while_the_file_holds_a_conflict(repository, monkeypatch):
    two_branches(repository)
    repository.git("merge", "--no-edit", "left", check=False)
    monkeypatch.chdir(repository.root)

    told = api.baseline_history(f"{TEST}::one")

    assert len(told.frame) == 3
    assert "merge conflict" in told.raw["diagnostics"][0]["message"]


def test_a_fresh_clone_restores_and_undoes_from_the_history_of_git(repository, tmp_path_factory):
    repository.accept(trace(items(3)))
    repository.commit("one")
    first = (repository.root / ".clnrm" / "baselines").glob("*.json").__next__().read_bytes()
    repository.accept(trace(items(4)))
    repository.commit("two")
    clone = Repository.__new__(Repository)
    clone.root = tmp_path_factory.mktemp("clone")
    repository.git("clone", "-q", ".", str(clone.root))
    clone.project = Project(clone.root, clone.root / ".clnrm")
    (file,) = (clone.root / ".clnrm" / "baselines").glob("*.json")
    second = file.read_bytes()

    with State.open(clone.project.state_dir) as clone.state:
        clone.review().undo(f"{TEST}::one", by="bob")
        undone = file.read_bytes()
        clone.review().restore(f"{TEST}::one", 2, by="bob")

    assert undone == first
    assert file.read_bytes() == second


def test_verify_tells_an_accepted_trace_whose_file_is_gone(repository):
    repository.accept(trace(items(3)))
    (file,) = (repository.root / ".clnrm" / "baselines").glob("*.json")
    file.unlink()

    (finding,) = repository.review().verify()

    assert finding.severity == "info"
    assert f"restore '{TEST}::one'" in finding.hint


@pytest.mark.parametrize("ask", ["undo", "restore", "reject"])
def test_a_test_in_place_of_a_scenario_is_answered_with_its_scenarios(repository, ask):
    repository.accept(trace(items(3)))

    with pytest.raises(UsageError) as found:
        getattr(repository.review(), ask)(TEST)

    assert found.value.hint == f"name one of its scenarios: `{TEST}::one`"


@pytest.mark.parametrize("ask", ["verify", "restore"])
def test_an_id_nobody_decided_about_is_told(repository, ask):
    given = ["nothing"] if ask == "verify" else "nothing"

    with pytest.raises(UsageError, match="nothing was ever decided about `nothing`"):
        getattr(repository.review(), ask)(given)
