from __future__ import annotations

import pytest

from clnrm_nb.executor.outcome import CommandOutcome, ScenarioOutcome
from clnrm_nb.scenario.model import (
    AssertionExpectation,
    AttributeCheck,
    Bound,
    CountsExpectation,
    GraphExpectation,
    HermeticityExpectation,
    NamePattern,
    OrderExpectation,
    ResourceExpectation,
    StatusExpectation,
    TraceExpectation,
    WindowExpectation,
)

SHOP = """
checkout 0..100 kind=server status=ok
  charge 10..60 kind=client status=error message=declined !retry !retry
    bank 20..50 kind=client status=ok
  store 60..90 status=ok
"""


def edges(*pairs):
    return tuple((NamePattern.of(a), NamePattern.of(b)) for a, b in pairs)


def counts(**keys):
    return {"counts": (CountsExpectation(**keys),)}


def graph(**keys):
    for key in ("must_include", "must_not_cross"):
        if key in keys:
            keys[key] = edges(*keys[key])
    return {"graph": (GraphExpectation(**keys),)}


def order(match="all", **keys):
    return {"order": (OrderExpectation(match=match, **{key: edges(*pairs) for key, pairs in keys.items()}),)}


def window(**keys):
    for key in ("outer", "start_span", "end_span"):
        if key in keys:
            keys[key] = NamePattern.of(keys[key])
    if "contains" in keys:
        keys["contains"] = tuple(map(NamePattern.of, keys["contains"]))
    return {"windows": (WindowExpectation(**keys),)}


def status(**keys):
    return {"status": (StatusExpectation(**keys),)}


def hermeticity(**keys):
    return {"hermeticity": (HermeticityExpectation(**keys),)}


def traces(*names, **keys):
    if "parent_child" in keys:
        keys["parent_child"] = edges(*keys["parent_child"])
    return {"traces": (TraceExpectation(span_names=names, **keys),)}


def pairs(**values):
    return tuple(AttributeCheck(key=key.replace("_", "."), eq=value) for key, value in values.items())


