"""Own cases of the template language: one JSON object a line, added without code.

Fields: ``id``, ``feature``, ``template``; optional ``variables``, ``env``, ``files`` (name → text, beside the
template); then ``output``, or ``error`` with the ``line`` and ``column`` of its first finding.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clnrm_nb.template import TemplateRequest, render

CASES = [
    json.loads(line)
    for line in (Path(__file__).parent / "data" / "template" / "cases.jsonl").read_text("utf-8").splitlines()
]


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_template_case_renders_as_stated(case, tmp_path):
    for name, text in case.get("files", {}).items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    request = TemplateRequest(
        path=tmp_path / "case.clnrm.toml.tera",
        file="case.clnrm.toml.tera",
        project_root=tmp_path,
        text=case["template"],
        variables=case.get("variables", {}),
        environ=case.get("env", {}),
    )

    rendered = render(request)

    errors = [d for d in rendered.diagnostics if d.severity == "error"]
    if "output" in case:
        assert [str(d) for d in errors] == []
        assert rendered.text == case["output"]
    else:
        assert rendered.text is None
        assert [(d.code, d.line, d.column) for d in errors] == [(case["error"], case["line"], case["column"])]


def test_template_case_ids_are_unique():
    ids = [case["id"] for case in CASES]

    assert len(ids) == len(set(ids))
