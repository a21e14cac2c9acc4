"""The cache as people meet it: stats, list, clear, verify, why, and results shared between projects."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import clnrm_nb
from clnrm_nb import api
from clnrm_nb.errors import ClnrmError, ConfigError, UsageError

FILE = "tests/a.clnrm.toml.tera"
TEXT = """{% include "head.tera" %}
[vars]
word = "hello"

[[scenario]]
name = "say"
run = "echo {{ word }} {{ svc }} {{ env(name='API_URL', default='none') }}"
"""
HEAD = """[meta]
name = "a"
version = "1"

[otel]
exporter = "stdout"
"""
SPAN = '{"name": "said", "trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331", "start_time_unix_nano": 1, "end_time_unix_nano": 2}'
EXPECTED = f"""{HEAD}
[[scenario]]
name = "say"
run = [{{ command = ["echo", '{SPAN}'] }}]

[[expect.span]]
name = "said"
"""


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.delenv("API_URL", raising=False)
    return made(tmp_path / "project", monkeypatch)


def made(root, monkeypatch):
    (root / ".clnrm").mkdir(parents=True)
    (root / "tests").mkdir()
    (root / "tests/head.tera").write_text(HEAD)
    (root / FILE).write_text(TEXT)
    monkeypatch.chdir(root)
    return root


def run(*paths, **options):
    return clnrm_nb.run(list(paths or ["tests"]), backend="process", **options)


def status(result):
    (test,) = result.raw["data"]["tests"]
    return test["status"]


def last(found):
    """What was decided the last time, as sentences."""
    (one,) = found.raw["data"]["why"]
    return one["last"]["answer"], one["last"]["sentences"]


def edit(name, old, new):
    text = Path(name).read_text()
    assert old in text
    Path(name).write_text(text.replace(old, new))


# ----------------------------------------------------------------------------------------------- figures


def test_stats_count_what_was_looked_up_and_what_is_stored():
    run()
    run()
    run(vars={"svc": "b"})
    stats = api.cache_stats()
    figures = stats.raw["summary"]
    assert {name: figures[name] for name in ("entries", "tests", "hits", "misses", "rejudged", "audited", "false_hits")} == {
        "entries": 2, "tests": 1, "hits": 1, "misses": 2, "rejudged": 0, "audited": 0, "false_hits": 0,
    }  # fmt: skip
    assert figures["hit_rate"] == pytest.approx(1 / 3)
    assert figures["size_bytes"] > 100
    assert figures["oldest"] <= figures["newest"]
    assert "hit rate             33.3%" in repr(stats)


def test_the_frame_has_the_columns_of_the_specification_for_no_rows_as_for_many():
    dtypes = {
        "test_id": "string", "hash": "string", "status": "category", "stored_status": "category",
        "reason": "string", "duration_ms": "Float64", "last_used": "datetime64[ns, UTC]", "updated": "datetime64[ns, UTC]",
    }  # fmt: skip
    assert api.cache_list().frame.dtypes.astype(str).to_dict() == dtypes
    run()
    run()
    for found in (api.cache_list(), api.cache_stats(), api.cache_why(FILE)):
        assert found.frame.dtypes.astype(str).to_dict() == dtypes
        (row,) = found.frame.to_dict("records")
        assert (row["test_id"], row["status"], row["stored_status"]) == (FILE, "cached", "passed")
        assert FILE in found._repr_mimebundle_()["text/html"] or found.raw["command"] == "cache stats"


def test_clear_forgets_tests_by_path_and_the_export_follows(project):
    shutil.copy(FILE, "tests/b.clnrm.toml.tera")
    run()
    export = project / ".clnrm/cache/hashes.json"
    assert set(json.loads(export.read_bytes())["hashes"]) == {FILE, "tests/b.clnrm.toml.tera"}

    cleared = api.cache_clear(FILE)

    assert [row["test_id"] for row in cleared.raw["data"]["entries"]] == [FILE]
    assert "forgot 1 result" in repr(cleared)
    assert set(json.loads(export.read_bytes())["hashes"]) == {"tests/b.clnrm.toml.tera"}
    assert {test["id"]: test["status"] for test in run().raw["data"]["tests"]} == {
        FILE: "passed",
        "tests/b.clnrm.toml.tera": "cached",
    }
    api.cache_clear()
    assert not export.exists()
    assert api.cache_list().frame.empty


def test_verify_finds_what_is_damaged_and_leaves_a_whole_store(project):
    run()
    assert api.cache_verify().exit_code == 0
    (objects := list((project / ".clnrm/objects").glob("??/*")))[0].write_bytes(b"rotten")

    found = api.cache_verify()

    assert found.exit_code == 1
    assert found.raw["summary"]["damaged"] == 1
    assert any("set aside" in finding["message"] for finding in found.raw["diagnostics"])
    assert len(objects) >= 1
    assert api.cache_verify().exit_code == 0


@pytest.mark.parametrize("command", [api.cache_list, api.cache_clear])
def test_a_path_that_is_nowhere_is_refused(command):
    with pytest.raises(ClnrmError, match="no such file, and nothing is stored") as caught:
        command("nowhere")
    assert caught.value.exit_code == 2


# --------------------------------------------------------------------------------------------------- why


def test_of_a_first_run_there_is_nothing_to_compare():
    run()
    assert last(api.cache_why(FILE)) == ("miss", ["it has not passed before: this is its first run"])


def test_a_hit_says_so_and_what_was_edited_in_vain():
    run()
    run()
    assert last(api.cache_why(FILE)) == ("hit", [])
    edit(FILE, 'word = "hello"', "# a word\n# to say\nword = 'hello'")
    assert status(run()) == "cached"
    assert last(api.cache_why(FILE)) == (
        "hit",
        [f"{FILE} changed (3 lines): comments and spelling only, the scenario it renders to is the same"],
    )


def test_a_variable_is_told_with_its_uses_and_origin(project):
    run()
    run(vars={"svc": "b"})
    answer, said = last(api.cache_why(FILE))
    assert answer == "miss"
    assert said[0] == f'variable svc: "clnrm" -> "b" (used at {FILE}:7:27, set by the call)'
    (project / "more.toml").write_text('svc = "c"')
    run(vars_file="more.toml")
    assert (
        last(api.cache_why(FILE))[1][0]
        == f'variable svc: "b" -> "c" (used at {FILE}:7:27, set by --vars more.toml)'
    )


def test_an_include_is_told_with_its_lines():
    run()
    edit("tests/head.tera", 'name = "a"', 'name = "a"\ntags = ["x"]')
    run()
    said = last(api.cache_why(FILE))[1]
    assert "include tests/head.tera changed (1 line)" in said
    assert any(one.startswith("scenario meta.tags") for one in said)


def test_a_value_of_the_environment_is_nowhere_to_be_read(project, monkeypatch):
    monkeypatch.setenv("API_URL", "https://very-secret.example")
    run()
    monkeypatch.setenv("API_URL", "https://other-secret.example")
    run()
    found = api.cache_why(FILE)
    assert last(found)[1][0] == f"environment API_URL changed (value not shown) (read at {FILE}:7:37)"
    for text in (repr(found), json.dumps(found.raw), found._repr_mimebundle_()["text/html"]):
        assert "-secret" not in text
    for path in (project / ".clnrm").rglob("*"):
        if path.suffix in (".db", ".json") and "artifacts" not in path.parts:
            assert b"very-secret" not in path.read_bytes(), path


def test_a_failed_run_is_told_as_the_cause():
    (Path("tests") / "gate").write_text("1")
    edit(FILE, 'run = "echo', 'run = "test -e /tmp/clnrm-no-such-gate && echo')
    assert status(run()) == "failed"
    assert status(run()) == "failed"
    assert last(api.cache_why(FILE)) == ("miss", ["it did not pass the last time (failed)"])


def test_a_changed_expectation_is_judged_again_and_told():
    Path("tests/b.clnrm.toml").write_text(EXPECTED)
    run("tests/b.clnrm.toml")
    edit("tests/b.clnrm.toml", 'name = "said"', 'name = "said"\ncount = { gte = 1 }')
    result = run("tests/b.clnrm.toml")
    assert status(result) == "cached"
    answer, said = last(api.cache_why("tests/b.clnrm.toml"))
    assert answer == "rejudge"
    assert said == ['expectation expect.span[0].count is new: {"gte":1} (at tests/b.clnrm.toml:14:9)']


def test_force_no_cache_and_audit_are_told():
    run()
    run(force=True)
    assert last(api.cache_why(FILE)) == ("miss", ["--force was given"])
    run(audit=100.0)
    assert last(api.cache_why(FILE)) == ("miss", ["it was chosen by --audit to be run all the same"])
    assert api.cache_stats().raw["summary"]["audited"] == 1


def test_a_run_that_asked_nothing_is_told_beside_the_decision_before_it():
    run()
    run(no_cache=True)
    (one,) = api.cache_why(FILE).raw["data"]["why"]
    assert one["last"]["causes"] == [{"kind": "first"}]
    (note,) = one["notes"]
    assert "did not ask the cache, as with --no-cache" in note
    run()
    assert api.cache_why(FILE).raw["data"]["why"][0]["notes"] == []


def test_a_result_that_was_cleared_or_damaged_is_told(project):
    run()
    api.cache_clear()
    run()
    assert last(api.cache_why(FILE)) == (
        "miss",
        ["no result of these inputs is stored: evicted, cleared, or its run kept none"],
    )
    for path in (project / ".clnrm/objects").glob("??/*"):
        path.write_bytes(b"rotten")
    result = run()
    assert status(result) == "passed"
    assert last(api.cache_why(FILE)) == ("miss", ["what was stored of its run is missing or damaged"])


def test_what_is_uncacheable_says_why():
    edit(FILE, "{{ word }}", "{{ now() }}")
    run()
    answer, (said,) = last(api.cache_why(FILE))
    assert answer == "uncacheable"
    assert said.startswith("the clock or a random number went into the file")


def test_other_settings_of_the_run_are_told():
    run()
    run(timeout="99s")
    answer, said = last(api.cache_why(FILE))
    assert (answer, said) == ("miss", ["limit test_s: 300 -> 99"])


def test_why_says_what_would_be_done_now_without_doing_it():
    run()
    edit(FILE, "echo", "printf")
    before = Path(".clnrm/state.db").read_bytes()
    (one,) = api.cache_why(FILE).raw["data"]["why"]
    assert one["now"]["answer"] == "miss"
    assert one["now"]["sentences"][0].startswith("scenario scenario[0].run: ")
    assert one["last"]["answer"] == "miss"
    assert Path(".clnrm/state.db").read_bytes() == before


def test_a_test_is_found_by_the_end_of_its_id_by_glob_and_after_it_is_gone():
    run()
    for name in ("a.clnrm.toml.tera", "tests/*", FILE, f"./{FILE}"):
        (one,) = api.cache_why(name).raw["data"]["why"]
        assert one["test_id"] == FILE
    Path(FILE).unlink()
    assert "there is no such test any more" in repr(api.cache_why(FILE))


def test_an_unknown_test_is_refused_with_the_nearest_name():
    run()
    with pytest.raises(ClnrmError, match=f"did you mean `{FILE}`") as caught:
        api.cache_why("tests/b.clnrm.toml.tera")
    assert caught.value.exit_code == 2
    with pytest.raises(UsageError):
        api.cache_why(FILE, colour=True)


def test_the_commands_are_those_of_the_shell_too():
    run()
    done = subprocess.run(
        [sys.executable, "-m", "clnrm_nb", "why", FILE, "-f", "json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    document = json.loads(done.stdout)
    assert document["command"] == "cache why"
    assert document["data"]["why"][0]["last"]["causes"] == [{"kind": "first"}]


# ------------------------------------------------------------------------------------------------ shared

KEY = "a key that both projects were given"
REPLAYED = "tests/b.clnrm.toml"


@pytest.fixture
def two(tmp_path, project, monkeypatch):
    """Two projects with the same test and recording, each with a local key of its own; and the shared directory.

    Replayed, because programs on this machine see its ``PATH``, which makes their results its own.
    """
    (project / REPLAYED).write_text(EXPECTED)
    api.record(REPLAYED, output=str(tmp_path / "rec.json"), backend="process")
    other = made(tmp_path / "other", monkeypatch)
    (other / REPLAYED).write_text(f"# in another place\n{EXPECTED}")
    for name, value in {"KEY": KEY, "DIR": str(tmp_path / "shared"), "WRITE": "true"}.items():
        monkeypatch.setenv(f"CLNRM_NB_CACHE_SHARED_{name}", value)

    def replay(root):
        monkeypatch.chdir(root)
        return clnrm_nb.run([REPLAYED], replay=str(tmp_path / "rec.json"))

    return project, other, replay


def test_what_one_project_ran_another_need_not(two, tmp_path, monkeypatch):
    project, other, replay = two
    monkeypatch.setenv("CLNRM_NB_CACHE_SHARED_WRITE", "false")
    assert status(replay(project)) == "passed"
    assert not (tmp_path / "shared").exists()
    monkeypatch.setenv("CLNRM_NB_CACHE_SHARED_WRITE", "true")
    monkeypatch.chdir(project)
    clnrm_nb.run([REPLAYED], replay=str(tmp_path / "rec.json"), force=True)

    result = replay(other)

    assert status(result) == "cached"
    assert list(result.spans.frame.query("not own")["name"]) == ["said"]
    assert "taken from the shared cache, by " in repr(api.cache_why(REPLAYED))
    assert "of " in result.raw["data"]["tests"][0]["reason"]
    # From then on it is as good as its own.
    shutil.rmtree(tmp_path / "shared")
    assert status(replay(other)) == "cached"


def test_an_entry_of_another_key_is_run_and_said(two, monkeypatch):
    project, other, replay = two
    replay(project)
    monkeypatch.setenv("CLNRM_NB_CACHE_SHARED_KEY", "a key of somebody else entirely")
    result = replay(other)
    assert status(result) == "passed"
    assert result.ok
    (finding,) = result.raw["diagnostics"]
    assert finding["code"] == "CLN804"
    assert "not signed with our key" in finding["message"]


def test_contents_that_were_changed_are_run_and_said(two, tmp_path):
    project, other, replay = two
    replay(project)
    for path in (tmp_path / "shared/cas").iterdir():
        path.write_bytes(path.read_bytes().replace(b"said", b"lied"))
    result = replay(other)
    assert status(result) == "passed"
    assert ["does not have its digest" in finding["message"] for finding in result.raw["diagnostics"]] == [
        True
    ]


def test_a_shared_cache_that_cannot_be_reached_stops_nothing(two, tmp_path, monkeypatch):
    project, _, replay = two
    monkeypatch.delenv("CLNRM_NB_CACHE_SHARED_DIR")
    monkeypatch.setenv("CLNRM_NB_CACHE_SHARED_URL", "http://127.0.0.1:9/cache")
    result = replay(project)
    assert (status(result), result.exit_code) == ("passed", 0)
    (finding,) = result.raw["diagnostics"]
    assert "the shared cache is not used any more in this run" in finding["message"]
    assert status(replay(project)) == "cached"


def test_without_a_key_nothing_is_shared_and_it_is_said(two, tmp_path, monkeypatch):
    project, _, replay = two
    monkeypatch.delenv("CLNRM_NB_CACHE_SHARED_KEY")
    result = replay(project)
    assert [finding["code"] for finding in result.raw["diagnostics"]] == ["CLN804"]
    assert not (tmp_path / "shared").exists()


def test_what_a_machines_environment_went_into_is_not_given_away(two, tmp_path, monkeypatch):
    project, *_ = two
    monkeypatch.chdir(project)
    assert status(run(REPLAYED, force=True)) == "passed"
    assert not (tmp_path / "shared").exists()


def test_a_key_in_a_file_of_the_project_is_refused(project):
    (project / "cleanroom.toml").write_text(f'[cache.shared]\nkey = "{KEY}"\n')
    with pytest.raises(ConfigError, match=r"must not stand in cleanroom\.toml") as caught:
        run()
    assert caught.value.code == "CLN806"


# ------------------------------------------------------------------------------------------------- doors


@pytest.fixture
def shell():
    from IPython.core.interactiveshell import InteractiveShell

    from clnrm_nb.notebook.magics import load, unload

    shell = InteractiveShell()
    load(shell)
    yield shell
    unload(shell)


def by_function(words, shell):
    command = "_".join(words[:2])
    return getattr(api, command)(*words[2:]).raw


def by_command(words, shell):
    done = subprocess.run(
        [sys.executable, "-m", "clnrm_nb", *words, "-f", "json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return json.loads(done.stdout)


def by_magic(words, shell):
    found = shell.run_line_magic("clnrm", " ".join(words))
    assert list(found.frame.columns)[:4] == ["test_id", "hash", "status", "stored_status"]
    return found.raw


@pytest.mark.parametrize("door", [by_function, by_command, by_magic])
def test_every_door_tells_the_same(shell, door):
    from jsonschema import Draft202012Validator

    from clnrm_nb.schemas import schema

    run()
    run()
    for words in (
        ["cache", "stats"],
        ["cache", "list"],
        ["cache", "why", FILE],
        ["cache", "verify"],
        ["cache", "clear"],
    ):
        document = door(words, shell)
        Draft202012Validator(schema("report")).validate(document)
        assert document["command"] == " ".join(words[:2])
        assert document["exit_code"] == 0
        if words[1] in ("stats", "list", "why", "clear"):
            assert [entry["test_id"] for entry in document["data"]["entries"]] == [FILE]
    assert door(["cache", "list"], shell)["data"]["entries"] == []


@pytest.mark.docker
def test_an_image_that_moved_is_told_with_both_addresses(engine, busybox_image, volume_image, no_leftovers):
    Path(FILE).write_text(
        f"""{HEAD}
