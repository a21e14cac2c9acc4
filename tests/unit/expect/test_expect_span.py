from __future__ import annotations

import pytest

from clnrm_nb.scenario.model import AttributeCheck, Bound, NamePattern, SpanExpectation

SHOP = """
checkout 0..100 kind=server status=ok http.method=POST http.status=200 !cart.loaded !paid
  charge 10..60 kind=client status=error message=declined amount=12.50
    bank 20..50 kind=client http.status=402
  "store order" 60..90 db.system=redis
checkout 200..210 kind=server http.method=GET http.status=404
"""


def expecting(name, **keys):
    for key in ("parent",):
        if key in keys:
            keys[key] = NamePattern.of(keys[key])
    for key in ("events_all", "events_any"):
        if key in keys:
            keys[key] = tuple(NamePattern.of(text) for text in keys[key])
    return SpanExpectation(name=NamePattern.of(name), **keys)


def check(key, **operators):
    return AttributeCheck(key=key, **operators)


PASSING = {
    "name alone": expecting("checkout"),
    "glob": expecting("ch*"),
    "character class": expecting("[bc]ank"),
    "parent": expecting("charge", parent="checkout"),
    "parent glob": expecting("bank", parent="ch*"),
    "kind": expecting("checkout", kind="server"),
    "status": expecting("charge", status="error"),
    "root": expecting("checkout", is_root=True),
    "not root": expecting("bank", is_root=False),
    "attribute by text": expecting("checkout", attrs_all=(check("http.status", eq=200),)),
    "every attribute": expecting(
        "checkout", attrs_all=(check("http.status", eq="200"), check("http.method", ne="GET"))
    ),
    "any attribute": expecting("checkout", attrs_any=(check("nope", eq=1), check("http.status", lt=300))),
    "exists": expecting("bank", attrs_all=(check("http.status", exists=True),)),
    "absent": expecting("bank", attrs_all=(check("http.method", exists=False),)),
    "range from a string": expecting("charge", attrs_all=(check("amount", gt=12, lte=12.5),)),
    "regex": expecting("store order", attrs_all=(check("db.system", regex="^re"),)),
    "attribute glob": expecting("store order", attrs_all=(check("db.system", glob="re*s"),)),
    "in": expecting("bank", attrs_all=(check("http.status", is_in=(400, 402)),)),
    "events all": expecting("checkout", events_all=("paid", "cart.*")),
    "events any": expecting("checkout", events_any=("nope", "paid")),
    "duration": expecting("charge", duration_ms=Bound(gte=50, lte=50)),
    "count": expecting("checkout", count=Bound(eq=2)),
    "count of those that fit": expecting("checkout", kind="server", status="ok", count=Bound(eq=1)),
    "count of none": expecting("nope", count=Bound(eq=0)),
    "exists false": expecting("nope", exists=False),
    "none that fits exists": expecting("charge", status="ok", exists=False),
    "exists true": expecting("charge", exists=True),
    "match all": expecting("checkout", kind="server", match="all"),
}

