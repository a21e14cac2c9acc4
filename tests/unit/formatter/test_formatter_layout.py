"""What the formatter makes of a text: one case a rule of docs/formatting.md."""

from __future__ import annotations

import time
from textwrap import dedent

import pytest

from clnrm_nb.formatter import format_source, format_text, is_formatted

PLAIN = {
    "spaces around the equals sign": ("a=1\nb   =   2\n", "a = 1\nb = 2\n"),
    "no spaces in keys": ('a . b . "c d"=1\n', 'a.b."c d" = 1\n'),
    "no spaces in headers": ("[ a . b ]\n\n[[ c ]]\n", "[a.b]\n\n[[c]]\n"),
    "indentation has no meaning": ("[a]\n    b = 1\n\tc = 2\n  # d\n", "[a]\nb = 1\nc = 2\n# d\n"),
    "white space at ends of lines": ("[a]  \nb = 1\t\n# c  \n", "[a]\nb = 1\n# c\n"),
    "two spaces before a comment": (
        "[a]# b\nc = 1 # d\ne = 2      # f\n",
        "[a]  # b\nc = 1  # d\ne = 2  # f\n",
    ),
    "comments stay as written": ("#a\n#  b\na = 1\n", "#a\n#  b\na = 1\n"),
    "one line break at the end": ("a = 1", "a = 1\n"),
    "no blank lines at the ends": ("\n\na = 1\n\n\n", "a = 1\n"),
    "one blank line at most": ("a = 1\n\n\n\nb = 2\n", "a = 1\n\nb = 2\n"),
    "a blank line before a table": ("[a]\nb = 1\n[c]\n[d]\n", "[a]\nb = 1\n\n[c]\n\n[d]\n"),
    "comments belong to the table below": ("a = 1\n# of b\n# too\n[b]\n", "a = 1\n\n# of b\n# too\n[b]\n"),
    "arrays": ("a=[1,2 ,3 , ]\nb=[ ]\nc=[ [1] ,[ ] ]\n", "a = [1, 2, 3]\nb = []\nc = [[1], []]\n"),
    "inline tables": ("a={b=1,c={ d = 2 } }\ne={ }\n", "a = { b = 1, c = { d = 2 } }\ne = {}\n"),
    "dates and floats": (
        "a = 1979-05-27 07:32:00.5Z\nb=1.5e-3\n",
        "a = 1979-05-27 07:32:00.5Z\nb = 1.5e-3\n",
    ),
    "strings keep their quotes": (
        "a='b'\nc=\"d\"\ne='''\n  f  \n'''\n",
        "a = 'b'\nc = \"d\"\ne = '''\n  f  \n'''\n",
    ),
    "nothing inside strings": ('a = """\n  [ x ]  \n\n\n  y=1 # no comment\n"""\n', None),
    "quotes at the end of a string": ('a=""""b"""""\nc=1\n', 'a = """"b"""""\nc = 1\n'),
    "an array over many lines": (
        "a = [\n    1,\n      2\n]\n",
        "a = [\n  1,\n  2,\n]\n",
    ),
    "brackets on lines of their own": ("a = [1,\n     2]\n", "a = [\n  1,\n  2,\n]\n"),
    "as many elements a line as before": ("a = [\n 1,2,\n 3,4 ]\n", "a = [\n  1, 2,\n  3, 4,\n]\n"),
    "comments in arrays": (
        "a = [ # of all\n 1 # one\n, # of two\n\n\n # also\n 2]\n",
        "a = [  # of all\n  1,  # one\n  # of two\n\n  # also\n  2,\n]\n",
    ),
    "nested many lines": (
        "a = [{b=[\n1]},\n{ c = 2 }]\n",
        "a = [\n  { b = [\n    1,\n  ] },\n  { c = 2 },\n]\n",
    ),
    "an inline table over many lines": ("a = {b=1,\nc=2}\n", "a = {\n  b = 1,\n  c = 2,\n}\n"),
    "nothing": ("\n \n", ""),
}

