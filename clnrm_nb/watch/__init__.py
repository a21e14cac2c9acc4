"""Watching files: what changed, whom it concerns, and when to act on it.

Knows files and time, and nothing of rendering, running or showing: a session (`clnrm_nb.api.watching`) gives
it facts about tests, and is given changes.

`FileWatcher` tells of changed contents; `Graph` says which tests depend on them and why; `Settle` says when
to act; `Planner` says what to validate, run and cancel.
"""

from __future__ import annotations

from clnrm_nb.watch.canary import Canary
from clnrm_nb.watch.changes import Batch, Change, Place, Reading, Remark
from clnrm_nb.watch.graph import Facts, Graph, Reason
from clnrm_nb.watch.ignore import Rules
from clnrm_nb.watch.pace import Pace
from clnrm_nb.watch.plan import Plan, Planner
from clnrm_nb.watch.settle import Leading, Settle, Trailing
from clnrm_nb.watch.source import FileWatcher

__all__ = [
    "Batch",
    "Canary",
    "Change",
    "Facts",
    "FileWatcher",
    "Graph",
    "Leading",
    "Pace",
    "Place",
    "Plan",
    "Planner",
    "Reading",
    "Reason",
    "Remark",
    "Rules",
    "Settle",
    "Trailing",
]