# id, expectation, what the failure says (None: it passes)
CASES = [
    ("counts.spans_total", counts(spans_total=Bound(eq=4)), None),
    ("counts.spans_total", counts(spans_total=Bound(gt=3, lt=5)), None),
    (
        "counts.spans_total",
        counts(spans_total=Bound(gt=4)),
        "4 spans, expected > 4; counted: `bank`, `charge`",
    ),
    ("counts.events_total", counts(events_total=Bound(eq=2)), None),
    ("counts.events_total", counts(events_total=Bound(lte=1)), "2 events, expected <= 1"),
    ("counts.errors_total", counts(errors_total=Bound(eq=1)), None),
    ("counts.errors_total", counts(errors_total=Bound(eq=0)), "1 error, expected = 0; counted: `charge`"),
    ("counts.by_name[c*]", counts(by_name={"c*": Bound(eq=2)}), None),
    (
        "counts.by_name[chrge]",
        counts(by_name={"chrge": Bound(gte=1)}),
        "0 spans named `chrge`, expected >= 1; did",
    ),
    ("counts.by_kind[client]", counts(by_kind={"client": Bound(eq=2)}), None),
    (
        "counts.by_kind[server]",
        counts(by_kind={"server": Bound(gt=1)}),
        "1 span of kind server, expected > 1",
    ),
    ("counts.by_service[api]", counts(by_service={"api": Bound(gte=4)}), None),
    ("counts.by_service[db]", counts(by_service={"db": Bound(gte=1)}), "0 spans of service `db`"),
    ("graph.must_include[checkout→charge]", graph(must_include=[("checkout", "charge")]), None),
    ("graph.must_include[c*→b*]", graph(must_include=[("c*", "b*")]), None),
    (
        "graph.must_include[checkout→bank]",
        graph(must_include=[("checkout", "bank")]),
        "none of 1 span `bank` is a direct child of any `checkout`; their parents: `charge`",
    ),
    ("graph.must_include[checkout→bank]", graph(must_include=[("checkout", "bank")], descendant=True), None),
    (
        "graph.must_include[bank→charge]",
        graph(must_include=[("bank", "charge")], descendant=True),
        "is a descendant of any `bank`",
    ),
    ("graph.must_include[a→b]", graph(must_include=[("a", "b")]), "no span `a` and no span `b` was received"),
    ("graph.must_not_cross[store→bank]", graph(must_not_cross=[("store", "bank")]), None),
    (
        "graph.must_not_cross[bank→checkout]",
        graph(must_not_cross=[("bank", "checkout")]),
        "`bank` (span t1-0002) is below `checkout` (span t1-0000)",
    ),
    ("graph.must_not_cross[bank→checkout]", graph(must_not_cross=[("bank", "checkout")], mode="edge"), None),
    (
        "graph.must_not_cross[bank→charge]",
        graph(must_not_cross=[("bank", "charge")], mode="edge"),
        "is below `charge`",
    ),
    ("graph.must_not_cross[x→bank]", graph(must_not_cross=[("x", "bank")], allow_missing=True), None),
    ("graph.acyclic", graph(acyclic=True), None),
    ("graph.max_depth", graph(max_depth=3), None),
    ("graph.max_depth", graph(max_depth=2), "the longest chain has 3 spans and ends at `bank`"),
    ("graph.must_be_connected", graph(must_be_connected=True), None),
    ("window[0]", window(outer="checkout", contains=["charge", "b*", "store"]), None),
    (
        "window[0]",
        window(outer="charge", contains=["bank", "store"]),
        "(is not all inside: +60.000 ms to +90.000 ms, the window is +10.000 ms to +60.000 ms)",
    ),
    ("window[0]", window(outer="charge", contains=["nope"]), "contains `nope` (is not received)"),
    ("window[0]", window(outer="nope", contains=["bank"]), "no span `nope` was received"),
    ("window[0]", window(outer="charge", min_duration_ms=50, max_duration_ms=50), None),
    ("window[0]", window(outer="charge", max_duration_ms=49.5), "duration_ms <= 49.5 (is 50)"),
    ("window[0]", window(outer="charge", min_span_count=1, max_span_count=1), None),
    ("window[0]", window(outer="checkout", max_span_count=2), "spans inside <= 2 (is 3)"),
    ("window[0]", window(outer="bank", min_span_count=1), "spans inside >= 1 (is 0)"),
    (
        "window[0]",
        window(start_span="charge", end_span="store", min_duration_ms=80, max_duration_ms=80),
        None,
    ),
    ("window[0]", window(start_span="charge", end_span="store", min_span_count=3, max_span_count=3), None),
    ("window[0]", window(start_span="bank", end_span="store", contains=["charge"]), "contains `charge`"),
    ("window[0]", window(start_span="nope", end_span="store", max_duration_ms=1), "no span `nope`"),
    (
        "window[0]",
        window(start_span="store", end_span="bank", max_duration_ms=1),
        "before the first `store` started",
    ),
    ("window[0]", window(min_duration_ms=100, max_duration_ms=100, min_span_count=4, max_span_count=4), None),
    (
        "window[0]",
        window(max_duration_ms=99),
        "the whole trace meets 0 of 1, unmet: duration_ms <= 99 (is 100)",
    ),
    ("order.must_precede[charge→store]", order(must_precede=[("charge", "store")]), None),
    ("order.must_follow[store→bank]", order(must_follow=[("store", "bank")]), None),
    (
        "order.must_precede[store→bank]",
        order(must_precede=[("store", "bank")]),
        (
            "no `store` had ended when `bank` (span t1-0002) started; the first `store` ended at +90.000 ms, "
            "`bank` started at +20.000 ms"
        ),
    ),
    (
        "order.must_follow[bank→store]",
        order(must_follow=[("bank", "store")]),
        "no `store` had ended when `bank`",
    ),
    ("order.must_precede[nope→bank]", order(must_precede=[("nope", "bank")]), "no span `nope` was received"),
    ("order.must_precede[c*→c*]", order(must_precede=[("c*", "c*")]), "no `c*` had ended"),
    ("status.none", status(none="unset"), None),
    (
        "status.none",
        status(none="error"),
        '1 span with status error: `charge` (span t1-0001) is error ("declined")',
    ),
    ("status.all", status(all="ok"), "1 of 4 spans has another status than ok: `charge`"),
    ("status.by_name[[bs]*]", status(by_name={"[bs]*": "ok"}), None),
    ("status.by_name[c*]", status(by_name={"c*": "ok"}), "1 of 2 spans `c*` has another status than ok"),
    ("status.by_name[nope]", status(by_name={"nope": "ok"}), "no span `nope` was received"),
    ("status.failed_spans", status(failed_spans=("charge",)), None),
    (
        "status.failed_spans",
        status(failed_spans=("bank", "bank")),
        "failed unexpectedly: `charge`; did not fail: `bank`",
    ),
    ("hermeticity.no_external_services", hermeticity(no_external_services=True), None),
    ("hermeticity.resource_attrs.must_match", hermeticity(resource_attrs=pairs(service_name="api")), None),
    (
        "hermeticity.resource_attrs.must_match",
        hermeticity(resource_attrs=pairs(service_name="web")),
        'resource of `api`: service.name = "web" (is "api")',
    ),
    (
        "hermeticity.sdk_resource_attrs.must_match",
        hermeticity(sdk_resource_attrs=pairs(service_name="api")),
        None,
    ),
    (
        "hermeticity.sdk_resource_attrs.must_match",
        hermeticity(sdk_resource_attrs=pairs(telemetry_sdk_name="otel")),
        'telemetry.sdk.name = "otel" (is absent)',
    ),
    ("hermeticity.span_attrs.forbid_keys", hermeticity(forbid_keys=("db.*",)), None),
    ("traces[0]", traces("checkout", "bank"), None),
    ("traces[0]", traces("checkout", "nope"), "trace t1: no span `nope`"),
    ("traces[0]", traces("checkout", parent_child=[("checkout", "store")]), None),
    (
        "traces[0]",
        traces("checkout", parent_child=[("store", "bank")]),
        "no `bank` is a direct child of `store`",
    ),
    ("traces[0]", traces("checkout", "charge", "bank", "store", complete=True), None),
    ("traces[0]", traces("checkout", "c*", complete=True), "also has `bank`, `store`"),
    ("traces[0]", traces("checkout", is_tree=True), None),
    ("traces[0]", traces("checkout", "charge", "store", ordered=True), None),
    ("traces[0]", traces("store", "charge", ordered=True), "`charge` started at +10.000 ms, before `store`"),
    ("traces[0]", traces("bank", trace_id="T1"), None),
    ("traces[0]", traces("bank", trace_id="t2"), "trace t2 was not received"),
]


