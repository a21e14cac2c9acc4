from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from clnrm_nb.codes import CODES, SEVERITIES, STATUSES
from clnrm_nb.errors import Diagnostic, Fix, TextEdit
from clnrm_nb.executor.outcome import CommandOutcome, ExpectationResult, ScenarioOutcome, TestOutcome
from clnrm_nb.report.render import render_report
from clnrm_nb.report.results import Diagnostics, History, Leave, RunResult, Table
from clnrm_nb.schemas import schema
from clnrm_nb.spans.table import SpanTable

MIME = "application/vnd.clnrm.result.v1+json"


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


def saved_bytes(bundle: dict[str, Any]) -> int:
    return len(json.dumps(bundle, indent=1, ensure_ascii=False).encode())


def outcome(status: str, *codes: str, severity: str = "") -> TestOutcome:
    findings = [Diagnostic(code, "x", severity=severity) for code in codes]  # type: ignore[arg-type]
    return TestOutcome("a.toml", "a", status, diagnostics=findings)  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------------- exit codes


@pytest.mark.parametrize(
    ("tests", "exit_code"),
    [
        ([], 0),
        ([outcome("passed")], 0),
        ([outcome("cached"), outcome("skipped")], 0),
        ([outcome("failed")], 1),
        ([outcome("failed", "CLN608")], 1),
        ([outcome("incomplete", "CLN614")], 1),
        ([outcome("flaky", "CLN608")], 0),
        ([outcome("error", "CLN201")], 2),
        ([outcome("error", "CLN616")], 2),
        ([outcome("error", "CLN601")], 3),
        ([outcome("error", "CLN901")], 3),
        ([outcome("error")], 3),
        ([outcome("interrupted")], 130),
        ([outcome("failed", "CLN605"), outcome("error", "CLN201")], 2),
        ([outcome("error", "CLN601"), outcome("error", "CLN201")], 3),
        ([outcome("error", "CLN601"), outcome("interrupted")], 130),
        ([outcome("passed", "CLN611")], 0),
        ([outcome("passed", "CLN610", severity="warning")], 0),
    ],
)
def test_the_exit_status_follows_from_statuses_and_codes(tests: list[TestOutcome], exit_code: int) -> None:
    result = RunResult(tests)

    assert result.exit_code == exit_code
    assert result.ok is (exit_code == 0)
    assert (result.code is None) is result.ok


def test_leave_lets_incomplete_tests_pass_and_flaky_ones_fail_only_on_request() -> None:
    assert RunResult([outcome("incomplete", "CLN612")], leave=Leave(not_evaluated=True)).exit_code == 0
    assert RunResult([outcome("flaky")], leave=Leave(flaky=False)).exit_code == 1
    assert RunResult([outcome("passed", "CLN301")], leave=Leave(warnings=False)).exit_code == 1


def test_findings_without_a_test_count_too() -> None:
    assert RunResult([], [Diagnostic("CLN004", "no scenario files")]).exit_code == 2
    assert RunResult([outcome("passed")], [Diagnostic("CLN801", "unknown key")]).exit_code == 0
    assert RunResult([outcome("passed")], [Diagnostic("CLN001", "gone")]).exit_code == 2


def test_an_interrupted_command_says_so_whatever_its_tests_say() -> None:
    assert RunResult([outcome("passed")], interrupted=True).exit_code == 130


def test_a_given_exit_status_is_taken() -> None:
    assert RunResult([], exit_code=3).raw["ok"] is False


def test_the_headline_names_the_tests_that_are_not_well(result: RunResult) -> None:
    assert result.headline == (
        "4 of 8 tests not passed: tests/b-failed.clnrm.toml[db=redis], tests/c-error.clnrm.toml, "
        "tests/d-incomplete.clnrm.toml and 1 more"
    )
    assert RunResult([outcome("passed")]).headline == "1 test passed"
    assert RunResult([]).headline == "no test was run"


# ------------------------------------------------------------------------------------------------ document


