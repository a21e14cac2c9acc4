"""Podman's API as a second engine: the same files get the same verdicts as on Docker."""

from __future__ import annotations

import pytest

from clnrm_nb.config.project import Project
from clnrm_nb.config.settings import load_settings
from clnrm_nb.executor.backends import open_backend
from clnrm_nb.executor.ownership import this_process
from clnrm_nb.executor.plan import make_plan
from clnrm_nb.executor.pool import run_tests
from clnrm_nb.scenario.model import (
    ArtifactSpec,
    Cleanup,
    HealthCheck,
    Limits,
    Metadata,
    NetworkPolicy,
    PortMapping,
    Scenario,
    Service,
    Step,
    TestFile,
    Volume,
)

SERVE = "trap 'exit 0' TERM; {start}; while :; do sleep 0.05; done"
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


def post(name, span_id="1234567890abcdef", service="app"):
    """A shell command that exports one span under the context it was given."""
    span = SPAN.format(name=name, span_id=span_id, service=service).replace('"', '\\"')
    return (
        "wget -q -O /dev/null --header 'Content-Type: application/json' "
        f'--post-data "{span}" $OTEL_EXPORTER_OTLP_ENDPOINT/v1/traces'
    )


def sh(script, name="go", **fields):
    return Step(name=name, command=("sh", "-c", script), **fields)


def a_test(name="a", steps=(), services=(), **fields):
    return TestFile(
        file=f"{name}.clnrm.toml",
        metadata=Metadata(name=name),
        steps=tuple(steps),
        services={service.name: service for service in services},
        **fields,
    )


def service(name="web", start="echo up", **fields):
    return Service(name=name, args=("sh", "-c", SERVE.format(start=start)), **fields)


def with_image(test, image):
    services = {name: one.model_copy(update={"image": image}) for name, one in test.services.items()}
    return test.model_copy(update={"services": services})


@pytest.fixture(scope="session")
def podman_image(podman_engine, image_maker):
    return image_maker.busybox(podman_engine.client)


@pytest.fixture
def run(tmp_path, podman_engine, podman_image):
    """Run tests on Podman (or on the engine named); everything they made is gone afterwards."""
    project = Project(tmp_path, tmp_path / ".clnrm")

    async def run(*tests, url=podman_engine.url):
        overrides = {
            "executor.docker_host": url,
            "containers.default_image": podman_image,
            "containers.pull_policy": "never",
            "executor.worker_count": 4,
        }
        settings = load_settings(project, overrides=overrides, environ={})
        tests = [with_image(test, podman_image) for test in tests]
        plans = [make_plan(test, directory=tmp_path, project=project, settings=settings) for test in tests]
        backend = await open_backend("docker", settings)
        try:
            outcomes = await run_tests(plans, backend, settings=settings, project=project, run_id="R1")
        finally:
            await backend.close()
        return outcomes[0] if len(tests) == 1 else outcomes

    yield run
    assert podman_engine.labelled("clnrm_nb.owner", str(this_process())) == []