@pytest.mark.parametrize(("identity", "expect", "message"), CASES)
def test_an_expectation_gives_one_result_with_its_id(spans, judge_one, identity, expect, message):
    result = judge_one(spans(SHOP), **expect)

    assert result.id == identity
    assert result.kind == identity.partition(".")[0].partition("[")[0]
    assert result.status == ("passed" if message is None else "failed"), result.message
    assert message is None or message in result.message


@pytest.mark.parametrize(("identity", "expect", "message"), CASES)
def test_nothing_about_spans_passes_without_spans(spans, judge_one, identity, expect, message):
    result = judge_one(spans(), **expect)

    assert (result.status, result.reason) == ("failed", "no-spans")
    assert result.message == "no span was received from the program under test"


# ----------------------------------------------------------------------------------------------- counts


def test_every_bound_of_a_table_gives_a_result_in_file_order(spans, judge):
    table = CountsExpectation(
        errors_total=Bound(eq=1), spans_total=Bound(eq=4), by_name={"b": Bound(eq=0), "a": Bound(eq=0)}
    )

    assert [result.id for result in judge(spans(SHOP), counts=(table,))] == [
        "counts.spans_total",
        "counts.errors_total",
        "counts.by_name[b]",
        "counts.by_name[a]",
    ]


def test_the_same_bound_in_a_second_table_has_its_own_id(spans, judge):
    table = CountsExpectation(spans_total=Bound(eq=4))

    assert [r.id for r in judge(spans(SHOP), counts=(table, table))] == [
        "counts.spans_total",
        "counts.spans_total#1",
    ]


def test_large_numbers_are_shown_in_full(spans, judge_one):
    assert (
        "expected = 12345678" in judge_one(spans("a 0..1"), **counts(spans_total=Bound(eq=12345678))).message
    )


# ------------------------------------------------------------------------------------------------ graph


def test_edges_join_spans_of_one_trace_only(spans, judge_one):
    table = spans("a 0..9 id=same", "t1").add("b 1..2 parent=same", "t2")

    result = judge_one(table, **graph(must_include=[("a", "b")]))

    assert "their parents: not received" in result.message


