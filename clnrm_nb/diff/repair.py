"""Repair: what several passes left conflicted is matched anew, a few spans at a time, for the least price.

Edits that lie next to each other, or that could explain each other, are one component (:mod:`.conflicts`).
A small one is solved exactly; of a larger one overlapping windows are, round after round, until nothing gets
cheaper or a number of steps that grows with its size is used up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from clnrm_nb.diff.conflicts import components, conflicts
from clnrm_nb.diff.exact import solve, window_of
from clnrm_nb.diff.pricing import SharedPrice
from clnrm_nb.diff.rematch import rematch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from clnrm_nb.diff.conflicts import Component
    from clnrm_nb.diff.matching import Matching
    from clnrm_nb.diff.pricing import Prices

__all__ = ["MAX_SPANS", "repair"]

MAX_SPANS: Final = 12
"""A component of no more spans a side is solved exactly (``diff.md`` 3)."""

_MAX_STEPS: Final = 20_000
"""For one small component: nearly all take less than a tenth of it."""

_ALL_STEPS: Final = 100_000
"""For all of them together, so that many hard ones end as well; what is left then stays as it was found."""

_WINDOW_SPANS: Final = (2, 8)
"""Of the spans a side: single exchanges first, which the steps always reach, even beside large subtrees."""

_WINDOW_STEPS: Final = 400
_STEPS_PER_SPAN: Final = 200
_MAX_ROUNDS: Final = 4
_MAX_AROUND: Final = 256
"""A window whose price hangs on more spans around it is left as it is."""


def repair(matching: Matching, prices: Prices) -> None:
    """Make a matching cheaper where it is conflicted.

    Parameters
    ----------
    matching : Matching
        Changed; ``proved`` names the spans whose edits are proved to be the least.
    prices : Prices
    """
    _Repair(matching, prices).run()


class _Repair:
    def __init__(self, matching: Matching, prices: Prices) -> None:
        self._matching, self._prices = matching, prices
        self._shared = SharedPrice(prices, matching.forth)
        self._before = matching.forth[:]
        self._solved: dict[tuple[tuple[int, ...], ...], bool] = {}
        self._left = _ALL_STEPS

    def run(self) -> None:
        a, b = self._matching.a, self._matching.b
        if a.n <= MAX_SPANS and b.n <= MAX_SPANS:
            if self._solve(range(a.n), range(b.n), _MAX_STEPS, whole=True)[0]:
                self._prove(range(a.n), range(b.n))
        else:
            for _ in range(_MAX_ROUNDS):
                before = self._matching.forth[:]
                rematch(self._matching, self._prices, self._shared, conflicts(self._matching, self._prices))
                for component in components(conflicts(self._matching, self._prices)):
                    self._component(component)
                if self._matching.forth == before:
                    break
        self._explain()

    def _component(self, component: Component) -> None:
        if component.is_settled:
            here, there = self._mates(*component.spans)
            self._prove(here, there)
            return
        if component.is_small(MAX_SPANS):
            proved = not component.conflicts.is_partial
            for spans in component.surroundings(component.atoms, MAX_SPANS):
                here, there = self._mates(*spans)
                if len(here) <= MAX_SPANS and len(there) <= MAX_SPANS:
                    proved &= self._solve(here, there, _MAX_STEPS)[0]
            if proved:
                self._prove(here, there)
            return
        for limit in _WINDOW_SPANS:
            self._windows(component, limit)

    def _windows(self, component: Component, limit: int) -> None:
        """Solve one overlapping window after the other, within a number of steps."""
        left = _STEPS_PER_SPAN * component.n_spans(limit)
        for window in component.windows(limit):
            for spans in component.surroundings(window, limit):
                if left <= 0:
                    return
                here, there = self._mates(*spans)
                if len(here) <= MAX_SPANS and len(there) <= MAX_SPANS:
                    left -= self._solve(here, there, min(left, _WINDOW_STEPS))[1]

    def _mates(self, here: Iterable[int], there: Iterable[int]) -> tuple[list[int], list[int]]:
        """Some spans with the partners they have by now."""
        forth, back = self._matching.forth, self._matching.back
        one, other = set(here), set(there)
        other |= {forth[i] for i in one if forth[i] >= 0}
        one |= {back[j] for j in other if back[j] >= 0}
        return sorted(one), sorted(other)

    def _solve(
        self, here: Sequence[int], there: Sequence[int], max_steps: int, *, whole: bool = False
    ) -> tuple[bool, int]:
        known = self._solved.get(self._key(here, there))
        if known is not None:
            return known, 1
        window = window_of(self._matching, here, there, _MAX_AROUND)
        if window is None or self._left <= 0:
            return False, 0
        max_steps = min(max_steps, self._left)
        proved, steps = solve(self._matching, self._prices, self._shared, window, max_steps, whole=whole)
        self._left -= steps
        # Solved once, the same spans with the same partners need not be looked at again.
        self._solved[self._key(here, there)] = proved
        return proved, steps

    def _key(self, here: Sequence[int], there: Sequence[int]) -> tuple[tuple[int, ...], ...]:
        forth, back = self._matching.forth, self._matching.back
        return tuple(here), tuple(forth[i] for i in here), tuple(there), tuple(back[j] for j in there)

    def _prove(self, here: Iterable[int], there: Iterable[int]) -> None:
        self._matching.proved[0].update(here)
        self._matching.proved[1].update(there)

    def _explain(self) -> None:
        """Give new pairs their reason."""
        matching = self._matching
        for i, j in enumerate(matching.forth[:-1]):
            if j < 0:
                matching.rule.pop(i, None)
            elif j != self._before[i] or i not in matching.rule:
                matching.rule[i] = "repair"
