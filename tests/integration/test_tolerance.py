"""Tolerance rules from the front doors: in the scenario file and beside the baselines, in every comparison."""

import json
import re
import subprocess
import sys
import threading

import pytest

import clnrm_nb
from clnrm_nb import api
from clnrm_nb.baseline import rulefile
from clnrm_nb.config.project import Project
from clnrm_nb.errors import ClnrmError

FILE = "shop.clnrm.toml.tera"
ID = f"{FILE}::buys"
SCENARIO = r"""
[meta]
name = "shop"
version = "1"

[vars]
id = "req-1"
gets = 2
ms = 10
order = "1 2"

[otel]
exporter = "stdout"

[[scenario]]
name = "buys"
run = '''
echo x >> "$RUNS"
span() { printf '{"trace_id":"1","span_id":"%s","name":"%s","parent_span_id":"%s",%s}\n' "$@"; }
span a shop "" '"attributes":{"id":"{{ id }}","gets":{{ gets }}},"start_ns":1000000,"end_ns":{{ 1000000 + ms * 1000000 }}'
for n in $(seq 1 {{ gets }}); do span "g$n" get a '"start_ns":2000000,"end_ns":3000000'; done
at=4; for n in {{ order }}; do span "p$n" "part$n" a "\"start_ns\":${at}000000"; at=$((at + 1)); done
'''
"""

