"""Laws of the source map, over templates put together at random.

Every piece of literal text carries a word of its own, so that where it came from can be found by looking.
"""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from clnrm_nb.template import Rendered, TemplateRequest, render

FILE = "a.clnrm.toml.tera"
INCLUDED = "first {{ svc }}\nsecond\n"
MACROS = "{% macro say(a) %}says {{ a }}\nand more\n{% endmacro %}"
LITERAL = st.sampled_from(["#", " = #\n", "\n#\n\n", "é# 😀", "  #", "[#]\r\n", "#\n"])
OUTPUT = st.sampled_from(
    [
        "{{ svc }}",
        "{{ 'a\nb' }}",
        "{{- svc -}}",
        "{{ '' }}",
        "{% include 'part.tera' %}",
        "{{ m::say(a=1) }}",
        "{# c #}",
    ]
)


def _around(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    body = st.lists(inner, max_size=4).map("".join)
    return st.one_of(
        body.map(lambda text: f"{{% if svc %}}{text}{{% endif %}}"),
        body.map(lambda text: f"{{% if not svc %}}{text}{{% else %}}{text}{{% endif %}}"),
        body.map(lambda text: f"{{% for i in [1, 2] %}}{text}{{% endfor %}}"),
        body.map(
            lambda text: f"{{% for i in [1, 2] -%}}{text}{{%- if loop.last %}}!{{% endif %}}{{% endfor %}}"
        ),
        body.map(lambda text: f"{{% filter upper %}}{text}{{% endfilter %}}"),
    )


FLAT = st.lists(LITERAL | OUTPUT, max_size=12).map("".join)
NESTED = st.lists(st.recursive(LITERAL | OUTPUT, _around, max_leaves=10), max_size=6).map("".join)


def _numbered(source: str) -> str:
    """Each ``#`` of literal text as a word that occurs once."""
    count = iter(range(10_000))
    return re.sub(r"#(?![}])(?<!\{#)", lambda _: f"word{next(count)}x", source)


def _rendered(source: str, folder: Path) -> Rendered:
    text = '{% import "m.tera" as m %}' + _numbered(source)
    return render(TemplateRequest(folder / FILE, FILE, folder, text=text))


def _offset(text: str, line: int, column: int) -> int:
    return sum(len(one) + 1 for one in text.split("\n")[: line - 1]) + column - 1


def _positions(text: str):
    line, column = 1, 1
    for char in text:
        yield line, column
        line, column = (line + 1, 1) if char == "\n" else (line, column + 1)


def _folder(base: Path) -> Path:
    (base / "part.tera").write_text(INCLUDED)
    (base / "m.tera").write_text(MACROS)
    return base


@settings(max_examples=60, deadline=None)
@given(source=NESTED)
def test_template_map_is_total(source: str, tmp_path_factory) -> None:
    rendered = _rendered(source, _folder(tmp_path_factory.getbasetemp()))

    assert rendered.text is not None
    for line, column in _positions(rendered.text):
        place = rendered.source_map.to_source(line, column)
        assert place.file == FILE
        assert place.line is not None
        assert place.column is not None
        assert 0 <= _offset(rendered.source, place.line, place.column) <= len(rendered.source)


@settings(max_examples=60, deadline=None)
@given(source=NESTED)
def test_template_map_leads_literal_text_to_itself_in_every_turn_of_a_loop(
    source: str, tmp_path_factory
) -> None:
    rendered = _rendered(source, _folder(tmp_path_factory.getbasetemp()))

    assert rendered.text is not None
    places = list(_positions(rendered.text))
    for word in re.finditer(r"word\d+x", rendered.text):
        for offset in range(word.start(), word.end()):
            place = rendered.source_map.to_source(*places[offset])
            found = _offset(rendered.source, place.line or 0, place.column or 0)
            assert rendered.source[found] == rendered.text[offset]
            assert found == rendered.source.index(word[0]) + offset - word.start()


@settings(max_examples=60, deadline=None)
@given(source=FLAT)
def test_template_map_is_monotone_where_the_template_is(source: str, tmp_path_factory) -> None:
    rendered = _rendered(source, _folder(tmp_path_factory.getbasetemp()))

    assert rendered.text is not None
    found = [rendered.source_map.to_source(*place) for place in _positions(rendered.text)]
    offsets = [_offset(rendered.source, place.line or 0, place.column or 0) for place in found]
    assert offsets == sorted(offsets)


@settings(max_examples=60, deadline=None)
@given(source=FLAT)
def test_template_map_names_the_own_line_of_macros_and_includes(source: str, tmp_path_factory) -> None:
    rendered = _rendered(source, _folder(tmp_path_factory.getbasetemp()))

    assert rendered.text is not None
    written = {
        "first": ("part.tera", 1),
        "second": ("part.tera", 2),
        "says": ("m.tera", 1),
        "and more": ("m.tera", 2),
    }
    places = list(_positions(rendered.text))
    for match in re.finditer("first|second|says|and more", rendered.text):
        related = rendered.source_map.related(*places[match.start()])
        assert [(one.file, one.line) for one in related] == [written[match[0]]]
