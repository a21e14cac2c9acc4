"""Runs compared with baselines, and the decisions people make about the differences."""

from __future__ import annotations

import itertools
import json
import os
import re
from datetime import UTC, datetime

import pytest

from clnrm_nb.baseline import BaselineReview, Terms, compare_run
from clnrm_nb.config.project import Project
from clnrm_nb.config.settings import load_settings
from clnrm_nb.errors import ClnrmError, Diagnostic, UsageError
from clnrm_nb.executor.outcome import ScenarioOutcome, TestOutcome
from clnrm_nb.spans.canonical import trace_digest
from clnrm_nb.spans.loaders import write_otlp_json
from clnrm_nb.spans.model import Resource, Span
from clnrm_nb.spans.table import SpanTable
from clnrm_nb.state import State

TEST = "tests/api.clnrm.toml"
ID = f"{TEST}::checkout"
ADA = "ada <ada@example.com>"
CLOCK = itertools.count()


def trace(*names, rows=2, **attributes):
    """A root with a child a name; `rows` and other attributes stand on the first child."""
    spans = [Span("1" * 32, "1" * 16, "GET /", resource=Resource({"service.name": "api"}))]
    for number, name in enumerate(names or ("SELECT", "charge")):
        own = {"rows": rows, **attributes} if not number else {}
        spans.append(
            Span("1" * 32, f"{number + 2:016x}", name, "1" * 16, attributes=own, resource=spans[0].resource)
        )
    return SpanTable(spans)


class Place:
    """A project with runs in it."""

    def __init__(self, root):
        self.root = root
        self.project = Project(root, root / ".clnrm")
        self.state = State.open(self.project.state_dir)
        self.runs = 0

    def review(self, **options):
        return BaselineReview(
            self.project,
            self.state,
            now=lambda: datetime.fromtimestamp(1_735_689_600 + next(CLOCK), UTC),
            **options,
        )

    def outcome(self, table, *, status="passed", complete=True, scenario="checkout", test=TEST):
        spans = SpanTable()
        for span in table.spans():
            spans.append(span, scenario)
        part = [ScenarioOutcome(scenario, status=status)] if scenario else []
        lost = [] if complete else [Diagnostic("CLN614", "2 orphans")]
        return TestOutcome(
            test, test, status=status, complete=complete, scenarios=part, spans=spans, diagnostics=lost
        )

    def run(self, table, *, ci=False, suite=None, overrides=None, **about):
        self.runs += 1
        run_id = f"01{self.runs:03d}"
        outcome = self.outcome(table, **about)
        return compare_run(
            [outcome],
            project=self.project,
            state=self.state,
            settings=load_settings(self.project, overrides=overrides or {}, environ={}),
            run_id=run_id,
            at="2025-01-01T00:00:00Z",
            terms={TEST: Terms(source_hash="sha256:source", vars_hash="sha256:vars")},
            suite=suite,
            ci=ci,
        )

    def store(self, table, **about):
        """A run that was recorded and not compared."""
        self.runs += 1
        outcome = self.outcome(table, **about)
        self.state.save_run(
            {
                "run": f"01{self.runs:03d}",
                "started_at": "2025-01-01T00:00:00Z",
                "data": {"tests": [outcome.to_json()]},
            },
            {outcome.id: write_otlp_json(outcome.spans)} if len(outcome.spans) else {},
        )

    @property
    def file(self):
        return self.review().store.path(ID)

    def files(self):
        """Every file a person might commit, with its bytes and time."""
        base = self.project.state_dir / "baselines"
        return {
            path.relative_to(base).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
            for path in sorted(base.rglob("*"))
            if path.is_file()
        }


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path)
    yield place
    place.state.close()


def only(comparisons):
    (comparison,) = comparisons
    return comparison


# ------------------------------------------------------------------------------------------------ comparing


