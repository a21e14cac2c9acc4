"""One trace against a trusted one: which spans are the same, and the shortest list of edits for the rest.

:func:`compare` is the way in; :mod:`~clnrm_nb.diff.model` says what comes back,
:func:`~clnrm_nb.diff.apply.apply` patches a baseline with some of the edits, :mod:`~clnrm_nb.diff.text`
shows a diff as a tree.
"""

from __future__ import annotations

from clnrm_nb.diff.apply import apply
from clnrm_nb.diff.compare import compare, prepare
from clnrm_nb.diff.model import Cause, Diff, Edit, SpanPair
from clnrm_nb.diff.options import DiffOptions

__all__ = ["Cause", "Diff", "DiffOptions", "Edit", "SpanPair", "apply", "compare", "prepare"]
