"""What a run tells about itself: its own trace, its metrics, its log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jsonschema
import pytest
from IPython.core.interactiveshell import InteractiveShell

import clnrm_nb
import clnrm_nb.schemas
from clnrm_nb import api
from clnrm_nb.pipeline import exporting
from clnrm_nb.pipeline.metrics import record_metrics
from clnrm_nb.spans.collector import Collector
from clnrm_nb.spans.receiver import Receiver
from clnrm_nb.state.measures import Measures

SCHEMA = Path(clnrm_nb.schemas.__file__).parent / "report.v1.schema.json"
SECRET = "sw0rd-of-gryffindor"
TEST = """
[meta]
name = "{name}"
version = "1"

[[steps]]
name = "go"
command = ["sh", "-c", "echo hello"]
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / ".clnrm").mkdir()
    for name in ("a", "b"):
        (tmp_path / f"{name}.clnrm.toml").write_text(TEST.format(name=name))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(**options):
    result = clnrm_nb.run(".", backend="process", **{"force": True, **options})
    assert result.ok, result
    return result


# -------------------------------------------------------------------------------------------- the own trace


def test_the_own_trace_of_a_run_has_every_phase_below_what_it_is_a_part_of(project):
    table = run().timings.parts[0].table
    parents = table.parent_rows()
    above = {
        name: None if parents[row] is None else table.name[parents[row]]
        for row, name in enumerate(table.name)
    }

    assert above == {
        "clnrm.run": None,
        "clnrm.load": "clnrm.run",
        "clnrm.render": "clnrm.load",
        "clnrm.validate": "clnrm.load",
        "clnrm.select": "clnrm.run",
        "clnrm.lookup": "clnrm.run",
        "clnrm.open": "clnrm.run",
        "clnrm.inputs": "clnrm.run",
        "clnrm.store": "clnrm.run",
        "clnrm.report": "clnrm.run",
        "clnrm.record": "clnrm.run",
        "clnrm.test": "clnrm.run",
        "clnrm.scenario:steps": "clnrm.test",
        "clnrm.step:go": "clnrm.scenario:steps",
    }
    assert all(table.own)
    for row, parent in enumerate(parents):
        if parent is not None:
            assert table.start_ns[parent] <= table.start_ns[row] <= table.end_ns[row] <= table.end_ns[parent]


def test_a_test_has_the_span_of_its_run_and_counts_none_of_the_phases(project):
    result = run()

    assert result.raw["data"]["tests"][0]["span_count"] == 0
    stored = result.outcomes[0].spans
    assert sorted(stored.name) == ["clnrm.run", "clnrm.scenario:steps", "clnrm.step:go", "clnrm.test"]
    timed = result.timings.parts[0].table
    assert stored.span_id[stored.name.index("clnrm.run")] == timed.span_id[timed.name.index("clnrm.run")]


def test_timings_are_told_where_they_are_asked_for(project):
    quiet, told = run(), run(timings=True)

    assert "timings" not in quiet.raw["data"]
    assert "where the time went" not in repr(quiet)
    phases = {phase["name"]: phase for phase in told.raw["data"]["timings"]["phases"]}
    assert phases["clnrm.render"]["count"] == phases["clnrm.test"]["count"] == 2
    assert phases["clnrm.load"]["duration_ms"] >= phases["clnrm.render"]["duration_ms"]
    assert "where the time went" in repr(told)
    assert "where the time went" in told.html()
    jsonschema.validate(told.raw, json.loads(SCHEMA.read_text()))


def test_a_run_in_which_all_is_cached_has_phases_and_no_tests(project):
    run()

    result = run(force=False, timings=True)

    assert [test["status"] for test in result.raw["data"]["tests"]] == ["cached"] * 2
    names = [phase["name"] for phase in result.raw["data"]["timings"]["phases"]]
    assert names[0] == "clnrm.run"
    assert "clnrm.lookup" in names
    assert "clnrm.test" not in names
    assert not any(name.startswith("clnrm.scenario") for name in result.timings.parts[0].table.name)


def test_runs_are_told_together_by_stats(project):
    run(), run(force=False), run(force=False)

    stats = api.stats()

    assert len(stats.measures) == 3
    told = stats.raw["data"]["measures"]["summary"]
    assert told["tests"] == 6
    assert told["lookups"] == {"hit": 4, "hit_rate": 1.0}
    assert told["queue_wait_ms"]["n"] == 2
    assert "queue wait" in repr(stats)
    assert "save to" not in repr(stats)


