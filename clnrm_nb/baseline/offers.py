"""A rule that is offered to a person: what it allows, and what it would have done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clnrm_nb.baseline.backtest import BackTest
    from clnrm_nb.baseline.proposals import Proposal
    from clnrm_nb.diff.rules import Rule

__all__ = ["Offer"]


@dataclass(frozen=True, slots=True)
class Offer:
    """One of the rules to choose from.

    Parameters
    ----------
    proposal : Proposal
    test : BackTest
    causes : tuple of str
        Ids of the causes it was made of; none where it was learnt from runs.
    """

    proposal: Proposal
    test: BackTest
    causes: tuple[str, ...] = ()

    @property
    def rule(self) -> Rule:
        """The rule as it would be written."""
        return self.proposal.rule

    @property
    def hides(self) -> bool:
        """Whether it would let pass what somebody rejected: then it is confirmed twice."""
        return bool(self.test.hidden)

    def sentences(self) -> list[str]:
        """What it allows, then what it would have done."""
        return [self.proposal.sentence, *self.test.sentences()]

    def to_json(self) -> dict[str, Any]:
        """Rule, sentence and back-test."""
        return {**self.proposal.to_json(), "back_test": self.test.to_json()}
