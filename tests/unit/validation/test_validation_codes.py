"""The validator as a whole; each single rule is a case of ``conformance/scenario_codes.toml``."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest

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
SPAN = '[[expect.span]]\nname = "a"\n'


def _check(text):
    request = TemplateRequest(
        path=Path("a.clnrm.toml"), file="a.clnrm.toml", project_root=Path(), text=text, no_template=True
    )
    return check(render(request))


def _found(case, *, base=BASE, infos=False):
    offset = base.count("\n")
    return [
        f"{finding.code}@{max(finding.line - offset, 0)}:{finding.column}"
        for finding in _check(base + textwrap.dedent(case)).diagnostics
        if infos or finding.severity != "info"
    ]


def test_the_base_of_all_cases_is_without_findings():
    assert _found("", infos=True) == []


@pytest.mark.parametrize(
    ("text", "findings"),
    [
        ("", ["CLN310@1:1", "CLN311@1:1"]),
        ('[meta]\nname = "a"\nversion = "1"\n', ["CLN311@1:1"]),
        ('steps = []\n[meta]\nname = "a"\nversion = "1"\n', ["CLN311@1:1"]),
        ('[[steps]]\nname = "s"\ncommand = "a"\n', ["CLN310@1:1"]),
        ('[[steps]]\nname = "s"\ncommand = "a"\n[meta]\nname = "a"\n', ["CLN304@4:1"]),
        ('[[steps]]\nname = "s"\ncommand = "a"\n[meta]\nversion = "1"\n', ["CLN304@4:1"]),
        ('meta = { version = "1" }\n[[steps]]\nname = "s"\ncommand = "a"\n', ["CLN304@1:8"]),
        ('[[steps]]\nname = "s"\ncommand = "a"\n[test.metadata]\n', ["CLN304@4:1"]),
        ('[[steps]]\nname = "s"\ncommand = "a"\n[test.metadata]\nname = "x"\n', []),
        (
            '[[steps]]\nname = "s"\ncommand = "a"\n[meta]\nname = " "\nversion = 1.0\n',
            ["CLN305@5:8", "CLN303@6:11"],
        ),
        ('[meta]\nversion = "1"\n[test.metadata]\nname = "x"\n[[steps]]\nname = "s"\ncommand = "a"\n', []),
    ],
)
def test_a_file_needs_metadata_and_something_to_run(text, findings):
    assert _found(text, base="") == findings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[services.a]\nimge = 'x'\nimage = 'x'\n", "unknown key `imge`; did you mean `image`?"),
        ("[services.a]\nimage = 'x'\nports = [{}]\n", "`ports[0]`: expected integer or string, got table"),
        ("[otel]\nexporter = 'otlp'\nsample_ratio = 2\n", "`sample_ratio` must be between 0 and 1"),
        (SPAN + "kind = 'servr'\n", "`kind`: `servr` is not a span kind; did you mean `server`?"),
        ("[expect.counts]\nspans_total = { min = 5, max = 2 }\n", "`min` 5 is greater than `max` 2"),
        ("[services.a]\nplugin = 'foo'\n", "unknown plugin `foo` and no `image`"),
        ("[expect.graph]\nmust_include = [['a', 'b', 'c']]\n", "an edge needs two names, got 3"),
    ],
)
def test_a_message_says_what_is_wrong_with_what_was_written(text, message):
    assert message in [finding.message for finding in _check(BASE + text).diagnostics]


def test_all_findings_of_a_file_come_in_one_pass_and_in_order():
    text = (
        "[extra]\n[[scenario]]\nname = 'x'\nservice = 'nowhere'\nrun = 'a'\n[expect.status]\nall = 'GOOD'\n"
    )

    assert _found(text) == ["CLN301@1:2", "CLN401@4:11", "CLN306@7:7"]


def test_a_file_with_an_error_gives_no_test_but_one_with_warnings_does():
    broken, odd = _check(BASE + "service = 'nowhere'"), _check(BASE + "[extra]\n")

    assert (broken.outcome, broken.test) == ("error", None)
    assert odd.outcome == "ok-with-warnings"
    assert odd.test is not None


def test_a_coverage_manifest_is_no_scenario_file():
    checked = _check("[system]\nname = 'x'\n[dimensions]\n")

    assert (checked.kind, checked.outcome, checked.test) == ("coverage", "ok", None)
    assert [finding.code for finding in checked.diagnostics] == ["CLN007"]


def test_a_block_of_the_test_is_located_by_its_source():
    checked = _check(BASE + "[expect.graph]\nedges = [\n  ['a', 'b'],\n]\n")

    (graph,) = checked.test.expect.graph
    place = checked.locate(graph.path_of("must_include", 0))

    assert (place.line, place.column) == (9, 3)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("[extra] # clnrm: ignore CLN301\n", []),
        ("# clnrm: ignore CLN301\n[extra]\n", []),
        ("# clnrm: ignore CLN999, CLN301\n[extra]\n", []),
        ("[extra] # clnrm: ignore CLN302\n", ["CLN301"]),
        ("# clnrm: ignore CLN301\n\n[extra]\n", ["CLN301"]),
        ("[limits]\nmemory_mb = 'x' # clnrm: ignore CLN303\n", ["CLN303"]),
    ],
)
def test_a_comment_silences_warnings_and_infos_of_its_line_but_no_error(text, left):
    assert [finding.code for finding in _check(BASE + text).diagnostics] == left


def test_spans_of_the_baseline_may_be_named_by_expectations():
    request = TemplateRequest(
        path=Path("a.clnrm.toml"),
        file="a.clnrm.toml",
        project_root=Path(),
        text=BASE + SPAN + "[expect.graph]\nmust_include = [['a', 'stored']]\n",
        no_template=True,
    )

    without, with_baseline = check(render(request)), check(render(request), known_spans=["stored"])

    assert [finding.code for finding in without.diagnostics] == ["CLN414"]
    assert with_baseline.diagnostics == []


def test_a_mistake_in_a_loop_is_said_once_where_it_was_typed():
    source = (
        BASE
        + "{% for i in [1, 2] %}\n[[steps]]\nname = 's{{ i }}'\ncommand = 'a'\ntimout = 1\n{% endfor %}\n"
    )
    request = TemplateRequest(
        path=Path("a.clnrm.toml.tera"), file="a.clnrm.toml.tera", project_root=Path(), text=source
    )

    (finding,) = check(render(request)).diagnostics

    assert (finding.code, finding.line, finding.column) == ("CLN301", 11, 1)


def test_a_template_library_is_checked_for_its_template_syntax_only():
    request = TemplateRequest(
        path=Path("_m.toml.tera"), file="_m.toml.tera", project_root=Path(), text="not = = toml"
    )

    checked = check(render(request))

    assert (checked.kind, checked.outcome, checked.test) == ("library", "ok", None)
    assert [finding.code for finding in checked.diagnostics] == ["CLN006"]


def test_a_file_that_cannot_be_rendered_has_the_findings_of_its_template():
    request = TemplateRequest(
        path=Path("a.clnrm.toml.tera"), file="a.clnrm.toml.tera", project_root=Path(), text="{{ nowhere }}"
    )

    checked = check(render(request))

    assert (checked.outcome, checked.parsed, checked.test) == ("error", None, None)
    assert [finding.code for finding in checked.diagnostics] == ["CLN102"]
    assert checked.locate(("meta",)).line == 1


@pytest.mark.parametrize("key", ['exporter = "otlp-grpc"', 'exporter = "otlp"\nprotocol = "grpc"'])
def test_grpc_without_its_extra_is_one_finding_that_names_the_extra(monkeypatch, key):
    # The package has a function of the module's name.
    monkeypatch.setattr(sys.modules["clnrm_nb.scenario.build"], "find_spec", lambda name: None)

    checked = _check(f"{BASE}[otel]\n{key}\n")

    (finding,) = checked.diagnostics
    assert (finding.code, finding.severity) == ("CLN320", "warning")
    assert "needs the extra `grpc` (pip install 'clnrm_nb[grpc]'); HTTP is used" in finding.message
    assert not checked.test.otel.uses_grpc


TOLERANCE = '[[tolerance]]\nid = "r1"\nreason = "differs"\nselect = { key = "k" }\nignore = true\n'


def test_a_tolerance_rule_is_nothing_to_speak_of():
    assert _check(BASE + TOLERANCE).diagnostics == []


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("ignore = false", "`ignore` is true or left out"),
        ("tolerance = {}", "`tolerance` needs `abs` or `rel`"),
        ("duration = {}", "`duration` needs `ratio` or `floor_ms`"),
        ('ignore = true\nexpires = "soon"', "`expires` is a date or a date-time"),
        ('alias = "x"\nselect = { path = "a" }', "`alias` selects the old name by"),
        ('ignore = true\nselect = { keys = "a" }', "`keys` is no selector"),
        ('ignore = true\nselect = { key = "a[" }', "`[` is never closed in `a[`"),
        ("range = [3, 1]", "`range` is two numbers, the lower one first"),
        ('count = "3..1"', "`count` is a number of siblings"),
        ('one_of = ["customer"]\nselect = { key = "span.kind" }', "'customer' is no span kind"),
        ("one_of = []", "`one_of` is a non-empty array"),
        ("optional = true\npresent = true", "`present` goes with `ignore`"),
    ],
)
def test_a_tolerance_rule_that_could_not_mean_what_it_says_is_an_error(written, said):
    rule = f'[[tolerance]]\nid = "r1"\nreason = "differs"\n{written}\n'

    errors = [one for one in _check(BASE + rule).diagnostics if one.severity == "error"]

    assert [one.code for one in errors] == ["CLN325"]
    assert said in errors[0].message
    assert errors[0].line == BASE.count("\n") + 1


def test_a_tolerance_rule_that_is_none_is_an_error_and_nothing_more():
    assert _found(TOLERANCE.replace('reason = "differs"\n', "")) == ["CLN325@1:1"]


def test_a_missing_name_is_found_beside_a_broken_header_behind_its_table():
    """The header that could not be read was taken for a part of the table above it."""
    text = '[[scenario]]\nrun = "a"\n[cleanup\ncontainers = "always"\n'

    assert _found(text) == ["CLN304@1:1", "CLN201@3:9"]


@pytest.mark.parametrize("header", ["[services.a.image", "[services.a"])
def test_a_key_that_a_broken_header_may_have_brought_is_not_missed(header):
    found = _found(f"[services.a]\nenv = {{ A = 'b' }}\n{header}\nimage = 'x:1'\n")

    assert [one for one in found if not one.startswith("CLN20")] == []
