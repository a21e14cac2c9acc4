"""Whether a file makes sense as a whole: references, cycles, ports, mounts, names; the one validator.

:func:`check` takes what the template layer rendered and gives every finding at once, plus the typed test
where there is no error. Spelling and types of single values are :mod:`clnrm_nb.scenario`'s.
"""

from __future__ import annotations

from clnrm_nb.validation.check import Checked, check

__all__ = ["Checked", "check"]
