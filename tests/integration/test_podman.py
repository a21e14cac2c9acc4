"""Podman's API as a second engine, with all that a test can have; its verdicts are in ``tests/conformance``."""

from __future__ import annotations

import pytest

from clnrm_nb.config.project import Project
from clnrm_nb.config.settings import load_settings
from clnrm_nb.executor.backends import open_backend
from clnrm_nb.executor.plan import make_plan
from clnrm_nb.executor.pool import run_tests
from clnrm_nb.reaper.ownership import this_process
from clnrm_nb.scenario.model import (
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
    """Run a test on Podman; everything it made is gone afterwards."""
    project = Project(tmp_path, tmp_path / ".clnrm")

    async def run(test):
        overrides = {
            "executor.docker_host": podman_engine.url,
            "containers.default_image": podman_image,
            "containers.pull_policy": "never",
        }
        settings = load_settings(project, overrides=overrides, environ={})
        test = with_image(test, podman_image)
        plan = make_plan(test, directory=tmp_path, project=project, settings=settings)
        backend = await open_backend("docker", settings)
        try:
            (outcome,) = await run_tests([plan], backend, settings=settings, project=project, run_id="R1")
        finally:
            await backend.close()
        return outcome

    yield run
    assert podman_engine.labelled("clnrm_nb.owner", str(this_process())) == []


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


async def test_limits_are_applied(run):
    web = service(limits=Limits(memory_mb=32, cpu_millicores=500))
    show = sh("cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; true")

    outcome = await run(a_test(services=[web], steps=[show.model_copy(update={"service": "web"})]))

    assert (outcome.status, codes(outcome)) == ("passed", [])
    assert str(32 << 20) in outcome.scenarios[0].commands[0].stdout


async def test_a_way_out_makes_the_test_not_hermetic(run):
    outcome = await run(a_test(services=[service(network=NetworkPolicy(mode="bridge"))], steps=[sh("true")]))

    assert (outcome.status, outcome.hermetic, codes(outcome)) == ("passed", False, [])
