"""``baseline learn`` and rules made in a review, with programs that really run and differ from run to run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import clnrm_nb
from clnrm_nb import api
from clnrm_nb.errors import UsageError

FILE = "shop.clnrm.toml"
ID = f"{FILE}::checkout"
PROGRAM = r"""
import json, pathlib, random
count = pathlib.Path("{counter}")
turn = int(count.read_text()) + 1 if count.exists() else 1
count.write_text(str(turn))
draw = random.Random(f"shop {turn}")
ids = iter(range(1, 100))
def span(name, parent=None, **attributes):
    one = {"name": name, "trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": f"{next(ids):016x}",
           "kind": "internal", "start_time_unix_nano": 1000000, "end_time_unix_nano": 3000000,
           "attributes": {"service.name": "shop", **attributes}}
    if parent:
        one["parent_span_id"] = parent
    print(json.dumps(one))
    return one["span_id"]
broken = pathlib.Path("{broken}").exists()
root = span("checkout", **{"request.id": f"{draw.getrandbits(64):016x}", "plan": "free" if broken else "pro"})
for item in range(3):
    lookup = span(f"cache.get {item}", root)
    if draw.random() < 0.5:
        span("db.query", lookup, table="items")
for attempt in range(draw.randint(1, 3)):
    span("charge", root)
span("mail", root, size=draw.randrange(200, 900))
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A test whose runs differ with nothing changed, in the same way each time this is tested."""
    (tmp_path / ".clnrm").mkdir()
    program = tmp_path / "shop.py"
    program.write_text(
        PROGRAM.replace("{counter}", str(tmp_path / "counter")).replace("{broken}", str(tmp_path / "broken"))
    )
    (tmp_path / FILE).write_text(
        '[meta]\nname = "shop"\nversion = "1"\n\n[otel]\nexporter = "stdout"\n\n[[scenario]]\n'
        f'name = "checkout"\nrun = [{{ command = [{json.dumps(sys.executable)}, {json.dumps(str(program))}] }}]\n'
        '\n[[expect.span]]\nname = "checkout"\n'
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(**options):
    return clnrm_nb.run(FILE, backend="process", **{"baseline": True, "force": True, **options})


def learn(**options):
    return api.baseline_learn(ID, backend="process", **options)


def clnrm(*words):
    return subprocess.run(
        [sys.executable, "-m", "clnrm_nb", *words], capture_output=True, text=True, check=False, timeout=120
    )


def rules():
    file = Path(".clnrm/baselines/rules.toml")
    return file.read_text() if file.exists() else ""


def test_rules_learnt_from_five_runs_let_further_runs_pass_and_a_real_change_fail(project):
    run(update_baseline=True)
    assert not run().ok

    learn(by="ada").accept(message="as it is")
    after = [run() for _ in range(4)]
    (project / "broken").touch()
    broken = run()

    assert [result.ok for result in after] == [True] * 4
    assert "as it is" in rules()
    assert broken.exit_code == 1
    assert [edit["key"] for edit in broken.diff.raw["data"]["diffs"][0]["edits"] if edit["counted"]] == [
        "plan"
    ]


def test_learning_runs_the_test_that_often_and_writes_nothing(project):
    run(update_baseline=True)
    before = int((project / "counter").read_text())

    learned = learn(runs=3)

    assert int((project / "counter").read_text()) == before + 3
    assert rules() == ""
    assert (learned.exit_code, learned.ok) == (1, False)
    assert learned.raw["data"]["scenarios"][0]["compared"] == 3
    assert learned.frame["state"].unique().tolist() == ["proposed"]


def test_without_a_baseline_the_first_run_is_what_others_are_held_against(project):
    learned = learn(runs=4)

    (scenario,) = learned.raw["data"]["scenarios"]
    assert (scenario["has_baseline"], scenario["runs"], scenario["compared"]) == (False, 4, 3)
    assert learned.frame["runs"].tolist() == [4] * len(learned.frame)
    assert (learned.frame["injected"] > 0).all()


def test_stored_runs_are_learnt_from_without_a_run(project):
    run(update_baseline=True)
    for _ in range(3):
        run(baseline=False)
    before = (project / "counter").read_text()

    learned = learn(runs=0, dry_run=True)

    assert (project / "counter").read_text() == before
    assert learned.exit_code == 0
    assert len(learned.frame)


def test_a_whole_test_is_learnt_scenario_by_scenario(project):
    run(update_baseline=True)

    learned = api.baseline_learn(FILE, runs=2, backend="process")

    assert [one["scenario_id"] for one in learned.raw["data"]["scenarios"]] == [ID]


def test_one_of_the_rules_is_accepted_and_another_declined(project):
    run(update_baseline=True)
    learned = learn()
    first, second, *_ = learned.frame["rule"]

    learned.accept(first, place="scenario").decline(second)

    assert learned.frame["state"].tolist()[:2] == ["accepted", "declined"]
    assert f'id = "{first}"' in (project / FILE).read_text()
    assert learned.exit_code == 1
    with pytest.raises(UsageError, match="no rule that waits is called"):
        learned.accept(second)


def test_a_learnt_rule_can_be_undone(project):
    run(update_baseline=True)
    before = (project / FILE).read_bytes()
    learned = learn()

    learned.accept(learned.frame["rule"][0], place="scenario")
    api.baseline_undo(ID)

    assert (project / FILE).read_bytes() == before


def test_a_test_that_fails_teaches_nothing(project):
    (project / FILE).write_text((project / FILE).read_text() + '\n[[expect.span]]\nname = "absent"\n')

    learned = learn(runs=2)

    assert learned.exit_code == 1
    assert len(learned.frame) == 0
    assert any("two at least are needed" in note for note in learned.notes)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(["--ci", "baseline", "learn", ID], "`--ci` never does", id="ci"),
        pytest.param(["baseline", "learn", ID, "--runs", "1"], "two runs at least", id="one-run"),
        pytest.param(["baseline", "learn", ID, "--runs", "-3"], "not in the range", id="below-none"),
        pytest.param(["baseline", "learn", "gone.clnrm.toml"], "there is no test", id="no-test"),
        pytest.param(["baseline", "learn", f"{FILE}[a=1]::x"], "there is no test", id="no-combination"),
        pytest.param(["baseline", "learn", ID, "--repeat", "3"], "--runs is how often", id="repeat"),
        pytest.param(["baseline", "learn", ID, "--runs", "0"], "fewer than two runs", id="nothing-stored"),
    ],
)
def test_what_cannot_be_learnt_is_one_message_and_exit_status_2(project, words, message):
    done = clnrm(*words)

    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (project / "counter").exists()


def test_without_a_terminal_rules_are_listed_with_exit_status_1_and_none_with_a_dry_run(project):
    run(update_baseline=True)
    asked = clnrm("baseline", "learn", ID, "--runs", "2", "--backend", "process")
    dry = clnrm("baseline", "learn", ID, "--runs", "0", "--dry-run", "-f", "json")

    document = json.loads(dry.stdout)
    assert (asked.returncode, dry.returncode) == (1, 0)
    assert "None of them holds yet" in asked.stdout
    assert document["data"]["proposals"][0]["back_test"]["runs"] == 3
    assert rules() == ""


def test_a_pending_review_is_left_as_it_was_by_learning(project):
    run(update_baseline=True)
    run()
    before = api.review().raw["data"]

    learn(runs=2)

    assert api.review().raw["data"] == before
