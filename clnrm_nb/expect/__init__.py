"""Verdicts: every ``[expect.*]`` table held against what a run left behind (``format.md`` section 7).

One module for each kind turns blocks into claims; :mod:`clnrm_nb.expect.claim` holds the rules that are true
of all of them; :func:`evaluate` puts them in order. Nothing here starts, waits or writes.
"""

from __future__ import annotations

from clnrm_nb.expect.evaluate import evaluate

__all__ = ["evaluate"]
