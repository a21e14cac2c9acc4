"""The process backend with real programs of this machine, spans sent by the real SDK included."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

import pytest

from clnrm_nb.config.project import Project
from clnrm_nb.config.settings import load_settings
from clnrm_nb.executor.backends import open_backend
from clnrm_nb.executor.backends.process_paths import PathMap
from clnrm_nb.executor.plan import make_plan
from clnrm_nb.executor.pool import run_tests
from clnrm_nb.reaper.ownership import this_process
from clnrm_nb.reaper.processes import MARK, marked
from clnrm_nb.scenario.model import (
    ArtifactSpec,
    Cleanup,
    HealthCheck,
    Metadata,
    PortMapping,
    Scenario,
    Service,
    Step,
    TestFile,
    Volume,
)

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the process tree is read from /proc"
)

HTTP_SERVICE = """
import http.server, os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
port = int(os.environ["CLNRM_PORT_WEB_8000"])
server = http.server.HTTPServer(("127.0.0.1", port), http.server.SimpleHTTPRequestHandler)
print("listening", flush=True)
server.serve_forever()
"""


@pytest.fixture
def run(tmp_path):
    project = Project(tmp_path, tmp_path / ".clnrm")

    async def run(*tests, **keys):
        overrides = {"executor.backend": "process", **{key.replace("__", "."): v for key, v in keys.items()}}
        settings = load_settings(project, overrides=overrides, environ={})
        backend = await open_backend("process", settings)
        plans = [make_plan(test, directory=tmp_path, project=project, settings=settings) for test in tests]
        outcomes = await run_tests(plans, backend, settings=settings, project=project, run_id="R1")
        return outcomes[0] if len(tests) == 1 else outcomes

    return run


@pytest.fixture(autouse=True)
def nothing_left(tmp_path, monkeypatch):
    """No scratch directory and no marked process may outlive any of these tests."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield
    assert list(place.iterdir()) == []
    assert marked(f"{this_process()}/") == []


def a_test(name="a", steps=(), services=(), **fields):
    return TestFile(
        file=f"{name}.clnrm.toml",
        metadata=Metadata(name=name),
        steps=tuple(steps),
        services={service.name: service for service in services},
        **fields,
    )


def sh(script, name="go", **fields):
    return Step(name=name, command=("sh", "-c", script), **fields)


def codes(outcome):
    return [finding.code for finding in outcome.diagnostics]


async def test_a_service_is_started_found_by_its_port_and_stopped(run):
    web = Service(
        name="web",
        args=("python3", "-c", HTTP_SERVICE),
        ports=(PortMapping(host=0, container=8000),),
        wait_log_message="listening",
        health_check=HealthCheck(cmd=("sh", "-c", "test -n $CLNRM_PORT_WEB_8000")),
    )
    fetch = 'import os, urllib.request as u; print(u.urlopen(f\'http://{os.environ["CLNRM_HOST_WEB"]}:{os.environ["CLNRM_PORT_WEB_8000"]}\').status)'
    step = Step(name="get", command=("python3", "-c", fetch), expected_output_regex="^200$")

    outcome = await run(a_test(services=[web], steps=[step]))

    assert (outcome.status, codes(outcome)) == ("passed", [])
    assert (outcome.backend, outcome.hermetic) == ("process", False)


async def test_the_environment_is_clean_and_home_is_a_scratch_directory(run, monkeypatch):
    monkeypatch.setenv("MY_PASSWORD", "hunter2")

    outcome = await run(a_test(steps=[sh("env; pwd; touch $HOME/x $TMPDIR/y")]))

    env = dict(
        line.split("=", 1) for line in outcome.scenarios[0].commands[0].stdout.splitlines() if "=" in line
    )
    assert "MY_PASSWORD" not in env
    assert env["PATH"].startswith(str(Path(sys.executable).parent))
    assert env["TMPDIR"] == f"{env['HOME']}/tmp"
    assert env["PWD"] == env["HOME"] != str(Path.home())


async def test_services_do_not_share_a_directory_but_a_service_and_its_commands_do(run):
    services = [Service(name="one"), Service(name="two")]
    steps = [
        sh("echo hello > note", "write", service="one"),
        sh("cat note", "read", service="one", expected_output_contains=("hello",)),
        sh("cat note", "other", service="two", should_fail=True),
    ]

    assert (await run(a_test(services=services, steps=steps))).status == "passed"


