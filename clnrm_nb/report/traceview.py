"""A trace as HTML: one table row a span, with a bar that shows when and how long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clnrm_nb.report.html import Weighed, escape, table
from clnrm_nb.report.text import duration_text
from clnrm_nb.report.tracetext import NO_DETAILS, Details, detail_texts, heading
from clnrm_nb.spans.model import STATUS_CODES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clnrm_nb.report.layout import Layout

__all__ = ["trace_html"]

_DEEPEST_INDENTED = 20
_HEADER = ("span", "service", "depth", "duration", "status", "when")
_LONGEST_NAME = 120


def trace_html(
    layout: Layout, places: Sequence[int], *, budget_bytes: int, rest: str = "", details: Details = NO_DETAILS
) -> str:
    """The spans at `places`, as many as the budget bears.

    Parameters
    ----------
    rest : str
        The call that shows the rest, named where not all spans fit.
    """
    rows = Weighed(_rows(layout, places, details), len(layout), budget_bytes)
    return table(heading(layout), _HEADER, rows, kind="spans") + rows.note(rest)


def _rows(layout: Layout, places: Sequence[int], details: Details) -> Iterator[str]:
    shown_part = -1
    for place in places:
        part = layout.part[place]
        title = ""
        if part != shown_part and len(layout.parts) > 1:
            name = escape(layout.parts[part].test_id or "trace")
            title = f"<tr><th scope=colgroup colspan=6 dir=auto><b>{name}</b>\n"
        shown_part = part
        below = "".join(f"<br>{escape(text)}" for text in detail_texts(layout, place, details))
        yield title + _row(layout, place, below)


def _row(layout: Layout, place: int, below: str) -> str:
    span_table, row = layout.table(place), layout.row[place]
    depth = layout.depth[place]
    status = STATUS_CODES[span_table.status_code[row]]
    name = "\u2003" * min(depth, _DEEPEST_INDENTED) + escape(span_table.name[row], _LONGEST_NAME)
    kind = " class=e" if status == "error" else (" class=o" if span_table.own[row] else "")
    said = span_table.status_message[row]
    message = f": {escape(said, 200)}" if status == "error" and said else ""
    duration_ns = layout.duration_ns(place)
    duration = duration_text(None if duration_ns is None else duration_ns / 1e6)
    # Closing tags that HTML leaves out are left out: they would be a fifth of the weight.
    return (
        f"<tr{kind}><th scope=row dir=auto>{name}{below}"
        f"<td dir=auto>{escape(span_table.resource[row].service, 60)}"
        f"<td>{depth}<td>{duration}<td>{status}{message}<td>{_bar(layout, place)}\n"
    )


def _bar(layout: Layout, place: int) -> str:
    offset, duration = layout.offset_ns(place), layout.duration_ns(place)
    if offset is None or duration is None:
        return "?"
    length = layout.length_ns(layout.part[place])
    left, size = 100 * offset / length, max(100 * duration / length, 0.4)
    return f"<svg aria-hidden=true><rect x={left:.3g}% width={min(size, 100.4 - left):.3g}% /></svg>"
