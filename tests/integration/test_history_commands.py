"""Runs remembered, recorded and repeated: history, stats, record, repro, redgreen, plugins, from each door."""

import json
import shutil
import subprocess
import sys
from importlib import resources
from xml.etree import ElementTree as ET

import pytest
from jsonschema import Draft202012Validator

import clnrm_nb
from clnrm_nb import api
from clnrm_nb.errors import ClnrmError, UsageError
from clnrm_nb.schemas import schema
from clnrm_nb.state import State

GREEN, RED = "green.clnrm.toml.tera", "wrong_exit_code.clnrm.toml"
SPAN = '{"name": "NAME", "trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331", "start_time_unix_nano": 1, "end_time_unix_nano": 2}'
HEAD = '[meta]\nname = "x"\nversion = "1"\n\n[otel]\nexporter = "stdout"\n\n'

# Fails every other time, by something that is no part of its inputs.
UNSTEADY = (
    HEAD
    + """
[[scenario]]
name = "unsteady"
run = [{{ command = ["sh", "-c", "if [ -e {place} ]; then rm {place}; else touch {place}; exit 1; fi"] }}]
"""
)


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / ".clnrm").mkdir()
    with resources.as_file(resources.files("clnrm_nb.self_test")) as source:
        for file in (GREEN, RED):
            shutil.copy(source / file, tmp_path / file)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def clnrm(*words):
    return subprocess.run(
        [sys.executable, "-m", "clnrm_nb", *words], capture_output=True, text=True, check=False, timeout=60
    )


def run(*paths, **options):
    return clnrm_nb.run(list(paths), backend="process", **options)


def written(project, name, text):
    (project / name).write_text(text)
    return name


def the_test(result):
    (test,) = result.raw["data"]["tests"]
    return test


# ----------------------------------------------------------------------------------------- the evidence


def test_the_hash_is_in_the_result_the_frame_and_the_state(project):
    result = run(GREEN)

    found = the_test(result)["hash"]
    assert len(found) == 64
    assert result.frame.loc[result.frame["level"] == "test", "hash"].tolist() == [found]
    with State.open(project / ".clnrm") as state:
        assert [row["hash"] for row in state.read("SELECT hash FROM results")] == [found]


def test_another_process_gives_the_same_hash(project):
    done = clnrm("run", GREEN, "--backend", "process", "-f", "json")

    assert json.loads(done.stdout)["data"]["tests"][0]["hash"] == the_test(run(GREEN))["hash"]


def test_a_comment_keeps_the_hash_and_a_variable_does_not(project):
    before = the_test(run(GREEN))["hash"]
    text = (project / GREEN).read_text()

    assert the_test(run(GREEN, vars={"root": "other"}))["hash"] != before
    (project / GREEN).write_text(f"# nothing new\n{text}")
    assert the_test(run(GREEN))["hash"] == before


def test_a_test_that_did_not_run_has_no_hash(project):
    written(project, "broken.clnrm.toml", "nothing = 1\n")

    result = run("broken.clnrm.toml", RED, GREEN, fail_fast=True, workers=1)

    found = {test["status"]: test["hash"] for test in result.raw["data"]["tests"]}
    assert found["error"] is None
    assert found["failed"] is not None


def test_chance_in_a_template_leaves_no_hash_and_says_why(project):
    file = written(
        project,
        "loose.clnrm.toml.tera",
        HEAD + '[[scenario]]\nname = "x"\nrun = ["echo", "{{ uuid_v4() }}"]\n',
    )

    test = the_test(run(file))

    assert test["hash"] is None
    assert test["hash_reason"].startswith("uncacheable: the clock or a random number went into the file")


MOUNTED = (
    HEAD
    + """
[services.app]
image = "busybox"
volumes = ["./data:/data"]

[[scenario]]
name = "reads"
service = "app"
run = ["sh", "-c", "{command}"]
"""
)


def test_what_a_mount_holds_counts(project):
    (project / "data").mkdir()
    (project / "data" / "a").write_text("one")
    file = written(project, "m.clnrm.toml", MOUNTED.format(command="cat /data/a"))

    before = the_test(run(file))["hash"]
    (project / "data" / "a").write_text("two")

    assert before is not None
    assert the_test(run(file))["hash"] not in (None, before)


