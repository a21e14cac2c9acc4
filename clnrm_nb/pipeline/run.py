"""One run, from sources to a recorded result."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING, Any

from clnrm_nb.codes import EXIT_INTERRUPTED
from clnrm_nb.errors import ClnrmError, UsageError
from clnrm_nb.executor.backends import get_backend
from clnrm_nb.executor.events import Event
from clnrm_nb.executor.outcome import TestOutcome
from clnrm_nb.executor.plan import TestPlan, make_plan
from clnrm_nb.executor.pool import run_tests
from clnrm_nb.pipeline.judge import errored, judge
from clnrm_nb.pipeline.load import Loaded, LoadedTest, Sources, Variables, load
from clnrm_nb.pipeline.record import record
from clnrm_nb.pipeline.select import select
from clnrm_nb.report.results import RunResult
from clnrm_nb.state import State, new_run_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.config.project import Project
    from clnrm_nb.config.settings import Settings
    from clnrm_nb.executor.events import Listener

__all__ = ["RunRequest", "run"]
