from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from clnrm_nb.report.critical import path_of
from clnrm_nb.report.layout import Layout, Part
from clnrm_nb.spans.model import Span
from clnrm_nb.spans.table import SpanTable


def table_of(*spans: tuple[str, str | None, int, int]) -> SpanTable:
    return SpanTable(
        Span("t", name, name, parent_span_id=parent, start_ns=start, end_ns=end)
        for name, parent, start, end in spans
    )


def names(layout: Layout) -> list[str]:
    return [layout.table(place).name[layout.row[place]] for place in range(len(layout))]


def test_parents_come_before_children_and_siblings_by_start() -> None:
    table = table_of(
        ("late", "root", 30, 40), ("root", None, 0, 50), ("early", "root", 10, 20), ("in", "early", 11, 12)
    )

    layout = Layout([Part(None, table)])

    assert names(layout) == ["root", "early", "in", "late"]
    assert layout.depth == [0, 1, 2, 1]
    assert layout.parent == [-1, 0, 1, 0]


def test_a_span_whose_parent_is_missing_stands_at_the_margin() -> None:
    assert Layout([Part(None, table_of(("orphan", "gone", 0, 1)))]).depth == [0]


def test_parents_in_a_circle_are_shown_once_each() -> None:
    layout = Layout([Part(None, table_of(("a", "b", 2, 3), ("b", "a", 1, 3), ("self", "self", 0, 1)))])

    assert sorted(names(layout)) == ["a", "b", "self"]
    assert names(layout).index("b") < names(layout).index("a")


def test_a_chain_of_a_hundred_thousand_spans_is_laid_out() -> None:
    table = table_of(*((str(i), str(i - 1) if i else None, i, 200_000) for i in range(100_000)))

    assert Layout([Part(None, table)]).depth[-1] == 99_999


def test_tests_keep_their_order_and_their_own_clock() -> None:
    early, late = table_of(("a", None, 5, 9)), table_of(("b", None, 1_000, 1_001))

    layout = Layout([Part("x", late), Part("y", early)])

    assert names(layout) == ["b", "a"]
    assert [layout.offset_ns(place) for place in (0, 1)] == [0, 0]


def test_a_window_keeps_failed_spans_with_all_above_them(make_table: Callable[..., SpanTable]) -> None:
    layout = Layout([Part(None, make_table(5_000))])

    window = layout.window(500)

    errors = [place for place in range(len(layout)) if layout.is_error(place)]
    assert len(window) == 500
    assert len([place for place in errors if place in window]) >= 5
    assert all(layout.parent[place] == -1 or layout.parent[place] in set(window) for place in window)


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 100), st.integers(0, 100)), max_size=30),
    st.integers(0, 40),
)
def test_a_window_is_a_part_of_the_whole_and_closed_upwards(
    spans: list[tuple[int, int, int]], limit: int
) -> None:
    table = table_of(
        *((str(i), str(parent), start, start + length) for i, (parent, start, length) in enumerate(spans))
    )
    layout = Layout([Part(None, table)])

    window = layout.window(limit)

    assert window == sorted(set(window))
    assert len(window) == min(limit, len(layout))
    assert sorted(layout.row) == list(range(len(table)))
    assert all(layout.parent[place] in {-1, *window} for place in window)


def test_the_critical_path_is_what_the_end_waited_for() -> None:
    table = table_of(
        ("root", None, 0, 100),
        ("fast", "root", 10, 20),
        ("slow", "root", 10, 60),
        ("inner", "slow", 50, 55),
        ("last", "root", 70, 100),
    )

    spent = {table.name[row]: ns for _, row, ns in path_of(table)}

    assert spent == {"root": 20, "slow": 45, "inner": 5, "last": 30}


@given(
    st.lists(st.tuples(st.integers(-1, 12), st.integers(0, 50), st.integers(0, 60)), min_size=1, max_size=12),
)
def test_a_critical_path_adds_up_to_the_duration_of_its_root(spans: list[tuple[int, int, int]]) -> None:
    table = table_of(
        ("root", None, 0, 100),
        *(
            (f"s{i}", f"s{parent}" if 0 <= parent < i else "root", start, start + length)
            for i, (parent, start, length) in enumerate(spans)
        ),
    )

    path = path_of(table)

    assert sum(ns for _, _, ns in path) == 100
    assert all(ns >= 0 for _, _, ns in path)