def test_a_mount_that_changes_during_the_run_leaves_no_hash(project):
    (project / "data").mkdir()
    file = written(project, "m.clnrm.toml", MOUNTED.format(command="date > /data/a"))

    test = the_test(run(file))

    assert (test["status"], test["hash"]) == ("passed", None)
    assert test["hash_reason"] == "uncacheable: `data` changed during the run"


def test_a_mount_that_leads_nowhere_harms_no_other_test(project):
    file = written(
        project, "m.clnrm.toml", MOUNTED.format(command="true").replace("./data", "~nobody-here/x")
    )

    result = run(file, GREEN)

    assert {test["id"]: test["hash"] is None for test in result.raw["data"]["tests"]} == {
        GREEN: False,
        file: True,
    }


def test_without_a_place_for_the_key_there_is_no_hash_and_a_verdict(project):
    (project / ".clnrm" / "key").mkdir()

    test = the_test(run(GREEN))

    assert (test["status"], test["hash"]) == ("passed", None)
    assert "cannot be kept" in test["hash_reason"]


def test_the_state_directory_below_a_mount_does_not_count(project):
    text = MOUNTED.format(command="true").replace("./data", ".")
    file = written(project, "m.clnrm.toml", text)

    assert the_test(run(file))["hash"] == the_test(run(file))["hash"] is not None


# ----------------------------------------------------------------------------------- history and stats


def test_a_test_is_flaky_where_equal_inputs_gave_unequal_verdicts(project, tmp_path_factory):
    place = tmp_path_factory.mktemp("elsewhere") / "seen"
    file = written(project, "u.clnrm.toml", UNSTEADY.format(place=place))
    runs = [run(file).raw for _ in range(2)]

    result = api.stats()

    (found,) = result.raw["data"]["statistics"]
    assert [test["data"]["tests"][0]["status"] for test in runs] == ["failed", "passed"]
    assert found["flaky"] is True
    assert found["evidence"]["hash"] == runs[0]["data"]["tests"][0]["hash"]
    assert [one["status"] for one in found["evidence"]["runs"]] == ["failed", "passed"]
    assert result.statistics["flaky"].tolist() == [True]
    assert "u.clnrm.toml is flaky: failed in run" in repr(result)


@pytest.mark.parametrize("option", [{"retries": 1}, {"repeat": 2}], ids=["a retry", "a repetition"])
def test_one_run_can_prove_it(project, tmp_path_factory, option):
    place = tmp_path_factory.mktemp("elsewhere") / "seen"
    file = written(project, "u.clnrm.toml", UNSTEADY.format(place=place))

    run(file, **option)

    (found,) = api.stats().raw["data"]["statistics"]
    assert [(one["attempt"], one["status"]) for one in found["evidence"]["runs"]] == [
        (1, "failed"),
        (2, "passed"),
    ]


def test_a_repaired_test_is_not_called_flaky(project):
    file = written(project, "r.clnrm.toml", HEAD + '[[scenario]]\nname = "x"\nrun = ["false"]\n')
    run(file)
    written(project, file, HEAD + '[[scenario]]\nname = "x"\nrun = ["true"]\n')
    run(file)

    result = api.stats(file)

    assert result.raw["data"]["statistics"][0]["flaky"] is False
    assert "which proves nothing" in repr(result)


def test_another_expectation_is_no_proof(project):
    run(GREEN)
    text = (project / GREEN).read_text()
    written(project, GREEN, text.replace("spans_total = 2", "spans_total = 3"))
    run(GREEN, force=True)

    (found,) = api.stats().raw["data"]["statistics"]
    assert (found["runs"], found["passed"], found["flaky"]) == (2, 1, False)


