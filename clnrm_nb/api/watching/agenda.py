"""What a watcher still has to run, and what it says about each test: run because, not run because.

Pure bookkeeping: a test whose inputs changed and that was not run (filtered out, stopped, no engine) is owed,
and comes with whatever is run next. Nothing here runs, reads or shows anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from clnrm_nb.api.watching.project import KnownTest
    from clnrm_nb.executor.outcome import TestOutcome

__all__ = ["Agenda", "Decided"]


@dataclass(slots=True)
class Decided:
    """What is to happen with each test.

    Parameters
    ----------
    run : list of KnownTest
    reasons : dict
        Of each test that runs, why.
    not_run : dict
        Of each other test, why not.
    invalid : list of TestOutcome
        Verdicts of those that cannot be run.
    """

    run: list[KnownTest] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)
    not_run: dict[str, str] = field(default_factory=dict)
    invalid: list[TestOutcome] = field(default_factory=list)


@dataclass(slots=True)
class Agenda:
    """See the module.

    Attributes
    ----------
    owed : dict
        Tests whose inputs changed since their last verdict and that have not been run, with the reason.
    told : dict
        Why each test was run last, or why not.
    last : list of str
        Tests that ran last.
    """

    owed: dict[str, str] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)
    last: list[str] = field(default_factory=list)

    def decide(
        self,
        wanted: Mapping[str, str],
        known: Mapping[str, KnownTest],
        chosen: Collection[str],
        running: Collection[str],
        *,
        rest: str,
    ) -> Decided:
        """Decide about all tests.

        Parameters
        ----------
        wanted : mapping
            Ids of tests that are to run, each with the reason.
        known : mapping
            All tests there are.
        chosen : collection of str
            What options and filters leave.
        running : collection of str
            Tests under way, which are left alone.
        rest : str
            Why the others are not run.
        """
        decided = Decided()
        for test_id, reason in {**self.owed, **wanted}.items():
            self.owed.pop(test_id, None)
            test = known.get(test_id)
            if test is None:
                continue
            if test_id not in chosen:
                self.owed[test_id] = reason
                decided.not_run[test_id] = f"filtered out, though {reason}"
            elif test_id in running:
                decided.not_run[test_id] = self.told.get(test_id, "it runs already")
            elif test.errored is not None:
                decided.invalid.append(test.errored)
                decided.not_run[test_id] = "its file holds errors"
            else:
                decided.run.append(test)
                decided.reasons[test_id] = reason
        for test_id in known.keys() - wanted.keys() - decided.not_run.keys() - decided.reasons.keys():
            if test_id not in running:
                decided.not_run[test_id] = rest if test_id in chosen else "filtered out"
        self._tell(decided)
        return decided

    def _tell(self, decided: Decided) -> None:
        self.told |= {test: f"not run: {reason}" for test, reason in sorted(decided.not_run.items())}
        self.told |= {test: f"run: {reason}" for test, reason in decided.reasons.items()}
        if decided.run:
            self.last = [test.test_id for test in decided.run]

    def owe(self, tests: Iterable[str], reason: str) -> None:
        """They have to be run again, as soon as that is possible."""
        self.owed |= dict.fromkeys(tests, reason)

    def forget(self, tests: Iterable[str]) -> None:
        """They are gone."""
        for test in tests:
            self.owed.pop(test, None)
            self.told.pop(test, None)

    def why(self) -> list[str]:
        """Why each test was run last or not; those that ran first."""
        order = dict.fromkeys([*self.last, *self.told])
        return [f"{test}: {self.told[test]}" for test in order if test in self.told]
