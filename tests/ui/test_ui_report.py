"""A diff in an HTML file: unfolded by keyboard, on narrow pages, in both themes, and on paper."""

from __future__ import annotations

import pytest

from clnrm_nb.diff.compare import compare
from clnrm_nb.report.diffs import Compared, TraceDiff
from clnrm_nb.report.render import render_report
from clnrm_nb.spans.model import Resource, Span
from clnrm_nb.spans.table import SpanTable

pytestmark = pytest.mark.browser

TEST = "tests/a-directory-with-a-name/shop-of-the-north-east.clnrm.toml"


def _table(rows: int) -> SpanTable:
    shop = Resource({"service.name": "shop"})
    top = Span("t", "0", "POST /orders", start_ns=0, end_ns=90, resource=shop)
    spans = [
        Span("t", str(n), f"SELECT stock {n}", "0", start_ns=n, end_ns=n + 9, attributes={"rows": 2})
        for n in range(1, 40)
    ]
    spans[0] = Span("t", "1", "SELECT stock 1", "0", start_ns=1, end_ns=9, attributes={"rows": rows})
    return SpanTable([top, *spans])


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    old, new = _table(2), _table(3)
    part = Compared(TEST, "buys a lot", "changed", compare(old, new), old, new, "CLN704", version=3)
    file = tmp_path_factory.mktemp("report") / "diff.html"
    file.write_text(render_report(TraceDiff([part]), "html"), encoding="utf-8")
    return file.as_uri()


@pytest.fixture
def open_page(chromium, report):
    contexts = []

    def opened(**options):
        contexts.append(chromium.new_context(**options))
        page = contexts[-1].new_page()
        page.goto(report)
        return page

    yield opened
    for context in contexts:
        context.close()


def _unchanged(page):
    return page.locator("text=SELECT stock 30")


def test_what_is_unchanged_is_unfolded_with_the_keyboard_and_folded_again(open_page):
    page = open_page()
    assert not _unchanged(page).is_visible()

    for _ in range(20):
        page.keyboard.press("Tab")
        if "unchanged" in page.evaluate("document.activeElement.textContent"):
            break
    assert page.evaluate("document.activeElement.textContent").endswith("… 38 unchanged")
    page.keyboard.press("Enter")

    assert _unchanged(page).is_visible()
    page.keyboard.press("Space")
    assert not _unchanged(page).is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_paper_shows_everything_black_on_white(open_page, scheme):
    page = open_page(color_scheme=scheme)
    page.emulate_media(media="print", color_scheme=scheme)

    assert _unchanged(page).is_visible()
    inks = page.evaluate(
        "[...new Set([...document.querySelectorAll('main *:not(style)')].map(one => getComputedStyle(one).color))]"
    )
    assert inks == ["rgb(0, 0, 0)"]
    grounds = page.evaluate("getComputedStyle(document.documentElement).colorScheme")
    assert grounds == "light"


@pytest.mark.parametrize("width", [320, 420, 1_200])
def test_nothing_is_wider_than_the_page(open_page, width):
    page = open_page(viewport={"width": width, "height": 800})

    page.locator("summary:has-text('unchanged')").click()

    assert page.evaluate("document.documentElement.scrollWidth") <= width
