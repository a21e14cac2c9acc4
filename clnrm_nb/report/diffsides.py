"""Both sides of a diff beside each other: baseline left, current right, the sign of each row between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from clnrm_nb.diff.sentences import PLAIN, RICH, cells, clip, is_rekeyed, short_path, value_pair
from clnrm_nb.report.difflayout import DiffLayout
from clnrm_nb.report.difftext import (
    cause_lines,
    closing_lines,
    head_lines,
    is_folded,
    note_text,
    signed,
    told_edits,
    told_findings,
)
from clnrm_nb.report.diffwords import change_texts
from clnrm_nb.report.lines import Line, line
from clnrm_nb.report.signs import UNICODE, Signs
from clnrm_nb.report.text import one_line

if TYPE_CHECKING:
    from clnrm_nb.diff.model import Edit
    from clnrm_nb.report.difflayout import Compared
    from clnrm_nb.report.diffs import TraceDiff

__all__ = ["side_lines"]

_DEEPEST_INDENTED: Final = 20
_LEAST_CELLS: Final = 16
_BETWEEN: Final = 6
"""Cells of the column of signs."""


def side_lines(
    diff: TraceDiff, *, signs: Signs, width: int, only_diffs: bool | None, depth: int
) -> list[Line]:
    """All comparisons in two columns of equal width; see :func:`~clnrm_nb.report.difftext.diff_lines`."""
    room = max((width - _BETWEEN) // 2, _LEAST_CELLS)
    lines: list[Line] = []
    for compared in diff.comparisons:
        folds = is_folded(diff, compared) if only_diffs is None else only_diffs
        lines += head_lines(compared, signs, width)
        lines += told_findings(compared, signs, width)
        lines += cause_lines(compared, signs, width, "")
        if compared.diff is not None and (compared.differs or not folds):
            lines.append(_row(("baseline", "  ", "current"), "dim", room, signs))
            lines += _rows(compared, signs, room, only_diffs=folds, depth=depth)
    return lines + closing_lines(diff, signs, width)


def _rows(compared: Compared, signs: Signs, room: int, *, only_diffs: bool, depth: int) -> list[Line]:
    layout = DiffLayout([compared])
    window = layout.everything(depth, only_differences=only_diffs)
    told: set[str] = set()
    lines: list[Line] = []
    for item in window.items():
        indent = "  " * min(item.level, _DEEPEST_INDENTED)
        if item.is_note:
            lines.append(line((indent + note_text(window, item.row, signs.ellipsis), "dim")))
            continue
        place = window.places[item.row]
        pair = layout.pairs[place]
        old, new = (indent + one_line(name) if name else "" for name in (pair.baseline_name, pair.name))
        style = pair.status if pair.status != "same" else ""
        lines.append(_row((old, signed(pair.status, signs), new), style, room, signs))
        for edit in told_edits(layout, place, told, compared.by_id):
            lines += _edit_rows(edit, f"{indent}  ", room, signs)
    if window.left_out_above[0]:
        lines.append(line((f"{signs.ellipsis} {window.left_out_above[0]:,} more", "dim")))
    return lines


def _edit_rows(edit: Edit, indent: str, room: int, signs: Signs) -> list[Line]:
    """Old value left, new value right; what the names of the spans say already is not said again."""
    if edit.op in {"rename", "insert", "delete", "wrap", "unwrap"}:
        return []
    marks = RICH if signs is UNICODE else PLAIN
    if edit.op == "move":
        ends = (short_path(path, room - len(indent) - 6, marks) for path in (edit.baseline, edit.current))
        texts = [f"{indent}below {one_line(end)}" for end in ends]
    else:
        key = f"{one_line(edit.key)} = " if edit.key else f"{edit.op} "
        key = "key " if is_rekeyed(edit) else key
        values = [None if text is None else one_line(text) for text in change_texts(edit)]
        pair = value_pair(values[0], values[1], room - len(indent) - len(key), marks)
        texts = ["" if text is None else f"{indent}{key}{text}" for text in pair]
        if marks is PLAIN:
            texts = [text.replace("×", "x") if edit.op == "count" else text for text in texts]
    return [_row((texts[0], "  ", texts[1]), "dim", room, signs)]


def _row(texts: tuple[str, str, str], style: str, room: int, signs: Signs) -> Line:
    old, sign, new = texts
    left = clip(old, room, signs.ellipsis)
    pad = " " * (room - cells(left))
    return line((left, style), f"{pad}  {sign}  ", (clip(new, room, signs.ellipsis), style))