FAILING = {
    "no candidate": (
        expecting("chrge"),
        ["no span is named `chrge`", "5 spans", "did you mean `charge`"],
    ),
    "parent": (expecting("charge", parent="bank"), ["parent `bank` (is `checkout`)"]),
    "parent of a root": (expecting("checkout", parent="bank"), ["parent `bank` (is a root)"]),
    "kind": (
        expecting("bank", kind="server"),
        ["the only span named `bank` (span t1-0002) meets 0 of 1, unmet: kind server (is client)"],
    ),
    "status": (expecting("charge", status="ok"), ['status ok (is error: "declined")']),
    "root": (expecting("bank", is_root=True), ["a root (is a child of t1-0001)"]),
    "not root": (expecting("checkout", is_root=False), ["not a root (is a root)"]),
    "attribute value": (
        expecting("bank", attrs_all=(check("http.status", eq=200),)),
        ['http.status = 200 (is "402")'],
    ),
    "attribute absent": (expecting("bank", attrs_all=(check("x", eq=1),)), ["x = 1 (is absent)"]),
    "attribute not absent": (
        expecting("bank", attrs_all=(check("http.status", exists=False),)),
        ['http.status absent (is "402")'],
    ),
    "no number": (
        expecting("store order", attrs_all=(check("db.system", gt=1),)),
        ['db.system > 1 (is "redis")'],
    ),
    "ne needs the key": (expecting("bank", attrs_all=(check("x", ne=1),)), ["x ≠ 1 (is absent)"]),
    "regex": (expecting("bank", attrs_all=(check("http.status", regex="^2"),)), ['matching "^2" (is "402")']),
    "glob": (expecting("bank", attrs_all=(check("http.status", glob="2*"),)), ['like "2*" (is "402")']),
    "in": (expecting("bank", attrs_all=(check("http.status", is_in=(200, 201)),)), ["in [200, 201]"]),
    "any attribute": (
        expecting("bank", attrs_any=(check("a", eq=1), check("http.status", eq=2))),
        ['any of [a = 1, http.status = 2] (is a absent, http.status "402")'],
    ),
    "events all": (
        expecting("checkout", events_all=("paid", "nope")),
        ["events.all `nope` (is events cart.loaded, paid)"],
    ),
    "events any": (expecting("bank", events_any=("a", "b")), ["events.any `a` or `b` (is without events)"]),
    "duration": (expecting("charge", duration_ms=Bound(lt=50)), ["duration_ms < 50 (is 50)"]),
    "count": (expecting("checkout", count=Bound(gte=3)), ["2 spans named `checkout`, expected >= 3"]),
    "count names the nearest miss": (
        expecting("checkout", status="ok", count=Bound(eq=2)),
        ["1 span named `checkout` with all checks met, expected = 2", "status ok (is unset)"],
    ),
    "exists false": (expecting("charge", exists=False), ["1 span named `charge`, expected none", "t1-0001"]),
    "match all": (
        expecting("checkout", status="ok", match="all"),
        ["1 of 2 spans named `checkout` does not meet all checks", "status ok (is unset)", "t1-0004"],
    ),
}


@pytest.mark.parametrize("block", PASSING.values(), ids=PASSING.keys())
def test_a_block_passes(spans, judge_one, block):
    result = judge_one(spans(SHOP), spans=(block,))

    assert result.status == "passed", result.message
    assert result.reason is None


@pytest.mark.parametrize(("block", "parts"), FAILING.values(), ids=FAILING.keys())
def test_a_block_fails_and_says_why(spans, judge_one, block, parts):
    result = judge_one(spans(SHOP), spans=(block,))

    assert result.status == "failed"
    for part in parts:
        assert part in result.message


@pytest.mark.parametrize("block", [*PASSING.values(), *(b for b, _ in FAILING.values())])
def test_no_block_passes_without_spans(spans, judge_one, block):
    result = judge_one(spans(), spans=(block,))

    assert (result.status, result.reason) == ("failed", "no-spans")


def test_the_closest_candidate_is_the_one_that_meets_most_checks(spans, judge_one):
    block = expecting(
        "checkout",
        kind="server",
        attrs_all=(check("http.method", eq="GET"), check("http.status", eq=200)),
        duration_ms=Bound(lt=50),
    )

    result = judge_one(spans(SHOP), spans=(block,))

    assert result.message == (
        "none of 2 spans named `checkout` meets all 4 checks; closest: `checkout` (span t1-0004) "
        'meets 3 of 4, unmet: http.status = 200 (is "404")'
    )
    assert result.expected == (
        'a span `checkout` with kind server, http.method = "GET", http.status = 200, duration_ms < 50'
    )
    assert result.actual == 'http.status = 200 (is "404")'
    assert result.spans == [("t1", "t1-0004")]


def test_of_equally_close_candidates_the_earliest_is_named(spans, judge_one):
    result = judge_one(spans("x 5..6 id=late\nx 1..2 id=early"), spans=(expecting("x", kind="server"),))

    assert result.spans == [("t1", "early")]


def test_checks_met_by_different_candidates_do_not_add_up(spans, judge_one):
    block = expecting("checkout", status="ok", attrs_all=(check("http.status", eq=404),))

    assert judge_one(spans(SHOP), spans=(block,)).status == "failed"