@pytest.mark.parametrize(
    ("how", "severity"),
    [
        ({}, "info"),
        ({"ci": True}, "error"),
        ({"overrides": {"baseline.require": True}}, "error"),
    ],
)
def test_a_scenario_without_a_baseline_is_missing_and_fails_only_where_one_is_required(place, how, severity):
    comparison = only(place.run(trace(), **how))

    assert (comparison.id, comparison.status, comparison.code) == (ID, "missing", "CLN701")
    assert [finding.severity for finding in comparison.diagnostics] == [severity]
    assert comparison.is_failure == (severity == "error")


def test_an_accepted_trace_is_the_same_next_time(place):
    place.run(trace())
    place.review().accept([ID], by=ADA, message="first")

    comparison = only(place.run(trace()))

    assert (comparison.status, comparison.code, comparison.diagnostics) == ("same", None, ())
    assert comparison.baseline.version == 1
    assert comparison.file == ".clnrm/baselines/" + place.file.name
    assert place.review().pending() == []


def test_only_a_scenario_that_ran_can_be_accepted_in_place_of_a_missing_baseline(place):
    place.run(trace())

    hints = []
    for baseline_id in (ID, "shop.clnrm.toml::nope"):
        with pytest.raises(ClnrmError) as told:
            place.review().show(baseline_id)
        assert told.value.code == "CLN701"
        hints.append(told.value.hint)

    assert "baseline accept" in hints[0]
    assert hints[1].startswith("no such scenario ran here")


def test_a_changed_trace_is_told_in_numbers_and_waits_for_review(place):
    place.run(trace())
    place.review().accept([ID])

    comparison = only(place.run(trace("SELECT", rows=3)))

    assert (comparison.status, comparison.code) == ("changed", "CLN704")
    assert comparison.diagnostics[0].message == f"`{ID}` differs: 1 changed, 1 missing"
    assert comparison.diagnostics[0].scenario == "checkout"
    assert [review.id for review in place.review().pending()] == [ID]


def test_a_rejected_trace_is_told_by_whom_and_why_and_the_file_stays(place):
    place.run(trace())
    review = place.review()
    review.accept([ID])
    before = place.file.read_bytes()
    place.run(trace("SELECT"))

    decided = review.reject(ID, by=ADA, message="lost spans")

    comparison = only(place.run(trace("SELECT")))
    assert decided.changed
    assert (comparison.status, comparison.code) == ("rejected", "CLN705")
    assert "was rejected on 2025-01-01 by ada: lost spans" in comparison.diagnostics[0].message
    assert place.file.read_bytes() == before
    assert only(place.run(trace("SELECT", "other"))).code == "CLN704"


def test_accepting_a_rejected_trace_ends_the_rejection(place):
    place.run(trace())
    review = place.review()
    review.reject(ID)

    review.accept([ID])

    assert only(place.run(trace())).status == "same"
    assert only(place.run(trace("SELECT"))).status == "changed"


def test_an_incomplete_trace_decides_nothing(place):
    place.run(trace())
    place.review().accept([ID])

    comparison = only(place.run(trace("SELECT"), complete=False))

    assert (comparison.status, comparison.code) == ("incomplete", "CLN707")
    assert comparison.diff
    assert place.review().pending() == []


def test_an_incomplete_trace_without_a_baseline_is_incomplete_not_missing(place):
    comparison = only(place.run(trace(), complete=False))

    assert (comparison.status, comparison.code) == ("incomplete", "CLN707")
    assert comparison.diagnostics[0].message == (
        f"the trace is incomplete (2 orphans); it cannot be the first baseline of `{ID}`"
    )
    assert place.review().pending() == []


