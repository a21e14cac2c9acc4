"""Each call to the engine goes wrong once: no leak, no wrong verdict, no hang, and the next run works.

One small test with all that a test can have runs again and again through a proxy. In the n-th round the n-th
call goes wrong, until a round ends without getting that far. Which calls there are is nobody's business here.

In CI each kind of fault takes its share of the calls; ``make bench-full`` does every kind at every call.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial

import pytest

import clnrm_nb
from clnrm_nb.errors import BackendUnavailableError

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
KINDS = ("slow", "hung", "500", "409", "404", "no space", "reset", "lost", "cut", "gone")
# A round without a fault takes a second or two; with the worst fault this long on a crowded machine.
ENDS_WITHIN_S = 90.0
GONE_WITHIN_S = 15.0
# Every so many calls in CI; each kind begins at another one, so that together they meet most of them.
STRIDE = 16
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

    async def run():
        async with asyncio.timeout(ENDS_WITHIN_S):
            try:
                return (await clnrm_nb.arun("whole.clnrm.toml", docker_host=fault_proxy.url)).raw
            except BackendUnavailableError as unavailable:
                return {"error": unavailable.diagnostic}

    return run


@pytest.fixture
def rounds(whole, fault_proxy, fault_tool, engine):
    """Rounds with the fault at call n, for each of `ns` until a round ends before its fault was reached."""
    return partial(_rounds, whole, fault_proxy, fault_tool.Fault, engine)


async def _rounds(whole, proxy, fault, engine, *, kind, ns):
    wrong = []
    for n in ns:
        await asyncio.to_thread(proxy.inject, fault(kind, n, slow_s=0.5, gone_s=0.5))
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


async def test_a_run_without_any_fault_passes(whole, engine, fault_proxy):
    document = await whole()

    print(len(fault_proxy.calls), *fault_proxy.calls, sep="\n")
    assert document["data"]["tests"][0]["status"] == "passed", told(document)
    check(document)
    assert labelled(engine) == []


async def test_what_could_not_be_removed_is_removed_with_the_next_run(whole, engine, fault_proxy, fault_tool):
    fault_proxy.inject(fault_tool.Fault("gone", matches=lambda call: call.method == "DELETE", gone_s=4.0))
    document = await whole()
    left = labelled(engine)
    await asyncio.to_thread(fault_proxy.inject, None)
    again = await whole()
    await nothing_left(engine)

    assert told(document)[0] == "error"
    assert "CLN601" in [code for code, _ in told(document)[1]]
    assert left
    assert told(again)[0] == "passed"


@pytest.mark.parametrize("kind", KINDS)
async def test_some_calls_go_wrong(rounds, kind):
    first = 1 + KINDS.index(kind) * STRIDE // len(KINDS)

    await rounds(kind=kind, ns=range(first, 1000, STRIDE))


@pytest.mark.bench_full
@pytest.mark.parametrize("kind", KINDS)
async def test_bench_full_every_call_goes_wrong(rounds, kind):
    await rounds(kind=kind, ns=range(1, 1000))
