"""The HTML tree of a diff: what differs stands open, what is the same is there to unfold."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser

from clnrm_nb.diff.compare import compare
from clnrm_nb.report.diffs import TraceDiff
from clnrm_nb.report.difftree import DEEPEST, Row, nested
from clnrm_nb.report.render import render_report
from clnrm_nb.spans.model import Span
from clnrm_nb.spans.table import SpanTable

VOID = {"meta", "br", "rect"}


class Folds(HTMLParser):
    """Which text stands in a closed ``<details>``, and how deep elements are nested; fails on what is unbalanced."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen, self.folded, self.deepest = "", "", 0
        self._open: list[tuple[str, bool]] = []
        self.feed(page)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # The end of an item of a list may be left out; so may those of rows and cells.
        if tag not in VOID and tag != "li":
            self._open.append((tag, tag == "details" and ("open", None) not in attrs))
        self.deepest = max(self.deepest, len(self._open))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        closed = [place for place, (_, is_closed) in enumerate(self._open) if is_closed]
        # Its own summary is seen, and no other.
        if closed and self._open[closed[0] + 1 :][:1] != [("summary", False)]:
            self.folded += data
        else:
            self.seen += data


def family(value: int) -> SpanTable:
    """A top, a changed child, and two that are the same, one of them with a child."""
    spans = [
        Span("t", "1", "top", start_ns=1),
        Span("t", "2", "changed one", "1", start_ns=2, attributes={"x": value}),
        Span("t", "3", "same one", "1", start_ns=3),
        Span("t", "4", "below same", "3", start_ns=4),
        Span("t", "5", "same two", "1", start_ns=5),
    ]
    return SpanTable(spans)


def test_a_file_has_what_is_the_same_folded_and_a_notebook_only_counts_it() -> None:
    old, new = family(1), family(2)
    diff = TraceDiff.of_tables(compare(old, new), old, new, names=("a", "b"))
    file, notebook = Folds(render_report(diff, "html")), Folds(diff.html())

    for page in (file, notebook):
        assert "changed one" in page.seen
        assert "… 3 unchanged" in page.seen
    assert "same one" not in file.seen
    assert all(name in file.folded for name in ("same one", "below same", "same two"))
    assert "same one" not in notebook.seen + notebook.folded


def test_what_is_unfolded_keeps_its_own_depth() -> None:
    old, new = family(1), family(2)
    diff = TraceDiff.of_tables(compare(old, new), old, new, names=("a", "b"))
    page = render_report(diff, "html")

    # The last of each: an edit names such a span as well, as the one that it is not.
    below = page[page.rindex("same one") : page.rindex("same two")]

    assert below.index("<ul>") < below.index("below same") < below.index("</ul>")


def test_a_cause_of_many_edits_is_folded_and_one_of_few_is_open() -> None:
    def trace(value: int, number: int) -> SpanTable:
        return SpanTable([Span("t", str(n), f"span {n}", attributes={"x": value}) for n in range(number)])

    for number, is_folded in ((4, False), (5, True)):
        old, new = trace(1, number), trace(2, number)
        page = Folds(TraceDiff.of_tables(compare(old, new), old, new, names=("a", "b")).html())
        assert f"x: 1 → 2, in {number} places" in page.seen
        assert ("attribute changed" in page.folded) == is_folded


def test_a_very_long_chain_is_no_deeper_than_a_browser_bears() -> None:
    def chain(value: int) -> SpanTable:
        last = {"x": value}
        spans = [
            Span("t", str(n), f"s{n}", str(n - 1) if n else None, attributes=last if n == 2_999 else {})
            for n in range(3_000)
        ]
        return SpanTable(spans)

    old, new = chain(1), chain(2)
    page = Folds(render_report(TraceDiff.of_tables(compare(old, new), old, new, names=("a", "b")), "html"))

    assert page.deepest < 3 * DEEPEST + 20
    assert "s2999" in page.seen


def test_a_file_shows_more_rows_than_a_notebook_bears(make_diff: Callable[..., TraceDiff]) -> None:
    """Files were cut at the rows of a notebook, 500."""
    page = render_report(make_diff(2_000, 700), "html")

    assert "showing" not in page
    assert page.count("changed</span>") + page.count("changed<br>") >= 700


def test_rows_that_do_not_fit_are_left_out_and_everything_is_closed() -> None:
    rows = [Row(level, "s", f"row {level}") for level in range(10)]

    shown, html = nested(rows, 400)

    assert 0 < shown < 10
    assert f"row {shown - 1}" in Folds(html).seen
    assert html.count("<ul>") == html.count("</ul>")
