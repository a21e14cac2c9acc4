"""The change of a text file as a unified diff, in time near to linear.

Python's own matcher looks for the longest common stretch again and again, which takes minutes on a 1 MB file
with changes all over. Here lines that occur once in both texts are matched first (the idea of Bram Cohen's
patience diff), and only what stands between them is left to it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from difflib import Match, SequenceMatcher
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["split_lines", "unified_diff"]

_CONTEXT_LINES: Final = 3
_LARGEST_GAP: Final = 400
"""Lines between two matched ones; a larger gap without a line of its own is shown as replaced."""


def split_lines(text: str) -> list[str]:
    """Lines with their ends: of line feeds only, for strings may hold what ``str.splitlines`` splits at."""
    *whole, rest = text.split("\n")
    return [f"{line}\n" for line in whole] + ([rest] if rest else [])


def unified_diff(file: str, before: str, after: str) -> str:
    """The change of a file as ``git apply`` and ``patch -p1`` read it; empty where there is none."""
    if before == after:
        return ""
    matcher = _AnchoredMatcher(split_lines(before), split_lines(after))
    lines = [f"--- a/{file}\n", f"+++ b/{file}\n"]
    for group in matcher.get_grouped_opcodes(_CONTEXT_LINES):
        lines += _hunk(group, matcher.before, matcher.after)
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def _hunk(
    group: Sequence[tuple[str, int, int, int, int]], before: Sequence[str], after: Sequence[str]
) -> Iterator[str]:
    first, last = group[0], group[-1]
    yield f"@@ -{_range(first[1], last[2])} +{_range(first[3], last[4])} @@\n"
    for kind, start, end, new_start, new_end in group:
        if kind == "equal":
            yield from (f" {line}" for line in before[start:end])
        else:
            yield from (f"-{line}" for line in before[start:end])
            yield from (f"+{line}" for line in after[new_start:new_end])


def _range(start: int, end: int) -> str:
    """``first,count`` of a hunk; of no lines, the line before."""
    length = end - start
    return str(start + 1) if length == 1 else f"{start + 1 if length else start},{length}"


class _AnchoredMatcher(SequenceMatcher[str]):
    def __init__(self, before: Sequence[str], after: Sequence[str]) -> None:
        super().__init__(None, before, after, autojunk=False)
        self.before, self.after = before, after

    def get_matching_blocks(self) -> list[Match]:
        """Equal stretches in order, as the base has them, the last one empty."""
        before, after = self.before, self.after
        ends = (len(before), len(after))
        blocks: list[Match] = []
        start, new_start = 0, 0
        for place, new_place in [*_anchors(before, after), ends]:
            for block in _between(before[start:place], after[new_start:new_place]):
                _append(blocks, Match(start + block.a, new_start + block.b, block.size))
            if (place, new_place) != ends:
                _append(blocks, Match(place, new_place, 1))
            start, new_start = place + 1, new_place + 1
        return [*blocks, Match(*ends, 0)]


def _between(before: Sequence[str], after: Sequence[str]) -> Iterator[Match]:
    if not before or not after:
        return
    if len(before) == len(after) and before == after:
        yield Match(0, 0, len(before))
    elif max(len(before), len(after)) <= _LARGEST_GAP:
        yield from SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks()


def _append(blocks: list[Match], block: Match) -> None:
    if not block.size:
        return
    if blocks and blocks[-1].a + blocks[-1].size == block.a and blocks[-1].b + blocks[-1].size == block.b:
        block = Match(blocks[-1].a, blocks[-1].b, blocks.pop().size + block.size)
    blocks.append(block)


def _anchors(before: Sequence[str], after: Sequence[str]) -> list[tuple[int, int]]:
    """The longest rising sequence of pairs of lines that occur once in either text."""
    counts, new_counts = Counter(before), Counter(after)
    new_places = {line: place for place, line in enumerate(after) if new_counts[line] == 1}
    pairs = [
        (place, new_places[line])
        for place, line in enumerate(before)
        if counts[line] == 1 and line in new_places
    ]
    ends: list[int] = []
    """Of the sequences of each length the smallest last place."""
    last: list[int] = []
    previous: list[int] = []
    for index, (_, new_place) in enumerate(pairs):
        length = bisect_left(ends, new_place)
        ends[length : length + 1] = [new_place]
        last[length : length + 1] = [index]
        previous.append(last[length - 1] if length else -1)
    found: list[tuple[int, int]] = []
    index = last[-1] if last else -1
    while index >= 0:
        found.append(pairs[index])
        index = previous[index]
    return found[::-1]
