"""Comparisons as text: state and findings, the merged tree, and every edit with its id and its reason.

The tree itself is drawn by :mod:`clnrm_nb.diff.text`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.cells import cell_len

from clnrm_nb.diff.model import STATUSES
from clnrm_nb.diff.text import tree
from clnrm_nb.report.diffwords import counts_text, edit_status, edit_text, place_text
from clnrm_nb.report.lines import Line, line
from clnrm_nb.report.signs import UNICODE, Signs
from clnrm_nb.report.text import number_text, one_line, visible, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clnrm_nb.diff.model import Edit
    from clnrm_nb.report.difflayout import Compared, DiffLayout, Window
    from clnrm_nb.report.diffs import TraceDiff

__all__ = ["compared_lines", "diff_lines", "head_line", "note_text", "signed", "summary_line", "told_edits"]

_MOST_CAUSES = 20
_MOST_EDITS = 20


def diff_lines(
    diff: TraceDiff, *, signs: Signs, width: int, only_diffs: bool, depth: int, is_verbose: bool = False
) -> list[Line]:
    """All comparisons and a summary.

    Parameters
    ----------
    diff : TraceDiff
    signs : Signs
    width : int
        Cells of a line.
    only_diffs : bool
        Leave out what is the same, and count it.
    depth : int
        Levels shown.
    is_verbose : bool
        Edits that do not count too.
    """
    from clnrm_nb.report.resulttext import finding_lines

    lines: list[Line] = []
    # Of many, a line says enough of each that is the same.
    only_diffs_of_same = only_diffs or len(diff) > 1
    for compared in diff.comparisons:
        lines += compared_lines(
            compared,
            signs=signs,
            width=width,
            only_diffs=only_diffs if compared.differs else only_diffs_of_same,
            depth=depth,
            is_verbose=is_verbose,
        )
    for finding in diff.general_findings:
        lines += finding_lines(finding, signs=signs, width=width)
    return [*lines, line(), summary_line(diff, signs)]


def compared_lines(
    compared: Compared,
    *,
    signs: Signs,
    width: int,
    only_diffs: bool,
    depth: int,
    is_verbose: bool = False,
    indent: str = "",
    with_findings: bool = True,
) -> list[Line]:
    """One comparison: its state, its findings, its causes, its tree."""
    from clnrm_nb.report.resulttext import finding_lines

    lines = [head_line(compared, signs, indent)]
    for finding in compared.diagnostics if with_findings else ():
        inner = finding_lines(finding.to_json(), signs=signs, width=width - len(indent) - 2)
        lines += [[(f"{indent}  ", ""), *parts] for parts in inner]
    diff = compared.diff
    if diff is None:
        return lines
    lines += _cause_lines(compared, signs, width, indent)
    if compared.differs or not only_diffs:
        lines += _tree_lines(compared, signs, width, indent, only_diffs=only_diffs, depth=depth)
    if compared.differs:
        most = len(diff.edits) if is_verbose else _MOST_EDITS
        lines += [line((f"{indent}  edits", "bold")), *_edit_lines(compared, signs, width, indent, most=most)]
    if is_verbose:
        for edit in diff.edits:
            if not edit.counted:
                text = f"not counted ({one_line(edit.rule)}): {_edit_text(edit, signs)}"
                lines.append(line((f"{indent}  {text}", "dim"), "  ", (one_line(place_text(edit)), "dim")))
    return lines


def signed(word: str, signs: Signs) -> str:
    """The sign of a status, two cells wide."""
    sign = signs.status.get(word, "?")
    return sign + " " * (2 - cell_len(sign))


def head_line(compared: Compared, signs: Signs, indent: str) -> Line:
    """State, name and counts of a comparison."""
    word = compared.status
    facts = [counts_text(compared)]
    if compared.baseline_name:
        facts.insert(0, f"against {one_line(compared.baseline_name)}")
    if compared.version is not None:
        facts.insert(0, f"against version {compared.version}{' (composed)' if compared.composed else ''}")
    beside = f" {signs.dot} ".join(fact for fact in facts if fact)
    head = f"{indent}{signed(word, signs)} {word:<10} "
    return line((head, word), (one_line(compared.id), "bold"), "  ", (one_line(beside), "dim"))


def _cause_lines(compared: Compared, signs: Signs, width: int, indent: str) -> list[Line]:
    """Causes that stand for several edits; an edit alone says itself in the tree."""
    causes = [cause for cause in compared.causes if len(cause.edits) > 1]
    lines: list[Line] = []
    for cause in causes[:_MOST_CAUSES]:
        size = f"{number_text(len(cause.edits), 'edit')}, cost {cause.cost}"
        texts = wrapped(
            f"{visible(cause.message)} ({size}, {cause.cause_id})", max(width - len(indent) - 4, 20)
        )
        mark = f"{indent}  {signs.dot} "
        lines += [line((mark if i == 0 else " " * len(mark), "dim"), text) for i, text in enumerate(texts)]
    left = len(causes) - _MOST_CAUSES
    if left > 0:
        lines.append(line((f"{indent}  and {number_text(left, 'more cause')}", "dim")))
    return lines


# --------------------------------------------------------------------------------------------------- tree


def _tree_lines(
    compared: Compared, signs: Signs, width: int, indent: str, *, only_diffs: bool, depth: int
) -> list[Line]:
    """The tree of :mod:`clnrm_nb.diff.text`, coloured, without its headline."""
    if compared.diff is None:
        return []
    text = tree(
        compared.diff,
        only_diffs=only_diffs,
        max_depth=depth,
        width=width - len(indent) - 2,
        ascii_only=signs is not UNICODE,
    )
    return [line(f"{indent}  ", *_coloured(one_line(row), signs)) for row in text.split("\n")[1:]]


def _coloured(row: str, signs: Signs) -> Line:
    """A row of the tree: what it is drawn with, and its span in the style of its sign."""
    body = row.lstrip("".join({*signs.branch, *signs.last, *signs.through}))
    guide = row[: len(row) - len(body)]
    for status in STATUSES:
        if status != "same" and body.startswith(f"{signs.status[status]} "):
            return line((guide, "dim"), (body, status))
    return line((guide, "dim"), body)


# -------------------------------------------------------------------------------------------------- edits


def _edit_lines(compared: Compared, signs: Signs, width: int, indent: str, *, most: int) -> list[Line]:
    """Each edit with its id, its place and why it is this one."""
    edits = [edit for edit in compared.edits if edit.counted]
    lines: list[Line] = []
    for edit in edits[:most]:
        lines += _one_edit(edit, compared.reviews.get(edit.edit_id), signs, width, indent)
    if len(edits) > most:
        text = (
            f"{indent}  {signs.ellipsis} and {number_text(len(edits) - most, 'more edit')} (all of them: -v)"
        )
        lines.append(line((text, "dim")))
    return lines


def _one_edit(edit: Edit, review: str | None, signs: Signs, width: int, indent: str) -> list[Line]:
    arrow = "->" if signs is not UNICODE else "→"
    word = edit_status(edit)
    head = f"{indent}  {signed(word, signs)} "
    room = max(width - cell_len(head), 30)
    lines = [
        line((head if index == 0 else " " * cell_len(head), word), text)
        for index, text in enumerate(wrapped(_edit_text(edit, signs), room))
    ]
    facts = [one_line(place_text(edit, arrow)), one_line(edit.reason), edit.edit_id, review or ""]
    below = " " * cell_len(head)
    lines += [
        line((f"{below}{text}", "dim")) for text in wrapped(f" {signs.dot} ".join(filter(None, facts)), room)
    ]
    return lines


def told_edits(layout: DiffLayout, place: int, told: set[str], by_id: Mapping[str, Edit]) -> Iterator[Edit]:
    """The edits of a span that were not told at another one before."""
    for edit_id in layout.pairs[place].edits:
        if edit_id not in told and edit_id in by_id:
            told.add(edit_id)
            yield by_id[edit_id]


def note_text(window: Window, index: int, ellipsis: str = "…") -> str:
    """``… 37 unchanged``, or how many of what is left out differ."""
    number, differing = window.left_out[index], window.differing_left_out[index]
    if not differing:
        return f"{ellipsis} {number_text(number)} unchanged"
    return f"{ellipsis} {number_text(number)} more, {number_text(differing)} of them differ"


def _edit_text(edit: Edit, signs: Signs) -> str:
    if signs is UNICODE:
        return visible(edit_text(edit))
    return visible(edit_text(edit, "->")).replace("×", "x")


def summary_line(diff: TraceDiff, signs: Signs) -> Line:
    """How many comparisons, and what they came to."""
    summary = diff.raw["summary"]
    words = [word for word in summary if word not in {"total", "edits", "causes"} and summary[word]]
    total = number_text(summary["total"], "comparison") if summary["total"] else "nothing was compared"
    parts = line((total, "bold"))
    for index, word in enumerate(words):
        parts += [(": " if index == 0 else ", ", ""), (f"{summary[word]} {word}", word)]
    tail: list[Any] = [number_text(summary["edits"], "edit")] if summary["edits"] else []
    if diff.exit_code:
        tail.append(f"exit {diff.exit_code}")
    parts.append(("".join(f" {signs.dot} {text}" for text in tail), "dim"))
    return parts
