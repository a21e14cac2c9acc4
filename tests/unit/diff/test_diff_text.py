"""What a person reads: the text tree and the Markdown form."""

from __future__ import annotations

from dataclasses import replace

from wcwidth import wcswidth

from clnrm_nb.diff import compare
from clnrm_nb.diff.text import tree
from clnrm_nb.spans.model import Resource, Span
from clnrm_nb.spans.table import SpanTable

API = Resource({"service.name": "api"})


def span(number, name, parent=None, **attributes):
    return Span(
        "t",
        str(number),
        name,
        parent_span_id=parent and str(parent),
        start_ns=number,
        resource=API,
        attributes=attributes,
    )


def before():
    return [
        span(1, "checkout"),
        span(2, "cart", 1, items=3),
        *(span(number, "read", 2, row=number) for number in range(3, 40)),
        span(40, "pay", 1),
        span(41, "mail", 40),
        span(42, "log", 1, level="info"),
    ]


def after():
    spans = {one.span_id: one for one in before()}
    spans["2"] = replace(spans["2"], attributes={"items": 4})
    spans["40"] = replace(spans["40"], name="charge")
    del spans["42"]
    # So unlike the one that went that it is no renamed one.
    spans["50"] = replace(span(50, "audit", 1, by="ada", at="noon"), kind="producer")
    return list(spans.values())


def diff():
    return compare(SpanTable(before()), SpanTable(after()))


def test_the_tree_shows_what_differs_and_folds_the_rest():
    assert tree(diff()).splitlines() == [
        "4 edits in 4 causes, cost 18  ✓ 39 same  ✏️ 1 changed  ➕ 1 added  ❌ 1 missing  ✎ 1 renamed",
        "└─ ✓  checkout [api]",
        "   ├─ ✏️ cart",
        "   │  │  items: 3 → 4",
        "   │  └─ … 37 unchanged",
        "   ├─ ✎  pay → charge",
        "   │  └─ … 1 unchanged",
        "   ├─ ➕ audit  added",
        "   └─ ❌ log  missing",
    ]


def test_the_tree_in_ascii_has_no_other_character():
    text = tree(diff(), ascii_only=True)

    assert text.isascii()
    assert "`- -  log  missing" in text
    assert "|- ~  cart" in text


def test_everything_is_shown_on_request():
    text = tree(diff(), only_diffs=False)

    assert text.count(" read") == 37
    assert "unchanged" not in text


def test_deeper_levels_are_a_count_that_says_how_many_differ():
    assert tree(diff(), max_depth=1).splitlines()[1:] == [
        "└─ ✓  checkout [api]",
        "   └─ … 42 deeper, 4 of them differ",
    ]


def test_no_line_is_wider_than_asked_for():
    wide = compare(
        SpanTable([span(1, "日本" * 40, x="✏️" * 50)]), SpanTable([span(1, "日本" * 40, x="y" * 300)])
    )

    assert all(wcswidth(line) <= 50 for line in tree(wide, width=50).splitlines())


def test_equal_traces_say_so():
    same = compare(SpanTable(before()), SpanTable(before()))

    assert tree(same).splitlines() == ["no difference  ✓ 42 same", "└─ … 42 unchanged"]


def test_control_characters_never_reach_the_terminal():
    hostile = compare(SpanTable([span(1, "a")]), SpanTable([span(1, "a"), span(2, "\x1b[31mred\n", 1)]))

    assert "\x1b" not in tree(hostile)
    assert len(tree(hostile).splitlines()) == 3


def test_an_edit_of_a_whole_trace_stands_above_the_tree():
    other = Resource({"service.name": "api-v2"})
    renamed = [replace(one, resource=other) for one in before()]

    lines = tree(compare(SpanTable(before()), SpanTable(renamed))).splitlines()

    assert lines[1] == "✏️ service: api → api-v2, on 42 spans"
    assert lines[-1] == "└─ … 42 unchanged"


def test_a_value_that_became_its_own_text_shows_both_types():
    one, text = (SpanTable([span(1, "a", user=value)]) for value in (1, "1"))

    assert 'user: 1 → "1"' in tree(compare(one, text))


def test_long_values_that_differ_behind_the_cut_show_where():
    short, long = (SpanTable([span(1, "a", note="x" * 80 + end)]) for end in ("old end", "new end"))

    text = tree(compare(short, long))

    assert "old end" in text
    assert "new end" in text
