"""What differing values have in common: the narrowest words first, and none that say more than was seen."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clnrm_nb.baseline.patterns import ABSENT, counts, values
from clnrm_nb.diff.allowing import allows
from clnrm_nb.diff.items import Item
from clnrm_nb.diff.rules import Rule

UUIDS = ["7d444840-9dc0-11d1-b245-5ffdce74fad2", "e902893a-9d22-3c7e-a7b8-d6e313b71d9f"]


def told(*seen):
    return [(words.word, words.value) for words in values(seen)]


@pytest.mark.parametrize(
    ("seen", "first"),
    [
        pytest.param([2, 5], ("range", [2, 5]), id="numbers"),
        pytest.param(["b", "a", "b"], ("one_of", ["a", "b"]), id="words"),
        pytest.param([False, False, True], ("one_of", [False, True]), id="flags"),
        pytest.param([True], ("one_of", [False, True]), id="a-flag-seen-once"),
        pytest.param(["req-12345", "req-67890"], ("template", "^req-[0-9]+$"), id="digits-in-text"),
        pytest.param(["0af7651916cd43dd", "b7ad6b7169203331"], ("template", "^[0-9a-f]{16}$"), id="hex"),
        pytest.param(
            ["2025-01-02T03:04:05Z", "2026-11-12T13:14:15Z"],
            ("template", "^[0-9]+-[0-9]+-[0-9]+T[0-9]+:[0-9]+:[0-9]+Z$"),
            id="times",
        ),
        pytest.param(["v1", "v2"], ("one_of", ["v1", "v2"]), id="short-numbers-may-be-names"),
        pytest.param(["/cart/1", "/cart/2?x"], ("one_of", ["/cart/1", "/cart/2?x"]), id="built-unlike"),
        pytest.param([1, "1"], ("one_of", ["1", 1]), id="types"),
        pytest.param([ABSENT, 1], ("ignore", True), id="absent"),
        pytest.param([None, 1], ("ignore", True), id="null-cannot-be-written"),
        pytest.param([2**64, 1], ("ignore", True), id="too-large-to-write"),
    ],
)
def test_the_narrowest_words_come_first(seen, first):
    assert told(*seen)[0] == first


def test_a_uuid_is_told_by_its_shape():
    (template, *_) = values(UUIDS)

    assert template.word == "template"
    assert all(re.fullmatch(template.value, text) for text in UUIDS)
    assert not re.fullmatch(template.value, "none")


def test_numbers_near_each_other_are_told_as_a_tolerance():
    assert ("tolerance", {"rel": 0.1}) in told(100, 105)


def test_a_key_that_must_stay_is_the_last_resort():
    last = values(["a", "b"])[-1]

    assert (last.word, last.present) == ("ignore", True)


def test_words_that_vary_without_bound_are_no_set():
    assert [word for word, _ in told(*(f"name {chr(97 + k) * 5}" for k in range(20)))] == ["ignore"]


def test_counts_begin_at_what_was_seen_then_one_more():
    assert [words.value for words in counts([1, 3])] == ["1..3", "1..4", "0.."]
    assert [words.value for words in counts([2, 3])][:2] == ["2..3", "1..4"]


SCALARS = st.one_of(
    st.booleans(), st.integers(-(2**62), 2**62), st.floats(-1e12, 1e12), st.text(max_size=20), st.just(ABSENT)
)


@given(st.lists(SCALARS, min_size=2, max_size=6))
def test_all_words_allow_all_that_was_seen(seen):
    """Whatever is proposed quiets the difference it was proposed for."""
    old, *rest = seen
    for words in values(seen):
        rule = Rule("r", "why", {"key": "k"}, words.word, words.value, words.present)
        for new in rest:
            if ABSENT in (old, new) and words.word == "ignore" and not words.present:
                continue
            assert allows(rule, Item(("k",), old, new)), (words, old, new)


@given(st.lists(SCALARS, min_size=2, max_size=6))
def test_words_can_be_written_and_read_back(seen):
    for words in values(seen):
        block = {"id": "r", "reason": "why", words.word: words.value}
        assert Rule.from_toml(block).value == words.value