@pytest.mark.parametrize("mode", ["path", "edge"])
def test_a_crossing_with_a_name_that_never_came_is_not_evaluated(spans, judge_one, mode):
    result = judge_one(spans(SHOP), **graph(must_not_cross=[("bank", "x")], mode=mode))

    assert (result.status, result.reason) == ("not-evaluated", "not found")


def test_a_cycle_is_found_and_shown(spans, judge):
    table = spans("a 0..1 id=1 parent=3\nb 1..2 id=2 parent=1\nc 2..3 id=3 parent=2\nd 0..1")

    cycle, depth = judge(table, **graph(acyclic=True, max_depth=9))

    assert "`a` → `c` → `b` → `a`" in cycle.message
    assert "the parents form a cycle" in depth.message


def test_a_span_that_is_its_own_parent_is_a_cycle(spans, judge_one):
    assert judge_one(spans("a 0..1 id=1 parent=1"), **graph(acyclic=True)).status == "failed"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a 0..1\nb 0..1", "trace t1 has 2 roots: `a`, `b`"),
        ("a 0..1\nb 0..1 parent=gone", "the parent of `b` (span t1-0001) was not received"),
        ("a 0..1 id=1 parent=1", "trace t1 has 0 roots"),
    ],
)
def test_a_trace_that_is_not_connected_fails(spans, judge_one, text, message):
    assert message in judge_one(spans(text), **graph(must_be_connected=True)).message


def test_each_trace_is_connected_for_itself(spans, judge_one):
    table = spans(SHOP, "t1").add("other 0..1", "t2")

    assert judge_one(table, **graph(must_be_connected=True)).status == "passed"


def test_two_programs_under_one_injected_parent_are_connected(spans, judge_one):
    table = spans("clnrm.scenario:x 0..9 id=own", own=True).add("a 1..2\nb 3..4", parent="own")

    assert judge_one(table, **graph(must_be_connected=True)).status == "passed"
    assert judge_one(table, **graph(max_depth=1)).status == "passed"


def test_any_edge_will_do_for_the_older_form(spans, judge_one):
    assert judge_one(spans(SHOP), should_have_parent_child_edges=True).status == "passed"
    lonely = judge_one(spans("a 0..1\nb 0..1"), should_have_parent_child_edges=True)
    assert "none of 2 spans is the child of another" in lonely.message
    assert judge_one(spans(), should_have_parent_child_edges=True).reason == "no-spans"


# ---------------------------------------------------------------------------------------------- window


def test_one_outer_span_must_satisfy_the_whole_window(spans, judge_one):
    table = spans("job 0..10\n  step 1..2").add("job 20..30\n  step 21..22\n  mail 23..24", "t2")

    result = judge_one(table, **window(outer="job", contains=["step", "mail"]))

    assert (result.status, result.spans) == ("passed", [("t2", "t2-0002")])


def test_the_closest_outer_span_is_named(spans, judge_one):
    table = spans("job 0..10\n  step 1..2").add("job 20..30", "t2")

    result = judge_one(table, **window(outer="job", contains=["step", "mail"]))

    assert result.message.startswith(
        "closest of 2: `job` (span t1-0000) meets 1 of 2, unmet: contains `mail`"
    )


def test_an_outer_span_does_not_contain_itself(spans, judge_one):
    assert judge_one(spans("a 0..9"), **window(outer="a", contains=["a"])).status == "failed"
    assert judge_one(spans("a 0..9\n  a 1..2"), **window(outer="a", contains=["a"])).status == "passed"


def test_spans_of_other_traces_are_not_inside(spans, judge_one):
    table = spans("a 0..9", "t1").add("b 1..2", "t2")

    assert "(is not in that trace)" in judge_one(table, **window(outer="a", contains=["b"])).message
    assert judge_one(table, **window(outer="a", min_span_count=1)).status == "failed"


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("a ?..9\n  b 1..2", {"outer": "a", "contains": ["b"]}),
        ("a 0..9\n  b 1..?", {"outer": "a", "contains": ["b"]}),
        ("a ?..9\nb 1..2", {"start_span": "a", "end_span": "b", "max_duration_ms": 9}),
        ("a 0..?\nb ?..2", {"max_duration_ms": 9}),
    ],
)
def test_a_window_without_times_fails_with_its_reason(spans, judge_one, text, keys):
    result = judge_one(spans(text), **window(**keys))

    assert (result.status, result.reason) == ("failed", "no timestamps")


