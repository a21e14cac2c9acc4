"""A diff as HTML: what to decide about first, then both sides as one tree, what is the same folded away.

Every edit says its sign, its word, its place, old → new and why; colour only repeats that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from clnrm_nb.diff.sentences import is_rekeyed, value_pair
from clnrm_nb.diff.text import footer
from clnrm_nb.report.difftree import STATUS_CLASS, TREE_STYLE, Row, nested, tree_html
from clnrm_nb.report.diffwords import OP_WORDS, change_texts, counts_text, edit_status, place_text
from clnrm_nb.report.html import Weighed, details, escape, status, table
from clnrm_nb.report.resultview import findings_html
from clnrm_nb.report.signs import UNICODE
from clnrm_nb.report.text import number_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from clnrm_nb.diff.model import Cause, Diff, Edit
    from clnrm_nb.report.difflayout import Compared
    from clnrm_nb.report.diffs import TraceDiff

__all__ = ["compared_html", "comparisons_html", "diff_html"]

_STYLE: Final = """\
.clnrm .d{--a:#5b8def;--m:#8a1c07;--c:#c77700;--v:#3a0a52;--s:#737373}
@media(prefers-color-scheme:dark){.clnrm .d{--a:#6cbbff;--m:#d01a00;--c:#ebd53a;--v:#a314cc;--s:#808080}}
[data-jp-theme-light=true] .clnrm .d{--a:#5b8def;--m:#8a1c07;--c:#c77700;--v:#3a0a52;--s:#737373}
[data-jp-theme-light=false] .clnrm .d{--a:#6cbbff;--m:#d01a00;--c:#ebd53a;--v:#a314cc;--s:#808080}
.clnrm .d li,.clnrm .d tr{--k:var(--s);--b:solid}.clnrm .d .c{--k:var(--c)}
.clnrm .d .a{--k:var(--a);--b:dotted}.clnrm .d .m{--k:var(--m);--b:dashed}
.clnrm .d .v{--k:var(--v);--b:double}
.clnrm .d td:first-child{white-space:nowrap;overflow-wrap:normal;padding-left:.4em}
.clnrm .d tr>td:first-child{border-left:4px var(--b) var(--k)}
.clnrm .d svg{max-width:100%;height:1.2em;margin-top:.15em}
.clnrm .d rect{fill:var(--k);height:.6em;y:.6em}
.clnrm .d rect.o{fill:none;stroke:var(--k);stroke-dasharray:3 2;height:.45em;y:.05em}
.clnrm .d del,.clnrm .d ins{text-decoration:none}
@media(forced-colors:active){.clnrm .d rect{fill:CanvasText}.clnrm .d rect.o{fill:none;stroke:CanvasText}}
@media print{.clnrm.clnrm.clnrm .d{--a:#000;--m:#000;--c:#000;--v:#000;--s:#000}}
"""
_MOST_OPEN: Final = 4
"""Edits of a cause that are seen at first."""
_LONGEST_VALUE: Final = 600
_FRAME_BYTES: Final = 1_400
"""Heads and notes of the two lists of a comparison."""
_FINDINGS_BYTES: Final = 6_000
_FACTS_SHOWN: Final = 12


def diff_html(diff: TraceDiff, *, budget_bytes: int, rows: int, with_unchanged: bool = False) -> str:
    """All comparisons, without a frame.

    Parameters
    ----------
    diff : TraceDiff
    budget_bytes : int
        For everything.
    rows : int
        Most rows of trees.
    with_unchanged : bool
        Whether what is the same is there to unfold, as a file bears and a notebook does not.
    """
    head = [
        f"<h3>{_summary(diff)}</h3>",
        findings_html(diff.raw["diagnostics"], "", min(_FINDINGS_BYTES, budget_bytes // 8)),
    ]
    left = budget_bytes - sum(len(part.encode()) for part in head)
    return "".join(head) + comparisons_html(
        diff.comparisons, budget_bytes=left, rows=rows, with_unchanged=with_unchanged
    )


def comparisons_html(
    comparisons: Sequence[Compared], *, budget_bytes: int, rows: int, with_unchanged: bool = False
) -> str:
    """A table of comparisons, and those that are not the same to unfold; as many as the budget bears."""
    differing = [
        compared for compared in comparisons if compared.status != "same" and compared.diff is not None
    ]
    parts = [_comparisons_table(comparisons, budget_bytes // 6)]
    left = budget_bytes - len(parts[0].encode()) - len(_STYLE + TREE_STYLE)
    shown = 0
    for number, compared in enumerate(differing):
        share = left // (len(differing) - number)
        rows_each = max(rows // len(differing), 10)
        text = compared_html(compared, budget_bytes=share, rows=rows_each, with_unchanged=with_unchanged)
        if len(text.encode()) > left:
            break
        left -= len(text.encode())
        parts.append(text)
        shown += 1
    if shown < len(differing):
        parts.append(f"<p>showing {shown} of {number_text(len(differing), 'comparison')} (all: .frame)</p>")
    return f"<style>{_STYLE}{TREE_STYLE}</style><div class=d>{''.join(parts)}</div>"


def compared_html(compared: Compared, *, budget_bytes: int, rows: int, with_unchanged: bool = False) -> str:
    """One comparison to unfold: its edits by cause, and the tree of both sides."""
    if compared.diff is None:
        return ""
    title = f"{status(compared.status)} <bdi>{escape(compared.id)}</bdi> <span class=q>"
    title += f"{escape(counts_text(compared))}</span>"
    facts = footer(compared.diff)
    notes = "".join(f"<div class=q>{escape(fact)}</div>" for fact in facts[:_FACTS_SHOWN])
    notes = f"<p>{_legend(compared.diff.totals)}</p>{notes}"
    budget_bytes -= len(title.encode()) + len(notes.encode()) + _FRAME_BYTES
    edits = _edits(compared, budget_bytes // 2)
    left = budget_bytes - len(edits.encode())
    tree = tree_html(compared, budget_bytes=left, rows=rows, with_unchanged=with_unchanged)
    return details(title, notes + edits + tree, is_open=True)


def _legend(totals: Mapping[str, int]) -> str:
    """What the signs mean, with the number of spans of each."""
    return " · ".join(
        f"<span aria-hidden=true>{UNICODE.status[word]}</span> {number_text(number)} {word}"
        for word, number in totals.items()
        if number
    )


def _summary(diff: TraceDiff) -> str:
    summary = diff.raw["summary"]
    words = [
        f"{number_text(number)} {word}"
        for word, number in summary.items()
        if word not in {"total", "edits", "causes"} and number
    ]
    exit_text = "" if diff.ok else f", exit {diff.exit_code}"
    if not summary["total"]:
        # A sign of success would vouch for traces that nobody looked at.
        return f"{'' if diff.ok else status('failed')} {escape(diff.headline)}{exit_text}".lstrip()
    verdict = "ok" if diff.ok else "failed"
    text = ": ".join(part for part in (number_text(summary["total"], "comparison"), ", ".join(words)) if part)
    return f"{status(verdict)} {escape(text)}{exit_text}"


def _comparisons_table(comparisons: Sequence[Compared], budget_bytes: int) -> str:
    if not comparisons:
        return ""
    ordered = sorted(comparisons, key=lambda compared: compared.status == "same")
    rows = Weighed(map(_comparison_row, ordered), len(ordered), budget_bytes)
    return table("traces", ("status", "scenario", "against", "edits"), rows) + rows.note(
        "(all of them: .raw)"
    )


def _comparison_row(compared: Compared) -> str:
    against = compared.baseline_name or ""
    if compared.version is not None:
        against = f"version {compared.version}{', composed' if compared.composed else ''}"
    return (
        f"<tr class={STATUS_CLASS.get(compared.status, 's')}><td>{status(compared.status)}</td>"
        f"<th scope=row dir=auto>{escape(compared.id)}</th>"
        f"<td>{escape(against)}</td><td>{escape(counts_text(compared))}</td></tr>"
    )


# -------------------------------------------------------------------------------------------------- edits


def _edits(compared: Compared, budget_bytes: int) -> str:
    """A row a cause; one of many edits to unfold, open while they are few."""
    diff = compared.diff
    if diff is None or not diff.edits:
        return ""
    shown, html = nested(_edit_rows(diff, compared), budget_bytes)
    left = (
        ""
        if shown == len(diff.edits)
        else f"<p>showing {number_text(shown)} of {number_text(len(diff.edits))} (all of them: .frame)</p>"
    )
    return f"<h4>edits, by cause</h4><ul class=e>{html}</ul>{left}"


def _edit_rows(diff: Diff, compared: Compared) -> Iterator[Row]:
    causes = {cause.cause_id: cause for cause in diff.causes}
    told = ""
    for edit in diff.edits:
        cause = causes.get(edit.cause_id)
        is_one_of_many = cause is not None and len(cause.edits) > 1
        if cause is not None and is_one_of_many and cause.cause_id != told:
            yield _cause_row(cause, compared)
        told = edit.cause_id
        yield _edit_row(edit, compared.review_told(edit), int(is_one_of_many))


def _cause_row(cause: Cause, compared: Compared) -> Row:
    words = {edit_status(compared.by_id[name]) for name in cause.edits if name in compared.by_id}
    word = words.pop() if len(words) == 1 else "changed"
    size = number_text(len(cause.edits), "edit")
    cells = (
        f"<span><span aria-hidden=true>{UNICODE.status[word]}</span> {size}</span>"
        f"<span dir=auto><b>{escape(cause.message)}</b> "
        f"<span class=q>cost {cause.cost}, {escape(cause.cause_id)}</span></span>"
    )
    is_open = len(cause.edits) <= _MOST_OPEN
    return Row(0, STATUS_CLASS.get(word, "s"), cells, is_open=is_open, is_span=False)


def _edit_row(edit: Edit, review: str, level: int) -> Row:
    word = edit_status(edit)
    beside = "" if edit.counted else f"<br><span class=q>not counted ({escape(edit.rule)})</span>"
    if review:
        beside += f"<br><span class=q>{escape(review)}</span>"
    key = f"<code>{escape(edit.key)}</code> " if edit.key and not is_rekeyed(edit) else ""
    # Old and new value of a move are its places.
    place = "" if edit.op == "move" else f"{escape(place_text(edit))}<br>"
    cells = (
        f"<span><span aria-hidden=true>{UNICODE.status[word]}</span> "
        f"{escape(OP_WORDS.get(edit.op, edit.op))}{beside}</span><span dir=auto>{key}{_change(edit)}"
        f"<br><span class=q>{place}{escape(edit.reason)} · edit {escape(edit.edit_id)}</span></span>"
    )
    return Row(level, STATUS_CLASS.get(word, "s"), cells)


def _change(edit: Edit) -> str:
    old, new = change_texts(edit)
    old, new = value_pair(old, new, _LONGEST_VALUE)
    left = "" if old is None else f"<del>{escape(old, _LONGEST_VALUE)}</del>"
    right = "" if new is None else f"<ins>{escape(new, _LONGEST_VALUE)}</ins>"
    return " → ".join(filter(None, (left, right)))
