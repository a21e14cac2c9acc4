"""What one decision settles: every kind of group of ``diff.md`` 5."""

from __future__ import annotations

from dataclasses import replace

from clnrm_nb.diff import compare
from clnrm_nb.diff.causes import failed_first
from clnrm_nb.spans.model import Event, Resource, Scope, Span
from clnrm_nb.spans.table import SpanTable

API, CART = Resource({"service.name": "api"}), Resource({"service.name": "cart"})


def span(number, name, parent=None, **values):
    values.setdefault("resource", API)
    return Span("t", str(number), name, parent_span_id=parent and str(parent), start_ns=number, **values)


def shop():
    """A request over two services; each of three carts reads two rows."""
    spans = [span(1, "checkout", kind="server")]
    for cart in (10, 20, 30):
        spans.append(span(cart, "cart", 1, attributes={"cart": cart}, resource=CART))
        spans += [
            span(cart + row, "read", cart, attributes={"row": cart + row, "db": "a"}, resource=CART)
            for row in (1, 2)
        ]
    return {one.span_id: one for one in spans}


def causes(before, after):
    found = compare(SpanTable(list(before.values())), SpanTable(list(after.values())))
    return [(cause.message, len(cause.edits)) for cause in found.causes if cause.counted]


def with_attributes(spans, **values):
    return {
        name: replace(one, attributes={**one.attributes, **values}) if one.name == "read" else one
        for name, one in spans.items()
    }


def test_the_same_change_on_many_spans_is_one_cause():
    assert causes(shop(), with_attributes(shop(), db="b")) == [("db: a → b, in 6 places", 6)]


def test_the_same_change_in_two_services_is_one_cause():
    before, after = (
        {
            "1": span(1, "a", attributes={"n": value, "x": "api"}),
            "2": span(2, "b", 1, attributes={"n": value, "x": "cart"}, resource=CART),
        }
        for value in (1, 2)
    )

    assert causes(before, after) == [("n: 1 → 2, in 2 places", 2)]


def test_a_value_that_differs_in_its_literals_only_is_one_cause():
    before, after = (
        {
            str(number): span(number, f"s{number}", attributes={"url": f"/v{version}/item/{number}"})
            for number in range(1, 5)
        }
        for version in (1, 2)
    )

    ((message, size),) = causes(before, after)

    assert size == 4
    assert message.endswith("in 4 places")


def test_a_key_renamed_everywhere_is_one_cause_of_one_edit():
    after = {
        name: replace(
            one,
            attributes={"db.system" if key == "db" else key: value for key, value in one.attributes.items()},
        )
        for name, one in shop().items()
    }

    assert causes(shop(), after) == [("attribute db → db.system, on 6 spans", 1)]


def test_a_key_renamed_on_some_spans_is_one_cause_in_as_many_places_as_spans():
    after = shop()
    for name in ("11", "21"):
        attributes = dict(after[name].attributes)
        attributes["db.system"] = attributes.pop("db")
        after[name] = replace(after[name], attributes=attributes)

    assert causes(shop(), after) == [("attribute db → db.system, value kept, in 2 places", 4)]


def test_one_resource_change_is_one_cause_whatever_the_number_of_spans():
    newer = Resource({"service.name": "cart", "service.version": "2"})
    after = {
        name: replace(one, resource=newer) if one.resource is CART else one for name, one in shop().items()
    }

    assert causes(shop(), after) == [("resource service.version is new: 2, on 9 spans", 1)]


def test_a_renamed_service_is_one_cause():
    basket = Resource({"service.name": "basket"})
    after = {
        name: replace(one, resource=basket) if one.resource is CART else one for name, one in shop().items()
    }

    assert causes(shop(), after) == [("service: cart → basket, on 9 spans", 1)]


def test_a_new_instrumentation_scope_is_one_cause_wherever_its_spans_are():
    after = shop()
    redis = Scope("redis")
    after["90"] = span(90, "PING", 1, scope=redis)
    after["91"] = span(91, "GET", 10, scope=redis, resource=CART)
    after["92"] = span(92, "SET", 11, scope=redis, resource=CART)

    assert causes(shop(), after) == [('scope "redis" is new, in 3 places', 3)]
    assert causes(after, shop()) == [('scope "redis" is gone, in 3 places', 3)]


