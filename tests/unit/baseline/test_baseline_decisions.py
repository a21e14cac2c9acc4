"""The log of decisions: names that are hashes, chains, branches, and who decides."""

from __future__ import annotations

import hashlib
import json
import subprocess

import pytest

from clnrm_nb.baseline import decisions
from clnrm_nb.baseline.decisions import Decision, DecisionLog, identity
from clnrm_nb.spans.content import canonical_json

ID = "a.clnrm.toml::one"


def decision(action="accept", version=1, digest="sha256:aa", at="2025-01-01T00:00:00Z", **more):
    return Decision(ID, action, version, digest, None, at, "ada", **more)


@pytest.fixture
def log(tmp_path):
    return DecisionLog(tmp_path / "log")


def again(log):
    return DecisionLog(log.directory)


def add(log, *args, **more):
    made = decision(*args, parents=log.heads(ID), **more)
    log.add(made)
    return made


def test_a_decision_is_named_after_its_canonical_json(log):
    name = log.add(decision(reason="why – ünï"))

    document = json.loads((log.directory / f"{name}.json").read_text())

    assert name == hashlib.sha256(canonical_json(document).encode()).hexdigest()
    assert again(log).of(ID) == [decision(reason="why – ünï")]


def test_decisions_come_back_in_the_order_of_their_chain_whatever_their_times(log):
    first = add(log, at="2025-01-03T00:00:00Z")
    second = add(log, version=2, at="2025-01-01T00:00:00Z")
    third = add(log, version=3, at="2025-01-02T00:00:00Z")

    assert again(log).of(ID) == [first, second, third]
    assert again(log).heads(ID) == (third.hash,)
    assert again(log).last_version(ID) == 3


def test_two_branches_leave_two_heads_and_the_next_decision_names_both(log):
    base = add(log)
    ours, theirs = (decision(version=2, digest=d, parents=(base.hash,)) for d in ("sha256:b", "sha256:c"))
    log.add(ours)
    log.add(theirs)

    assert again(log).heads(ID) == tuple(sorted([ours.hash, theirs.hash]))
    merged = add(log, version=3)
    assert set(merged.parents) == {ours.hash, theirs.hash}
    assert again(log).heads(ID) == (merged.hash,)
    assert again(log).verify() == []


def test_a_changed_decision_counts_for_nothing_and_is_told(log):
    name = log.add(decision("reject"))
    path = log.directory / f"{name}.json"
    path.write_text(path.read_text().replace("ada", "eve"))

    tampered = again(log)

    assert tampered.of(ID) == []
    assert tampered.rejection(ID, "sha256:aa") is None
    (finding,) = tampered.verify()
    assert finding.code == "CLN702"
    assert "is not what its name says" in finding.message


def test_a_missing_parent_is_told(log):
    first = add(log)
    add(log, version=2)
    (log.directory / f"{first.hash}.json").unlink()

    (finding,) = again(log).verify()

    assert f"names {first.hash[:12]}, which is not there" in finding.message


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"format": "clnrm-decision/2"},
        {**decision().to_json(), "action": "bless"},
        {**decision().to_json(), "version": "1"},
        {**decision().to_json(), "by": None},
        {**decision().to_json(), "edits": "e1"},
        {**decision().to_json(), "extra": 1},
    ],
)
def test_what_has_not_the_shape_of_a_decision_is_none(log, document):
    name = hashlib.sha256(canonical_json(document).encode()).hexdigest()
    log.directory.mkdir()
    (log.directory / f"{name}.json").write_text(json.dumps(document))

    assert len(again(log).damaged) == 1


def test_a_rejection_stands_until_the_trace_is_accepted_or_it_is_undone(log):
    def stands():
        return again(log).rejection(ID, "sha256:aa") is not None

    add(log, "reject")
    assert stands()
    add(log, "accept")
    assert not stands()
    add(log, "undo", at="2025-01-02T00:00:00Z")
    assert stands()
    add(log, "undo", at="2025-01-03T00:00:00Z")
    assert not stands()


def test_nothing_decided_is_an_empty_log(log):
    assert (log.ids, log.of(ID), log.heads(ID), log.last_version(ID)) == ([], [], (), 0)


def test_who_is_as_given_else_git_else_the_user(tmp_path, monkeypatch):
    empty = tmp_path / "gitconfig"
    empty.touch()
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(empty))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", str(empty))
    monkeypatch.setenv("LOGNAME", "grace")

    assert identity("  ada  ", tmp_path) == "ada"
    assert identity(None, tmp_path) == "grace"
    empty.write_text("[user]\n\tname = Alan\n")
    assert identity("", tmp_path) == "Alan"


def test_a_machine_without_git_names_the_user(tmp_path, monkeypatch):
    def missing(*_args, **_options):
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", missing)
    monkeypatch.setattr(decisions.getpass, "getuser", lambda: "grace")

    assert identity(None, tmp_path) == "grace"
