from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from clnrm_nb.report.render import render_report
from clnrm_nb.report.results import Rendered
from clnrm_nb.schemas import schema
from clnrm_nb.template import TemplateRequest, render

SOURCE = '{% for n in [1, 2] %}\n[s{{ n }}]\ntoken = "{{ token }}"\n{% endfor %}\n'


@pytest.fixture
def request_of(tmp_path: Path) -> TemplateRequest:
    path = tmp_path / "a.clnrm.toml.tera"
    return TemplateRequest(
        path=path, file=path.name, project_root=tmp_path, text=SOURCE, variables={"token": "s3cret<b>"}
    )


def test_a_rendered_template_comes_out_as_it_is(request_of: TemplateRequest) -> None:
    rendered = render(request_of)
    view = Rendered(rendered)

    assert view.ok
    assert render_report(view, "human").splitlines() == (rendered.text or "").splitlines()
    assert view.raw["data"] == {"file": "a.clnrm.toml.tera", "text": rendered.text}
    assert "<b>" not in view._repr_mimebundle_()["text/html"].split("variables")[0].split("</style>")[1]
    Draft202012Validator(schema("report")).validate(json.loads(render_report(view, "json")))


def test_variables_are_shown_with_their_origins_on_request(request_of: TemplateRequest) -> None:
    view = Rendered(render(request_of), show_vars=True)

    (token,) = [row for row in view.raw["data"]["variables"] if row["name"] == "token"]
    assert token["value"] == "s3cret<b>"
    assert token["origin"]
    assert "variable" in render_report(view, "human")


def test_the_source_line_of_each_line_is_shown_on_request(request_of: TemplateRequest) -> None:
    view = Rendered(render(request_of), show_source_map=True)

    text = (view.text or "").splitlines()
    lines = {text[row["line"] - 1]: row["source_line"] for row in view.raw["data"]["source_map"]}
    assert lines["[s1]"] == lines["[s2]"] == 2
    assert "a.clnrm.toml.tera:2" in render_report(view, "human")


def test_secrets_in_a_rendered_template_are_masked(request_of: TemplateRequest) -> None:
    view = Rendered(render(request_of), show_vars=True, mask=lambda text: text.replace("s3cret", "•••"))

    shown = json.dumps([view.raw, view.variables, view.text, view._repr_mimebundle_()])
    assert "s3cret" not in shown


def test_a_template_that_fails_shows_its_findings(request_of: TemplateRequest, tmp_path: Path) -> None:
    bad = TemplateRequest(path=request_of.path, file="a.tera", project_root=tmp_path, text="{{ nobody }}")

    view = Rendered(render(bad))

    assert (view.ok, view.exit_code, view.text) == (False, 2, None)
    assert "CLN102" in render_report(view, "human")
    assert list(view.frame["code"]) == ["CLN102"]