def test_stats_choose_by_path_and_id(project):
    (project / "sub").mkdir()
    shutil.copy(project / GREEN, project / "sub" / GREEN)
    run(".")

    def chosen(*paths):
        return [test["test_id"] for test in api.stats(list(paths)).raw["data"]["statistics"]]

    assert chosen("sub") == chosen(f"sub/{GREEN}") == [f"sub/{GREEN}"]
    assert chosen(".") == [GREEN, f"sub/{GREEN}", RED]
    (project / "sub" / GREEN).unlink()
    assert chosen(f"sub/{GREEN}") == [f"sub/{GREEN}"]
    with pytest.raises(ClnrmError, match="no such file, and no run of a test of it"):
        chosen("elsewhere")


def test_history_keeps_to_ids_and_limit_and_draws(project):
    for _ in range(2):
        run(GREEN, RED)

    result = api.history(["green*"], limit=1)

    assert result.frame["test_id"].tolist() == [GREEN]
    assert len(api.history().frame) == 4
    assert api.history(limit=0).frame.empty
    assert api.history("elsewhere").raw["data"]["rows"] == []
    assert "no run of `elsewhere` is stored" in repr(api.history("elsewhere"))
    assert {trace.name for trace in api.history().plot().data} == {GREEN, RED}


def test_commands_without_any_run_say_nothing_and_make_nothing(project):
    shutil.rmtree(project / ".clnrm")

    assert api.history().frame.empty
    assert api.stats().statistics.empty
    assert not (project / ".clnrm").exists()


# --------------------------------------------------------------------------------------- record, repro


def by_function(words, shell):
    command, *rest = words
    return getattr(api, command)(rest[0] if rest else ".", backend="process").raw


def by_command(words, shell):
    return json.loads(clnrm(*words, "--backend", "process", "-f", "json").stdout)


def by_magic(words, shell):
    return shell.run_line_magic("clnrm", f"{' '.join(words)} --backend process --no-raise").raw


@pytest.mark.parametrize("door", [by_function, by_command, by_magic])
def test_every_door_records_and_reproduces(project, shell, door):
    recorded = door(["record", GREEN], shell)
    repeated = door(["repro", ".clnrm/baseline.json"], shell)
    colour = door(["redgreen", GREEN], shell)

    for document in (recorded, repeated, colour):
        Draft202012Validator(schema("report")).validate(document)
    assert (recorded["command"], recorded["ok"]) == ("record", True)
    assert recorded["data"]["accepted"] == [f"{GREEN}::prints"]
    assert (repeated["command"], repeated["data"]["differences"]) == ("repro", [])
    assert (colour["command"], colour["data"]["state"]) == ("redgreen", "green")


def test_record_writes_what_the_format_says(project):
    result = api.record(GREEN, backend="process", vars={"root": "checkout"})

    document = json.loads((project / ".clnrm" / "baseline.json").read_bytes())
    digest = the_test(result)["trace_digest"]
    assert (project / ".clnrm" / "baseline.sha256").read_text() == f"{document['digest']}\n"
    assert document["trace_digest"] == digest
    assert document["vars"] == {"root": "checkout"}
    assert document["spans_file"] == ".clnrm/recording.json"
    assert [(one["name"], one["passed"], one["file_path"]) for one in document["test_results"]] == [
        (GREEN, True, GREEN)
    ]
    assert {"checkout", "reserve"} <= set(api.spans(".clnrm/recording.json").frame["name"])


def test_a_recording_can_be_replayed(project):
    api.record(GREEN, backend="process", output="kept.json")

    replayed = clnrm_nb.run(GREEN, replay="kept.json")

    assert the_test(replayed)["replayed"] is True
    assert replayed.ok


def test_an_accepted_baseline_is_left_alone_and_a_failing_test_gets_none(project):
    api.record(".", backend="process")
    (file,) = (project / ".clnrm" / "baselines").glob("*.json")
    before = file.read_bytes()

    again = api.record(GREEN, backend="process", vars={"root": "other"})

    assert file.read_bytes() == before
    assert again.raw["data"]["accepted"] == []


def test_what_was_accepted_before_has_no_say_in_what_is_recorded(project):
    (project / ".clnrm" / "config.toml").write_text("[baseline]\ncompare = true\n")
    api.record(GREEN, backend="process")

    changed = api.record(GREEN, backend="process", vars={"root": "other"})

    assert changed.ok
    assert changed.raw["data"]["trace_digest"] == the_test(changed)["trace_digest"]


