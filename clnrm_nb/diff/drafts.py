"""Edits before they have ids, and the pairing they are read off."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from clnrm_nb.diff.model import Patch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.diff.model import RunnerUp

__all__ = ["Draft", "Pairing", "because"]


@dataclass(frozen=True, slots=True)
class Pairing:
    """Who is who: partners of the spans of both sides (-1: nobody), and the rule, by number in the baseline.

    ``proved`` names the spans of both sides that no other pairing of theirs describes for less.
    """

    forth: Sequence[int]
    back: Sequence[int]
    rule: dict[int, str]
    proved: tuple[set[int], set[int]] = field(default_factory=lambda: (set(), set()))

    @property
    def inverse(self) -> Pairing:
        """Seen from the other side."""
        rule = {self.forth[number]: rule for number, rule in self.rule.items()}
        return Pairing(self.back, self.forth, rule, (self.proved[1], self.proved[0]))

    def is_proved(self, spans: Sequence[int], spans_b: Sequence[int]) -> bool:
        """Whether that was proved of all spans of an edit."""
        return self.proved[0].issuperset(spans) and self.proved[1].issuperset(spans_b)


@dataclass(slots=True)
class Draft:
    """An edit before it has ids."""

    op: str
    at: int | None
    """Number in the baseline its path is taken from; ``None``: nowhere there."""
    at_b: int | None
    cost: int
    key: str | None = None
    old: Any = None
    new: Any = None
    spans: tuple[int, ...] = ()
    spans_b: tuple[int, ...] = ()
    rule: str = ""
    reason: str = ""
    score: int = 0
    """In per mille, see :class:`~clnrm_nb.diff.model.Edit`."""
    runner_up: RunnerUp | None = None
    whole: str | None = None
    """For edits of a whole trace: what stands in place of the paths."""
    requires: set[int] = field(default_factory=set)
    patch: Patch = field(default_factory=Patch)
    counted: bool = True


def because(rule: str) -> str:
    """Why two spans are one, for people."""
    word = "as" if rule in {"equal", "moved", "content"} else "by"
    return f"paired {word} {rule}"
