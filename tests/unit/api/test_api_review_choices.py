"""What a review can decide alone: causes, and the edits of one that is opened."""

import pytest

from clnrm_nb.api.reviewchoices import Choices
from clnrm_nb.diff import compare
from clnrm_nb.report.diffs import Compared
from clnrm_nb.spans.model import Span
from clnrm_nb.spans.table import SpanTable

TRACE = "1" * 32


def table(rows, tenant):
    top = Span(TRACE, "1" * 16, "order", start_ns=1, end_ns=9)
    spans = [
        Span(TRACE, f"{n:016x}", f"step {n}", "1" * 16, start_ns=n, end_ns=n + 1, attributes={"rows": rows})
        for n in (2, 3, 4)
    ]
    last = Span(TRACE, "5" * 16, "reply", "1" * 16, start_ns=8, end_ns=9, attributes={"tenant": tenant})
    return SpanTable([top, *spans, last])


@pytest.fixture
def compared():
    """Two causes: one of three edits (the count of rows), one of a single edit (the tenant)."""
    diff = compare(table(2, "acme"), table(3, "emca"))
    reviews = {edit.edit_id: "pending" for edit in diff.edits}
    return Compared("a", "b", "changed", diff, reviews=reviews)


@pytest.fixture
def choices(compared):
    choices = Choices()
    choices.show(compared, is_another=True)
    # The cause of three edits, wherever it stands.
    wide = max(compared.causes, key=lambda cause: len(cause.edits))
    choices.choose([entry.id for entry in choices.entries].index(wide.cause_id))
    return choices


def accept(choices, compared):
    """What the desk does with the chosen entry."""
    chosen = choices.chosen
    names = (
        [chosen.id]
        if chosen.is_edit
        else next(cause.edits for cause in compared.causes if cause.cause_id == chosen.id)
    )
    compared.reviews.update(dict.fromkeys(names, "accepted"))
    choices.show(compared, is_another=False)


def kinds(choices):
    return ["edit" if entry.is_edit else "cause" for entry in choices.entries]


def test_closed_there_is_one_entry_a_cause(choices):
    assert kinds(choices) == ["cause", "cause"]
    assert not choices.is_open


def test_an_opened_cause_shows_its_edits_below_it_each_with_its_place(choices):
    cause = choices.chosen

    choices.toggle()

    edits = [entry for entry in choices.entries if entry.is_edit]
    assert choices.chosen == cause
    assert [entry.cause for entry in edits] == [cause.id] * 3
    assert [text for text in ("step 2", "step 3", "step 4") if not any(text in e.text for e in edits)] == []
    assert choices.entries[choices.place + 1] in edits


def test_closing_chooses_the_cause_again(choices):
    cause = choices.chosen
    choices.toggle()
    choices.next()

    choices.toggle()

    assert choices.chosen == cause
    assert kinds(choices) == ["cause", "cause"]


def test_an_accepted_edit_makes_room_for_the_next_one(choices, compared):
    choices.toggle()
    choices.next()
    following = choices.entries[choices.place + 1]

    accept(choices, compared)

    assert choices.chosen == following


def test_after_the_last_edit_of_the_list_the_one_above_it_is_chosen_and_no_other_cause(choices, compared):
    choices.toggle()
    choices.choose(max(place for place, entry in enumerate(choices.entries) if entry.is_edit))

    accept(choices, compared)

    assert choices.chosen.is_edit
    assert kinds(choices).count("edit") == 2


def test_a_cause_whose_edits_are_all_accepted_is_gone_and_another_opens_at_the_first_key(choices, compared):
    """In a terminal `e` had to be pressed twice then."""
    choices.toggle()
    choices.next()
    for _ in range(3):
        accept(choices, compared)
    assert kinds(choices) == ["cause"]

    choices.toggle()

    assert kinds(choices) == ["cause", "edit"]


def test_what_undo_brings_back_is_listed_again(choices, compared):
    choices.toggle()
    choices.next()
    taken = choices.chosen
    accept(choices, compared)

    compared.reviews[taken.id] = "pending"
    choices.show(compared, is_another=False)

    assert taken in choices.entries


def test_another_difference_starts_closed_at_its_first_cause(choices, compared):
    choices.toggle()
    choices.next()

    choices.show(compared, is_another=True)

    assert (kinds(choices), choices.place) == (["cause", "cause"], 0)


def test_without_a_difference_nothing_is_chosen(choices):
    choices.show(None, is_another=False)
    choices.next()
    choices.toggle()

    assert choices.chosen is None
