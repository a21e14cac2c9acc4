"""From rendered positions back to the source."""

from __future__ import annotations

import pytest

from clnrm_nb.template import TemplateRequest, render


@pytest.fixture
def rendering(tmp_path):
    def run(text, **given):
        file = "a.clnrm.toml.tera"
        return render(TemplateRequest(tmp_path / file, file, tmp_path, text=text, **given))

    return run


def _source_of(rendered, needle, occurrence=0):
    offset = -1
    for _ in range(occurrence + 1):
        offset = rendered.text.index(needle, offset + 1)
    before = rendered.text[:offset]
    place = rendered.source_map.to_source(before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1)
    return place.line, place.column


def test_template_untemplated_text_maps_to_itself(tmp_path):
    rendered = render(TemplateRequest(tmp_path / "a.clnrm.toml", "a.clnrm.toml", tmp_path, text="a\nb"))

    place = rendered.source_map.to_source(2, 1)

    assert (place.file, place.line, place.column) == ("a.clnrm.toml", 2, 1)


def test_template_literal_text_in_every_turn_of_a_loop_maps_to_its_line(rendering):
    rendered = rendering("{% for i in [1, 2, 3] -%}\nname = {{ i }}; end\n{% endfor %}tail")

    assert [_source_of(rendered, "name", n) for n in range(3)] == [(2, 1)] * 3
    assert [_source_of(rendered, "end", n) for n in range(3)] == [(2, 17)] * 3
    assert _source_of(rendered, "tail") == (3, 13)


def test_template_output_of_an_expression_maps_to_its_marker_and_end(rendering):
    rendered = rendering("a\n  {{ svc ~ '-long' }} z")

    place = rendered.source_map.to_source(2, 6)

    assert (place.line, place.column, place.end_line, place.end_column) == (2, 3, 2, 22)


def test_template_output_of_a_macro_maps_to_the_call_with_the_macro_related(rendering, tmp_path):
    (tmp_path / "m.tera").write_text("{% macro f(x) %}one\ntwo {{ x }}{% endmacro %}")
    rendered = rendering('{% import "m.tera" as m %}a\n {{ m::f(1) }}')

    line = rendered.text.split("\n").index("two 1") + 1

    assert _source_of(rendered, "two") == (2, 2)
    assert [(r.file, r.line, r.column) for r in rendered.source_map.related(line, 1)] == [("m.tera", 2, 1)]
    assert [(r.file, r.line, r.column) for r in rendered.source_map.related(line, 5)] == [("m.tera", 2, 5)]
    assert rendered.source_map.related(1, 1) == ()


def test_template_output_of_an_include_maps_to_the_include(rendering, tmp_path):
    (tmp_path / "i.tera").write_text("x\ny = 1\n")
    rendered = rendering('a\n{% include "i.tera" %}\nz')

    assert _source_of(rendered, "y = 1") == (2, 1)
    assert _source_of(rendered, "z") == (3, 1)


def test_template_statement_rendered_ahead_maps_to_its_own_text(rendering):
    rendered = rendering('[vars]\nsvc = "{{ svc }}-x" # c\n[meta]\nname = "{{ svc }}"\n')

    assert _source_of(rendered, "svc") == (2, 1)
    assert _source_of(rendered, "clnrm") == (2, 8)
    assert _source_of(rendered, "-x") == (2, 17)
    assert _source_of(rendered, "[meta]") == (3, 1)


def test_template_text_of_a_parent_maps_to_extends_and_blocks_to_themselves(rendering, tmp_path):
    (tmp_path / "base.tera").write_text("head\n{% block a %}{% endblock %}\n")
    rendered = rendering('{% extends "base.tera" %}\n\n{% block a %}own{% endblock %}')

    assert _source_of(rendered, "head") == (1, 1)
    assert _source_of(rendered, "own") == (3, 14)


def test_template_filter_section_maps_to_its_tag(rendering):
    rendered = rendering("a\n{% filter upper %}b {{ svc }}{% endfilter %} z")

    assert _source_of(rendered, "CLNRM") == (2, 1)
    assert _source_of(rendered, " z") == (2, 45)


def test_template_random_values_are_the_same_when_mapped(rendering):
    rendered = rendering("{{ fake_sentence() }}\n{{ fake_paragraph() }}\nlast = {{ now_ms() }}")

    assert _source_of(rendered, "last") == (3, 1)


def test_template_columns_count_code_points(rendering):
    rendered = rendering("é😀{{ '😀😀' }} é x")

    assert _source_of(rendered, "x") == (1, 16)


def test_template_positions_beyond_the_text_are_clamped(rendering):
    rendered = rendering("a{{ svc }}\n")

    assert rendered.source_map.to_source(99, 99).line in (1, 2)


@pytest.mark.parametrize("text", ["", "{# only a comment #}", "{% set a = 1 %}", "{{ '' }}"])
def test_template_empty_text_maps_to_the_file(rendering, text):
    place = rendering(text).source_map.to_source(1, 1)

    assert (place.file, place.line, place.column) == ("a.clnrm.toml.tera", 1, 1)
    assert rendering(text).source_map.related(1, 1) == ()
