"""The known word a mistyped one was probably meant to be (``format.md`` 1.8: tier 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["did_you_mean", "distance", "nearest"]

_NEAR = 2


def distance(left: str, right: str) -> int:
    """Edits between two words: insert, delete, replace, swap of neighbours (each place touched once).

    Examples
    --------
    >>> distance("serivce", "service"), distance("cmd", "command")
    (1, 4)
    """
    before: list[int] = []
    above = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        row = [i]
        for j, b in enumerate(right, 1):
            best = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                best = min(best, before[j - 2] + 1)
            row.append(best)
        before, above = above, row
    return above[-1]


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The closest of `known` within 2 edits or a third of the longer word; of equals the first by name."""
    ranked: list[tuple[int, str]] = []
    for other in known:
        limit = max(_NEAR, max(len(word), len(other)) // 3)
        if abs(len(other) - len(word)) <= limit and (edits := distance(word, other)) <= limit:
            ranked.append((edits, other))
    return min(ranked)[1] if ranked else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``; did you mean `X`?``, or nothing where no word is near."""
    guess = nearest(word, known)
    return f"; did you mean `{guess}`?" if guess else ""
