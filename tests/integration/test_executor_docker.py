"""Whole tests in real containers: services, readiness, limits, concurrency, interrupts."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clnrm_nb.config.project import Project
from clnrm_nb.config.settings import load_settings
from clnrm_nb.executor.backends import open_backend
from clnrm_nb.executor.plan import make_plan
from clnrm_nb.executor.pool import run_tests
from clnrm_nb.scenario.model import (
    ArtifactSpec,
    Expect,
    HealthCheck,
    Limits,
    Metadata,
    NamePattern,
    PortMapping,
    ResourceExpectation,
    Scenario,
    Service,
    Step,
    TestFile,
    Volume,
)

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("no_leftovers")]

# Ends on TERM, as a well-behaved service does.
SERVE = "trap 'exit 0' TERM; {start}; while :; do sleep 0.05; done"


@pytest.fixture
def run(tmp_path, busybox_image):
    project = Project(tmp_path, tmp_path / ".clnrm")

    async def run(*tests, publish=None, **keys):
        dotted = {key.replace("__", "."): value for key, value in keys.items()}
        settings = load_settings(
            project, overrides={"containers.default_image": busybox_image, **dotted}, environ={}
        )
        plans = [make_plan(test, directory=tmp_path, project=project, settings=settings) for test in tests]
        backend = await open_backend("docker", settings)
        try:
            outcomes = await run_tests(
                plans, backend, settings=settings, project=project, run_id="R1", publish=publish
            )
        finally:
            await backend.close()
        return outcomes[0] if len(tests) == 1 else outcomes

    return run


@pytest.fixture
def service(busybox_image):
    def make(name="web", start="echo up", **fields):
        args = None if start is None else ("sh", "-c", SERVE.format(start=start))
        return Service(name=name, image=busybox_image, args=args, **fields)

    return make


def a_test(name="a", steps=(), services=(), **fields):
    meta = fields.pop("meta", {})
    return TestFile(
        file=f"{name}.clnrm.toml",
        metadata=Metadata(name=name, **meta),
        steps=tuple(steps),
        services={service.name: service for service in services},
        **fields,
    )


def sh(script, name="go", **fields):
    return Step(name=name, command=("sh", "-c", script), **fields)


def codes(outcome):
    return [finding.code for finding in outcome.diagnostics]


SPAN = """
{{"resourceSpans": [{{
  "resource": {{"attributes": [{{"key": "service.name", "value": {{"stringValue": "{service}"}}}}]}},
  "scopeSpans": [{{"spans": [{{
    "traceId": "$(echo $TRACEPARENT | cut -d- -f2)", "spanId": "{span_id}",
    "parentSpanId": "$(echo $TRACEPARENT | cut -d- -f3)", "name": "{name}",
    "startTimeUnixNano": "$(date +%s)000000000", "endTimeUnixNano": "$(date +%s)000000001"
  }}]}}]
}}]}}
""".replace("\n", "")
JSON = "Content-Type: application/json"


def post(name, span_id="1234567890abcdef", service="app"):
    """A shell command that exports one span under the context it was given."""
    span = SPAN.format(name=name, span_id=span_id, service=service).replace('"', '\\"')
    return (
        f'wget -q -O /dev/null --header "{JSON}" --post-data "{span}" $OTEL_EXPORTER_OTLP_ENDPOINT/v1/traces'
    )


async def test_services_find_each_other_by_name_and_files_are_mounted(run, service, tmp_path):
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "hello").write_text("hello from the mount")
    web = service(
        start="httpd -p 8000 -h /www",
        volumes=(Volume(host_path="./www", container_path="/www", read_only=True),),
        ports=(PortMapping(host=0, container=8000),),
    )
    steps = [
        sh(
            "wget -q -O- http://web:8000/hello",
            service="client",
            expected_output_regex="^hello from the mount$",
        ),
        sh("wget -q -O- http://$CLNRM_HOST_WEB:$CLNRM_PORT_WEB_8000/hello", "by env"),
    ]
    outcome = await run(a_test(services=[web, service("client", depends_on=("web",))], steps=steps))

    assert (outcome.status, codes(outcome)) == ("passed", [])
    assert (outcome.hermetic, outcome.complete, outcome.leftovers) == (True, True, [])


@pytest.mark.parametrize(
    "probe",
    [
        pytest.param({"wait_log_message": "up [0-9]$"}, id="log"),
        pytest.param({"ports": (PortMapping(host=0, container=8000),)}, id="port"),
        pytest.param({"ready_port": 8000}, id="preset-port"),
        pytest.param({"ready_http": (8000, "/index.html")}, id="preset-http"),
        pytest.param({"health_check": HealthCheck(cmd=("test", "-e", "/tmp/up"))}, id="health"),
        pytest.param({"wait_for_span": NamePattern.of("boot*")}, id="span"),
    ],
)
async def test_each_readiness_probe_waits_for_what_comes_late(run, service, probe):
    boot = post("booted", service="web")
    start = (
        f"sleep 0.3; mkdir /w; echo ok > /w/index.html; httpd -p 8000 -h /w; {boot}; touch /tmp/up; echo up 1"
    )
    ready = []

    outcome = await run(
        a_test(services=[service(start=start, **probe)], steps=[sh("true")]),
        publish=lambda event: ready.append(event.data) if event.event == "service.ready" else None,
    )

    assert (outcome.status, codes(outcome)) == ("passed", [])
    assert ready[0]["duration_ms"] > 300


async def test_a_span_sent_by_a_command_belongs_to_its_scenario_and_hangs_under_it(run):
    outcome = await run(a_test(scenarios=(Scenario(name="buy", run=(sh(post("work")),)),)))

    table = outcome.spans
    row = table.name.index("work")
    assert (outcome.status, outcome.complete, outcome.scenarios[0].span_count) == ("passed", True, 1)
    assert table.scenario[row] == "buy"
    assert table.name[table.parent_rows()[row]] == "clnrm.scenario:buy"


async def test_printed_spans_of_a_service_are_read_when_it_has_ended(run, service):
    line = json.dumps({"name": "printed", "trace_id": "ab" * 16, "span_id": "cd" * 8})

    outcome = await run(a_test(services=[service(start=f"echo '{line}'")], steps=[sh("true", service="web")]))

    assert "printed" in outcome.spans.name


async def test_exit_codes_output_and_environment_of_commands(run, service):
    named = service("web", env={"COLOUR": "blue", "OTEL_SERVICE_NAME": "mine"})
    steps = [
        sh("exit 7", "code", service="web", expected_exit_code=7),
        sh(
            "echo $COLOUR $SIZE $OTEL_SERVICE_NAME",
            "env",
            service="web",
            env={"SIZE": "8"},
            expected_output_regex="^blue 8 mine$",
        ),
        sh("pwd", "workdir", service="web", workdir="/tmp", expected_output_regex="^/tmp$"),
        sh("echo out; echo err >&2; exit 3", "fails", service="web"),
    ]

    outcome = await run(a_test(services=[named], steps=steps))

    last = outcome.scenarios[0].commands[-1]
    assert [command.status for command in outcome.scenarios[0].commands] == ["passed"] * 3 + ["failed"]
    assert (last.exit_code, last.stdout, last.stderr) == (3, "out\n", "err\n")
    assert codes(outcome) == ["CLN605"]


async def test_a_service_that_crashes_at_start_is_not_ready_at_once(run, service):
    started = time.monotonic()
    outcome = await run(
        a_test(
            services=[service(start="echo no space left; exit 3", wait_log_message="up")], steps=[sh("true")]
        )
    )

    assert (outcome.status, codes(outcome)) == ("failed", ["CLN603"])
    assert "exit code 3" in outcome.diagnostics[0].message
    assert "no space left" in outcome.diagnostics[0].hint
    assert time.monotonic() - started < 25  # Thirty seconds are the limit of what never gets ready.


async def test_a_hanging_command_is_ended_with_its_tree_and_the_next_test_step_is_skipped(run, service):
    hang = sh("trap '' TERM; (trap '' TERM; sleep 1000) & while :; do sleep 0.1; done", timeout_s=0.5)
    look = sh("ps", "look", service="web", expected_output_regex_not="sleep 1000")
    scenarios = (
        Scenario(
            name="hangs",
            service="web",
            grace_period_s=0.2,
            steps=(hang.model_copy(update={"service": "web"}),),
        ),
        Scenario(name="after", steps=(look,)),
    )

    outcome = await run(a_test(services=[service()], scenarios=scenarios))

    assert codes(outcome) == ["CLN604"]
    assert [scenario.status for scenario in outcome.scenarios] == ["failed", "passed"]
    assert outcome.scenarios[0].duration_ms < 60_000


async def test_concurrent_scenarios_overlap_and_their_spans_do_not_mix(run, service):
    def scenario(name, other, span_id):
        meet = f"touch /tmp/{name}; while ! test -e /tmp/{other}; do sleep 0.02; done; "
        script = meet + post(f"work-{name}", span_id)
        return Scenario(name=name, concurrent=True, run=(sh(script, service="web", timeout_s=60.0),))

    both = (scenario("one", "two", "1" * 16), scenario("two", "one", "2" * 16))
    outcome = await run(a_test(services=[service()], scenarios=both))

    table = outcome.spans
    owners = {name: table.scenario[row] for row, name in enumerate(table.name) if name.startswith("work")}
    assert outcome.status == "passed"
    assert owners == {"work-one": "one", "work-two": "two"}


async def test_four_workers_run_tests_at_once_in_networks_of_their_own(run, service):
    def one(name):
        web = service(start=f"mkdir /w; echo {name} > /w/who; httpd -p 80 -h /w; echo up", ready_port=80)
        who = sh("wget -q -O- http://web/who", "who", expected_output_regex=f"^{name}$")
        return a_test(name, services=[web], steps=[who, sh(post(f"work-{name}"), "post")])

    outcomes = await run(*(one(name) for name in "abcdefgh"), executor__worker_count=4)

    assert [outcome.status for outcome in outcomes] == ["passed"] * 8
    for name, outcome in zip("abcdefgh", outcomes, strict=True):
        assert [n for n in outcome.spans.name if n.startswith("work")] == [f"work-{name}"]


async def test_an_exception_inside_the_engine_leaves_nothing_and_harms_no_other_test(
    run, service, monkeypatch
):
    from clnrm_nb.executor import scenarios

    real = scenarios.judge_command

    def explode(step, *arguments, **options):
        if step.name == "explode":
            raise RuntimeError("a bug of ours")
        return real(step, *arguments, **options)

    monkeypatch.setattr(scenarios, "judge_command", explode)
    broken, fine = await run(
        a_test("broken", services=[service()], steps=[sh("true", "explode")]),
        a_test("fine", services=[service()], steps=[sh("true")]),
        executor__worker_count=2,
    )

    assert (broken.status, codes(broken), fine.status) == ("error", ["CLN901"], "passed")


async def test_files_are_copied_out_of_a_container_that_has_ended(run, service, tmp_path):
    specs = (ArtifactSpec(kind="files", value="/data/*.txt"),)
    scenario = Scenario(
        name="s",
        service="web",
        steps=(sh("mkdir /data; echo hi > /data/a.txt", service="web"),),
        artifacts=specs,
    )

    outcome = await run(a_test(services=[service()], scenarios=(scenario,)))

    files = list((tmp_path / ".clnrm").rglob("a.txt"))
    assert outcome.status == "passed"
    assert [path.read_text() for path in files] == ["hi\n"]


async def test_objects_are_seen_just_before_teardown(run, service):
    asked = Expect(resources=(ResourceExpectation(type="service", name=NamePattern.of("web")),))

    outcome = await run(a_test(services=[service()], steps=[sh("true")], expect=asked))

    assert outcome.objects["service"] == ["web"]
    assert (len(outcome.objects["container"]), len(outcome.objects["network"])) == (2, 1)


async def test_the_memory_limit_of_a_service_is_really_applied(run, service):
    eat = "dd if=/dev/zero of=/dev/shm/x bs=1M count=40 2>/dev/null || tail /dev/zero"
    small = service(limits=Limits(memory_mb=16))

    outcome = await run(a_test(services=[small], steps=[sh(eat, service="web", timeout_s=60.0)]))

    assert outcome.status == "failed"
    assert codes(outcome)[0] == "CLN605"


INTERRUPTED = """
import sys
from pathlib import Path
from clnrm_nb.config.project import Project
from clnrm_nb.config.settings import load_settings
from clnrm_nb.executor.backends import open_backend
from clnrm_nb.executor.loop import run_blocking
from clnrm_nb.executor.plan import make_plan
from clnrm_nb.executor.pool import run_tests
from clnrm_nb.scenario.model import *

