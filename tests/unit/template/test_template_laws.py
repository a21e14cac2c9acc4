"""Laws that hold for every text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tomli
from hypothesis import assume, example, given
from hypothesis import strategies as st

from clnrm_nb.template import TemplateRequest, render
from clnrm_nb.template.values import equal, json_text, toml_text

ROOT = Path("/nowhere")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | TEXTS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
FINITE = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
FRAGMENTS = st.lists(
    st.sampled_from(
        [
            *(
                "{{",
                "}}",
                "{%",
                "%}",
                "{#",
                "#}",
                "-",
                '"',
                "'",
                "`",
                '\\"',
                "\n",
                " ",
                "(",
                ")",
                "[",
                "]",
                "{",
                "}",
            ),
            *(
                "if",
                "else",
                "elif",
                "endif",
                "for",
                "in",
                "endfor",
                "set",
                "x",
                "=",
                "1",
                "2.5",
                "|",
                ".",
                "::",
                ",",
            ),
            *(
                "macro",
                "endmacro",
                "block",
                "endblock",
                "filter",
                "endfilter",
                "upper",
                "raw",
                "endraw",
                "default",
            ),
            *(
                "not",
                "and",
                "or",
                "is",
                "defined",
                "import",
                "include",
                "extends",
                "as",
                "self",
                "loop",
                "svc",
                "~",
            ),
            *(
                "[vars]",
                "[matrix]",
                "a = 1",
                "break",
                "range(3)",
                "is odd",
                "env.A",
                "+",
                "*",
                "%",
                "==",
                "a.tera",
            ),
        ]
    ),
    max_size=25,
)


def _render(text, **given_values):
    request = TemplateRequest(
        ROOT / "a.clnrm.toml.tera", "a.clnrm.toml.tera", ROOT, text=text, **given_values
    )
    return render(request)


@given(TEXTS)
def test_template_text_without_markers_is_never_changed(text):
    assume(not any(marker in text for marker in ("{{", "{%", "{#")))

    rendered = _render(text)

    assert rendered.text == text.removeprefix("\ufeff")
    assert rendered.diagnostics == []


@given(
    st.lists(st.sampled_from(["{{", "{%", "{#", "a", "\n", '"', "[vars]\n", " "]), max_size=20).map("".join)
)
def test_template_openers_without_closers_are_text(text):
    rendered = _render(text)

    assert rendered.text == text
    assert {d.code for d in rendered.diagnostics} <= {"CLN111"}


@given(FRAGMENTS.map(" ".join) | FRAGMENTS.map("".join) | TEXTS.map(lambda t: f"{{{{ {t} }}}}"))
@example("{% if %}{% for %}{% endif %}")
@example("[vars]\nx = {% if x %}1\n{% endif %}")
def test_template_never_raises_and_failure_has_a_located_error(text):
    rendered = _render(text)

    errors = [d for d in rendered.diagnostics if d.severity == "error"]
    assert (rendered.text is None) == bool(errors)
    lines = text.split("\n")
    for finding in rendered.diagnostics:
        assert finding.file == "a.clnrm.toml.tera"
        assert 1 <= finding.line <= len(lines)
        assert 1 <= finding.column <= len(lines[finding.line - 1]) + 1


@given(
    st.integers(0, 2**63 - 1),
    st.sampled_from(["fake_name", "uuid_v4", "ulid", "trace_id", "fake_float", "rand_hex"]),
)
def test_template_rendering_is_deterministic_under_a_seed(seed, function):
    text = (
        f'[determinism]\nseed = {seed}\nfreeze_clock = "2025-01-01T00:00:00Z"\n'
        f"[x]\na = '{{{{ {function}() }}}} {{{{ {function}() }}}} {{{{ now() }}}}'\n"
    )

    first, second = _render(text), _render(text)

    assert first.text == second.text
    assert not first.dependencies.nondeterministic


@given(TEXTS)
def test_template_string_variable_prints_as_it_is(value):
    assert _render("{{ v }}", variables={"v": value}).text == value


@given(FINITE)
def test_template_toml_literal_reads_back(value):
    parsed = tomli.loads(f"v = {toml_text(value)}")["v"]

    assert equal(parsed, value)


@given(FINITE, st.booleans())
def test_template_json_reads_back(value, pretty):
    assert equal(json.loads(json_text(value, pretty=pretty)), value)


@given(VALUES)
def test_template_equality_is_reflexive_and_symmetric(value):
    copy = json.loads(json.dumps(value))

    assert equal(value, copy) == equal(copy, value)
    assert equal(value, value)


@given(TEXTS.filter(lambda text: "{" not in text and "}" not in text), st.integers(0, 30))
def test_template_literal_text_maps_to_itself(text, skipped):
    source = f"{{{{ svc }}}}{text}{{{{ svc }}}}"
    rendered = _render(source)
    offset = min(skipped, max(len(text) - 1, 0))
    assume(text)
    before = rendered.text[: len("clnrm") + offset]
    original = source[: len("{{ svc }}") + offset]

    place = rendered.source_map.to_source(before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)

    assert place.line == original.count("\n") + 1
    assert place.column == len(original) - (original.rfind("\n") + 1) + 1


@pytest.mark.parametrize("size", [1, 100, 5_000])
def test_template_long_chains_render_without_recursion(size):
    assert _render("{{ " + " + ".join(["1"] * size) + " }}").text == str(size)
    assert _render("{{ " + " or ".join(["false"] * size) + " }}").text == "false"