def test_the_document_keeps_to_its_schema(result: RunResult) -> None:
    document = json.loads(render_report(result, "json"))

    Draft202012Validator(schema("report")).validate(document)
    assert document == json.loads(json.dumps(result.raw))


def test_the_summary_counts_every_status_in_order(result: RunResult) -> None:
    assert list(result.summary) == ["total", *STATUSES]
    assert list(result.summary.values()) == [8, 1, 1, 1, 1, 1, 1, 1, 1]


def test_each_finding_is_told_once_with_its_test(outcomes: list[TestOutcome]) -> None:
    everything = [finding for test in outcomes for finding in test.diagnostics]

    findings = RunResult(outcomes, everything).raw["diagnostics"]

    assert [finding["code"] for finding in findings] == ["CLN614", "CLN605", "CLN201"]
    assert all(finding["test"] for finding in findings)


def test_two_scenarios_with_the_same_finding_are_both_told() -> None:
    test = TestOutcome("a.toml", "a", "failed")
    for scenario in ("in-stock", "sold-out"):
        test.diagnostics.append(Diagnostic("CLN704", "1 changed", test="a.toml", scenario=scenario))

    findings = RunResult([test]).raw["diagnostics"]

    assert [finding["scenario"] for finding in findings] == ["in-stock", "sold-out"]


def test_a_result_read_back_from_its_document_is_the_same(result: RunResult) -> None:
    document = json.loads(render_report(result, "json"))
    spans = [(part.test_id or "", part.table) for part in result.spans.parts]

    again = RunResult.from_document(document, spans)

    assert again.raw == document
    assert again.frame.equals(result.frame)
    for form in ("human", "junit", "tap", "github", "html", "markdown"):
        assert render_report(again, form) == render_report(result, form)  # type: ignore[arg-type]


@pytest.mark.parametrize("document", [{}, [], {"format": "x"}, {"format": "clnrm-report/1", "data": {}}])
def test_what_is_no_report_of_a_run_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match="it "):
        RunResult.from_document(document)


def test_findings_can_be_added_after_the_run() -> None:
    result = RunResult([outcome("passed")])

    result.add_findings([Diagnostic("CLN001", "cannot write", severity="warning")])
    assert (result.exit_code, len(result.diagnostics)) == (0, 1)

    result.add_findings([Diagnostic("CLN901", "bug")])
    assert (result.exit_code, result.ok, len(result.diagnostics)) == (3, False, 2)


def test_secrets_are_masked_in_every_form(
    outcomes: list[TestOutcome], make_table: Callable[..., SpanTable]
) -> None:
    secret = "s3cret"
    outcomes[1].scenarios[0].commands[0].stdout = f"token {secret}"
    outcomes[1].expectations[0].actual = {"header": [secret]}
    outcomes[1].reason = secret
    outcomes[1].spans = make_table(3)
    outcomes[1].spans.attributes[0] = {"auth": secret}

    result = RunResult(
        outcomes, [Diagnostic("CLN801", secret)], mask=lambda text: text.replace(secret, "•••")
    )

    forms = ("human", "json", "junit", "tap", "github", "html", "markdown")
    shown = [render_report(result, form, verbose=True) for form in forms]  # type: ignore[arg-type]
    shown += [json.dumps(result._repr_mimebundle_()), result.frame.to_csv(), result.spans.frame.to_csv()]
    assert not [text for text in shown if secret in text]


# -------------------------------------------------------------------------------------------------- bundle


def test_the_mime_document_keeps_to_its_schema(result: RunResult) -> None:
    document = json.loads(json.dumps(result._repr_mimebundle_()[MIME]))

    Draft202012Validator(schema("result")).validate(document)
    assert document["trace"]["total"] == 26
    assert [test["status"] for test in document["tests"]] == list(STATUSES)
    assert document["tests"][0]["passed"] == ["span[GET /]#0"]