def test_an_unused_file_is_named_only_when_the_whole_suite_ran(place):
    place.run(trace())
    place.review().accept([ID])
    place.run(trace(), scenario="gone")
    place.review().accept([f"{TEST}::gone"])

    assert [c.code for c in place.run(trace())] == [None]
    whole = place.run(trace(), suite={TEST, ID})
    in_ci = place.run(trace(), suite={TEST, ID}, ci=True)
    (hint,) = {c.diagnostics[0].hint for c in (whole[1], in_ci[1])}
    failed = place.run(trace(), suite={TEST, ID}, status="failed")

    assert [c.code for c in whole] == [None, "CLN706"]
    assert [c.diagnostics[0].severity for c in (whole[1], in_ci[1])] == ["warning", "error"]
    assert [c.code for c in failed] == [None]
    (name,) = re.findall(r"`(\.clnrm/.*json)`", whole[1].diagnostics[0].message)
    assert (place.root / name).is_file()
    assert "gc --unused" in hint


def test_a_scenario_without_spans_and_without_a_baseline_is_not_compared(place):
    assert place.run(SpanTable()) == []


def test_spans_at_test_level_have_a_baseline_of_their_own(place):
    comparison = only(place.run(trace(), scenario=None))

    assert (comparison.id, comparison.scenario, comparison.status) == (TEST, None, "missing")


def test_a_damaged_baseline_is_an_error_and_nothing_is_kept_for_review(place):
    place.run(trace())
    place.review().accept([ID])
    place.file.write_bytes(place.file.read_bytes()[:100])

    comparison = only(place.run(trace()))

    assert (comparison.status, comparison.code) == ("error", "CLN702")
    assert place.review().pending() == []
    with pytest.raises(ClnrmError, match="CLN702"):
        place.review().accept([ID])


def test_ci_writes_nothing_at_all(place):
    place.run(trace())
    place.review().accept([ID])
    place.state.close()
    before = place.files()
    base = place.project.state_dir
    everything = {path: path.stat().st_mtime_ns for path in base.rglob("*") if path.is_file()}

    comparison = only(place.run(trace("SELECT"), ci=True))

    assert comparison.code == "CLN704"
    assert place.files() == before
    assert {p: p.stat().st_mtime_ns for p in base.rglob("*") if p.is_file() and p.suffix != ".db-shm"} == {
        p: t for p, t in everything.items() if p.suffix != ".db-shm"
    }
    for decide in ("accept", "reject", "restore", "undo"):
        review = place.review(read_only=True)
        with pytest.raises(UsageError, match="`--ci` never does"):
            getattr(review, decide)([ID] if decide == "accept" else ID)


def test_a_given_trace_file_serves_scenarios_without_a_file_of_their_own(place):
    (place.root / "trace.json").write_bytes(write_otlp_json(trace()))
    given = {"diff.baseline_path": "trace.json"}

    same, changed = (only(place.run(t, overrides=given)) for t in (trace(), trace("SELECT")))
    place.run(trace("SELECT"))
    place.review().accept([ID])
    own = only(place.run(trace("SELECT"), overrides=given))

    assert (same.status, same.from_trace_file) == ("same", True)
    assert changed.code == "CLN704"
    assert (own.status, own.from_trace_file) == ("same", False)


def test_a_given_trace_file_of_another_form_is_compared_in_what_both_can_say(place):
    spans = [
        {
            "traceId": span.trace_id,
            "id": span.span_id,
            "name": span.name.lower(),
            "localEndpoint": {"serviceName": "api"},
            "tags": {key: str(value) for key, value in span.attributes.items()},
        }
        | ({"parentId": span.parent_span_id} if span.parent_span_id else {})
        for span in trace().spans()
    ]
    (place.root / "trace.json").write_text(json.dumps(spans))
    given = {"diff.baseline_path": "trace.json"}

    same, changed = (only(place.run(trace(rows=rows), overrides=given)) for rows in (2, 3))

    assert same.status == "same"
    assert "baseline is zipkin: values are compared as text" in same.diff.notes
    assert [edit.key for edit in changed.diff.counted] == ["rows"]


