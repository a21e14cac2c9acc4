"""A diff as text: the merged tree with one sign a span, only what differs by default.

What is the same folds to ``… 37 unchanged``, what is too deep to a count, copies to one row. Edits of a whole
trace stand above the tree, edits of a span under it, as a table of sign, key and old → new. Lines fit a width
in terminal cells. Nothing is said by a sign alone that the words beside it do not say too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

from clnrm_nb.diff.sentences import PLAIN, RICH, cells, clip, detail, label, sentence, short_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from clnrm_nb.diff.model import Diff, Edit, SpanPair
    from clnrm_nb.diff.sentences import Marks

__all__ = ["Row", "footer", "rows", "tree"]

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
_LEVEL_CELLS: Final = 3
"""Of a guide, which is drawn with characters of one cell."""
_WIDEST_LABEL: Final = 40
_DIGEST: Final = 19
"""Characters of a digest that are enough to tell two apart: ``sha256:`` and twelve digits."""
_TOLD_BY_ROW: Final = frozenset({"insert", "delete", "wrap", "unwrap", "rename", "move", "count"})


class Row(NamedTuple):
    """One line of the tree.

    Parameters
    ----------
    guide : str
        What the tree is drawn with.
    text : str
        A span, an edit of it, or a count of what is not shown.
    status : str
        Of the span; empty on lines that are none.
    """

    guide: str
    text: str
    status: str = ""


@dataclass(frozen=True)
class _Style:
    signs: Mapping[str, str]
    branch: str
    last: str
    pipe: str
    gap: str
    marks: Marks

    @cached_property
    def padded(self) -> dict[str, str]:
        """Signs of equal width."""
        return {word: sign + " " * (_SIGN_CELLS - cells(sign)) for word, sign in self.signs.items()}


_RICH: Final = _Style(SIGNS, "├─ ", "└─ ", "│  ", "   ", RICH)
_PLAIN: Final = _Style(ASCII_SIGNS, "|- ", "`- ", "|  ", "   ", PLAIN)


def headline(diff: Diff, *, ascii_only: bool = False) -> str:
    """One line: how much differs, and spans by status, which is the legend of the signs too."""
    style = _PLAIN if ascii_only else _RICH
    spans = "  ".join(
        f"{style.signs[status]} {count:,} {status}" for status, count in diff.totals.items() if count
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
    """The merged tree of a diff with a headline, what whole traces share, and what else is to know.

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
    width = max(width, _MIN_WIDTH)
    lines = [headline(diff, ascii_only=ascii_only)]
    for edit in diff.counted:
        if not edit.is_shared:
            continue
        spans = _plural(len(edit.current_spans), "span")
        lines.append(f"{style.signs['changed']} {sentence(edit, style.marks)}, on {spans}")
    found = rows(diff, only_diffs=only_diffs, max_depth=max_depth, width=width, ascii_only=ascii_only)
    lines.extend(guide + text for guide, text, _ in found)
    lines.extend(footer(diff))
    return "\n".join(clip(_printable(line), width, style.marks.dots) for line in lines)


def rows(
    diff: Diff,
    *,
    only_diffs: bool = True,
    max_depth: int = 10,
    width: int = 120,
    ascii_only: bool = False,
    rest: str = "unchanged",
) -> Iterator[Row]:
    """The lines of the merged tree alone; see :func:`tree`. None is wider than `width`.

    What is folded is called `rest`: in a part of a difference it may differ as well.
    """
    if not diff.spans:
        return
    style = _PLAIN if ascii_only else _RICH
    drawn = _Tree(diff, style, max_depth=max_depth, only_diffs=only_diffs, width=width, rest=rest)
    for guide, text, status in drawn.lines():
        lead = _short_guide(guide, width, style.marks.dots)
        yield Row(lead, clip(_printable(text), max(width - len(lead), 1), style.marks.dots), status)


