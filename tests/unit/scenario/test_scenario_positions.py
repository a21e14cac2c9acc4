"""The position-keeping reader: it finds what tomli reads, and never raises."""

from __future__ import annotations

import math
from datetime import date, datetime, time

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from clnrm_nb.scenario.positions import read_positions

DOCUMENT = """\
# a comment
title = "x"
[services.api]
env = { A = "1", "b.c" = { d = 2 } }
ports = [80, [1, 2]] # trailing
dotted . key = 1979-05-27 07:32:00Z

[[steps]]
name = '''
two lines''' # more
[[steps]]
name = "second"
[steps.env]
K = "v"
"""


def _leaves(document):
    waiting = [((), document)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend(((*path, key), item) for key, item in value.items())
        elif isinstance(value, list):
            waiting.extend(((*path, index), item) for index, item in enumerate(value))
        else:
            yield path, value


def _assert_agrees(text):
    document = tomli.loads(text)
    positions = read_positions(text)
    for path, value in _leaves(document):
        read = tomli.loads(f"x = {text[slice(*positions.values[path])]}")["x"]
        assert read == value or (isinstance(value, float) and math.isnan(value) and math.isnan(read))
    leaves = {path for path, _ in _leaves(document)}
    assert {path for path in positions.values if path not in leaves} <= set(_containers(document))


def _containers(document):
    waiting = [((), document)]
    while waiting:
        path, value = waiting.pop()
        yield path
        items = value.items() if isinstance(value, dict) else enumerate(value)
        waiting.extend(((*path, key), item) for key, item in items if isinstance(item, dict | list))


def test_every_value_of_a_document_has_the_span_of_its_text():
    _assert_agrees(DOCUMENT)


@pytest.mark.parametrize(
    ("path", "part", "place"),
    [
        (("title",), "key", (2, 1)),
        (("title",), "value", (2, 9)),
        (("services", "api"), "header", (3, 1)),
        (("services",), "key", (3, 2)),
        (("services", "api", "env", "b.c", "d"), "key", (4, 28)),
        (("services", "api", "env", "b.c"), "value", (4, 26)),
        (("services", "api", "ports", 1, 1), "value", (5, 18)),
        (("services", "api", "dotted", "key"), "value", (6, 16)),
        (("steps", 0), "header", (8, 1)),
        (("steps", 1, "name"), "value", (12, 8)),
        (("steps", 1, "env"), "header", (13, 1)),
        (("steps", 1, "env", "K"), "value", (14, 5)),
    ],
)
def test_a_part_of_a_key_path_is_found_where_it_stands(path, part, place):
    positions = read_positions(DOCUMENT)

    assert positions.line_column(positions.find(path, part)[0]) == place


def test_what_is_not_there_is_found_at_the_nearest_thing_that_is():
    positions = read_positions(DOCUMENT)

    in_inline_table = positions.find(("services", "api", "env", "missing"), "value")
    in_element = positions.find(("steps", 0, "command"), "value")
    nowhere = positions.find(("otel", "exporter"), "value")

    assert positions.line_column(in_inline_table[0]) == (4, 7)
    assert positions.line_column(in_element[0]) == (8, 1)
    assert positions.line_column(nowhere[0]) == (1, 1)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a = {\n b = 1 }", "multi-line inline table"),
        ("a = { b = 1, }", "trailing comma in an inline table"),
        ('a = "\\e"', "escape `\\e`"),
        ('a = "\\\\\\x41"', "escape `\\x`"),
        ("a = 07:32", "time without seconds"),
        ("a = 1979-05-27T07:32", "time without seconds"),
        ("a = 1979-05-27 07:32Z", "time without seconds"),
    ],
)
def test_syntax_that_only_toml_1_1_knows_is_noted(text, what):
    assert [name for _, name in read_positions(text).modern] == [what]


@pytest.mark.parametrize(
    "text",
    [
        'a = "\\\\e"', "a = '\\e'", "a = [\n1,\n]", "a = 07:32:00", "a = 1979-05-27T07:32:00.5Z",
        'a = "07:32"',         "a = { b = [\n1,\n] }",
    ],
)  # fmt: skip
def test_syntax_of_toml_1_0_is_not_noted(text):
    tomli.loads(text)

    assert read_positions(text).modern == []


def test_depth_of_nesting_is_no_limit():
    text = "a = " + "[" * 2_000

    assert read_positions(text).keys == {("a",): (0, 1)}


@given(st.text(st.sampled_from("ab=[]{}\"'.,#\\\n \t1-_:T"), max_size=80))
def test_whatever_tomli_accepts_has_all_its_positions(text):
    try:
        tomli.loads(text)
    except tomli.TOMLDecodeError:
        read_positions(text)
    else:
        _assert_agrees(text)


_SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(max_size=12),
    st.dates(min_value=date(1900, 1, 1)),
    st.datetimes(min_value=datetime(1900, 1, 1)),  # noqa: DTZ001  # TOML's local date-times.
    st.times(),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


def _written(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_quoted(key)} = {_written(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[\n" + "".join(f"  {_written(item)}, # item\n" for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return repr(value)


def _quoted(text):
    escaped = "".join(c if c.isalnum() and c.isascii() else f"\\U{ord(c):08X}" for c in text)
    return f'"{escaped}"'


@given(st.dictionaries(st.text(max_size=5), _VALUES, max_size=5))
def test_documents_of_any_shape_have_all_their_positions(document):
    _assert_agrees("".join(f"{_quoted(key)} = {_written(value)}\n" for key, value in document.items()))
