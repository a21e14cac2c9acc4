"""What edits say of the spans they could have been: the questions a reviewer has."""

from __future__ import annotations

import pytest

from clnrm_nb.diff import compare
from clnrm_nb.report.difflayout import Compared
from clnrm_nb.report.diffmask import masked
from clnrm_nb.spans.model import Resource, Span
from clnrm_nb.spans.table import SpanTable

SHOP = Resource({"service.name": "shop"})


def span(span_id, name, parent=None, **attributes):
    start = int(span_id, 36)
    values = {"parent_span_id": parent, "start_ns": start, "end_ns": start + 1}
    return Span("t", span_id, name, attributes=attributes, resource=SHOP, **values)


def edit_of(before, after, op):
    (edit,) = [edit for edit in compare(SpanTable(before), SpanTable(after)).edits if edit.op == op]
    return edit


def test_a_new_span_says_what_it_is_no_rename_of_and_what_that_would_have_cost():
    before = [span("1", "buy"), span("2", "load cart", "1", items=3, user="ada", shop=1)]
    after = [span("1", "buy"), span("2", "send mail", "1", to="bob", by="smtp", size=9)]

    new = edit_of(before, after, "insert")

    assert (new.runner_up.path, new.runner_up.is_free) == ("buy/load cart", True)
    # A rename and six attributes, for a span that came and one that went.
    assert (new.score, new.runner_up.cost) == (0, 4 + 6 * 2)
    assert "nearest is load cart, score" in new.reason
    assert "as one they cost 16, apart 12" in new.reason


def test_a_missing_span_says_which_one_of_the_run_is_like_it_and_has_a_partner():
    before = [span("1", "buy"), span("2", "get", "1", page=1), span("3", "get", "1", page=2)]
    after = before[:2]

    gone = edit_of(before, after, "delete")

    assert (gone.runner_up.path, gone.runner_up.is_free) == ("buy/get", False)
    assert "which has its own partner" in gone.reason


def test_a_span_that_changed_names_the_next_best():
    before = [span("1", "buy"), span("2", "get", "1", page=1, size=5), span("3", "get", "1", page=2, size=9)]
    after = [*before[:2], span("3", "get", "1", page=2, size=7)]

    changed = edit_of(before, after, "attr~")

    assert changed.score > changed.runner_up.score
    assert changed.reason.startswith(f"paired by {changed.rule}, score {changed.score:.2f}; next best get ")


@pytest.mark.parametrize(
    ("op", "said"), [("wrap", "new, with 2 moved into it"), ("unwrap", "missing, with 2 moved out of it")]
)
def test_a_span_between_says_what_it_would_cost_otherwise(op, said):
    flat = [span("1", "buy"), span("2", "get", "1", page=1), span("3", "put", "1", page=2)]
    deep = [
        span("1", "buy"),
        span("9", "retry", "1"),
        *(span(s, n, "9", page=p) for s, n, p in (("2", "get", 1), ("3", "put", 2))),
    ]
    sides = (flat, deep) if op == "wrap" else (deep, flat)

    between = edit_of(*sides, op)

    assert f"{said}, it would cost {6 + 2 * 6}" in between.reason


def test_what_has_nothing_like_it_says_so():
    new = edit_of([], [span("1", "buy")], "insert")

    assert new.runner_up is None
    assert "no other candidate" in new.reason


def test_a_change_of_all_spans_is_not_compared_with_other_spans():
    before = [span("1", "buy"), span("2", "get", "1", key=1), span("3", "put", "1", key=2)]
    after = [
        span(
            one.span_id,
            one.name,
            one.parent_span_id,
            **{"key.new" if k == "key" else k: v for k, v in one.attributes.items()},
        )
        for one in before
    ]

    (renamed,) = compare(SpanTable(before), SpanTable(after)).edits

    assert (renamed.score, renamed.runner_up) == (1, None)


def test_secrets_are_masked_in_the_path_of_a_runner_up():
    before = [span("1", "buy"), span("2", "load s3cret", "1", a=1, b=2, c=3)]
    after = [span("1", "buy"), span("2", "send mail", "1", d=1, e=2, f=3)]
    diff = compare(SpanTable(before), SpanTable(after))

    shown = masked(Compared("x", diff=diff), lambda text: text.replace("s3cret", "•••"))

    assert "s3cret" not in str([edit.to_json() for edit in shown.diff.edits])


def test_a_span_of_another_kind_is_told_as_the_nearest_one():
    """Where there was any span of the same label, those of the same name were not looked at."""

    def load(span_id, kind, parent, **attributes):
        return Span(
            "t", span_id, "load", parent_span_id=parent, kind=kind, attributes=attributes, resource=SHOP
        )

    before = [span("1", "buy"), load("4", "client", "1", item=7), span("2", "pack", "1")]
    before.append(load("3", "server", "2", page=1, size=2))

    new = edit_of(before, [*before, load("5", "server", "1", item=7)], "insert")

    assert new.runner_up.path == "buy/load"


def test_a_partner_is_not_told_to_be_less_alike_than_the_next_best_without_a_word():
    """``score 0.11; next best load bill 0.92`` looked like a mistake; its name did not count for a partner."""
    before = [span("1", "buy"), span("2", "load cart", "1", a=1, b=2), span("3", "pack", "2", k=1)]
    kept = [span("4", "load bill", "1", a=9, b=9, c=1), span("5", "send", "4", k=2)]
    after = [span("1", "buy"), span("2", "load cart", "1", a=9, b=9, c=1), span("6", "send", "2", k=2)]

    more = edit_of(before + kept, after + kept, "attr+")

    assert more.score > 0.5
    assert "more alike is load bill 0.92, which has its own partner" in more.reason
