"""`dry-run` and `validate` as a person uses them: files in a project, no engine anywhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from clnrm_nb import api
from clnrm_nb.report.render import render_report
from clnrm_nb.schemas import schema

SCENARIO = """\
[meta]
name = "shop"
version = "1"

[secrets]
env = ["SHOP_TOKEN"]

[services.db]
image = "redis:7"
ports = ["0:6379"]
health_check = ["redis-cli", "ping"]

[services.web]
image = "web:1"
args = "serve --fast"
env = { MODE = "test", OTEL_TRACES_EXPORTER = "none" }
depends_on = ["db"]
capabilities = ["NET_RAW"]
volumes = [
  { host_path = "conf", container_path = "/conf", read_only = true },
  { host_path = "../outside", container_path = "/outside" },
]

[[scenario]]
name = "buy"
service = "web"
[[scenario.steps]]
name = "order"
command = "curl -H s3cret http://web/"
expected_exit_code = 3
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    (root / "conf").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (root / "pyproject.toml").touch()
    (root / "shop.clnrm.toml").write_text(SCENARIO)
    monkeypatch.chdir(root)
    monkeypatch.setenv("SHOP_TOKEN", "s3cret")
    # Nobody answers there: a dry run must not even ask.
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    return root


def test_the_plan_says_what_a_run_would_do_and_in_which_order(project):
    result = api.dry_run("shop.clnrm.toml")

    (plan,) = result.raw["data"]["plans"]
    db, web = plan["services"]
    assert (db["name"], db["ready"]) == ("db", ["port 6379 accepts", "its health command succeeds"])
    assert (web["name"], web["after"], web["argv"]) == ("web", ["db"], ["serve", "--fast"])
    assert web["env"] == ["MODE"]
    (command,) = plan["scenarios"][0]["commands"]
    assert (command["service"], command["expects"]) == ("web", ["exit 3"])
    assert plan["secrets"] == ["SHOP_TOKEN"]
    assert {"TRACEPARENT", "OTEL_EXPORTER_OTLP_ENDPOINT"} <= set(plan["injected"])
    assert not (project / ".clnrm").exists()


def test_what_needs_permission_is_listed_and_warned_about_at_its_place(project):
    result = api.dry_run("shop.clnrm.toml")

    outside = (project.parent / "outside").resolve()
    (plan,) = result.raw["data"]["plans"]
    assert [(each["word"], each["granted"]) for each in plan["permissions"]] == [
        ("capability:NET_RAW", False),
        (f"mount:{outside}", False),
    ]
    found = [(one["code"], one["severity"], one["line"]) for one in result.raw["diagnostics"]]
    assert ("CLN616", "warning", 13) in found
    assert ("CLN616", "warning", 21) in found
    assert (result.exit_code, result.raw["data"]["files"][0]["outcome"]) == (0, "ok-with-warnings")
    assert api.dry_run("shop.clnrm.toml", deny_warnings=True).exit_code == 1


def test_what_a_run_would_be_refused_for_fails(project, monkeypatch):
    monkeypatch.delenv("SHOP_TOKEN")
    (project / "conf").rmdir()

    result = api.dry_run("shop.clnrm.toml")

    errors = [(one["code"], one["line"]) for one in result.raw["diagnostics"] if one["severity"] == "error"]
    assert errors == [("CLN106", 6), ("CLN001", 20)]
    assert (result.exit_code, result.raw["data"]["files"][0]["outcome"]) == (2, "error")


def test_a_hermetic_test_that_cannot_be_is_refused(project):
    text = SCENARIO.replace('version = "1"', 'version = "1"\nhermetic = true')
    (project / "h.clnrm.toml").write_text(
        text.replace('"redis:7"', '"redis:7"\nnetwork = { mode = "bridge" }')
    )

    result = api.dry_run("h.clnrm.toml")

    assert [
        (one["code"], one["line"]) for one in result.raw["diagnostics"] if one["severity"] == "error"
    ] == [("CLN617", 4)]


def test_invalid_files_have_findings_and_no_plan(project):
    (project / "bad.clnrm.toml").write_text('[meta]\nname = "bad"\n')

    result = api.dry_run(["bad.clnrm.toml", "shop.clnrm.toml"])

    assert [plan["id"] for plan in result.raw["data"]["plans"]] == ["shop.clnrm.toml"]
    assert result.exit_code == 2


