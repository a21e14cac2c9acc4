"""The public scenario files: each has the outcome, codes and line that the manifest of the corpus gives."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest

from clnrm_nb.template import TemplateRequest, render
from clnrm_nb.validation import check

CORPUS = Path(os.environ.get("CLNRM_CORPUS") or Path(__file__).parents[3] / "shared" / "corpus") / "scenarios"
TOML_CODES = ("CLN201", "CLN202", "CLN204")
MISSING = f"no scenario corpus at {CORPUS}; set CLNRM_CORPUS to the folder that holds `scenarios/`"


def _rows():
    if not (CORPUS / "manifest.csv").is_file():
        return [pytest.param(None, marks=pytest.mark.skip(reason=MISSING))]
    with (CORPUS / "manifest.csv").open(encoding="utf-8", newline="") as manifest:
        return [pytest.param(row, id=row["file"]) for row in csv.DictReader(manifest)]


def _codes(findings, severity):
    return " ".join(sorted({finding.code for finding in findings if finding.severity == severity}))


@pytest.mark.parametrize("row", _rows())
def test_a_public_file_has_the_outcome_of_the_manifest(row, tmp_path):
    (tmp_path / ".clnrm").mkdir()
    path = tmp_path / row["path"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((CORPUS / row["file"]).read_bytes())
    given = json.loads(row["variables"] or "{}")

    checked = check(
        render(
            TemplateRequest(
                path=path,
                file=row["path"],
                project_root=tmp_path,
                variables=given.get("vars", {}),
                environ=given.get("env", {}),
            )
        )
    )

    findings = checked.diagnostics
    if row["code"] in TOML_CODES:
        # The manifest stops at what is not TOML; what recovery finds elsewhere is not in its columns.
        findings = [finding for finding in findings if finding.code in TOML_CODES]
    errors = [finding for finding in findings if finding.severity == "error"]
    first = (errors[0].code, str(errors[0].line)) if errors else ("", "")
    assert {
        "expected": checked.outcome,
        "first error": first,
        "error_codes": _codes(findings, "error"),
        "warning_codes": _codes(findings, "warning"),
    } == {
        "expected": row["expected"],
        "first error": (row["code"], row["line"]),
        "error_codes": row["error_codes"],
        "warning_codes": row["warning_codes"],
    }, [str(finding) for finding in checked.diagnostics]
