from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clnrm_nb.errors import Diagnostic, Fix, TextEdit
from clnrm_nb.report.excerpt import Source, excerpt_html, excerpt_lines, excerpt_of, repair_of
from clnrm_nb.report.findings import Diagnostics
from clnrm_nb.report.lines import to_plain
from clnrm_nb.report.render import render_report
from clnrm_nb.report.signs import ASCII, UNICODE


def shown(text: str, *, width: int = 80, **place: int) -> list[str]:
    finding = Diagnostic("CLN301", "m", file="a", **place).to_json()
    excerpt = excerpt_of(Source(text), finding)
    return (
        to_plain(excerpt_lines(excerpt, "warning", signs=UNICODE, width=width)).splitlines()
        if excerpt
        else []
    )


def test_the_line_before_is_shown_and_the_place_underlined():
    assert shown("a = 1\nkey = 2\n", line=2, column=1, end_line=2, end_column=4) == [
        "  1 │ a = 1",
        "  2 │ key = 2",
        "    │ ^^^",
    ]


def test_a_place_without_an_end_is_one_caret():
    assert shown("abc", line=1, column=2)[-1] == "    │  ^"


@pytest.mark.parametrize(
    ("text", "column", "end_column", "carets"),
    [
        ("\tk = 1", 2, 3, "    ^"),
        ("漢字 = 1", 3, 4, "    ^"),
        ("漢字 = 1", 1, 3, "^^^^"),
        ("a\x1b[31mb", 2, 3, " ^^^^"),
        ("ab", 3, 3, "  ^"),
    ],
)
def test_carets_stand_under_the_cells_a_terminal_shows(text, column, end_column, carets):
    assert shown(text, line=1, column=column, end_line=1, end_column=end_column)[-1] == f"    │ {carets}"


def test_a_place_over_several_lines_is_underlined_in_each_and_three_are_shown():
    text = "a = [\n  1,\n  2,\n  3,\n]\n"

    assert shown(text, line=1, column=5, end_line=5, end_column=2) == [
        "  1 │ a = [",
        "    │     ^",
        "  2 │   1,",
        "    │   ^^",
        "  3 │   2,",
        "    │   ^^",
    ]


def test_a_long_line_is_cut_around_the_place():
    rows = shown("x" * 300 + "HERE" + "y" * 300, width=60, line=1, column=301, end_line=1, end_column=305)

    assert "HERE" in rows[0]
    assert rows[1].index("^") == rows[0].index("H")
    assert all(len(row) <= 60 for row in rows)


def test_places_outside_the_text_show_nothing():
    assert shown("a", line=9, column=1) == []
    assert excerpt_of(None, Diagnostic("CLN301", "m", file="a", line=1, column=1).to_json()) is None


@example("a\n", 2, 1, 1, 1)  # It ends before it begins.
@given(st.text(max_size=80), st.integers(1, 5), st.integers(1, 60), st.integers(1, 6), st.integers(1, 60))
def test_no_text_and_no_place_breaks_an_excerpt(text, line, column, end_line, end_column):
    finding = Diagnostic("CLN301", "m", "a", line, column, end_line, end_column).to_json()

    excerpt = excerpt_of(Source(text), finding)

    if excerpt is not None:
        rows = to_plain(excerpt_lines(excerpt, "warning", signs=ASCII, width=60)).splitlines()
        assert any("^" in row for row in rows)
        assert "<script" not in excerpt_html(excerpt, "warning")


def test_a_fix_is_shown_as_the_lines_it_changes():
    fix = Fix("replace by `server`", (TextEdit(2, 8, 2, 15, '"server"'),))
    finding = Diagnostic("CLN306", "m", file="a", line=2, column=8, end_line=2, end_column=15, fix=fix)

    view = Diagnostics([finding], sources={"a": Source('name = "x"\nkind = "servr"\n')})

    text, page = render_report(view), view.html()
    assert '       - kind = "servr"\n       + kind = "server"\n' in text
    assert "(1 fixable: clnrm lint --fix)" in text
    assert "a<wbr>:2:8" in page
    assert "<del>- kind = &quot;servr&quot;</del>\n<ins>+ kind = &quot;server&quot;</ins>" in page


@pytest.mark.parametrize(
    ("safe", "words"),
    [
        ([True, False], "(1 fixable: clnrm lint --fix; 2 with --unsafe-fixes)"),
        ([False], "(1 fixable: clnrm lint --fix --unsafe-fixes)"),
    ],
)
def test_a_repair_that_fix_alone_leaves_out_is_not_promised_of_it(safe, words):
    fixes = [Fix("t", (TextEdit(1, 1, 1, 2, "b"),), safe=each) for each in safe]
    findings = [
        Diagnostic("CLN306", f"m{i}", file="a", line=1, column=1, fix=fix) for i, fix in enumerate(fixes)
    ]

    assert words in render_report(Diagnostics(findings))


def test_a_fix_that_removes_a_line_or_edits_two_places_shows_just_those():
    source = Source("a\nb\nc\nd\n")

    assert repair_of(source, {"edits": [_edit(2, 1, 3, 1, "")]}) == [("-", "b")]
    assert repair_of(source, {"edits": [_edit(4, 1, 4, 2, "D"), _edit(1, 1, 1, 2, "A")]}) == [
        *(("-", "a"), ("+", "A"), ("-", "d"), ("+", "D"))
    ]
    assert repair_of(source, {"edits": [_edit(99, 1, 99, 1, "x")]}) == []


def _edit(line: int, column: int, end_line: int, end_column: int, text: str) -> dict:
    return {"line": line, "column": column, "end_line": end_line, "end_column": end_column, "text": text}


def test_an_unsafe_fix_says_so():
    fix = Fix("drop it", (TextEdit(1, 1, 1, 2, ""),), safe=False)

    text = render_report(Diagnostics([Diagnostic("CLN301", "m", file="a", line=1, column=1, fix=fix)]))

    assert "may change what the file means" in text
    assert "--unsafe-fixes" in text


def test_secrets_are_masked_in_the_lines_of_a_file_too():
    finding = Diagnostic("CLN413", "m", file="a", line=1, column=1)

    view = Diagnostics(
        [finding], sources={"a": Source("k = s3cret")}, mask=lambda t: t.replace("s3cret", "•••")
    )

    assert "s3cret" not in render_report(view) + view.html()
