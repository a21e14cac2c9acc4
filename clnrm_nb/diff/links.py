"""Where links point, before and after: a link follows its target through renames and moves.

A target is named by the labels from the root down to it, so renaming a span changes the text of every link to
it or below it. That is no edit of the link: the text is written anew wherever edits are applied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from clnrm_nb.diff.positions import Positions
    from clnrm_nb.diff.side import Side

__all__ = ["Translation", "followed", "translation"]


class Translation:
    """Old target to new.

    Parameters
    ----------
    moved : mapping of int to int
        Old position to new.
    positions : Positions
    """

    def __init__(self, moved: Mapping[int, int], positions: Positions) -> None:
        self._moved = moved
        self._positions = positions

    def __bool__(self) -> bool:
        """Whether any position is followed."""
        return bool(self._moved)

    def of(self, link: dict[str, Any]) -> dict[str, Any]:
        """The link as it reads afterwards."""
        old = self._positions.named(link["target"])
        new = None if old is None else self._moved.get(old)
        return link if new is None else {**link, "target": self._positions.text(new)}


def translation(baseline: Side, current: Side, forth: Sequence[int]) -> Translation:
    """What becomes of each position in the baseline."""
    before, after = baseline.positions, current.positions
    stayed = [(one, after[mate]) for one, mate in zip(before, forth, strict=False) if mate >= 0]
    return followed(stayed, before, after, baseline.interner.positions)


def followed(
    stayed: Sequence[tuple[int, int]], before: Iterable[int], after: Iterable[int], positions: Positions
) -> Translation:
    """The translation from the old and new position of every span that stays.

    A position that links name is followed if it is gone, the new one is new, and its spans and no others went
    there: read backwards, the same positions are followed back.

    Parameters
    ----------
    stayed : sequence of (int, int)
    before, after : iterable of int
        Positions of all spans of both sides.
    positions : Positions
    """
    named = positions.texts
    forwards: dict[int, set[int]] = {}
    for one, other in stayed:
        if one != other and one in named:
            forwards.setdefault(one, set()).add(other)
    if not forwards:
        return Translation({}, positions)
    backwards: dict[int, set[int]] = {other: set() for others in forwards.values() for other in others}
    for one, other in stayed:
        if one != other and other in backwards:
            backwards[other].add(one)
    old, new = set(before), set(after)
    moved: dict[int, int] = {}
    for one, others in forwards.items():
        other = min(others)
        if len(others) == len(backwards[other]) == 1 and one not in new and other not in old:
            moved[one] = other
    return Translation(moved, positions)
