"""Repairs of findings: what is offered, applied to the template, in the words of the person who wrote it."""

from __future__ import annotations

from pathlib import Path

import pytest

from clnrm_nb.fixes import apply_edits
from clnrm_nb.template import TemplateRequest, render
from clnrm_nb.validation import check

BASE = '[meta]\nname = "t"\nversion = "1"\n\n[services.api]\nimage = "x:1"\n\n[[steps]]\nname = "s"\ncommand = "true"\n'


def findings(text, *, style=False, file="a.clnrm.toml.tera"):
    request = TemplateRequest(path=Path(file), file=file, project_root=Path(), text=text)
    return check(render(request), style=style).diagnostics


def repaired(text, code, *, safe=True, style=False, file="a.clnrm.toml.tera"):
    """`text` after the fix of the only finding with that code."""
    (finding,) = [one for one in findings(text, style=style, file=file) if one.code == code]
    assert finding.fix is not None, str(finding)
    assert finding.fix.safe is safe
    return apply_edits(text, finding.fix.edits)


@pytest.mark.parametrize(
    ("code", "wrong", "right"),
    [
        ("CLN301", 'imge = "x:1"', 'image = "x:1"'),
        ("CLN303", "tags = 'a'", "tags = ['a']"),
        ("CLN303", "author = 5", 'author = "5"'),
        ("CLN303", 'priority = "5"', "priority = 5"),
        ("CLN303", 'hermetic = "yes"', "hermetic = true"),
        ("CLN306", "isolation = 'frsh'", "isolation = 'fresh'"),
        ("CLN312", 'timeout = "5 secnds"', 'timeout = "5 seconds"'),
        ("CLN312", 'timeout = "90"', 'timeout = "90s"'),
    ],
)
def test_a_slip_is_repaired_in_the_quotes_it_was_written_in(code, wrong, right):
    in_service = wrong.startswith("imge")
    text = (
        BASE.replace('image = "x:1"', wrong)
        if in_service
        else BASE.replace('version = "1"', f'version = "1"\n{wrong}')
    )

    assert repaired(text, code) == text.replace(wrong, right)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("[services.api.environment]\nA = '1'", "[services.api.env]\nA = '1'"),
        ('[services.api]\ntype = "generic_container"', '[services.api]\nplugin = "generic_container"'),
        ('[services.api]\nenv = ["A=1"]', '[services.api]\nenv = { A = "1" }'),
        ("[services.api]\nenv.A = 1  # one", '[services.api]\nenv.A = "1"  # one'),
        (
            '[services.api.resources]\nmemory_limit = "1g"\ncpu_limit = "0.5"',
            "[services.api.limits]\nmemory_mb = 1024\ncpu_millicores = 500",
        ),
        ('[expect.status]\nall = "ok"', '[expect.status]\nall = "OK"'),
        ("[expect.counts]\nspans_total = 3", "[expect.counts]\nspans_total = { eq = 3 }"),
        (
            "[expect.graph]\nmust_include = [{ parent = \"a\", child = 'b' }]",
            "[expect.graph]\nmust_include = [[\"a\", 'b']]",
        ),
        (
            '[[expect.span]]\nname = "a"\nattrs.all.http.method = "GET"',
            '[[expect.span]]\nname = "a"\nattrs.all."http.method" = "GET"',
        ),
        (
            '[[expect.span]]\nname = "a"\nattrs.any = ["k=v", "w"]',
            '[[expect.span]]\nname = "a"\nattrs.any = { "k" = "v", "w" = { exists = true } }',
        ),
        ('[[expect.span]]\nname = "a"\nevents = ["e"]', '[[expect.span]]\nname = "a"\nevents.all = ["e"]'),
    ],
)
def test_an_older_spelling_becomes_the_current_one(wrong, right):
    text = f'[meta]\nname = "t"\nversion = "1"\n[[steps]]\nname = "s"\ncommand = "true"\n{wrong}\n'
    found = [finding for finding in findings(text) if finding.code == "CLN308"]

    edits = {edit for finding in found for edit in finding.fix.edits}

    assert apply_edits(text, edits) == text.replace(wrong, right)


