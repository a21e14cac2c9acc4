"""The tolerance rules that hold for one comparison: the project's and those of its scenario file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain, repeat
from typing import TYPE_CHECKING

from clnrm_nb.baseline.difference import options_of
from clnrm_nb.baseline.files import scenario_of
from clnrm_nb.diff.rules import Rule
from clnrm_nb.diff.selecting import matcher
from clnrm_nb.errors import ClnrmError, Diagnostic

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from clnrm_nb.config.keys import Diff as DiffSection
    from clnrm_nb.diff import DiffOptions
    from clnrm_nb.errors import Location

__all__ = ["RULES_FILE", "Tolerances", "TwinsError", "is_for", "scenario_rules"]

RULES_FILE = ".clnrm/baselines/rules.toml"
"""What messages call the project's rules."""


class TwinsError(ClnrmError):
    """Two rules of one id, in a scenario file and in the project's."""


def scenario_rules(
    blocks: Iterable[Mapping[str, object]], places: Iterable[Location | None] = ()
) -> tuple[Rule, ...]:
    """The ``[[tolerance]]`` blocks of a scenario file as rules; they were validated with the file.

    Parameters
    ----------
    places : iterable of Location
        Where they stand, as far as that is known.
    """
    return tuple(
        replace(Rule.from_toml(block, "scenario"), place=place)
        for block, place in zip(blocks, chain(places, repeat(None)), strict=False)
    )


def is_for(rule: Rule, baseline_id: str | None) -> bool:
    """Whether a rule's ``scenario`` names a comparison: by the scenario's name, or by its whole id.

    Parameters
    ----------
    baseline_id : str or None
        ``None``: two files, which no scenario owns.
    """
    glob = rule.select.get("scenario")
    if glob is None:
        return True
    if baseline_id is None:
        return False
    matches = matcher(glob)
    return matches(baseline_id) or matches(scenario_of(baseline_id)[1] or "")


@dataclass(frozen=True, slots=True)
class Tolerances:
    """All rules of a project, at one moment.

    Parameters
    ----------
    project : sequence of Rule
        Of ``baselines/rules.toml``.
    now : datetime
        Rules that have expired by then have no effect.
    """

    project: Sequence[Rule] = ()
    now: datetime | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "now", self.now or datetime.now(UTC))

    def options(self, section: DiffSection, baseline_id: str | None, own: Sequence[Rule] = ()) -> DiffOptions:
        """What counts in one comparison.

        Parameters
        ----------
        section : clnrm_nb.config.keys.Diff
            The ``[diff]`` settings.
        baseline_id : str or None
            Of the scenario or the test level; ``None``: two files.
        own : sequence of Rule
            Of its scenario file.

        Raises
        ------
        TwinsError
            CLN325: the scenario file and the project use one id for two rules.
        """
        self._refuse_twins(own)
        return replace(options_of(section), rules=self.rules_for(baseline_id, own))

    def rules_for(self, baseline_id: str | None, own: Sequence[Rule] = ()) -> tuple[Rule, ...]:
        """The rules of one comparison, those of its scenario file first."""
        return tuple(
            rule
            for rule in (*own, *self.project)
            if not rule.is_expired(self.now) and is_for(rule, baseline_id)
        )

    def _refuse_twins(self, own: Sequence[Rule]) -> None:
        known = {rule.id for rule in self.project}
        twin = next((rule for rule in own if rule.id in known), None)
        if twin is not None:
            raise TwinsError(
                f"rule `{twin.id}` is defined in the scenario file and in `{RULES_FILE}`",
                "CLN325",
                hint="give one of them another id",
                location=twin.place,
            )

    def expired(self, rules: Iterable[Rule]) -> list[Diagnostic]:
        """What to say about rules whose time is over (CLN708)."""
        return [
            Diagnostic(
                "CLN708",
                f"rule `{rule.id}` expired on {rule.expires} and has no effect",
                hint="take it out, or give it a later date",
            ).at(rule.place)
            for rule in rules
            if rule.is_expired(self.now)
        ]
