"""Templates: from the text a person edits to TOML, with a way back from every position.

A Tera-compatible language on Jinja2's compiler (``format.md`` 2 and 3). :func:`render` turns one file
into text, :func:`combinations` expands its matrix; neither raises for what a template says. Jinja2 is
imported when one of them is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clnrm_nb.template.model import Dependencies, Rendered, TemplateRequest, Variable

if TYPE_CHECKING:
    from clnrm_nb.template.expansion import combinations
    from clnrm_nb.template.rendering import render
    from clnrm_nb.template.sourcemap import SourceMap
    from clnrm_nb.template.variables import parse_assignments, read_vars_file

__all__ = [
    "Dependencies",
    "Rendered",
    "SourceMap",
    "TemplateRequest",
    "Variable",
    "combinations",
    "parse_assignments",
    "read_vars_file",
    "render",
]

_LAZY = {
    "SourceMap": "sourcemap",
    "combinations": "expansion",
    "parse_assignments": "variables",
    "read_vars_file": "variables",
    "render": "rendering",
}


def __getattr__(name: str) -> Any:
    """Import what needs Jinja2 or tomli when it is asked for."""
    from importlib import import_module

    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    globals()[name] = value
    return value
