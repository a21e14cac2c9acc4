"""Both sides of a diff beside each other: baseline left, current right, the sign of each row between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len

from clnrm_nb.report.difflayout import DiffLayout
from clnrm_nb.report.difftext import head_line, note_text, signed, summary_line, told_edits
from clnrm_nb.report.diffwords import change_texts
from clnrm_nb.report.lines import Line, line
from clnrm_nb.report.signs import UNICODE, Signs
from clnrm_nb.report.text import clipped, one_line

if TYPE_CHECKING:
    from clnrm_nb.diff.model import Edit
    from clnrm_nb.report.difflayout import Compared
    from clnrm_nb.report.diffs import TraceDiff

__all__ = ["side_lines"]

_DEEPEST_INDENTED = 20


def side_lines(diff: TraceDiff, *, signs: Signs, width: int, only_diffs: bool, depth: int) -> list[Line]:
    """All comparisons in two columns of equal width."""
    cells = max((width - 6) // 2, 24)
    lines: list[Line] = []
    for compared in diff.comparisons:
        lines.append(head_line(compared, signs, ""))
        lines += [line((f"  {f.code} {one_line(f.message)}", "dim")) for f in compared.diagnostics]
        if compared.diff is not None and (compared.differs or not only_diffs):
            lines.append(_row(("baseline", "  ", "current"), "dim", cells, signs))
            lines += _rows(compared, signs, cells, only_diffs=only_diffs, depth=depth)
    return [*lines, line(), summary_line(diff, signs)]


def _rows(compared: Compared, signs: Signs, cells: int, *, only_diffs: bool, depth: int) -> list[Line]:
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
        lines.append(_row((old, signed(pair.status, signs), new), style, cells, signs))
        for edit in told_edits(layout, place, told, compared.by_id):
            lines += _edit_rows(edit, f"{indent}  ", cells, signs)
    if window.left_out_above[0]:
        lines.append(line((f"{signs.ellipsis} {window.left_out_above[0]:,} more", "dim")))
    return lines


def _edit_rows(edit: Edit, indent: str, cells: int, signs: Signs) -> list[Line]:
    """Old value left, new value right; what the names of the spans say already is not said again."""
    if edit.op in {"rename", "insert", "delete", "wrap", "unwrap"}:
        return []
    key = f"{one_line(edit.key)} = " if edit.key else f"{edit.op} "
    old, new = ("" if text is None else f"{indent}{key}{one_line(text)}" for text in change_texts(edit))
    if signs is not UNICODE:
        old, new = old.replace("×", "x"), new.replace("×", "x")
    return [_row((old, "  ", new), "dim", cells, signs)]


def _row(texts: tuple[str, str, str], style: str, cells: int, signs: Signs) -> Line:
    old, sign, new = texts
    left = clipped(old, cells, signs.ellipsis)
    pad = " " * (cells - cell_len(left))
    return line((left, style), f"{pad}  {sign}  ", (clipped(new, cells, signs.ellipsis), style))