def test_every_layer_names_states_backends_and_places(result: RunResult) -> None:
    bundle = result._repr_mimebundle_()
    for text in (bundle["text/plain"], Page(bundle["text/html"]).text):
        for word in (*STATUSES, "not-evaluated", "process, not hermetic", "replay, replayed, not hermetic"):
            assert word in text, word
        for part in (
            "stored: passed",
            "tests/b-failed.clnrm.toml:12",
            "a span `GET *` with kind server, http.status = 200",
            "http.status = 200 (is 500)",
            "closest: `GET /x` (api) meets 1 of 2",
            "exit code 3, expected 0",
            "trace incomplete",
            "backend not hermetic",
        ):
            assert part in re.sub(r"\s+", " ", text), part


def test_html_runs_nothing_loads_nothing_and_names_nothing(result: RunResult) -> None:
    for text in (result._repr_mimebundle_()["text/html"], render_report(result, "html")):
        page = Page(text)
        assert not {"script", "img", "link", "iframe", "object", "a", "form"} & set(page.tags)
        assert not {name for name, _ in page.attributes} & {"id", "src", "href", "srcset", "action"}
        assert not [name for name, _ in page.attributes if name.startswith("on")]
        assert "http://" not in re.sub(r"<style>.*?</style>", "", text) or "http://api/" in page.text
        assert "url(" not in text
        assert "@import" not in text
        assert "\x1b" not in text
        assert "\x00" not in text


def test_html_is_made_of_headings_tables_and_details_with_words_beside_signs(result: RunResult) -> None:
    page = Page(result._repr_mimebundle_()["text/html"])

    assert {"h3", "table", "details", "summary", "svg", "bdi"} <= set(page.tags)
    assert ("scope", "col") in page.attributes
    assert ("scope", "row") in page.attributes
    assert ("dir", "auto") in page.attributes
    assert ("lang", "en") in page.attributes


def test_a_result_of_thousands_of_tests_keeps_within_its_weight(make_table: Callable[..., SpanTable]) -> None:
    tests = [
        TestOutcome(
            f"tests/{'deep/' * 20}{i}.clnrm.toml",
            "x" * 500,
            "failed" if i % 2 else "passed",
            reason="because " * 100,
            scenarios=[
                ScenarioOutcome(
                    "s" * 200,
                    "failed",
                    1.0,
                    [
                        CommandOutcome(
                            "c" * 200, ["x" * 5_000], None, "failed", 1, 1, 1.0, "o" * 10_000, "e" * 10_000
                        )
                    ],
                )
            ],
            expectations=[
                ExpectationResult(
                    f"span[{j}]",
                    "span",
                    "failed",
                    "m" * 3_000,
                    expected="e" * 9_000,
                    actual={"k": "v" * 9_000},
                )
                for j in range(20)
            ],
            diagnostics=[Diagnostic("CLN605", "d" * 3_000)],
        )
        for i in range(300)
    ]
    tests[0].spans = make_table(5_000)

    bundle = RunResult(tests)._repr_mimebundle_()

    assert saved_bytes(bundle) <= 150_000
    assert bundle[MIME]["total"] == 300
    assert 0 < bundle[MIME]["shown"] < 300
    assert re.search(r"showing \d+ of 300", Page(bundle["text/html"]).text)
    assert re.search(r"showing [\d,]+ of [\d,]+ lines", bundle["text/plain"])


def test_plain_text_is_at_most_a_hundred_and_twenty_columns_wide(result: RunResult) -> None:
    assert max(map(len, result._repr_mimebundle_()["text/plain"].splitlines())) <= 120


def test_failing_tests_are_kept_first_where_not_all_fit() -> None:
    tests = [outcome("passed") for _ in range(3_000)] + [outcome("failed")]

    kept = RunResult(tests)._repr_mimebundle_()[MIME]["tests"]

    assert "failed" in {test["status"] for test in kept}


# -------------------------------------------------------------------------------------------------- frames


def documented(frame: str) -> dict[str, str]:
    """Columns and dtypes that format.md gives to a frame."""
    here = Path(__file__).resolve()
    path = next((p / "shared/format.md" for p in here.parents if (p / "shared/format.md").exists()), None)
    if path is None:
        pytest.skip("format.md is not beside this checkout; nothing to compare with")
    row = next(
        line
        for line in path.read_text().splitlines()
        if line.startswith(f"| `{frame}` | ") and "string" in line
    )
    listed = re.sub(r"\(.*?\)", "", row.split("|")[2])
    words = {"cat": "category", "dt": "datetime64[ns, UTC]", "string": "string"}
    return {name: words.get(dtype, dtype) for name, dtype in (part.split() for part in listed.split(","))}


