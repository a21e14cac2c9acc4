"""Reading, modes, variables, dependencies and findings of a rendering."""

from __future__ import annotations

import hashlib

import pytest

from clnrm_nb.template import TemplateRequest, Variable, render


@pytest.fixture
def rendering(tmp_path):
    def run(text, *, file="a.clnrm.toml.tera", **given):
        return render(TemplateRequest(tmp_path / file, file, tmp_path, text=text, **given))

    return run


def _places(rendered):
    return [(d.code, d.file, d.line, d.column) for d in rendered.diagnostics]


def test_template_missing_file_is_a_finding(tmp_path):
    rendered = render(TemplateRequest(tmp_path / "no.clnrm.toml", "no.clnrm.toml", tmp_path))

    assert rendered.text is None
    (finding,) = rendered.diagnostics
    assert finding.code == "CLN001"
    assert finding.message == "cannot read `no.clnrm.toml`: no such file"


def test_template_file_that_is_not_utf8_names_byte_and_place(tmp_path):
    path = tmp_path / "a.clnrm.toml"
    path.write_bytes(b"a = 1\nb = \xff\n")

    (finding,) = render(TemplateRequest(path, "a.clnrm.toml", tmp_path)).diagnostics

    assert finding.message == "byte 0xff at offset 10 is not UTF-8"
    assert (finding.code, finding.line, finding.column) == ("CLN002", 2, 5)


def test_template_byte_order_mark_is_no_part_of_the_text(tmp_path):
    path = tmp_path / "a.clnrm.toml"
    path.write_bytes(b"\xef\xbb\xbfa = 1\r\n")

    rendered = render(TemplateRequest(path, "a.clnrm.toml", tmp_path))

    assert rendered.text == rendered.source == "a = 1\r\n"
    assert rendered.templated is False


@pytest.mark.parametrize(
    ("file", "text", "no_template", "expected"),
    [
        ("a.clnrm.toml", "x = 1", False, ("x = 1", False)),
        ("a.clnrm.toml", "{{ svc }}", False, ("clnrm", True)),
        ("a.clnrm.toml", "{{ svc }}", True, ("{{ svc }}", False)),
        (
            "a.clnrm.toml",
            "# clnrm: no-template\n{{ svc }}",
            False,
            ("# clnrm: no-template\n{{ svc }}", False),
        ),
        ("a.clnrm.toml", "\n# clnrm: no-template\n{{ svc }}", False, ("\n# clnrm: no-template\nclnrm", True)),
        ("a.clnrm.toml.tera", "{{ svc }}", True, ("clnrm", True)),
        (
            "a.clnrm.toml.tera",
            "# clnrm: no-template\n{{ svc }}",
            False,
            ("# clnrm: no-template\nclnrm", True),
        ),
        ("a.clnrm.toml.tera", "x = 1", False, ("x = 1", True)),
    ],
)
def test_template_markers_mean_something_where_the_format_says_so(
    rendering, file, text, no_template, expected
):
    rendered = rendering(text, file=file, no_template=no_template)

    assert (rendered.text, rendered.templated) == expected


def test_template_precedence_is_argument_parameter_file_environment_default(rendering):
    text = "[template.vars]\na = 't'\nb = 't'\nc = 't'\nd = 't'\nenv = 't'\n"
    text += "[vars]\na = 'v'\nb = 'v'\nc = 'v'\n\n"
    text += "{{ a }}{{ b }}{{ c }}{{ d }} {{ env }} {{ svc }} {{ token }}|{{ params.b }}"

    rendered = rendering(
        text,
        variables={"a": "A"},
        parameters={"a": "P", "b": "P"},
        environ={"ENV": "e", "SERVICE_NAME": "s", "OTEL_TOKEN": ""},
    )

    assert rendered.text.splitlines()[-1] == "APvt t s |P"
    origins = {variable.name: variable.origin for variable in rendered.variables}
    assert origins == {
        "svc": "environment SERVICE_NAME",
        "env": "[template.vars]",
        "endpoint": "default",
        "exporter": "default",
        "image": "default",
        "freeze_clock": "default",
        "token": "environment OTEL_TOKEN",
        "a": "argument",
        "b": "parameter",
        "c": "[vars]",
        "d": "[template.vars]",
    }
    assert Variable("a", "A", "argument") in rendered.variables


def test_template_values_from_python_become_values_of_the_language(rendering):
    rendered = rendering("{{ t }}{{ d.k.0 }}", variables={"t": (1, 2), "d": {"k": (True,)}})

    assert rendered.text == "[1, 2]true"


