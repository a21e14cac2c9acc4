from __future__ import annotations

import pytest

from clnrm_nb.executor.tracing import TestTracer, run_span
from clnrm_nb.spans.phases import Phase, begun, running
from clnrm_nb.spans.table import SpanTable


@pytest.fixture
def traced():
    table = SpanTable()
    tracer = TestTracer(run_span("R1"), "t.clnrm.toml", table.append)
    return tracer, table


def names(table):
    return dict(zip(table.name, range(len(table)), strict=True))


def test_own_spans_form_one_tree_across_the_traces_of_the_scenarios(traced):
    tracer, table = traced
    tracer.service("db").end()
    scenario = tracer.scenario("buy")
    tracer.step("click", scenario).end()
    scenario.end()
    tracer.end()

    row = names(table)
    parents = table.parent_rows()
    assert [parents[row[name]] for name in ("clnrm.service.start", "clnrm.scenario:buy")] == [
        row["clnrm.test"]
    ] * 2
    assert parents[row["clnrm.step:click"]] == row["clnrm.scenario:buy"]
    assert parents[row["clnrm.test"]] == row["clnrm.run"]
    assert parents[row["clnrm.run"]] is None


def test_each_scenario_attempt_has_a_trace_of_its_own_linked_to_the_test(traced):
    tracer, table = traced
    first, second = tracer.scenario("a"), tracer.scenario("a")
    tracer.end()

    assert len({first.trace_id, second.trace_id, tracer.test.trace_id}) == 3
    link = table.links[table.span_id.index(first.span_id)][0]
    assert (link.trace_id, link.span_id) == (tracer.test.trace_id, tracer.test.span_id)


def test_traceparent_is_sampled_and_names_the_scenario(traced):
    scenario = traced[0].scenario("a")

    assert scenario.traceparent == f"00-{scenario.trace_id}-{scenario.span_id}-01"


def test_spans_carry_their_scenario_and_are_marked_as_own(traced):
    tracer, table = traced
    scenario = tracer.scenario("a")
    tracer.step("s", scenario)
    tracer.end()

    assert all(table.own)
    assert {scope.name for scope in table.scope} == {"clnrm_nb"}
    assert dict(zip(table.name, table.scenario, strict=True)) == {
        "clnrm.step:s": "a",
        "clnrm.scenario:a": "a",
        "clnrm.test": None,
        "clnrm.run": None,
    }


def test_failures_and_events_are_recorded(traced):
    tracer, table = traced
    scenario = tracer.scenario("a")
    step = tracer.step("s", scenario)
    step.event("container.exec", **{"process.exit.code": 2, "clnrm.service.name": None})
    step.fail("exit code 2")
    step.end()

    span = table.span(0)
    assert (span.status_code, span.status_message) == ("error", "exit code 2")
    assert [(event.name, event.attributes) for event in span.events] == [
        ("container.exec", {"process.exit.code": 2})
    ]


def test_a_span_that_ends_twice_is_delivered_once(traced):
    tracer, table = traced
    scenario = tracer.scenario("a")
    scenario.end()
    scenario.end()
    tracer.end()

    assert table.name.count("clnrm.scenario:a") == 1


def test_the_run_is_shown_in_each_test_and_covers_it():
    run = run_span("R1")
    tables = [SpanTable(), SpanTable()]
    for number, table in enumerate(tables):
        TestTracer(run, str(number), table.append).end()

    ends = [dict(zip(table.name, table.end_ns, strict=True)) for table in tables]
    assert tables[0].span_id[-1] == tables[1].span_id[-1] == run.span_id
    assert all(end["clnrm.run"] >= end["clnrm.test"] for end in ends)


def test_own_spans_do_not_depend_on_the_users_own_variables(monkeypatch):
    from clnrm_nb.executor import tracing

    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    tracing._tracer.cache_clear()
    table = SpanTable()
    try:
        TestTracer(run_span("R1"), "t", table.append).end()
    finally:
        tracing._tracer.cache_clear()

    assert table.name == ["clnrm.test", "clnrm.run"]


def test_the_users_global_provider_is_left_alone(traced):
    from opentelemetry import trace

    traced[0].end()

    assert type(trace.get_tracer_provider()).__name__ == "ProxyTracerProvider"


def test_a_run_for_a_watched_change_is_the_root_of_the_spans_of_its_tests():
    table = SpanTable()
    with begun(Phase("clnrm.watch.change")) as change, running("R1"):
        run = run_span("R1")
        TestTracer(run, "t", table.append).end()

    assert run.trace_id == change.trace_id
    assert table.parent_span_id[table.name.index("clnrm.run")] is None
