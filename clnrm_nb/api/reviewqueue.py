"""The state of a review, without a screen or widget: what waits, what was decided, what can be taken back.

Every decision goes through a :class:`Desk` at once and is on disk before the queue moves on; skipping is the
one thing that only the queue knows. So nothing is lost when the process dies in the middle of a review.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, Protocol, get_args

from clnrm_nb.errors import ClnrmError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from clnrm_nb.baseline.offers import Offer

__all__ = ["Desk", "Item", "Offered", "Place", "ReviewQueue", "State"]

State = Literal["pending", "accepted", "rejected", "rule", "skipped"]
Place = Literal["project", "scenario"]


class Desk(Protocol):
    """Where decisions are written."""

    def accept(self, review_id: str, causes: Sequence[str] = ()) -> int:
        """Make the trace (or only some causes or edits of it) the baseline; how many edits stay open."""

    def reject(self, review_id: str) -> None:
        """Refuse the trace."""

    def offers(self, review_id: str, cause: str) -> Sequence[Offer]:
        """Rules that would allow a cause, narrowest first."""

    def make_rule(self, review_id: str, offer: Offer, place: Place, *, confirmed: bool) -> int:
        """Write a rule that was offered; how many edits stay open."""

    def undo(self, review_id: str) -> None:
        """Take the last decision about it back."""


@dataclass(frozen=True, slots=True)
class Offered:
    """Rules to choose from.

    Parameters
    ----------
    offers : tuple of Offer
        By number, from 1.
    place : {"project", "scenario"}
        Where the chosen one will be written.
    asked : int
        Number of the one that was chosen and hides what somebody rejected: choosing it again confirms it.
    """

    offers: tuple[Offer, ...]
    place: Place = "project"
    asked: int = 0


@dataclass(slots=True)
class Item:
    """One difference that waits.

    Parameters
    ----------
    id : str
        Of the scenario.
    state : str
    taken : list of tuple of str
        Causes accepted one by one, and ids of rules made of some, so far.
    """

    id: str
    state: State = "pending"
    taken: list[tuple[str, ...]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Step:
    """One decision, as undo needs it."""

    index: int
    before: State
    is_skip: bool
    is_part: bool = False


class ReviewQueue:
    """Differences in order, and where the person is.

    Parameters
    ----------
    ids : iterable of str
        What waits for a decision.
    desk : Desk

    Attributes
    ----------
    items : list of Item
    index : int
        The current one.
    problem : ClnrmError or None
        Why the last decision could not be made; nothing has changed then.
    offered : Offered or None
        Rules to choose from, until one is chosen or they are withdrawn.

    Examples
    --------
    >>> class Nowhere:
    ...     def accept(self, review_id, causes=()): return 0
    ...     def reject(self, review_id): pass
    ...     def offers(self, review_id, cause): return []
    ...     def make_rule(self, review_id, offer, place, *, confirmed): return 0
    ...     def undo(self, review_id): pass
    >>> queue = ReviewQueue(["a::one", "a::two"], Nowhere())
    >>> queue.accept()
    >>> queue.current.id, queue.counts()
    ('a::two', {'pending': 1, 'accepted': 1, 'rejected': 0, 'rule': 0, 'skipped': 0})
    """

    def __init__(self, ids: Iterable[str], desk: Desk) -> None:
        self.items = [Item(review_id) for review_id in ids]
        self.index = 0
        self.problem: ClnrmError | None = None
        self.offered: Offered | None = None
        self._desk = desk
        self._steps: list[_Step] = []

    @property
    def current(self) -> Item | None:
        """The difference in view; ``None`` in an empty queue."""
        return self.items[self.index] if self.items else None

    @property
    def is_done(self) -> bool:
        """Nothing is pending any more; skipped ones are put off, not decided."""
        return all(item.state != "pending" for item in self.items)

    @property
    def can_undo(self) -> bool:
        """Whether this review has decided anything yet."""
        return bool(self._steps)

    def counts(self) -> dict[State, int]:
        """Items by state."""
        counts: dict[State, int] = dict.fromkeys(get_args(State), 0)
        for item in self.items:
            counts[item.state] += 1
        return counts

    def accept(self) -> None:
        """Accept the whole current difference and go on."""
        item = self._open_item()
        if item is not None and self._ask(lambda: self._desk.accept(item.id)):
            self._settle(item, "accepted")

    def accept_causes(self, causes: Sequence[str]) -> None:
        """Accept some causes of the current difference; go on once nothing of it is open."""
        item = self._open_item()
        if item is None or not causes:
            return
        left: list[int] = []
        if not self._ask(lambda: left.append(self._desk.accept(item.id, causes))):
            return
        self._part(item, tuple(causes), left, "accepted")

    def _part(self, item: Item, taken: tuple[str, ...], left: Sequence[int], state: State) -> None:
        """Something of an item is decided; all of it, if nothing is left."""
        item.taken.append(taken)
        self.offered = None
        if not any(left):
            self._settle(item, state, is_part=True)
        else:
            self._steps.append(_Step(self.index, item.state, is_skip=False, is_part=True))

    def offer(self, cause: str) -> None:
        """Look for rules that would allow a cause of the current difference."""
        item = self._open_item()
        found: list[Offer] = []
        if item is not None and self._ask(lambda: found.extend(self._desk.offers(item.id, cause))):
            self.offered = Offered(tuple(found))

    def choose(self, number: int) -> None:
        """Make the rule with this number; one that hides what was rejected only when it is chosen again."""
        item, offered = self._open_item(), self.offered
        if item is None or offered is None or not 0 < number <= len(offered.offers):
            return
        offer = offered.offers[number - 1]
        if offer.hides and offered.asked != number:
            self.offered = replace(offered, asked=number)
            return
        left: list[int] = []
        make = self._desk.make_rule
        if not self._ask(lambda: left.append(make(item.id, offer, offered.place, confirmed=offer.hides))):
            return
        self._part(item, (offer.rule.id,), left, "rule")

    def turn_place(self) -> None:
        """The other file to write the rule to."""
        if self.offered is not None:
            other: Place = "scenario" if self.offered.place == "project" else "project"
            self.offered = replace(self.offered, place=other, asked=0)

    def withdraw(self) -> None:
        """Make no rule."""
        self.offered = None
        self.problem = None

    def accept_all(self) -> None:
        """Accept every difference that is pending, one decision each; stop at what the desk refuses."""
        for index, item in enumerate(self.items):
            if item.state == "pending":
                self.go_to(index)
                self.accept()
                if self.problem is not None:
                    return

    def reject(self) -> None:
        """Reject the current difference and go on."""
        item = self._open_item()
        if item is not None and self._ask(lambda: self._desk.reject(item.id)):
            self._settle(item, "rejected")

    def skip(self) -> None:
        """Leave the current difference pending and go on."""
        item = self._open_item()
        if item is not None:
            self.problem = None
            self._settle(item, "skipped", is_skip=True)

    def undo(self) -> None:
        """Take the last decision of this review back and return to its item."""
        if not self._steps:
            return
        step = self._steps[-1]
        item = self.items[step.index]
        self.problem = None
        if not step.is_skip and not self._ask(lambda: self._desk.undo(item.id)):
            return
        self._steps.pop()
        item.state = step.before
        if step.is_part:
            item.taken.pop()
        self.index = step.index

    def next(self) -> None:
        """Look at the next item, whatever its state."""
        self._go(1)

    def previous(self) -> None:
        """Look at the previous item."""
        self._go(-1)

    def go_to(self, index: int) -> None:
        """Look at one item."""
        if 0 <= index < len(self.items):
            self.index = index
            self.problem = self.offered = None

    def _go(self, by: int) -> None:
        if self.items:
            self.go_to((self.index + by) % len(self.items))

    def _open_item(self) -> Item | None:
        """The current item, if it still can be decided."""
        item = self.current
        return item if item is not None and item.state in ("pending", "skipped") else None

    def _ask(self, decide: object) -> bool:
        """Whether the desk did it; what it refuses is told and changes nothing."""
        assert callable(decide)
        self.problem = None
        try:
            decide()
        except ClnrmError as error:
            self.problem = error
            return False
        return True

    def _settle(self, item: Item, state: State, *, is_skip: bool = False, is_part: bool = False) -> None:
        self.offered = None
        self._steps.append(_Step(self.index, item.state, is_skip, is_part))
        item.state = state
        count = len(self.items)
        ahead = [(self.index + step) % count for step in range(1, count)]
        self.index = next((i for i in ahead if self.items[i].state == "pending"), self.index)
