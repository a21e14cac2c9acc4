"""How many tests are made ready while others run.

Little's law: what is under way is the rate of arrivals times the time each takes. ``workers`` tests begin
every ``run_ms``, so ``workers * prepare_ms / run_ms`` units must be in preparation for none to be waited for.
Both times are smoothed over what was seen; before anything was, the recorded durations speak.
"""

from __future__ import annotations

import math
import os
import statistics
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["Ahead"]

_PREPARE_MS: Final = 500.0
"""What a network and a container take before one was made."""

_WEIGHT: Final = 0.3
"""Of the newest observation (exponential smoothing)."""

_PER_CPU: Final = 2
"""Starting a container keeps a CPU busy: more at once than this only delay each other."""


class Ahead:
    """The number of units in preparation, or ready and waiting.

    Parameters
    ----------
    workers : int
        0: no test is made ready ahead.
    size : int
        ``executor.pool.size``; 0: from what is known of the tests.
    durations_ms : collection of float
        Recorded durations of tests of this run.
    """

    def __init__(self, workers: int, *, size: int = 0, durations_ms: Collection[float] = ()) -> None:
        self._workers = workers
        self._size = size
        self._run_ms = statistics.median(durations_ms) if durations_ms else None
        self._prepare_ms = _PREPARE_MS

    def observe(self, prepare_ms: float, run_ms: float) -> None:
        """Take in how long one test took to prepare and to run."""
        self._prepare_ms += _WEIGHT * (prepare_ms - self._prepare_ms)
        known = run_ms if self._run_ms is None else self._run_ms
        self._run_ms = known + _WEIGHT * (run_ms - known)

    @property
    def count(self) -> int:
        """At least one, at most two a CPU or one a worker, whichever is more; ``size`` where it is given."""
        if not self._workers:
            return 0
        if self._size:
            return self._size
        most = max(_PER_CPU * (os.cpu_count() or 1), self._workers)
        if self._run_ms is None:
            return min(self._workers, most)
        needed = math.ceil(self._workers * self._prepare_ms / max(self._run_ms, 1.0))
        return min(max(needed, 1), most)
