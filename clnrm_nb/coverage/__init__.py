"""How much of what a manifest lists is reached by traces (``clnrm coverage``).

:mod:`~clnrm_nb.coverage.manifest` reads the list, :mod:`~clnrm_nb.coverage.evidence` says what a trace is
evidence of, :mod:`~clnrm_nb.coverage.measure` puts the two together.
"""

from __future__ import annotations

from clnrm_nb.coverage.manifest import DIMENSIONS, Item, Manifest, read_manifest
from clnrm_nb.coverage.measure import Coverage, Covered, Dimension, measure

__all__ = [
    "DIMENSIONS",
    "Coverage",
    "Covered",
    "Dimension",
    "Item",
    "Manifest",
    "measure",
    "read_manifest",
]
