"""The keys of a review: the same in a terminal and in a notebook, and none without effect."""

import pytest

from clnrm_nb.api.contexts import context_of
from clnrm_nb.api.reviewing import ReviewDesk
from clnrm_nb.api.reviewkeys import REVIEW_KEYS, keys_of
from clnrm_nb.cli.review import TerminalReview
from clnrm_nb.notebook.review.keys import help_html


@pytest.mark.parametrize("place", ["terminal", "notebook"])
def test_no_key_means_two_things(place):
    assert len(keys_of(place)) == sum(key.only in (None, place) for key in REVIEW_KEYS)


def test_a_key_that_both_have_is_explained_with_the_same_words():
    terminal, notebook = keys_of("terminal"), keys_of("notebook")

    assert {key: terminal[key] for key in "ageArsupnm123?"} == {
        key: notebook[key] for key in "ageArsupnm123?"
    }
    assert set(terminal) ^ set(notebook) == set("cq ")


def test_every_key_that_a_terminal_shows_does_something(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    asked = []

    def read_key():
        asked.append(True)
        return ["?", "q"][len(asked) - 1]

    context = context_of(None, {})
    review = TerminalReview(ReviewDesk(context), ["a::b"], context, read_key=read_key)
    assert review.run() == 1

    shown = capsys.readouterr().out
    assert [key.tip for key in keys_of("terminal").values() if key.tip not in shown] == []
    assert review.keys == set(keys_of("terminal"))


def test_the_help_of_a_notebook_explains_every_key():
    assert [key.tip for key in keys_of("notebook").values() if key.tip not in help_html()] == []
