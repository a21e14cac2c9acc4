"""Cleanroom testing for notebooks.

A person describes a system under test in a ``.clnrm.toml.tera`` file, runs it from a notebook cell, a shell
or CI, and gets its OpenTelemetry spans as a pandas DataFrame, judged.

Nothing heavy is imported here: the names below load on first use, and ``%load_ext clnrm_nb`` costs
milliseconds. ``from clnrm_nb import api as clnrm`` has one function for every command.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from clnrm_nb.version import __version__

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from clnrm_nb.api import arun, load_trace, render, run, stream, validate
    from clnrm_nb.report.results import Diagnostics, RunResult, Trace

__all__ = [
    "Diagnostics",
    "RunResult",
    "Trace",
    "__version__",
    "arun",
    "load_ipython_extension",
    "load_trace",
    "render",
    "run",
    "stream",
    "unload_ipython_extension",
    "validate",
]

_HOME = {
    "Diagnostics": "clnrm_nb.report.findings",
    "RunResult": "clnrm_nb.report.results",
    "Trace": "clnrm_nb.report.trace",
    "arun": "clnrm_nb.api",
    "load_trace": "clnrm_nb.api",
    "render": "clnrm_nb.api",
    "run": "clnrm_nb.api",
    "stream": "clnrm_nb.api",
    "validate": "clnrm_nb.api",
}


def __getattr__(name: str) -> Any:
    """Import a public name, or a submodule, when it is first asked for."""
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name == "api":
        return import_module("clnrm_nb.api")
    raise AttributeError(f"module 'clnrm_nb' has no attribute {name!r}")


def __dir__() -> list[str]:
    """The lazy names too."""
    return sorted({*globals(), *__all__})


def load_ipython_extension(shell: InteractiveShell) -> None:
    """``%load_ext clnrm_nb``: register ``%clnrm`` and ``%%clnrm``. Loading twice changes nothing."""
    from clnrm_nb.notebook.magics import load

    load(shell)


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    """Where the built JupyterLab extension is in a checkout, for JupyterLab's own tools."""
    return [{"src": "labextension", "dest": "clnrm-nb"}]


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """``%unload_ext clnrm_nb``: take both magics away again."""
    from clnrm_nb.notebook.magics import unload

    unload(shell)
