"""Which decision made which line: over versions, undo, merges, and where versions are gone."""

from __future__ import annotations

import json
import subprocess

import pytest

from clnrm_nb.baseline import BaselineReview, compare_run
from clnrm_nb.baseline.blame import blame
from clnrm_nb.baseline.decisions import Decision, DecisionLog
from clnrm_nb.baseline.files import parse, write
from clnrm_nb.config.project import Project
from clnrm_nb.config.settings import load_settings
from clnrm_nb.executor.outcome import ScenarioOutcome, TestOutcome
from clnrm_nb.spans.canonical import canonical
from clnrm_nb.spans.model import Resource, Span
from clnrm_nb.spans.table import SpanTable
from clnrm_nb.state import State

TEST = "a.clnrm.toml"
ID = f"{TEST}::one"
API = Resource({"service.name": "api"})


def trace(**children):
    """A root with a child a name, each with its attributes."""
    table = SpanTable()
    table.append(Span("1" * 32, "1" * 16, "GET", resource=API), "one")
    for number, (name, attributes) in enumerate(children.items(), 2):
        span = Span("1" * 32, f"{number:016x}", name, "1" * 16, attributes=attributes, resource=API)
        table.append(span, "one")
    return table


class Place:
    def __init__(self, root):
        self.root = root
        self.project = Project(root, root / ".clnrm")
        self.state = State.open(self.project.state_dir)
        self.runs = 0

    def run(self, table):
        self.runs += 1
        outcome = TestOutcome(TEST, TEST, scenarios=[ScenarioOutcome("one")], spans=table)
        (found,) = compare_run(
            [outcome],
            project=self.project,
            state=self.state,
            settings=load_settings(self.project, environ={}),
            run_id=f"01{self.runs:03d}",
            at="2025-01-01T00:00:00Z",
        )
        return found

    def review(self):
        return BaselineReview(self.project, self.state)

    def accept(self, table, why="", **options):
        self.run(table)
        (done,) = self.review().accept([ID], by="ada", message=why, **options)
        return done.decision

    def blamed(self):
        """``path part`` → name of the decision, of spans only."""
        return {
            f"{one.path} {one.part}".strip(): one.decision.hash if one.decision else None
            for one in self.review().blame(ID)
            if one.kind == "span"
        }


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    yield made
    made.state.close()


def test_a_changed_attribute_is_the_decisions_that_changed_it_and_its_span_the_first_ones(place):
    first = place.accept(trace(SELECT={"rows": 1, "db": "pg"}, charge={}))
    second = place.accept(trace(SELECT={"rows": 2, "db": "pg"}, charge={}), "more rows")

    assert place.blamed() == {
        "GET": first,
        "GET/SELECT": first,
        "GET/SELECT rows": second,
        "GET/charge": first,
    }


def test_a_line_that_moved_down_is_no_new_line(place):
    first = place.accept(trace(SELECT={"rows": 1}, charge={}))
    second = place.accept(trace(AAA={}, SELECT={"rows": 1}, charge={}))

    assert place.blamed() == {"GET": first, "GET/AAA": second, "GET/SELECT": first, "GET/charge": first}


def test_a_row_names_the_edit_and_cause_that_an_accept_took(place):
    place.accept(trace(SELECT={"rows": 1}, charge={}))
    diff = place.run(trace(SELECT={"rows": 2}, charge={}, refund={})).diff
    (edit,) = [one for one in diff.counted if one.key == "rows"]
    place.review().accept([ID], edits=[edit.edit_id], by="ada")

    (row,) = [one for one in place.review().blame(ID) if one.part == "rows"]

    assert [one.edit_id for one in row.edits] == [edit.edit_id] == list(row.decision.edits)
    assert row.edits[0].cause_id == edit.cause_id


def test_a_decision_that_was_undone_made_nothing(place):
    first = place.accept(trace(SELECT={"rows": 1}))
    place.accept(trace(SELECT={"rows": 2}))
    place.review().undo(ID, by="bob")

    assert set(place.blamed().values()) == {first}


