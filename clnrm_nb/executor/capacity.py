"""How much may be in use at once: what the settings say, of this machine or of all that a backend reaches."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from clnrm_nb.config.keys import usable_cpus
from clnrm_nb.executor.admission import Capacity
from clnrm_nb.executor.backends import has_containers
from clnrm_nb.executor.backends.protocol import Distributing

if TYPE_CHECKING:
    from clnrm_nb.executor.attempt import RunContext

__all__ = ["capacity_of", "workers_of"]


def workers_of(context: RunContext) -> int:
    """Tests at once: of this machine, or of all machines together."""
    executor, backend = context.settings.executor, context.backend
    if isinstance(backend, Distributing):
        return min(executor.worker_count or backend.capacity, backend.capacity)
    return executor.effective_worker_count


def capacity_of(context: RunContext, *, most: int) -> Capacity:
    """What this machine has; of tests that run elsewhere only groups and ports matter here.

    Parameters
    ----------
    most : int
        Tests under way at once; how many of them run is a matter of turns.
    """
    executor, backend = context.settings.executor, context.backend
    if isinstance(backend, Distributing):
        return Capacity(most, sys.maxsize, sys.maxsize, sys.maxsize, executor.groups)
    return Capacity(
        workers=most,
        containers=executor.max_concurrent_containers,
        memory_mb=executor.effective_memory_budget_mb,
        cpu_millicores=usable_cpus() * 1000,
        groups=executor.groups,
        counts_containers=has_containers(backend.name),
    )