def test_an_acceptance_that_fails_loses_nothing_of_the_recording(project):
    (project / ".clnrm" / "baselines").write_text("in the way")

    result = api.record(GREEN, backend="process")

    assert result.ok
    assert "not accepted" in result.notes[-1]
    assert api.repro(".clnrm/baseline.json", backend="process", verify_digest=True).ok


def test_ci_accepts_nothing(project):
    result = api.record(GREEN, backend="process", ci=True)

    assert result.ok
    assert (project / ".clnrm" / "baseline.json").exists()
    assert not (project / ".clnrm" / "baselines").exists()


@pytest.mark.parametrize(
    ("head", "status", "code"), [(HEAD, "failed", 1), (HEAD.replace("stdout", "none"), "passed", 0)]
)
def test_record_said_nothing_of_a_scenario_without_spans(project, head, status, code):
    """It was green, and no later run could ever differ from it."""
    speaks = f"""[[scenario]]\nname = "speaks"\nrun = [\'echo\', \'{SPAN}\']\n"""
    silent = (
        '[[steps]]\nname = "prepare"\ncommand = "true"\n\n[[scenario]]\nname = "silent"\nrun = "true"\n\n'
    )
    file = written(project, "quiet.clnrm.toml", head + silent + speaks)

    done = clnrm("record", file, "--backend", "process", "-f", "junit")
    again = clnrm("record", file, "--backend", "process", "--state-dir", "other", "-f", "json")

    document = json.loads(again.stdout)
    (test,) = document["data"]["tests"]
    found = [(one["reason"], one["scenario"], one["line"]) for one in test["expectations"]]
    assert (done.returncode, document["exit_code"], test["status"]) == (code, code, status)
    assert found == ([("no-spans", "silent", 12)] if code else [])
    assert ('type="CLN607"' in done.stdout) is bool(code)
    assert f"{file}::speaks" in document["data"]["accepted"][0]


def test_a_recorded_failure_reproduces(project):
    recorded = api.record(RED, backend="process")
    repeated = api.repro(".clnrm/baseline.json", backend="process")

    assert (recorded.exit_code, repeated.exit_code) == (1, 0)
    assert recorded.headline.startswith(f"1 of 1 test failed: {RED}; 1 test recorded in")
    assert repeated.headline.startswith("reproduced: 1 test as recorded")


def test_a_failure_that_reproduces_is_no_failure_in_junit(project):
    api.record(RED, backend="process")

    done = clnrm("repro", ".clnrm/baseline.json", "--backend", "process", "-f", "junit")

    suites = ET.fromstring(done.stdout)
    assert (done.returncode, suites.get("failures"), suites.get("errors")) == (0, "0", "0")
    assert "(as `repro` expects)" in suites.find(".//skipped").get("message")


def test_a_changed_trace_is_not_reproduced_and_junit_shows_it(project):
    api.record(GREEN, backend="process")
    text = (project / GREEN).read_text().replace('"reserve"', '"order"')
    written(project, GREEN, text)

    done = clnrm("repro", ".clnrm/baseline.json", "--backend", "process", "-f", "junit", "-o", "out.json")

    assert done.returncode == 1, done.stderr
    failures = {case.get("name") for case in ET.fromstring(done.stdout).iter("testcase") if case.find("failure") is not None}  # fmt: skip
    assert failures == {"repro.trace_digest"}
    document = json.loads((project / "out.json").read_bytes())
    assert document["data"]["differences"] == ["its spans are not those that were recorded"]


def test_a_changed_verdict_is_not_reproduced(project, tmp_path_factory):
    place = tmp_path_factory.mktemp("elsewhere") / "seen"
    file = written(project, "u.clnrm.toml", UNSTEADY.format(place=place))
    api.record(file, backend="process")

    result = api.repro(".clnrm/baseline.json", backend="process")

    assert result.exit_code == 1
    assert result.raw["data"]["differences"] == [
        "u.clnrm.toml: did not pass when it was recorded, is passed now"
    ]


