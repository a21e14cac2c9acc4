from __future__ import annotations

from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clnrm_nb.executor.outcome import ScenarioOutcome, TestOutcome
from clnrm_nb.expect import evaluate
from clnrm_nb.scaffold import scaffold
from clnrm_nb.scaffold.names import pattern_of
from clnrm_nb.scaffold.traces import Seen, from_trace, read_recording, read_spans
from clnrm_nb.scenario.model import NamePattern
from clnrm_nb.spans.loaders import write_otlp_json
from clnrm_nb.spans.model import Event, Resource, Span
from clnrm_nb.spans.table import SpanTable


def recording(example: str) -> bytes:
    return (files("clnrm_nb.examples") / example / "recording.json").read_bytes()


def verdicts(test, table: SpanTable) -> dict[str, str]:
    """Every expectation of a file on some spans, judged as a run on a container backend is."""
    parts = [ScenarioOutcome(scenario.name) for scenario in test.scenarios]
    outcome = TestOutcome(id="t", name="t", backend="docker", hermetic=True, scenarios=parts, spans=table)
    return {f"{one.scenario}::{one.id}": one.status for one in evaluate(test, outcome)}


@pytest.mark.parametrize(("example", "least"), [("quickstart", 38), ("shop", 45)])
def test_all_that_a_recording_proposes_holds_for_its_own_spans(checked, example, least):
    made = scaffold(recording(example), name="recording.json")

    found = checked(made.text)

    assert (made.kind, found.outcome) == ("recording", "ok")
    results = verdicts(found.test, read_recording(recording(example)).table)
    assert set(results.values()) == {"passed"}
    assert len(results) >= least


def test_a_recording_gives_services_commands_and_exit_codes(checked):
    test = checked(scaffold(recording("quickstart"), name="r.json").text).test

    assert list(test.services) == ["inventory", "gateway"]
    in_stock, sold_out = test.scenarios
    assert in_stock.steps[0].command == ("python3", "customer.py", "kettle=1", "cup=2")
    assert in_stock.steps[0].env == {"OTEL_SERVICE_NAME": "customer"}
    assert (sold_out.steps[0].service, sold_out.steps[0].expected_exit_code) == ("gateway", 3)


def test_what_is_proposed_fails_on_another_trace(checked):
    test = checked(scaffold(recording("quickstart"), name="r.json").text).test
    table = read_recording(recording("quickstart")).table
    rows = [row for row in range(len(table)) if table.name[row] != "price order"]

    results = verdicts(test, table.select(rows))

    assert results["None::graph.must_include[POST /orders→price order]"] == "failed"
    assert results["in-stock::counts.spans_total"] == "failed"


def test_spans_alone_leave_the_commands_to_a_person(checked):
    shop = Resource({"service.name": "shop"})
    spans = [
        Span("1" * 32, "1" * 16, "GET /orders/4711", kind="server", start_ns=1, end_ns=9, resource=shop),
        Span("1" * 32, "2" * 16, "read order", "1" * 16, start_ns=2, end_ns=3, resource=shop),
        Span("1" * 32, "3" * 16, "price order", "1" * 16, start_ns=4, end_ns=5, resource=shop),
    ]

    made = scaffold(write_otlp_json(SpanTable(spans)), name="t.json")

    test = checked(made.text).test
    assert (made.kind, [scenario.name for scenario in test.scenarios]) == ("trace", ["GET-orders-4711"])
    assert test.scenarios[0].steps[0].command[-1].endswith("exit 1")
    assert test.services["shop"].image.startswith("todo.invalid/")
    assert test.expect.spans[0].name.text == "GET /orders/*"
    (order,) = test.expect.order
    assert [tuple(map(str, pair)) for pair in order.must_precede] == [("read order", "price order")]
    assert {"TODO"} <= {word for _, line in made.todos for word in line.replace(":", " ").split()}


def test_data_of_one_run_is_not_expected_of_the_next(checked):
    attributes = {
        "http.request.method": "GET",
        "db.query.text": "select 1",
        "http.request.header.x-trace": "a",
        "app.user": "ada",
        "http.route": "/x/0af7651916cd43dd",
    }
    table = SpanTable([Span("1" * 32, "1" * 16, "GET thing", attributes=attributes)])

    made = from_trace(Seen(table), name="t.json")

    (span,) = checked(made).test.expect.spans
    assert [check.key for check in span.attrs_all] == ["http.request.method"]


