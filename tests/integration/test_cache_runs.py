"""Runs with a cache: what has changed is run, what has not is not, and what is told is what is true."""

import contextlib
import json
import random
import subprocess
import sys

import pytest

import clnrm_nb
from clnrm_nb import api
from tests.cache_changes import CHANGES, COSMETIC, FILE, Place

SPAN = '{"name": "work", "trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331", "start_time_unix_nano": 1, "end_time_unix_nano": 2}'


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def told(result):
    (test,) = result.raw["data"]["tests"]
    return test


def stored(place):
    """A test that has passed and is a hit."""
    assert place.run().ok
    assert told(place.run())["status"] == "cached"
    assert place.runs == 1


# ------------------------------------------------------------------------------------ what is an input


@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_of_an_input_is_never_a_hit(place, kind):
    stored(place)

    CHANGES[kind](place, f"value-of-{len(kind)}")
    result = place.run()

    assert (told(result)["status"], place.runs) == ("passed", 2)


@pytest.mark.parametrize("kind", COSMETIC)
def test_an_edit_that_makes_no_difference_runs_nothing(place, kind):
    stored(place)

    COSMETIC[kind](place, "something else")
    result = place.run()

    assert (told(result)["status"], place.runs) == ("cached", 1)


def test_two_kinds_of_change_that_cancel_each_other_out_are_a_hit_again(place):
    stored(place)
    before = (place.root / FILE).read_text()
    place.edit("seed = 7", "seed = 8")
    assert told(place.run())["status"] == "passed"

    place.write(FILE, before)

    assert (told(place.run())["status"], place.runs) == ("cached", 2)


def test_what_only_toml_1_1_allows_is_no_hit_where_1_0_is_asked_for(place):
    place.edit("[vars]", "[vars]\nmore = {\n  a = 1,\n}")
    stored(place)

    result = place.run(strict_toml="1.0")

    assert told(result)["status"] == "error"


def test_markers_that_are_to_be_text_are_no_hit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = '[meta]\nname = "{{ svc }}"\nversion = "1"\n[[scenario]]\nname = "s"\nrun = "echo {{ svc }}"\n'
    (tmp_path / "plain.clnrm.toml").write_text(text)
    clnrm_nb.run(["plain.clnrm.toml"], backend="process")

    result = clnrm_nb.run(["plain.clnrm.toml"], backend="process", no_template=True)

    assert told(result)["status"] == "passed"
    assert told(result)["scenarios"][0]["commands"][0]["stdout"] == "{{ svc }}\n"


# ----------------------------------------------------------------------------------------- verdicts

TRACED = """
[meta]
name = "traced"
version = "1"

[otel]
exporter = "stdout"

[[scenario]]
name = "work"
run = [{ command = ["sh", "-c", 'echo ran >> {count}; cat trace.json'] }]

[[expect.span]]
name = "work"

[expect.counts]
spans_total = { eq = 1 }
"""


class Traced:
    """One test that prints a span."""

    file = "traced.clnrm.toml"

    def __init__(self, root):
        self.root = root
        self.count = root / "count"
        (root / ".clnrm").mkdir()
        (root / "trace.json").write_text(SPAN)
        text = TRACED.replace("{count}", str(self.count)).replace("cat trace.json", f"cat {root}/trace.json")
        self.text = text
        (root / self.file).write_text(text)

    def write(self, old, new):
        text = (self.root / self.file).read_text()
        assert old in text
        (self.root / self.file).write_text(text.replace(old, new))

    def run(self, **options):
        return clnrm_nb.run([self.file], **{"backend": "process", **options})

    @property
    def runs(self):
        return len(self.count.read_text().splitlines()) if self.count.exists() else 0


@pytest.fixture
def traced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Traced(tmp_path)


def test_a_cached_test_shows_what_its_run_showed(traced):
    first = traced.run()
    result = traced.run()

    before, now = told(first), told(result)
    assert (now["status"], now["stored_status"], now["cached"], result.ok) == ("cached", "passed", True, True)
    for key in (
        "scenarios",
        "expectations",
        "hash",
        "trace_digest",
        "duration_ms",
        "span_count",
        "timings_ms",
    ):
        assert now[key] == before[key], key
    assert result.spans.frame["name"].tolist() == first.spans.frame["name"].tolist()
    frame = result.frame
    assert frame["level"].tolist() == first.frame["level"].tolist()
    assert frame["status"].tolist()[0] == "cached"
    assert frame["stored_status"].tolist()[0] == "passed"
    assert result.expectations["status"].tolist() == ["passed"] * len(before["expectations"])


