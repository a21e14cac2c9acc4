"""How often a span stands beside spans of its label, in both sides: what ``count`` and ``optional`` ask."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.diff.drafts import Draft
    from clnrm_nb.diff.rules import Rule
    from clnrm_nb.diff.selecting import Labels
    from clnrm_nb.diff.side import Side

__all__ = ["Siblings", "bounds_of"]

_BOUNDS: Final = re.compile(r"([0-9]*)(\.\.)?([0-9]*)")


class Siblings:
    """Numbers of equally labelled children of the parent that both sides have.

    Parameters
    ----------
    baseline, current : Side
    forth : sequence of int
        Partners of the baseline's spans, the top included.
    labels : (Labels, Labels)
    """

    def __init__(
        self, baseline: Side, current: Side, forth: Sequence[int], labels: tuple[Labels, Labels]
    ) -> None:
        self._a, self._b, self._forth, self._labels = baseline, current, forth, labels
        self._back: dict[int, int] = {}
        self._counted: dict[tuple[int, int], Counter[tuple[str, ...]]] = {}

    def allowed(self, rule: Rule, draft: Draft) -> bool:
        """Whether an edit of a subtree leaves a number of such siblings that the rule allows."""
        before, after = self._numbers(draft)
        if rule.word == "optional":
            return after <= max(before, 1)
        low, high = bounds_of(rule.value)
        return low <= after and (high is None or after <= high)

    def _numbers(self, draft: Draft) -> tuple[int, int]:
        """Such siblings in the baseline and in the run."""
        side, labels, root = (
            (self._b, self._labels[1], draft.at_b)
            if draft.at is None
            else (self._a, self._labels[0], draft.at)
        )
        assert root is not None
        parent, parent_b = self._parents(side, root)
        label = labels.of(root)
        return self._children(0, parent)[label], self._children(1, parent_b)[label]

    def _children(self, which: int, parent: int) -> Counter[tuple[str, ...]]:
        """Children of a span of one side by their label."""
        found = self._counted.get((which, parent))
        if found is None:
            children = (self._a, self._b)[which].children[parent]
            found = self._counted[which, parent] = Counter(map(self._labels[which].of, children))
        return found

    def _parents(self, side: Side, root: int) -> tuple[int, int]:
        """The nearest span above that both sides have, by its numbers in both."""
        above = side.parent[root]
        if side is self._a:
            while self._forth[above] < 0:
                above = self._a.parent[above]
            return above, self._forth[above]
        if not self._back:
            self._back = {mate: number for number, mate in enumerate(self._forth) if mate >= 0}
        while above not in self._back:
            above = self._b.parent[above]
        return self._back[above], above


def bounds_of(value: Any) -> tuple[int, int | None]:
    """The least and the greatest number of ``"1..3"``, ``"2.."``, ``"..3"``, ``"2"`` or ``2``."""
    match = _BOUNDS.fullmatch(str(value))
    assert match is not None
    low = int(match[1] or 0)
    if not match[2]:
        return low, low
    return low, int(match[3]) if match[3] else None
