"""When two values are one (`diff.md` 2.1): in the digest and in a diff, which must always agree."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clnrm_nb.diff import compare
from clnrm_nb.spans.canonical import trace_digest
from clnrm_nb.spans.content import canonical_json
from clnrm_nb.spans.loaders import load
from clnrm_nb.spans.model import Event, Link, Resource, Span
from clnrm_nb.spans.table import SpanTable

TRACE = "a" * 32
WHERE = ("span", "event", "link", "resource", "nested")


def holding(value, where="span"):
    """A trace of one span that holds a value."""
    told = {"v": value}
    parts = {
        "span": {"attributes": told},
        "event": {"events": (Event("e", None, told),)},
        "link": {"links": (Link("b" * 32, "c" * 16, told),)},
        "resource": {"resource": Resource(told)},
        "nested": {"attributes": {"table": {"list": [1, told]}}},
    }
    return SpanTable([Span(TRACE, "1" * 16, "n", **parts[where])])


EQUAL = [
    ("1 and 1.0", 1, 1.0),
    ("0 and -0.0", 0, -0.0),
    ("-0.0 and 0.0", -0.0, 0.0),
    ("NaN and itself", math.nan, float("nan")),
    ("Infinity and itself", math.inf, float("inf")),
    ("2^53 + 1 and itself", 2**53 + 1, 2**53 + 1),
    ("2^63 and its float", 2**63, float(2**63)),
    ("2^64 - 1 and itself", 2**64 - 1, 2**64 - 1),
    ("2^64 and its float", 2**64, float(2**64)),
    ("1e300 and itself", 1e300, 1e300),
    ("bytes and the same bytes", b"\x00\xff", bytearray(b"\x00\xff")),
    ("a list and a tuple", [1, "a"], (1, "a")),
]

DIFFERENT = [
    ("200 and its text", 200, "200"),
    ("true and 1", True, 1),
    ("false and 0", False, 0),
    ("false and -0.0", False, -0.0),
    ("null and false", None, False),
    ("null and the empty text", None, ""),
    ("the empty list and the empty table", [], {}),
    ("1 and 1.5", 1, 1.5),
    ("2^53 and 2^53 + 1", 2**53, 2**53 + 1),
    ("2^63 and 2^63 + 1", 2**63, 2**63 + 1),
    ("2^64 - 1 and 2^64", 2**64 - 1, 2**64),
    ("2^63 - 1 and 2^63", 2**63 - 1, 2**63),
    ("bytes and their text", b"abc", "abc"),
    ("bytes and their base64", b"abc", "YWJj"),
    ("NaN and null", math.nan, None),
    ("two orders of a list", [1, 2], [2, 1]),
    ("composed and decomposed letters", "\u00e9", "e\u0301"),
    ("a text and the same with NUL", "a", "a\x00"),
    ("a text and the same with a blank", "a", "a "),
]


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize(("one", "other"), [case[1:] for case in EQUAL], ids=[case[0] for case in EQUAL])
def test_these_are_one_value(where, one, other):
    a, b = holding(one, where), holding(other, where)

    assert trace_digest(a) == trace_digest(b)
    assert not compare(a, b)


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize(
    ("one", "other"), [case[1:] for case in DIFFERENT], ids=[case[0] for case in DIFFERENT]
)
def test_these_are_two_values(where, one, other):
    a, b = holding(one, where), holding(other, where)

    diff = compare(a, b)

    assert trace_digest(a) != trace_digest(b)
    assert len(diff.counted) == len(compare(b, a).counted) == 1 + (where == "link")


numbers = st.one_of(st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.just(2.0**63))
values = st.one_of(st.none(), numbers, st.text(max_size=3), st.binary(max_size=3))


@given(values, values, st.sampled_from(WHERE))
@settings(max_examples=200, deadline=None)
def test_a_diff_sees_what_the_digest_sees_and_nothing_else(one, other, where):
    a, b = holding(one, where), holding(other, where)

    is_same = trace_digest(a) == trace_digest(b)

    assert is_same == (not compare(a, b).counted)
    assert is_same == (canonical_json(one) == canonical_json(other))


@given(numbers, numbers)
@settings(max_examples=200, deadline=None)
def test_numbers_are_one_value_just_where_they_are_equal(one, other):
    is_same = type(one) is bool and one is other
    if type(one) is not bool and type(other) is not bool:
        is_same = one == other or (one != one and other != other)  # noqa: PLR0124  not a number

    assert (canonical_json(one) == canonical_json(other)) == is_same


def test_a_value_of_60_megabytes_is_compared_to_its_end_and_shown_cut():
    def written(end):
        return (
            b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"' + TRACE.encode() + b'",'
            b'"spanId":"1111111111111111","name":"n","attributes":[{"key":"body","value":{"stringValue":"'
            + b"x" * (60 * 1024 * 1024)
            + end
            + b'"}}]}]}]}]}'
        )

    a, b = load(written(b"1"))[0], load(written(b"2"))[0]

    diff = compare(a, b)

    (edit,) = diff.counted
    assert (edit.op, edit.key) == ("attr~", "body")
    assert edit.current.endswith("x2")
    assert len(diff.causes[0].message) < 200
    assert re.search(r"x1\W.*x2\b", diff.causes[0].message)