def test_a_key_is_renamed_wherever_it_is_mentioned():
    text = BASE.replace("[services.api]", '[servces.db]\nimage = "y:1"\n[servces.api]')

    assert repaired(text, "CLN301") == text.replace("servces", "services")


def test_text_that_a_loop_writes_many_times_is_edited_once():
    text = f'{BASE}{{% for n in [1, 2] %}}\n[[expect.span]]\nname = "{{{{ n }}}}"\nknd = "server"\n{{% endfor %}}\n'

    (finding,) = [one for one in findings(text) if one.code == "CLN301"]

    assert len(finding.fix.edits) == 1
    assert apply_edits(text, finding.fix.edits) == text.replace("knd", "kind")


@pytest.mark.parametrize(
    "line", ['{{ "imge" }} = "x:1"', 'im{{ "" }}ge = "x:1"', "{% set k = 'imge' %}{{ k }} = 'x:1'"]
)
def test_what_an_expression_wrote_has_no_fix(line):
    (finding,) = [one for one in findings(BASE.replace('image = "x:1"', line)) if one.code == "CLN301"]

    assert finding.fix is None


def test_a_name_as_near_to_two_words_is_no_safe_guess():
    text = f'{BASE}[[expect.span]]\nname = "ab"\n[[expect.span]]\nname = "ac"\n[expect.order]\nmust_precede = [["ad", "ab"]]\n'

    assert repaired(text, "CLN414", safe=False).count("ad") == 0


@pytest.mark.parametrize(
    ("wrong", "right", "code"),
    [
        ("{{ vars.prt }}", "{{ vars.port }}", "CLN102"),
        ("{{ vars.port | uper }}", "{{ vars.port | upper }}", "CLN103"),
        ("{{ fake_uid() }}", "{{ fake_uuid() }}", "CLN103"),
        ("{{ vars.port }", "{{ vars.port }}", "CLN101"),
        ("{{ }}", "{% raw %}{{ }}{% endraw %}", "CLN110"),
    ],
)
def test_a_slip_inside_a_marker_is_repaired(wrong, right, code):
    text = f'{BASE}[vars]\nport = "80"\n[report]\njson = "{wrong}"\nhtml = "{{{{ vars.port }}}}"\n'

    assert repaired(text, code) == text.replace(f'"{wrong}"', f'"{right}"')


def test_a_fix_in_the_json_form_has_what_an_editor_needs():
    (finding,) = [one for one in findings(BASE.replace("image", "imge")) if one.code == "CLN301"]

    assert finding.to_json()["fix"] == {
        "title": "Rename to `image`",
        "safe": True,
        "edits": [{"line": 6, "column": 1, "end_line": 6, "end_column": 5, "text": "image"}],
    }


@pytest.mark.parametrize(
    ("new", "old"),
    [
        ('json = "\\e"', 'json = "\\u001B"'),
        ('json = "\\x41"', 'json = "\\u0041"'),
        ('digest = {\n  path = "x",\n}', 'digest = { path = "x" }'),
        ('digest = { path = "x", }', 'digest = { path = "x" }'),
    ],
)
def test_what_only_toml_1_1_knows_is_written_as_1_0_does(new, old):
    text = f"{BASE}[report]\n{new}\n"
    request = TemplateRequest(path=Path("a.clnrm.toml"), file="a.clnrm.toml", project_root=Path(), text=text)

    (finding,) = [
        one for one in check(render(request), strict_toml="1.0").diagnostics if one.code == "CLN203"
    ]

    assert apply_edits(text, finding.fix.edits) == f"{BASE}[report]\n{old}\n"


def test_a_marker_that_is_never_closed_hides_nothing_behind_it():
    text = f'{BASE}[report]\njson = "{{{{ 1 }}"\nhtml = "{{{{ nothing }}}}"\njunt = "{{{{ 2 }}}}"\n'

    assert [(one.code, one.line) for one in findings(text)] == [
        ("CLN101", 12),
        ("CLN102", 13),
        ("CLN301", 14),
    ]


# ------------------------------------------------------------------------- one pass over a broken file