def test_a_trace_file_without_spans_is_told(place):
    (place.root / "trace.json").write_text("{}")

    comparison = only(place.run(trace(), overrides={"diff.baseline_path": "trace.json"}))

    assert (comparison.status, comparison.code) == ("error", "CLN607")
    assert (comparison.file, comparison.from_trace_file) == ("trace.json", True)


# ------------------------------------------------------------------------------------------------ accepting


def test_accepting_writes_version_one_and_who_when_and_why(place):
    place.run(trace())

    (decided,) = place.review().accept([ID], by=ADA, message="first")

    (decision,) = place.review().history(ID)
    assert (decided.version, decided.changed, decided.previous) == (1, True, None)
    assert decided.digest == trace_digest(trace())
    assert decision.to_json() == {
        "format": "clnrm-decision/1",
        "id": ID,
        "action": "accept",
        "version": 1,
        "digest": trace_digest(trace()),
        "previous": None,
        "edits": [],
        "causes": [],
        "rule": None,
        "at": decision.at,
        "by": ADA,
        "reason": "first",
        "run": "01001",
        "source_hash": "sha256:source",
        "vars_hash": "sha256:vars",
        "clnrm_nb": decision.clnrm_nb,
        "parents": [],
    }
    assert decision.at.startswith("2025-01-01T")


def test_an_identical_trace_adds_no_version_and_changes_no_byte(place):
    place.run(trace())
    place.review().accept([ID])
    before = place.files()
    place.run(trace())
    place.store(trace())

    (decided,) = place.review().accept([ID])

    assert (decided.changed, decided.version, decided.decision) == (False, 1, None)
    assert place.files() == before


def test_the_next_version_names_the_one_before(place):
    place.run(trace())
    place.review().accept([ID])
    place.run(trace(rows=3))

    (decided,) = place.review().accept([ID])

    first, second = place.review().history(ID)
    assert decided.version == 2
    assert second.parents == (first.hash,)
    assert second.previous == first.digest


@pytest.mark.parametrize(
    ("run", "says"),
    [
        ((trace(), {"status": "failed"}), "failed, not passed"),
        ((trace(), {"complete": False}), "incomplete"),
        ((SpanTable(), {}), "has no spans"),
    ],
)
def test_what_must_not_become_a_baseline_is_refused(place, run, says):
    place.store(run[0], **run[1])

    with pytest.raises(UsageError, match=says):
        place.review().accept([ID])

    assert place.files() == {}


def test_force_accepts_a_test_that_did_not_pass_and_nothing_else(place):
    place.store(trace(), status="failed")
    (decided,) = place.review().accept([ID], force=True)
    place.store(trace("SELECT"), complete=False)

    assert decided.changed
    with pytest.raises(UsageError, match="incomplete"):
        place.review().accept([ID], force=True)


def test_a_failed_comparison_is_no_failure_of_the_test(place):
    place.run(trace())
    place.review().accept([ID])
    outcome = place.outcome(trace("SELECT"), status="passed")
    outcome.status = "failed"
    outcome.diagnostics = [Diagnostic("CLN704", "1 missing")]
    place.state.save_run(
        {"run": "02", "started_at": "2025-01-02T00:00:00Z", "data": {"tests": [outcome.to_json()]}},
        {TEST: write_otlp_json(outcome.spans)},
    )

    (decided,) = place.review().accept([ID])

    assert decided.digest == trace_digest(trace("SELECT"))


def test_the_latest_trace_counts_whether_it_was_compared_or_not(place):
    place.run(trace())
    place.store(trace(rows=7))

    (decided,) = place.review().accept([ID])

    assert decided.digest == trace_digest(trace(rows=7))


def test_what_a_person_looked_at_is_accepted_not_what_ran_since(place):
    place.run(trace())
    place.store(trace(rows=7))
    shown = trace_digest(trace())

    (decided,) = place.review().accept([ID], seen={ID: shown})

    assert decided.digest == shown
    with pytest.raises(UsageError, match="is not the one that was shown"):
        place.review().reject(ID, seen=trace_digest(trace(rows=99)))


