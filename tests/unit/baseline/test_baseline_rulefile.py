"""``baselines/rules.toml``: read as a whole or not at all, written block by block."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clnrm_nb.baseline import rulefile
from clnrm_nb.baseline.rulefile import appended, rules_of, without
from clnrm_nb.baseline.store import BaselineStore
from clnrm_nb.config.project import Project
from clnrm_nb.diff.rules import Rule
from clnrm_nb.errors import ClnrmError

HAND = (
    b"# Ours.\n"
    b"[[tolerance]]   # why\n  id = \"a\"\nreason = 'x'\n"
    b'select = { key = "k" } # here\nignore = true\n\n# the next one\n'
    b'[[tolerance]]\nid = "b"\nreason = "y"\none_of = [\n  1,\n  2,\n]\n'
    b'[tolerance.select]\nkey = "n"\n# the end'
)


def rule(rule_id="new", word="range", value=(1, 9), **given):
    value = list(value) if isinstance(value, tuple) else value
    return Rule(rule_id, "because", {"span": "GET *", "key": "n"}, word, value, **given)


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path, tmp_path / ".clnrm")


def test_no_file_means_no_rules(project):
    assert rulefile.read(project) == ()


def test_a_rule_is_read_as_it_was_written(project):
    written = rule(by="ada", at="2025-01-01T00:00:00Z", expires="2030-01-01")

    rulefile.add(project, written)

    assert rulefile.read(project) == (written,)


@pytest.mark.parametrize("line_break", [b"\n", b"\r\n"])
@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n"])
def test_what_was_there_stays_byte_for_byte(line_break, end):
    before = (HAND + end).replace(b"\n", line_break)

    after = appended(before, rule(), "rules.toml")

    assert after.startswith(before)
    assert [one.id for one in rules_of(after, "rules.toml")] == ["a", "b", "new"]
    assert after.count(b"\n") == after.count(line_break)


@pytest.mark.parametrize(
    ("rule_id", "left"),
    [
        ("a", b"# Ours.\n\n# the next one\n" + HAND[HAND.index(b'[[tolerance]]\nid = "b"') :]),
        ("b", HAND[: HAND.index(b'[[tolerance]]\nid = "b"')] + b"# the end"),
    ],
)
def test_a_rule_that_is_taken_out_leaves_comments_and_other_rules(rule_id, left):
    assert without(HAND, rule_id, "rules.toml") == left


def test_a_dotted_table_goes_with_its_rule_and_what_follows_stays():
    content = HAND + b"\n" + rulefile.block_of(rule()).encode()

    left = without(content, "b", "rules.toml")

    assert [one.id for one in rules_of(left, "rules.toml")] == ["a", "new"]


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"[[tolerance]\n", "rules.toml:1:"),
        (HAND + b'\n[[tolerance]]\nid = "a"\nreason = "z"\nignore = true\n', "rules.toml:19:1"),
        (HAND + b"\n[other]\n", "rules.toml:19:2"),
        (b"x = 1\n" + HAND, "rules.toml:1:1"),
        (b"tolerance = 3\n", "rules.toml:1:13"),
        (b"<<<<<<< ours\n" + HAND, "rules.toml:1:1"),
        (b"# \xff\n", "rules.toml:1:1"),
        (HAND[:-30], "rules.toml:1"),
        (HAND.replace(b"1,\n", b"1,\n\x00"), "rules.toml:14:1"),
    ],
    ids=["torn header", "twins", "other table", "other key", "no table", "conflict", "bytes", "cut", "nul"],
)
def test_a_bad_file_has_a_place_and_is_never_written(project, content, place):
    path = BaselineStore(project).rules_path
    path.parent.mkdir(parents=True)
    path.write_bytes(content)

    for act in (
        rulefile.read,
        lambda here: rulefile.add(here, rule()),
        lambda here: rulefile.remove(here, "a"),
    ):
        with pytest.raises(ClnrmError) as caught:
            act(project)
        assert caught.value.code == "CLN325"
        assert f".clnrm/baselines/{place}" in str(caught.value)
        assert caught.value.exit_code == 2

    assert path.read_bytes() == content


def test_an_id_is_given_once(project):
    rulefile.add(project, rule())

    with pytest.raises(ClnrmError, match="has a rule `new` already"):
        rulefile.add(project, rule())
    with pytest.raises(ClnrmError, match="has no rule `other`"):
        rulefile.remove(project, "other")


def test_a_rule_in_an_array_is_left_to_the_person_who_wrote_it():
    content = b'tolerance = [{ id = "a", reason = "x", ignore = true }]\n'

    with pytest.raises(ClnrmError, match="stands in an array"):
        without(content, "a", "rules.toml")


def test_a_rule_that_would_not_read_back_is_not_written(project):
    with pytest.raises(ClnrmError):
        rulefile.add(project, rule(word="range", value=(9, 1)))

    assert not BaselineStore(project).rules_path.exists()


def test_two_who_add_at_once_both_find_their_rule(project):
    threads = [
        threading.Thread(target=rulefile.add, args=(project, rule(rule_id=f"r{number}")))
        for number in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(one.id for one in rulefile.read(project)) == [f"r{number}" for number in range(6)]


def test_a_directory_that_cannot_be_written_is_one_message(project, monkeypatch):
    rulefile.add(project, rule())
    before = BaselineStore(project).rules_path.read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("clnrm_nb.baseline.store.write_atomically", full)
    with pytest.raises(ClnrmError, match="No space left on device") as caught:
        rulefile.add(project, rule(rule_id="more"))

    assert caught.value.code == "CLN001"
    assert BaselineStore(project).rules_path.read_bytes() == before


TEXTS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12).filter(str.strip)


@given(
    st.lists(TEXTS, unique=True, min_size=1, max_size=4),
    TEXTS,
    st.sampled_from(
        [
            ("one_of", ["a", 1, 2.5, True, ["x"], {"y": 1}]),
            ("tolerance", {"abs": 1, "rel": 0.25}),
            ("duration", {"ratio": 2.0}),
            ("count", "1..3"),
            ("ignore", True),
        ]
    ),
)
@settings(max_examples=60, deadline=None)
def test_rules_that_are_added_and_taken_out_leave_the_file_as_it_was(ids, text, word):
    content = HAND + b"\n"
    for rule_id in [one for one in ids if one not in ("a", "b")]:
        made = appended(content, Rule(rule_id, text, {"key": "k"}, *word), "rules.toml")

        (*_, last) = rules_of(made, "rules.toml")
        assert (last.id, last.reason, last.word, last.value) == (rule_id, text, *word)
        assert without(made, rule_id, "rules.toml") == content
