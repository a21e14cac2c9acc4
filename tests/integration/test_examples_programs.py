"""The demo programs by themselves: no runner, no engine, spans on stdout."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

import pytest

from clnrm_nb import examples

pytest.importorskip(
    "opentelemetry.exporter.otlp.proto.http", reason="needs the extra: pip install 'clnrm_nb[demo]'"
)

TRACE = "1" * 32
ANSWER_S = 20


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(ports: dict[str, int], name: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OTEL_TRACES_EXPORTER": "console",
        "OTEL_SERVICE_NAME": name,
        **{key: str(port) for key, port in ports.items()},
    }


@contextmanager
def service(example: str, program: str, ports: dict[str, int], output: list[str]):
    """Run a service until the block ends; what it printed goes to `output` after it was told to stop."""
    directory = examples.directory(example) / "services"
    process = subprocess.Popen(
        [sys.executable, program],
        cwd=directory,
        env=environment(ports, program.removesuffix(".py")),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert "listening" in process.stdout.readline()
        yield process
        process.send_signal(signal.SIGTERM)
        output.append(process.communicate(timeout=ANSWER_S)[0])
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()


def run(
    example: str, words: list[str], ports: dict[str, int], **extra: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=examples.directory(example) / "services",
        env=environment(ports, "driver") | extra,
        capture_output=True,
        text=True,
        timeout=ANSWER_S,
        check=False,
    )


def spans_in(text: str) -> list[dict]:
    """Spans of the SDK's console exporter: one indented object after the other."""
    return [json.loads(found) for found in re.findall(r"^\{$.*?^\}$", text, re.MULTILINE | re.DOTALL)]


@pytest.fixture
def quickstart_ports() -> dict[str, int]:
    return {"CLNRM_PORT_INVENTORY_8081": free_port(), "CLNRM_PORT_GATEWAY_8080": free_port()}


def test_one_order_is_one_trace_through_all_three_programs(quickstart_ports):
    output: list[str] = []
    with (
        service("quickstart", "inventory.py", quickstart_ports, output),
        service("quickstart", "gateway.py", quickstart_ports, output),
    ):
        customer = run(
            "quickstart",
            ["customer.py", "kettle=1", "cup=2"],
            quickstart_ports,
            TRACEPARENT=f"00-{TRACE}-{'2' * 16}-01",
        )

    spans = spans_in(customer.stdout + "\n" + "\n".join(output))
    by_id = {span["context"]["span_id"]: span for span in spans}
    edges = {(by_id[span["parent_id"]]["name"], span["name"]) for span in spans if span["parent_id"] in by_id}
    roots = [span["name"] for span in spans if span["parent_id"] not in by_id]
    assert customer.returncode == 0
    assert len(spans) == 11
    assert {span["context"]["trace_id"] for span in spans} == {f"0x{TRACE}"}
    assert roots == ["checkout"]
    assert {("POST", "POST /orders"), ("POST", "POST /reservations"), ("reserve lines", "POST")} <= edges


def test_refused_order_ends_with_its_own_exit_code_and_marks_the_shelf(quickstart_ports):
    output: list[str] = []
    with (
        service("quickstart", "inventory.py", quickstart_ports, output),
        service("quickstart", "gateway.py", quickstart_ports, output),
    ):
        customer = run("quickstart", ["customer.py", "lamp=9"], quickstart_ports)

    spans = spans_in(customer.stdout + "\n" + "\n".join(output))
    failed = sorted(span["name"] for span in spans if span["status"]["status_code"] == "ERROR")
    shelf = next(span for span in spans if span["name"] == "take from shelf")
    assert customer.returncode == 3
    assert failed == ["POST", "POST", "take from shelf"]
    assert [event["name"] for event in shelf["events"]] == ["shelf.short"]
    assert "price order" not in {span["name"] for span in spans}


def test_callers_span_covers_the_span_of_the_server(quickstart_ports):
    """A server that answered before its span ended made the window check fail now and then."""
    output: list[str] = []
    with (
        service("quickstart", "inventory.py", quickstart_ports, output),
        service("quickstart", "gateway.py", quickstart_ports, output),
    ):
        customer = run("quickstart", ["customer.py", *["cup=1"]], quickstart_ports)

    spans = spans_in(customer.stdout + "\n" + "\n".join(output))
    by_id = {span["context"]["span_id"]: span for span in spans}
    pairs = [(by_id[span["parent_id"]], span) for span in spans if span["parent_id"] in by_id]
    assert len(pairs) == 7
    assert all(a["start_time"] <= b["start_time"] and b["end_time"] <= a["end_time"] for a, b in pairs)


def test_probe_follows_the_service_and_leaves_no_span(quickstart_ports):
    before = run("quickstart", ["probe.py", "inventory", "8081"], quickstart_ports)
    output: list[str] = []
    with service("quickstart", "inventory.py", quickstart_ports, output):
        during = run("quickstart", ["probe.py", "inventory", "8081"], quickstart_ports)

    assert (before.returncode, during.returncode) == (1, 0)
    assert "refused" in before.stderr
    assert spans_in("\n".join(output)) == []


@pytest.mark.skipif(
    not shutil.which("redis-server"), reason="needs redis-server (apt-get install redis-server)"
)
def test_shop_keeps_in_redis_what_its_spans_say(tmp_path):
    ports = {"CLNRM_PORT_REDIS_6379": free_port(), "CLNRM_PORT_SHOP_8080": free_port()}
    redis = subprocess.Popen(
        ["redis-server", "--port", str(ports["CLNRM_PORT_REDIS_6379"]), "--bind", "127.0.0.1", "--save", ""],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    output: list[str] = []
    try:
        assert any("Ready to accept connections" in line for line in redis.stdout)
        with service("shop", "shop.py", ports, output):
            bought = run("shop", ["shopper.py", "ada", "tea=2", "pot=1"], ports)
            refused = run("shop", ["shopper.py", "bob"], ports)
        held = subprocess.run(
            ["redis-cli", "-p", str(ports["CLNRM_PORT_REDIS_6379"]), "HGETALL", "order:1"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
    finally:
        redis.kill()
        redis.communicate()

    commands = [
        span["name"] for span in spans_in(output[0]) if span["attributes"].get("db.system.name") == "redis"
    ]
    assert (bought.returncode, refused.returncode) == (0, 3)
    assert '"order": 1, "total_cents": 3990' in bought.stdout
    assert held == ["tea", "2", "pot", "1"]
    assert commands == ["HINCRBY", "HINCRBY", "HGETALL", "INCR", "RENAME", "HGETALL"]