def failing(spans, *names):
    return {
        name: replace(
            one,
            status_code="error",
            status_message=f"at {name}",
            events=(Event("exception", None, {"exception.message": f"at {name}"}),),
        )
        if name in names
        else one
        for name, one in spans.items()
    }


def test_an_error_that_travels_up_is_the_cause_of_the_deepest_span_with_its_message():
    ((message, size),) = causes(shop(), failing(shop(), "1", "10", "11"))

    assert message == "error in read (at 11) and its 2 callers, in 3 places"
    assert size == 6


def test_an_error_reaches_callers_above_one_that_hides_it():
    ((message, size),) = causes(shop(), failing(shop(), "1", "11"))

    assert message == "error in read (at 11) and its 1 caller, in 2 places"
    assert size == 4


def test_errors_of_two_branches_that_meet_are_told_of_one_of_them_and_do_not_get_lost():
    found = causes(shop(), failing(shop(), "1", "11", "21"))

    assert sum(size for _, size in found) == 6
    assert any("callers" in message or "caller" in message for message, _ in found)


def test_a_subtree_repeated_under_every_instance_of_one_parent_is_one_cause():
    after = shop()
    for cart in (10, 20, 30):
        after[str(cart + 5)] = span(cart + 5, "audit", cart, attributes={"n": cart}, resource=CART)

    assert causes(shop(), after) == [("new: audit (1 span), under every cart", 3)]

    del after["15"]
    assert causes(shop(), after) == [("new: audit (1 span), under 2 of 3 cart", 2)]


def test_count_changes_of_one_label_are_one_cause_and_those_of_another_are_not():
    def trace(reads, writes):
        spans = {"1": span(1, "root")}
        for number, copies in enumerate(reads):
            spans[f"p{number}"] = Span("t", f"p{number}", f"page {number}", "1", resource=API)
            for copy in range(copies):
                spans[f"r{number}{copy}"] = Span("t", f"r{number}{copy}", "read", f"p{number}", resource=API)
        for copy in range(writes):
            spans[f"w{copy}"] = Span("t", f"w{copy}", "write", "1", resource=API)
        return spans

    found = causes(trace([2, 3], 2), trace([3, 5], 3))

    assert sorted(size for _, size in found) == [1, 2]
    assert any("write" in message for message, size in found if size == 1)
    assert any("read" in message for message, size in found if size == 2)


def test_a_generated_id_in_several_places_is_one_cause():
    def trace(order):
        return {
            "1": span(1, f"GET /orders/{order}", attributes={"order.id": order}),
            "2": span(2, "load", 1, attributes={"url.full": f"http://db/orders/{order}?x=1", "n": 1}),
            "3": span(3, "send", 1, status_code="error", status_message=f"no mail for {order}"),
        }

    ((message, size),) = causes(trace("ord-8f3a77b1"), trace("ord-55c0d2e9"))

    assert message == "same new value ord-55c0d2e9, in 3 places"
    assert size == 4


def test_short_values_that_are_equal_by_chance_stay_apart():
    before = {"1": span(1, "a", attributes={"x": 1, "y": 1})}
    after = {"1": span(1, "a", attributes={"x": 2, "y": 2})}

    assert len(causes(before, after)) == 2


def test_the_dearest_cause_comes_first():
    after = with_attributes(shop(), db="b")
    after["90"] = span(90, "late", 1)

    assert [size for _, size in causes(shop(), after)] == [6, 1]


def test_a_cause_can_be_decided_by_its_id():
    after = failing(shop(), "1", "10", "11")
    found = compare(SpanTable(list(shop().values())), SpanTable(list(after.values())))
    (cause,) = found.causes

    assert {edit.edit_id for edit in found.closure([cause.cause_id])} == set(cause.edits)


def test_what_differs_where_an_expectation_failed_comes_first():
    after = with_attributes(shop(), db="b")
    after["90"] = span(90, "late", 1)
    found = compare(SpanTable(list(shop().values())), SpanTable(list(after.values())))
    (late,) = (edit for edit in found.edits if edit.op == "insert")

    first = failed_first(found, {late.edit_id})

    assert [cause.cause_id for cause in first.causes] == [cause.cause_id for cause in found.causes][::-1]
    assert first.edits[0] == late
    assert len(first.edits) == len(found.edits)
    assert failed_first(found, set()) == found
