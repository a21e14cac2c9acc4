"""Machine formats of a diff; golden text where people look."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from jsonschema import Draft202012Validator

from clnrm_nb.diff.compare import compare
from clnrm_nb.errors import Diagnostic
from clnrm_nb.report.diffs import Compared, TraceDiff
from clnrm_nb.report.render import render_report
from clnrm_nb.report.verdict import Leave
from clnrm_nb.schemas import schema
from clnrm_nb.spans.model import Span
from clnrm_nb.spans.table import SpanTable

GOLDEN = Path(__file__).parent / "golden"


def check(name: str, text: str) -> None:
    """Compare with a golden file; ``CLNRM_UPDATE_GOLDEN=1`` writes it anew."""
    path = GOLDEN / name
    if os.environ.get("CLNRM_UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("format_name", "file"),
    [
        ("human", "diff.human.txt"),
        ("junit", "diff.junit.xml"),
        ("tap", "diff.tap"),
        ("github", "diff.github.txt"),
        ("markdown", "diff.md"),
    ],
)
def test_a_report_of_a_diff_is_the_golden_one(diff: TraceDiff, format_name: str, file: str) -> None:
    check(file, render_report(diff, format_name))  # type: ignore[arg-type]


def test_side_by_side_is_the_golden_one(diff: TraceDiff) -> None:
    shown = TraceDiff(diff.comparisons, view="side-by-side")

    check("diff.sides.txt", render_report(shown, "human", width=100))


def test_the_mime_document_is_the_golden_one(diff: TraceDiff) -> None:
    check("diff.mime.json", json.dumps(diff.document(), indent=1, ensure_ascii=False) + "\n")


def test_the_json_report_has_the_keys_of_the_format(diff: TraceDiff) -> None:
    raw = json.loads(render_report(diff, "json"))

    Draft202012Validator(schema("report")).validate(raw)
    entry = raw["data"]["diffs"][0]
    assert {
        "id",
        "status",
        "baseline_digest",
        "trace_digest",
        "composed",
        "certified",
        "spans",
        "edits",
        "causes",
    } <= set(entry)
    assert set(entry["edits"][0]) == {
        *("edit_id", "cause_id", "op", "path", "baseline_path", "key", "baseline", "current"),
        *("cost", "counted", "rule", "reason", "score", "runner_up"),
    }
    assert raw["summary"]["edits"] == 14
    assert {diff["status"] for diff in raw["data"]["diffs"]} == {
        *("same", "changed", "missing", "rejected", "unused", "incomplete", "error"),
    }


def test_every_kind_of_failure_has_a_code_of_its_own_in_every_format(diff: TraceDiff) -> None:
    for format_name in ("json", "github", "markdown", "human", "html"):
        text = render_report(diff, format_name)  # type: ignore[arg-type]
        for code in ("CLN701", "CLN702", "CLN704", "CLN705", "CLN706", "CLN707"):
            assert code in text, (format_name, code)


def test_junit_has_a_case_for_each_cause(diff: TraceDiff) -> None:
    root = ET.fromstring(render_report(diff, "junit"))
    cases = root.findall("testsuite[@name='tests/shop.clnrm.toml']/testcase")
    changed = [case for case in cases if str(case.get("name")).startswith("checkout::diff c")]

    compared = diff.comparisons[0]
    assert [str(case.get("name")).split()[-1] for case in changed] == [c.cause_id for c in compared.causes]
    assert {case.find("failure").get("type") for case in changed} == {"CLN704"}  # type: ignore[union-attr]
    assert [case.get("name") for case in cases if case.find("failure") is None] == ["login::diff"]
    everything = [case.get("classname", "") + str(case.get("name")) for case in root.iter("testcase")]
    assert len(everything) == len(set(everything))


def test_an_incomplete_comparison_is_a_skip_only_with_leave() -> None:
    part = Compared("a", None, "incomplete", code="CLN707")

    red = ET.fromstring(render_report(TraceDiff([part]), "junit"))
    let = ET.fromstring(render_report(TraceDiff([part], leave=Leave(not_evaluated=True)), "junit"))

    assert red.find(".//failure").get("type") == "not-evaluated"  # type: ignore[union-attr]
    assert (let.get("failures"), let.get("skipped")) == ("0", "1")


def _of_causes(number: int) -> TraceDiff:
    """A diff of so many causes, of one edit each."""
    old, new = (
        [Span("t", str(i), f"span {i}", attributes={f"key{i}": value}) for i in range(number)]
        for value in (1, 2)
    )
    a, b = SpanTable(old), SpanTable(new)
    return TraceDiff.of_tables(compare(a, b), a, b, names=("a.json", "b.json"))


def test_every_format_tells_the_same_twenty_causes_whole_and_no_other() -> None:
    diff = _of_causes(50)
    junit = ET.fromstring(render_report(diff, "junit"))
    whole = [case.get("name") for case in junit.iter("testcase") if case.find("system-out") is not None]
    tap = render_report(diff, "tap")

    named = [cause.cause_id for cause in diff.comparisons[0].causes]
    assert [str(name).split()[-1] for name in whole] == named[:20]
    assert [str(case.get("name")).split()[-1] for case in junit.iter("testcase")] == named
    assert tap.count("not ok ") == 50
    assert tap.count("attribute changed key") == 20
    assert render_report(diff, "markdown").count("| ✏️ **key") == 20
    for format_name in ("human", "github", "markdown"):
        assert "and 30 more causes" in render_report(diff, format_name), format_name
    assert "Compare locally: `clnrm diff a.json b.json`" in render_report(diff, "markdown")


def test_a_trace_that_is_another_one_altogether_is_a_thousand_cases_and_a_count() -> None:
    """Every cause was a case with all its words: 10,000 of them are a file that no CI reads."""
    diff = _of_causes(1_200)
    text = render_report(diff, "junit")
    root = ET.fromstring(text)
    *_, last = root.iter("testcase")

    assert (root.get("tests"), root.get("failures")) == ("1001", "1001")
    assert str(last.get("name")).endswith("diff more")
    assert last.find("failure").get("message") == "and 200 more causes"  # type: ignore[union-attr]
    assert len(text) < 1_000_000
    tap = render_report(diff, "tap")
    assert "1..1001" in tap
    assert "and 200 more causes" in tap


def test_markdown_fits_a_comment_of_a_pull_request_and_counts_what_it_leaves_out(
    make_diff: Callable[..., TraceDiff],
) -> None:
    (one,) = make_diff(300, 50).comparisons
    many = TraceDiff([replace(one, test_id=f"{number}{'x' * 500}") for number in range(200)])
    text = render_report(many, "markdown")

    assert len(text) <= 65_536
    assert "and 180 more that are not the same" in text
    assert "more comparisons, left out here" in text


def test_markdown_of_strangers_cannot_break_out() -> None:
    finding = Diagnostic("CLN704", "| <b>x</b> [a](http://b) `c`\n# d @ada #7 www.example.org")
    text = render_report(TraceDiff([Compared("a|b", diagnostics=[finding], status="changed")]), "markdown")

    assert "<b>" not in text
    assert "a\\|b" in text
    assert "\n# d" not in text
    # What is left once a host has taken the backslashes away is no mention, no issue and no address.
    assert not [word for word in ("@ada", "#7", "www.example") if word in text.replace("\\", "")]


def test_an_annotation_of_github_is_one_line(diff: TraceDiff) -> None:
    lines = render_report(diff, "github").splitlines()

    assert len(lines) == 6
    assert all(line.startswith(("::error ", "::warning ")) for line in lines)
    assert "%0A- renamed: template.old → template.new%0A- " in lines[0]


def test_a_file_of_html_holds_more_than_a_notebook_output(make_diff: Callable[..., TraceDiff]) -> None:
    diff = make_diff(2_000, 1_500)

    text = render_report(diff, "html")

    assert text.count("attribute changed") == 1_500
    assert "<script" not in text
    assert "http" not in text.replace("http.method", "")
