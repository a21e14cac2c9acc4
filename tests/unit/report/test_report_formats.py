"""Machine formats, read by a parser that is not ours where there is one; golden text where people look."""

from __future__ import annotations

import io
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clnrm_nb.errors import Diagnostic, UsageError
from clnrm_nb.executor.outcome import CommandOutcome, ExpectationResult, ScenarioOutcome, TestOutcome
from clnrm_nb.report.files import test_document as document_of
from clnrm_nb.report.files import write_report, write_test_reports
from clnrm_nb.report.render import render_report, wants_color
from clnrm_nb.report.results import Diagnostics, Leave, RunResult, Table
from clnrm_nb.scenario.model import Report

GOLDEN = Path(__file__).parent / "golden"


def check(name: str, text: str) -> None:
    """Compare with a golden file; ``CLNRM_UPDATE_GOLDEN=1`` writes it anew."""
    path = GOLDEN / name
    if os.environ.get("CLNRM_UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------ attempts, resumed runs


def test_a_flaky_test_says_in_junit_why_it_failed_first() -> None:
    reason = "passed in attempt 2; attempt 1 failed: exit code 1"
    scenarios = [ScenarioOutcome("one"), ScenarioOutcome("two")]
    outcome = TestOutcome("t", "t", "flaky", reason=reason, scenarios=scenarios)

    suite = ET.fromstring(render_report(RunResult([outcome]), "junit"))

    (flaky,) = suite.iter("flakyFailure")
    assert flaky.get("message") == reason
    assert [list(suite.iter(tag)) for tag in ("failure", "error")] == [[], []]


def test_a_verdict_that_was_taken_over_says_so_once() -> None:
    told = "taken over from run 01J"
    passed = TestOutcome("t", "t", reason=told, taken_over_from="01J")
    failed = TestOutcome(
        "u", "u", "failed", reason=f"exit code 1; {told}", taken_over_from="01J", scenarios=[]
    )

    text = render_report(RunResult([passed, failed]), "human", width=200)

    assert [line.count(told) for line in text.splitlines()[:2]] == [1, 1]
    assert json.loads(render_report(RunResult([passed]), "json"))["data"]["tests"][0]["reason"] == told


# --------------------------------------------------------------------------------------------------- human


def test_the_report_for_people_is_the_golden_one(result: RunResult) -> None:
    check("run.human.txt", render_report(result, "human", width=100))


def test_the_verbose_report_shows_what_passed_and_the_trace(result: RunResult) -> None:
    text = render_report(result, "human", verbose=True)

    assert "passed      span[GET /]#0" in text
    assert "stdout │ ok" in text
    assert "26 spans, 4 services" in text


def test_without_emoji_all_our_own_signs_are_ascii(result: RunResult) -> None:
    assert render_report(result, "human", emoji=False, verbose=True).isascii()


def test_no_escape_sequence_of_a_program_reaches_the_terminal(result: RunResult) -> None:
    plain, coloured = render_report(result, "human"), render_report(result, "human", color=True)

    assert "\x1b" not in plain
    assert "\\x1b[31mred" in plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


@pytest.mark.parametrize(
    ("setting", "is_terminal", "environ", "wanted"),
    [
        ("auto", True, {}, True),
        ("auto", False, {}, False),
        ("auto", True, {"NO_COLOR": "1"}, False),
        ("auto", True, {"NO_COLOR": ""}, True),
        ("auto", True, {"TERM": "dumb"}, False),
        ("always", False, {"NO_COLOR": "1"}, True),
        ("never", True, {}, False),
    ],
)
def test_colour_is_for_terminals_unless_told_otherwise(
    setting: str, *, is_terminal: bool, environ: dict[str, str], wanted: bool
) -> None:
    class Stream(io.StringIO):
        def isatty(self) -> bool:
            return is_terminal

    assert wants_color(setting, Stream(), environ) is wanted


def test_a_format_that_a_result_does_not_have_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="`doctor` has no format 'junit'"):
        render_report(Table("doctor", ("a",), []), "junit")


# --------------------------------------------------------------------------------------------------- junit


def cases(document: str) -> dict[str, ET.Element]:
    root = ET.fromstring(document)
    return {f"{case.get('classname')}::{case.get('name')}": case for case in root.iter("testcase")}


def verdicts(document: str) -> dict[str, str]:
    words = {}
    for name, case in cases(document).items():
        tags = [child for child in case if child.tag in {"failure", "error", "skipped", "flakyFailure"}]
        words[name] = f"{tags[0].tag} {tags[0].get('type') or ''}".strip() if tags else "passed"
    return words


def test_junit_is_the_golden_one(result: RunResult) -> None:
    check("run.junit.xml", render_report(result, "junit"))