def test_secrets_stand_in_no_form_of_the_plan(project):
    result = api.dry_run("shop.clnrm.toml")

    for form in ("human", "json", "junit", "tap", "github", "html"):
        shown = render_report(result, form, verbose=True)
        assert "s3cret" not in shown, form
    assert "•••" in render_report(result)
    Draft202012Validator(schema("report")).validate(json.loads(render_report(result, "json")))


def test_a_secret_too_short_to_mask_is_warned_about_at_its_name(project, monkeypatch):
    monkeypatch.setenv("SHOP_TOKEN", "abc")

    result = api.dry_run("shop.clnrm.toml")

    assert ("CLN413", 6, "warning") in [
        (one["code"], one["line"], one["severity"]) for one in result.raw["diagnostics"]
    ]


def test_every_form_of_a_dry_run_says_what_is_not_right(project, monkeypatch):
    monkeypatch.delenv("SHOP_TOKEN")

    result = api.dry_run("shop.clnrm.toml")

    for form in ("human", "json", "junit", "tap", "github", "html"):
        assert "CLN106" in render_report(result, form), form


def test_a_cell_is_planned_too(project):
    cell = api.Cell("try", SCENARIO, project)

    result = api.dry_run(cell=cell)

    assert [plan["id"] for plan in result.raw["data"]["plans"]] == ["cell:try"]
    assert "in web: curl" in repr(result)


def test_findings_show_the_line_and_underline_the_place(project):
    (project / "k.clnrm.toml").write_text(SCENARIO.replace('image = "web:1"', 'imge = "web:1"'))

    result = api.validate("k.clnrm.toml")

    lines = render_report(result).splitlines()
    at = next(number for number, line in enumerate(lines) if "imge = " in line)
    assert lines[at] == '  14 │ imge = "web:1"'
    assert lines[at + 1] == "     │ ^^^^"
    page = result._repr_mimebundle_()["text/html"]
    assert "<mark class=odd>imge</mark>" in page
    assert 'href="k.clnrm.toml#line=13"' in page
    assert " id=" not in page


def test_a_finding_in_a_cell_shows_its_line_and_links_nowhere(project):
    result = api.validate(cell=api.Cell("try", SCENARIO.replace('"redis:7"', '"re dis"'), project))

    page = result._repr_mimebundle_()["text/html"]
    assert "<mark>&quot;re dis&quot;</mark>" in page
    assert "<a " not in page


def test_findings_of_an_included_file_show_its_lines(project):
    (project / "part.tera").write_text("# part\n{% for %}\n")
    (project / "i.clnrm.toml.tera").write_text('{% include "part.tera" %}\n' + SCENARIO)

    result = api.validate("i.clnrm.toml.tera")

    assert any("{% for %}" in line for line in render_report(result).splitlines())


def test_analyze_sees_the_spans_of_the_files_it_is_given(project):
    """``clnrm analyze --traces FILE`` said "no span was received" whatever the file held."""
    span = {"name": "buy", "trace_id": "1" * 32, "span_id": "1" * 16}
    (project / "t.json").write_text(json.dumps([span]))
    (project / "a.clnrm.toml").write_text(
        '[meta]\nname = "a"\nversion = "1"\n[[steps]]\nname = "x"\ncommand = "true"\n[[expect.span]]\nname = "buy"\n'
    )

    result = api.analyze("a.clnrm.toml", traces="t.json")

    assert [one["status"] for one in result.raw["data"]["tests"][0]["expectations"]] == ["passed"]


def test_a_result_is_kept_under_its_name_even_when_the_command_raises(project, monkeypatch):
    """``%clnrm validate --as d`` raised for an invalid file and left ``d`` undefined."""
    from IPython.core.interactiveshell import InteractiveShell

    from clnrm_nb.notebook.magics import load

    (project / "bad.clnrm.toml").write_text('[meta]\nname = "bad"\n')
    monkeypatch.setenv("IPYTHONDIR", str(project / ".ipython"))
    shell = InteractiveShell()
    load(shell)

    ran = shell.run_cell("%clnrm validate bad.clnrm.toml --as d")

    assert type(ran.error_in_exec).__name__ == "ValidationFailedError"
    assert shell.user_ns["d"].exit_code == 2
