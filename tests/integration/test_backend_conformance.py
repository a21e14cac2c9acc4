"""What every backend must show through `clnrm_nb.run`: one suite for docker, podman, process and dask.

A project with a test for each behaviour is run once on each backend; the tests look at that one result. Only
what needs a run of its own (retries, limits, interrupts) has one.
"""

from __future__ import annotations

import base64
import json
import os
import time
from pathlib import Path

import pytest

import clnrm_nb
from clnrm_nb.reaper.ownership import this_process

pytestmark = pytest.mark.docker

SECRET = "xyzzy-4711-secret"
HELD = f"987.{os.getpid()}"

# A span of its own in the context it was given, as an SDK would send it, with what a bare image has.
SEND = """
id=$(printf '%s' "$TRACEPARENT" | cut -d- -f2); parent=$(printf '%s' "$TRACEPARENT" | cut -d- -f3)
now=$(date +%s)000000000
body='{"resourceSpans":[{"resource":{},"scopeSpans":[{"spans":[{"traceId":"'$id'","spanId":"SPAN","parentSpanId":"'$parent'","name":"NAME","kind":1,"startTimeUnixNano":"'$now'","endTimeUnixNano":"'$now'"}]}]}]}'
wget -q -O- --header 'Content-Type: application/json' --post-data "$body" "$OTEL_EXPORTER_OTLP_ENDPOINT/v1/traces"
"""
ORPHAN = '{"resourceSpans":[{"resource":{},"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","parentSpanId":"aaaaaaaaaaaaaaaa","name":"orphan","startTimeUnixNano":"1","endTimeUnixNano":"2"}]}]}]}'


def sent(name, number):
    return SEND.replace("NAME", name).replace("SPAN", f"{number:016x}")


def step(script, name="go", **keys):
    more = "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
    return f"[[steps]]\nname = {json.dumps(name)}\ncommand = ['sh', '-c', '''{script}''']\n{more}"


def scenario(name, script, more=""):
    return (
        f"[[scenario]]\nname = '{name}'\n{more}"
        f"[[scenario.steps]]\nname = 'go'\ncommand = ['sh', '-c', '''{script}''']\n"
    )


MANY = {
    "a_passed": step("echo hello; echo oops >&2", expected_output_regex="^hello$"),
    "b_failed": step("exit 3") + step("echo never", "after"),
    "c_error": "[secrets]\nenv = ['CONFORMANCE_UNSET']\n" + step("echo hi"),
    "d_timeout": step("sleep 30", timeout="300ms"),
    "e_incomplete": step(f"echo '{ORPHAN}'") + "[[expect.span]]\nname = 'orphan'\n",
    "f_secret": "[secrets]\nenv = ['CONFORMANCE_TOKEN']\n"
    + step('echo "plain $CONFORMANCE_TOKEN"; printf %s "$CONFORMANCE_TOKEN" | base64'),
    "g_spans": scenario("one", sent("first", 17)) + scenario("two", sent("second", 18)) + "[[expect.span]]\nname = 'first'\n",
    "h_artifacts": scenario("leaves", "mkdir -p tmp/data; echo kept > tmp/data/a.txt", "artifacts.collect = ['files:/tmp/data/*.txt']\n"),
    "j_unmet": step("true") + "[[expect.span]]\nname = 'nowhere'\n",
}  # fmt: skip


class Place:
    """A backend, and how a project is run on it."""

    def __init__(self, name, options, container_engine, image, user_configuration):
        self.name = name
        self.image = image
        self.options = options
        self.engine = container_engine
        self.user_configuration = user_configuration

    def project(self, directory, tests):
        (directory / ".clnrm").mkdir(parents=True)
        for name, text in tests.items():
            (directory / f"{name}.clnrm.toml").write_text(f'[meta]\nname = "{name}"\nversion = "1"\n{text}')
        return directory

    def run(self, directory, **options):
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(directory)
            patch.setenv("CONFORMANCE_TOKEN", SECRET)
            patch.delenv("CONFORMANCE_UNSET", raising=False)
            patch.setenv("XDG_CONFIG_HOME", str(self.user_configuration))
            return clnrm_nb.run(directory, isolation="fresh", **self.options, **options)

    def left(self):
        """What of any test is there now: containers, networks, processes."""
        if self.engine is not None:
            # Of this process, or of workers on an engine that nobody else uses.
            label = "clnrm_nb.test" if self.name.startswith("dask") else f"clnrm_nb.owner={this_process()}"
            filters = {"label": label}
            return [
                *(each["Names"][0] for each in self.engine.client.containers(all=True, filters=filters)),
                *(each["Name"] for each in self.engine.client.networks(filters=filters)),
            ]
        return [entry.name for entry in Path("/proc").glob("[0-9]*") if _holds(entry)]


