"""What a command answers: result objects, and their forms for people and machines.

Result objects (:mod:`~clnrm_nb.report.results`) hold one masked JSON document each; every form (terminal,
notebook, JSON, JUnit, TAP, GitHub, HTML, Markdown) is made from that document and, for traces, from columns
of spans. So a report read back from a file looks like that of a live run, and no form can forget a secret.
"""

from __future__ import annotations

from clnrm_nb.report.render import render_report

__all__ = ["render_report"]
