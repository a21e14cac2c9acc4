"""Cases out of documents, verdicts out of notebooks, and secrets out of both."""

from __future__ import annotations

import json
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clnrm_nb.diff.compare import compare
from clnrm_nb.regress.cases import cases_of_documents
from clnrm_nb.regress.result import NotebookResults
from clnrm_nb.regress.saved import CellError, SavedDocument, SavedNotebook
from clnrm_nb.regress.secrets import is_secret, masked_notebook, masker_of
from clnrm_nb.regress.verdict import judge
from clnrm_nb.regress.worker import Answer
from clnrm_nb.report.diffs import Compared, TraceDiff
from clnrm_nb.secrets import MASK
from clnrm_nb.spans.model import Resource, Span
from clnrm_nb.spans.table import SpanTable


def span(**changes):
    given = {
        "trace_id": "0" * 31 + "1",
        "span_id": "0" * 15 + "1",
        "name": "GET /",
        "start_ns": 1_000_000_000,
        "end_ns": 1_002_000_000,
        "attributes": {"http.status": 200},
        "resource": Resource({"service.name": "web"}),
    }
    return Span(**{**given, **changes})


def diff_of(*parts, cell=3, may_fail=False):
    diff = TraceDiff(parts)
    return SavedDocument(cell, "diff", diff.document(), repr(diff), may_fail)


def changed():
    old, new = SpanTable([span()]), SpanTable([span(attributes={"http.status": 503})])
    return Compared("t.clnrm.toml", None, "changed", compare(old, new), old, new, code="CLN704")


def result_of(status, *, exit_code, expectations=(), commands=(), passed=(), counts=None):
    test = {
        "id": "t",
        "status": status,
        "reason": None,
        "cached": False,
        "counts": counts or {"passed": len(passed)},
        "scenarios": [{"name": "s", "status": status, "reason": None, "commands": list(commands)}],
        "passed": list(passed),
        "expectations": list(expectations),
    }
    document = {
        "command": "run",
        "ok": exit_code == 0,
        "exit_code": exit_code,
        "total": 1,
        "shown": 1,
        "tests": [test],
    }
    return SavedDocument(1, "result", document)


def outcomes(*documents):
    return {case.name: case.outcome for case in cases_of_documents("nb.ipynb", documents)}


def test_cause_of_a_difference_is_a_case_with_the_tree_beside_it():
    [case] = cases_of_documents("nb.ipynb", [diff_of(changed())])

    assert case.name.startswith("[3] diff t.clnrm.toml::")
    assert (case.outcome, case.code) == ("failed", "CLN704")
    assert "503" in case.stdout
    assert "GET /" in case.detail


def test_comparison_without_differences_is_a_passed_case():
    assert outcomes(diff_of(Compared("t.clnrm.toml"))) == {"[3] diff t.clnrm.toml": "passed"}


@pytest.mark.parametrize(
    ("status", "code", "outcome"),
    [
        ("missing", "CLN701", "failed"),
        ("incomplete", "CLN707", "not-evaluated"),
        ("error", "CLN702", "error"),
    ],
)
def test_what_cannot_be_compared_is_never_green(status, code, outcome):
    assert list(outcomes(diff_of(Compared("t", status=status, code=code))).values()) == [outcome]


def test_a_run_tells_its_differences_as_cases_too():
    run = result_of("failed", exit_code=1)
    run.document["diagnostics"] = [{"code": "CLN704", "severity": "error"}]
    parts = [changed(), Compared("new.clnrm.toml", status="missing", code="CLN701")]
    run.document["diff"] = TraceDiff(parts).document()

    cases = {case.name: case for case in cases_of_documents("nb.ipynb", [run])}

    (name,) = (name for name in cases if name.startswith("[1] diff t.clnrm.toml::"))
    assert (cases[name].outcome, cases[name].code) == ("failed", "CLN704")
    assert cases["[1] diff new.clnrm.toml"].outcome == "skipped"


def test_a_difference_shown_by_a_run_and_alone_counts_once():
    run = result_of("failed", exit_code=1)
    run.document["diagnostics"] = []
    run.document["diff"] = TraceDiff([changed()]).document()

    names = [name for name in outcomes(run, diff_of(changed())) if " diff " in name]

    assert len(names) == 1
    assert names[0].startswith("[3] diff t.clnrm.toml::")


def test_a_baseline_that_is_required_and_missing_is_a_failed_case_of_its_run():
    run = result_of("failed", exit_code=1)
    run.document["diagnostics"] = [{"code": "CLN701", "severity": "error"}]
    run.document["diff"] = TraceDiff([Compared("new", status="missing", code="CLN701")]).document()

    assert outcomes(run)["[1] diff new"] == "failed"


def test_document_shown_twice_counts_once():
    assert len(outcomes(diff_of(changed()), replace(diff_of(changed()), cell=4))) == 1