@pytest.mark.parametrize("form", ["human", "json", "junit", "tap", "html", "markdown"])
def test_every_form_of_report_tells_that_it_is_cached(traced, form):
    from clnrm_nb.report import render_report

    traced.run()

    text = render_report(traced.run(), form, verbose=True)

    assert "cached" in text or form == "tap"
    assert "traced" in text


def test_a_changed_expectation_is_judged_without_a_run(traced):
    traced.run()
    traced.write("spans_total = { eq = 1 }", "spans_total = { gte = 1 }")

    result = traced.run()

    assert (told(result)["status"], told(result)["cached"], traced.runs) == ("cached", True, 1)
    assert "judged again" in told(result)["reason"]
    assert "judged again" not in told(traced.run())["reason"]
    assert traced.runs == 1


def test_an_expectation_that_does_not_hold_fails_on_the_stored_spans(traced):
    traced.run()
    traced.write("spans_total = { eq = 1 }", "spans_total = { eq = 2 }")

    results = [traced.run(), traced.run()]

    assert [told(result)["status"] for result in results] == ["failed", "failed"]
    assert not results[0].ok
    assert "nothing was run" in told(results[0])["reason"]
    assert traced.runs == 1
    traced.write("spans_total = { eq = 2 }", "spans_total = { eq = 1 }")
    assert (told(traced.run())["status"], traced.runs) == ("cached", 1)


def test_an_accepted_trace_that_changes_is_compared_without_a_run(traced):
    assert traced.run(update_baseline=True).ok
    assert traced.run(baseline=True).ok
    (traced.root / "trace.json").write_text(SPAN.replace('"work"', '"other"'))
    traced.write('name = "work"\n\n[expect', 'name = "other"\n\n[expect')
    changed = traced.run(baseline=True, force=True)
    assert "changed" in {one["status"] for one in changed.raw["data"]["diffs"]}
    runs = traced.runs

    api.baseline_accept(["traced.clnrm.toml::work"])
    result = traced.run(baseline=True)

    assert (told(result)["status"], result.ok, traced.runs) == ("cached", True, runs)
    assert {one["status"] for one in result.raw["data"]["diffs"]} == {"same"}


def test_a_cached_test_is_compared_and_recorded_with_its_spans(traced):
    traced.run()

    assert api.record([traced.file], backend="process").ok
    found = api.diff([traced.file], backend="process", run_when="auto")

    assert traced.runs == 1
    assert {one["status"] for one in found.raw["data"]["diffs"]} == {"same"}
    recording = json.loads((traced.root / ".clnrm" / "recording.json").read_text())
    assert recording["tests"][0]["scenarios"][0]["commands"][0]["exit_code"] == 0


def test_who_wants_to_reproduce_or_always_to_run_gets_no_answer_from_the_cache(traced):
    api.record([traced.file], backend="process")

    assert api.repro(str(traced.root / ".clnrm/baseline.json"), backend="process").ok
    api.diff([traced.file], backend="process", run_when="always")

    assert traced.runs == 3


def test_another_recording_is_no_hit(traced):
    recording = traced.root / "recording.json"
    api.record([traced.file], backend="process", output=recording)
    replayed = {"backend": "replay", "replay": str(recording)}
    assert told(traced.run(**replayed))["status"] == "passed"
    assert told(traced.run(**replayed))["status"] == "cached"

    document = json.loads(recording.read_text())
    document["tests"][0]["scenarios"][0]["commands"][0]["exit_code"] = 1
    recording.write_text(json.dumps(document))

    assert told(traced.run(**replayed))["status"] == "failed"


# -------------------------------------------------------------------------------------- what is stored


def test_a_failure_is_never_stored_and_forgets_a_pass_of_the_same_inputs(traced):
    traced.run()
    (traced.root / "trace.json").write_text("no span")

    assert told(traced.run(force=True))["status"] == "failed"
    (traced.root / "trace.json").write_text(SPAN)

    assert (told(traced.run())["status"], traced.runs) == ("passed", 3)


