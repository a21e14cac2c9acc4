"""Each rule of a scenario file, as data: ``scenario_codes.toml`` has files that break it, with places."""

from __future__ import annotations

from pathlib import Path

import pytest
import tomli

from clnrm_nb.codes import CODES
from clnrm_nb.template import TemplateRequest, render
from clnrm_nb.validation import check

BASE = """\
[meta]
name = "t"
version = "1"
[[steps]]
name = "s"
command = "true"
"""
CASES = tomli.loads(Path(__file__).with_name("scenario_codes.toml").read_text("utf-8"))["case"]


def _found(text, *, with_infos):
    request = TemplateRequest(
        path=Path("a.clnrm.toml"),
        file="a.clnrm.toml",
        project_root=Path(),
        text=BASE + text,
        no_template=True,
    )
    offset = BASE.count("\n")
    return [
        f"{finding.code}@{max(finding.line - offset, 0)}:{finding.column}"
        for finding in check(render(request)).diagnostics
        if with_infos or finding.severity != "info"
    ]


def test_the_file_in_front_of_every_case_has_no_findings():
    assert _found("", with_infos=True) == []


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_rule_has_its_code_at_its_place(case):
    names_an_info = any(CODES[finding[:6]].severity == "info" for finding in case["findings"])

    assert _found(case["text"], with_infos=names_an_info) == case["findings"]
