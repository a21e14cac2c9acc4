"""Rules made from edits: what is offered, what it would have done, and that undo takes it out byte for byte."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from clnrm_nb.baseline import BaselineReview, compare_run, rulefile
from clnrm_nb.baseline.backtest import RUNS
from clnrm_nb.baseline.tolerances import is_for
from clnrm_nb.config.project import Project
from clnrm_nb.config.settings import load_settings
from clnrm_nb.errors import ClnrmError, UsageError
from clnrm_nb.executor.outcome import ScenarioOutcome, TestOutcome
from clnrm_nb.spans.loaders import write_otlp_json
from clnrm_nb.spans.model import Resource, Span
from clnrm_nb.spans.table import SpanTable
from clnrm_nb.state import State

TEST = "tests/api.clnrm.toml"
ID = f"{TEST}::checkout"
SCENARIO = '# by hand\n[test]\nname = "api"\n\n[[scenario]]\nname = "checkout"'
OLD_RULES = (
    b'# kept by hand\n[[tolerance]]\nid = "mine"\nreason = "why"\nselect = { key = "x" }\nignore = true\n'
)


def trace(rows=2, **attributes):
    """A root with two children; `rows` and other attributes stand on the first child."""
    resource = Resource({"service.name": "api"})
    root = Span("1" * 32, "1" * 16, "GET /", resource=resource)
    children = [
        Span("1" * 32, f"{number:016x}", name, "1" * 16, attributes=values, resource=resource)
        for number, name, values in ((2, "SELECT", {"rows": rows, **attributes}), (3, "charge", {}))
    ]
    return SpanTable([root, *children])


class Place:
    """A project with runs in it; its clock goes on by a second with each run and decision."""

    def __init__(self, root):
        self.root = root
        self.project = Project(root, root / ".clnrm")
        self.state = State.open(self.project.state_dir)
        self.seconds = 0

    def now(self):
        self.seconds += 1
        return datetime.fromtimestamp(1_735_689_600 + self.seconds, UTC)

    def review(self, **options):
        return BaselineReview(self.project, self.state, now=self.now, **options)

    def _outcome(self, table):
        spans = SpanTable()
        for span in table.spans():
            spans.append(span, "checkout")
        part = ScenarioOutcome("checkout", status="passed")
        return TestOutcome(TEST, TEST, status="passed", complete=True, scenarios=[part], spans=spans)

    def run(self, table):
        """A run that was compared, and not recorded."""
        at = self.now()
        return compare_run(
            [self._outcome(table)],
            project=self.project,
            state=self.state,
            settings=load_settings(self.project, overrides={}, environ={}),
            run_id=f"{self.seconds:05d}",
            at=f"{at:%Y-%m-%dT%H:%M:%SZ}",
            rules=rulefile.read(self.project),
        )

    def store(self, table):
        """A run that was recorded, and not compared."""
        at, outcome = self.now(), self._outcome(table)
        self.state.save_run(
            {
                "run": f"{self.seconds:05d}",
                "started_at": f"{at:%Y-%m-%dT%H:%M:%SZ}",
                "data": {"tests": [outcome.to_json()]},
            },
            {outcome.id: write_otlp_json(outcome.spans)},
        )

    def files(self):
        """Every file a person might commit, with its bytes."""
        base = self.project.state_dir / "baselines"
        return {path: path.read_bytes() for path in base.rglob("*") if path.is_file()}


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path)
    (tmp_path / "tests").mkdir()
    (tmp_path / TEST).write_text(SCENARIO)
    yield place
    place.state.close()


def differing(place, **values):
    """An accepted trace, and a run that waits because of one value."""
    place.run(trace())
    place.review().accept([ID], by="ada")
    place.run(trace(**values))
    return place.review()


def offers(review):
    cause = review.session(ID).diff.causes[0].cause_id
    return review.offers(ID, [cause])


def chosen(review, word):
    return next(offer for offer in offers(review) if offer.rule.word == word)


def rules(place):
    return rulefile.read(place.project)


# ---------------------------------------------------------------------------------------------- making


def test_a_rule_that_is_accepted_makes_the_same_difference_green(place):
    review = differing(place, rows=3)

    review.make_rule(ID, chosen(review, "range").rule, by="ada", message="counts vary")
    (again,) = place.run(trace(rows=3))

    assert again.status == "same"
    assert [edit.rule for edit in again.diff.edits if edit.key == "rows"] == [rules(place)[0].id]
    assert (rules(place)[0].by, rules(place)[0].reason) == ("ada", "counts vary")


def test_a_rule_is_about_no_scenario_of_the_same_name_in_another_file(place):
    review = differing(place, rows=7)
    assert offers(review)[0].rule.select["scenario"] == "checkout"
    (file,) = place.project.state_dir.glob("baselines/*.json")
    other = file.read_bytes().replace(TEST.encode(), b"tests/other.clnrm.toml")
    file.with_name("other.json").write_bytes(other)

    rule = offers(review)[0].rule

    assert is_for(rule, ID)
    assert not is_for(rule, "tests/other.clnrm.toml::checkout")


def test_the_review_is_settled_by_a_rule_that_leaves_nothing_open(place):
    review = differing(place, rows=3)

    decided = review.make_rule(ID, chosen(review, "range").rule)

    assert decided.left == 0
    assert review.reviews.get(ID).state == "rule"


def test_what_a_rule_does_not_cover_still_waits(place):
    review = differing(place, rows=3, plan="b")
    cause = next(c for c in review.session(ID).diff.causes if "rows" in c.message)

    decided = review.make_rule(ID, review.offers(ID, [cause.cause_id])[0].rule)

    assert decided.left == 1
    assert review.reviews.get(ID).state == "pending"


def test_the_decision_holds_the_rule_and_where_it_was_written(place):
    review = differing(place, rows=3)
    rule = chosen(review, "range").rule

    decided = review.make_rule(ID, rule, by="ada")

    (path,) = (place.project.state_dir / "baselines" / "log").glob(f"{decided.decision}.json")
    document = json.loads(path.read_bytes())
    assert document["action"] == "rule"
    assert document["rule"]["id"] == rule.id
    assert document["rule"]["range"] == [2, 3]
    assert document["rule"]["file"] == ".clnrm/baselines/rules.toml"
    assert review.verify() == []


def test_undo_takes_the_rule_out_byte_for_byte_and_the_difference_waits_again(place):
    path = place.review().store.rules_path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(OLD_RULES)
    review = differing(place, rows=3)
    review.make_rule(ID, chosen(review, "range").rule)

    review.undo(ID)

    assert path.read_bytes() == OLD_RULES
    assert review.reviews.get(ID).state == "pending"
    assert [one.action for one in review.history(ID)] == ["accept", "rule", "undo"]
    assert review.verify() == []


def test_undo_of_the_first_rule_removes_the_file(place):
    review = differing(place, rows=3)
    review.make_rule(ID, chosen(review, "range").rule)

    review.undo(ID)

    assert not review.store.rules_path.exists()


def test_undo_keeps_what_somebody_wrote_behind_the_rule(place):
    review = differing(place, rows=3)
    path = review.store.rules_path
    review.make_rule(ID, chosen(review, "range").rule)
    path.write_bytes(path.read_bytes() + OLD_RULES)

    review.undo(ID)

    assert path.read_bytes() == OLD_RULES


def test_undo_leaves_a_rule_alone_that_was_edited(place):
    review = differing(place, rows=3)
    path = review.store.rules_path
    review.make_rule(ID, chosen(review, "range").rule)
    edited = path.read_bytes().replace(b"range = [2, 3]", b"range = [1, 9]")
    path.write_bytes(edited)

    with pytest.raises(UsageError, match="as it was written"):
        review.undo(ID)
    assert path.read_bytes() == edited


def test_a_rule_goes_to_the_end_of_the_scenario_file_and_nothing_else_of_it_changes(place):
    review = differing(place, rows=3)
    file = place.root / TEST

    review.make_rule(ID, chosen(review, "range").rule, place="scenario")
    written = file.read_text()
    review.undo(ID)

    assert written.startswith(SCENARIO + "\n\n[[tolerance]]\n")
    assert "range = [2, 3]" in written
    assert file.read_text() == SCENARIO
    assert not review.store.rules_path.exists()


def test_line_breaks_of_a_scenario_file_are_kept(place):
    review = differing(place, rows=3)
    file = place.root / TEST
    file.write_bytes(SCENARIO.replace("\n", "\r\n").encode())

    review.make_rule(ID, chosen(review, "range").rule, place="scenario")

    assert file.read_bytes().count(b"\n") == file.read_bytes().count(b"\r\n")


def test_a_rule_is_not_written_beside_an_array_of_rules(place):
    review = differing(place, rows=3)
    file = place.root / TEST
    file.write_text("tolerance = []\n")

    with pytest.raises(UsageError, match="keeps its rules in an array"):
        review.make_rule(ID, chosen(review, "range").rule, place="scenario")
    assert file.read_text() == "tolerance = []\n"


def test_the_same_rule_again_changes_nothing(place):
    review = differing(place, rows=3)
    rule = chosen(review, "range").rule
    review.make_rule(ID, rule)
    before = place.files()

    decided = review.make_rule(ID, rule)

    assert not decided.changed
    assert place.files() == before


def test_ci_makes_no_rule(place):
    review = differing(place, rows=3)
    rule, before = chosen(review, "range").rule, place.files()

    with pytest.raises(UsageError, match="`--ci` never does"):
        place.review(read_only=True).make_rule(ID, rule)
    assert place.files() == before


def test_a_damaged_rules_file_is_told_and_left(place):
    review = differing(place, rows=3)
    rule, path = chosen(review, "range").rule, review.store.rules_path
    path.write_bytes(b"[[tolerance]\n")

    with pytest.raises(ClnrmError) as caught:
        review.make_rule(ID, rule)
    assert caught.value.code == "CLN325"
    assert path.read_bytes() == b"[[tolerance]\n"


# ----------------------------------------------------------------------------------------- back-tests


def test_a_back_test_counts_the_alarms_a_rule_would_have_spared(place):
    review = differing(place, rows=3)
    for rows in (2, 3, 3, 9):
        place.store(trace(rows=rows))

    test = chosen(review, "range").test

    assert (test.runs, test.alarms, test.quieted) == (4, 3, 2)
    assert test.is_thin
    assert "which is few" in test.sentences()[0]


def test_a_rule_that_hides_what_was_rejected_names_it_and_is_confirmed_twice(place):
    review = differing(place, rows=3)
    place.store(trace(rows=3))
    review.reject(ID, by="bob <bob@example.com>", message="too many")
    rejected = place.review()
    place.run(trace(rows=3))
    offer = chosen(rejected, "range")

    with pytest.raises(UsageError, match="by bob: too many"):
        rejected.make_rule(ID, offer.rule)
    decided = rejected.make_rule(ID, offer.rule, confirmed=True)

    assert offer.hides
    assert decided.changed


def test_narrower_rules_find_more_of_what_is_injected_where_they_hold(place):
    review = differing(place, rows=3)
    place.store(trace(rows=3))

    tests = {offer.rule.word: offer.test for offer in offers(review)}

    assert all(test.injected == 50 for test in tests.values())
    assert tests["range"].found > tests["ignore"].found > 0


def test_the_same_rule_is_tried_with_the_same_edits_each_time(place):
    review = differing(place, rows=3)
    place.store(trace(rows=3))

    assert [one.test for one in offers(review)] == [one.test for one in offers(place.review())]


def test_runs_are_held_against_the_baseline_of_their_time(place):
    place.store(trace(rows=2))
    place.run(trace(rows=2))
    place.review().accept([ID])
    place.run(trace(rows=5))
    place.review().accept([ID])
    place.run(trace(rows=6))

    test = chosen(place.review(), "range").test

    # The first run was as its baseline said, whatever has been accepted since.
    assert (test.runs, test.alarms) == (1, 0)


def test_at_most_a_hundred_runs_are_looked_at(place):
    review = differing(place, rows=3)
    for _ in range(RUNS + 5):
        place.store(trace(rows=2))

    assert chosen(review, "range").test.runs == RUNS


def test_a_cause_that_no_rule_can_allow_says_so(place):
    review = differing(place, rows=3)

    with pytest.raises(UsageError, match="no pending edit or cause is called e123"):
        review.offers(ID, ["e123"])
