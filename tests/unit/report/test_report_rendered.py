from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from clnrm_nb.errors import Diagnostic
from clnrm_nb.report.render import render_report
from clnrm_nb.report.results import Rendered
from clnrm_nb.report.sidebyside import aligned
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


def test_the_source_map_gives_columns_and_the_line_a_macro_was_written_on(tmp_path: Path) -> None:
    text = "{% macro f(x) %}\na = {{ x }}\n{% endmacro f %}\n  {{ self::f(x=1) }}\n"
    request = TemplateRequest(path=tmp_path / "m.tera", file="m.tera", project_root=tmp_path, text=text)

    view = Rendered(render(request), show_source_map=True)

    rows = {(view.text or "").split("\n")[row["line"] - 1]: row for row in view.raw["data"]["source_map"]}
    assert (rows["a = 1"]["source_line"], rows["a = 1"]["source_column"]) == (4, 3)
    assert rows["a = 1"]["related"] == [{"file": "m.tera", "line": 2, "column": 1}]
    assert "m.tera:4:3 < m.tera:2:1\ta = 1" in render_report(view)


def test_source_and_rendered_text_stand_side_by_side_line_for_line() -> None:
    places = [{"line": n, "file": "a", "source_line": m} for n, m in enumerate([1, 3, 4, 3, 4, 6], 1)]

    pairs = list(aligned(7, places, "a"))

    assert pairs == [
        (1, 1, False),
        (2, None, False),
        (3, 2, False),
        (4, 3, False),
        (3, 4, True),
        (4, 5, True),
        (5, None, False),
        (6, 6, False),
        (7, None, False),
    ]


@given(st.lists(st.integers(1, 12), max_size=20), st.integers(1, 12))
def test_every_line_of_both_sides_is_shown_and_rendered_ones_in_order(lines: list[int], n: int) -> None:
    places = [{"line": number, "file": "a", "source_line": line} for number, line in enumerate(lines, 1)]

    pairs = list(aligned(n, places, "a"))

    assert [right for _, right, _ in pairs if right] == list(range(1, len(lines) + 1))
    assert {left for left, _, _ in pairs if left} == set(range(1, n + 1))


def test_the_view_in_a_notebook_marks_what_validation_says(request_of: TemplateRequest) -> None:
    rendered = render(request_of)
    finding = Diagnostic("CLN301", "unknown key", rendered.file, 3, 1, 3, 6)

    view = Rendered(rendered, beside=[finding])

    page = view._repr_mimebundle_()["text/html"]
    assert "<mark class=odd>token</mark>" in page
    assert "CLN301" in page
    assert "CLN301" not in render_report(view)
    assert (view.raw["diagnostics"], view.exit_code) == ([], 0)


def test_a_large_template_keeps_within_the_weight_of_an_output(tmp_path: Path) -> None:
    text = "\n".join(f'key_{n} = "{{{{ {n} }}}}"' for n in range(3_000))
    request = TemplateRequest(path=tmp_path / "l.tera", file="l.tera", project_root=tmp_path, text=text)

    page = Rendered(render(request))._repr_mimebundle_()["text/html"]

    assert len(page) < 90_000
    assert "of 3,000" in page
