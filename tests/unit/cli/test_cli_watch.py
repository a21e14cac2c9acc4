"""Keys of a watcher: what each does, and how a line is typed, without a terminal."""

from __future__ import annotations

import pytest

from clnrm_nb.api.contexts import context
from clnrm_nb.cli.watch import Keys, wants_watch


class Recorder:
    """Takes every call and tells what was called."""

    def __init__(self, **answers):
        self.calls = []
        self._answers = answers

    def __getattr__(self, name):
        def call(*given):
            self.calls.append((name, *given))
            return self._answers.get(name)

        return call


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def press():
    """Press keys; what they did."""

    def press(*texts, **answers):
        handle, display = Recorder(**answers), Recorder()
        keys = Keys(handle, display)
        for text in texts:
            keys.press(text)
        asks = ("differing", "why")
        return [call for call in handle.calls if call[0] not in asks], display.calls

    return press


@pytest.mark.parametrize(
    ("key", "act"),
    [
        ("a", "run_all"),
        ("f", "failed_only"),
        ("c", "clear"),
        ("\r", "rerun"),
        ("\n", "rerun"),
        ("q", "quit"),
        ("\x04", "quit"),
    ],
)
def test_each_key_does_its_thing(press, key, act):
    assert press(key)[0] == [(act,)]


def test_a_typed_line_is_a_filter_when_it_is_entered(press):
    assert press("p", "ab", "\x7f", "c\r")[0] == [("only_files", "ac")]
    assert press("tnot x\r")[0] == [("only_tests", "not x")]


def test_a_line_that_is_left_changes_nothing_and_keys_are_keys_again(press):
    assert press("t", "abc", "\x1b", "a")[0] == [("run_all",)]


def test_letters_of_a_line_are_not_taken_for_keys(press):
    assert press("pq\x15a\r")[0] == [("only_files", "a")]


def test_arrow_keys_and_others_do_nothing(press):
    assert press("\x1b[A", "\x1b[1;5C", "\x1bOP", "z", "\x1b") == ([], [])


def test_baselines_are_accepted_only_after_a_yes(press):
    assert press("u", "n", differing=["a::s"])[0] == []
    assert press("u", "y", differing=["a::s"])[0] == [("accept",)]


def test_where_no_comparison_fails_nothing_is_asked(press):
    acts, shown = press("u", "y", differing=[])

    assert acts == []
    assert "nothing to accept" in shown[0][1][0]


def test_why_is_told_on_the_screen(press):
    assert press("w", why=["a: run: a changed"])[1] == [("tell", ["a: run: a changed"])]


@pytest.mark.parametrize(
    ("command", "configured", "options", "watches"),
    [
        ("watch", "false", {}, True),
        ("run", "false", {}, False),
        ("run", "false", {"watch": True}, True),
        ("run", "true", {}, True),
        ("run", "true", {"ci": True}, False),
        ("run", "false", {"watch": True, "ci": True}, True),
        ("validate", "true", {}, False),
    ],
)
def test_run_watches_where_that_was_asked_for(project, command, configured, options, watches):
    (project / "cleanroom.toml").write_text(f"[cli]\nwatch = {configured}\n")

    assert wants_watch(command, context(dict(options))) is watches
