"""A diff as text: the merged tree with one sign a span, only what differs by default.

What is the same folds to ``… 37 unchanged``, what is too deep to a count. Edits of a whole trace stand above
the tree, edits of a span under it, old → new. Lines fit a width in terminal cells. Nothing is said by a sign
alone that the words beside it do not say too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from wcwidth import wcswidth, wcwidth

from clnrm_nb.diff.causes import sentence

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from clnrm_nb.diff.model import Diff, Edit, SpanPair

__all__ = ["tree"]

SIGNS: Final[Mapping[str, str]] = {
    "same": "✓",
    "changed": "✏️",
    "added": "➕",
    "missing": "❌",
    "moved": "↦",
    "renamed": "✎",
}
"""Signs by status (``format.md`` 8.2)."""

ASCII_SIGNS: Final[Mapping[str, str]] = {
    "same": "=",
    "changed": "~",
    "added": "+",
    "missing": "-",
    "moved": ">",
    "renamed": "=>",
}
"""The same without emoji."""

_SIGN_CELLS: Final = 2
_MIN_WIDTH: Final = 20
_WIDENS: Final = "\ufe0f"
_STRUCTURAL: Final = frozenset({"insert", "delete", "wrap", "unwrap", "rename"})


@dataclass(frozen=True, slots=True)
class _Style:
    signs: Mapping[str, str]
    branch: str
    last: str
    pipe: str
    gap: str
    dots: str
    arrow: str
    times: str


_RICH: Final = _Style(SIGNS, "├─ ", "└─ ", "│  ", "   ", "…", "→", "×")
_PLAIN: Final = _Style(ASCII_SIGNS, "|- ", "`- ", "|  ", "   ", "...", "->", "x")


def headline(diff: Diff, *, ascii_only: bool = False) -> str:
    """One line: how much differs, and spans by status."""
    style = _PLAIN if ascii_only else _RICH
    spans = "  ".join(
        f"{style.signs[status]} {count} {status}" for status, count in diff.totals.items() if count
    )
    if not diff:
        return f"no difference  {spans}".rstrip()
    n_causes = sum(cause.counted for cause in diff.causes)
    edits, causes = _plural(len(diff.counted), "edit"), _plural(n_causes, "cause")
    return f"{edits} in {causes}, cost {diff.cost}  {spans}"


def tree(
    diff: Diff,
    *,
    only_diffs: bool = True,
    max_depth: int = 10,
    width: int = 120,
    ascii_only: bool = False,
) -> str:
    """The merged tree of a diff.

    Parameters
    ----------
    diff : Diff
    only_diffs : bool
        Fold what is the same.
    max_depth : int
        Levels shown; what is deeper is counted.
    width : int
        Terminal cells a line may take, at least 20.
    ascii_only : bool
        Signs and lines in ASCII.

    Returns
    -------
    str
        Lines without a final line break.
    """
    style = _PLAIN if ascii_only else _RICH
    lines = [headline(diff, ascii_only=ascii_only)]
    lines.extend(f"{style.signs['changed']} {sentence(edit)}{_spread(edit)}" for edit in _shared(diff))
    if diff.spans:
        lines.extend(_Tree(diff, style, max_depth=max_depth, only_diffs=only_diffs).lines())
    lines.extend(_footer(diff))
    if ascii_only:
        lines = [line.replace("→", "->").replace("×", "x").replace("…", "...") for line in lines]
    return "\n".join(_fit(line, max(width, _MIN_WIDTH), style.dots) for line in lines)


def _shared(diff: Diff) -> list[Edit]:
    return [edit for edit in diff.counted if _is_shared(edit)]


def _is_shared(edit: Edit) -> bool:
    return len(edit.current_spans) > 1 and edit.op not in {"insert", "count"}


def _spread(edit: Edit) -> str:
    return f", on {_plural(len(edit.current_spans), 'span')}"


def _footer(diff: Diff) -> list[str]:
    lines = []
    if diff.ignored:
        values, keys = _plural(sum(diff.ignored.values()), "value"), _plural(len(diff.ignored), "key")
        lines.append(f"ignored: {values} under {keys}")
    lines.extend(
        f"not counted: {_plural(count, 'edit')} by {rule}" for rule, count in sorted(diff.quieted.items())
    )
    lines.extend(f"note: {note}" for note in diff.notes)
    return lines


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


class _Tree:
    """Rows to show, and the counts that stand for the others."""

    def __init__(self, diff: Diff, style: _Style, *, max_depth: int, only_diffs: bool) -> None:
        self._spans = diff.spans
        self._edits = diff.by_id
        self._style = style
        self._max_depth = max_depth
        self._only_diffs = only_diffs
        n = len(diff.spans)
        self._children: list[list[int]] = [[] for _ in range(n)]
        self._roots: list[int] = []
        # Spans and spans of interest, each in the subtree.
        self._size = [1] * n
        self._differing = [int(self._differs(pair)) for pair in diff.spans]
        for index, pair in enumerate(diff.spans):
            (self._roots if pair.parent is None else self._children[pair.parent]).append(index)
        for index in range(n - 1, -1, -1):
            parent = diff.spans[index].parent
            if parent is not None:
                self._size[parent] += self._size[index]
                self._differing[parent] += self._differing[index]

    def _differs(self, pair: SpanPair) -> bool:
        if pair.status != "changed" or not pair.edits:
            return pair.status != "same"
        return any(not _is_shared(self._edits[name]) for name in pair.edits)

    def lines(self) -> Iterator[str]:
        style = self._style
        # A row by its index or a line that stands for rows, the lead of its level, whether it is last.
        todo: list[tuple[int | str, str, bool]] = self._level(self._roots, "")
        while todo:
            row, lead, last = todo.pop()
            here = lead + (style.last if last else style.branch)
            if isinstance(row, str):
                yield here + row
                continue
            pair = self._spans[row]
            yield here + self._row(row, pair)
            below = lead + (style.gap if last else style.pipe)
            children = self._below(row, pair)
            bar = style.pipe if children else style.gap
            for name in pair.edits:
                edit = self._edits[name]
                if edit.op not in _STRUCTURAL and not _is_shared(edit) and edit.op != "count":
                    yield f"{below}{bar}{self._detail(edit)}"
            if children and pair.depth + 1 >= self._max_depth:
                hidden = sum(self._size[child] for child in children)
                differing = sum(self._differing[child] for child in children)
                note = f"{style.dots} {hidden:,} deeper" + (
                    f", {differing:,} of them differ" * bool(differing)
                )
                todo.append((note, below, True))
            else:
                todo.extend(self._level(children, below))

    def _below(self, row: int, pair: SpanPair) -> list[int]:
        """Children to look at: those of a subtree that came or went as a whole stay folded."""
        children = self._children[row]
        if self._only_diffs and pair.status in {"added", "missing"}:
            return [child for child in children if not self._is_whole(child, pair)]
        return children

    def _is_whole(self, row: int, pair: SpanPair) -> bool:
        todo = [row]
        while todo:
            index = todo.pop()
            if self._spans[index].edits != pair.edits:
                return False
            todo.extend(self._children[index])
        return True

    def _level(self, rows: Sequence[int], lead: str) -> list[tuple[int | str, str, bool]]:
        """Rows and folds of one list of siblings, last first, as a stack wants them."""
        items: list[int | str] = []
        folded = 0
        for row in rows:
            if self._only_diffs and not self._differing[row]:
                folded += self._size[row]
            else:
                items.append(row)
        if folded:
            items.append(f"{self._style.dots} {folded:,} unchanged")
        return [(item, lead, place == len(items) - 1) for place, item in enumerate(items)][::-1]

    def _row(self, row: int, pair: SpanPair) -> str:
        sign = self._style.signs[pair.status]
        sign += " " * (_SIGN_CELLS - max(wcswidth(sign), 0))
        name = pair.name if pair.name is not None else pair.baseline_name or ""
        if pair.name is not None and pair.baseline_name is not None and pair.name != pair.baseline_name:
            name = f"{pair.baseline_name} {self._style.arrow} {name}"
        above = None if pair.parent is None else self._spans[pair.parent].service
        service = f" [{pair.service}]" if pair.service != above else ""
        return f"{sign} {_printable(name)}{service}{self._words(row, pair)}"

    def _words(self, row: int, pair: SpanPair) -> str:
        """What the sign means, where it is not plain from the edits below."""
        if pair.status not in {"added", "missing"}:
            return ""
        words = {edit.op for edit in map(self._edits.get, pair.edits) if edit is not None}
        if words & {"wrap", "unwrap"}:
            return f"  {'came' if 'wrap' in words else 'went from'} between"
        for name in pair.edits:
            edit = self._edits[name]
            if edit.op == "count":
                times, arrow = self._style.times, self._style.arrow
                return f"  {times}{edit.baseline} {arrow} {times}{edit.current}"
        size = self._size[row]
        return f"  {pair.status}" + (f", {size:,} spans" if size > 1 and self._only_diffs else "")

    def _detail(self, edit: Edit) -> str:
        text = sentence(edit)
        return _printable(text)


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


def _fit(line: str, width: int, dots: str) -> str:
    """A line cut to a number of terminal cells."""
    if wcswidth(line) <= width and len(line) <= 2 * width:
        return line
    room, kept = width - len(dots), 0
    for place, character in enumerate(line):
        # An emoji sign is a narrow character and a selector that widens it.
        kept += 1 if character == _WIDENS else max(wcwidth(character), 0)
        if kept > room:
            return line[:place] + dots
    return line