# ----------------------------------------------------------------------------------------------- order


def test_every_second_span_needs_a_first_one_that_had_ended(spans, judge_one):
    table = spans("a 10..20\nb 20..30\nb 5..9", "t1").add("a 40..50", "t2")

    every = judge_one(table, **order(must_precede=[("a", "b")]))
    some = judge_one(table, **order("any", must_precede=[("a", "b")]))

    assert "(1 of 2 spans)" in every.message
    assert (some.status, some.actual) == ("passed", "+0.000 ms")


def test_no_pair_in_order_fails_even_where_one_would_do(spans, judge_one):
    result = judge_one(spans("a 10..20\nb 19..30"), **order("any", must_precede=[("a", "b")]))

    assert (result.status, result.actual) == ("failed", "-1.000 ms")
    assert result.spans == [("t1", "t1-0000"), ("t1", "t1-0001")]


def test_traces_do_not_matter_for_order(spans, judge_one):
    table = spans("a 0..1", "t1").add("b 2..3", "t2")

    assert judge_one(table, **order(must_precede=[("a", "b")])).status == "passed"


def test_spans_without_the_needed_time_are_skipped(spans, judge_one):
    table = spans("a ?..2\na 0..?\nb 2..?\nb ?..9")

    assert judge_one(table, **order(must_precede=[("a", "b")])).status == "passed"


@pytest.mark.parametrize("text", ["a 0..?\nb 2..3", "a 0..1\nb ?..3"])
def test_no_decidable_pair_fails(spans, judge_one, text):
    result = judge_one(spans(text), **order(must_precede=[("a", "b")]))

    assert (result.status, result.reason) == ("failed", "no timestamps")


def test_a_span_does_not_precede_itself(spans, judge_one):
    table = spans("a 5..5\na 5..5")

    assert judge_one(spans("a 5..5"), **order(must_precede=[("a", "a")])).status == "failed"
    assert judge_one(table, **order(must_precede=[("a", "a")])).status == "passed"


# ---------------------------------------------------------------------------------------------- status


def test_all_leaves_out_what_by_name_covers(spans, judge):
    everything, by_name = judge(spans(SHOP), **status(all="ok", by_name={"char*": "error"}))

    assert (everything.status, by_name.status) == ("passed", "passed")
    assert "all of 3 spans" in everything.message


def test_overlapping_patterns_all_apply(spans, judge):
    results = judge(spans(SHOP), **status(by_name={"char*": "error", "c*": "ok"}))

    assert [result.status for result in results] == ["passed", "failed"]


def test_clean_up_needs_no_spans_and_no_leftovers(spans, judge_one):
    clean = status(cleanup_must_succeed=True)

    assert judge_one(spans(), **clean).status == "passed"
    left = judge_one(spans(), **clean, outcome={"leftovers": [("volume", "v"), ("container", "c")]})
    assert left.message == "left behind by the test: container `c`, volume `v`"
    assert (
        judge_one(spans(), **clean, outcome={"replayed": True, "hermetic": False}).status == "not-evaluated"
    )


# ----------------------------------------------------------------------------------------- hermeticity


OUTSIDE = hermeticity(no_external_services=True)


def test_an_outside_host_is_named_with_its_spans(spans, judge_one):
    table = spans(
        "a 0..1 server.address=api\na 1..2 url.full=https://example.org:443/x\nb 2..3 net.peer.name=db"
    )

    result = judge_one(table, **OUTSIDE)

    assert result.message == "spans name outside hosts: url.full = example.org in `a`"
    assert result.spans == [("t1", "t1-0001")]


def test_hosts_that_are_allowed_are_inside(spans, judge_one):
    allowed = hermeticity(no_external_services=True, allow_hosts=("*.example.org",))

    assert judge_one(spans("a 0..1 server.address=eu.example.org"), **allowed).status == "passed"


@pytest.mark.parametrize(
    "outcome", [{"hermetic": False}, {"hermetic": False, "replayed": True, "backend": "replay"}]
)
def test_isolation_that_cannot_be_proved_is_not_evaluated_unless_it_is_broken(spans, judge_one, outcome):
    quiet = judge_one(spans("a 0..1"), **OUTSIDE, outcome=outcome)
    broken = judge_one(spans("a 0..1 server.address=example.org"), **OUTSIDE, outcome=outcome)

    assert (quiet.status, quiet.reason) == ("not-evaluated", "backend not hermetic")
    assert broken.status == "failed"