def test_a_run_is_repeated_with_its_variables_seed_and_clock(project, monkeypatch):
    span = SPAN.replace("NAME", "{{ rand_hex(n=8) }} {{ now_rfc3339() }} {{ word }}")
    determinism = '[determinism]\nseed = {{ env(name="SEED") }}\nfreeze_clock = "{{ freeze_clock }}"\n\n'
    scenario = f"[[scenario]]\nname = \"x\"\nrun = [{{ command = [\"echo\", '''{span}'''] }}]\n"
    file = written(project, "d.clnrm.toml.tera", determinism + HEAD + scenario)
    monkeypatch.setenv("SEED", "7")
    monkeypatch.setenv("FREEZE_CLOCK", "2025-03-04T00:00:00Z")
    recorded = api.record(file, backend="process", vars={"word": "hello"})
    monkeypatch.setenv("SEED", "8")
    monkeypatch.delenv("FREEZE_CLOCK")

    repeated = api.repro(".clnrm/baseline.json", backend="process")

    assert recorded.ok, repr(recorded)
    assert repeated.ok, repr(repeated)
    assert the_test(repeated)["trace_digest"] == the_test(recorded)["trace_digest"] is not None


def test_a_test_that_is_gone_is_a_difference(project):
    written(
        project, "m.clnrm.toml", HEAD + '[matrix]\nn = [1, 2]\n\n[[scenario]]\nname = "x"\nrun = ["true"]\n'
    )
    api.record("m.clnrm.toml", backend="process")
    text = (project / "m.clnrm.toml").read_text()
    written(project, "m.clnrm.toml", text.replace("[1, 2]", "[1]"))

    result = api.repro(".clnrm/baseline.json", backend="process")

    assert result.exit_code == 1
    assert result.raw["data"]["differences"] == [
        "m.clnrm.toml[n=2]: passed when it was recorded, is not run now"
    ]


def test_a_tampered_baseline_is_refused_before_anything_runs(project):
    api.record(RED, backend="process")
    file = project / ".clnrm" / "baseline.json"
    file.write_text(file.read_text().replace('"passed": false', '"passed": true'))

    done = clnrm("repro", str(file), "--backend", "process")

    assert done.returncode == 2
    assert "differs from its content" in done.stderr
    assert len(api.history().frame) == 1


@pytest.mark.parametrize("damaged", ["baseline.sha256", "recording.json"])
def test_verify_digest_looks_at_what_lies_beside(project, damaged):
    api.record(GREEN, backend="process")
    file = project / ".clnrm" / damaged
    file.write_text(file.read_text().replace("reserve", "order").replace("a", "b"))

    with pytest.raises(ClnrmError) as refused:
        api.repro(".clnrm/baseline.json", verify_digest=True, backend="process")

    assert refused.value.exit_code == 2


def test_verify_digest_is_content_with_what_was_recorded(project):
    api.record(".", backend="process")

    assert api.repro(".clnrm/baseline.json", verify_digest=True, backend="process").ok


def test_nothing_is_recorded_of_a_run_without_a_verdict(project):
    (project / RED).unlink()
    written(project, GREEN, "nothing = 1\n")

    result = api.record(".", backend="process")

    assert result.exit_code == 2
    assert result.headline.startswith("nothing was recorded")
    assert not (project / ".clnrm" / "baseline.json").exists()


def test_what_is_no_baseline_is_said(project):
    with pytest.raises(UsageError, match="is not what `clnrm record` writes"):
        api.repro(GREEN, backend="process")
    with pytest.raises(ClnrmError, match=r"cannot read `missing\.json`"):
        api.repro("missing.json", backend="process")


# --------------------------------------------------------------------------------- redgreen, plugins