def test_template_variable_statement_is_rendered_once(rendering):
    rendered = rendering(
        '[vars]\nid = \'{{ uuid_v4() }}\'\nn = {{ seq("n") }}\n\n{{ id }} {{ n }} {{ seq("n") }}'
    )

    first, second, _, last = rendered.text.splitlines()[1:]
    assert last == f"{first[6:-1]} 0 1"
    assert second == "n = 0"


def test_template_seed_below_its_first_use_still_counts(rendering):
    text = "[vars]\nid = '{{{{ uuid_v4() }}}}'\n[determinism]\nseed = {seed}\n"

    static = rendering(text.format(seed=7))
    computed = rendering(text.format(seed="{{ 3 + 4 }}"))

    assert static.text.splitlines()[1] == computed.text.splitlines()[1]
    assert not computed.dependencies.nondeterministic


def test_template_dependencies_hold_what_was_read(rendering, tmp_path):
    (tmp_path / "m.tera").write_text("{% macro f() %}{{ get_env('B', 'x') }}{% endmacro %}")
    text = '{% import "m.tera" as m %}{{ m::f() }}{{ env.A }}{{ svc }}{{ vars.image }}{{ matrix.db }}'
    text += '{% include ["no.tera", "m.tera"] %}'

    rendered = rendering(text, environ={"A": "1"}, matrix={"db": "pg"})

    reads = rendered.dependencies
    assert reads.files == {
        "a.clnrm.toml.tera": hashlib.sha256(text.encode()).hexdigest(),
        "m.tera": hashlib.sha256((tmp_path / "m.tera").read_bytes()).hexdigest(),
    }
    assert reads.missing_files[:2] == ("templates/m.tera", "no.tera") or "no.tera" in reads.missing_files
    assert reads.environment == {"A": "1", "B": None, "SERVICE_NAME": None, "CLNRM_IMAGE": None}
    assert {"svc", "image", "matrix.db"} <= reads.variables
    assert not reads.nondeterministic


def test_template_dependencies_know_parents_lists_and_files_that_are_missing(rendering, tmp_path):
    (tmp_path / "base.tera").write_text("{% block a %}{% endblock %}{{ get_env(name='B', default='x') }}")
    (tmp_path / "part.tera").write_text("{{ token }}")
    text = '{% extends "base.tera" %}{% block a %}{% include ["no.tera", "part.tera"] %}'
    text += '{% include "gone.tera" ignore missing %}{{ vars.q | default("z") }}{{ env.A | default("y") }}{% endblock %}'

    reads = rendering(text, environ={"B": "1"}).dependencies

    assert reads.files.keys() == {"a.clnrm.toml.tera", "base.tera", "part.tera"}
    assert reads.missing_files == ("no.tera", "templates/no.tera", "gone.tera", "templates/gone.tera")
    assert reads.environment == {"A": None, "B": "1", "OTEL_TOKEN": None}
    assert reads.variables == {"token", "q"}


def test_template_clock_and_random_seed_make_a_rendering_nondeterministic(rendering):
    assert rendering("{{ now() }}").dependencies.nondeterministic
    assert rendering("{{ uuid_v4() }}").dependencies.nondeterministic
    assert not rendering("{{ uuid_v4(seed=1) }}").dependencies.nondeterministic


def test_template_whole_namespace_counts_as_read_with_all_members(rendering):
    rendered = rendering("{{ vars | json_encode }}", variables={"extra": 1})

    assert {"extra", "svc", "token"} <= rendered.dependencies.variables


def test_template_every_independent_mistake_is_found_in_one_pass(rendering):
    rendered = rendering(
        "{{ naem }}\n{% if a == 1 %}{% endif %}\n{{ 1 | uper }}\n{{ env.NO }}\n", variables={"name": 1}
    )

    assert [(d.code, d.line) for d in rendered.diagnostics] == [
        ("CLN102", 1),
        ("CLN102", 2),
        ("CLN103", 3),
        ("CLN106", 4),
    ]
    assert rendered.diagnostics[0].message == "`naem` is undefined; did you mean `name`?"


def test_template_every_syntax_mistake_is_found_in_one_pass(rendering):
    rendered = rendering("{{ 1 + }}\n{% iff a %}\n{% endif %}\n{{ ok }}{{ 'x }}\n")

    assert [(d.code, d.line) for d in rendered.diagnostics] == [("CLN101", 1), ("CLN101", 2), ("CLN101", 4)]
    assert rendered.diagnostics[1].message == "unknown statement `iff`; did you mean `if`?"


def test_template_failed_assignment_has_no_consequences(rendering):
    rendered = rendering("{% set a = nope %}{{ a }}{{ a ~ 1 }}")

    assert _places(rendered) == [("CLN102", "a.clnrm.toml.tera", 1, 1)]