def test_isolation_without_spans_fails_even_where_it_cannot_be_proved(spans, judge_one):
    assert judge_one(spans(), **OUTSIDE, outcome={"hermetic": False}).reason == "no-spans"


def test_addresses_of_the_test_are_inside_and_others_not(spans, judge_one):
    table = spans("a 0..1 net.peer.ip=172.20.0.3\nb 0..1 net.peer.ip=172.21.0.3")

    known = judge_one(table, **OUTSIDE, outcome={"addresses": ["172.20.0.0/16"]})
    unknown = judge_one(table, **OUTSIDE)

    assert known.message == "spans name outside hosts: net.peer.ip = 172.21.0.3 in `b`"
    assert unknown.status == "passed"


def test_every_distinct_resource_is_checked(spans, judge_one):
    table = spans("a 0..1").add("b 0..1", "t2", resource={"service.name": "api", "x": 1})

    result = judge_one(table, **hermeticity(resource_attrs=pairs(x=1)))

    assert result.message == "resource of `api`: x = 1 (is absent)"


def test_forbidden_keys_are_named_with_their_spans(spans, judge_one):
    table = spans("a 0..1 user.email=x user.id=1\nb 0..1 user.id=2")

    result = judge_one(table, **hermeticity(forbid_keys=("user.*",)))

    assert result.message == "forbidden keys: `user.email` on `a`; `user.id` on `a`, `b`"


LEAKS = ["container", "network", "volume"]


@pytest.mark.parametrize("kind", LEAKS)
def test_a_leak_fails_wherever_it_is_seen(spans, judge_one, kind):
    expect = hermeticity(**{f"no_{kind}_leakage": True})

    seen = {"leftovers": [(kind, "x")], "hermetic": False, "backend": "process"}
    assert judge_one(spans(), **expect, outcome=seen).message == f"left behind by the test: {kind} `x`"
    assert judge_one(spans(), **expect, outcome={"leftovers": [("process", "1")]}).status == "passed"
    other = judge_one(spans(), **expect, outcome={"hermetic": False, "backend": "process"})
    assert (other.status, other.reason) == ("not-evaluated", "backend not hermetic")
    replayed = judge_one(spans(), **expect, outcome={"replayed": True})
    assert (replayed.status, replayed.reason) == ("not-evaluated", "backend not hermetic")


def test_containers_are_counted_whatever_network_they_had(spans, judge_one):
    bridge = {"hermetic": False, "backend": "docker"}

    assert judge_one(spans(), **hermeticity(no_container_leakage=True), outcome=bridge).status == "passed"


def test_left_processes_are_seen_by_the_process_backend_only(spans, judge_one):
    expect = hermeticity(no_process_leakage=True)
    process = {"backend": "process", "hermetic": False}

    assert judge_one(spans(), **expect, outcome=process).status == "passed"
    assert (
        judge_one(spans(), **expect, outcome={**process, "leftovers": [("process", "7")]}).status == "failed"
    )
    assert judge_one(spans(), **expect).status == "not-evaluated"


def test_images_must_all_be_allowed(spans, judge_one):
    expect = hermeticity(allowed_images=("alpine:*", "redis:7"))

    assert judge_one(spans(), **expect, outcome={"images": ["alpine:3", "redis:7"]}).status == "passed"
    other = judge_one(spans(), **expect, outcome={"images": ["redis:8", "alpine:3"]})
    assert other.message == "images that are not allowed: `redis:8`"
    process = {"backend": "process", "hermetic": False}
    assert judge_one(spans(), **expect, outcome=process).reason == "backend not hermetic"


# -------------------------------------------------------------------------------------------- resources


def resource(kind, name, **keys):
    return {"resources": (ResourceExpectation(type=kind, name=NamePattern.of(name), **keys),)}


OBJECTS = {"objects": {"container": ["api-1", "db-1"], "service": ["api", "db"]}}


