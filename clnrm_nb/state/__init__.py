"""What outlives a run: results, spans and history in ``.clnrm/`` (``format.md`` 8.4).

An index in SQLite (:mod:`clnrm_nb.state.database`), bulk in content-addressed files
(:mod:`clnrm_nb.state.objects`), and :class:`State` in front of both. One rule above all: recording never
breaks a run. What cannot be written is said once and the run goes on; what cannot be read is a miss.
"""

from __future__ import annotations

from clnrm_nb.state.ids import new_run_id
from clnrm_nb.state.objects import ObjectStore
from clnrm_nb.state.store import State

__all__ = ["ObjectStore", "State", "new_run_id"]
