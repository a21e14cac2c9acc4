"""The review queue: decisions go to the desk at once, skipping does not, undo returns to the item."""

import pytest

from clnrm_nb.api.reviewqueue import ReviewQueue
from clnrm_nb.baseline.backtest import BackTest, Hidden
from clnrm_nb.baseline.offers import Offer
from clnrm_nb.baseline.proposals import Proposal
from clnrm_nb.diff.rules import Rule
from clnrm_nb.errors import UsageError


class FakeDesk:
    """Remembers what it was asked; refuses ids that are told to it."""

    def __init__(self, refuses=(), left=0):
        self.said = []
        self.refuses = set(refuses)
        self.left = left

    def _note(self, *words):
        if words[1] in self.refuses:
            raise UsageError("the trace is incomplete")
        self.said.append(words)

    def accept(self, review_id, causes=()):
        self._note("accept", review_id, *causes)
        return self.left if causes else 0

    def reject(self, review_id):
        self._note("reject", review_id)

    def undo(self, review_id):
        self._note("undo", review_id)

    def offers(self, review_id, cause):
        self._note("offers", review_id, cause)
        return [offer("narrow"), offer("wide", hides=True)]

    def make_rule(self, review_id, offer, place, *, confirmed):
        self._note("rule", review_id, offer.rule.id, place, confirmed)
        return self.left


def offer(name, *, hides=False):
    rule = Rule(name, "why", {}, "ignore")
    hidden = (Hidden("01", "2025-01-01", "bob", ""),) if hides else ()
    return Offer(Proposal(rule, name), BackTest(1, 1, 1, 1, 0, 1, hidden))


@pytest.fixture
def desk():
    return FakeDesk()


def states(queue):
    return [item.state for item in queue.items]


def test_accepting_writes_and_goes_on_to_the_next_pending_one(desk):
    queue = ReviewQueue("abc", desk)

    queue.accept()

    assert desk.said == [("accept", "a")]
    assert queue.current.id == "b"


def test_rejecting_writes_and_goes_on(desk):
    queue = ReviewQueue("ab", desk)

    queue.reject()

    assert desk.said == [("reject", "a")]
    assert states(queue) == ["rejected", "pending"]


def test_skipping_writes_nothing(desk):
    queue = ReviewQueue("ab", desk)

    queue.skip()

    assert desk.said == []
    assert states(queue) == ["skipped", "pending"]


def test_the_next_one_is_found_round_the_end(desk):
    queue = ReviewQueue("abc", desk)
    queue.go_to(2)

    queue.accept()

    assert queue.current.id == "a"


def test_a_decided_item_is_not_decided_twice(desk):
    queue = ReviewQueue("a", desk)
    queue.accept()

    queue.reject()
    queue.accept()

    assert desk.said == [("accept", "a")]


def test_a_skipped_item_can_still_be_decided(desk):
    queue = ReviewQueue("a", desk)
    queue.skip()

    queue.accept()

    assert states(queue) == ["accepted"]


def test_accepting_all_decides_every_pending_one_and_leaves_the_decided_alone(desk):
    queue = ReviewQueue("abc", desk)
    queue.reject()

    queue.accept_all()

    assert desk.said == [("reject", "a"), ("accept", "b"), ("accept", "c")]
    assert queue.is_done


def test_accepting_all_stops_at_what_the_desk_refuses_and_shows_it():
    queue = ReviewQueue("abc", FakeDesk(refuses="b"))

    queue.accept_all()

    assert states(queue) == ["accepted", "pending", "pending"]
    assert queue.current.id == "b"
    assert "incomplete" in str(queue.problem)


def test_undo_takes_accepting_all_back_one_by_one(desk):
    queue = ReviewQueue("ab", desk)
    queue.accept_all()

    queue.undo()

    assert states(queue) == ["accepted", "pending"]


def test_undo_asks_the_desk_and_returns_to_the_item(desk):
    queue = ReviewQueue("ab", desk)
    queue.accept()

    queue.undo()

    assert desk.said == [("accept", "a"), ("undo", "a")]
    assert queue.current.id == "a"
    assert states(queue) == ["pending", "pending"]
    assert not queue.can_undo


def test_undo_of_a_skip_asks_nobody(desk):
    queue = ReviewQueue("a", desk)
    queue.skip()

    queue.undo()

    assert desk.said == []
    assert states(queue) == ["pending"]


def test_undo_of_nothing_does_nothing(desk):
    ReviewQueue("a", desk).undo()

    assert desk.said == []


