"""Each call to the engine goes wrong once: no leak, no wrong verdict, no hang, and the next run works.

One small test with all that a test can have runs again and again through a proxy. In the n-th round the n-th
call goes wrong, until a round ends without getting that far. Which calls there are is nobody's business here.

In CI every second call goes wrong, each in another way; ``make bench-full`` does every kind at every call.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from contextlib import suppress
from functools import partial

import pytest

import clnrm_nb
from clnrm_nb.config.project import Project
from clnrm_nb.config.settings import load_settings
from clnrm_nb.errors import BackendUnavailableError, ClnrmError
from clnrm_nb.executor.backends.docker import DockerBackend
from clnrm_nb.scenario.model import Service

pytestmark = pytest.mark.docker

WHOLE = r"""
[meta]
name = "whole"
version = "1"

[otel]
exporter = "otlp"

[services.web]
image = "IMAGE"
args = ["sh", "-c", '''trap 'exit 0' TERM
mkdir /www; echo page >/www/page; httpd -p 8000 -h /www; echo up
while :; do sleep 0.05; done''']
ports = ["0:8000"]
wait_log_message = "^up$"
env = { COLOUR = "blue" }

[services.side]
image = "IMAGE"
args = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.05; done"]

[[scenario]]
name = "buy"
artifacts = { collect = ["files:/tmp/kept"] }

[[scenario.steps]]
name = "keep"
service = "web"
command = ["sh", "-c", "echo $COLOUR >/tmp/kept; cat /tmp/kept"]
expected_output_regex = "^blue$"

[[scenario.steps]]
name = "send"
command = ["sh", "-c", '''wget -q -O- http://web:8000/page && wget -q -O /dev/null \
--header 'Content-Type: application/json' --post-data '{"resourceSpans": [{"scopeSpans": [{"spans": [{
"traceId": "'$(echo $TRACEPARENT | cut -d- -f2)'", "spanId": "1234567890abcdef",
"parentSpanId": "'$(echo $TRACEPARENT | cut -d- -f3)'", "name": "work",
"startTimeUnixNano": "'$(date +%s)'000000000", "endTimeUnixNano": "'$(date +%s)'000000001"}]}]}]}' \
$OTEL_EXPORTER_OTLP_ENDPOINT/v1/traces''']
expected_output_regex = "^page$"

[[expect.span]]
name = "work"