@pytest.mark.parametrize(
    ("paths", "expect", "state", "exit_code"),
    [
        ([GREEN], None, "green", 0),
        ([RED], None, "red", 0),
        ([GREEN, RED], None, "mixed", 1),
        ([GREEN], "green", "green", 0),
        ([GREEN], "red", "green", 1),
        ([RED], "red", "red", 0),
        ([RED], "green", "red", 1),
        ([GREEN, RED], "red", "mixed", 1),
    ],
)
def test_the_colour_of_a_run_and_its_exit_status(project, paths, expect, state, exit_code):
    result = api.redgreen(paths, expect=expect, backend="process")

    assert (result.raw["data"]["state"], result.exit_code) == (state, exit_code)
    records = json.loads((project / ".clnrm" / "tdd-history.json").read_bytes())["records"]
    assert {record["test_name"]: record["state"] for record in records} == {
        path: "green" if path == GREEN else "red" for path in paths
    }
    assert all(("error" in record) == (record["state"] == "red") for record in records)


def test_what_was_not_evaluated_is_green_only_with_leave(project):
    text = (project / GREEN).read_text() + "\n[expect.hermeticity]\nno_external_services = true\n"
    file = written(project, GREEN, text)

    strict, lenient = (
        api.redgreen(file, backend="process", allow_not_evaluated=leave) for leave in (False, True)
    )

    assert (strict.raw["data"]["state"], lenient.raw["data"]["state"]) == ("red", "green")


def test_no_secret_stays_in_what_is_kept(project, monkeypatch):
    monkeypatch.setenv("TOKEN", "hunter2-hunter2")
    text = HEAD.replace("[otel]", '[secrets]\nenv = ["TOKEN"]\n\n[otel]')
    command = 'run = [{ command = ["sh", "-c", "echo $TOKEN; exit 1"], expected_output_contains = "x" }]\n'
    file = written(project, "s.clnrm.toml", f'{text}[[scenario]]\nname = "x"\n{command}')

    api.record(file, backend="process", vars={"word": "hunter2-hunter2"})
    api.redgreen(file, backend="process")

    kept = [path for path in (project / ".clnrm").rglob("*") if path.suffix in (".json", ".ndjson", ".log")]
    assert {"baseline.json", "tdd-history.json", "recording.json"} <= {path.name for path in kept}
    assert [path.name for path in kept if b"hunter2-hunter2" in path.read_bytes()] == []
    with pytest.raises(UsageError, match="it was a secret when it was recorded"):
        api.repro(".clnrm/baseline.json", backend="process")


def test_the_alias_works_and_an_invalid_file_keeps_its_own_exit_status(project):
    written(project, "broken.clnrm.toml", "nothing = 1\n")

    assert clnrm("red-green", RED, "--expect", "red", "--backend", "process").returncode == 0
    assert clnrm("redgreen", ".", "--expect", "red", "--backend", "process").returncode == 2


def test_plugins_tell_what_is_there_and_whether_it_works(project, monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")

    frame = api.plugins().frame

    by_kind = {
        kind: dict(zip(rows["name"], rows["state"], strict=True)) for kind, rows in frame.groupby("kind")
    }
    assert by_kind["backend"]["docker"] == "missing"
    assert by_kind["backend"]["process"] == "usable"
    assert by_kind["exporter"]["zipkin"] == "limited"
    assert by_kind["exporter"]["otlp-grpc"] == "usable"
    assert by_kind["backend"]["dask"] == "usable"
    assert {"generic_container", "surrealdb", "network_service"} <= set(by_kind["service plugin"])
    assert {"span", "window", "hermeticity"} <= set(by_kind["expectation"])
    assert {"otlp-json", "csv"} <= set(by_kind["trace format"])
    assert {"human", "junit", "markdown"} <= set(by_kind["report format"])


def test_a_backend_of_somebody_else_is_listed_with_its_package(project, monkeypatch, tmp_path):
    info = tmp_path / "site" / "cloud-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: cloud\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[clnrm_nb.backends]\ncloud = cloud_nowhere:Backend\n")
    monkeypatch.syspath_prepend(tmp_path / "site")

    frame = api.plugins().frame

    (row,) = frame[frame["name"] == "cloud"].to_dict("records")
    assert (row["kind"], row["state"], row["from"]) == ("backend", "missing", "cloud 1.2")
    assert "No module named 'cloud_nowhere'" in row["detail"]
