"""Exact repair: what is conflicted is explained for the least cost, and each edit says whether that is proved."""

from __future__ import annotations

from itertools import combinations, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clnrm_nb.diff import compare
from clnrm_nb.diff.compare import diff_of
from clnrm_nb.diff.compare import given as given_pairing
from clnrm_nb.diff.interner import Interner
from clnrm_nb.diff.options import DiffOptions
from clnrm_nb.diff.reading import from_table
from clnrm_nb.spans.model import Resource, Span
from clnrm_nb.spans.table import SpanTable

API = Resource({"service.name": "api"})


def span(number, name, parent=None, kind="internal", **attributes):
    return Span(
        "t",
        str(number),
        name,
        parent_span_id=None if parent is None else str(parent),
        kind=kind,
        start_ns=number,
        resource=API,
        attributes=attributes,
    )


def ops(before, after):
    return sorted(edit.op for edit in compare(SpanTable(before), SpanTable(after)).counted)


def least_of_all(before, after):
    """The least cost over every mapping there is, each priced by the product's own script of it."""
    interner = Interner()
    a, b = from_table(SpanTable(before), interner), from_table(SpanTable(after), interner)
    found = []
    for size in range(min(a.n, b.n) + 1):
        for here in combinations(range(a.n), size):
            for there in permutations(range(b.n), size):
                forth, back = [-1] * a.n, [-1] * b.n
                for i, j in zip(here, there, strict=True):
                    forth[i], back[j] = j, i
                pairing = given_pairing(forth, back)
                found.append(diff_of(a, b, options=DiffOptions(), pairing=pairing).cost)
    return min(found)


@st.composite
def tiny(draw):
    size = draw(st.integers(1, 4))
    return [
        span(
            number,
            draw(st.sampled_from("ab")),
            None if (above := draw(st.integers(-1, number - 1))) < 0 else above,
            **draw(st.dictionaries(st.sampled_from("xy"), st.integers(0, 1), max_size=2)),
        )
        for number in range(size)
    ]


@settings(max_examples=25, deadline=None)
@given(tiny(), tiny())
def test_no_mapping_of_two_tiny_traces_costs_less_than_the_diff(before, after):
    assert compare(SpanTable(before), SpanTable(after)).cost == least_of_all(before, after)


def test_a_span_of_another_kind_that_moved_is_one_moved_and_changed():
    # It was deleted and inserted: moved spans were looked for by label, and the kind is part of it.
    before = [span(0, "top"), span(1, "left", 0), span(2, "right", 0), span(3, "call", 1, "client", x=1)]
    after = [*before[:3], span(3, "call", 2, "consumer", x=1)]

    assert ops(before, after) == ["kind", "move"]


def test_a_renamed_child_of_a_span_that_went_is_an_unwrap_and_a_rename():
    # Both were deleted and the child inserted: renames were looked for below paired parents only.
    before = [span(0, "top"), span(1, "between", 0), span(2, "cart", 1, x=1), span(3, "keep", 0)]
    after = [span(0, "top"), span(2, "basket", 0, x=1), span(3, "keep", 0)]

    assert ops(before, after) == ["rename", "unwrap"]


def test_two_neighbours_in_a_chain_that_changed_their_labels_are_not_unwrapped_and_wrapped():
    before = [span(n, "step", n - 1 if n else None, n=n) for n in range(6)]
    after = list(before)
    after[3] = span(3, "other", 2, n=3)
    after[4] = span(4, "step", 3, "consumer", n=4)

    assert ops(before, after) == ["kind", "rename"]


def test_identical_siblings_of_which_one_changed_and_one_came_keep_their_own():
    # The changed one was taken for a sibling's copy, which then was an insert too.
    before = [span(0, "job"), *(span(1 + n, "call", 0, to=n // 3) for n in range(9))]
    after = [*before[:1], span(1, "call", 0, to=0, slow=True), *before[2:], span(20, "call", 0, to=2)]

    assert ops(before, after) == ["attr+", "count"]


def test_a_value_that_went_from_one_sibling_is_not_handed_on_along_the_row():
    # Siblings were shifted by one: the lost value here, a changed one there.
    before = [span(0, "batch"), *(span(n, "item", 0, id=f"i{n}", of="batch") for n in range(1, 15))]
    after = list(before)
    after[4] = span(4, "item", 0, of="batch")
    after[9] = span(9, "item", 0, "consumer", id="i9", of="batch")

    assert ops(before, after) == ["attr-", "kind"]


def test_three_spans_between_that_hold_one_are_inserted_and_it_moves_there():
    before = [span(0, "top"), span(1, "leaf", 0, a=1, b=2, c=3, d=4)]
    after = [
        span(0, "top"),
        *(span(n, f"layer {n}", n - 1 if n > 10 else 0) for n in range(10, 13)),
        span(1, "leaf", 12, a=1, b=2, c=3, d=4),
    ]

    diff = compare(SpanTable(before), SpanTable(after))

    assert sorted(edit.op for edit in diff.counted) == ["insert", "move"]
    assert diff.cost == 16


def test_larger_subtrees_of_one_label_are_not_mixed_up():
    # A renamed span inside one of two equal requests made it look more like a third one.
    def request(first, parent, *names, n):
        head = span(first, "request", parent, n=n)
        return [head, *(span(first + 1 + k, name, first + k, n=n) for k, name in enumerate(names))]

    long = ("handle", "query", "cache", "read", "write")
    before = [span(0, "session")]
    for k in range(3):
        before += request(10 + 10 * k, 0, *long, n=0)
    for k in range(3):
        before += request(50 + 10 * k, 0, *long[:3], n=0)
    after = [one for one in before if not 50 <= int(one.span_id) < 60]
    after = [span(13, "caches", 12, n=0) if one.span_id == "13" else one for one in after]

    assert ops(before, after) == ["count", "rename"]


@pytest.mark.parametrize("size", [4, 11])
def test_edits_of_a_small_trace_say_that_they_are_proved(size):
    before = [span(n, "a" if n else "top", 0 if n else None, n=n) for n in range(size)]
    after = [*before[:-1], span(size - 1, "b", 0, n=size - 1)]

    (edit,) = compare(SpanTable(before), SpanTable(after)).counted

    assert edit.reason.endswith("; proved minimal")


def test_conflicted_spans_of_a_large_trace_say_that_they_are_proved():
    before = [span(0, "top"), *(span(n, f"s{n}", 0, n=n) for n in range(1, 60))]
    before += [span(100, "between", 5), span(101, "cart", 100, x=1)]
    after = [*before[:-2], span(101, "basket", 5, x=1)]

    diff = compare(SpanTable(before), SpanTable(after))

    assert sorted(edit.op for edit in diff.counted) == ["rename", "unwrap"]
    assert all("proved" in edit.reason for edit in diff.counted)


def test_a_group_of_many_siblings_with_one_change_is_one_edit():
    before = [span(0, "batch"), *(span(n, "item", 0, id=n) for n in range(1, 400))]
    after = [*before[:200], span(200, "item", 0, "client", id=200), *before[201:]]

    assert ops(before, after) == ["kind"]