def test_junit_tells_every_verdict_by_its_rule(result: RunResult) -> None:
    b = "tests/b-failed.clnrm.toml[db=redis]"

    assert verdicts(render_report(result, "junit")) == {
        "tests/a-passed.clnrm.toml::checkout": "passed",
        "tests/a-passed.clnrm.toml::span[GET /]#0": "passed",
        f"{b}::checkout": "failure CLN605",
        f"{b}::span[GET *]#0": "failure CLN608",
        f"{b}::checkout::hermeticity.no_external_services": "failure not-evaluated",
        "tests/c-error.clnrm.toml::test": "error CLN201",
        "tests/d-incomplete.clnrm.toml::steps": "failure not-evaluated",
        "tests/d-incomplete.clnrm.toml::window[0]": "failure not-evaluated",
        "tests/e-cached.clnrm.toml::test": "passed",
        "tests/f-flaky.clnrm.toml::steps": "flakyFailure passed",
        "tests/g-skipped.clnrm.toml::test": "skipped",
        "tests/h-interrupted.clnrm.toml::test": "error interrupted",
    }


def test_junit_counts_agree_with_its_cases(result: RunResult) -> None:
    root = ET.fromstring(render_report(result, "junit"))

    for element in (root, *root.iter("testsuite")):
        found = list(element.iter("testcase"))
        assert int(element.get("tests", "")) == len(found)
        for tag, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            assert int(element.get(name, "")) == sum(case.find(tag) is not None for case in found)


def test_with_leave_what_was_not_evaluated_is_skipped(outcomes: list[TestOutcome]) -> None:
    result = RunResult(outcomes, leave=Leave(not_evaluated=True))

    words = verdicts(render_report(result, "junit"))

    assert words["tests/d-incomplete.clnrm.toml::window[0]"] == "skipped"
    assert "ok 9" in render_report(result, "tap").replace("not ok 9", "")


def test_cached_tests_are_passed_cases_that_say_so(result: RunResult) -> None:
    case = cases(render_report(result, "junit"))["tests/e-cached.clnrm.toml::test"]

    assert [(p.get("name"), p.get("value")) for p in case.iter("property")] == [("cached", "true")]


def test_characters_that_xml_forbids_are_replaced(result: RunResult) -> None:
    case = cases(render_report(result, "junit"))["tests/b-failed.clnrm.toml[db=redis]::checkout"]

    assert case.findtext("system-out") == "one\ufffd[31mred\ntwo\n"
    assert case.findtext("system-err") == "<script>alert(1)</script>\ufffd"


@given(st.text(), st.text())
def test_any_text_makes_well_formed_xml_and_numbered_tap(name: str, output: str) -> None:
    test = TestOutcome(
        name,
        name,
        "failed",
        reason=output,
        scenarios=[
            ScenarioOutcome(
                name, "failed", 1.0, [CommandOutcome(name, [output], name, "failed", stdout=output)]
            )
        ],
        expectations=[ExpectationResult(name, "span", "failed", output, actual=output)],
    )
    result = RunResult([test])

    ET.fromstring(render_report(result, "junit"))
    tap = render_report(result, "tap").split("\n")
    assert [line for line in tap if re.match(r"(not )?ok ", line)] == [
        line for line in tap[2:] if line and line[0] != " "
    ]
    for form in ("human", "github", "html", "markdown", "json"):
        assert "\x1b" not in render_report(result, form)  # type: ignore[arg-type]


def test_a_failed_test_whose_parts_all_passed_has_a_case_of_its_own() -> None:
    leak = Diagnostic("CLN610", "network `x` was left behind", severity="error")
    test = TestOutcome("a", "a", "failed", scenarios=[ScenarioOutcome("s")], diagnostics=[leak])

    document = render_report(RunResult([test]), "junit")

    assert verdicts(document) == {"a::test": "failure CLN610", "a::s": "passed"}


def test_no_spans_has_its_own_code() -> None:
    expectation = ExpectationResult("counts.spans_total", "counts", "failed", "none", "no-spans")
    test = TestOutcome("a", "a", "failed", expectations=[expectation])

    assert verdicts(render_report(RunResult([test]), "junit")) == {"a::counts.spans_total": "failure CLN607"}


def test_findings_in_junit_and_tap_are_a_case_a_file() -> None:
    files = [{"file": "a.toml", "outcome": "error"}, {"file": "b.toml", "outcome": "ok"}]
    view = Diagnostics([Diagnostic("CLN304", "missing", file="a.toml", line=1, column=1)], files=files)

    assert verdicts(render_report(view, "junit")) == {
        "a.toml::validate": "failure CLN304",
        "b.toml::validate": "passed",
    }
    assert [line for line in render_report(view, "tap").split("\n") if "ok " in line] == [
        "not ok 1 - a.toml::validate",
        "ok 2 - b.toml::validate",
    ]


# ----------------------------------------------------------------------------------------------------- tap


def test_tap_is_the_golden_one(result: RunResult) -> None:
    check("run.tap", render_report(result, "tap"))


def test_tap_names_cannot_become_directives() -> None:
    test = TestOutcome(
        "a", "a", "failed", expectations=[ExpectationResult("x # SKIP", "span", "failed", "m")]
    )

    assert "not ok 1 - a::x \\# SKIP\n" in render_report(RunResult([test]), "tap")


