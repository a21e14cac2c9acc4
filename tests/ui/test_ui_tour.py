"""The tour in a real JupyterLab in a real browser: what a person sees after "Run All Cells"."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

TOUR = Path(__file__).parents[2] / "notebooks" / "00-tour.ipynb"


def test_tour_runs_from_top_to_bottom_and_shows_what_it_promises(visit):
    shutil.copyfile(TOUR, visit.directory / TOUR.name)
    visit.open(TOUR.name)

    visit.run_all()

    page = visit.page
    page.set_viewport_size({"width": 1280, "height": 5000})
    text = page.locator(".jp-Notebook").first.inner_text()
    page.locator(".jp-WindowedPanel-outer").first.evaluate("panel => panel.scrollTo(0, 0)")
    visit.picture("tour")
    prompts = page.locator(".jp-CodeCell .jp-InputPrompt").all_inner_texts()
    assert all(re.fullmatch(r"\[\d+\]:", prompt) for prompt in prompts), text
    assert page.locator(".jp-RenderedHTMLCommon table.dataframe").count() >= 4
    assert "take from shelf" in text
    assert "POST /orders" in text
    assert "hermeticity.no_external_services" in text
    assert page.locator(".js-plotly-plot .barlayer .point").count() == 11
    assert visit.own_errors() == []