# Not found, not executable, killed: engines differ in how much of it they can say.
NO_END_OF_ITS_OWN = (None, 126, 127, 137)
STUBBORN = "trap '' TERM; (trap '' TERM; sleep 1000) & while :; do sleep 0.1; done"
SMALL = Limits(memory_mb=12)
CASES = {
    "wrong code": a_test(steps=[sh("exit 3")]),
    "no program": a_test(steps=[Step(name="go", command=("no-such-program",))]),
    "no right": a_test(steps=[Step(name="go", command=("/etc/passwd",))]),
    "no directory": a_test(services=[service()], steps=[sh("pwd", service="web", workdir="/nowhere")]),
    "output": a_test(steps=[sh("echo no", expected_output_regex="^yes$")]),
    "hangs": a_test(steps=[sh(STUBBORN, timeout_s=0.5)]),
    "command out of memory": a_test(
        services=[service(limits=SMALL)], steps=[sh("tail /dev/zero", service="web", timeout_s=30.0)]
    ),
    "service out of memory": a_test(
        services=[service(start="exec tail /dev/zero", limits=SMALL, wait_log_message="never")],
        steps=[sh("true")],
    ),
    "service crashes": a_test(
        services=[service(start="echo no; exit 3", wait_log_message="up")], steps=[sh("true")]
    ),
    "service never ready": a_test(
        services=[service(wait_log_message="never", timeout_s=0.5)], steps=[sh("true")]
    ),
    "service ready by health": a_test(
        services=[service(start="sleep 0.2; touch /up", health_check=HealthCheck(cmd=("test", "-e", "/up")))],
        steps=[sh("true")],
    ),
    "service ignores term": a_test(
        services=[service(start="trap '' TERM")], steps=[sh("true")], cleanup=Cleanup(kill_timeout_ms=300)
    ),
    "service ends under its command": a_test(
        services=[service(start="(while ! test -e /die; do sleep 0.05; done; kill -9 1) &")],
        steps=[sh("touch /die; sleep 1000", service="web", timeout_s=20.0)],
    ),
    "artifacts": a_test(
        services=[service()],
        scenarios=(
            Scenario(
                name="write",
                service="web",
                run=(sh("echo kept >/tmp/kept", service="web"),),
                artifacts=(ArtifactSpec(kind="files", value="/tmp/k*"),),
            ),
        ),
    ),
    "way out": a_test(services=[service(network=NetworkPolicy(mode="bridge"))], steps=[sh("true")]),
}  # fmt: skip


async def test_verdicts_are_those_of_docker(run, engine, busybox_image):
    tests = [test.model_copy(update={"file": f"{name}.clnrm.toml"}) for name, test in CASES.items()]

    podman = await run(*tests)
    docker = await run(*tests, url=engine.url)

    assert dict(map(verdict, podman)) == dict(map(verdict, docker))


def verdict(outcome):
    """What a person decides by. Why a program did not start, or was killed, engines tell differently."""
    commands = [
        (command.status, None if command.exit_code in NO_END_OF_ITS_OWN else command.exit_code)
        for scenario in outcome.scenarios
        for command in scenario.commands
    ]
    return outcome.id, (outcome.status, codes(outcome), outcome.hermetic, outcome.leftovers, commands)


def codes(outcome):
    return [finding.code for finding in outcome.diagnostics]


async def test_a_whole_test_runs_and_its_spans_arrive_at_the_gateway(run, tmp_path):
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "hello").write_text("hello from the mount")
    web = service(
        start=f"httpd -p 8000 -h /www; {post('booted', 'ab' * 8, 'web')}",
        volumes=(Volume(host_path="./www", container_path="/www", read_only=True),),
        ports=(PortMapping(host=0, container=8000),),
        env={"COLOUR": "blue"},
    )
    client = service("client", depends_on=("web",), wait_log_message="^up$")
    buy = Scenario(
        name="buy",
        run=(
            sh("wget -q -O- http://web:8000/hello", "by name", service="client",
               expected_output_regex="^hello from the mount$"),
            sh("wget -q -O- http://$CLNRM_HOST_WEB:$CLNRM_PORT_WEB_8000/hello", "by env",
               expected_output_regex="^hello from the mount$"),
            sh("echo $COLOUR; pwd", "env", service="web", workdir="/tmp",
               expected_output_regex="^blue\n/tmp$"),
            sh("exit 7", "code", expected_exit_code=7),
            sh("echo out; echo err >&2", "streams"),
            sh(post("work"), "send"),
        ),
    )  # fmt: skip

    outcome = await run(a_test(services=[web, client], scenarios=(buy,)))

    table = outcome.spans
    assert (outcome.status, codes(outcome)) == ("passed", []), [
        str(one.message) for one in outcome.diagnostics
    ]
    assert (outcome.hermetic, outcome.complete, outcome.leftovers) == (True, True, [])
    streams = outcome.scenarios[0].commands[4]
    assert (streams.stdout, streams.stderr) == ("out\n", "err\n")
    assert {"booted", "work"} <= set(table.name)
    assert table.scenario[table.name.index("work")] == "buy"
