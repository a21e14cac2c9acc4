"""Comparisons as text: state and findings, every cause with its edits and their reasons, the merged tree.

The tree itself is drawn by :mod:`clnrm_nb.diff.text`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.cells import cell_len

from clnrm_nb.diff.sentences import PLAIN, RICH, short_path
from clnrm_nb.diff.text import footer, rows
from clnrm_nb.report.diffwords import (
    MOST_CAUSES,
    causes_left,
    counts_text,
    edit_status,
    edit_text,
    edits_words,
    place_text,
)
from clnrm_nb.report.lines import Line, line
from clnrm_nb.report.signs import UNICODE, Signs
from clnrm_nb.report.text import number_text, one_line, visible, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clnrm_nb.diff.model import Cause, Edit
    from clnrm_nb.report.difflayout import Compared, DiffLayout, Window
    from clnrm_nb.report.diffs import TraceDiff

__all__ = [
    "cause_lines",
    "closing_lines",
    "compared_lines",
    "diff_lines",
    "head_lines",
    "is_folded",
    "note_text",
    "signed",
    "summary_line",
    "told_edits",
    "told_findings",
]

_MOST_MEMBERS: Final = 3
_NARROWEST: Final = 30
_LONGEST_PLACE: Final = 72
_SHOWN_WHOLE: Final = 60
"""Spans of a comparison up to which all of it is shown, not only what differs, unless asked otherwise."""


def diff_lines(
    diff: TraceDiff,
    *,
    signs: Signs,
    width: int,
    only_diffs: bool | None,
    depth: int,
    is_verbose: bool = False,
) -> list[Line]:
    """All comparisons and a summary.

    Parameters
    ----------
    diff : TraceDiff
    signs : Signs
    width : int
        Cells of a line.
    only_diffs : bool or None
        Leave out what is the same, and count it; ``None``: see :func:`is_folded`.
    depth : int
        Levels shown.
    is_verbose : bool
        All causes with all their edits, and edits that do not count too.
    """
    lines: list[Line] = []
    # What is the same comes last: of a long report the beginning is read.
    for compared in sorted(diff.comparisons, key=lambda one: one.status == "same"):
        lines += compared_lines(
            compared,
            signs=signs,
            width=width,
            only_diffs=is_folded(diff, compared) if only_diffs is None else only_diffs,
            depth=depth,
            is_verbose=is_verbose,
        )
    return lines + closing_lines(diff, signs, width)


def closing_lines(diff: TraceDiff, signs: Signs, width: int) -> list[Line]:
    """What there is to say beyond the comparisons, and the summary."""
    from clnrm_nb.report.resulttext import finding_lines

    told = [
        text for finding in diff.general_findings for text in finding_lines(finding, signs=signs, width=width)
    ]
    return [*told, line(), summary_line(diff, signs)]


def told_findings(compared: Compared, signs: Signs, width: int, indent: str = "") -> list[Line]:
    """The findings of a comparison, each with its place and what to do."""
    from clnrm_nb.report.resulttext import finding_lines

    return [
        [(f"{indent}  ", ""), *parts]
        for finding in compared.diagnostics
        for parts in finding_lines(finding.to_json(), signs=signs, width=width - len(indent) - 2)
    ]


def is_folded(diff: TraceDiff, compared: Compared) -> bool:
    """Whether what is the same is only counted where nobody said how it should be.

    Of a large comparison it is. Of many comparisons, a line says enough of each without a difference.
    """
    return len(compared.spans) > _SHOWN_WHOLE or (len(diff) > 1 and not compared.differs)


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
    """One comparison: its state, its findings, its causes with their edits, its tree, and notes."""
    lines = head_lines(compared, signs, width, indent)
    if with_findings:
        lines += told_findings(compared, signs, width, indent)
    diff = compared.diff
    if diff is None:
        return lines
    lines += cause_lines(compared, signs, width, indent, is_verbose=is_verbose)
    if compared.differs or not only_diffs:
        lines += [line()] if compared.causes else []
        lines += _tree_lines(compared, signs, width, indent, only_diffs=only_diffs, depth=depth)
    if is_verbose:
        lines += _quieted_lines(compared, signs, width, indent)
    room = max(width - len(indent) - 2, _NARROWEST)
    for fact in footer(diff):
        hint = " (-v: each of them)" if "quieted by" in fact and not is_verbose else ""
        lines += [line((f"{indent}  {text}", "dim")) for text in wrapped(visible(fact) + hint, room)]
    return lines


def signed(word: str, signs: Signs) -> str:
    """The sign of a status, two cells wide."""
    sign = signs.status.get(word, "?")
    return sign + " " * (2 - cell_len(sign))


def head_lines(compared: Compared, signs: Signs, width: int, indent: str = "") -> list[Line]:
    """State, name and counts of a comparison; the counts of spans stand with their signs, as a legend."""
    word = compared.status
    # What differs has a line of its own for its spans.
    facts = [edits_words(compared) if compared.differs else counts_text(compared)]
    if compared.baseline_name:
        facts.insert(0, f"against {one_line(compared.baseline_name)}")
    if compared.version is not None:
        facts.insert(0, f"against version {compared.version}{' (composed)' if compared.composed else ''}")
    beside = f" {signs.dot} ".join(fact for fact in facts if fact)
    head = f"{indent}{signed(word, signs)} {word:<10} "
    name = one_line(compared.id)
    fits = cell_len(head) + cell_len(name) + cell_len(beside) + 2 <= width
    first = line((head, word), (name, "bold"))
    if fits:
        first += [("  ", ""), (beside, "dim")]
    lines = [first]
    if not fits:
        room = max(width - len(indent) - 2, _NARROWEST)
        lines += [line((f"{indent}  {text}", "dim")) for text in wrapped(beside, room)]
    if compared.differs and compared.diff is not None:
        lines += _legend_lines(compared.diff.totals, signs, width, indent)
    return lines


def _legend_lines(totals: Mapping[str, int], signs: Signs, width: int, indent: str) -> list[Line]:
    """What the signs mean, with the number of spans of each; in as many lines as that takes."""
    lines: list[Line] = []
    room = 0
    for status, number in totals.items():
        if number:
            text = f"{signed(status, signs)} {number_text(number)} {status}"
            if cell_len(text) + 2 > room:
                lines.append(line(f"{indent}  "))
                room = width - len(indent) - 2
            lines[-1] += [(text, status), ("  ", "")]
            room -= cell_len(text) + 2
    return lines


# ------------------------------------------------------------------------------------------------- causes


def cause_lines(
    compared: Compared, signs: Signs, width: int, indent: str, *, is_verbose: bool = False
) -> list[Line]:
    """Each cause in a sentence, and below it where it stands, why it is this one, and its ids."""
    most = len(compared.causes) if is_verbose else MOST_CAUSES
    lines: list[Line] = []
    for cause in compared.causes[:most]:
        lines += _one_cause(cause, compared, signs, width, indent, is_verbose=is_verbose)
    if left := compared.causes[most:]:
        text = f"{indent}  {signs.ellipsis} {causes_left(left)} (all of them: -v)"
        lines.append(line((text, "dim")))
    return lines


def _one_cause(
    cause: Cause, compared: Compared, signs: Signs, width: int, indent: str, *, is_verbose: bool
) -> list[Line]:
    edits = [compared.by_id[name] for name in cause.edits if name in compared.by_id]
    words = {edit_status(edit) for edit in edits}
    word = words.pop() if len(words) == 1 else "changed"
    message = visible(cause.message)
    if len(edits) > 1:
        message += f" ({number_text(len(edits), 'edit')}, cost {cause.cost}, {cause.cause_id})"
    head = f"{indent}  {signed(word, signs)} "
    room = max(width - cell_len(head), _NARROWEST)
    lines = [
        line((head if index == 0 else " " * cell_len(head), word), text)
        for index, text in enumerate(wrapped(_plain(message, signs), room))
    ]
    most = len(edits) if is_verbose or len(edits) <= _MOST_MEMBERS + 1 else _MOST_MEMBERS
    below = " " * cell_len(head)
    for edit in edits[:most]:
        lines += [
            line((f"{below}{text}", "dim"))
            for text in wrapped(_facts(edit, compared, signs, is_whole=is_verbose), room)
        ]
    if len(edits) > most:
        text = f"{below}{signs.ellipsis} and {number_text(len(edits) - most, 'more edit')} (all of them: -v)"
        lines.append(line((text, "dim")))
    return lines


def _place(edit: Edit, signs: Signs, *, is_whole: bool) -> str:
    paths = (edit.baseline_path, edit.path)
    if is_whole or edit.baseline_path == edit.path or not all(paths):
        path = place_text(edit, _arrow(signs))
        return path if is_whole else short_path(path, _LONGEST_PLACE, RICH if signs is UNICODE else PLAIN)
    ends = (short_path(path, _LONGEST_PLACE // 2, RICH if signs is UNICODE else PLAIN) for path in paths)
    return f" {_arrow(signs)} ".join(ends)


def _facts(edit: Edit, compared: Compared, signs: Signs, *, is_whole: bool) -> str:
    """Where an edit stands, why it is this one and not another, its id and what became of it."""
    # Of a move its sentence says both ends.
    place = "" if edit.op == "move" and not is_whole else one_line(_place(edit, signs, is_whole=is_whole))
    reason = _plain(one_line(edit.reason), signs)
    facts = (place, reason, edit.edit_id, compared.review_told(edit))
    return f" {signs.dot} ".join(filter(None, facts))


def _quieted_lines(compared: Compared, signs: Signs, width: int, indent: str) -> list[Line]:
    """The edits that do not count, by the rule that quieted them."""
    edits = [edit for edit in compared.edits if not edit.counted]
    lines: list[Line] = []
    for edit in sorted(edits, key=lambda edit: edit.rule):
        text = f"quieted by {one_line(edit.rule)}: {_plain(visible(edit_text(edit, _arrow(signs))), signs)}"
        text = f"{text} {signs.dot} {one_line(place_text(edit, _arrow(signs)))}"
        room = max(width - len(indent) - 2, _NARROWEST)
        lines += [line((f"{indent}  {part}", "dim")) for part in wrapped(text, room)]
    return lines


def _arrow(signs: Signs) -> str:
    return "→" if signs is UNICODE else "->"


def _plain(text: str, signs: Signs) -> str:
    """Our own arrows and times signs in the characters that are wanted."""
    return text if signs is UNICODE else text.replace("→", "->").replace("×", "x").replace("…", "...")


# --------------------------------------------------------------------------------------------------- tree


def _tree_lines(
    compared: Compared, signs: Signs, width: int, indent: str, *, only_diffs: bool, depth: int
) -> list[Line]:
    """The tree of :mod:`clnrm_nb.diff.text`, coloured."""
    if compared.diff is None:
        return []
    found = rows(
        compared.diff,
        only_diffs=only_diffs,
        max_depth=depth,
        width=width - len(indent) - 2,
        ascii_only=signs is not UNICODE,
    )
    return [
        line((f"{indent}  {guide}", "dim"), (one_line(text), status if status != "same" else ""))
        for guide, text, status in found
    ]


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