def test_a_save_is_one_trace_from_the_write_to_the_verdict(project):
    heard = threading.Condition()
    results = []

    def listen(event):
        if event.event == "watch.result":
            with heard:
                results.append(event)
                heard.notify_all()

    def await_results(count):
        with heard:
            assert heard.wait_for(lambda: len(results) >= count, 60)

    watch = api.watch(".", detach=True, backend="process", listener=listen, timings=True)
    try:
        await_results(1)
        # Whole at once, so that one save is one change however slow the machine is.
        (project / ".passing").write_text(TEST.format(name="a").replace("hello", "again"))
        (project / ".passing").replace(project / "a.clnrm.toml")
        await_results(2)
    finally:
        watch.stop(60)

    phases = results[1].data["timings"]["phases"]
    above = {phase["name"]: phase["parent"] for phase in phases}
    names = [phase["name"] for phase in phases]
    assert names[0] == "clnrm.watch.change"
    assert {name: names[parent] for name, parent in above.items() if parent == 0} == dict.fromkeys(
        ["clnrm.watch.event", "clnrm.watch.check", "clnrm.watch.settle", "clnrm.run"], names[0]
    )
    assert phases[names.index("clnrm.test")]["count"] == 1
    measures = api.stats().measures.iloc[0]
    assert 0 < measures.reaction_ms <= measures.diagnostics_ms <= measures.start_ms < measures.verdict_ms


# ------------------------------------------------------------------------------------------------ to others