def test_a_parent_in_another_trace_is_no_parent(spans, judge_one):
    table = spans("a 0..9 id=same", "t1").add("b 1..2 parent=same", "t2")

    result = judge_one(table, spans=(expecting("b", parent="a"),))

    assert "parent `a` (is not received)" in result.message


def test_a_name_may_be_an_exact_text_or_a_regex(spans, judge):
    exact = SpanExpectation(name=NamePattern(text="GET *", mode="exact"))
    regex = SpanExpectation(name=NamePattern(text="GET /users/[0-9]+", mode="regex"))

    results = judge(spans('"GET *" 0..1\n"GET /users/12" 1..2'), spans=(exact, regex))

    assert [result.spans for result in results] == [[("t1", "t1-0000")], [("t1", "t1-0001")]]


def test_a_regex_that_might_never_end_on_a_value_is_not_evaluated(spans, judge):
    table = spans("a 0..1 key=" + "a" * 20_000 + "!")
    slow = expecting("a", attrs_all=(check("key", regex="(a+)+$"),))
    endless = expecting("a", attrs_all=(check("key", regex="(a{1,999}){1,999}$"),))
    name = SpanExpectation(name=NamePattern(text="a", mode="regex"))

    results = judge(table, spans=(slow, endless, name))

    assert [result.status for result in results] == ["failed", "not-evaluated", "passed"]
    assert "CLN314 the regular expression" in results[1].message


@pytest.mark.parametrize("times", ["?..5", "5..?", "9..5"])
def test_an_unknown_duration_fails_with_its_reason(spans, judge_one, times):
    result = judge_one(spans(f"a {times}"), spans=(expecting("a", duration_ms=Bound(gte=0)),))

    assert (result.status, result.reason) == ("failed", "no timestamps")


def test_an_unknown_duration_does_not_prove_absence(spans, judge_one):
    block = expecting("a", duration_ms=Bound(gt=100), exists=False)

    result = judge_one(spans("a 0..1\na ?..?"), spans=(block,))

    assert (result.status, result.reason) == ("failed", "no timestamps")


def test_an_unknown_duration_is_no_matter_where_the_count_holds_either_way(spans, judge_one):
    block = expecting("a", duration_ms=Bound(gt=100), count=Bound(lte=1))

    assert judge_one(spans("a 0..1\na ?..?"), spans=(block,)).status == "passed"


def test_ids_name_the_block_and_its_place(spans, judge):
    results = judge(spans("a 0..1"), spans=(expecting("a"), expecting("b*")))

    assert [(result.id, result.kind) for result in results] == [("span[a]#0", "span"), ("span[b*]#1", "span")]


def test_a_block_that_is_not_required_is_not_evaluated_without_a_candidate(spans, judge):
    blocks = (
        expecting("a", required=False, kind="server"),
        expecting("nope", required=False),
        expecting("nope", required=False, count=Bound(gte=1)),
    )

    results = judge(spans("a 0..1 kind=client"), spans=blocks)

    assert [result.status for result in results] == ["failed", "not-evaluated", "not-evaluated"]


def test_arrays_are_equal_as_json(spans, judge_one):
    table = spans("a 0..1")
    table.attributes[0] = {"tags": ["x", 1.0, True]}

    result = judge_one(table, spans=(expecting("a", attrs_all=(check("tags", eq=("x", 1, True)),)),))

    assert result.status == "passed"


@pytest.mark.parametrize("event", ["paid", "cart.*"])
def test_a_required_event_may_be_in_any_span(spans, judge_one, event):
    result = judge_one(spans(SHOP), required_events=(event,))

    assert (result.status, result.id) == ("passed", f"required_events[{event}]")


def test_a_missing_event_is_named_with_those_received(spans, judge_one):
    result = judge_one(spans(SHOP), required_events=("shipped",))

    assert result.message == "no span has an event `shipped`; the events received are cart.loaded, paid"
    assert judge_one(spans(), required_events=("shipped",)).reason == "no-spans"
