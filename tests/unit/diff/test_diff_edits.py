"""One hand-made pair of traces for each operation of `format.md` 8.2: exactly these edits, at these costs."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import orjson
import pytest

from clnrm_nb.diff import DiffOptions, compare
from clnrm_nb.diff.aliases import find_aliases
from clnrm_nb.diff.content import Contents
from clnrm_nb.diff.interner import Interner
from clnrm_nb.diff.reading import from_table
from clnrm_nb.spans.canonical import canonical, trace_digest
from clnrm_nb.spans.model import Event, Link, Resource, Scope, Span
from clnrm_nb.spans.table import SpanTable

API = Resource({"service.name": "api", "service.version": "1"})
DB = Resource({"service.name": "db"})
TRACE = "a" * 32


def span(span_id, name, parent=None, start=0, **values):
    values.setdefault("resource", API)
    values.setdefault("scope", Scope("lib"))
    return Span(TRACE, span_id, name, parent_span_id=parent, start_ns=start, end_ns=start + 10, **values)


def shop():
    """checkout → (cart → read, pay → (charge, mail)), told apart by their attributes."""
    return {
        one.span_id: one
        for one in (
            span("1", "checkout", attributes={"user": "ada"}, kind="server"),
            span("2", "cart", "1", 1, attributes={"items": 3}),
            span("3", "read", "2", 2, attributes={"rows": 3, "table": "cart"}, resource=DB),
            span("4", "pay", "1", 3, attributes={"amount": 12.5}, events=(Event("retry", 4, {"n": 1}),)),
            span("5", "charge", "4", 4, attributes={"card": "visa"}),
            span("6", "mail", "4", 5, attributes={"to": "ada@example.com"}, links=(Link(TRACE, "3", {}),)),
        )
    }


def table(spans):
    return SpanTable(spans.values())


def changed(spans, span_id, **values):
    return {**spans, span_id: replace(spans[span_id], **values)}


def edits(before, after, **options):
    diff = compare(table(before), table(after), options=DiffOptions(**options))
    assert diff.certified
    assert diff.baseline_digest == trace_digest(table(before))
    assert diff.trace_digest == trace_digest(table(after))
    return [(e.op, e.baseline_path, e.path, e.key, e.baseline, e.current, e.cost) for e in diff.counted]


def statuses(before, after):
    diff = compare(table(before), table(after))
    return {pair.name or pair.baseline_name: pair.status for pair in diff.spans if pair.status != "same"}


CART, PAY, MAIL = "checkout/cart", "checkout/pay", "checkout/pay/mail"


def test_equal_traces_have_no_edits_and_every_span_is_the_same():
    diff = compare(table(shop()), table(shop()))

    assert not diff
    assert diff.edits == ()
    assert diff.totals == {"same": 6, "changed": 0, "added": 0, "missing": 0, "moved": 0, "renamed": 0}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"attributes": {"items": 4}}, ("attr~", CART, CART, "items", 3, 4, 2)),
        ({"attributes": {"items": "3"}}, ("attr~", CART, CART, "items", 3, "3", 2)),
        ({"attributes": {"items": 3, "new": [1]}}, ("attr+", CART, CART, "new", None, [1], 2)),
        ({"attributes": {}}, ("attr-", CART, CART, "items", 3, None, 2)),
        ({"kind": "client"}, ("kind", CART, CART, None, "internal", "client", 4)),
        ({"name": "basket"}, ("rename", CART, "checkout/basket", None, "cart", "basket", 4)),
        ({"scope": Scope("other")}, ("scope", CART, CART, None, "lib", "other", 4)),
        ({"resource": DB}, ("service", CART, CART, "service.name", "api", "db", 6)),
        (
            {"status_code": "error", "status_message": "no"},
            (
                "status",
                CART,
                CART,
                None,
                {"code": "unset", "message": ""},
                {"code": "error", "message": "no"},
                3,
            ),
        ),
        (
            {"status_message": "hm"},
            (
                "status",
                CART,
                CART,
                None,
                {"code": "unset", "message": ""},
                {"code": "unset", "message": "hm"},
                2,
            ),
        ),
        ({"events": (Event("hit", 1, {"a": 1}),)}, ("event+", CART, CART, "hit", None, {"a": 1}, 3)),
        (
            {"links": (Link("b" * 32, "9", {"a": 1}),)},
            ("link+", CART, CART, "external", None, {"a": 1}, 3),
        ),
    ],
)
def test_one_change_of_one_span_is_one_edit(values, expected):
    assert edits(shop(), changed(shop(), "2", **values)) == [expected]


def test_a_lost_event_and_a_changed_event_are_edits_of_their_own_kind():
    assert edits(shop(), changed(shop(), "4", events=())) == [
        ("event-", PAY, PAY, "retry", {"n": 1}, None, 3)
    ]
    assert edits(shop(), changed(shop(), "4", events=(Event("retry", 9, {"n": 2}),))) == [
        ("event~", PAY, PAY, "retry", {"n": 1}, {"n": 2}, 2)
    ]


def test_a_lost_link_is_one_edit():
    found = edits(shop(), changed(shop(), "6", links=()))

    assert [(op, path, cost) for op, path, *_, cost in found] == [("link-", MAIL, 3)]


def test_a_link_follows_its_target_through_a_rename():
    assert [op for op, *_ in edits(shop(), changed(shop(), "3", name="select"))] == ["rename"]


def test_an_inserted_and_a_deleted_leaf_cost_four_and_two_a_span():
    more = {**shop(), "9": span("9", "audit", "1", 9)}

    (insert,) = edits(shop(), more)
    (delete,) = edits(more, shop())

    assert insert[:4] == ("insert", None, "checkout/audit", None)
    assert delete[:4] == ("delete", "checkout/audit", None, None)
    assert insert[6] == delete[6] == 6
    assert statuses(shop(), more) == {"audit": "added"}
    assert statuses(more, shop()) == {"audit": "missing"}


def test_a_deleted_subtree_is_one_edit():
    left = {name: one for name, one in shop().items() if name not in {"4", "5", "6"}}

    ((op, path, *_, cost),) = edits(shop(), left)

    assert (op, path, cost) == ("delete", PAY, 10)
    assert statuses(shop(), left) == {"pay": "missing", "charge": "missing", "mail": "missing"}


def test_a_moved_subtree_is_one_edit_and_only_its_root_is_moved():
    after = changed(shop(), "4", parent_span_id="2")

    assert edits(shop(), after) == [("move", PAY, "checkout/cart/pay", None, "checkout", "checkout/cart", 6)]
    assert statuses(shop(), after) == {"pay": "moved"}


def test_a_span_that_comes_between_is_one_edit_and_its_children_stay_the_same():
    after = {**shop(), "9": span("9", "retrying", "4", 9)}
    after = changed(changed(after, "5", parent_span_id="9"), "6", parent_span_id="9")

    (wrap,) = edits(shop(), after)
    (unwrap,) = edits(after, shop())

    assert (wrap[0], wrap[2], wrap[6]) == ("wrap", "checkout/pay/retrying", 6)
    assert (unwrap[0], unwrap[1], unwrap[6]) == ("unwrap", "checkout/pay/retrying", 6)
    assert statuses(shop(), after) == {"retrying": "added"}
    assert statuses(after, shop()) == {"retrying": "missing"}


def test_insert_of_identical_sibling_is_one_count_edit():
    twice = {**shop(), "9": replace(shop()["5"], span_id="9")}

    assert edits(shop(), twice) == [("count", "checkout/pay/charge", "checkout/pay/charge", None, 1, 2, 5)]
    assert edits(twice, shop()) == [("count", "checkout/pay/charge", "checkout/pay/charge", None, 2, 1, 5)]
    assert statuses(shop(), twice) == {"charge": "added"}


def test_a_renamed_service_is_one_edit_for_all_its_spans():
    new = Resource({"service.name": "api-v2", "service.version": "1"})
    after = {name: replace(one, resource=new) if one.resource is API else one for name, one in shop().items()}

    assert edits(shop(), after) == [("service", "api", "api", "service.name", "api", "api-v2", 6)]


def test_two_services_renamed_at_once_are_told_apart_by_what_their_spans_say():
    """By the names of their spans alone they were taken for each other, which broke every label of both."""

    def shards(east, west):
        made = [span("0", "query")]
        for number in range(1, 41):
            resource = Resource({"service.name": west if number % 2 else east})
            attributes = {"shard": number}
            made.append(span(str(number), "scan", "0", number, attributes=attributes, resource=resource))
        return {one.span_id: one for one in made}

    interner = Interner()
    before, after = shards("east", "west"), shards("y", "x")
    sides = (from_table(table(before), interner), from_table(table(after), interner))
    aliases = find_aliases(*sides, Contents(interner))

    assert aliases.services == {"y": "east", "x": "west"}
    assert [edit[0] for edit in edits(before, after)] == ["service", "service"]


def test_a_resource_attribute_is_one_edit_for_each_distinct_resource():
    new = Resource({"service.name": "api", "service.version": "2"})
    after = {name: replace(one, resource=new) if one.resource is API else one for name, one in shop().items()}

    assert edits(shop(), after) == [("resource~", "api", "api", "service.version", "1", "2", 2)]


def test_a_scope_renamed_everywhere_is_one_edit():
    after = {name: replace(one, scope=Scope("lib2")) for name, one in shop().items()}

    assert edits(shop(), after) == [("scope", "", "", None, "lib", "lib2", 4)]


def test_an_attribute_key_renamed_everywhere_is_one_edit():
    before = {name: replace(one, attributes={"http.method": "GET"}) for name, one in shop().items()}
    after = {name: replace(one, attributes={"http.request.method": "GET"}) for name, one in shop().items()}

    found = edits(before, after)

    assert [(op, key, cost) for op, _, _, key, *_, cost in found] == [
        ("attr~", "http.method → http.request.method", 2)
    ]


def test_sibling_order_counts_only_where_it_is_asked_for():
    after = changed(shop(), "2", start_ns=4, end_ns=5)

    assert edits(shop(), after) == []
    ((op, path, *_, cost),) = edits(shop(), after, order_sensitive=True)
    assert (op, path, cost) == ("order", "checkout", 3)


def test_durations_count_only_where_asked_for_and_beyond_both_tolerances():
    after = changed(shop(), "2", end_ns=5_000_001)

    assert edits(shop(), after) == []
    ((op, path, *_),) = edits(shop(), after, ignore_timestamps=False, duration_ms=1.0, duration_ratio=2.0)
    assert (op, path) == ("duration", CART)
    assert edits(shop(), after, ignore_timestamps=False, duration_ms=10.0, duration_ratio=2.0) == []


def test_a_volatile_difference_is_listed_but_does_not_count():
    before = changed(shop(), "2", attributes={"items": 3, "thread.id": 1})
    after = changed(shop(), "2", attributes={"items": 3, "thread.id": 2})

    diff = compare(table(before), table(after))

    assert not diff
    assert [(e.op, e.key, e.counted, e.rule) for e in diff.edits] == [
        ("attr~", "thread.id", False, "volatile")
    ]
    assert diff.ignored == {"thread.id": 2}
    assert compare(table(before), table(after), options=DiffOptions(volatile_defaults=False))


def test_ignored_attributes_and_tolerated_numbers_do_not_count():
    after = changed(changed(shop(), "2", attributes={"items": 4}), "4", attributes={"amount": 12.6})

    assert [e[3] for e in edits(shop(), after, ignore_attributes=("it*",))] == ["amount"]
    assert [e[3] for e in edits(shop(), after, attributes={"amount": (0.2, 0.0)})] == ["items"]


def test_own_spans_take_part_only_where_asked_for():
    after = {**shop(), "9": span("9", "clnrm.step", "1", own=True)}

    assert edits(shop(), after) == []
    assert compare(table(shop()), table(after), options=DiffOptions(own_spans=True))


def test_a_canonical_form_serves_as_a_side():
    after = changed(shop(), "2", attributes={"items": 4})

    diff = compare(canonical(table(shop())), table(after))

    assert [edit.op for edit in diff.counted] == ["attr~"]
    assert diff.baseline_digest == trace_digest(table(shop()))


def test_a_canonical_form_of_another_format_is_refused():
    with pytest.raises(ValueError, match="clnrm-trace/1"):
        compare({"format": "clnrm-trace/9", "traces": []}, table(shop()))


def test_nothing_against_something_is_one_insert():
    ((op, *_, cost),) = edits({}, shop())

    assert (op, cost) == ("insert", 16)


def test_the_same_change_in_two_places_is_one_cause_with_an_id_for_each_edit():
    before = {**shop(), "9": span("9", "cart", "1", 9, attributes={"items": 3, "row": 1})}
    after = changed(changed(before, "2", attributes={"items": 4}), "9", attributes={"items": 4, "row": 1})

    diff = compare(table(before), table(after))

    assert len({edit.edit_id for edit in diff.counted}) == 2
    ((message, names),) = [(cause.message, cause.edits) for cause in diff.causes]
    assert message == "items: 3 → 4, in 2 places"
    assert set(names) == {edit.edit_id for edit in diff.counted}


def test_an_error_that_travels_up_is_one_cause():
    after = shop()
    for name in ("5", "4", "1"):
        after = changed(after, name, status_code="error", status_message=f"at {name}")

    diff = compare(table(shop()), table(after))

    assert len(diff.counted) == 3
    assert len(diff.causes) == 1


def test_every_edit_says_why_and_ids_are_those_of_the_format():
    diff = compare(table(shop()), table(changed(shop(), "2", attributes={"items": 4})))

    (document,) = diff.to_json("x")["edits"]

    assert list(document) == [
        "edit_id",
        "cause_id",
        "op",
        "path",
        "baseline_path",
        "key",
        "baseline",
        "current",
        "cost",
        "counted",
        "rule",
        "reason",
        "score",
        "runner_up",
    ]
    expected = ["attr~", CART, CART, "items", 3, 4]
    assert document["edit_id"] == "e" + sha256(orjson.dumps(expected)).hexdigest()[:12]
    assert document["rule"] == "label"
    assert "score" in document["reason"]


def test_spans_of_a_cycle_and_orphans_are_compared_and_reported():
    looped = changed(changed(shop(), "1", parent_span_id="2"), "6", parent_span_id="gone")

    diff = compare(table(looped), table(looped))

    assert diff.totals["same"] == 6
    assert any("cycle" in note for note in diff.notes)
    assert any("not in the trace" in note for note in diff.notes)


def test_a_chain_of_a_hundred_thousand_levels_is_compared_without_recursion():
    def chain(last):
        return SpanTable(
            span(f"{level:x}", "level", f"{level - 1:x}" if level else None, level)
            if level < 99_999
            else span(f"{level:x}", last, f"{level - 1:x}", level)
            for level in range(100_000)
        )

    diff = compare(chain("level"), chain("end"))

    assert [edit.op for edit in diff.counted] == ["rename"]