def test_all_accepts_what_it_may_and_says_what_it_left(place):
    place.run(trace())
    place.run(trace(), scenario="broken", status="failed")

    decided = {one.id: one for one in place.review().accept(everything=True)}

    assert decided[ID].changed
    assert "not passed" in decided[f"{TEST}::broken"].refused
    assert [review.id for review in place.review().pending()] == [f"{TEST}::broken"]


@pytest.fixture
def written(place):
    """The project with its scenario file: what ran without being compared counts only beside it."""
    path = place.root / TEST
    path.parent.mkdir()
    path.touch()
    return place


def test_all_takes_traces_of_runs_that_nobody_compared(written):
    written.store(trace())

    (decided,) = written.review().accept(everything=True)

    assert (decided.id, decided.version) == (ID, 1)
    assert only(written.run(trace())).status == "same"
    assert written.review().accept(everything=True) == []


def test_all_takes_a_trace_that_differs_from_its_baseline_without_having_been_compared(written):
    written.run(trace())
    written.review().accept([ID])
    written.store(trace(rows=7))

    (decided,) = written.review().accept(everything=True)

    assert (decided.version, decided.digest) == (2, trace_digest(trace(rows=7)))


@pytest.mark.parametrize("about", [{"status": "failed"}, {"complete": False}])
def test_all_tells_what_of_an_uncompared_run_it_must_not_take(written, about):
    written.store(trace(), **about)

    (decided,) = written.review().accept(everything=True)

    assert decided.refused
    assert written.files() == {}


def test_all_leaves_what_was_rejected_and_what_nobody_has_any_more(written):
    written.run(trace())
    written.review().reject(ID)
    written.store(trace())
    written.store(trace(), test="tests/gone.clnrm.toml")

    assert written.review().accept(everything=True) == []


def test_all_where_nothing_ever_ran_says_what_to_run(place):
    with pytest.raises(UsageError, match=r"no trace is known here(?s:.*)`clnrm run`"):
        place.review().accept(everything=True)


def test_a_glob_takes_traces_of_runs_that_nobody_compared(written):
    written.store(trace())

    assert [one.id for one in written.review().accept(["tests/*"])] == [ID]


def test_several_named_ids_are_accepted_all_or_none(place):
    place.run(trace())
    place.run(trace(), scenario="broken", status="failed")

    with pytest.raises(UsageError, match="not passed"):
        place.review().accept([ID, f"{TEST}::broken"])

    assert place.files() == {}


def test_an_update_takes_what_passed_of_the_named_ids(place):
    place.run(trace())
    place.run(trace(), scenario="broken", status="failed")

    decided = place.review().accept([ID, f"{TEST}::broken"], skip_refused=True)

    assert [one.changed for one in decided] == [True, False]


def test_ids_may_be_globs_and_unknown_ones_are_told(place):
    place.run(trace())

    with pytest.raises(UsageError, match=f"no trace of `nope` is known\n  waiting: {ID}"):
        place.review().accept(["nope"])
    with pytest.raises(UsageError, match="name a scenario"):
        place.review().accept()
    assert [one.id for one in place.review().accept(["tests/*"])] == [ID]


def test_a_dry_run_says_what_would_be_and_writes_nothing(place):
    place.run(trace())

    (decided,) = place.review().accept([ID], dry_run=True)

    assert (decided.changed, decided.version, decided.decision) == (True, 1, None)
    assert place.files() == {}


# ---------------------------------------------------------------------------------------- some of the edits


def changed_place(place):
    place.run(trace())
    place.review().accept([ID])
    place.run(trace("SELECT", "charge", "mail", rows=3, table="orders"))
    return place.review()


