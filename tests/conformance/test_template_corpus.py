"""The public conformance corpus of the language: what Tera 1.20.0 prints, and what it refuses."""

from __future__ import annotations

import csv
import json
import os
from collections import OrderedDict
from pathlib import Path

import pytest
from jinja2 import pass_context

from clnrm_nb.template import TemplateRequest, combinations, compiler, render

CORPUS = Path(os.environ.get("CLNRM_CORPUS") or Path(__file__).parents[3] / "shared" / "corpus")
MISSING = f"no corpus at {CORPUS}; set CLNRM_CORPUS to the folder that holds `tera/` and `rendered/`"
CASES = CORPUS / "tera" / "cases.jsonl"
MANIFEST = CORPUS / "scenarios" / "manifest.csv"


def _cases():
    if not CASES.is_file():
        return []
    return [json.loads(line) for line in CASES.read_text("utf-8").splitlines()]


def _scenarios():
    if not MANIFEST.is_file():
        return []
    with MANIFEST.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def _render_scenario(row, root):
    given = json.loads(row["variables"] or "{}")
    request = TemplateRequest(
        path=root / row["path"],
        file=row["path"],
        project_root=root,
        text=(MANIFEST.parent / row["file"]).read_text("utf-8"),
        variables=given.get("vars", {}),
        environ=given.get("env", {}),
    )
    return request, render(request)


@pytest.mark.skipif(not CASES.is_file(), reason=MISSING)
def test_template_corpus_is_whole():
    assert len(_cases()) == 476


@pytest.mark.parametrize("case", _cases(), ids=lambda case: case["id"])
def test_template_renders_as_tera_does(case, tmp_path):
    if case.get("macros") is not None:
        (tmp_path / "_macros.toml.tera").write_text(case["macros"], "utf-8")
    request = TemplateRequest(
        path=tmp_path / "template.tera",
        file="template.tera",
        project_root=tmp_path,
        text=case["template"],
        context=case.get("context") or {},
        environ=case.get("env") or {},
    )

    rendered = render(request)

    errors = {d.code for d in rendered.diagnostics if d.severity == "error"}
    if "output" in case:
        assert errors == set()
        assert rendered.text == case["output"]
    else:
        assert rendered.text is None
        assert errors == {case["error"]}


@pytest.mark.parametrize(
    "row",
    [row for row in _scenarios() if row["reference_renders"] == "yes"],
    ids=lambda row: row["file"],
)
def test_template_scenario_renders_byte_for_byte(row, tmp_path, monkeypatch):
    # Compiled templates keep the functions they were compiled with; other tests must not get these.
    monkeypatch.setattr(compiler, "_units", OrderedDict())
    for name in row["stubs"].split():
        stub = pass_context(lambda _active, *_values, name=name: f"<{name}>")
        for role in ("function", "filter"):
            if f"{role}:{name}" in compiler.PLAIN.filters:
                monkeypatch.setitem(compiler.PLAIN.filters, f"{role}:{name}", stub)

    _, rendered = _render_scenario(row, tmp_path)

    assert rendered.text == (CORPUS / "rendered" / row["file"]).read_bytes().decode("utf-8")


@pytest.mark.parametrize("row", _scenarios(), ids=lambda row: row["file"])
def test_template_scenario_has_no_template_finding_but_the_stated_ones(row, tmp_path):
    request, rendered = _render_scenario(row, tmp_path)

    stated = {c for c in f"{row['warning_codes']} {row['error_codes']}".split() if c.startswith("CLN1")}
    assert {d.code for d in rendered.diagnostics} == stated
    assert combinations(request) == ([{}], [])