def _holds(entry):
    try:
        return HELD.encode() in (entry / "cmdline").read_bytes() and entry.name != str(os.getpid())
    except OSError:
        return False


@pytest.fixture(scope="module", params=["docker", "podman", "process", "dask-docker", "dask-process"])
def place(request, tmp_path_factory):
    configuration = tmp_path_factory.mktemp("user")
    (configuration / "cleanroom").mkdir()
    kind, _, inner = request.param.partition("-")
    engine, image, lines = None, "ignored:1", []
    if kind == "podman" or "docker" in request.param:
        engine = (
            request.getfixturevalue("two_engines")[0]
            if inner
            else request.getfixturevalue("podman_engine" if kind == "podman" else "engine")
        )
        image = request.getfixturevalue("image_maker").busybox(engine.client)
        lines += ["[containers]", f'default_image = "{image}"', 'pull_policy = "never"']
    options = {"backend": kind}
    if kind == "podman":
        options = {"backend": "docker", "docker_host": engine.url}
    if inner:
        cluster = request.getfixturevalue("conformance_cluster")
        options = {"scheduler": cluster.address}
        lines += ["[executor.dask]", f'inner = "{inner}"']
    (configuration / "cleanroom" / "cleanroom.toml").write_text("\n".join(lines))
    return Place(request.param, options, engine, image, configuration)


@pytest.fixture(scope="module")
def conformance_cluster(dask_cluster, two_engines):
    with dask_cluster("conformance") as cluster:
        cluster.worker(n_threads=8, docker_host=two_engines[0].url)
        yield cluster.ready()


@pytest.fixture(scope="module")
def many(place, tmp_path_factory):
    directory = place.project(tmp_path_factory.mktemp(place.name) / "many", MANY)
    (directory / "i_matrix.clnrm.toml.tera").write_text(
        '[meta]\nname = "m"\nversion = "1"\n[matrix]\ndb = ["pg", "redis"]\n' + step("echo {{ matrix.db }}")
    )
    result = place.run(directory, report_json=str(directory / "report.json"))
    return directory, result, {test.name: test for test in result.outcomes}


def codes(test):
    return [finding.code for finding in test.diagnostics if finding.severity != "info"]


def command(test, number=0):
    return [each for part in test.scenarios for each in part.commands][number]


def test_results_come_in_path_order_whatever_ended_first(many):
    _, result, _ = many

    files = [test.id for test in result.outcomes]

    assert files == sorted(files)
    assert len(files) == len(MANY) + 2


def test_passed(many):
    assert (many[2]["a_passed"].status, codes(many[2]["a_passed"])) == ("passed", [])


def test_stdout_and_stderr_are_captured_apart(many):
    ran = command(many[2]["a_passed"])

    assert (ran.stdout, ran.stderr, ran.exit_code) == ("hello\n", "oops\n", 0)


def test_failed_and_what_comes_after_is_skipped(many):
    test = many[2]["b_failed"]

    assert (test.status, codes(test)) == ("failed", ["CLN605"])
    assert (command(test).exit_code, command(test, 1).status) == (3, "skipped")


def test_a_finding_stands_at_the_line_a_person_edits(many):
    finding = next(each for each in many[2]["b_failed"].diagnostics if each.code == "CLN605")

    text = (many[0] / "b_failed.clnrm.toml").read_text().splitlines()
    assert finding.file == "b_failed.clnrm.toml"
    assert text[finding.line - 1].startswith("[[steps]]")


def test_error(many):
    assert (many[2]["c_error"].status, codes(many[2]["c_error"])) == ("error", ["CLN106"])


def test_timeout(many):
    test = many[2]["d_timeout"]

    assert (test.status, codes(test)) == ("failed", ["CLN604"])
    assert command(test).duration_ms < 25_000


def test_incomplete(many):
    test = many[2]["e_incomplete"]

    assert (test.status, test.complete) == ("incomplete", False)
    assert "CLN614" in codes(test)


def test_an_expectation_that_is_not_met_fails(many):
    assert many[2]["j_unmet"].status == "failed"