[services.app]
plugin = "generic_container"
image = "clnrm-test-why:moving"
args = ["sleep", "60"]
wait_strategy = "none"

[[scenario]]
name = "say"
service = "app"
run = "echo hello"
"""
    )
    try:
        for image, wanted in ((busybox_image, "passed"), (busybox_image, "cached"), (volume_image, "passed")):
            engine.client.tag(image, "clnrm-test-why", "moving")
            assert status(clnrm_nb.run([FILE])) == wanted
    finally:
        engine.client.remove_image("clnrm-test-why:moving")
    (said,) = last(api.cache_why(FILE))[1]
    assert re.fullmatch(r"image clnrm-test-why:moving: digest moved [0-9a-f]{12}… -> [0-9a-f]{12}…", said)


@pytest.mark.docker
def test_what_one_ran_in_containers_another_need_not(tmp_path, monkeypatch, busybox_image, no_leftovers):
    text = f"""{HEAD}
[services.app]
plugin = "generic_container"
image = "{busybox_image}"
args = ["sleep", "60"]
wait_strategy = "none"

[[scenario]]
name = "say"
service = "app"
run = "echo {{{{ svc }}}}"
"""
    for name, value in {"KEY": KEY, "DIR": str(tmp_path / "shared"), "WRITE": "true"}.items():
        monkeypatch.setenv(f"CLNRM_NB_CACHE_SHARED_{name}", value)
    statuses = []
    for name in ("here", "there"):
        root = made(tmp_path / name, monkeypatch)
        (root / FILE).write_text(text)
        result = clnrm_nb.run([FILE])
        statuses.append(status(result))
        (scenario,) = result.raw["data"]["tests"][0]["scenarios"]
        assert [command["stdout"] for command in scenario["commands"]] == ["clnrm\n"]
    assert statuses == ["passed", "cached"]
    # Another variable is another hash, also for those who share.
    assert status(clnrm_nb.run([FILE], vars={"svc": "b"})) == "passed"
