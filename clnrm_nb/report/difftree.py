"""Both sides of a comparison as one tree to unfold: nested lists and ``<details>``, without a script.

What differs stands open with all that is above it. What is the same is folded away where a file bears it, and
only counted where a notebook does not. Lists tell the depth of a span to whoever does not see it; below
:data:`DEEPEST` they are flat, because browsers nest some five hundred elements and no more.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from clnrm_nb.diff.sentences import sentence
from clnrm_nb.report.difflayout import DiffLayout
from clnrm_nb.report.difftext import note_text
from clnrm_nb.report.diffwords import pair_name
from clnrm_nb.report.html import escape
from clnrm_nb.report.signs import UNICODE
from clnrm_nb.report.text import duration_text, number_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from clnrm_nb.report.difflayout import Compared, Window

__all__ = ["DEEPEST", "STATUS_CLASS", "TREE_STYLE", "Row", "nested", "tree_html"]

DEEPEST: Final = 20
STATUS_CLASS: Final = {"added": "a", "missing": "m", "changed": "c", "renamed": "c", "moved": "v"}

TREE_STYLE: Final = """\
.clnrm .d ul{list-style:none;margin:0;padding:0}.clnrm .t ul{padding-left:1em}
.clnrm .d .r{display:grid;grid-template-columns:.8em minmax(0,1fr) 9em 11em 14em;gap:0 .6em;\
border-left:4px var(--b) var(--k);border-bottom:1px solid var(--jp-border-color2,#8884);\
padding:.1em 0 .1em .3em;overflow-wrap:anywhere;list-style:none}
.clnrm .d .e .r{grid-template-columns:.8em 13em minmax(0,1fr)}
.clnrm .d .r.q{border-left-color:transparent;font-weight:600}
.clnrm .d .r::before{content:""}.clnrm .d summary.r::before{content:"▸";content:"▸" / ""}
.clnrm .d [open]>summary.r::before{content:"▾";content:"▾" / ""}
.clnrm.clnrm .d .t code{background:none;padding:0}
.clnrm .d .r::-webkit-details-marker{display:none}
@media screen and (max-width:48em){.clnrm .t ul{padding-left:.4em}.clnrm .d .r.q{display:none}\
.clnrm .d .r.r{grid-template-columns:.8em minmax(0,1fr)}.clnrm .d .r>:nth-child(n+2){grid-column:2}}
@media print{.clnrm .d .t .r,.clnrm .d .r.q{grid-template-columns:0 minmax(0,1fr) 6em 8em 8em}\
.clnrm .t ul{padding-left:.6em}.clnrm .d .r{break-inside:avoid}.clnrm .d .r.r.r.r::before{content:""}}
"""

_SAID_BY_SIGN: Final = frozenset({"insert", "delete", "rename"})
_LONGEST_NAME: Final = 120
_LONGEST_SERVICE: Final = 60
_LONGEST_FACT: Final = 120
_HEADER: Final = "".join(f"<span>{word}</span>" for word in ("span", "service", "baseline → current", "when"))
_CLOSED: Final = "</ul></details>"
_MORE: Final = 60
"""Bytes of what stands around a row."""


class Row(NamedTuple):
    """One row of a nested list.

    Parameters
    ----------
    level : int
        How deep it stands; rows below the next one up are folded with it.
    kind : str
        Its class.
    html : str
        Its cells.
    is_open : bool
        Whether what is below it is seen at first.
    is_span : bool
        False: it only tells of others.
    """

    level: int
    kind: str
    html: str
    is_open: bool = True
    is_span: bool = True


def tree_html(compared: Compared, *, budget_bytes: int, rows: int, with_unchanged: bool) -> str:
    """The tree of one comparison: a stated window, if it does not bear all.

    Parameters
    ----------
    budget_bytes, rows : int
        What it bears.
    with_unchanged : bool
        Whether what is the same is there to unfold.
    """
    layout = DiffLayout([compared])
    window = layout.window(rows, only_differences=True)
    if not window.places:
        return ""
    room = rows - len(window.places) if with_unchanged else 0
    shown, html = nested(_rows(layout, window, room), budget_bytes)
    differing = sum(map(layout.differs, range(len(layout))))
    note = ""
    if shown < len(window.places):
        note = (
            f"<p>showing {number_text(shown)} of {number_text(len(window.places), 'row')} (all: .spans)</p>"
        )
    return (
        f"<h4>{number_text(differing)} of {number_text(len(layout), 'span')} differ</h4>"
        f'<div class="r q" aria-hidden=true>{_HEADER}</div><ul class=t>{html}</ul>{note}'
    )


def nested(rows: Iterable[Row], budget_bytes: int) -> tuple[int, str]:
    """Rows as nested lists, as many as fit: how many of spans, and the items of the outermost list."""
    parts: list[str] = []
    above: list[int] = []
    shown = 0
    for row, after in pairwise([*rows, Row(-1, "", "")]):
        level = min(row.level, DEEPEST)
        budget_bytes -= len(row.html.encode()) + _MORE
        if budget_bytes < 0:
            break
        while above and above[-1] >= level:
            above.pop()
            parts.append(_CLOSED)
        if min(after.level, DEEPEST) > level:
            above.append(level)
            opened = " open" if row.is_open else ""
            parts.append(f"<li class={row.kind}><details{opened}><summary class=r>{row.html}</summary><ul>\n")
        else:
            parts.append(f"<li class={row.kind}><div class=r>{row.html}</div>\n")
        shown += row.is_span
    return shown, "".join([*parts, *(_CLOSED for _ in above)])


# --------------------------------------------------------------------------------------------------- rows


def _rows(layout: DiffLayout, window: Window, room: int) -> Iterator[Row]:
    """Those of the window, and where there is room, folded, what it leaves out."""
    left_out = layout.left_out(window) if room else {}
    for item in window.items():
        if not item.is_note:
            yield _span(layout, window.places[item.row], item.level)
            continue
        places = left_out.get(item.row, [])
        yield _note(note_text(window, item.row), item.level)
        yield from _folded(layout, places, item.level + 1, room)
        room = max(room - len(places), 0)
    above = window.left_out_above[0]
    if above:
        yield _note(f"… {number_text(above)} more", 0)
        yield from _folded(layout, left_out.get(-1, []), 1, room)


def _folded(layout: DiffLayout, places: Sequence[int], level: int, room: int) -> Iterator[Row]:
    above: list[int] = []
    for place in places[:room]:
        depth = layout.pairs[place].depth
        while above and above[-1] >= depth:
            above.pop()
        yield _span(layout, place, level + len(above))
        above.append(depth)
    left = len(places) - room
    if left > 0 and room:
        yield _note(f"… {number_text(left)} more", level)


def _note(text: str, level: int) -> Row:
    return Row(level, "s", f"<span class=q>{text}</span>", is_open=False, is_span=False)


def _span(layout: DiffLayout, place: int, level: int) -> Row:
    pair = layout.pairs[place]
    word = pair.status
    old = layout.times_ns(place, of_baseline=True)
    new = layout.times_ns(place, of_baseline=False)
    durations = (
        _duration(old, is_there=pair.baseline is not None),
        _duration(new, is_there=pair.current is not None),
    )
    cells = (
        f"<span dir=auto><span aria-hidden=true>{UNICODE.status[word]}</span> "
        f"<code>{escape(pair_name(pair), _LONGEST_NAME)}</code> <span class=q>{word}"
        f"{_told(layout, place)}</span></span>"
        f"<span dir=auto>{escape(pair.service, _LONGEST_SERVICE)}</span>"
        f"<span>{' → '.join(dict.fromkeys(filter(None, durations)))}</span>{_bars(layout, place, old, new)}"
    )
    return Row(level, STATUS_CLASS.get(word, "s"), cells)


def _told(layout: DiffLayout, place: int) -> str:
    """What the edits of a span say, where its sign, its name or the list of edits do not say it already."""
    by_id = layout.parts[layout.part[place]].by_id
    known = (by_id.get(name) for name in layout.pairs[place].edits)
    sentences = [
        sentence(edit)
        for edit in known
        if edit is not None and edit.op not in _SAID_BY_SIGN and not edit.is_shared
    ]
    return f"<br>{escape('; '.join(sentences), _LONGEST_FACT)}" if sentences else ""


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