def test_an_undo_that_was_followed_by_another_decision_made_nothing_either(place):
    first = place.accept(trace(SELECT={"rows": 1}))
    place.accept(trace(SELECT={"rows": 2}))
    place.review().undo(ID, by="bob")
    third = place.accept(trace(SELECT={"rows": 1}, charge={}))

    assert place.blamed() == {"GET": first, "GET/SELECT": first, "GET/charge": third}


def test_a_restore_made_what_it_brought_back(place):
    first = place.accept(trace(SELECT={"rows": 1}))
    place.accept(trace(SELECT={"rows": 2}))
    back = place.review().restore(ID, 1, by="bob").decision

    assert place.blamed() == {"GET": first, "GET/SELECT": first, "GET/SELECT rows": back}


def test_versions_that_this_machine_has_not_come_from_git(place):
    def git(*words):
        identity = ("-c", "user.name=ada", "-c", "user.email=ada@example.com")
        subprocess.run(["git", *identity, *words], cwd=place.root, check=True, capture_output=True)

    git("init", "-q")
    first = place.accept(trace(SELECT={"rows": 1}))
    git("add", ".clnrm/baselines")
    git("commit", "-qm", "one")
    second = place.accept(trace(SELECT={"rows": 2}))
    git("commit", "-qam", "two")
    third = place.accept(trace(SELECT={"rows": 2}, charge={}))
    forget(place)

    assert place.blamed() == {
        "GET": first,
        "GET/SELECT": first,
        "GET/SELECT rows": second,
        "GET/charge": third,
    }


def test_what_neither_this_machine_nor_git_knows_is_said_to_be_uncertain(place):
    place.accept(trace(SELECT={"rows": 1}))
    last = place.accept(trace(SELECT={"rows": 2}))
    forget(place)

    rows = [one for one in place.review().blame(ID) if one.kind == "span"]

    assert {one.decision.hash for one in rows} == {last}
    assert not any(one.is_certain for one in rows)


def forget(place):
    """As on another machine: no state but what is in version control."""
    for path in sorted((place.root / ".clnrm" / "objects").rglob("*"), reverse=True):
        if path.is_file():
            path.unlink()


def test_a_file_that_came_past_the_log_is_nobodys_where_it_differs(place):
    first = place.accept(trace(SELECT={"rows": 1}))
    path = place.review().store.path(ID)
    before = parse(path.read_bytes(), ID, name="")
    path.write_bytes(write(ID, 2, canonical(trace(SELECT={"rows": 3})), before=before.table))

    assert place.blamed() == {"GET": first, "GET/SELECT": first, "GET/SELECT rows": None}


def test_a_file_that_an_editor_laid_out_anew_is_blamed_all_the_same(place):
    first = place.accept(trace(SELECT={"rows": 1}))
    path = place.review().store.path(ID)
    path.write_text(json.dumps(json.loads(path.read_bytes()), indent=2), encoding="utf-8")

    assert place.blamed() == {"GET": first, "GET/SELECT": first}


def test_after_a_merge_each_branch_made_its_own_lines(tmp_path):
    log = DecisionLog(tmp_path / "log")
    contents = {}

    def decide(table, before, *parents):
        content = write(ID, len(contents) + 1, canonical(table), before=before and before[1].table)
        found = parse(content, ID, name="")
        made = Decision(ID, "accept", found.version, found.digest, None, "2025", "ada", parents=parents)
        contents[log.add(made)] = content
        return made, found

    base = decide(trace(SELECT={"rows": 1}, charge={"sum": 1}), None)
    ours = decide(trace(SELECT={"rows": 2}, charge={"sum": 1}), base, base[0].hash)
    theirs = decide(trace(SELECT={"rows": 1}, charge={"sum": 2}), base, base[0].hash)
    merged = write(ID, 4, canonical(trace(SELECT={"rows": 2}, charge={"sum": 2})), before=base[1].table)

    rows = blame(merged, ID, log, lambda decision: (contents[decision.hash], "object"))

    made = {f"{one.path} {one.part}".strip(): one.decision for one in rows if one.kind == "span"}
    assert made == {
        "GET": base[0],
        "GET/SELECT": base[0],
        "GET/SELECT rows": ours[0],
        "GET/charge": base[0],
        "GET/charge sum": theirs[0],
    }
