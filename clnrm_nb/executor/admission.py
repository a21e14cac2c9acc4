"""Which test may start next: the order of the queue, and what must be free for a test (``format.md`` 5.5)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clnrm_nb.executor.plan import TestPlan

__all__ = ["Admission", "Capacity", "TestHistory", "queue_order"]

_FAILED: Final = frozenset({"failed", "error", "incomplete", "interrupted"})
_MOST_OVERTAKEN: Final = 16
"""How many others may start before a test that came first but did not fit; then it is waited for."""


@dataclass(frozen=True, slots=True)
class TestHistory:
    """The last result of a test and how long it took, as far as they are known."""

    __test__ = False

    status: str | None = None
    duration_ms: float | None = None

    @property
    def has_failed(self) -> bool:
        """Whether it failed last time, in whatever way."""
        return self.status in _FAILED


def queue_order(plans: Sequence[TestPlan], history: Mapping[str, TestHistory]) -> list[TestPlan]:
    """Priority, failed last time, never run, longest recorded duration, path."""

    def key(plan: TestPlan) -> tuple[int, bool, bool, float, str]:
        known = history.get(plan.id)
        duration_ms = (known.duration_ms or 0.0) if known else 0.0
        return (-plan.priority, not (known and known.has_failed), known is not None, -duration_ms, plan.id)

    return sorted(plans, key=key)


@dataclass(frozen=True, slots=True)
class Capacity:
    """What may be in use at once.

    Parameters
    ----------
    workers : int
        Tests.
    containers : int
    memory_mb : int
        Sum of container limits.
    groups : mapping of str to int
        Most tests of a group; of one that is not named: 1.
    counts_containers : bool
        Whether the backend starts any; otherwise containers, memory and host ports are no matter.
    """

    workers: int
    containers: int
    memory_mb: int
    groups: Mapping[str, int]
    counts_containers: bool = True


class Admission:
    """Gives out tests in queue order, each when all it needs fits.

    A test may be overtaken by others that fit, a bounded number of times. One that asks for more than there
    is at all runs alone.
    """

    def __init__(self, queue: Sequence[TestPlan], capacity: Capacity) -> None:
        self._waiting = list(queue)
        self._capacity = capacity
        self._running: dict[str, TestPlan] = {}
        self._groups: Counter[str] = Counter()
        self._overtaken: Counter[str] = Counter()

    @property
    def waiting(self) -> Sequence[TestPlan]:
        """Tests not given out yet."""
        return self._waiting

    def next(self) -> TestPlan | None:
        """Take the first test that fits, if any; it is running until :meth:`release`."""
        for number, plan in enumerate(self._waiting):
            if self._fits(plan):
                for earlier in self._waiting[:number]:
                    self._overtaken[earlier.id] += 1
                del self._waiting[number]
                self._running[plan.id] = plan
                self._groups.update(plan.groups)
                return plan
            if self._overtaken[plan.id] >= _MOST_OVERTAKEN:
                return None
        return None

    def release(self, plan: TestPlan) -> None:
        """The test has ended and been torn down."""
        del self._running[plan.id]
        self._groups.subtract(plan.groups)

    def _fits(self, plan: TestPlan) -> bool:
        if len(self._running) >= self._capacity.workers:
            return False
        if any(self._groups[group] >= self._capacity.groups.get(group, 1) for group in plan.groups):
            return False
        if not self._capacity.counts_containers or not self._running:
            return True
        others = self._running.values()
        return (
            plan.container_count + sum(other.container_count for other in others) <= self._capacity.containers
            and plan.memory_mb + sum(other.memory_mb for other in others) <= self._capacity.memory_mb
            and not any(plan.host_ports & other.host_ports for other in others)
        )
