"""One function for every command: what the command line, the magics and Python code call.

``from clnrm_nb import api as clnrm``: names are the command names with ``_`` for ``-``; options are the long
flags with ``_`` (``clnrm.run("tests", workers=4, backend="docker")``). Every function takes ``context`` too,
which the front ends pass so that configuration is read once.

All results carry ``ok``, ``exit_code``, ``raw`` (the JSON document) and ``frame`` (a DataFrame), and show
themselves in a notebook.
"""

from __future__ import annotations

from clnrm_nb.api.comparing import (
    baseline_accept,
    baseline_history,
    baseline_list,
    baseline_reject,
    baseline_restore,
    baseline_show,
    baseline_undo,
    baseline_verify,
    diff,
)
from clnrm_nb.api.context import Context, context
from clnrm_nb.api.coverage import coverage
from clnrm_nb.api.explaining import explain
from clnrm_nb.api.fixing import lint, migrate
from clnrm_nb.api.formatting import fmt
from clnrm_nb.api.guard import guard
from clnrm_nb.api.inspect import analyze, graph, history, load_trace, report, spans
from clnrm_nb.api.machine import doctor, gc, init, self_test
from clnrm_nb.api.notebooks import notebooks
from clnrm_nb.api.panel import panel
from clnrm_nb.api.reviewing import pending_list as review
from clnrm_nb.api.running import Run, arun, run, stream
from clnrm_nb.api.scaffolding import scaffold
from clnrm_nb.api.starting import template, template_list
from clnrm_nb.api.texts import dry_run, render, validate
from clnrm_nb.executor.events import Event
from clnrm_nb.pipeline.load import Cell
from clnrm_nb.template import parse_assignments

__all__ = [
    "Cell",
    "Context",
    "Event",
    "Run",
    "analyze",
    "arun",
    "baseline_accept",
    "baseline_history",
    "baseline_list",
    "baseline_reject",
    "baseline_restore",
    "baseline_show",
    "baseline_undo",
    "baseline_verify",
    "context",
    "coverage",
    "diff",
    "doctor",
    "dry_run",
    "explain",
    "fmt",
    "gc",
    "graph",
    "guard",
    "history",
    "init",
    "lint",
    "load_trace",
    "migrate",
    "notebooks",
    "panel",
    "parse_assignments",
    "render",
    "report",
    "review",
    "run",
    "scaffold",
    "self_test",
    "spans",
    "stream",
    "template",
    "template_list",
    "validate",
]
