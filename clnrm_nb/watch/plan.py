"""What a set of changes asks for: what is validated, what runs, and which running tests are obsolete.

`Planner` also remembers what it *owes*: a test that was cancelled as obsolete has to run even if the file
is changed back before the next run begins, since nobody has seen its result.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from clnrm_nb.config.discovery import is_scenario_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from clnrm_nb.watch.changes import Change
    from clnrm_nb.watch.graph import Graph, Reason

__all__ = ["Plan", "Planner"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do about changes.

    Parameters
    ----------
    validate : tuple of str
        Scenario files to render and validate, sorted; new ones included.
    run : dict
        Ids of tests to run, with the reasons of each (none where only a cancelled run is made up for).
    obsolete : tuple of str
        Ids of running tests whose inputs changed: cancel them, and nothing else.
    added : tuple of str
        New scenario files; their tests are not known yet.
    removed : tuple of str
        Scenario files that are gone; drop their tests.
    """

    validate: tuple[str, ...] = ()
    run: Mapping[str, tuple[Reason, ...]] = field(default_factory=dict)
    obsolete: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.validate or self.run or self.obsolete or self.added or self.removed)


@dataclass(slots=True)
class Planner:
    """Plans for both edges.

    Parameters
    ----------
    graph : Graph
        Kept up to date by the caller.
    counts : callable
        Whether a new scenario file is one that is watched for.
    """

    graph: Graph
    counts: Callable[[str], bool] = lambda _path: True
    _owed: set[str] = field(default_factory=set, repr=False)

    def leading(self, changes: Iterable[Change], running: Collection[str] = ()) -> Plan:
        """What to validate now and which running tests to cancel; `run` is what will probably run."""
        return self._plan(changes, running)

    def trailing(self, changes: Iterable[Change], running: Collection[str] = ()) -> Plan:
        """What to run now, and which running tests to cancel first (each of them is in `run` too)."""
        plan = self._plan(changes, running)
        self._owed.clear()
        return plan

    def ran(self, tests: Iterable[str]) -> None:
        """Tests were run for another reason, such as a person's wish: they are no longer owed."""
        self._owed.difference_update(tests)

    def _plan(self, changes: Iterable[Change], running: Collection[str]) -> Plan:
        changes = tuple(changes)
        concerned = self.graph.dependents(changes)
        removed = {change.path for change in changes if change.after is None and self._is_known(change.path)}
        added = {change.path for change in changes if self._is_new(change)}
        gone = {test for path in removed for test in self.graph.tests_of(path)}
        obsolete = tuple(test for test in concerned if test in running)
        self._owed.update(obsolete)
        self._owed -= gone
        run = {test: reasons for test, reasons in concerned.items() if test not in gone}
        run.update((test, ()) for test in sorted(self._owed - run.keys()) if test in self.graph.tests)
        files = {self.graph.tests[test].file for test in run} | added
        return Plan(tuple(sorted(files)), run, obsolete, tuple(sorted(added)), tuple(sorted(removed)))

    def _is_known(self, path: str) -> bool:
        return bool(self.graph.tests_of(path))

    def _is_new(self, change: Change) -> bool:
        name = os.path.basename(change.path)
        return (
            change.after is not None
            and is_scenario_name(name)
            and not name.startswith("_")
            and not self._is_known(change.path)
            and self.counts(change.path)
        )
