"""What a person reads: the text tree and the Markdown form."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
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
        "   │  │  ~ items  3 → 4",
        "   │  └─ … 37 unchanged",
        "   ├─ ✎  pay → charge",
        "   │  └─ … 1 unchanged",
        "   ├─ ➕ audit  added",
        "   └─ ❌ log  missing",
        f"certified: the edits turn {diff().baseline_digest[:19]} into {diff().trace_digest[:19]}",
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
    assert tree(diff(), max_depth=1).splitlines()[1:3] == [
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
    assert len(tree(hostile).splitlines()) == 4


def test_an_edit_of_a_whole_trace_stands_above_the_tree():
    other = Resource({"service.name": "api-v2"})
    renamed = [replace(one, resource=other) for one in before()]

    lines = tree(compare(SpanTable(before()), SpanTable(renamed))).splitlines()

    assert lines[1] == "✏️ service: api → api-v2, on 42 spans"
    assert lines[2] == "└─ … 42 changed only as said above"


def test_a_value_that_became_its_own_text_shows_both_types():
    one, text = (SpanTable([span(1, "a", user=value)]) for value in (1, "1"))

    assert 'user  1 → "1"' in tree(compare(one, text))


def test_long_values_that_differ_behind_the_cut_show_where():
    short, long = (SpanTable([span(1, "a", note="x" * 80 + end)]) for end in ("old end", "new end"))

    text = tree(compare(short, long))

    assert "old end" in text
    assert "new end" in text


@given(
    st.lists(st.sampled_from(["load", "日本語 query", "a" * 90, "naïve", "GET /x"]), min_size=1, max_size=8),
    st.sampled_from([20, 40, 80, 120]),
    st.booleans(),
    st.booleans(),
)
def test_no_line_is_wider_than_any_width_whatever_the_names(names, width, only_diffs, ascii_only):
    old = [
        span(number, name, number - 1 or None, value=f"{name} {number}") for number, name in enumerate(names)
    ]
    new = [span(number, name, number - 1 or None, value=f"{name} new") for number, name in enumerate(names)]
    found = compare(SpanTable(old), SpanTable([*new, span(99, names[0], 1)]))

    text = tree(found, width=width, max_depth=99, only_diffs=only_diffs, ascii_only=ascii_only)

    assert all(wcswidth(line) <= width for line in text.splitlines())


@given(st.lists(st.sampled_from(["load", "query", "GET /x"]), min_size=2, max_size=8), st.booleans())
def test_what_is_drawn_in_ascii_is_ascii(names, only_diffs):
    old = [span(number, name, number - 1 or None, a=1, b=number) for number, name in enumerate(names, 1)]
    moved = {one.span_id: one for one in old}
    moved["1"] = replace(moved["1"], name="other", attributes={"a": "x" * 200, "c": 1})
    found = compare(SpanTable(old), SpanTable([*moved.values(), span(99, names[-1], 1, b=7)]))

    assert tree(found, only_diffs=only_diffs, ascii_only=True).isascii()


def test_a_chain_of_a_hundred_levels_stays_readable():
    old = [span(number, f"level {number}", number - 1 or None, ok=1) for number in range(1, 101)]
    new = [*old[:-1], span(100, "level 100", 99, ok=2)]

    lines = tree(compare(SpanTable(old), SpanTable(new)), max_depth=1000, width=80).splitlines()

    assert lines[-3].endswith("└─ ✏️ level 100")
    assert lines[-3].startswith("…")
    assert lines[-2].endswith("~ ok  1 → 2")


def test_a_moved_span_says_where_it_was():
    old = [
        span(1, "a"),
        span(2, "b", 1),
        span(3, "c", 1),
        span(4, "d", 2, x=1),
        span(5, "e", 4),
        span(6, "f", 4),
    ]
    new = [*old[:3], span(4, "d", 3, x=1), *old[4:]]

    assert "↦  d  moved from a/b" in tree(compare(SpanTable(old), SpanTable(new)))


def test_copies_of_a_span_are_one_row_with_their_number():
    old = [span(1, "a"), span(2, "retry", 1), span(3, "retry", 1)]
    new = [*old, *(span(number, "retry", 1) for number in range(4, 9))]
    found = compare(SpanTable(old), SpanTable(new))

    assert tree(found).count("⟳ ×2 → ×7") == 1
    assert tree(found, ascii_only=True).count("x2>x7") == 1
    assert tree(found, only_diffs=False).count("⟳ ×2 → ×7") == 5


def test_values_of_the_edits_of_a_span_stand_below_each_other():
    old, new = [span(1, "a", x=1, longer=1)], [span(1, "a", x=2, longer=2)]
    lines = tree(compare(SpanTable(old), SpanTable(new))).splitlines()

    assert [line.index("→") for line in lines if "→" in line] == [18, 18]


def test_a_large_value_shows_only_what_changed_in_it():
    old = [span(1, "a", tags={"list": list(range(60)), "mode": "fast", "user": "ada"})]
    new = [span(1, "a", tags={"list": list(range(60)), "mode": "slow", "user": "ada"})]

    assert "tags  .mode fast → slow" in tree(compare(SpanTable(old), SpanTable(new)))


def test_arrows_in_the_names_of_spans_survive_ascii_signs():
    old, new = [span(1, "a → b", x=1)], [span(1, "a → b", x=2)]

    assert "a → b" in tree(compare(SpanTable(old), SpanTable(new)), ascii_only=True)


def test_of_a_value_of_megabytes_the_part_that_differs_is_shown():
    big = "é" * 2_000_000
    old, new = (SpanTable([span(1, "a", body=f"{big} {end}")]) for end in ("old", "new"))
    found = compare(old, new)

    lines = tree(found).splitlines()

    assert "old → …" in lines[2]
    assert lines[2].endswith("new")