@pytest.mark.parametrize(
    ("expect", "verdict"),
    [
        (resource("container", "api*"), "passed"),
        (resource("container", "web*"), "failed"),
        (resource("container", "web*", exists=False), "passed"),
        (resource("service", "db", exists=False), "failed"),
        (resource("volume", "*"), "failed"),
    ],
)
def test_objects_are_looked_up_by_name_without_any_span(spans, judge_one, expect, verdict):
    assert judge_one(spans(), **expect, outcome=OBJECTS).status == verdict


def test_a_missing_object_is_reported_with_those_there_were(spans, judge_one):
    result = judge_one(spans(), **resource("container", "web"), outcome=OBJECTS)

    assert result.id == "resource.container[web]"
    assert result.message == "no container `web` just before teardown; present: `api-1`, `db-1`"


@pytest.mark.parametrize("outcome", [{"replayed": True}, {"backend": "process"}])
def test_objects_that_nobody_could_see_are_not_evaluated(spans, judge_one, outcome):
    assert (
        judge_one(spans(), **resource("container", "a", exists=False), outcome=outcome).status
        == "not-evaluated"
    )


# ----------------------------------------------------------------------------------------------- traces


def test_one_trace_must_have_everything(spans, judge_one):
    table = spans("a 0..1\nb 1..2", "t1").add("a 0..1\n  c 1..2", "t2")

    assert judge_one(table, **traces("a", "c", is_tree=True)).spans == [("t2", "t2-0002"), ("t2", "t2-0003")]
    neither = judge_one(table, **traces("a", "b", "c"))
    assert neither.message == "closest of 2: trace t1: no span `c`"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a 0..1\nb 0..1", "has 2 roots"),
        ("a 0..1 parent=gone", "the parent of `a` (span t1-0000) was not received"),
        ("a 0..1\nb 0..1 id=1 parent=2\nc 0..1 id=2 parent=1", "its parents form a cycle"),
    ],
)
def test_what_is_not_a_tree_says_so(spans, judge_one, text, message):
    assert message in judge_one(spans(text), **traces("a", is_tree=True)).message


def test_traces_that_hold_all_names_are_counted(spans, judge):
    table = spans("a 0..1\nb 1..2", "t1").add("a 0..1\nb 1..2", "t2").add("a 0..1", "t3")

    whole, number = judge(table, **traces("a", "b", trace_count=Bound(eq=3)))

    assert whole.status == "passed"
    assert (number.id, number.status, number.actual) == ("traces[0].trace_count", "failed", 2)


def test_a_count_of_no_traces_may_be_what_is_wanted(spans, judge):
    results = judge(spans("a 0..1"), **traces("a", "z", trace_count=Bound(eq=0)))

    assert [result.status for result in results] == ["passed", "passed"]


# ------------------------------------------------------------------------------------------- assertions


def assertion(key, value):
    return {"assertions": (AssertionExpectation(key=key, value=value),)}


def commands(*statuses):
    done = [CommandOutcome("c", ["true"], None, status) for status in statuses]
    return {"scenarios": [ScenarioOutcome("x", commands=done)]}


@pytest.mark.parametrize(
    ("value", "outcome", "verdict"),
    [
        (2, commands("passed", "failed"), "passed"),
        (2, commands("passed", "skipped"), "failed"),
        (True, commands("passed"), "passed"),
        (0, {}, "passed"),
        (1, {"replayed": True}, "not-evaluated"),
    ],
)
def test_commands_that_ran_are_counted(spans, judge_one, value, outcome, verdict):
    expect = assertion("container_should_have_executed_commands", value)

    assert judge_one(spans(), **expect, outcome=outcome).status == verdict


@pytest.mark.parametrize(
    ("text", "outcome", "verdict"),
    [
        ("", {}, "passed"),
        ("a 0..1 server.address=db", {}, "passed"),
        ("a 0..1 server.address=example.org", {}, "failed"),
        ("", {"hermetic": False}, "failed"),
        ("", {"replayed": True}, "failed"),
    ],
)
def test_a_hermetic_execution_needs_a_hermetic_backend_and_no_outside_host(
    spans, judge_one, text, outcome, verdict
):
    expect = assertion("execution_should_be_hermetic", value=True)

    assert judge_one(spans(text), **expect, outcome=outcome).status == verdict


def test_an_assertion_set_to_false_asks_for_nothing(spans, judge):
    assert judge(spans(), **assertion("execution_should_be_hermetic", value=False)) == []
