"""What tests write themselves: no reason to run them again, or each run would ask for the next.

Who wrote a file is not known. What changes in a directory that a test may write to, while that test runs,
counts as its own; whoever edits there at that moment has to ask for another run. Other tests that only read
there are run all the same.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from clnrm_nb.watch import Change
    from clnrm_nb.watch.graph import Graph

__all__ = ["OwnWrites"]


@dataclass(slots=True)
class OwnWrites:
    """When each test ran last.

    Parameters
    ----------
    graph : Graph
    """

    graph: Graph
    _began_ns: dict[str, int] = field(default_factory=dict)
    _ended_ns: dict[str, int] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)

    def began(self, tests: Iterable[str]) -> None:
        """These tests are run from now on."""
        self._began_ns.update(dict.fromkeys(tests, time.time_ns()))

    def ended(self, tests: Iterable[str]) -> None:
        """They have ended, and what they started is gone."""
        self._ended_ns.update(dict.fromkeys(tests, time.time_ns()))

    def apart(
        self, changes: Iterable[Change], running: Collection[str]
    ) -> tuple[list[Change], Mapping[str, str]]:
        """The changes that count, and by test, only the first time, a file that it may have written.

        Parameters
        ----------
        running : collection of str
            Tests that have not ended yet.
        """
        kept: list[Change] = []
        own: dict[str, str] = {}
        for change in changes:
            writers = self.graph.writers(change)
            writer = next((test for test in sorted(writers) if self._may_have(test, change, running)), None)
            if writer is None:
                kept.append(change)
                continue
            if writer not in self._told:
                own[writer] = change.path
                self._told.add(writer)
            if others := self.graph.dependents([change]).keys() - writers:
                kept.append(replace(change, readers=tuple(sorted(others))))
        return kept, own

    def _may_have(self, test: str, change: Change, running: Collection[str]) -> bool:
        if test in running:
            return True
        # Noticed late: it was written while the test ran.
        began_ns, ended_ns = self._began_ns.get(test), self._ended_ns.get(test)
        if change.written_ns is None or began_ns is None or ended_ns is None:
            return False
        return began_ns <= change.written_ns <= ended_ns