def _short_guide(guide: str, width: int, dots: str) -> str:
    """A guide of at most half the width: of deep levels the number, and the nearest as they are."""
    most = max(width // 2, _LEVEL_CELLS)
    if len(guide) <= most:
        return guide
    kept = guide[-(most // _LEVEL_CELLS - 2) * _LEVEL_CELLS :]
    return (
        f"{dots}{(len(guide) - len(kept)) // _LEVEL_CELLS} ".ljust(2 * _LEVEL_CELLS)[: most - len(kept)]
        + kept
    )


def footer(diff: Diff) -> list[str]:
    """What is to know beside the edits: what was left out, what does not count, notes, the certificate."""
    lines = []
    if diff.ignored:
        values, keys = _plural(sum(diff.ignored.values()), "value"), _plural(len(diff.ignored), "key")
        lines.append(f"ignored: {values} under {keys} ({', '.join(diff.ignored)})")
    lines.extend(
        f"{_plural(count, 'edit')} quieted by {rule}" for rule, count in sorted(diff.quieted.items())
    )
    lines.extend(f"note: {note}" for note in diff.notes)
    if diff.certified and diff:
        old, new = diff.baseline_digest[:_DIGEST], diff.trace_digest[:_DIGEST]
        lines.append(f"certified: the edits turn {old} into {new}")
    return lines


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


class _Tree:
    """Rows to show, and the counts that stand for the others."""

    def __init__(
        self,
        diff: Diff,
        style: _Style,
        *,
        max_depth: int,
        only_diffs: bool,
        width: int,
        rest: str = "unchanged",
    ) -> None:
        self._rest = rest
        self._spans = diff.spans
        self._edits = diff.by_id
        self._style = style
        self._max_depth = max_depth
        self._only_diffs = only_diffs
        self._width = width
        n = len(diff.spans)
        self._children: list[list[int]] = [[] for _ in range(n)]
        self._roots: list[int] = []
        # Spans and spans of interest, each in the subtree; whether all below has the very edits of its top.
        self._size = [1] * n
        self._differing = [int(self._differs(pair)) for pair in diff.spans]
        self._is_whole = [True] * n
        self._as_said = [
            int(pair.status != "same" and not differs)
            for pair, differs in zip(diff.spans, self._differing, strict=True)
        ]
        for index, pair in enumerate(diff.spans):
            (self._roots if pair.parent is None else self._children[pair.parent]).append(index)
        for index in range(n - 1, -1, -1):
            pair = diff.spans[index]
            parent = pair.parent
            if parent is not None:
                self._size[parent] += self._size[index]
                self._differing[parent] += self._differing[index]
                self._as_said[parent] += self._as_said[index]
                if not self._is_whole[index] or pair.edits != diff.spans[parent].edits:
                    self._is_whole[parent] = False

    def _differs(self, pair: SpanPair) -> bool:
        if pair.status != "changed" or not pair.edits:
            return pair.status != "same"
        return any(not self._edits[name].is_shared for name in pair.edits if name in self._edits)

    def lines(self) -> Iterator[Row]:
        style = self._style
        # A row by its index or a line that stands for rows, the lead of its level, whether it is last.
        todo: list[tuple[int | str, str, bool]] = self._level(self._roots, "")
        while todo:
            row, lead, last = todo.pop()
            here = lead + (style.last if last else style.branch)
            if isinstance(row, str):
                yield Row(here, row)
                continue
            pair = self._spans[row]
            yield Row(here, self._row(row, pair, here), pair.status)
            below = lead + (style.gap if last else style.pipe)
            children = self._below(row, pair)
            if pair.edits:
                bar = below + (style.pipe if children else style.gap)
                yield from (Row(bar, text) for text in self._details(pair, bar))
            if children and pair.depth + 1 >= self._max_depth:
                hidden = sum(self._size[child] for child in children)
                differing = sum(self._differing[child] for child in children)
                note = f"{style.marks.dots} {hidden:,} deeper" + (
                    f", {differing:,} of them differ" * bool(differing)
                )
                todo.append((note, below, True))
            else:
                todo.extend(self._level(children, below))

    def _below(self, row: int, pair: SpanPair) -> list[int]:
        """Children to look at: those of a subtree that came or went as a whole stay folded."""
        children = self._children[row]
        if self._only_diffs and pair.status in {"added", "missing"}:
            return [
                child
                for child in children
                if not self._is_whole[child] or self._spans[child].edits != pair.edits
            ]
        return children

    def _level(self, siblings: Sequence[int], lead: str) -> list[tuple[int | str, str, bool]]:
        """Rows and folds of one list of siblings, last first, as a stack wants them."""
        items: list[int | str] = []
        folded = as_said = 0
        counted: set[str] = set()
        for row in siblings:
            if self._only_diffs and not self._differing[row]:
                folded += self._size[row]
                as_said += self._as_said[row]
                continue
            edit = self._count_of(self._spans[row])
            if edit is None or edit.edit_id not in counted or not self._only_diffs:
                items.append(row)
            if edit is not None:
                counted.add(edit.edit_id)
        if folded:
            items.append(f"{self._style.marks.dots} {_folded_words(folded - as_said, as_said, self._rest)}")
        return [(item, lead, place == len(items) - 1) for place, item in enumerate(items)][::-1]

    def _count_of(self, pair: SpanPair) -> Edit | None:
        """The edit that says how many of this span there are, if one does."""
        if pair.status in {"added", "missing"}:
            for name in pair.edits:
                edit = self._edits.get(name)
                if edit is not None and edit.op == "count":
                    return edit
        return None

    def _row(self, row: int, pair: SpanPair, guide: str) -> str:
        marks = self._style.marks
        sign = self._style.padded[pair.status]
        name = pair.name if pair.name is not None else pair.baseline_name or ""
        if pair.name is not None and pair.baseline_name is not None and pair.name != pair.baseline_name:
            name = f"{pair.baseline_name} {marks.arrow} {name}"
        above = None if pair.parent is None else self._spans[pair.parent].service
        service = f" [{pair.service}]" if pair.service != above else ""
        head = f"{sign} {name}{service}"
        if not pair.edits:
            return head + self._words(row, pair, 0)
        room = self._width - min(len(guide), self._width // 2) - cells(_printable(head))
        return head + self._words(row, pair, room)

    def _words(self, row: int, pair: SpanPair, room: int) -> str:
        """What the sign means, where it is not plain from the edits below."""
        marks = self._style.marks
        edits = [edit for edit in map(self._edits.get, pair.edits) if edit is not None]
        ops = {edit.op: edit for edit in edits}
        if "move" in ops:
            return f"  moved from {short_path(ops['move'].baseline, max(room - 14, 12), marks)}"
        if pair.status not in {"added", "missing"}:
            return ""
        if ops.keys() & {"wrap", "unwrap"}:
            return f"  {'came' if 'wrap' in ops else 'went from'} between"
        count = ops.get("count")
        if count is not None:
            old, new = (f"{marks.times}{number}" for number in (count.baseline, count.current))
            return f"  {marks.count}{old}{f' {marks.arrow} ' if marks.count else '>'}{new}"
        size = self._size_of(row, pair, ops)
        return f"  {pair.status}" + (f", {size:,} spans" if size > 1 and self._only_diffs else "")

    def _size_of(self, row: int, pair: SpanPair, ops: Mapping[str, Edit]) -> int:
        """Spans that came or went with this one; what moved there from elsewhere did not."""
        edit = ops.get("insert") or ops.get("delete")
        if self._is_whole[row] or edit is None:
            return self._size[row]
        spans = edit.current_spans or edit.baseline_spans
        is_top = spans[:1] == ((pair.current if edit.op == "insert" else pair.baseline),)
        return len(spans) if is_top else 1

    def _details(self, pair: SpanPair, bar: str) -> Iterator[str]:
        """The edits of what a span says, their values one below the other."""
        edits = [edit for edit in map(self._edits.get, pair.edits) if edit is not None]
        edits = [edit for edit in edits if edit.op not in _TOLD_BY_ROW and not edit.is_shared]
        if not edits:
            return
        marks = self._style.marks
        labels = [clip(_printable(label(edit)), _WIDEST_LABEL, marks.dots) for edit in edits]
        column = max(map(cells, labels))
        room = self._width - min(len(bar), self._width // 2) - column - 4
        for edit, shown in zip(edits, labels, strict=True):
            sign, _, text = detail(edit, room, marks)
            yield f"{sign} {shown}{' ' * (column - cells(shown))}  {text}".rstrip()


def _folded_words(unchanged: int, as_said: int, rest: str) -> str:
    """What a fold holds; changes of whole traces stand above the tree and are not repeated at each span."""
    words = [f"{unchanged:,} {rest}"] if unchanged or not as_said else []
    return ", ".join([*words, f"{as_said:,} changed only as said above"] if as_said else words)


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else " " for character in text)