def test_hosts_outside_the_test_are_not_declared_inside(checked):
    shop = Resource({"service.name": "shop"})
    attributes = {"server.address": "payments.example.com"}
    spans = [
        Span("1" * 32, "1" * 16, "buy", kind="server", resource=shop),
        Span("1" * 32, "2" * 16, "charge", "1" * 16, kind="client", attributes=attributes, resource=shop),
    ]

    test = checked(from_trace(Seen(SpanTable(spans)), name="t.json")).test

    assert all(block.no_external_services is None for block in test.expect.hermeticity)


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("GET /orders/4711/lines", "GET /orders/*/lines"),
        ("job 2f1c2e9a-58cc-4372-a567-0e02b2c3d479", "job *"),
        ("backup 2025-01-02", "backup *"),
        ("connect 10.0.0.7", "connect *"),
        ("step 2", "step 2"),
        ("HTTP/1.1 GET", "HTTP/1.1 GET"),
        ("s3 put", "s3 put"),
        ("rows[0]", "rows?0]"),
    ],
)
def test_names_lose_what_varies_and_nothing_else(name, pattern):
    assert pattern_of(name) == pattern


@given(st.text(max_size=40))
def test_a_pattern_matches_the_name_it_was_made_of(name):
    assert NamePattern.of(pattern_of(name)).matches(name)


@st.composite
def tables(draw) -> SpanTable:
    names = ["GET /a", "load [1]", "job 12345", "x", "SELECT * FROM t", "läuft", "GET /a/77", ""]
    services = [Resource({"service.name": name}) for name in ("shop", "odd name", "db")]
    table = SpanTable()
    for number in range(draw(st.integers(1, 10))):
        parent = draw(st.none() | st.integers(0, max(number - 1, 0))) if number else None
        start = draw(st.integers(1, 50))
        span = Span(
            f"{draw(st.integers(1, 2)):032x}",
            f"{number + 1:016x}",
            draw(st.sampled_from(names)),
            None if parent is None else f"{parent + 1:016x}",
            kind=draw(st.sampled_from(["server", "client", "internal", "unspecified"])),
            start_ns=draw(st.sampled_from([start, None])),
            end_ns=start + draw(st.integers(0, 20)),
            status_code=draw(st.sampled_from(["unset", "ok", "error"])),
            attributes=draw(
                st.dictionaries(
                    st.sampled_from(["http.route", "db.system.name", "server.address", "rpc.method"]),
                    st.sampled_from(["/a", "example.com", "redis", 3, True, ["x"]]),
                )
            ),
            events=tuple(
                Event(name, start, {}) for name in draw(st.lists(st.sampled_from(["go", "e[1]"]), max_size=2))
            ),
            resource=draw(st.sampled_from(services)),
        )
        table.append(span, draw(st.sampled_from([None, None, "one"])))
    return table


@settings(max_examples=60)
@given(tables())
def test_whatever_the_trace_its_scaffold_is_valid_and_holds_for_it(tmp_path_factory, table):
    from clnrm_nb.template import TemplateRequest, render
    from clnrm_nb.validation import check

    text = from_trace(Seen(table), name="t.json")

    place = tmp_path_factory.getbasetemp()
    found = check(render(TemplateRequest(path=place / "t.toml", file="t", project_root=place, text=text)))
    assert found.outcome != "error", [str(one) for one in found.diagnostics]
    assert set(verdicts(found.test, table).values()) <= {"passed"}


def test_traces_from_elsewhere_give_valid_scaffolds_that_hold(checked, corpus):
    tried = 0
    for path in sorted((corpus / "traces").rglob("*.json")):
        try:
            seen = read_spans(path)
        except Exception:  # noqa: BLE001  # Forms that are not read yet are another test's business.
            continue
        found = checked(from_trace(seen, name=path.name))
        assert found.outcome != "error", path
        assert set(verdicts(found.test, seen.table).values()) <= {"passed"}, path
        tried += 1

    assert tried >= 5
