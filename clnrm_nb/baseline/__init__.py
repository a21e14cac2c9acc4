"""Trusted traces, kept in version control: files, decisions about them, and the review that makes them.

:mod:`~clnrm_nb.baseline.files` is one file, :mod:`~clnrm_nb.baseline.store` all of them,
:mod:`~clnrm_nb.baseline.decisions` the log of who decided what, :mod:`~clnrm_nb.baseline.compare` holds a run
against them, :mod:`~clnrm_nb.baseline.review` changes them. Nothing here shows anything.
"""

from __future__ import annotations

from clnrm_nb.baseline.catalog import BaselineEntry, Baselines
from clnrm_nb.baseline.compare import compare_run
from clnrm_nb.baseline.comparison import Comparison, Terms
from clnrm_nb.baseline.decisions import Decided, Decision
from clnrm_nb.baseline.files import Baseline
from clnrm_nb.baseline.review import BaselineReview

__all__ = [
    "Baseline",
    "BaselineEntry",
    "BaselineReview",
    "Baselines",
    "Comparison",
    "Decided",
    "Decision",
    "Terms",
    "compare_run",
]
