"""The known word a mistyped one was probably meant to be (``format.md`` 1.8: tier 3)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["did_you_mean", "distance", "is_clear", "nearest"]

_NEAR = 2


@lru_cache(maxsize=4_096)
def distance(left: str, right: str, limit: int | None = None) -> int:
    """Edits between two words: insert, delete, replace, swap of neighbours (each place touched once).

    Parameters
    ----------
    left, right : str
    limit : int, optional
        Beyond it the answer is just larger.

    Notes
    -----
    Optimal string alignment, the restricted form of the Damerau-Levenshtein distance.

    Examples
    --------
    >>> distance("serivce", "service"), distance("cmd", "command")
    (1, 4)
    """
    enough = max(len(left), len(right)) if limit is None else limit
    before: list[int] = []
    above = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        row = [i]
        for j, b in enumerate(right, 1):
            best = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                best = min(best, before[j - 2] + 1)
            row.append(best)
        # A row is made of the two above it: from here on nothing comes back below the limit.
        if min(row) > enough and min(above) >= enough:
            return enough + 1
        before, above = above, row
    return above[-1]


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The closest of `known` within 2 edits or a third of the longer word; of equals the first by name.

    A name that has nothing in common with `word` is not near it, however short both are.
    """
    ranked: list[tuple[int, str]] = []
    for name in known:
        limit = max(_NEAR, max(len(word), len(name)) // 3)
        if abs(len(name) - len(word)) <= limit:
            edits = distance(word, name, limit)
            if edits <= limit and edits < max(len(word), len(name)):
                ranked.append((edits, name))
    return min(ranked)[1] if ranked else None


def is_clear(word: str, guess: str, known: Iterable[str]) -> bool:
    """Whether `word` can hardly be meant otherwise: one edit or a third of it off, and no other as near."""
    edits = distance(word, guess)
    return edits <= max(1, len(word) // 3) and not any(
        name != guess and abs(len(name) - len(word)) <= edits and distance(word, name, edits) <= edits
        for name in known
    )


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``; did you mean `X`?``, or nothing where no word is near."""
    guess = nearest(word, known)
    return f"; did you mean `{guess}`?" if guess else ""