[expect.counts]
spans_total = { eq = 1 }
"""
CONFIGURATION = """
[containers]
default_image = "IMAGE"
pull_policy = "never"
"""
KINDS = ("slow", "hung", "500", "reset", "lost", "cut", "404", "409", "no space", "gone")
# A round without a fault takes a second or two; with the worst fault this long on a crowded machine.
ENDS_WITHIN_S = 90.0
# A bound only: an engine that lost the end of a container's process waits 10 s before each further attempt.
GONE_WITHIN_S = 60.0
# Statuses with an error finding of its own; `incomplete` has warnings.
CODES_OF_TROUBLE = {
    "CLN601", "CLN602", "CLN603", "CLN604", "CLN605", "CLN606", "CLN607", "CLN608", "CLN610", "CLN611",
    "CLN614",
}  # fmt: skip


@pytest.fixture
def whole(tmp_path, monkeypatch, busybox_image, fault_proxy):
    """Run the test through the proxy; its document, or the error that left none."""
    (tmp_path / ".clnrm").mkdir()
    (tmp_path / ".clnrm" / "config.toml").write_text(CONFIGURATION.replace("IMAGE", busybox_image))
    (tmp_path / "whole.clnrm.toml").write_text(WHOLE.replace("IMAGE", busybox_image))
    monkeypatch.chdir(tmp_path)
    # Two minutes are right for an engine under load and too long for a loop of engines that never answer.
    monkeypatch.setattr("clnrm_nb.executor.backends.docker.engine._CALL_TIMEOUT_S", 5)
    monkeypatch.setattr("clnrm_nb.executor.backends.docker.engine._CONNECT_TIMEOUT_S", 5)

    async def run(path="whole.clnrm.toml", **options):
        async with asyncio.timeout(ENDS_WITHIN_S):
            try:
                # Each time for real: what is asked of the engine is what is tested here.
                return (await clnrm_nb.arun(path, docker_host=fault_proxy.url, force=True, **options)).raw
            except BackendUnavailableError as unavailable:
                return {"error": unavailable.diagnostic}

    return run


@pytest.fixture
def rounds(whole, fault_proxy, fault_tool, engine):
    """Rounds with one fault each, (number of the call, kind), until one ends before its fault was reached."""
    return partial(_rounds, whole, fault_proxy, fault_tool.Fault, engine)


async def _rounds(whole, proxy, fault, engine, faults):
    wrong = []
    for n, kind in faults:
        proxy.inject(fault(kind, n, slow_s=0.5, gone_s=0.5))
        begun_s = time.monotonic()
        try:
            document = await whole()
            print(f"{kind} at {n}: {proxy.hit} -> {told(document)} ({time.monotonic() - begun_s:.1f} s)")
            check(document)
            await nothing_left(engine)
        except (AssertionError, TimeoutError) as failed:
            wrong.append(f"{kind} at {n}, {proxy.hit}: {failed!r}")
        if proxy.hit is None:
            break
    # The last round met no fault: what went wrong in those before has not harmed it.
    assert wrong == []
    assert proxy.hit is None
    assert told(document)[0] == "passed"


def told(document):
    if "error" in document:
        return document["error"].code
    (test,) = document["data"]["tests"]
    findings = [each for each in test["diagnostics"] if each["severity"] != "info"]
    return test["status"], [(each["code"], each["message"]) for each in findings]


def check(document):
    if "error" in document:
        assert document["error"].code == "CLN601"
        return
    (test,) = document["data"]["tests"]
    codes = [each["code"] for each in test["diagnostics"]]
    assert "CLN901" not in codes, told(document)
    assert test["status"] in ("passed", "failed", "error", "incomplete")
    if test["status"] == "passed":
        commands = [command for scenario in test["scenarios"] for command in scenario["commands"]]
        assert [command["stdout"] for command in commands] == ["blue\n", "page\n"]
        assert [each["status"] for each in test["expectations"]] == ["passed", "passed"]
        assert (test["span_count"], test["complete"]) == (1, True)
    else:
        assert CODES_OF_TROUBLE & {*codes, *(each["status"] for each in test["expectations"])}, told(document)


async def nothing_left(engine):
    """What the test made is gone, at the latest when a removal that met the fault has been tried again."""
    deadline_s = time.monotonic() + GONE_WITHIN_S
    while left := labelled(engine):
        assert time.monotonic() < deadline_s, left
        await asyncio.sleep(0.1)


def labelled(engine):
    return engine.labelled("clnrm_nb.test", "whole.clnrm.toml")


async def test_what_could_not_be_removed_is_removed_with_the_next_run(whole, engine, fault_proxy, inject):
    inject("gone", "DELETE", gone_s=600.0)
    document = await whole()
    left = labelled(engine)
    fault_proxy.inject(None)
    again = await whole()
    await nothing_left(engine)

    assert told(document)[0] == "error"
    assert "CLN601" in [code for code, _ in told(document)[1]]
    assert left
    assert told(again)[0] == "passed"


@pytest.fixture
def inject(fault_proxy, fault_tool):
    """Let the first call of a method to a path with a word in it go wrong."""

    def inject(kind, method, word="/", **fields):
        def matches(call):
            return call.method == method and word in call.path

        fault_proxy.inject(fault_tool.Fault(kind, matches=matches, **fields))

    return inject


RACED = "route ip+net: no such network interface"


@pytest.mark.parametrize(
    ("wrong", "status", "codes"),
    [
        pytest.param(["500", "GET", "/images/"], "failed", ["CLN001", "CLN602"], id="image not told of"),
        pytest.param(["500", "POST", "/networks/create", RACED], "passed", [], id="network raced on podman"),
        pytest.param(["hung", "POST", "/attach"], "error", ["CLN601"], id="attach has a limit"),
        pytest.param(["500", "GET", "/archive"], "passed", ["CLN001", "CLN611"], id="files not sent"),
        pytest.param(["hung", "DELETE", "/containers/"], "passed", [], id="late removal is no leak"),
    ],
)
async def test_what_was_once_told_wrong(whole, inject, wrong, status, codes):
    kind, method, word, *message = wrong
    inject(kind, method, word, message=message[0] if message else None)

    ended, findings = told(await whole())

    assert (ended, sorted({code for code, _ in findings})) == (status, codes), findings


@pytest.fixture
async def unit(fault_proxy, unit_spec, tmp_path):
    """A unit with a service `web`, through the proxy."""
    overrides = {"executor.docker_host": fault_proxy.url, "containers.pull_policy": "never"}
    settings = load_settings(Project(tmp_path, tmp_path / ".clnrm"), overrides=overrides, environ={})
    backend = DockerBackend(settings)
    await backend.open()
    web = Service(name="web", args=("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.05; done"))
    opened = await backend.open_unit(unit_spec(web))
    yield opened
    with suppress(BackendUnavailableError):  # Where a test has taken the engine away.
        await opened.close()
    await backend.close()


async def test_an_image_the_engine_did_not_tell_of_is_asked_about_again(unit, inject):
    inject("500", "GET", "/images/")

    with pytest.raises(ClnrmError) as refused:
        await unit.start_service("web", {})
    running = await unit.start_service("web", {})

    assert refused.value.code == "CLN602"
    assert not running.has_ended


async def test_a_service_whose_output_broke_off_does_not_end_well(unit, inject):
    inject("cut", "POST", "/attach")
    running = await unit.start_service("web", {})
    await asyncio.to_thread(_until_silent, running)

    killed = await unit.stop_services(5.0)

    assert killed == ["web"]
    assert "its output broke off" in unit.diagnostics()[0].message
    assert await unit.close() == []


async def test_a_removal_nobody_waits_for_any_more_is_left_to_the_next_run_too(
    unit, fault_proxy, inject, engine, whole
):
    await unit.start_service("web", {})
    inject("gone", "DELETE", gone_s=600.0)
    closing = asyncio.ensure_future(unit.close())
    await asyncio.sleep(0)  # The removal has begun; now an interrupt ends the wait for it.
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    with pytest.raises(BackendUnavailableError):
        await unit._teardown
    left = engine.labelled("clnrm_nb.unit", unit.id)

    fault_proxy.inject(None)
    await whole()

    assert left
    assert engine.labelled("clnrm_nb.unit", unit.id) == []


def _until_silent(running):
    deadline_s = time.monotonic() + 60
    while not running._is_silent:
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


async def test_every_second_call_goes_wrong_each_in_another_way(rounds):
    await rounds(zip(range(1, 1000, 2), itertools.cycle(KINDS)))


@pytest.mark.bench_full
@pytest.mark.parametrize("kind", KINDS)
async def test_bench_full_every_call_goes_wrong(rounds, kind):
    await rounds(zip(range(1, 1000), itertools.repeat(kind)))
