"""What a command answers: result objects, and their forms for people and machines.

Result objects (:mod:`~clnrm_nb.report.results`) hold one masked JSON document each; every form (terminal,
notebook, JSON, JUnit, TAP, GitHub, HTML, Markdown) is made from that document and, for traces, from columns
of spans. So a report read back from a file looks like that of a live run, and no form can forget a secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clnrm_nb.report.render import render_report

__all__ = ["render_report"]


def __getattr__(name: str) -> Any:
    """Imported when it is asked for: whoever needs one module of the package need not pay for all."""
    if name == "render_report":
        from clnrm_nb.report.render import render_report

        return render_report
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
