"""A diff as HTML: what to decide about first, then both sides as one tree, what is the same folded away.

Every edit says its sign, its word, its place, old → new and why; colour only repeats that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from clnrm_nb.diff.sentences import is_rekeyed, sentence, value_pair
from clnrm_nb.diff.text import footer
from clnrm_nb.report.difflayout import DiffLayout
from clnrm_nb.report.difftext import note_text
from clnrm_nb.report.diffwords import OP_WORDS, change_texts, counts_text, edit_status, pair_name, place_text
from clnrm_nb.report.html import Weighed, details, escape, status, table
from clnrm_nb.report.resultview import findings_html
from clnrm_nb.report.signs import UNICODE
from clnrm_nb.report.text import duration_text, number_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from clnrm_nb.diff.model import Cause, Edit
    from clnrm_nb.report.difflayout import Compared, Window
    from clnrm_nb.report.diffs import TraceDiff

__all__ = ["compared_html", "comparisons_html", "diff_html"]

_STYLE: Final = """\
.clnrm .d{--a:#5b8def;--m:#8a1c07;--c:#c77700;--v:#3a0a52;--s:#737373}
@media(prefers-color-scheme:dark){.clnrm .d{--a:#6cbbff;--m:#d01a00;--c:#ebd53a;--v:#a314cc;--s:#808080}}
[data-jp-theme-light=true] .clnrm .d{--a:#5b8def;--m:#8a1c07;--c:#c77700;--v:#3a0a52;--s:#737373}
[data-jp-theme-light=false] .clnrm .d{--a:#6cbbff;--m:#d01a00;--c:#ebd53a;--v:#a314cc;--s:#808080}
.clnrm .d td:first-child{white-space:nowrap;overflow-wrap:normal;padding-left:.4em}
.clnrm .d tr{--k:var(--s)}.clnrm .d .a{--k:var(--a)}.clnrm .d .m{--k:var(--m)}
.clnrm .d .c{--k:var(--c)}.clnrm .d .v{--k:var(--v)}
.clnrm .d tr>td:first-child{border-left:4px solid var(--k)}
.clnrm .d .a>td:first-child{border-left-style:dotted}.clnrm .d .m>td:first-child{border-left-style:dashed}
.clnrm .d .v>td:first-child{border-left-style:double}
.clnrm .d svg{height:1.2em;margin-top:.15em}
.clnrm .d rect{fill:var(--k);height:.6em;y:.6em}
.clnrm .d rect.o{fill:none;stroke:var(--k);stroke-dasharray:3 2;height:.45em;y:.05em}
.clnrm .d del,.clnrm .d ins{text-decoration:none}
@media(forced-colors:active){.clnrm .d rect{fill:CanvasText}.clnrm .d rect.o{fill:none;stroke:CanvasText}}
"""
_CLASS: Final = {"added": "a", "missing": "m", "changed": "c", "renamed": "c", "moved": "v"}
_DEEPEST_INDENTED: Final = 20
_SAID_BY_SIGN: Final = frozenset({"insert", "delete", "rename"})
_LONGEST_VALUE: Final = 600
_LONGEST_WHOLE: Final = 24
_LONGEST_NAME: Final = 120
_FRAME_BYTES: Final = 1_400
"""Heads and notes of the two tables of a comparison."""
_FINDINGS_BYTES: Final = 6_000
_ROWS_HEADER: Final = ("status", "span", "service", "baseline", "current", "when")
_EDITS_HEADER: Final = ("change", "old → new, where and why")
_FACTS_SHOWN: Final = 12
_LONGEST_FACT: Final = 120


def diff_html(diff: TraceDiff, *, budget_bytes: int, rows: int) -> str:
    """All comparisons, without a frame.

    Parameters
    ----------
    diff : TraceDiff
    budget_bytes : int
        For everything.
    rows : int
        Most rows of trees.
    """
    head = [
        f"<h3>{_summary(diff)}</h3>",
        findings_html(diff.raw["diagnostics"], "", min(_FINDINGS_BYTES, budget_bytes // 8)),
    ]
    left = budget_bytes - sum(len(part.encode()) for part in head)
    return "".join(head) + comparisons_html(diff.comparisons, budget_bytes=left, rows=rows)


def comparisons_html(comparisons: Sequence[Compared], *, budget_bytes: int, rows: int) -> str:
    """A table of comparisons, and those that are not the same to unfold; as many as the budget bears."""
    differing = [
        compared for compared in comparisons if compared.status != "same" and compared.diff is not None
    ]
    parts = [_comparisons_table(comparisons, budget_bytes // 6)]
    left = budget_bytes - len(parts[0].encode()) - len(_STYLE)
    shown = 0
    for number, compared in enumerate(differing):
        share = left // (len(differing) - number)
        text = compared_html(compared, budget_bytes=share, rows=max(rows // len(differing), 10))
        if len(text.encode()) > left:
            break
        left -= len(text.encode())
        parts.append(text)
        shown += 1
    if shown < len(differing):
        parts.append(f"<p>showing {shown} of {number_text(len(differing), 'comparison')} (all: .frame)</p>")
    return f"<style>{_STYLE}</style><div class=d>{''.join(parts)}</div>"


def compared_html(compared: Compared, *, budget_bytes: int, rows: int, is_open: bool = True) -> str:
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
    tree = _tree(compared, budget_bytes - len(edits.encode()), rows)
    return details(title, notes + edits + tree, is_open=is_open)


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
        f"<tr class={_CLASS.get(compared.status, 's')}><td>{status(compared.status)}</td>"
        f"<th scope=row dir=auto>{escape(compared.id)}</th>"
        f"<td>{escape(against)}</td><td>{escape(counts_text(compared))}</td></tr>"
    )


# -------------------------------------------------------------------------------------------------- edits


def _edits(compared: Compared, budget_bytes: int) -> str:
    diff = compared.diff
    if diff is None or not diff.edits:
        return ""
    causes = {cause.cause_id: cause for cause in diff.causes}
    rows = Weighed(_edit_rows(diff.edits, causes, compared), len(diff.edits), budget_bytes)
    return table("edits, by cause", _EDITS_HEADER, rows) + rows.note("(all of them: .frame)")


def _edit_rows(edits: Sequence[Edit], causes: dict[str, Cause], compared: Compared) -> Iterator[str]:
    told = ""
    for edit in edits:
        cause = causes.get(edit.cause_id)
        title = ""
        if cause is not None and edit.cause_id != told and len(cause.edits) > 1:
            size = f"{number_text(len(cause.edits), 'edit')}, cost {cause.cost}"
            title = (
                f"<tr><th scope=colgroup colspan=2 dir=auto><b>{escape(cause.message)}</b> "
                f"<span class=q>{size}, {escape(cause.cause_id)}</span></th></tr>"
            )
        told = edit.cause_id
        yield title + _edit_row(edit, compared.reviews.get(edit.edit_id))


def _edit_row(edit: Edit, review: str | None) -> str:
    word = edit_status(edit)
    beside = "" if edit.counted else f"<br><span class=q>not counted ({escape(edit.rule)})</span>"
    if review:
        beside += f"<br><span class=q>{escape(review)}</span>"
    key = f"<code>{escape(edit.key)}</code> " if edit.key and not is_rekeyed(edit) else ""
    # Old and new value of a move are its places.
    place = "" if edit.op == "move" else f"{escape(place_text(edit))}<br>"
    return (
        f"<tr class={_CLASS.get(word, 's')}><td><span aria-hidden=true>{UNICODE.status[word]}</span> "
        f"{escape(OP_WORDS.get(edit.op, edit.op))}{beside}<td dir=auto>{key}{_change(edit)}"
        f"<div class=q>{place}{escape(edit.reason)} · edit {escape(edit.edit_id)}</div>\n"
    )


def _change(edit: Edit) -> str:
    old, new = change_texts(edit)
    old, new = value_pair(old, new, _LONGEST_VALUE)
    left = "" if old is None else f"<del>{escape(old, _LONGEST_VALUE)}</del>"
    right = "" if new is None else f"<ins>{escape(new, _LONGEST_VALUE)}</ins>"
    return " → ".join(filter(None, (left, right)))


# --------------------------------------------------------------------------------------------------- tree


def _tree(compared: Compared, budget_bytes: int, rows: int) -> str:
    layout = DiffLayout([compared])
    window = layout.window(rows, only_differences=True)
    if not window.places:
        return ""
    differing = sum(map(layout.differs, range(len(layout))))
    taken = Weighed(_tree_rows(layout, window), 0, budget_bytes)
    shown = sum(row.count("<tr class=") for row in taken)
    caption = f"{number_text(differing)} of {number_text(len(layout), 'span')} differ"
    left_out = window.left_out_above[0]
    note = f"<p>… {number_text(left_out)} more</p>" if left_out else ""
    if shown < len(window.places):
        note += (
            f"<p>showing {number_text(shown)} of {number_text(len(window.places), 'row')} (all: .spans)</p>"
        )
    return table(caption, _ROWS_HEADER, taken) + note


def _tree_rows(layout: DiffLayout, window: Window) -> Iterator[str]:
    for item in window.items():
        indent = "\u2003" * min(item.level, _DEEPEST_INDENTED)
        if item.is_note:
            yield f"<tr><td><th scope=row colspan=5 class=q>{indent}{escape(note_text(window, item.row))}\n"
        else:
            yield _span_row(layout, window.places[item.row], indent)


def _span_row(layout: DiffLayout, place: int, indent: str) -> str:
    pair = layout.pairs[place]
    word = pair.status
    name = escape(pair_name(pair), _LONGEST_NAME)
    old = layout.times_ns(place, of_baseline=True)
    new = layout.times_ns(place, of_baseline=False)
    edits = _told(layout, place, indent) if pair.edits else ""
    whole = " class=w" if len(pair.service) <= _LONGEST_WHOLE else ""
    return (
        f"<tr class={_CLASS.get(word, 's')}><td><span aria-hidden=true>{UNICODE.status[word]}</span> {word}"
        f"<th scope=row dir=auto>{indent}{name}{edits}<td{whole} dir=auto>{escape(pair.service, 60)}"
        f"<td>{_duration(old, is_there=pair.baseline is not None)}"
        f"<td>{_duration(new, is_there=pair.current is not None)}<td>{_bars(layout, place, old, new)}\n"
    )


def _told(layout: DiffLayout, place: int, indent: str) -> str:
    """What the edits of a span say, where its sign, its name or the list of edits do not say it already."""
    by_id = layout.parts[layout.part[place]].by_id
    known = (by_id.get(name) for name in layout.pairs[place].edits)
    sentences = [
        sentence(edit)
        for edit in known
        if edit is not None and edit.op not in _SAID_BY_SIGN and not edit.is_shared
    ]
    if not sentences:
        return ""
    return f"<div class=q>{indent}{escape('; '.join(sentences), _LONGEST_FACT)}</div>"


def _duration(times: tuple[int | None, int | None], *, is_there: bool) -> str:
    if not is_there:
        return "–"
    return "" if times[1] is None else duration_text(times[1] / 1e6)


def _bars(
    layout: DiffLayout, place: int, old: tuple[int | None, int | None], new: tuple[int | None, int | None]
) -> str:
    """The baseline's bar hollow above the current one, both on one scale."""
    part = layout.part[place]
    length = max(layout.length_ns(part, of_baseline=side) for side in (True, False)) or 1
    rects = []
    for (offset, duration), mark in ((old, " class=o"), (new, "")):
        if offset is not None and duration is not None:
            left, size = 100 * offset / length, max(100 * duration / length, 0.4)
            rects.append(f"<rect{mark} x={left:.3g}% width={min(size, 100.4 - left):.3g}% />")
    return f"<svg aria-hidden=true>{''.join(rects)}</svg>" if rects else ""
