"""The panel's form: what is typed becomes a value of its type, and the command that says the same."""

from pathlib import Path

import pytest

from clnrm_nb.api.panels import PanelTest, PanelVariable, kind_of, panel, panel_tests
from clnrm_nb.commands.tree import build_tree
from clnrm_nb.notebook.form import FieldError, Form, words_of

TEXT = """\
[meta]
name = "t"
version = "1"
[vars]
port = 8080
ratio = 0.5
greeting = "hello"
loud = true
sizes = [1, 2]
api_token = "hidden"
[[steps]]
name = "s"
command = ["echo", "{{ greeting }} {{ port }}"]
"""


@pytest.fixture
def test_of_file(tmp_path, monkeypatch):
    (tmp_path / "t.clnrm.toml.tera").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    [found] = panel_tests(".")
    return found


def variable(test, name) -> PanelVariable:
    return next(one for one in test.variables if one.name == name)


def test_variables_have_type_origin_and_default(test_of_file):
    port = variable(test_of_file, "port")

    assert (port.value, port.kind, port.origin, port.is_own) == (8080, "integer", "[vars]", True)
    assert not variable(test_of_file, "exporter").is_own
    assert variable(test_of_file, "api_token").is_secret


def test_own_variables_come_first(test_of_file):
    owned = [one.is_own for one in test_of_file.variables]

    assert owned == sorted(owned, reverse=True)


@pytest.mark.parametrize(
    ("name", "typed", "value"),
    [
        ("port", "9090", 9090),
        ("ratio", "2", 2),
        ("greeting", "12", "12"),
        ("loud", False, False),
        ("sizes", "[3]", [3]),
    ],
)
def test_typed_text_becomes_a_value_of_the_type(test_of_file, name, typed, value):
    form = Form(test_of_file)

    form.put(variable(test_of_file, name), typed)

    assert form.changed == {name: value}


@pytest.mark.parametrize(
    ("name", "typed"), [("port", "many"), ("port", "true"), ("port", "1.5"), ("sizes", "[")]
)
def test_text_of_another_type_is_refused_and_the_last_value_stays(test_of_file, name, typed):
    form = Form(test_of_file)

    with pytest.raises(FieldError, match=name):
        form.put(variable(test_of_file, name), typed)
    assert form.changed == {}


def test_the_default_again_is_no_change(test_of_file):
    form = Form(test_of_file)
    form.put(variable(test_of_file, "port"), "9090")

    form.put(variable(test_of_file, "port"), "8080")

    assert form.changed == {}


def test_the_command_says_what_was_changed_and_can_be_typed(test_of_file):
    form = Form(test_of_file, ["--backend", "process"])
    form.put(variable(test_of_file, "port"), "9090")
    form.put(variable(test_of_file, "greeting"), "hello you")

    command = form.command("run")

    assert command == "%clnrm run t.clnrm.toml.tera -m port:=9090 -m 'greeting=hello you' --backend process"


def test_secrets_do_not_stand_in_commands_or_lists(test_of_file):
    form = Form(test_of_file)
    form.put(variable(test_of_file, "api_token"), "swordfish")

    assert "swordfish" not in form.command("run")
    assert "hidden" not in repr(panel("."))


def test_flags_of_the_panel_are_taken_over():
    tree = build_tree(notebook=True)
    call = tree.main(
        ["panel", "x", "--backend", "process", "--no-template", "-p", "a=1"], standalone_mode=False
    )

    assert words_of(call) == ["--no-template", "--backend", "process"]


def test_a_matrix_combination_is_named_by_its_test():
    test = PanelTest("m.clnrm.toml[db=pg]", Path("m.clnrm.toml").resolve(), {"db": "pg"}, "ok", ())

    assert "--only 'm.clnrm.toml[db=pg]'" in Form(test).command("run")
    assert "--matrix db=pg" in Form(test).command("render")


@pytest.mark.parametrize(
    ("value", "word"),
    [(True, "boolean"), (1, "integer"), (1.5, "number"), ("x", "text"), ([], "json"), (None, "json")],
)
def test_every_value_has_a_word_for_its_type(value, word):
    assert kind_of(value) == word
