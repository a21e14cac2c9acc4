"""``clnrm template``: every starter is complete, clean, and does what it says."""

from __future__ import annotations

import json

import pytest

from clnrm_nb import api
from clnrm_nb.cli.main import run_command_line
from clnrm_nb.errors import UsageError
from clnrm_nb.starters import ENDING, STARTERS, text_of

NOT_HERMETIC = {"full-validation", "lifecycle"}
"""Starters that also ask for what only containers can prove."""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project, as the working directory."""
    (tmp_path / "cleanroom.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def write(project):
    """Write a starter by the command; its path."""

    def written(name):
        path = project / f"{name}{ENDING}"
        api.template(name, output=path)
        return path

    return written


def test_the_list_has_every_starter_with_one_sentence(project):
    listed = api.template_list().frame

    assert list(listed["name"]) == list(STARTERS)
    assert all(sentence.endswith(".") for sentence in listed["shows"])


@pytest.mark.parametrize("name", STARTERS)
def test_a_starter_is_valid_and_free_of_lint(name, write):
    path = write(name)

    assert api.validate(path).raw["diagnostics"] == []
    assert api.lint(path).raw["diagnostics"] == []


@pytest.mark.parametrize("name", STARTERS)
def test_a_starter_stands_in_the_layout_of_fmt(name, write):
    path = write(name)

    assert api.fmt(path, check=True).exit_code == 0


@pytest.mark.parametrize("name", STARTERS)
def test_a_starter_explains_itself_first(name):
    lines = text_of(name).replace('{% import "_macros.toml.tera" as m %}\n', "").splitlines()

    assert lines[0].startswith("# ")
    assert f"#   clnrm run {name}{ENDING}" in lines[:8]
    assert max(map(len, lines[:20])) <= 120


@pytest.mark.parametrize("name", STARTERS)
def test_a_starter_passes_what_this_machine_can_prove(name, write):
    result = api.run(write(name), backend="process", timeout="60s")

    judged = [e for test in result.raw["data"]["tests"] for e in test["expectations"]]
    assert result.raw["summary"]["incomplete" if name in NOT_HERMETIC else "passed"] == len(result.tests)
    assert [e for e in judged if e["status"] == "failed"] == []
    assert len([e for e in judged if e["status"] == "passed"]) >= 1


def test_the_matrix_starter_is_a_test_for_each_combination(write):
    checked = api.validate(write("matrix"))

    assert len(checked.raw["data"]["files"]) == 4


def test_the_deterministic_starter_renders_the_same_text_twice(write):
    path = write("deterministic")

    assert api.render(path).text == api.render(path).text


def test_a_starter_goes_to_stdout_as_it_is(project, capsys):
    assert run_command_line(["template", "otel"]) == 0

    assert capsys.readouterr().out == text_of("otel")


def test_a_file_that_is_there_is_left_as_it_is(project):
    path = project / "mine.clnrm.toml.tera"
    path.write_text("mine")

    with pytest.raises(UsageError, match="is there already"):
        api.template("otel", output=path)

    assert path.read_text() == "mine"


def test_an_unknown_starter_is_answered_with_the_nearest(project):
    with pytest.raises(UsageError, match="did you mean `otel`") as caught:
        api.template("otle")

    assert caught.value.exit_code == 2


def test_template_render_and_template_list_live_beside_template_name(write, capsys):
    path = write("deterministic")

    assert run_command_line(["template", "list", "-f", "json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert run_command_line(["template", "render", str(path)]) == 0
    rendered = capsys.readouterr().out

    assert [row["name"] for row in listed["data"]["rows"]] == list(STARTERS)
    assert 'order_id = "d3b762c7' in rendered