def test_a_test_that_passed_in_a_retry_is_not_stored(traced):
    traced.write("cat ", f"[ $(wc -l < {traced.count}) -gt 1 ] && cat ")
    assert told(traced.run(retries=2))["status"] == "flaky"

    assert (told(traced.run())["status"], traced.runs) == ("passed", 3)


def test_what_is_edited_during_the_run_is_not_stored(place):
    place.edit(
        'command = ["sh", "-c", "echo ran',
        f'command = ["sh", "-c", "date +%N >> {place.root}/data/a.txt; echo ran',
    )
    first = place.run()

    assert "changed during the run" in told(first)["hash_reason"]
    assert (told(place.run())["status"], place.runs) == ("passed", 2)


def test_a_clock_that_nothing_holds_still_is_never_stored_and_said_so(traced):
    traced.write('name = "traced"', 'name = "{{ now() }}"')

    results = [traced.run(), traced.run()]

    assert [told(result)["status"] for result in results] == ["passed", "passed"]
    assert "uncacheable" in told(results[1])["hash_reason"]
    (traced.root / ".clnrm/cache/hashes.json").read_text()


# ------------------------------------------------------------------------------------ asked otherwise


@pytest.mark.parametrize(
    ("options", "runs_again"),
    [
        ({"force": True}, 0),
        ({"no_cache": True}, 0),
        ({"repeat": 2}, 0),
        ({"until_fail": True, "repeat": 2}, 0),
    ],
)
def test_who_asks_for_a_run_gets_one(traced, options, runs_again):
    traced.run()

    result = traced.run(**options)

    assert (told(result)["status"], traced.runs) == ("passed", 1 + options.get("repeat", 1))


def test_a_forced_run_is_stored_and_one_without_a_cache_is_not(traced):
    traced.run(no_cache=True)
    assert told(traced.run(force=True))["status"] == "passed"

    assert told(traced.run())["status"] == "cached"
    assert traced.runs == 2


def test_a_selection_is_made_before_the_cache_is_asked(place):
    stored(place)

    assert place.run(tag=["slow"]).raw["data"]["tests"] == []
    assert told(place.run(tag=["fast"]))["status"] == "cached"
    assert told(place.run(only=["*::only"]))["status"] == "cached"
    assert told(place.run(expression="fast and not slow"))["status"] == "cached"
    assert told(place.run(shard="1/1"))["status"] == "cached"


def test_an_audit_runs_a_hit_and_finds_it_true(traced):
    traced.run()

    assert (told(traced.run(audit=100))["status"], traced.runs) == ("passed", 2)
    assert (told(traced.run())["status"], traced.runs) == ("cached", 2)


def test_an_audit_fails_a_result_that_a_run_does_not_bear_out(traced):
    traced.run()
    (traced.root / "trace.json").write_text(
        SPAN.replace('"name": "work"', '"name": "work", "attributes": {"a": 1}')
    )

    result = traced.run(audit=100)

    assert told(result)["status"] == "failed"
    assert [finding["code"] for finding in told(result)["diagnostics"]] == ["CLN807"]
    assert (told(traced.run())["status"], traced.runs) == ("passed", 3)


def test_events_of_a_cached_test_are_its_queue_and_its_end(traced):
    traced.run()
    events = []

    traced.run(listener=events.append)

    assert [event.event for event in events] == ["run.start", "test.queued", "test.end", "run.end"]
    assert (events[2].status, events[2].data["stored_status"]) == ("cached", "passed")


def test_a_cached_test_is_history_with_all_it_showed(traced):
    traced.run()
    traced.run()

    history = api.history([traced.file])
    assert history.frame["status"].tolist() == ["cached", "passed"]
    statistics = api.stats().raw["data"]["statistics"]
    assert (statistics[0]["runs"], statistics[0]["cached"]) == (1, 1)
    assert api.spans(traced.file).frame["name"].tolist().count("work") == 1
    lines = (traced.root / ".clnrm/history/runs.ndjson").read_text().splitlines()
    assert [json.loads(line)["cached"] for line in lines] == [False, True]
    assert json.loads(lines[0])["digests"] == json.loads(lines[1])["digests"]


# ------------------------------------------------------------------------------------------ processes