@pytest.mark.parametrize("name", ["RunResult", "Trace", "events", "expectations", "Diagnostics", "History"])
@pytest.mark.parametrize("is_empty", [True, False])
def test_frames_have_the_columns_and_dtypes_of_the_format(
    result: RunResult, name: str, *, is_empty: bool
) -> None:
    run = RunResult([]) if is_empty else result
    record = {
        "run": "r",
        "at": "2026-01-02T03:04:05Z",
        "test_id": "a",
        "status": "passed",
        "duration_ms": 1.0,
    }
    frame = {
        "RunResult": lambda: run.frame,
        "Trace": lambda: run.spans.frame,
        "events": lambda: run.events,
        "expectations": lambda: run.expectations,
        "Diagnostics": lambda: run.diagnostics,
        "History": lambda: History([] if is_empty else [record]).frame,
    }[name]()

    assert frame.dtypes.astype(str).to_dict() == documented(name)
    assert frame.empty is is_empty


def test_categories_hold_the_full_word_lists_in_order() -> None:
    empty = RunResult([])

    assert tuple(empty.frame["level"].cat.categories) == ("test", "scenario", "step")
    assert tuple(empty.frame["status"].cat.categories) == STATUSES
    assert tuple(empty.frame["stored_status"].cat.categories) == STATUSES
    assert tuple(empty.expectations["status"].cat.categories) == ("passed", "failed", "not-evaluated")
    assert tuple(empty.diagnostics["severity"].cat.categories) == SEVERITIES
    assert tuple(empty.diagnostics["code"].cat.categories) == tuple(CODES)


def test_a_backend_of_someone_else_is_not_lost() -> None:
    frame = RunResult([TestOutcome("a", "a", backend="podman-remote")]).frame

    assert list(frame["backend"]) == ["podman-remote"]


def test_rows_are_tests_then_their_scenarios_and_steps(result: RunResult) -> None:
    frame = result.frame.head(6)

    assert list(frame["level"]) == ["test", "scenario", "step"] * 2
    assert frame["argv"][2] == ["curl", "http://api/"]
    assert frame["matrix"][3] == {"db": "redis"}
    assert list(frame["hermetic"]) == [True] * 3 + [False] * 3
    assert frame["exit_code"][5] == 3


# --------------------------------------------------------------------------------------------- other views


def findings() -> list[Diagnostic]:
    edit = TextEdit(1, 1, 1, 4, "new")
    return [
        Diagnostic("CLN308", "older spelling", file="b.toml", line=1, column=1, fix=Fix("rename", (edit,))),
        Diagnostic(
            "CLN301",
            "unknown key `seervice`",
            file="a.toml",
            line=7,
            column=3,
            hint="did you mean `service`?",
        ),
        Diagnostic("CLN304", "`name` is missing", file="a.toml", line=2, column=1),
    ]


def test_findings_are_sorted_and_shown_in_every_layer() -> None:
    view = Diagnostics(
        findings(), files=[{"file": "a.toml", "outcome": "error"}, {"file": "b.toml", "outcome": "ok"}]
    )

    bundle = view._repr_mimebundle_()

    assert [f["code"] for f in view.raw["diagnostics"]] == ["CLN304", "CLN301", "CLN308"]
    assert view.headline == "2 files: 1 error, 1 warning, 1 info"
    assert (view.exit_code, view.code) == (2, "CLN304")
    assert "a.toml:7:3: unknown key `seervice`" in bundle["text/plain"]
    assert "did you mean" in bundle["text/plain"]
    assert "a.toml:7:3" in Page(bundle["text/html"]).text
    Draft202012Validator(schema("diagnostics")).validate(
        json.loads(json.dumps(bundle["application/vnd.clnrm.diagnostics.v1+json"]))
    )
    Draft202012Validator(schema("report")).validate(json.loads(render_report(view, "json")))


