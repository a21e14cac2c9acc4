"""What a notebook or a JSON report kept of a run, read back: the run, its spans, and what it was compared with."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from clnrm_nb.diff.compare import compare
from clnrm_nb.errors import Diagnostic
from clnrm_nb.executor.outcome import TestOutcome
from clnrm_nb.report.diffs import Compared, TraceDiff
from clnrm_nb.report.render import render_report
from clnrm_nb.report.results import RunResult
from clnrm_nb.schemas import schema
from clnrm_nb.spans.model import Span
from clnrm_nb.spans.table import SpanTable
from clnrm_nb.testing import read_results

RESULT_MIME = "application/vnd.clnrm.result.v1+json"


def run_with(diff: TraceDiff, outcome: TestOutcome) -> RunResult:
    return RunResult([outcome], diff=diff)


def kept_by_a_notebook(run: RunResult) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(run._repr_mimebundle_()[RESULT_MIME]))
    return document


def test_a_run_read_back_from_a_notebook_has_its_diff(result: RunResult, comparisons: list[Compared]) -> None:
    test_id = result.tests[0]["id"]
    mine = [replace(compared, test_id=test_id) for compared in comparisons if compared.code != "CLN706"]
    run = run_with(TraceDiff(mine), result.outcomes[0])
    document = kept_by_a_notebook(run)
    Draft202012Validator(schema("result")).validate(document)

    again = RunResult.from_document(document)

    assert run.diff is not None
    assert again.diff is not None
    assert (again.exit_code, again.diff.exit_code) == (run.exit_code, run.diff.exit_code)
    assert again.diff.frame.equals(run.diff.frame)
    assert again.diff.spans.equals(run.diff.spans)
    assert again.diff.raw["summary"] == run.diff.raw["summary"]
    assert again.diff.tree() == run.diff.tree()
    assert again.diff.html() == run.diff.html()
    assert list(again.frame["status"]) == list(run.frame["status"])
    assert list(again.spans.frame["name"]) == list(run.spans.frame["name"])
    assert again.spans.frame["start"].equals(run.spans.frame["start"].dt.floor("us"))


def test_an_executed_notebook_gives_the_diff_of_its_run_to_another_one(
    result: RunResult, diff: TraceDiff, tmp_path: Path
) -> None:
    run = run_with(diff, result.outcomes[0])
    output = {"output_type": "display_data", "metadata": {}, "data": run._repr_mimebundle_()}
    cell = {"cell_type": "code", "metadata": {}, "source": "%clnrm run", "outputs": [output]}
    path = tmp_path / "executed.ipynb"
    path.write_text(json.dumps({"nbformat": 4, "metadata": {}, "cells": [cell]}), encoding="utf-8")

    (saved,) = read_results(path, "result")
    again = RunResult.from_document(saved.document)

    assert again.diff is not None
    assert again.diff.frame.equals(diff.frame)
    assert again.diff.headline == diff.headline


def test_a_notebook_states_the_window_it_keeps_of_a_run_with_a_large_diff(
    result: RunResult, make_diff: Callable[..., TraceDiff], make_table: Callable[..., SpanTable]
) -> None:
    outcome = result.outcomes[1]
    outcome.spans = make_table(5_000)
    run = run_with(make_diff(5_000, 500), outcome)
    bundle = run._repr_mimebundle_()

    again = RunResult.from_document(kept_by_a_notebook(run)).diff

    assert len(json.dumps(bundle, indent=1, ensure_ascii=False).encode()) <= 150_000
    assert again is not None
    assert again.raw["summary"]["edits"] == 500
    assert again.raw["data"]["diffs"][0]["spans"]["changed"] == 500
    assert 0 < len(again.frame) < 500
    assert 0 < len(again.spans) < 5_000
    said = (
        f"this is what a notebook keeps: {len(again.spans)} of 5,000 spans, {len(again.frame)} of 500 edits"
    )
    assert said in again.tree()
    assert said in again.html()


def test_a_result_of_an_older_notebook_without_a_diff_still_loads(result: RunResult) -> None:
    document = kept_by_a_notebook(result)
    assert "diff" not in document

    again = RunResult.from_document(document)

    assert again.diff is None
    assert again.summary == result.summary
    assert list(again.frame["level"]) == list(result.frame["level"])
    assert again.expectations["status"].value_counts().equals(result.expectations["status"].value_counts())
    for form in ("human", "json", "junit", "tap", "github", "html", "markdown"):
        assert render_report(again, form)  # type: ignore[arg-type]


def test_a_report_of_a_run_gives_its_edits_back(result: RunResult, comparisons: list[Compared]) -> None:
    mine = [replace(compared, test_id=result.tests[0]["id"], reviews={}) for compared in comparisons[:3]]
    run = run_with(TraceDiff(mine), result.outcomes[0])

    again = RunResult.from_document(json.loads(render_report(run, "json")))

    assert run.diff is not None
    assert again.diff is not None
    assert again.diff.frame.equals(run.diff.frame)
    assert again.diff.raw["data"] == run.diff.raw["data"]
    without_trees = re.sub(
        r"\n *<system-out>[└├].*?</system-out>", "", render_report(run, "junit"), flags=re.DOTALL
    )
    assert render_report(again, "junit") == without_trees
    assert "keeps edits and no spans" in again.diff.tree()


@st.composite
def tables(draw: st.DrawFn) -> SpanTable:
    """Small traces with times, of few names, so that two of them have much in common."""
    spans: list[Span] = []
    for number in range(draw(st.integers(1, 7))):
        parent = None if number == 0 else str(draw(st.integers(0, number - 1)))
        start_ns = number * 1_000
        attributes = {"k": draw(st.sampled_from([1, 1.0, True, "1", None]))}
        name = draw(st.sampled_from(["a", "b/c", "GET /"]))
        spans.append(
            Span("t", str(number), name, parent, start_ns=start_ns, end_ns=9_000, attributes=attributes)
        )
    return SpanTable(spans)


@settings(max_examples=40)
@given(tables(), tables())
def test_any_diff_comes_back_whole_from_a_notebook(old: SpanTable, new: SpanTable) -> None:
    diff = TraceDiff([Compared("a", "b", "changed", compare(old, new), old, new, code="CLN704")])

    again = TraceDiff.from_document(json.loads(json.dumps(diff.document())))

    assert again.frame.equals(diff.frame)
    columns = ["status", "path", "name", "baseline_name", "n_edits", "duration_ms", "baseline_duration_ms"]
    assert again.spans[columns].equals(diff.spans[columns])
    assert again.tree(only_diffs=False) == diff.tree(only_diffs=False)
    assert again.raw["data"]["diffs"][0]["causes"] == diff.raw["data"]["diffs"][0]["causes"]
    assert again.document() == diff.document()


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({}, "no durable document of a diff"),
        ({"kind": "trace", "version": 1}, "no durable document of a diff"),
        ({"kind": "diff", "version": 2}, "document version 2, which needs a newer clnrm_nb"),
        ({"kind": "diff", "version": 1}, "the diff is damaged: KeyError"),
    ],
)
def test_what_is_no_diff_that_can_be_read_is_refused_with_the_reason(
    document: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        TraceDiff.from_document(document)


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("diff", lambda kept: kept["diff"]["rows"].pop("parent")),
        ("diff", lambda kept: kept["diff"].update(names=[])),
        ("trace", lambda kept: kept["trace"]["columns"].update(name="0 x")),
        ("result", lambda kept: kept.pop("tests")),
    ],
)
def test_a_notebook_changed_by_hand_is_one_message(
    result: RunResult, diff: TraceDiff, part: str, change: Callable[[dict[str, Any]], object]
) -> None:
    kept = kept_by_a_notebook(run_with(diff, result.outcomes[0]))
    change(kept)

    with pytest.raises(ValueError, match=f"the {part} is damaged: "):
        RunResult.from_document(kept)


def test_a_missing_baseline_that_failed_nothing_is_no_error_after_reading_it_back() -> None:
    missing = Diagnostic("CLN701", "no baseline", severity="info", test="a.toml")
    diff = TraceDiff([Compared("a.toml", None, "missing", code="CLN701", diagnostics=[missing])])

    again = TraceDiff.from_document(diff.document())

    assert (diff.ok, again.ok) == (True, True)
    assert list(again.diagnostics["severity"]) == ["info"]


def test_a_moved_span_read_back_has_its_old_path() -> None:
    def table(parent: str) -> SpanTable:
        names = {"1": "root", "2": "a", "3": "b"}
        spans = [Span("t", i, name, None if i == "1" else "1") for i, name in names.items()]
        return SpanTable([*spans, Span("t", "4", "moved", parent), Span("t", "5", "below", "4")])

    old, new = table("3"), table("2")
    diff = TraceDiff([Compared("a", None, "changed", compare(old, new), old, new)])

    again = TraceDiff.from_document(diff.document())

    assert again.spans.equals(diff.spans)
    assert "root/b/moved" in list(again.spans["baseline_path"])


def test_a_result_embeds_diffs_and_traces_as_they_stand_alone() -> None:
    embedded = schema("result")["$defs"]

    for kind in ("trace", "diff"):
        alone = {key: value for key, value in schema(kind).items() if not key.startswith("$")}
        assert {**embedded[kind], "title": alone["title"]} == alone