def test_equal_names_get_numbers_because_ci_systems_fold_them():
    command = {"name": "run", "status": "passed", "exit_code": 0}
    first = result_of("passed", exit_code=0, commands=[command, command])

    assert list(outcomes(first)) == ["[1] t::s::run", "[1] t::s::run #2"]


def test_failing_document_without_a_failing_case_gets_one():
    found = outcomes(result_of("passed", exit_code=1))

    assert found["[1] result"] == "failed"


def test_status_of_a_test_that_none_of_its_cases_tells_is_a_case():
    command = {"name": "run", "status": "passed", "exit_code": 0}
    found = outcomes(result_of("incomplete", exit_code=1, commands=[command]))

    assert "not-evaluated" in found.values()


def test_what_the_person_let_pass_is_skipped_with_its_message():
    open_claim = {"id": "hermeticity", "status": "not-evaluated", "message": "nobody can tell"}
    [*_, case] = cases_of_documents("nb", [result_of("incomplete", exit_code=0, expectations=[open_claim])])

    assert (case.outcome, case.message) != ("passed", "")
    assert (
        "not-evaluated"
        not in outcomes(result_of("incomplete", exit_code=0, expectations=[open_claim])).values()
    )


def test_cell_tagged_raises_exception_fails_nothing():
    verdict = judge("nb", SavedNotebook([diff_of(changed(), may_fail=True)]), Answer(), None)

    assert (verdict.exit_code, verdict.status) == (0, "passed")


@pytest.mark.parametrize(
    ("name", "message", "exit_code"),
    [
        ("RunFailedError", "CLN604 1 of 1 test failed: t", 1),
        ("ValidationFailedError", "CLN201 no value", 2),
        ("UsageError", "no such option", 2),
        ("BackendUnavailableError", "CLN601 no engine answers", 3),
        ("InternalError", "CLN901 oops", 3),
        ("ClnrmError", "CLN618 nothing to replay", 2),
        ("AssertionError", "", 1),
        ("KeyError", "'CLN601'", 2),
        ("SystemExit", "0", 0),
        ("SystemExit", "1", 1),
    ],
)
def test_error_of_a_cell_gives_the_exit_code_of_its_kind(name, message, exit_code):
    verdict = judge("nb", SavedNotebook(errors=[CellError(2, name, message)]), Answer(), None)

    assert verdict.exit_code == exit_code
    assert verdict.status == {0: "skipped", 1: "failed"}.get(exit_code, "error")


def test_guard_makes_the_notebook_skipped_with_its_reason():
    verdict = judge("nb", SavedNotebook(skip_reason="not today"), Answer(), None)

    assert (verdict.status, verdict.exit_code, verdict.reason) == ("skipped", 0, "not today")
    assert [(case.outcome, case.message) for case in verdict.cases] == [("skipped", "not today")]


def test_guard_excuses_nothing_that_failed_before_it():
    saved = SavedNotebook([diff_of(changed())], skip_reason="not today")

    verdict = judge("nb", saved, Answer(), None)

    assert (verdict.status, verdict.exit_code) == ("failed", 1)
    assert "not today" not in verdict.reason


def test_greatest_cause_decides():
    errors = [CellError(2, "AssertionError", "")]
    verdict = judge("nb", SavedNotebook(errors=errors), Answer("dead-kernel", "its kernel died"), None)

    assert verdict.exit_code == 2


def test_junit_of_a_hostile_notebook_is_still_xml():
    bad = replace(diff_of(changed()), text="\x00\x1b[2J]]>&<\ud800")
    verdict = judge("a<b>&.ipynb", SavedNotebook([bad]), Answer(), None)

    suites = ET.fromstring(NotebookResults([verdict]).junit())

    assert [suite.get("name") for suite in suites] == ["a<b>&.ipynb"]
    assert suites.get("failures") == "1"


@given(
    st.dictionaries(
        st.sampled_from(["password", "api_key", "shop_token"]),
        st.text(min_size=4).filter(str.strip),
        min_size=1,
    )
)
def test_no_secret_parameter_is_left_in_a_notebook(parameters):
    raw = {
        "nbformat": 4,
        "metadata": {"papermill": {"parameters": dict(parameters)}},
        "cells": [
            {
                "metadata": {"tags": ["injected-parameters"]},
                "source": "\n".join(f"{name} = {json.dumps(value)}" for name, value in parameters.items()),
                "outputs": [{"text": [f"it is {value}\n" for value in parameters.values()]}],
            }
        ],
    }

    kept = masked_notebook(raw, parameters, masker_of(parameters, {}))

    assert set(kept["metadata"]["papermill"]["parameters"].values()) == {MASK}
    assert all(
        line == f'{name} = "{MASK}"'
        for line, name in zip(kept["cells"][0]["source"].split("\n"), parameters, strict=True)
    )
    assert all(text == f"it is {MASK}\n" for text in kept["cells"][0]["outputs"][0]["text"])


@pytest.mark.parametrize("name", ["backend", "tokens_per_second", "monkey", "key", "public_key", ""])
def test_ordinary_names_are_no_secrets(name):
    assert not is_secret(name)