def test_one_broken_table_does_not_hide_findings_in_the_others():
    text = (
        BASE.replace('command = "true"', 'command = "true')
        + '[expect.status]\nall = "OKK"\n[[scenario]]\nname = "x"\nrun = "{{ nothing }}"\nservice = "apj"\n'
    )

    assert {(one.code, one.line) for one in findings(text)} == {
        ("CLN201", 10), ("CLN306", 12), ("CLN102", 15), ("CLN401", 16),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ('name = "s', "CLN201"),  # The step seems to have no name.
        ("[services.api", "CLN201"),  # Its service seems not to exist.
        ('image = "{{ nothing }}"', "CLN102"),  # The image seems to be blank.
    ],
)
def test_what_only_follows_from_a_broken_statement_is_not_said(wrong, code):
    right = {"n": 'name = "s"', "[": "[services.api]", "i": 'image = "x:1"'}[wrong[0]]
    text = f'{BASE}service = "api"\n'.replace(right, wrong)

    assert [one.code for one in findings(text)] == [code]


def test_an_undefined_name_in_a_loop_hides_only_the_loop():
    text = f'{BASE}{{% for x in vars.lst %}}\n[[expect.span]]\nname = "{{{{ x }}}}"\n{{% endfor %}}\n[report]\njsn = "x"\n'

    assert [(one.code, one.line) for one in findings(text)] == [("CLN102", 11), ("CLN301", 16)]


# --------------------------------------------------------------------------------------- style, CLN50x


@pytest.mark.parametrize(
    ("code", "line", "text"),
    [
        ("CLN501", 1, BASE),
        ("CLN502", 12, f'{BASE}\n[otel]\nexporter = "otlp"\n'),
        ("CLN503", 13, f'{BASE}\n[[scenario]]\nname = "a b"\nrun = "true"\n'),
        ("CLN504", 6, BASE.replace("x:1", "x")),
        ("CLN504", 6, BASE.replace("x:1", "host:5000/x:latest")),
        ("CLN505", 1, BASE),
        ("CLN506", 10, BASE.replace('"true"', '"a | b"')),
        ("CLN507", 12, f"{BASE}\n[determinism]\n# {{{{ now_unix() }}}}\n"),
        ("CLN508", 2, BASE.replace("name =", "name  =", 1)),
        ("CLN508", 10, BASE.replace('name = "s"\ncommand = "true"', 'command = "true"\nname = "s"')),
    ],
)  # fmt: skip
def test_a_rule_of_style_is_reported_at_its_line(code, line, text):
    assert (code, line) in {(one.code, one.line) for one in findings(text, style=True)}
    assert not [one for one in findings(text) if one.code.startswith("CLN5")]


@pytest.mark.parametrize(
    "text",
    [
        BASE.replace("x:1", f"x@sha256:{'0' * 64}"),
        BASE.replace('"true"', '"set -o pipefail; a | b"'),
        BASE.replace('"true"', '"a || b"'),
        BASE.replace('"true"', "\"echo 'a | b'\""),
    ],
)
def test_good_style_is_left_alone(text):
    assert {one.code for one in findings(text, style=True)} <= {"CLN501", "CLN505"}


def test_metadata_moves_to_the_front_with_its_comment():
    text = '[vars]\na = 1\n\n# about\n[meta]\nname = "t"\nversion = "1"\n\n[[steps]]\nname = "s"\ncommand = "true"\n'

    after = repaired(text, "CLN508", style=True, file="a.clnrm.toml")

    assert after == (
        '# about\n[meta]\nname = "t"\nversion = "1"\n\n[vars]\na = 1\n\n[[steps]]\nname = "s"\ncommand = "true"\n'
    )


def test_a_service_is_never_repaired_into_depending_on_itself():
    text = BASE.replace('image = "x:1"', 'image = "x:1"\ndepends_on = ["apii"]')

    found = [one for one in findings(text) if one.code == "CLN401"]

    assert len(found) == 1
    assert "`api`" not in found[0].message.replace("`apii`", "")
    assert found[0].fix is None


def test_a_name_of_which_most_is_another_is_no_safe_repair():
    text = BASE.replace("[[steps]]", '[services.db]\nimage = "x:1"\n\n[[steps]]').replace(
        'command = "true"', 'command = "true"\nservice = "wbe"'
    )

    found = [one for one in findings(text) if one.code == "CLN401"]

    assert found[0].fix is None or not found[0].fix.safe