@pytest.fixture
def collector_of_others(monkeypatch):
    """An OTLP/HTTP receiver of somebody's own: what came, by path."""
    came = {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            came.setdefault(self.path, []).append((self.headers["Content-Type"], body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("CLNRM_NB_OBSERVABILITY_TRACES_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    exporting._own.cache_clear()
    yield came
    server.shutdown()
    thread.join()
    server.server_close()


def test_own_spans_and_metrics_are_sent_where_they_were_asked_for(project, collector_of_others):
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    result = run()

    ((kind, body),) = collector_of_others["/v1/traces"]
    sent = [
        span
        for resource in json.loads(body)["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]
    assert kind == "application/json"
    assert {"clnrm.run", "clnrm.load", "clnrm.test", "clnrm.step:go"} <= {span["name"] for span in sent}
    assert {span["spanId"] for span in sent} == set(result.timings.parts[0].table.span_id)

    message = ExportMetricsServiceRequest.FromString(collector_of_others["/v1/metrics"][0][1])
    (resource,) = message.resource_metrics
    metrics = {metric.name: metric for metric in resource.scope_metrics[0].metrics}
    assert resource.resource.attributes[0].value.string_value == "clnrm_nb"
    (passed,) = metrics["clnrm.tests"].sum.data_points
    assert (passed.as_int, passed.attributes[0].value.string_value) == (2, "passed")
    assert metrics["clnrm.queue.wait"].histogram.data_points[0].count == 2
    assert metrics["process.memory.usage"].gauge.data_points[0].as_int > 1_000_000
    assert "clnrm.watch.reaction" not in metrics


def test_metrics_of_several_runs_count_from_the_first(project, collector_of_others):
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    run(), run()

    last = ExportMetricsServiceRequest.FromString(collector_of_others["/v1/metrics"][-1][1])
    metrics = {metric.name: metric for metric in last.resource_metrics[0].scope_metrics[0].metrics}
    assert metrics["clnrm.tests"].sum.data_points[0].as_int == 4


async def test_own_spans_are_taken_by_a_receiver_as_everybodys(project, monkeypatch):
    receiver = Receiver()
    await receiver.start()
    collector = Collector("others", receiver)
    endpoint = receiver.endpoint(collector.services_token, "127.0.0.1")
    monkeypatch.setenv("CLNRM_NB_OBSERVABILITY_TRACES_ENDPOINT", endpoint)
    try:
        result = await clnrm_nb.arun(".", backend="process")

        assert set(collector.table.span_id) == set(result.timings.parts[0].table.span_id)
        assert not any(collector.table.own)
    finally:
        collector.close()
        await receiver.stop()


def test_a_receiver_that_is_not_there_costs_a_warning(project, monkeypatch, caplog):
    monkeypatch.setenv("CLNRM_NB_OBSERVABILITY_TRACES_ENDPOINT", "http://127.0.0.1:1")
    exporting._WARNED.clear()

    run(), run()

    warnings = [each.getMessage() for each in caplog.records if "own telemetry" in each.getMessage()]
    assert len(warnings) == 1
    assert "http://127.0.0.1:1/v1/traces" in warnings[0]


@pytest.mark.parametrize("endpoint", ["localhost:4318", "file:///etc/passwd", "ftp://x"])
def test_an_address_that_is_none_is_not_tried(project, monkeypatch, caplog, endpoint):
    monkeypatch.setenv("CLNRM_NB_OBSERVABILITY_TRACES_ENDPOINT", endpoint)
    exporting._WARNED.clear()

    run()

    assert "no http:// or https:// address" in caplog.text


def test_every_measure_is_a_metric_of_the_provider():
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    reader = InMemoryMetricReader()
    whole = Measures(
        "R1",
        "",
        1_500.0,
        {"passed": 2, "cached": 3},
        spans=7,
        lookups={"hit": 2, "rejudged": 1, "miss": 2},
        pool={"hits": 1, "misses": 1},
        queue_wait_ms=[1.0, 30.0],
        reaction_ms=11.0,
        diagnostics_ms=25.0,
        start_ms=80.0,
        verdict_ms=400.0,
    )
    record_metrics(whole, MeterProvider([reader], shutdown_on_exit=False))

    metrics = {
        metric.name: metric
        for resource in reader.get_metrics_data().resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    counts = {
        (name, *point.attributes.values()): point.value
        for name, metric in metrics.items()
        for point in metric.data.data_points
        if hasattr(point, "value") and "memory" not in name
    }
    assert counts == {
        ("clnrm.tests", "passed"): 2,
        ("clnrm.tests", "cached"): 3,
        ("clnrm.cache.lookups", "hit"): 2,
        ("clnrm.cache.lookups", "rejudged"): 1,
        ("clnrm.cache.lookups", "miss"): 2,
        ("clnrm.pool.hits",): 1,
        ("clnrm.pool.misses",): 1,
        ("clnrm.spans.received",): 7,
    }
    sums = {name: m.data.data_points[0].sum for name, m in metrics.items() if m.unit == "s"}
    assert sums == {
        "clnrm.run.duration": 1.5,
        "clnrm.queue.wait": 0.031,
        "clnrm.watch.reaction": 0.011,
        "clnrm.watch.diagnostics": 0.025,
        "clnrm.watch.start": 0.08,
        "clnrm.watch.verdict": 0.4,
    }


def python(code, **environ):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, **environ},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_program_around_a_run_gets_its_metrics(project):
    printed = python(
        """
        from opentelemetry import metrics
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader

        reader = InMemoryMetricReader()
        metrics.set_meter_provider(MeterProvider([reader]))
        import clnrm_nb
        clnrm_nb.run(".", backend="process")
        (resource,) = reader.get_metrics_data().resource_metrics
        (scope,) = resource.scope_metrics
        print(scope.scope.name, sorted(metric.name for metric in scope.metrics)[-1])
        """
    )

    assert printed.split() == ["clnrm_nb", "process.memory.usage"]


@pytest.mark.parametrize("words", [["--help"], ["run", ".", "--backend", "process"]])
def test_no_telemetry_sdk_is_loaded_for_help_and_where_nothing_runs(project, words):
    run()

    printed = python(
        f"""
        import sys
        from clnrm_nb.cli.main import run_command_line
        run_command_line({words})
        print("LOADED", [name for name in sys.modules if name.startswith("opentelemetry")])
        """
    )

    assert printed.splitlines()[-1] == "LOADED []"


# -------------------------------------------------------------------------------------------------- the log


def clnrm(*words, **environ):
    return subprocess.run(
        [sys.executable, "-m", "clnrm_nb", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, **environ},
    )


def test_every_line_of_a_json_log_is_an_object_that_knows_its_place(project):
    (project / "a.clnrm.toml").write_text(
        TEST.format(name="a").replace("echo hello", "exit 3") + '\n[secrets]\nenv = ["WORD"]\n'
    )

    done = clnrm(
        "-vv", "--log-format", "json", "run", ".", "--backend", "process", "--retries", "1", WORD=SECRET
    )

    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert all({"at", "level", "logger", "message"} <= set(line) for line in lines)
    assert {line["level"] for line in lines} == {"debug", "info"}
    placed = [line for line in lines if "trace_id" in line]
    assert len({line["run"] for line in placed}) == 1
    assert all(len(line["trace_id"]) == 32 and len(line["span_id"]) == 16 for line in placed)
    assert {line["test"] for line in placed if "test" in line} == {"a.clnrm.toml", "b.clnrm.toml"}
    assert any("clnrm.load took" in line["message"] for line in lines)


def test_a_line_of_the_log_names_a_span_of_the_trace(project):
    done = clnrm("-vv", "--log-format", "json", "run", ".", "--backend", "process", "-f", "json", "--timings")

    trace_id = json.loads(done.stdout)["data"]["timings"]["trace_id"]
    logged = {json.loads(line).get("trace_id") for line in done.stderr.splitlines()}
    assert logged == {trace_id}


def test_a_secret_in_the_log_is_masked_and_the_line_stays_json(project, capsys):
    import logging

    from clnrm_nb.api.logs import log_on_stderr
    from clnrm_nb.secrets import Masker
    from clnrm_nb.secrets.logs import masked_logs

    awkward = '", "level": "'
    with log_on_stderr(api.context({"log_format": "json"})), masked_logs(Masker([SECRET, awkward])):
        logging.getLogger("clnrm_nb.anything").warning("%s and %s", SECRET, awkward)

    (line,) = capsys.readouterr().err.splitlines()
    document = json.loads(line)
    assert document["level"] == "warning"
    assert SECRET not in line
    assert awkward not in document["message"]


def test_the_log_as_text_is_as_it_was(project):
    done = clnrm("-v", "run", "a.clnrm.toml", "--backend", "process")

    assert "INFO clnrm_nb.executor.pool: a.clnrm.toml: passed after" in done.stderr


def test_a_notebook_logs_in_the_same_forms(project, monkeypatch, capsys):
    monkeypatch.setenv("IPYTHONDIR", str(project / ".ipython"))
    shell = InteractiveShell()
    shell.run_line_magic("load_ext", "clnrm_nb")

    shell.run_line_magic("clnrm", "-vv --log-format json run a.clnrm.toml --backend process")

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    assert {"run", "trace_id", "span_id"} <= set(lines[0])
    assert "a.clnrm.toml" in {line.get("test") for line in lines}
