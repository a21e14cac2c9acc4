"""Tolerance rules (``format.md`` 8.5) as values: what a person allows to differ, and why.

A rule is written in a scenario file or in ``baselines/rules.toml``, in the same form. It changes verdicts,
never what a diff finds, nor any digest. How rules act on edits is :mod:`clnrm_nb.diff.quieting`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Literal

from clnrm_nb.errors import ClnrmError
from clnrm_nb.scenario.findings import Findings
from clnrm_nb.scenario.tolerance import RULE_WORDS, SELECTORS, build_tolerance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clnrm_nb.errors import Location

__all__ = ["RULE_WORDS", "SELECTORS", "Rule", "RuleOrigin"]

RuleOrigin = Literal["settings", "project", "scenario"]
"""Where a rule stands: the ``[diff]`` section, ``baselines/rules.toml``, or the scenario file."""

_ORIGINS: tuple[RuleOrigin, ...] = ("settings", "project", "scenario")


@dataclass(frozen=True, slots=True)
class Rule:
    """One tolerance rule.

    Parameters
    ----------
    id : str
        Unique in a project and each of its scenario files; quieted edits are told under it.
    reason : str
        Why a person allows it.
    select : mapping of str to str
        Globs by selector (:data:`SELECTORS`); all must match.
    word : str
        One of :data:`RULE_WORDS`.
    value : any
        What stands behind the word: ``True``, a regular expression, a list of values, ``"1..3"``, ….
    present : bool
        With ``ignore``: the key must still be there.
    by, at, expires : str or None
        Who and when (ISO 8601); from `expires` on the rule has no effect.
    origin : {"project", "scenario", "settings"}
        Where it was written.
    place : Location or None
        The place there, for findings about it.
    """

    id: str
    reason: str
    select: Mapping[str, str] = field(hash=False)
    word: str
    value: Any = field(default=True, hash=False)
    present: bool = False
    by: str | None = None
    at: str | None = None
    expires: str | None = None
    origin: RuleOrigin = "project"
    place: Location | None = field(default=None, compare=False)

    @classmethod
    def from_toml(cls, block: Mapping[str, Any], origin: RuleOrigin = "project") -> Rule:
        """The rule of one ``[[tolerance]]`` block.

        Raises
        ------
        ClnrmError
            CLN325: it is no rule; the message names what is wrong.
        """
        findings = Findings()
        build_tolerance([dict(block)], ("tolerance",), findings)
        for problem in findings.items:
            raise ClnrmError(problem.message, "CLN325", hint=problem.hint)
        word = next(word for word in RULE_WORDS if word in block)
        return cls(
            id=block["id"],
            reason=block["reason"],
            select=dict(block.get("select", {})),
            word=word,
            value=block[word],
            present=block.get("present", False),
            by=_text(block.get("by")),
            at=_text(block.get("at")),
            expires=_text(block.get("expires")),
            origin=origin,
        )

    def to_toml(self) -> dict[str, Any]:
        """The block, as :meth:`from_toml` reads it; also what a verdict key holds."""
        block: dict[str, Any] = {"id": self.id, "reason": self.reason}
        if self.select:
            block["select"] = {key: self.select[key] for key in SELECTORS if key in self.select}
        block[self.word] = self.value
        if self.present:
            block["present"] = True
        block.update(
            (key, value)
            for key, value in (("by", self.by), ("at", self.at), ("expires", self.expires))
            if value is not None
        )
        return block

    @property
    def rank(self) -> tuple[int, int, int, str]:
        """How specific it is; the greatest of the rules that match decides.

        Most selectors, then longest text, then the scenario file before the project's rules and those before
        settings; the id last, so that the answer never depends on an order.
        """
        length = sum(map(len, self.select.values()))
        return (len(self.select), length, _ORIGINS.index(self.origin), self.id)

    def is_expired(self, now: datetime | None = None) -> bool:
        """Whether its time is over; a date without a time ends with the day before it, in UTC."""
        if self.expires is None:
            return False
        end = datetime.fromisoformat(self.expires)
        end = end if end.tzinfo else end.replace(tzinfo=UTC)
        return (now or datetime.now(UTC)) >= end


def _text(value: Any) -> str | None:
    """A TOML date or date-time as text."""
    if isinstance(value, date):
        return value.isoformat()
    return None if value is None else str(value)