def test_warnings_fail_where_they_are_denied_and_lint_fails_on_its_own() -> None:
    warning, lint = Diagnostic("CLN301", "x"), Diagnostic("CLN501", "x")

    assert Diagnostics([warning]).exit_code == 0
    assert Diagnostics([warning], deny_warnings=True).exit_code == 1
    assert Diagnostics([lint]).exit_code == 0
    assert Diagnostics([lint], command="lint").exit_code == 1


def test_thousands_of_findings_keep_within_their_weight() -> None:
    view = Diagnostics(
        [Diagnostic("CLN301", "x" * 900, file="a.toml", line=i + 1, column=1) for i in range(5_000)]
    )

    bundle = view._repr_mimebundle_()

    assert saved_bytes({k: v for k, v in bundle.items() if k != "text/plain"}) <= 150_000
    assert "of 5,000" in Page(bundle["text/html"]).text


def test_a_table_has_frame_text_html_and_document() -> None:
    table = Table(
        "doctor", ("check", "state", "ms"), [("engine", "ok", 12), ("disk", "failed", None)], exit_code=3
    )

    assert repr(table) == "doctor\ncheck   state     ms\nengine  ✓ ok      12\ndisk    ✗ failed\n"
    assert table.raw["data"]["rows"][1] == {"check": "disk", "state": "failed", "ms": None}
    assert list(table.frame.columns) == ["check", "state", "ms"]
    assert "failed" in Page(table._repr_mimebundle_()["text/html"]).text
    Draft202012Validator(schema("report")).validate(json.loads(render_report(table, "json")))


def test_an_empty_table_says_so() -> None:
    assert (
        repr(Table("gc", ("type", "name"), [], notes=["nothing is left over"]))
        == "gc\nnothing\nnothing is left over\n"
    )


def test_history_draws_a_line_a_test() -> None:
    records = [
        {
            "run": str(i),
            "at": f"2026-01-0{i + 1}T00:00:00Z",
            "test_id": f"t{i % 2}",
            "status": "passed",
            "duration_ms": i,
        }
        for i in range(4)
    ]

    figure = History(records).plot()

    assert [trace.name for trace in figure.data] == ["t0", "t1"]
    assert list(figure.data[0].y) == [0, 2]


def test_marks_of_the_history_tell_the_status_and_are_bounded() -> None:
    records = [
        {
            "run": str(i),
            "at": f"2026-01-02T00:00:00.{i:06d}Z",
            "test_id": "t",
            "status": status,
            "duration_ms": 1.0,
        }
        for i, status in enumerate(["passed", "failed"] * 1_000)
    ]

    figure = History(records).plot()

    (line,) = figure.data
    assert len(line.x) == 1_400
    assert len(set(line.marker.color[:2])) == len(set(line.marker.symbol[:2])) == 2
    assert figure.layout.title.text == "showing the last 1,400 of 2,000"


def test_statistics_are_a_frame_a_table_and_a_document() -> None:
    test = {
        "test_id": "a.clnrm.toml", "runs": 4, "passed": 3, "pass_rate": 0.75, "median_ms": 1.5, "p95_ms": 2.0,
        "ewma_ms": 1.6, "cached": 0, "status": "passed", "flaky": True, "reason": None,
        "evidence": {"hash": "ab" * 32, "runs": [
            {"run": "01A", "attempt": 1, "status": "failed"}, {"run": "01A", "attempt": 2, "status": "passed"},
        ]},
    }  # fmt: skip

    result = History([], tests=[test], command="stats")

    assert "75%" in repr(result)
    assert "a.clnrm.toml is flaky: failed in run 01A, attempt 1 and passed in run 01A, attempt 2" in repr(
        result
    )
    assert result.statistics["pass_rate"].tolist() == [0.75]
    assert result.frame.empty
    assert "proven" in Page(result._repr_mimebundle_()["text/html"]).text
    Draft202012Validator(schema("report")).validate(json.loads(render_report(result, "json")))
