"""``BaselineBlame``: lines folded where the same decisions made them, in any width, with all of it in the frame."""

from __future__ import annotations

import pytest

from clnrm_nb.report.blame import BaselineBlame
from clnrm_nb.report.lines import to_plain
from clnrm_nb.report.render import render_report
from clnrm_nb.report.signs import ASCII

FIRST = {
    "decision": "a" * 64,
    "version": 1,
    "action": "accept",
    "at": "2025-01-01T00:00:00Z",
    "by": "ada <a@b>",
}
SECOND = {**FIRST, "decision": "b" * 64, "version": 2, "by": "bob", "at": "2025-02-01T00:00:00Z"}
CAUSE = {"cause_id": "c123456789ab", "message": "http.method → http.request.method"}


def row(line, path, part="", by=FIRST, **more):
    known = {
        "line": line,
        "kind": "span",
        "path": path,
        "part": part,
        "certain": True,
        "edits": [],
        "causes": [],
    }
    return {**known, "reason": "first" if by is FIRST else "conventions", **(by or {}), **more}


def decisions():
    return [
        {**one, "hash": one["decision"], "edits": [], "causes": [], "reason": "why"}
        for one in (FIRST, SECOND)
    ]


@pytest.fixture
def blame():
    rows = [row(5, "GET")]
    for number in range(60):
        rows += [
            row(6 + number, f"GET/item {number}"),
            row(6 + number, f"GET/item {number}", "key", SECOND, causes=[CAUSE]),
        ]
    rows.append(row(66, "GET/last", by=None, decision=None, certain=False, reason=None))
    return BaselineBlame("a::one", "b.json", rows, decisions=decisions(), notes=["said"])


def test_neighbours_that_the_same_decisions_made_are_one_row(blame):
    text = to_plain(blame.lines(width=120))

    assert "6–65" in text
    assert "GET/item 0 … item 59 (60 spans)" in text
    assert text.count("c123456789ab") == 1
    assert "no decision" in text
    assert text.rstrip().endswith("said")


def test_every_decision_is_told_in_full_below(blame):
    text = to_plain(blame.lines(width=120))

    assert "version 1 (aaaaaaaaaaaa): accept by ada <a@b> at 2025-01-01T00:00:00Z: why" in text


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_rows_keep_to_the_width_as_far_as_their_columns_leave_room(blame, width):
    rows = [text for text in to_plain(blame.lines(width=width)).splitlines() if "item" in text]

    assert all(len(text) <= max(width, 72) for text in rows)


def test_signs_are_plain_where_they_are_asked_to_be(blame):
    text = to_plain(blame.lines(signs=ASCII, width=60))

    assert text.isascii()
    assert "6-65" in text


def test_the_frame_has_one_row_a_line_or_part_with_its_decision(blame):
    frame = blame.frame

    assert len(frame) == 122
    assert frame["version"].dtype == "Int64"
    assert str(frame["at"].dtype) == "datetime64[ns, UTC]"
    assert frame["kind"].cat.categories.tolist() == ["header", "resource", "scope", "span"]
    assert frame["decision"].isna().sum() == 1
    assert BaselineBlame("x").frame.columns.tolist() == frame.columns.tolist()


@pytest.mark.parametrize("form", ["human", "json", "html"])
def test_it_has_all_forms_of_a_view(blame, form):
    assert "conventions" in render_report(blame, form)