def test_one_edit_is_a_patch_on_the_baseline_and_the_others_stay_open(place):
    review = changed_place(place)
    edits = review.session(ID).diff.counted
    chosen = next(edit for edit in edits if edit.key == "rows")

    (decided,) = review.accept([ID], edits=[chosen.edit_id], message="more rows")

    assert (decided.version, decided.left, decided.edits) == (2, len(edits) - 1, (chosen.edit_id,))
    assert review.show(ID).composed
    assert review.history(ID)[-1].edits == (chosen.edit_id,)
    assert chosen.edit_id not in review.session(ID).open
    assert len(review.session(ID).open) == len(edits) - 1
    assert [one.id for one in review.pending()] == [ID]


def test_edits_accepted_one_by_one_in_any_order_give_the_trace_of_the_run(tmp_path):
    wanted = trace_digest(trace("SELECT", "charge", "mail", rows=3, table="orders"))
    for number, order in enumerate(itertools.permutations(range(3))):
        place = Place(tmp_path / str(number))
        review = changed_place(place)
        edits = review.session(ID).diff.counted
        assert len(edits) == 3

        for index in order:
            review.accept([ID], edits=[edits[index].edit_id])

        found = review.show(ID)
        assert (found.digest, found.composed, found.version) == (wanted, False, 4)
        assert review.pending() == []
        assert review.verify() == []
        place.state.close()


def test_a_cause_is_accepted_by_its_id(place):
    review = changed_place(place)
    cause = review.session(ID).diff.causes[0]

    (decided,) = review.accept([ID], causes=[cause.cause_id])

    assert set(cause.edits) <= set(decided.edits)
    assert review.history(ID)[-1].causes == (cause.cause_id,)


def test_an_edit_that_does_not_exist_is_told_and_nothing_happens(place):
    review = changed_place(place)
    before = place.files()

    with pytest.raises(UsageError, match="no pending edit or cause is called e000000000000"):
        review.accept([ID], edits=["e000000000000"])

    assert place.files() == before


def test_an_edit_needs_a_baseline_to_patch(place):
    place.run(trace())

    with pytest.raises(UsageError, match="has no baseline to patch"):
        place.review().accept([ID], edits=["e000000000000"])


def test_a_composed_baseline_loses_its_mark_when_a_run_equals_it(place):
    review = changed_place(place)
    chosen = next(edit for edit in review.session(ID).diff.counted if edit.key == "rows")
    review.accept([ID], edits=[chosen.edit_id])
    before = place.file.read_bytes()

    in_ci = only(place.run(trace(rows=3), ci=True))
    after_ci = place.file.read_bytes()
    comparison = only(place.run(trace(rows=3)))

    assert in_ci.status == comparison.status == "same"
    assert after_ci == before
    assert place.file.read_bytes() == before.replace(b'"composed":true', b'"composed":false')


def test_a_baseline_changed_meanwhile_starts_the_review_over_from_it(place):
    review = changed_place(place)
    first = place.file.read_bytes()
    stale = next(edit for edit in review.session(ID).diff.counted if edit.key == "rows")
    place.run(trace(rows=9))
    review.accept([ID])
    place.run(trace("SELECT", "charge", "mail", rows=3, table="orders"))
    place.file.write_bytes(first)

    session = review.session(ID)

    assert session.is_fresh
    assert stale.edit_id in {edit.edit_id for edit in session.diff.counted}


# -------------------------------------------------------------------------------------- restore, undo, look


def test_undo_brings_every_state_back_byte_for_byte(place):
    place.run(trace())
    review = place.review()
    contents = []
    review.accept([ID])
    contents.append(place.file.read_bytes())
    place.run(trace(rows=3, table="orders"))
    edits = review.session(ID).diff.counted
    review.accept([ID], edits=[edits[0].edit_id])
    contents.append(place.file.read_bytes())
    review.accept([ID])

    for content in reversed(contents):
        review.undo(ID)
        assert place.file.read_bytes() == content
        assert [one.id for one in review.pending()] == [ID]
    assert set(review.session(ID).open) == {edit.edit_id for edit in edits}
    review.undo(ID)
    assert not place.file.exists()
    with pytest.raises(UsageError, match="is undone already"):
        review.undo(ID)


