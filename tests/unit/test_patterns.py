"""Regular expressions end, whatever the text, and answer as `re` does."""

from __future__ import annotations

import pickle
import re
import time
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clnrm_nb.patterns import EndlessError, compiled

ATOMS = st.sampled_from(
    [
        r"a",
        r"b",
        r".",
        r"[ab]",
        r"[^a]",
        r"\w",
        r"\d",
        r"ab",
        r"^",
        r"$",
        r"\b",
        r"\B",
        r"\A",
        r"\Z",
        r"1",
        r"(?=a)",
        r"(?!b)",
        r"(?<=a)",
        r"(?<!ab)",
        r"(?i:A)",
    ]
)
SOLID = st.sampled_from(["a", "b", ".", "[ab]", r"\w", "ab", "(?i:B)"])


def patterns(atoms, repeated):
    return st.recursive(
        atoms,
        lambda inner: (
            st.lists(inner, min_size=1, max_size=3).map("".join)
            | st.tuples(inner, inner).map(lambda pair: f"({pair[0]}|{pair[1]})")
            | st.tuples(repeated(inner), st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "*?", "+?"])).map(
                lambda p: f"(?:{p[0]}){p[1]}"
            )
        ),
        max_leaves=6,
    )


TEXTS = st.text("ab1 \nA", max_size=8)


@contextmanager
def walking():
    """As if every text were long: the automaton does it all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("clnrm_nb.patterns.pattern._MOST_WAYS", 0)
        patch.setattr("clnrm_nb.patterns.pattern._LAST_WAYS", 0)
        yield


@given(patterns(ATOMS, lambda inner: inner), TEXTS)
def test_it_is_found_where_re_finds_it(pattern, text):
    with walking():
        found = compiled(pattern).search(text)

    assert found == (re.search(pattern, text) is not None)


@given(patterns(SOLID, lambda _: SOLID), TEXTS)
def test_it_is_found_from_where_to_where_re_finds_it(pattern, text):
    with walking():
        spans = compiled(pattern).spans(text)

    assert spans == [match.span() for match in re.finditer(pattern, text) if match[0]]


HARD = {
    "nested repetitions": ("(a+)+$", "a" * 100_000 + "!"),
    "words": (r"^(\w+\s?)*$", "word " * 20_000 + "!"),
    "alternatives that are alike": ("(a|aa)+$", "a" * 100_000 + "!"),
    "anything, four times": (".*a.*b.*c.*d", "ab" * 10_000),
    "a dozen": ("(.*a){12}b", "a" * 10_000),
    "from everywhere": ("x*y", "x" * 200_000),
    "looking ahead": ("(?=(a+)+$)b", "a" * 500),
}


@pytest.mark.parametrize("name", HARD)
def test_what_takes_re_for_ever_ends_soon(name):
    pattern, text = HARD[name]
    start_s = time.process_time()

    assert not compiled(pattern).search(text)
    assert compiled(pattern).spans(text) == []

    assert time.process_time() - start_s < 20  # of a processor that others use too; `re`: years


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"(a+)+\1$", "a" * 100_000),
        ("(a{1,999}){1,999}$", "a" * 100_000 + "!"),
        ("(a+)+$", "a" * 10_000_000 + "!"),
        ("(?>(a+)+)+$", "a" * 1_000 + "!"),
    ],
)
def test_what_nothing_can_end_is_refused_with_what_to_do(pattern, text):
    with pytest.raises(EndlessError) as raised:
        compiled(pattern).search(text)

    assert raised.value.code == "CLN314"
    assert pattern in raised.value.message
    assert f"{len(text):,} characters" in raised.value.message
    assert raised.value.hint
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)


@pytest.mark.parametrize(
    ("pattern", "text", "spans"),
    [
        ("req-[0-9]+", "req-12 req-3", [(0, 6), (7, 12)]),
        ("error.*timeout.*retry", ("x" * 150 + " error y\n") * 60_000, []),
        (r"(?<!\d)\d{4}-\d\d(?!\d)", "on 2026-11 and 12026-11", [(3, 10)]),
        (r"(['\"]).*?\1", "say 'yes' or \"no\"", [(4, 9), (13, 17)]),
    ],
)
def test_what_people_write_is_done_by_re_itself(pattern, text, spans, monkeypatch):
    monkeypatch.setattr("clnrm_nb.patterns.pattern.Walk", None)

    assert compiled(pattern).spans(text) == spans
