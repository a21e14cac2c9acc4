"""Runs held against accepted traces, from the front doors: missing, accepted, same, changed, decided."""

import json
import shutil
import subprocess
import sys
from importlib import resources

import pytest

import clnrm_nb
from clnrm_nb import api
from clnrm_nb.api.reviewing import ReviewDesk
from clnrm_nb.errors import UsageError

FILE = "green.clnrm.toml.tera"
ID = f"{FILE}::prints"


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / ".clnrm").mkdir()
    with resources.as_file(resources.files("clnrm_nb.self_test")) as source:
        shutil.copy(source / FILE, tmp_path / FILE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def clnrm(*words):
    return subprocess.run(
        [sys.executable, "-m", "clnrm_nb", *words], capture_output=True, text=True, check=False, timeout=60
    )


def run(**options):
    return clnrm_nb.run(FILE, backend="process", **{"baseline": True, **options})


def accepted(project):
    run(update_baseline=True)
    (file,) = (project / ".clnrm" / "baselines").glob("*.json")
    return file


def test_a_missing_baseline_is_said_and_fails_nothing(project):
    result = run()

    assert result.ok
    assert result.diff.comparisons[0].status == "missing"


def test_a_missing_baseline_fails_in_ci_and_nothing_is_written(project):
    result = run(ci=True)

    assert result.exit_code == 1
    assert "CLN701" in result.diagnostics["code"].tolist()
    assert not (project / ".clnrm" / "baselines").exists()


def test_an_unchanged_run_is_the_same_and_changes_no_byte(project):
    file = accepted(project)
    before = file.read_bytes()

    result = run(update_baseline=True)

    assert result.ok
    assert result.diff.comparisons[0].status == "same"
    assert file.read_bytes() == before


def test_a_changed_trace_fails_the_test_and_names_the_edit(project):
    accepted(project)

    result = run(vars={"root": "other"})

    assert result.exit_code == 1
    assert result.raw["data"]["tests"][0]["status"] == "failed"
    assert result.diff.frame["op"].tolist() == ["rename"]
    assert "CLN704" in result.diagnostics["code"].tolist()


def test_a_change_that_is_accepted_by_its_cause_is_the_same_next_time(project):
    accepted(project)
    changed = run(vars={"root": "other"})
    cause = changed.diff.frame["cause_id"][0]

    api.baseline_accept(ID, cause=[cause], message="new name", by="ada <ada@example.com>")
    again = run(vars={"root": "other"})

    assert again.ok
    history = api.baseline_history(ID).frame
    assert history["accepted_by"].tolist()[-1] == "ada <ada@example.com>"
    assert history["version"].tolist() == [1, 2]


def test_a_rejected_trace_is_rejected_when_it_comes_again(project):
    accepted(project)
    run(vars={"root": "other"})

    api.baseline_reject(ID, message="lost its name")
    again = run(vars={"root": "other"})

    assert again.exit_code == 1
    assert "CLN705" in again.diagnostics["code"].tolist()


def test_the_column_of_reviews_was_empty_after_every_run(project):
    """``result.diff.frame.review`` had its categories and no value, whatever waited or was rejected."""
    accepted(project)

    waiting = run(vars={"root": "other"})
    unknown = run(vars={"root": "other"}, ci=True)
    api.baseline_reject(ID)
    rejected = run(vars={"root": "other"})

    assert waiting.diff.frame["review"].tolist() == ["pending"]
    assert unknown.diff.frame["review"].isna().all()
    assert rejected.diff.frame["review"].tolist() == ["rejected"]
    assert "pending" not in waiting.diff.tree()


def test_what_is_rejected_twice_was_called_a_version(project):
    """``nothing to do, version None is the same``."""
    run()
    api.baseline_reject(ID)

    again = api.baseline_reject(ID)

    assert f"{ID}: nothing to do, this trace is rejected already" in repr(again)


def test_a_rejection_that_is_taken_back_waits_for_a_decision_again_also_after_another_run(project):
    accepted(project)
    run(vars={"root": "other"})
    api.baseline_reject(ID, message="lost its name")
    again = run(vars={"root": "other"})

    api.baseline_undo(ID)

    assert f"`clnrm baseline undo '{ID}'`" in again.diff.comparisons[0].diagnostics[0].hint
    assert api.review().frame["id"].tolist() == [ID]


def test_a_rejected_trace_below_a_later_decision_can_be_accepted_after_all(project):
    accepted(project)
    run(vars={"root": "other"})
    api.baseline_reject(ID)
    run(vars={"root": "third"})
    api.baseline_accept(ID)

    again = run(vars={"root": "other"})

    assert f"`clnrm baseline accept '{ID}'`" in again.diff.comparisons[0].diagnostics[0].hint
    api.baseline_accept(ID)
    assert run(vars={"root": "other"}).ok


def test_a_list_of_what_waits_leaves_out_what_was_accepted_of_it(project):
    accepted(project)
    text = (project / FILE).read_text(encoding="utf-8")
    (project / FILE).write_text(
        text.replace('"name": "reserve"', '"name": "reserve", "attributes": {"n": 1}')
    )
    changed = run(vars={"root": "other"}).diff.frame
    assert len(changed) == 2

    api.baseline_accept(ID, edit=[changed["edit_id"][0]])

    listed = api.review().frame
    assert listed["edits"].tolist() == [1]
    assert ";" not in listed["causes"][0]


def test_a_decision_can_be_taken_back(project):
    file = accepted(project)
    first = file.read_bytes()
    run(vars={"root": "other"})
    api.baseline_accept(ID)

    api.baseline_undo(ID)

    assert file.read_bytes() == first


def test_undoing_the_first_decision_says_that_nothing_is_accepted_any_more(project):
    file = accepted(project)

    undone = api.baseline_undo(ID)

    assert not file.exists()
    assert "nothing is accepted: there is no" in undone.notes[0]


def test_an_older_version_can_be_brought_back(project):
    accepted(project)
    run(vars={"root": "other"})
    api.baseline_accept(ID)

    api.baseline_restore(ID, version=1)

    assert run().ok


def test_ci_refuses_decisions(project):
    accepted(project)
    run(vars={"root": "other"})

    with pytest.raises(UsageError):
        api.baseline_accept(ID, ci=True)


def test_a_damaged_baseline_is_one_message_and_stays_as_it_is(project):
    file = accepted(project)
    damaged = file.read_bytes().replace(b"reserve", b"reserva")
    file.write_bytes(damaged)

    done = clnrm("run", FILE, "--backend", "process", "--baseline")

    assert done.returncode == 2
    assert "CLN702" in done.stdout
    assert file.read_bytes() == damaged


@pytest.mark.parametrize("form", ["human", "json", "junit", "tap", "github"])
def test_a_diff_says_what_changed_in_every_format(project, form):
    accepted(project)

    done = clnrm("diff", FILE, "--backend", "process", "-m", "root=other", "-f", form)

    assert done.returncode == 1, done.stderr
    assert "checkout" in done.stdout
    assert "other" in done.stdout


def test_a_diff_of_the_last_run_runs_nothing(project):
    accepted(project)
    run(vars={"root": "other"})
    (project / ".clnrm" / "artifacts").rename(project / "moved")

    done = clnrm("diff", FILE, "--run", "never", "--view", "markdown")

    assert done.returncode == 1, done.stderr
    assert "checkout → other" in done.stdout
    assert not (project / ".clnrm" / "artifacts").exists()


def test_a_diff_of_a_broken_file_is_never_green(project):
    (project / FILE).write_text("[meta\n")

    assert clnrm("diff", FILE, "--backend", "process").returncode == 2


def test_two_trace_files_are_compared(project):
    run()
    (before,) = (project / ".clnrm" / "artifacts").rglob("prints/spans.json")
    after = project / "after.json"
    after.write_text(before.read_text().replace("reserve", "hold"))

    same = clnrm("diff", str(before), str(before))
    changed = clnrm("diff", str(before), str(after), "-f", "json")

    assert same.returncode == 0, same.stderr
    assert changed.returncode == 1
    assert [edit["op"] for edit in json.loads(changed.stdout)["data"]["diffs"][0]["edits"]] == ["rename"]


def test_pending_differences_are_listed_and_counted(project):
    accepted(project)
    run(vars={"root": "other"})

    done = clnrm("review", "--list")

    assert done.returncode == 1
    assert ID in done.stdout
    assert clnrm("baseline", "list").returncode == 0


def test_an_update_that_writes_nothing_says_why(project):
    file = accepted(project)
    before = file.read_bytes()
    text = (project / FILE).read_text(encoding="utf-8")
    (project / FILE).write_text(f'{text}\n[[expect.span]]\nname = "never"\n', encoding="utf-8")

    result = run(update_baseline=True, vars={"root": "other"})

    said = "; ".join(result.diagnostics["message"])
    assert "--update-baseline wrote nothing" in said
    assert "not passed" in said
    assert file.read_bytes() == before


def lose_a_parent(project):
    """Make the run's trace incomplete: its child names a parent that nobody sends."""
    text = (project / FILE).read_text(encoding="utf-8")
    lost = text.replace('"parent_span_id": "b7ad6b7169203331"', '"parent_span_id": "b7ad6b7169203339"')
    assert lost != text
    (project / FILE).write_text(lost, encoding="utf-8")


@pytest.mark.parametrize("has_baseline", [True, False])
def test_an_update_never_takes_an_incomplete_trace_and_says_so(project, has_baseline):
    before = accepted(project).read_bytes() if has_baseline else None
    lose_a_parent(project)

    result = run(update_baseline=True)

    (finding,) = [found for found in result.raw["diagnostics"] if found["code"].startswith("CLN7")]
    assert finding["code"] == "CLN707"
    assert "the trace is incomplete (1 orphan); " in finding["message"]
    assert "--update-baseline wrote nothing: an incomplete trace is never accepted" in finding["message"]
    assert not result.ok
    files = [file.read_bytes() for file in (project / ".clnrm" / "baselines").glob("*.json")]
    assert files == ([before] if has_baseline else [])


def test_accept_all_after_a_plain_run_makes_the_next_comparison_green(project):
    run(baseline=False)

    done = clnrm("baseline", "accept", "--all")

    assert (done.returncode, f"{ID}: accepted" in done.stdout) == (0, True)
    assert [one.status for one in run().diff.comparisons] == ["same"]
    assert "every latest trace is its baseline already" in clnrm("baseline", "accept", "--all").stdout


def test_accept_all_before_any_run_says_what_to_run(project):
    done = clnrm("baseline", "accept", "--all")

    assert done.returncode == 2
    assert "`clnrm run`" in done.stderr


def test_the_report_files_of_a_test_tell_what_differs(project):
    accepted(project)
    text = (project / FILE).read_text(encoding="utf-8")
    (project / FILE).write_text(f'{text}\n[report]\njson = "r.json"\nhtml = "r.html"\nmarkdown = "r.md"\n')

    result = run(vars={"root": "other"})

    assert [diff["status"] for diff in result.raw["data"]["diffs"]] == ["changed"]
    assert not json.loads((project / "r.json").read_text())["passed"]
    assert "renamed" in (project / "r.json").read_text()
    assert "renamed" in (project / "r.md").read_text()
    assert "renamed" in (project / "r.html").read_text()


def test_a_test_is_accepted_with_all_that_is_undecided_of_it(project):
    text = (project / FILE).read_text(encoding="utf-8")
    (_, scenario), rest = text.split("[[scenario]]"), text.index("[[expect.span]]")
    again = scenario[: scenario.index("[[expect.span]]")].replace('"prints"', '"says"')
    again = again.replace("0af7651916", "1af7651916")
    once = text[:rest] + f"[[scenario]]{again}" + text[rest:].replace("spans_total = 2", "spans_total = 4")
    (project / FILE).write_text(once, encoding="utf-8")
    run(baseline=False)

    done = api.baseline_accept(FILE, message="both", by="ada")

    assert done.frame["scenario_id"].tolist() == [ID, f"{FILE}::says"]
    assert {one.status for one in run().diff.comparisons} == {"same"}


def test_a_stored_trace_of_a_failed_test_is_compared_and_not_accepted_as_if_it_had_passed(project):
    accepted(project)
    text = (project / FILE).read_text(encoding="utf-8")
    (project / FILE).write_text(f'{text}\n[[expect.span]]\nname = "never"\n', encoding="utf-8")
    run(baseline=False, vars={"root": "other"})
    failed_run = api.history().frame["run"][0]

    compared = api.diff(FILE, run_when="never")

    assert compared.comparisons[0].status == "changed"
    with pytest.raises(UsageError, match="not passed"):
        api.baseline_accept(ID)
    api.baseline_accept(ID, force=True)
    assert api.baseline_history(ID).raw["data"]["decisions"][-1]["run"] == failed_run


def test_a_difference_of_a_test_that_was_not_run_again_stands_at_its_scenario(project):
    accepted(project)
    other = {"root": "other"}
    ran = run(vars=other).diff.comparisons[0]

    known = run(vars=other)

    finding = known.diff.comparisons[0].diagnostics[0]
    assert known.frame["cached"].any()
    assert finding.line == ran.diagnostics[0].line > 1


def test_a_decision_about_a_test_that_was_not_run_again_names_what_it_was_made_of(project):
    accepted(project)
    other = {"root": "other"}
    for _ in range(2):
        run(vars=other)

    api.baseline_accept(ID)

    log = [json.loads(path.read_text()) for path in (project / ".clnrm" / "baselines" / "log").iterdir()]
    assert all(decision["source_hash"] and decision["vars_hash"] for decision in log)


def test_undoing_a_rule_says_where_it_is_no_longer(project):
    accepted(project)
    run(vars={"root": "other"})
    desk = ReviewDesk(api.context({}), by="ada")
    cause = api.diff(FILE, run_when="never").frame["cause_id"][0]
    desk.make_rule(ID, desk.offers(ID, cause)[0])

    undone = api.baseline_undo(ID)

    assert "is no longer in .clnrm/baselines/rules.toml" in undone.notes[0]
    assert "version" not in undone.notes[0]
