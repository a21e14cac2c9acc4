"""One function for every command: what the command line, the magics and Python code call.

``from clnrm_nb import api as clnrm``: names are the command names with ``_`` for ``-``; options are the long
flags with ``_`` (``clnrm.run("tests", workers=4, backend="docker")``). Every function takes ``context`` too,
which the front ends pass so that configuration is read once.

Nothing is imported before it is asked for: a command pays for what it uses. No module here is called like a
function, which it would hide.

All results carry ``ok``, ``exit_code``, ``raw`` (the JSON document) and ``frame`` (a DataFrame), and show
themselves in a notebook.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from clnrm_nb.api.caching import cache_clear, cache_list, cache_stats, cache_verify, cache_why
    from clnrm_nb.api.comparing import diff
    from clnrm_nb.api.contexts import Context, context
    from clnrm_nb.api.covering import coverage
    from clnrm_nb.api.deciding import (
        baseline_accept,
        baseline_history,
        baseline_list,
        baseline_reject,
        baseline_restore,
        baseline_show,
        baseline_undo,
        baseline_verify,
    )
    from clnrm_nb.api.explaining import explain
    from clnrm_nb.api.fixing import lint, migrate
    from clnrm_nb.api.formatting import fmt
    from clnrm_nb.api.guarding import guard
    from clnrm_nb.api.inspect import analyze, graph, load_trace, report, spans
    from clnrm_nb.api.learning import baseline_learn
    from clnrm_nb.api.machine import doctor, gc, init, self_test
    from clnrm_nb.api.panels import panel
    from clnrm_nb.api.pluggable import plugins
    from clnrm_nb.api.pulling import pull
    from clnrm_nb.api.recorded import record
    from clnrm_nb.api.regressing import notebooks
    from clnrm_nb.api.remembering import history, stats
    from clnrm_nb.api.reproducing import repro
    from clnrm_nb.api.reviewing import review
    from clnrm_nb.api.running import Run, arun, run, stream
    from clnrm_nb.api.scaffolding import scaffold
    from clnrm_nb.api.starting import template, template_list
    from clnrm_nb.api.tending import baseline_blame, baseline_gc
    from clnrm_nb.api.testfirst import redgreen
    from clnrm_nb.api.texts import dry_run, render, validate
    from clnrm_nb.api.watching.handle import Watch, watch
    from clnrm_nb.executor.events import Event
    from clnrm_nb.pipeline.request import Cell
    from clnrm_nb.template import parse_assignments

__all__ = [
    "Cell",
    "Context",
    "Event",
    "Run",
    "Watch",
    "analyze",
    "arun",
    "baseline_accept",
    "baseline_blame",
    "baseline_gc",
    "baseline_history",
    "baseline_learn",
    "baseline_list",
    "baseline_reject",
    "baseline_restore",
    "baseline_show",
    "baseline_undo",
    "baseline_verify",
    "cache_clear",
    "cache_list",
    "cache_stats",
    "cache_verify",
    "cache_why",
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
    "plugins",
    "pull",
    "record",
    "redgreen",
    "render",
    "report",
    "repro",
    "review",
    "run",
    "scaffold",
    "self_test",
    "spans",
    "stats",
    "stream",
    "template",
    "template_list",
    "validate",
    "watch",
]

_HOME: Final = {
    "Cell": "clnrm_nb.pipeline.request",
    "Context": "clnrm_nb.api.contexts",
    "Event": "clnrm_nb.executor.events",
    "Run": "clnrm_nb.api.running",
    "Watch": "clnrm_nb.api.watching.handle",
    "analyze": "clnrm_nb.api.inspect",
    "arun": "clnrm_nb.api.running",
    "baseline_accept": "clnrm_nb.api.deciding",
    "baseline_blame": "clnrm_nb.api.tending",
    "baseline_gc": "clnrm_nb.api.tending",
    "baseline_history": "clnrm_nb.api.deciding",
    "baseline_learn": "clnrm_nb.api.learning",
    "baseline_list": "clnrm_nb.api.deciding",
    "baseline_reject": "clnrm_nb.api.deciding",
    "baseline_restore": "clnrm_nb.api.deciding",
    "baseline_show": "clnrm_nb.api.deciding",
    "baseline_undo": "clnrm_nb.api.deciding",
    "baseline_verify": "clnrm_nb.api.deciding",
    "cache_clear": "clnrm_nb.api.caching",
    "cache_list": "clnrm_nb.api.caching",
    "cache_stats": "clnrm_nb.api.caching",
    "cache_verify": "clnrm_nb.api.caching",
    "cache_why": "clnrm_nb.api.caching",
    "context": "clnrm_nb.api.contexts",
    "coverage": "clnrm_nb.api.covering",
    "diff": "clnrm_nb.api.comparing",
    "doctor": "clnrm_nb.api.machine",
    "dry_run": "clnrm_nb.api.texts",
    "explain": "clnrm_nb.api.explaining",
    "fmt": "clnrm_nb.api.formatting",
    "gc": "clnrm_nb.api.machine",
    "graph": "clnrm_nb.api.inspect",
    "guard": "clnrm_nb.api.guarding",
    "history": "clnrm_nb.api.remembering",
    "init": "clnrm_nb.api.machine",
    "lint": "clnrm_nb.api.fixing",
    "load_trace": "clnrm_nb.api.inspect",
    "migrate": "clnrm_nb.api.fixing",
    "notebooks": "clnrm_nb.api.regressing",
    "panel": "clnrm_nb.api.panels",
    "parse_assignments": "clnrm_nb.template",
    "plugins": "clnrm_nb.api.pluggable",
    "pull": "clnrm_nb.api.pulling",
    "record": "clnrm_nb.api.recorded",
    "redgreen": "clnrm_nb.api.testfirst",
    "render": "clnrm_nb.api.texts",
    "report": "clnrm_nb.api.inspect",
    "repro": "clnrm_nb.api.reproducing",
    "review": "clnrm_nb.api.reviewing",
    "run": "clnrm_nb.api.running",
    "scaffold": "clnrm_nb.api.scaffolding",
    "self_test": "clnrm_nb.api.machine",
    "spans": "clnrm_nb.api.inspect",
    "stats": "clnrm_nb.api.remembering",
    "stream": "clnrm_nb.api.running",
    "template": "clnrm_nb.api.starting",
    "template_list": "clnrm_nb.api.starting",
    "validate": "clnrm_nb.api.texts",
    "watch": "clnrm_nb.api.watching.handle",
}


def __getattr__(name: str) -> Any:
    """Import a function, or a class that goes with one, when it is first asked for."""
    if name not in _HOME:
        raise AttributeError(f"module 'clnrm_nb.api' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The lazy names too."""
    return sorted({*globals(), *__all__})