root, image = Path(sys.argv[1]), sys.argv[2]
project = Project(root, root / ".clnrm")
overrides = {"containers.default_image": image, "executor.worker_count": 2}
settings = load_settings(project, overrides=overrides, environ={})
stubborn = ("sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done")

def test(name):
    web = Service(name="web", image=image, args=stubborn, wait_log_message="up")
    steps = (Step(name="hang", command=stubborn),)
    return TestFile(file=name, metadata=Metadata(name=name), services={"web": web}, steps=steps)

def listen(event):
    if event.event == "service.ready":
        print("ready", flush=True)

async def main():
    backend = await open_backend("docker", settings)
    plans = [make_plan(test(name), directory=root, project=project, settings=settings) for name in "abc"]
    try:
        run = {"settings": settings, "project": project, "run_id": sys.argv[3], "publish": listen}
        return await run_tests(plans, backend, **run)
    finally:
        await backend.close()

try:
    run_blocking(main())
except KeyboardInterrupt as stop:
    print([outcome.status for outcome in stop.result], stop.cleaned_up, flush=True)
    sys.exit(130)
"""


@pytest.mark.parametrize("after", ["at once", "when ready"])
def test_ctrl_c_leaves_nothing_and_is_fast(tmp_path, busybox_image, engine, after):
    run_id = f"interrupted-{os.getpid()}-{after.replace(' ', '-')}"
    program = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(tmp_path), busybox_image, run_id],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    # Two workers, and a third test that is made ready ahead but never begins.
    wanted = 2 if after == "when ready" else 0
    for _ in range(wanted):
        assert program.stdout.readline() == "ready\n"
    if not wanted:
        wait_for(lambda: engine.labelled("clnrm_nb.run", run_id))
    started = time.monotonic()
    program.send_signal(signal.SIGINT)
    out, err = program.communicate(timeout=60)
    took_s = time.monotonic() - started

    assert program.returncode == 130, err
    assert out.splitlines()[-1].startswith("['interrupted', 'interrupted', 'skipped'] True")
    # What was not gone when the interrupt had to be answered goes soon after.
    wait_for(lambda: not engine.labelled("clnrm_nb.run", run_id))
    assert took_s < 10  # 2 s for the clean-up, the rest for a busy machine.


def wait_for(condition, limit_s=60):
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("moment_s", [0.0, 0.05, 0.1, 0.2, 0.4, 0.7])
async def test_cancelling_at_any_moment_leaves_nothing(run, service, moment_s):
    task = asyncio.create_task(run(a_test(services=[service()], steps=[sh("sleep 1000")])))
    await asyncio.sleep(moment_s)
    task.cancel()

    # Before the engine was reached there is nothing to answer with.
    with contextlib.suppress(asyncio.CancelledError):
        assert (await task).status in {"interrupted", "skipped"}
