"""Secrets: which names promise one, in how many ways a value may be written, and what hides them all.

Stands below everything else, so that each place where foreign text enters a record can use it.
"""

from __future__ import annotations

from clnrm_nb.secrets.masker import MASK, SHORTEST, Masker, is_too_short
from clnrm_nb.secrets.names import names_a_secret

__all__ = ["MASK", "SHORTEST", "Masker", "is_too_short", "names_a_secret"]
