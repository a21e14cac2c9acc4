"""The regular expressions of `matching` agree with `re`, in linear time."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clnrm_nb.template.faults import Fault
from clnrm_nb.template.patterns import search

ATOMS = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\w", r"\d", "ab", "^", "$", r"\b", "1"])
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map("".join)
        | st.tuples(inner, inner).map(lambda pair: f"({pair[0]}|{pair[1]})")
        | st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "*?"])).map(
            lambda p: f"(?:{p[0]}){p[1]}"
        )
    ),
    max_leaves=6,
)


@given(PATTERNS, st.text("ab1 \n_", max_size=8))
def test_template_pattern_matches_where_re_does(pattern, text):
    expected = re.search(pattern.replace("$", r"\Z"), text) is not None

    assert search(pattern.replace("$", r"\Z"), text) == expected


@pytest.mark.parametrize("pattern", ["(?=a)", "(?<!a)b", r"(a)\1", "(?>a+)", "a++"])
def test_template_pattern_beyond_regular_is_refused(pattern):
    with pytest.raises(Fault) as raised:
        search(pattern, "a")

    assert raised.value.code == "CLN105"


@pytest.mark.parametrize("pattern", ["(", "[", "*a", "a{2,1}", "a" * 3000])
def test_template_pattern_that_is_none_or_too_long_is_refused(pattern):
    with pytest.raises(Fault):
        search(pattern, "a")


def test_template_pattern_that_might_never_end_is_a_limit():
    with pytest.raises(Fault) as raised:
        search("((a{1,500}){1,500}){1,500}b", "a" * 1_000)

    assert raised.value.code == "CLN108"


@pytest.mark.parametrize(
    ("pattern", "text"), [("(?i)^(A|b)+$", "aB"), ("(?m)^(x|y)+$", "a\nxy\nb"), ("é+ñ*$", "éñ")]
)
def test_template_pattern_flags_and_unicode_work(pattern, text):
    assert search(pattern, text)
