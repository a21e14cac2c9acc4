"""A text that is not TOML: every broken statement is reported, and the rest is still read."""

from __future__ import annotations

from itertools import pairwise

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from clnrm_nb.scenario.recovery import recover, split_statements
from clnrm_nb.scenario.syntax import repair_of


def test_each_broken_statement_is_refused_and_the_rest_is_read():
    text = 'a = "x\nb = 2\nc = [1,\nd = 4\n[t]\ne 5\nf = 6\n'

    found = recover(text)

    assert [text[slice(*refusal.statement)] for refusal in found.refusals] == ['a = "x', "c = [1,", "e 5"]
    assert found.document == {"b": 2, "d": 4, "t": {"f": 6}}


def test_a_broken_header_takes_the_body_of_its_table_out_but_no_other_table():
    found = recover("[a\nx = 1\n# note\n[b]\ny = 2\n")

    assert found.document == {"b": {"y": 2}}


def test_a_second_definition_is_a_conflict_and_the_first_one_counts():
    found = recover("[a]\nx = 1\nx = 2\n[b]\n[a]\nz = 3\n[c]\n")

    assert [conflict.at for conflict in found.conflicts] == [15, 22]
    assert found.document == {"a": {"x": 1}, "b": {}, "c": {}}


def test_offsets_stay_where_they_were():
    text = 'é = "x\nb = [\n  1,\n  2\nc = 3\n'

    found = recover(text)

    assert len(found.text) == len(text)
    assert found.text.index("c = 3") == text.index("c = 3")


@pytest.mark.parametrize(
    "text", ["\x0b", "a\u2003=\u20031", "\x00", "'", '"""', "[", "]]]", "= = =", "a = {\n"]
)
def test_whatever_stands_on_a_line_is_one_statement(text):
    assert recover(text).refusals


@given(st.text(st.sampled_from("ab=[]{}\"'.,#\\\n \t1-_:T\x0b"), max_size=60))
def test_recovery_never_raises_and_what_it_keeps_is_toml(text):
    found = recover(text)

    assert len(found.text) == len(text)
    if found.document is not None:
        assert tomli.loads(found.text) == found.document


@given(st.text(st.sampled_from("ab=[]{}\"'.,#\\\n \t1"), max_size=60))
def test_statements_are_apart_and_in_order(text):
    spans = split_statements(text)

    assert all(start < end for start, end in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


@pytest.mark.parametrize(
    ("broken", "mended"),
    [
        ('a = "x', 'a = "x"'),
        ('a = x"', 'a = "x"'),
        ('a = ["x", "y', 'a = ["x", "y"]'),
        ('a = ["x" "y"]', 'a = ["x", "y"]'),
        ("a = [1, 2", "a = [1, 2]"),
        ("a = { b = 1", "a = { b = 1}"),
        ("[a.b", "[a.b]"),
        ("[[a]", "[[a]]"),
        ("a = stdout", 'a = "stdout"'),
        ("a = True", "a = true"),
        ("a = yes  # sure", "a = true  # sure"),
        ("a : 1", "a = 1"),
        ('a "x"', 'a = "x"'),
        ("a == 1", "a = 1"),
        ("a = 1;", "a = 1"),
        ("a = .5", "a = 0.5"),
        ("a = \u201cx\u201d", 'a = "x"'),
        ('a = "\\d+"', 'a = "\\\\d+"'),
    ],
)
def test_a_usual_slip_is_repaired(broken, mended):
    (refusal,) = recover(broken).refusals

    repair = repair_of(broken, refusal)

    assert repair is not None
    ((start, end),) = [change.span for change in repair.changes]
    assert broken[:start] + repair.changes[0].text + broken[end:] == mended


@pytest.mark.parametrize("broken", ["a =", "what is this", "{ }", '"""'])
def test_what_may_have_meant_anything_has_no_repair(broken):
    (refusal,) = recover(broken).refusals

    assert repair_of(broken, refusal) is None
