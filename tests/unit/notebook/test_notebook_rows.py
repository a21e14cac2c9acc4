"""Rows of a diff as a view draws them: where the baseline's side stands, and what each side has."""

import pytest

from clnrm_nb.diff import compare
from clnrm_nb.notebook.views.rows import rows_of
from clnrm_nb.report.difflayout import Compared
from clnrm_nb.report.diffs import TraceDiff
from clnrm_nb.spans.model import Span
from clnrm_nb.spans.table import SpanTable

MS = 1_000_000


def rows(old, new):
    diff = TraceDiff([Compared("x", None, "changed", compare(old, new), old, new)])
    found = rows_of(diff)
    return found, {row.name: row for row in map(found.row, range(len(found)))}


@pytest.fixture
def accepted():
    """As accepted traces are: without times."""
    return SpanTable([Span("t", "1", "top"), Span("t", "2", "stays", "1"), Span("t", "3", "gone", "1")])


@pytest.fixture
def current():
    return SpanTable(
        [
            Span("t", "1", "top", start_ns=0, end_ns=8 * MS),
            Span("t", "2", "stays", "1", start_ns=2 * MS, end_ns=5 * MS),
            # Unlike the span that is gone in so much that it is no new name for it.
            Span("t", "3", "comes", "1", "client", 6 * MS, 7 * MS, attributes={"new": True, "x": 1, "y": 2}),
        ]
    )


def test_baseline_without_times_is_drawn_where_the_run_is_and_says_so(accepted, current):
    found, by_name = rows(accepted, current)

    assert by_name["stays"].baseline_ms == (2.0, 3.0)
    assert "hold no times" in found.legend


def test_missing_span_is_a_hollow_row_along_its_parent(accepted, current):
    _, by_name = rows(accepted, current)

    assert by_name["gone"].is_hollow
    assert (by_name["gone"].start_ms, by_name["gone"].duration_ms) == (0.0, 8.0)


def test_added_span_has_no_frame(accepted, current):
    _, by_name = rows(accepted, current)

    assert by_name["comes"].baseline_ms is None
    assert not by_name["comes"].is_hollow


def test_baseline_with_times_is_drawn_at_its_own(current):
    old = SpanTable(
        [
            Span("t", "1", "top", start_ns=100 * MS, end_ns=120 * MS),
            Span("t", "2", "stays", "1", start_ns=110 * MS, end_ns=111 * MS),
        ]
    )

    found, by_name = rows(old, current)

    assert by_name["stays"].baseline_ms == (10.0, 1.0)
    assert "hold no times" not in found.legend