def test_an_all_cached_run_from_the_shell_loads_nothing_heavy(traced):
    traced.run()
    program = (
        "import sys\n"
        "from clnrm_nb.cli.main import run_command_line\n"
        f"code = run_command_line(['run', {traced.file!r}, 'more.clnrm.toml', '--backend', 'process'])\n"
        "heavy = 'docker jinja2 tornado opentelemetry pandas requests plotly faker'.split()\n"
        "heavy += ['clnrm_nb.' + name for name in 'template.compiler scenario.model executor.pool diff'.split()]\n"
        "print(code, [name for name in heavy if name in sys.modules])\n"
    )
    # With more than a few tests nobody looks at what their commands have printed.
    (traced.root / "more.clnrm.toml").write_text(traced.text.replace('"traced"', '"more"'))
    clnrm_nb.run(["more.clnrm.toml"], backend="process")

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.splitlines()[-1] == "0 []", done.stdout + done.stderr
    assert "2 cached" in done.stdout


def test_two_runs_at_once_run_each_test_once(traced):
    traced.write("echo ran", "sleep 1; echo ran")
    command = [sys.executable, "-m", "clnrm_nb", "run", traced.file, "--backend", "process", "-f", "json"]

    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [json.loads(process.communicate(timeout=60)[0]) for process in both]

    assert sorted(answer["data"]["tests"][0]["status"] for answer in answers) == ["cached", "passed"]
    assert traced.runs == 1


def test_whenever_a_run_is_killed_the_next_one_shows_what_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".clnrm").mkdir()
    file, dice = tmp_path / "echo.clnrm.toml", random.Random(6)
    command = [sys.executable, "-m", "clnrm_nb", "run", file.name, "--backend", "process"]
    shown = []
    for number in [1, 2, 1, 3, 2, 1, 3, 4, 1, 2]:
        file.write_text(ECHO.replace("NUMBER", str(number)))
        killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            killed.wait(timeout=dice.uniform(0.2, 1.2))
        killed.kill()
        killed.wait()
        test = told(clnrm_nb.run([file.name], backend="process"))
        shown.append((test["status"] in ("passed", "cached"), test["scenarios"][0]["commands"][0]["stdout"]))

    assert shown == [(True, f"{number}\n") for number in [1, 2, 1, 3, 2, 1, 3, 4, 1, 2]]


# -------------------------------------------------------------------------------------------- engines

ECHO = """
[meta]
name = "echo"
version = "1"

[[scenario]]
name = "s"
run = "echo NUMBER"
"""

SERVED = """
[meta]
name = "served"
version = "1"

[services.app]
plugin = "generic_container"
image = "{image}"
args = ["sleep", "60"]
wait_strategy = "none"

[[scenario]]
name = "s"
run = [{ command = ["true"], service = "app" }]
"""


@pytest.fixture
def moving(engine, busybox_image, volume_image, tmp_path, monkeypatch):
    """A tag that is this test's own, and a function that lets it mean the other image."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".clnrm").mkdir()
    name = f"clnrm-moving-{tmp_path.name.replace('_', '-')}"[:60].rstrip("-").lower()
    engine.client.tag(busybox_image, name, "1")
    (tmp_path / "served.clnrm.toml").write_text(SERVED.replace("{image}", f"{name}:1"))
    yield lambda: engine.client.tag(volume_image, name, "1")
    engine.client.remove_image(f"{name}:1")


def served(engine, **options):
    return told(clnrm_nb.run(["served.clnrm.toml"], docker_host=engine.url, **options))


@pytest.mark.docker
def test_an_image_that_moves_under_its_tag_is_never_a_hit(engine, moving):
    assert served(engine)["status"] == "passed"
    assert served(engine)["status"] == "cached"

    moving()

    assert served(engine)["status"] == "passed"
    assert served(engine)["status"] == "cached"


@pytest.mark.docker
def test_without_an_engine_images_are_what_they_were_when_one_was_last_seen(engine, moving, fault_proxy):
    assert served(fault_proxy)["status"] == "passed"
    fault_proxy.close()

    assert served(fault_proxy)["status"] == "cached"


@pytest.mark.docker
def test_an_image_that_is_pulled_each_time_is_never_a_hit(engine, moving, tmp_path):
    assert served(engine)["status"] == "passed"
    (tmp_path / "cleanroom.toml").write_text('[containers]\npull_policy = "always"\n')

    assert served(engine)["status"] != "cached"