def test_template_fault_in_a_macro_is_reported_there_with_its_calls(rendering, tmp_path):
    (tmp_path / "m.tera").write_text("\n{% macro f(x) %}\n  {{ x | upper }}{% endmacro %}")

    (finding,) = rendering('{% import "m.tera" as m %}\n a {{ m::f(1) }}').diagnostics

    assert (finding.file, finding.line, finding.column, finding.end_column) == ("m.tera", 3, 3, 18)
    assert [(r.file, r.line, r.column) for r in finding.related] == [("a.clnrm.toml.tera", 2, 4)]


def test_template_fault_in_the_builtin_library_is_reported_at_the_call(rendering):
    (finding,) = rendering('{% import "_macros.toml.tera" as m %}\n\n {{ m::edges([[none]]) }}').diagnostics

    assert (finding.code, finding.file, finding.line, finding.column) == ("CLN105", "a.clnrm.toml.tera", 3, 2)


def test_template_syntax_mistake_of_an_imported_file_is_reported_in_it(rendering, tmp_path):
    (tmp_path / "m.tera").write_text("x\n{% if %}{% endif %}")

    (finding,) = rendering('\n{% import "m.tera" as m %}').diagnostics

    assert (finding.code, finding.file, finding.line, finding.column) == ("CLN101", "m.tera", 2, 1)
    assert [(r.file, r.line) for r in finding.related] == [("a.clnrm.toml.tera", 2)]


def test_template_own_macro_call_in_a_file_without_that_macro_names_its_import(rendering):
    (finding,) = rendering('{% import "_macros.toml.tera" as m %}{{ window("a", "b") }}').diagnostics

    assert finding.message == "unknown function `window`"
    assert finding.hint == "`window` is a macro of `m`: write `m::window(…)`"


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("{{ 'x' | replace(from='a') }}", "CLN104", "`replace` needs `to`"),
        ("{{ 'a' + 1 }}", "CLN105", "cannot add a string and a number"),
        ("{{ {} }}", "CLN109", "an object cannot be printed; use `json_encode`"),
        ("{{ env.CI_JOB_ID }}", "CLN106", "environment variable `CI_JOB_ID` is not set and has no default"),
        ("{% include 'x.tera' %}", "CLN107", "cannot find template `x.tera`"),
        ("{{ vars.imge }}", "CLN102", "`vars.imge` is undefined; did you mean `vars.image`?"),
        ("{{ 1 | uper }}", "CLN103", "unknown filter `uper`; did you mean `upper`?"),
        ("{% for x in [1] %}{% endfor x %}", "CLN101", "expected `%}` after `endfor`, got `x`"),
        ("{{ throw(message='stop') }}", "CLN105", "stop"),
    ],
)
def test_template_message_says_what_is_wrong(rendering, text, code, message):
    (finding,) = rendering(text).diagnostics

    assert (finding.code, finding.message) == (code, message)


@pytest.mark.parametrize(
    ("text", "code", "message", "column"),
    [
        ("a {{ }}", "CLN110", "`{{ }}` kept as text", 3),
        ("a {# b", "CLN111", "`{#` is never closed; kept as text", 3),
        ("a {{ '{{' ~ 'x' }}", "CLN112", "rendered value still contains `{{`", 3),
    ],
)
def test_template_warnings_do_not_stop_rendering(rendering, text, code, message, column):
    rendered = rendering(text)

    (finding,) = rendered.diagnostics
    assert rendered.text is not None
    assert (finding.code, finding.message, finding.column, finding.severity) == (
        code,
        message,
        column,
        "warning",
    )


def test_template_markers_in_macro_output_are_reported_once_at_the_call(rendering):
    rendered = rendering(
        "{% macro a(x) %}{{ x }}{% endmacro %}\n{% for i in [1, 2] %}{{ a('{{') }}{% endfor %}"
    )

    assert [(d.code, d.line, d.column) for d in rendered.diagnostics] == [("CLN112", 2, 22)]


def test_template_library_is_checked_for_syntax_only(rendering):
    run = rendering("{{ nope }}{% macro a(x) %}{% endmacro %}", file="lib/_m.clnrm.toml.tera")
    broken = rendering("{{ 1 + }}", file="lib/_m.clnrm.toml.tera")

    assert (run.library, run.text, run.diagnostics) == (True, "", [])
    assert (broken.library, broken.text) == (True, None)


def test_template_two_files_of_equal_content_do_not_share_their_place(tmp_path):
    text = '{% include "x.tera" %}'
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.tera").write_text(name)

    requests = [
        TemplateRequest(tmp_path / name / "a.tera", f"{name}/a.tera", tmp_path, text=text)
        for name in ("one", "two")
    ]

    assert [render(request).text for request in requests] == ["one", "two"]