def test_what_the_desk_refuses_is_told_and_changes_nothing():
    queue = ReviewQueue("ab", FakeDesk(refuses="a"))

    queue.accept()

    assert "incomplete" in str(queue.problem)
    assert queue.current.id == "a"
    assert states(queue) == ["pending", "pending"]
    assert not queue.can_undo


def test_a_problem_goes_away_with_the_next_step():
    queue = ReviewQueue("ab", FakeDesk(refuses="a"))
    queue.accept()

    queue.next()

    assert queue.problem is None


def test_a_refused_undo_can_be_tried_again():
    desk = FakeDesk()
    queue = ReviewQueue("a", desk)
    queue.accept()
    desk.refuses = {"a"}

    queue.undo()

    assert queue.can_undo
    assert states(queue) == ["accepted"]


def test_an_accepted_cause_keeps_the_item_open_while_edits_are_left():
    desk = FakeDesk(left=2)
    queue = ReviewQueue("ab", desk)

    queue.accept_causes(["c1"])

    assert desk.said == [("accept", "a", "c1")]
    assert queue.current.id == "a"
    assert queue.current.taken == [("c1",)]


def test_the_last_cause_settles_the_item():
    queue = ReviewQueue("ab", FakeDesk(left=0))

    queue.accept_causes(["c1"])

    assert states(queue) == ["accepted", "pending"]


def test_undo_takes_a_cause_back():
    queue = ReviewQueue("a", FakeDesk(left=1))
    queue.accept_causes(["c1"])

    queue.undo()

    assert queue.current.taken == []


def test_an_empty_queue_is_done_and_takes_every_key(desk):
    queue = ReviewQueue([], desk)

    for act in (queue.accept, queue.reject, queue.skip, queue.undo, queue.next, queue.previous):
        act()

    assert queue.is_done
    assert queue.current is None


def test_next_and_previous_go_round(desk):
    queue = ReviewQueue("abc", desk)

    queue.previous()

    assert queue.current.id == "c"
    queue.next()
    assert queue.current.id == "a"


# --------------------------------------------------------------------------------------------- rules


def offered(desk):
    queue = ReviewQueue("ab", desk)
    queue.offer("c1")
    desk.said.clear()
    return queue


def test_a_chosen_rule_is_written_and_settles_the_item(desk):
    queue = offered(desk)

    queue.choose(1)

    assert desk.said == [("rule", "a", "narrow", "project", False)]
    assert states(queue) == ["rule", "pending"]
    assert queue.current.id == "b"
    assert queue.offered is None


def test_a_rule_that_hides_what_was_rejected_is_chosen_twice(desk):
    queue = offered(desk)

    queue.choose(2)
    before = list(desk.said)
    queue.choose(2)

    assert before == []
    assert desk.said == [("rule", "a", "wide", "project", True)]


def test_choosing_another_rule_in_between_is_no_second_yes(desk):
    queue = offered(desk)

    queue.choose(2)
    queue.turn_place()
    queue.choose(2)

    assert desk.said == []


def test_the_file_can_be_turned_before_choosing(desk):
    queue = offered(desk)

    queue.turn_place()
    queue.choose(1)

    assert desk.said == [("rule", "a", "narrow", "scenario", False)]


@pytest.mark.parametrize("number", [0, 3, 9])
def test_a_number_without_a_rule_does_nothing(desk, number):
    queue = offered(desk)

    queue.choose(number)

    assert desk.said == []
    assert queue.offered is not None


def test_a_rule_that_leaves_edits_open_leaves_the_item_pending():
    desk = FakeDesk(left=2)
    queue = offered(desk)

    queue.choose(1)

    assert states(queue) == ["pending", "pending"]
    assert queue.current.taken == [("narrow",)]


def test_undo_takes_a_rule_back_and_returns(desk):
    queue = offered(desk)
    queue.choose(1)

    queue.undo()

    assert desk.said[-1] == ("undo", "a")
    assert states(queue) == ["pending", "pending"]
    assert (queue.current.id, queue.current.taken) == ("a", [])


@pytest.mark.parametrize("act", ["next", "withdraw", "accept", "reject", "skip"])
def test_whatever_else_is_done_lets_the_rules_go(desk, act):
    queue = offered(desk)

    getattr(queue, act)()

    assert queue.offered is None


def test_what_the_desk_refuses_is_told_and_nothing_is_offered():
    queue = ReviewQueue("a", FakeDesk(refuses="a"))

    queue.offer("c1")

    assert queue.offered is None
    assert "incomplete" in str(queue.problem)