def test_undoing_a_rejection_makes_the_trace_wait_again(place):
    review = changed_place(place)
    review.reject(ID)
    assert review.pending() == []

    review.undo(ID)

    assert [one.id for one in review.pending()] == [ID]
    assert only(place.run(trace("SELECT", "charge", "mail", rows=3, table="orders"))).code == "CLN704"


def test_undo_does_not_touch_a_file_that_changed_since(place):
    review = changed_place(place)
    first = place.file.read_bytes()
    review.accept([ID])
    place.file.write_bytes(first)

    with pytest.raises(UsageError, match="is not what the last decision left"):
        review.undo(ID)

    assert place.file.read_bytes() == first


def test_restore_brings_a_version_back_byte_for_byte_and_versions_go_on(place):
    review = changed_place(place)
    first = place.file.read_bytes()
    review.accept([ID])

    decided = review.restore(ID, 1)
    content = place.file.read_bytes()
    place.run(trace(rows=8))
    (accepted,) = review.accept([ID])

    assert (decided.version, decided.changed) == (1, True)
    assert content == first
    assert accepted.version == 3
    assert review.show(ID, version=2).version == 2
    with pytest.raises(UsageError, match=r"nor git has version 9 .* \(they have: 1, 2, 3\)"):
        review.restore(ID, 9)


def test_restore_repairs_a_damaged_file(place):
    place.run(trace())
    review = place.review()
    review.accept([ID])
    content = place.file.read_bytes()
    place.file.write_bytes(b"{")

    review.restore(ID)

    assert place.file.read_bytes() == content
    review.undo(ID)
    assert place.file.read_bytes() == b"{"
    review.restore(ID)
    assert place.file.read_bytes() == content


def test_entries_show_files_and_what_waits(place):
    review = changed_place(place)
    place.run(trace(), scenario="new")
    (place.file.parent / "broken.json").write_text("{")

    entries = {entry.id: entry for entry in review.entries()}

    assert (entries[ID].version, entries[ID].state, entries[ID].span_count) == (1, "pending", 3)
    assert (entries[f"{TEST}::new"].version, entries[f"{TEST}::new"].state) == (None, "pending")
    assert entries["broken"].error.code == "CLN702"


def test_there_is_nothing_to_show_or_reject_where_nothing_is(place):
    with pytest.raises(ClnrmError, match="CLN701"):
        place.review().show(ID)
    with pytest.raises(UsageError, match="no trace of"):
        place.review().reject(ID)
    place.run(trace())
    place.review().accept([ID])
    with pytest.raises(UsageError, match="nothing to reject"):
        place.review().reject(ID)


def test_verify_tells_a_file_that_came_past_the_log(place):
    review = changed_place(place)
    first = place.file.read_bytes()
    review.accept([ID])
    assert review.verify() == []
    place.file.write_bytes(first)

    (finding,) = review.verify()

    assert finding.code == "CLN702"
    assert "no decision accounts for" in finding.message


def test_a_review_survives_another_process(place):
    review = changed_place(place)
    edits = {edit.edit_id for edit in review.session(ID).diff.counted}
    place.state.close()

    again = Place(place.root)

    assert {edit.edit_id for edit in again.review().session(ID).diff.counted} == edits
    again.state.close()


def test_who_decides_is_asked_of_git_where_nobody_says(place, monkeypatch):
    config = place.root / "gitconfig"
    config.write_text("[user]\n\tname = Grace\n\temail = grace@example.com\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.fspath(config))
    place.run(trace())

    place.review().accept([ID])

    assert place.review().history(ID)[0].by == "Grace <grace@example.com>"
