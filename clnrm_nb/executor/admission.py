"""Which test may start next: the order of the queue, and what must be free for a test (``format.md`` 5.5).

What a test needs is a vector (containers, memory, CPU, groups, host ports), what there is another; a test is
given out when the sum of what runs and what it needs stays within. Processor time counts only where a file
asks for it: tests mostly wait, and eight of them run well on two cores.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from clnrm_nb.executor.plan import TestPlan

__all__ = [
    "LEAST_AVAILABLE_MB",
    "MOST_OVERTAKEN",
    "Admission",
    "Capacity",
    "TestHistory",
    "available_memory_mb",
    "queue_order",
]

_FAILED: Final = frozenset({"failed", "error", "incomplete", "interrupted"})
MOST_OVERTAKEN: Final = 16
"""How many others may start before a test that came first but did not fit; then it is waited for."""

LEAST_AVAILABLE_MB: Final = 256


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
    cpu_millicores : int
        Sum of what files ask for.
    groups : mapping of str to int
        Most tests of a group; of one that is not named: 1.
    counts_containers : bool
        Whether the backend starts any; otherwise containers, memory, CPU and host ports are no matter.
    """

    workers: int
    containers: int
    memory_mb: int
    cpu_millicores: int
    groups: Mapping[str, int]
    counts_containers: bool = True


class Admission:
    """Gives out tests in queue order, each when all it needs fits.

    A test may be overtaken by others that fit, a bounded number of times. One that asks for more than there
    is at all runs alone.

    Parameters
    ----------
    available_mb : callable
        Memory that this machine has left, if it can be told. While tests run and less than
        :data:`LEAST_AVAILABLE_MB` is left, no further one starts, whatever the limits say: the sum of limits
        knows nothing of other programs.
    """

    def __init__(
        self,
        queue: Sequence[TestPlan],
        capacity: Capacity,
        available_mb: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._waiting = list(queue)
        self._capacity = capacity
        self._available_mb = available_mb
        self._running: dict[str, TestPlan] = {}
        self._groups: Counter[str] = Counter()
        self._overtaken: Counter[str] = Counter()

    @property
    def waiting(self) -> Sequence[TestPlan]:
        """Tests not given out yet."""
        return self._waiting

    def next(self) -> TestPlan | None:
        """Take the first test that fits, if any; it is running until :meth:`release`."""
        if len(self._running) >= self._capacity.workers or not self._waiting or self._is_short_of_memory():
            return None
        for number, plan in enumerate(self._waiting):
            if self._fits(plan):
                for earlier in self._waiting[:number]:
                    self._overtaken[earlier.id] += 1
                del self._waiting[number]
                self._running[plan.id] = plan
                self._groups.update(plan.groups)
                return plan
            if self._overtaken[plan.id] >= MOST_OVERTAKEN:
                return None
        return None

    def release(self, plan: TestPlan) -> None:
        """The test has ended and been torn down."""
        del self._running[plan.id]
        self._groups.subtract(plan.groups)

    def put_back(self, plan: TestPlan) -> None:
        """Let a released test have another turn, before all that still wait for their first."""
        self._waiting.insert(0, plan)

    def _is_short_of_memory(self) -> bool:
        # With nothing running, waiting would bring nothing back.
        available_mb = self._available_mb() if self._running else None
        return available_mb is not None and available_mb < LEAST_AVAILABLE_MB

    def _fits(self, plan: TestPlan) -> bool:
        if any(self._groups[group] >= self._capacity.groups.get(group, 1) for group in plan.groups):
            return False
        if not self._capacity.counts_containers or not self._running:
            return True
        together = [*self._running.values(), plan]
        return (
            sum(each.container_count for each in together) <= self._capacity.containers
            and sum(each.memory_mb for each in together) <= self._capacity.memory_mb
            and sum(each.cpu_millicores for each in together) <= self._capacity.cpu_millicores
            and not any(plan.host_ports & other.host_ports for other in self._running.values())
        )


def available_memory_mb() -> float | None:
    """What programs can still be given without swapping, as the kernel estimates it; ``None``: not known."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None