# -------------------------------------------------------------------------------------------------- github


def test_github_annotations_point_at_lines_and_escape_everything() -> None:
    finding = Diagnostic(
        "CLN301", "100%\r\nbad: x, y", file="a,b:c.toml", line=3, column=4, end_line=3, end_column=9
    )

    assert render_report(Diagnostics([finding]), "github") == (
        "::warning file=a%2Cb%3Ac.toml,line=3,endLine=3,col=4,endColumn=9,title=CLN301"
        "::100%25%0D%0Abad: x, y\n"
    )


def test_github_tells_findings_expectations_and_tests(result: RunResult) -> None:
    check("run.github.txt", render_report(result, "github"))


# ------------------------------------------------------------------------------------------ markdown, html


def test_markdown_is_the_golden_one(result: RunResult) -> None:
    check("run.md", render_report(result, "markdown"))


def test_markdown_of_strangers_is_no_markup() -> None:
    hostile = "| [x](javascript:alert(1)) <b> `c` http://evil.example"
    test = TestOutcome(
        hostile, "a", "failed", expectations=[ExpectationResult(hostile, "span", "failed", hostile)]
    )

    text = render_report(RunResult([test]), "markdown")

    assert "http://" not in text
    assert not re.search(r"(?<!\\)(\[x\]|<b>|`c`)", text)


def test_an_html_file_is_whole_and_self_contained(result: RunResult) -> None:
    text = render_report(result, "html")

    assert text.startswith("<!DOCTYPE html>")
    assert "<title>clnrm run</title>" in text
    assert "<script" not in text
    assert text.rstrip().endswith("</html>")


# --------------------------------------------------------------------------------------------------- files


def test_only_the_named_files_of_a_test_are_written(result: RunResult, tmp_path: Path) -> None:
    judged = replace(result.outcomes[1], trace_digest=f"sha256:{'ab' * 32}")
    one = RunResult([judged])
    report = Report(json_path="out/r.json", junit="out/deep/r.xml", digest="r.sha256")

    written = write_test_reports(one, report, tmp_path)

    assert [path.relative_to(tmp_path).as_posix() for path in written] == [
        "out/r.json",
        "out/deep/r.xml",
        "r.sha256",
    ]
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
        "r.json",
        "r.sha256",
        "r.xml",
    ]
    assert (tmp_path / "r.sha256").read_text() == f"{'ab' * 32}\n"
    ET.fromstring((tmp_path / "out/deep/r.xml").read_text())


def test_the_report_document_of_a_test_has_the_keys_of_the_format(result: RunResult) -> None:
    assert document_of(result.tests[1], result.cases(result.tests[1])) == {
        "passed": False,
        "total_passes": 0,
        "total_failures": 2,
        "total_not_evaluated": 1,
        "passes": [],
        "failures": [
            {"name": "checkout", "error": "exit code 3, expected 0"},
            {"name": "span[GET *]#0", "error": result.tests[1]["expectations"][0]["message"]},
        ],
        "not_evaluated": ["checkout::hermeticity.no_external_services"],
    }


def test_a_report_file_is_replaced_whole_and_leaves_nothing_beside_it(
    result: RunResult, tmp_path: Path
) -> None:
    path = tmp_path / "a" / "report.json"
    write_report(RunResult([]), path, "json")

    write_report(result, path, "json")

    assert json.loads(path.read_text())["summary"]["total"] == 8
    assert list(path.parent.iterdir()) == [path]
    assert path.stat().st_mode & 0o044 == 0o044 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_report_that_cannot_be_written_leaves_the_old_one(result: RunResult, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")

    with pytest.raises(OSError):
        write_report(result, tmp_path / "file" / "r.json", "json")


def test_states_ids_and_times_of_a_table_are_never_broken_over_lines() -> None:
    """In JupyterLab ``%clnrm history`` showed `incomplete` as `incomple` and `te`."""
    from clnrm_nb.report.html import STYLE

    html = Table("history", ("run", "status"), [["01KAQ8ZJ4X7W9T3M2N5P6Q8R0S", "incomplete"]]).html()

    assert "<td class=w dir=auto>01KAQ8ZJ4X7W9T3M2N5P6Q8R0S</td>" in html
    assert ".clnrm td>b,.clnrm td.w{white-space:nowrap" in STYLE


@pytest.mark.parametrize(
    "name", ["../out.json", "{outside}/out.json", "link/out.json", ".git/config", "a/../../x"]
)
def test_report_is_written_into_the_project_only(tmp_path: Path, name: str) -> None:
    project, outside = tmp_path / "project", tmp_path / "outside"
    project.mkdir()
    outside.mkdir()
    (project / "link").symlink_to(outside)
    report = Report(json_path=name.replace("{outside}", str(outside)))

    with pytest.raises(PermissionError, match="leads out of the project"):
        write_test_reports(RunResult([TestOutcome("t", "t")]), report, project)

    assert list(outside.iterdir()) == []
    assert [path.name for path in project.iterdir()] == ["link"]