async def test_container_paths_of_volumes_are_read_where_they_really_are(run, tmp_path):
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs" / "hello.py").write_text("import greeting; print(greeting.TEXT)")
    (tmp_path / "programs" / "greeting.py").write_text("TEXT = 'hello from the mount'")
    service = Service(
        name="app",
        image="python:3",
        volumes=(Volume(host_path="./programs", container_path="/app", read_only=True),),
        env={"PYTHONPATH": "/other:/app", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    steps = [
        Step(
            name="argv",
            command=("python3", "/app/hello.py"),
            service="app",
            expected_output_contains=("hello",),
        ),
        sh("cd /app && ls", "shell", service="app", expected_output_contains=("greeting.py",)),
        sh("pwd", "workdir", service="app", workdir="/app", expected_output_contains=("/programs",)),
    ]
    outcome = await run(a_test(services=[service], steps=steps))

    assert outcome.status == "passed"
    assert codes(outcome) == ["CLN611"]


@pytest.mark.parametrize(
    ("text", "translated"),
    [
        ("/app", "HOST"),
        ("/app/x.py", "HOST/x.py"),
        ("a:/app:/b", "a:HOST:/b"),
        ("cd /app && ls '/app/y'", "cd HOST && ls 'HOST/y'"),
        ("--dir=/app", "--dir=HOST"),
        ("/application", "/application"),
        ("/my/app", "/my/app"),
        ("/app.bak", "/app.bak"),
        ("http://app/app", "http://app/app"),
        ("/app/data/z", "DATA/z"),
    ],
)
def test_a_container_path_counts_only_as_a_whole_path_or_its_beginning(tmp_path, text, translated):
    service = Service(
        name="a",
        volumes=(
            Volume(host_path="host", container_path="/app"),
            Volume(host_path="data", container_path="/app/data/"),
        ),
    )

    found = PathMap(service, tmp_path).translated(text)

    root = tmp_path.resolve()
    assert found.replace(str(root / "host"), "HOST").replace(str(root / "data"), "DATA") == translated


async def test_a_command_beyond_its_time_is_ended_with_its_whole_tree(run):
    stubborn = "trap '' TERM; while :; do sleep 0.1; done"
    script = f'setsid sh -c "{stubborn}" & {stubborn}'
    scenario = Scenario(name="s", grace_period_s=0.2, steps=(sh(script, timeout_s=0.3),))

    outcome = await run(a_test(scenarios=(scenario,)))

    command = outcome.scenarios[0].commands[0]
    assert (outcome.status, codes(outcome)) == ("failed", ["CLN604"])
    assert command.duration_ms < 15_000


# For commands that have to have come somewhere before they reach their limit, on a machine with many neighbours too.
LIMIT_S = 2.5


async def test_term_lets_a_command_say_goodbye_before_it_is_killed(run):
    script = "trap 'echo bye; exit 3' TERM; echo started; while :; do sleep 0.05; done"
    scenario = Scenario(name="s", grace_period_s=20.0, steps=(sh(script, timeout_s=LIMIT_S),))

    outcome = await run(a_test(scenarios=(scenario,)))

    assert outcome.scenarios[0].commands[0].stdout == "started\nbye\n"
    assert codes(outcome) == ["CLN604"]


async def test_immediate_asks_no_command_whether_it_would_like_to_end(run, monkeypatch):
    """A KILL at the heels of a TERM: on a busy machine the command answered before it came."""
    send = os.killpg

    def send_on_a_busy_machine(group, number):
        send(group, number)
        time.sleep(0.3)  # What a process that is not scheduled does.

    monkeypatch.setattr(os, "killpg", send_on_a_busy_machine)
    script = "trap 'echo bye' TERM; echo started; while :; do sleep 0.05; done"
    scenario = Scenario(name="s", timeout_strategy="immediate", steps=(sh(script, timeout_s=LIMIT_S),))

    outcome = await run(a_test(scenarios=(scenario,)))

    assert outcome.scenarios[0].commands[0].stdout == "started\n"
    assert codes(outcome) == ["CLN604"]


async def test_the_limit_of_the_test_ends_a_command_and_its_children(run):
    script = "trap 'echo bye; exit 3' TERM; sleep 1000 & while :; do sleep 0.05; done"
    test = a_test(steps=[sh(script), sh("true", "never")])

    outcome = await run(test, executor__test_timeout=f"{LIMIT_S}s")

    first, second = outcome.scenarios[0].commands
    assert (outcome.status, first.stdout, second.status) == ("failed", "bye\n", "skipped")
    assert codes(outcome) == ["CLN604"]
    assert "the limit of the test" in outcome.reason


@pytest.mark.parametrize(
    ("fields", "status"), [({}, "passed"), ({"cleanup": Cleanup(verify_cleanup=True)}, "failed")]
)
async def test_a_process_left_behind_is_found_however_it_hid_and_removed(run, fields, status):
    outcome = await run(a_test(steps=[sh("setsid sleep 1000 >/dev/null 2>&1 &")], **fields))

    assert (outcome.status, codes(outcome)) == (status, ["CLN610"])
    assert "sleep 1000" in outcome.diagnostics[0].message


async def test_a_child_that_keeps_the_pipe_open_is_not_waited_for(run):
    outcome = await run(a_test(steps=[sh("echo first; sleep 1000 &")]))

    command = outcome.scenarios[0].commands[0]
    assert (command.stdout, command.status) == ("first\n", "passed")
    assert command.duration_ms < 20_000


async def test_a_program_that_does_not_exist_is_a_failed_command(run):
    outcome = await run(a_test(steps=[Step(name="x", command=("no-such-program",), should_fail=True)]))

    assert (outcome.status, codes(outcome)) == ("failed", ["CLN605"])
    assert "program `no-such-program` not found" in outcome.reason


async def test_a_service_whose_program_does_not_exist_is_not_ready(run):
    outcome = await run(a_test(services=[Service(name="db", args=("no-such-program",))], steps=[sh("true")]))

    assert (outcome.status, codes(outcome)) == ("failed", ["CLN603"])


async def test_a_service_that_crashes_shows_its_last_lines(run):
    crash = Service(name="db", args=("sh", "-c", "echo no space left >&2; exit 3"), wait_log_message="ready")

    outcome = await run(a_test(services=[crash], steps=[sh("true")]))

    finding = next(finding for finding in outcome.diagnostics if finding.code == "CLN603")
    assert "exit code 3" in finding.message
    assert "no space left" in finding.hint


async def test_files_are_copied_out_but_nothing_outside_the_scratch_directory(run, tmp_path):
    (tmp_path / "private").write_text("secret")
    steps = (sh("mkdir out; echo hi > out/a.txt; ln -s /etc/passwd out/link", service=None),)
    specs = ("out/*", "/etc/hostname", f"../../../..{tmp_path}/private")
    artifacts = tuple(ArtifactSpec(kind="files", value=value) for value in specs)
    outcome = await run(a_test(scenarios=(Scenario(name="s", steps=steps, artifacts=artifacts),)))

    files = [path for path in (tmp_path / ".clnrm").rglob("files/**/*") if path.is_file()]
    assert [path.name for path in files] == ["a.txt"]
    assert len([finding for finding in outcome.diagnostics if "no file matches" in finding.message]) == 2


async def test_spans_of_the_real_sdk_belong_to_their_scenario_and_hang_under_it(run):
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs the extra `demo`")
    program = """
from opentelemetry import trace
from opentelemetry.propagate import extract
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
import os
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
context = extract({"traceparent": os.environ["TRACEPARENT"]})
with provider.get_tracer("t").start_as_current_span("work", context=context):
    pass
provider.shutdown()
"""
    scenario = Scenario(name="buy", run=(Step(name="run", command=("python3", "-c", program)),))

    outcome = await run(a_test(scenarios=(scenario,)))

    table = outcome.spans
    row = table.name.index("work")
    assert (outcome.status, outcome.complete) == ("passed", True)
    assert (table.scenario[row], outcome.scenarios[0].span_count) == ("buy", 1)
    assert table.name[table.parent_rows()[row]] == "clnrm.scenario:buy"
    assert table.resource[row].attributes["clnrm.test.id"] == "a.clnrm.toml"


async def test_tests_run_at_once_and_do_not_see_each_other(run):
    meet = "touch $CLNRM_TEST_DIR/{0}; while ! test -e $CLNRM_TEST_DIR/{1}; do sleep 0.02; done; ls"
    outcomes = await run(
        a_test("a", steps=[sh(meet.format("a", "b"), timeout_s=60.0)]),
        a_test("b", steps=[sh(meet.format("b", "a"), timeout_s=60.0)]),
        executor__worker_count=2,
    )

    assert [outcome.status for outcome in outcomes] == ["passed", "passed"]
    assert {outcome.scenarios[0].commands[0].stdout for outcome in outcomes} == {"tmp\n"}


async def test_an_interrupt_ends_everything_at_once(run):
    service = Service(
        name="web",
        args=("sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done"),
        wait_log_message="up",
    )
    stubborn = sh("trap '' TERM; echo $$ > $CLNRM_TEST_DIR/pid; while :; do sleep 0.1; done")
    patient = {
        "scenarios": (Scenario(name="s", grace_period_s=60.0, steps=(stubborn,)),),
        "cleanup": Cleanup(kill_timeout_ms=60_000),
    }
    task = asyncio.create_task(run(a_test(services=[service], **patient)))
    loop = asyncio.get_running_loop()
    await asyncio.wait_for(_until(lambda: list(all_commands("CLNRM_TEST_DIR/pid"))), 30)

    started = loop.time()
    task.cancel()
    outcome = await task

    assert outcome.status == "interrupted"
    # Two seconds are the promise on a machine of one's own; asking first would take minutes.
    assert loop.time() - started < 10


def all_commands(part):
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (
                part.encode() in (entry / "cmdline").read_bytes()
                and f"\0{MARK}=".encode() in (entry / "environ").read_bytes()
            ):
                yield int(entry.name)
        except OSError:
            continue


async def _until(condition):
    while not condition():  # noqa: ASYNC110  # Another process is waited for.
        await asyncio.sleep(0.02)