def test_secrets_are_masked_wherever_they_are_shown_or_kept(many):
    directory, result, tests = many

    assert command(tests["f_secret"]).stdout.startswith("plain •••\n")
    kept = [path for path in directory.rglob("*") if path.is_file()]
    shown = [repr(result), *(path.read_bytes().decode("utf-8", "replace") for path in kept)]
    for form in (SECRET, base64.b64encode(SECRET.encode()).decode()):
        assert not [text for text in shown if form in text]


def test_spans_are_the_scenarios_whose_commands_sent_them(many):
    test = many[2]["g_spans"]
    table = test.spans

    owners = {table.name[row]: table.scenario[row] for row in range(len(table)) if not table.own[row]}

    assert (test.status, owners) == ("passed", {"first": "one", "second": "two"})
    assert [part.span_count for part in test.scenarios] == [1, 1]


def test_own_spans_hang_together_from_the_run_down_to_the_step(many):
    for test in many[2].values():
        if test.spans is None:
            continue
        table = test.spans
        own = {table.name[row]: row for row in range(len(table)) if table.own[row]}
        parents = table.parent_rows()
        assert parents[own["clnrm.test"]] == own["clnrm.run"], test.id
        scenarios = [row for name, row in own.items() if name.startswith("clnrm.scenario:")]
        assert {parents[row] for row in scenarios} <= {own["clnrm.test"]}, test.id


def test_all_tests_hang_below_one_run(many):
    runs = set()
    for table in (test.spans for test in many[2].values() if test.spans is not None):
        runs |= {table.span_id[row] for row in range(len(table)) if table.name[row] == "clnrm.run"}

    assert len(runs) == 1


def test_files_of_a_test_are_kept_as_artifacts(many):
    (kept,) = (many[0] / ".clnrm" / "artifacts").rglob("a.txt")

    assert kept.read_text() == "kept\n"
    assert "leaves" in kept.parts


def test_output_and_spans_are_kept_as_artifacts(many):
    place = many[0] / ".clnrm" / "artifacts"

    assert (place / "a_passed.clnrm.toml" / "steps" / "stdout.log").read_text() == "hello\n"
    assert "first" in (place / "g_spans.clnrm.toml" / "one" / "spans.json").read_text()
    assert (place / "g_spans.clnrm.toml" / "recording.json").exists()


def test_each_combination_of_a_matrix_is_a_test(many):
    tests = [test for test in many[1].outcomes if test.matrix]

    assert [(test.matrix["db"], command(test).stdout) for test in tests] == [("pg", "pg\n"), ("redis", "redis\n")]  # fmt: skip


def test_nothing_is_left_of_a_run(place, many):
    assert place.left() == []


def test_a_test_that_passes_again_is_flaky(place, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o777)
    tries = "if test -e /shared/tried; then exit 0; fi; touch /shared/tried; exit 1"
    waits = """args = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.05; done"]"""
    service = f"[services.box]\nimage = '{place.image}'\n{waits}\nvolumes = ['{shared}:/shared']\n"
    directory = place.project(tmp_path / "project", {"t": service + step(tries, service="box")})

    result = place.run(directory, retries=2, allow=[f"mount:{shared}"])

    (test,) = result.outcomes
    assert test.status == "flaky", result
    assert test.reason.startswith("passed in attempt 2")
    assert (shared / "tried").exists()


def test_after_the_allowed_failures_nothing_more_starts(place, tmp_path):
    directory = place.project(tmp_path / "project", {name: step("exit 1") for name in "abc"})

    result = place.run(directory, fail_fast=True, workers=1)

    assert sorted(test.status for test in result.outcomes) == ["failed", "skipped", "skipped"]


def test_an_interrupt_stops_what_runs_and_leaves_nothing(place, tmp_path):
    directory = place.project(
        tmp_path / "project", {"a": step(f"echo up; sleep {HELD}"), "b": step(f"sleep {HELD}")}
    )
    run = place.run(directory, detach=True)
    _until(lambda: len(place.left()) >= 2)

    started_s = time.monotonic()
    run.cancel()
    result = run.wait(60)
    took_s = time.monotonic() - started_s

    assert {test.status for test in result.outcomes} <= {"interrupted", "skipped"}
    assert result.exit_code == 130
    assert took_s < 20
    # What was not gone when the interrupt had to be answered goes soon after.
    _until(lambda: not place.left())


def _until(condition, within_s=60.0):
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