TEMPLATES = {
    "markers": ("a='{{b}}'\n{%if c%}\n{%- endif   -%}\n", "a = '{{ b }}'\n{% if c %}\n{%- endif -%}\n"),
    "line breaks in markers": ("{{ f(\n  a,\n) }}\n{{f(\n a)}}\n", "{{ f(\n  a,\n) }}\n{{ f(\n a) }}\n"),
    "strings in markers": ('a = "{{ b | default(value="  c=1 ") }}"\n', None),
    "template comments and raw sections": ("{#a#}\nb = '{%raw%}{{c}}{%endraw%}'\n", None),
    "no indentation in parts": (
        "{% for a in b %}\n  c{{ a }}=1\n{% endfor %}\n",
        "{% for a in b %}\nc{{ a }} = 1\n{% endfor %}\n",
    ),
    "an opening statement belongs to the table below": (
        "a = 1\n{% for b in c %}\n[[d]]\ne = 1\n{% endfor %}\n[f]\n",
        "a = 1\n\n{% for b in c %}\n[[d]]\ne = 1\n{% endfor %}\n\n[f]\n",
    ),
    "no blank line behind else": ("{% if a %}\n[b]\n{% else %}\n[c]\n{% endif %}\n", None),
    "statements before and behind": ("{% if a %}b=1{% endif %}  #c\n", "{% if a %}b = 1{% endif %}  #c\n"),
    "a value that is printed": ("a={{b}}\nc={eq={{ d }}}\n", "a = {{ b }}\nc = { eq = {{ d }} }\n"),
    "pairs that are printed": (
        "a={ {{ b }} }\nc={d=1,{{ e }}}\n",
        "a = { {{ b }} }\nc = { d = 1, {{ e }} }\n",
    ),
    "a key that is printed": ("{{ a }}=1\n[ b . {{ c }} ]\n", "{{ a }} = 1\n\n[b.{{ c }}]\n"),
    "no comma behind what is printed": (
        "a = [\n {{ b }}\n]\nc = [{{ d }},]\n",
        "a = [\n  {{ b }}\n]\nc = [{{ d }},]\n",
    ),
    "statements inside a value": (
        "a=[ {% for b in c %}{{ b }} , {% endfor %} ]\nd=1\n",
        "a=[ {% for b in c %}{{ b }} , {% endfor %} ]\nd = 1\n",
    ),
    "macros": (
        "{% macro a() %}\nb=1   \n\n\n{% endmacro %}\nc=1\n",
        "{% macro a() %}\nb=1   \n\n\n{% endmacro %}\nc = 1\n",
    ),
    "filter sections": (
        "a='{% filter upper %}b=1  #{% endfilter %}'\n",
        "a = '{% filter upper %}b=1  #{% endfilter %}'\n",
    ),
}


def _both(cases):
    return pytest.mark.parametrize(
        ("before", "after"), [pytest.param(*case, id=name) for name, case in cases.items()]
    )


@_both(PLAIN)
def test_plain_toml_gets_its_layout(before, after):
    expected = before if after is None else after

    assert format_text(before, templated=False) == expected
    assert is_formatted(expected, templated=False)


@_both(TEMPLATES)
def test_templates_get_their_layout(before, after):
    expected = before if after is None else after

    assert format_text(before, templated=True) == expected
    assert is_formatted(expected, templated=True)


def test_markers_are_text_where_the_file_is_no_template():
    assert format_text("a='{{b}}'\n", templated=False) == "a = '{{b}}'\n"


@pytest.mark.parametrize(
    "doubtful",
    [
        "{% if f %}\na = '''\n{% else %}\na = '''b\n{% endif %}\n  c=1  \n'''\n",
        "{% if f %}a = [{% else %}b = {% endif %}1 ]\n\n\n\nc=1\n",
        "a = {{ q }}b,c=1   {{ q }}\n",
        "{% for a in b %}'{% if a %}{% break %}{% endif %}'{% endfor %}=1\n",
        "# {% if f %}\na=1\n{% endif %} b=1\n",
    ],
)
def test_what_depends_on_values_stays_and_is_said(doubtful):
    formatted = format_source(f"x=1\n{doubtful}", templated=True)

    assert formatted.text == f"x = 1\n{doubtful}"
    assert "line 2" in formatted.note


def test_a_library_keeps_all_text_between_its_markers():
    library = "{% macro a(b) %}  c={{b}}  {% endmacro %}\nd=1   \n\n\n"

    formatted = format_text(library, templated=True, library=True)

    assert formatted == library.replace("{{b}}", "{{ b }}")


def test_a_file_that_fills_the_blocks_of_another_keeps_its_text():
    child = "{% extends 'base.tera' %}\n{% block a %}b=1   {% endblock %}\n"

    assert is_formatted(child, templated=True)


def test_white_space_that_keeps_a_template_a_template_stays():
    """`# clnrm: no-template` counts on the first line only: moved there, every marker would become text."""
    source = '\n# clnrm: no-template\na="{{ b }}"\n'

    assert format_text(source, templated=True) == source


def test_line_breaks_stay_what_they_are():
    assert format_text("a=1\r\n[b]\r\n", templated=False) == "a = 1\r\n\r\n[b]\r\n"
    assert format_text("a=1\r\nb='''\r\n'''\n", templated=False) == "a = 1\nb = '''\r\n'''\n"


def test_unreadable_markers_leave_the_file_alone():
    source = "a=1\n{% if `b %}\n{% endif %}\n"

    assert format_source(source, templated=True).text == source


def test_time_grows_with_the_text():
    block = dedent("""\
        [[scenario]]
        name="a{{ i }}"
        steps=[{ command=["a","b"] , env={ A="b" } }]  # c
        [expect.span]
    """)
    # The best of some: other processes disturb the caches.
    small, large = (min(_cpu_s(block * times) for _ in range(3)) for times in (200, 1_600))

    # Eight times the text: a square would be 64 times the time.
    assert large < 32 * small


def _cpu_s(text: str) -> float:
    start_s = time.process_time()
    assert format_text(text, templated=True) != text
    return time.process_time() - start_s
