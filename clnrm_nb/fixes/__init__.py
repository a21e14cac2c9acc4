"""Fixes applied to the text a person edits: as many rounds as it takes, and never a worse file."""

from __future__ import annotations

from clnrm_nb.fixes.meaning import meaning
from clnrm_nb.fixes.mend import Mended, apply_edits, mend
from clnrm_nb.fixes.older import older_forms

__all__ = ["Mended", "apply_edits", "meaning", "mend", "older_forms"]