RULES = """\
# Ours, by hand.
[[tolerance]]
id = "ids"
reason = "ids differ between runs"
select = { key = "id" }
template = "req-[0-9]+"

[[tolerance]]
id = "retries"
reason = "the shop tries again"
select = { scenario = "buys", span = "get" }
count = "1..3"

[[tolerance]]
id = "gets"
reason = "as many as were tried"
select = { scenario = "*::buys", key = "gets" }
range = [1, 9]
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / ".clnrm").mkdir()
    (tmp_path / FILE).write_text(SCENARIO)
    monkeypatch.chdir(tmp_path)
    runs = tmp_path / "runs.txt"
    text = SCENARIO.replace('"$RUNS"', str(runs))
    (tmp_path / FILE).write_text(text)
    return tmp_path


def run(vars=None, **options):  # noqa: A002  # The option's name.
    return clnrm_nb.run(FILE, backend="process", vars=vars or {}, **{"baseline": True, **options})


def accept():
    run(update_baseline=True)


def write_rules(project, text=RULES):
    path = project / ".clnrm" / "baselines" / "rules.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def clnrm(*words):
    return subprocess.run(
        [sys.executable, "-m", "clnrm_nb", *words], capture_output=True, text=True, check=False, timeout=60
    )


def n_runs(project):
    return (project / "runs.txt").read_text().count("x")


def codes(result):
    return result.diagnostics["code"].tolist()


CHANGED = {"id": "req-2", "gets": 3}


def test_rules_beside_the_baselines_turn_a_changed_run_green(project):
    accept()
    assert not run(CHANGED).ok
    write_rules(project)

    result = run(CHANGED)

    assert result.ok
    frame = result.diff.frame
    assert frame["counted"].tolist() == [False] * 3
    assert sorted(frame["rule"]) == ["gets", "ids", "retries"]
    assert frame["review"].tolist() == ["rule"] * 3
    assert frame.set_index("rule")["reason"]["ids"] == "ids differ between runs"


def test_a_rule_does_not_hide_what_it_does_not_name(project):
    accept()
    write_rules(project)

    result = run({"id": "session-2", "gets": 4})

    assert not result.ok
    assert sorted(result.diff.frame.query("counted")["op"]) == ["attr~", "count"]


def test_a_changed_rule_judges_again_without_a_run(project):
    accept()
    run(CHANGED)
    before = n_runs(project)
    rules = write_rules(project)

    green = run(CHANGED)
    rules.write_text(RULES.replace('"1..3"', '"1..2"'))
    red = run(CHANGED)

    assert green.ok
    assert not red.ok
    assert red.diff.frame.query("counted")["op"].tolist() == ["count"]
    assert n_runs(project) == before


def test_rules_of_the_scenario_file_hold_and_a_changed_one_needs_no_run_and_is_told(project):
    text = (project / FILE).read_text()
    accept()
    run(CHANGED)
    before = n_runs(project)

    (project / FILE).write_text(text + RULES)
    green = run(CHANGED)
    (project / FILE).write_text(text + RULES.replace("req-", "session-"))
    red = run(CHANGED)
    why = clnrm("cache", "why", FILE, "-m", "id=req-2", "-m", "gets:=3").stdout

    assert green.ok
    assert not red.ok
    assert red.diff.frame.query("counted")["key"].tolist() == ["id"]
    assert n_runs(project) == before
    assert "tolerance rule ids changed: template" in why


def why(project):
    """What `cache why` says of the last run, and of a run that would be made now."""
    (found,) = api.cache_why(FILE, vars=CHANGED).raw["data"]["why"]
    return found["last"], found["now"]


def test_why_names_a_rule_beside_the_baselines_that_changed(project):
    """It said that nothing the test depends on had changed.

    And what was judged again could be judged again by every run after it: its old verdict was written back.
    """
    accept()
    run(CHANGED)
    rules = write_rules(project)
    _, now = why(project)
    run(CHANGED)
    new, _ = why(project)
    rules.write_text(RULES.replace("req-", "session-"))
    run(CHANGED)
    changed, _ = why(project)
    rules.unlink()
    run(CHANGED)
    gone, _ = why(project)
    run(CHANGED)
    same, _ = why(project)

    where = "(in baselines/rules.toml)"
    assert {one["answer"] for one in (now, new, changed, gone)} == {"rejudge"}
    assert f"tolerance rule ids is new {where}" in now["sentences"]
    assert new["sentences"] == now["sentences"]
    assert changed["sentences"] == [f"tolerance rule ids changed: template {where}"]
    assert f"tolerance rule ids is gone {where}" in gone["sentences"]
    assert (same["answer"], same["sentences"]) == ("hit", [])


def test_rules_of_other_scenarios_and_what_people_say_of_rules_judge_nothing_again(project):
    accept()
    rules = write_rules(project)
    run(CHANGED)
    other = '[[tolerance]]\nid = "other"\nreason = "r"\nselect = { scenario = "another*" }\nignore = true\n'
    rules.write_text(RULES.replace("ids differ between runs", "ids are made anew") + other)

    run(CHANGED)

    last, _ = why(project)
    assert (last["answer"], last["sentences"]) == ("hit", [])


def test_rules_of_a_file_that_need_not_be_read_hold_too(project):
    (project / FILE).write_text((project / FILE).read_text() + RULES)
    accept()
    run(CHANGED)

    result = run(CHANGED)

    assert result.ok
    assert result.raw["data"]["tests"][0]["status"] == "cached"
    assert set(result.diff.frame["rule"]) == {"gets", "ids", "retries"}


@pytest.mark.parametrize("run_when", ["auto", "never"])
def test_diff_knows_the_rules_and_tells_how_much_each_quiets(project, run_when):
    accept()
    run(CHANGED)
    write_rules(project)

    done = clnrm(
        "diff", FILE, "--backend", "process", "--run", run_when, "-m", "id=req-2", "-m", "gets:=3", "-v"
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 edit quieted by ids" in done.stdout
    assert "quieted by ids: " in done.stdout


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ("junit", '<property name="quieted.ids" value="1" />'),
        ("tap", 'quieted: {"'),
        ("json", '"rule":"ids"'),
    ],
)
def test_reports_for_machines_tell_what_is_quieted(project, form, told):
    accept()
    write_rules(project)

    done = clnrm("diff", FILE, "--backend", "process", "-m", "id=req-2", "-f", form)

    assert told.replace(" ", "") in done.stdout.replace(" ", "")


def test_two_trace_files_are_compared_by_the_rules_that_name_no_scenario(project):
    for name, number, gets in (("a.jsonl", 1, 2), ("b.jsonl", 2, 3)):
        attributes = {"id": f"req-{number}", "gets": gets}
        span = {"trace_id": "1", "span_id": "a", "name": "shop", "attributes": attributes}
        (project / name).write_text(json.dumps(span))
    write_rules(project)

    diff = api.diff(["a.jsonl", "b.jsonl"])

    assert diff.frame.query("counted")["key"].tolist() == ["gets"]


def test_analyze_compares_stored_spans_by_the_rules(project):
    accept()
    run(CHANGED)
    before = n_runs(project)

    red = api.analyze(FILE, baseline=True)
    write_rules(project)
    green = api.analyze(FILE, baseline=True)

    assert (red.ok, green.ok) == (False, True)
    assert n_runs(project) == before


def test_a_review_goes_by_the_rules_of_the_project_as_they_are_now(project):
    accept()
    write_rules(project)
    run({"id": "session-2", "gets": 3})

    ruled = api.review().frame
    (project / ".clnrm" / "baselines" / "rules.toml").unlink()

    assert ruled["edits"].tolist() == [1]
    assert "session-2" in ruled["causes"][0]
    assert api.review().frame["edits"].tolist() == [3]


def test_quieted_edits_leave_digests_alone(project):
    accept()
    write_rules(project)

    entry = run(CHANGED).raw["data"]["diffs"][0]

    assert entry["status"] == "same"
    assert entry["certified"]
    assert entry["baseline_digest"] != entry["trace_digest"]


# ------------------------------------------------------------------------------------------------ bad input


def test_a_broken_rules_file_is_one_message_before_anything_runs_and_stays_as_it_is(project):
    accept()
    before = n_runs(project)
    broken = RULES.replace('"1..3"', '"3..1"')
    path = write_rules(project, broken)

    done = clnrm("run", FILE, "--backend", "process", "--baseline", "--force")

    assert done.returncode == 2
    told = done.stdout + done.stderr
    assert ".clnrm/baselines/rules.toml:8:1" in told
    assert "CLN325" in told
    assert "Traceback" not in told
    assert path.read_text() == broken
    assert n_runs(project) == before


@pytest.mark.parametrize("text", ["[[tolerance", '[tolerance]\nid = "a"\n', "\ufffe", "x = 1\n"])
def test_whatever_is_wrong_with_the_rules_file_has_a_place(project, text):
    write_rules(project, text)

    with pytest.raises(ClnrmError) as caught:
        run()

    assert caught.value.code == "CLN325"
    assert re.fullmatch(r"\.clnrm/baselines/rules\.toml:\d+:\d+", str(caught.value.location))


def test_one_id_in_both_files_is_an_error_of_that_test(project):
    accept()
    (project / FILE).write_text((project / FILE).read_text() + RULES)
    write_rules(project)

    result = run()

    assert result.exit_code == 2
    (finding,) = result.diagnostics.query("code == 'CLN325'").itertuples()
    assert "rule `ids` is defined in the scenario file and in" in finding.message
    assert finding.file == FILE
    assert finding.line > 1


# --------------------------------------------------------------------------------------- rules grow old


def test_an_expired_rule_has_no_effect_and_is_told(project):
    accept()
    write_rules(
        project, RULES.replace('template = "req-[0-9]+"', 'template = "req-[0-9]+"\nexpires = 2020-01-31')
    )

    result = run({"id": "req-2"})

    assert not result.ok
    (finding,) = result.diagnostics.query("code == 'CLN708'").itertuples()
    assert "rule `ids` expired on 2020-01-31" in finding.message
    assert finding.severity == "warning"


def test_a_rule_that_matched_nothing_in_twenty_runs_is_stale(project):
    accept()
    write_rules(project)

    told = [codes(run({"id": "req-2"})) for _ in range(20)]

    assert all("CLN708" not in found for found in told[:-1])
    stale = run({"id": "req-2"}).diagnostics.query("code == 'CLN708'")["message"].tolist()
    assert [re.search("`(.*)` matched nothing in the last 20 runs", one)[1] for one in stale] == [
        "retries",
        "gets",
    ]
    assert run({"id": "req-2"}).ok


def test_a_rule_is_not_stale_by_runs_that_it_was_not_asked_in(project):
    accept()
    write_rules(project, RULES.replace('scenario = "buys"', 'scenario = "sells"'))

    for _ in range(21):
        found = run({"id": "req-2", "gets": 3})

    assert "CLN708" not in codes(found)


def test_ci_writes_nothing_about_rules(project):
    accept()
    write_rules(project)

    for _ in range(21):
        found = run({"id": "req-2"}, ci=True)

    assert found.ok
    assert "CLN708" not in codes(found)


# ----------------------------------------------------------------------------------- times and settings


def test_a_duration_rule_compares_with_the_accepted_run(project):
    accept()
    write_rules(
        project,
        '[[tolerance]]\nid = "slo"\nreason = "a promise"\nselect = { span = "shop" }\n'
        "duration = { ratio = 2.0, floor_ms = 5 }\n",
    )

    assert run({"ms": 15}).ok
    slow = run({"ms": 50})

    assert not slow.ok
    (edit,) = slow.diff.frame.itertuples()
    assert (edit.op, edit.rule, edit.baseline, edit.current) == ("duration", "slo", 10.0, 50.0)


def test_where_no_run_is_stored_times_are_said_not_to_be_compared(project):
    accept()
    write_rules(
        project, '[[tolerance]]\nid = "slo"\nreason = "a promise"\nselect = {}\nduration = { ratio = 2.0 }\n'
    )
    for name in ("state.db", "state.db-wal", "state.db-shm"):
        (project / ".clnrm" / name).unlink(missing_ok=True)

    result = run({"ms": 50})

    assert result.ok
    assert any("are not compared" in note for one in result.diff.comparisons for note in one.diff.notes)


def test_an_order_rule_compares_the_start_order_of_children(project):
    accept()
    assert run({"order": "2 1"}).ok
    write_rules(
        project, '[[tolerance]]\nid = "o"\nreason = "first 1"\nselect = { span = "shop" }\norder = true\n'
    )

    result = run({"order": "2 1"})

    assert not result.ok
    assert result.diff.frame["op"].tolist() == ["order"]


@pytest.mark.parametrize(
    ("setting", "given", "ops"),
    [
        ("ignore_timestamps = false", {"ms": 50}, ["duration"]),
        ("ignore_timestamps = false\n[diff.tolerance]\nduration_ms = 100", {"ms": 50}, []),
        ("ignore_timestamps = false\n[diff.tolerance]\nduration_ratio = 9.0", {"ms": 50}, []),
        ("order_sensitive = true", {"order": "2 1"}, ["order"]),
        ('ignore_attributes = ["i?"]', {"id": "other"}, []),
        ("[diff.tolerance.attributes]\ngets = { abs = 1 }", {"gets": 3}, ["count"]),
    ],
)
def test_settings_of_the_diff_section_work_end_to_end(project, setting, given, ops):
    accept()
    (project / ".clnrm" / "config.toml").write_text(f"[diff]\n{setting}\n")

    frame = run(given).diff.frame

    assert frame.query("counted")["op"].tolist() == ops


def test_with_timestamps_compares_durations_of_one_diff(project):
    accept()

    done = clnrm("diff", FILE, "--backend", "process", "-m", "ms:=50", "--with-timestamps", "-f", "json")

    (entry,) = json.loads(done.stdout)["data"]["diffs"]
    assert [edit["op"] for edit in entry["edits"]] == ["duration"]
    assert done.returncode == 1


def test_rules_are_added_and_taken_out_without_touching_the_rest(project):
    path = write_rules(project)
    here = Project(project, project / ".clnrm")
    before = path.read_bytes()
    (first, *_) = rulefile.read(here)
    new = type(first)("new", "one more", {"span": "x"}, "tolerance", {"abs": 1, "rel": 0.5}, by="ada")

    rulefile.add(here, new)
    added = path.read_bytes()
    rulefile.remove(here, "new")

    assert added.startswith(before)
    assert path.read_bytes() == before


def test_a_redact_rule_is_in_use_as_long_as_it_hides_something(project):
    """Both sides hold the mark, so no edit is left to be quieted."""
    write_rules(project, REDACT)
    accept()

    for _ in range(20):
        found = run()

    assert "CLN708" not in codes(found)


# -------------------------------------------------------------------------------------------- redaction

REDACT = '[[tolerance]]\nid = "pii"\nreason = "whose it is"\nselect = { key = "id" }\nredact = "req-[0-9]+"\n'


def test_what_a_redact_rule_matches_is_neither_shown_nor_stored(project):
    text = (project / FILE).read_text()
    text = text.replace('id = "req-1"', 'id = "1"').replace('"id":"{{ id }}"', '"id":"req-{{ id }}47"')
    (project / FILE).write_text(text + REDACT)

    accept()
    result = run({"id": "2"})

    assert result.ok
    shown = json.dumps(result.raw) + str(result.spans.frame.to_dict())
    written = [path.read_text() for path in (project / ".clnrm" / "artifacts").rglob("*") if path.is_file()]
    assert "<redacted:pii>" in shown
    assert any("<redacted:pii>" in text for text in written)
    assert "req-247" not in shown + "".join(written)
    baseline = next((project / ".clnrm" / "baselines").glob("*.json")).read_text()
    assert "<redacted:pii>" in baseline
    assert "req-147" not in baseline
    assert result.diff.frame.empty


def test_nothing_of_what_a_redact_rule_hides_is_shown_while_the_test_runs(project):
    """Live views, the handle of a detached run and its events showed it until the test had ended."""
    text = (project / FILE).read_text().replace("echo x", "echo 'no user req-1 here' >&2; echo x")
    rules = REDACT.replace('key = "id"', 'key = "id", path = "**/no such path"') + REDACT.replace(
        '"pii"', '"all"'
    )
    waiting = "[[scenario]]\nname = \"waits\"\nrun = 'until test -e go; do sleep 0.02; done'\n"
    failing = text.replace("order }}; do", "order }}; do true; done; exit 3; for n in 1; do")
    (project / FILE).write_text(failing + waiting.replace("go;", f"{project}/go;") + rules)
    has_begun = threading.Event()
    seen = []

    def listen(event):
        seen.append(event)
        if event.event == "scenario.end":
            has_begun.set()

    run = api.run([FILE], backend="process", detach=True, listener=listen)
    assert has_begun.wait(30)
    spans = run.spans.frame
    told = json.dumps([event.to_json() for event in seen])
    (project / "go").touch()
    result = run.wait(30)

    assert "'id': '<redacted:" in spans["attributes"].astype(str).str.cat()
    assert "req-1" not in spans.astype(str).to_string()
    assert "no user <redacted:" in told
    assert "req-1" not in told
    assert "req-1" not in json.dumps([event.to_json() for event in seen])
    assert "req-1" not in result.spans.frame["attributes"].astype(str).str.cat()


def test_spans_stored_before_the_rule_are_shown_without_what_it_hides(project):
    accept()
    write_rules(project, REDACT)

    result = run()

    assert result.raw["data"]["tests"][0]["status"] == "cached"
    (edit,) = result.diff.frame.itertuples()
    assert (edit.counted, edit.baseline, edit.current) == (False, "<redacted:pii>", "<redacted:pii>")
    assert "req-1" not in result.spans.frame["attributes"].astype(str).str.cat()


@pytest.mark.parametrize("word", ["template", "redact"])
def test_a_rule_whose_regex_might_never_end_on_a_value_is_told_once(project, word):
    accept()
    rule = f'id = "bad"\nreason = "r"\nselect = {{ key = "id" }}\n{word} = "(a{{1,999}}){{1,999}}$"'
    write_rules(project, f"# Of all scenarios.\n\n[[tolerance]]\n{rule}\n")

    result = run({"id": "a" * 2_000 + "!"})

    assert not result.ok
    told = result.diagnostics.query("code == 'CLN314'")
    assert len(told) == 1
    assert "rule `bad`" in told.iloc[0]["message"]
    assert told.iloc[0][["file", "line", "column"]].tolist() == [".clnrm/baselines/rules.toml", 3, 1]


def test_what_was_said_about_a_rule_named_its_id_and_no_place(project):
    """Whoever wanted to mend it had to search a file of many rules for it."""
    old = f'{RULES}\n[[tolerance]]\nid = "old"\nreason = "r"\nselect = {{ key = "k" }}\nignore = true\nexpires = 2020-01-01\n'
    line = 1 + old[: old.index('id = "old"')].count("\n") - 1
    write_rules(project, old)
    accept()

    told = run().diagnostics.query("code == 'CLN708'")

    assert told[["file", "line", "column"]].to_numpy().tolist() == [[".clnrm/baselines/rules.toml", line, 1]]
