"""A trace as text: the tree, and a waterfall of bars beside it where there is room."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len

from clnrm_nb.report.lines import Line, line
from clnrm_nb.report.signs import UNICODE, Signs
from clnrm_nb.report.text import clipped, duration_text, number_text, one_line, value_text
from clnrm_nb.spans.model import STATUS_CODES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.report.layout import Layout

__all__ = ["Details", "detail_texts", "heading", "tree_lines"]

_DEEPEST_DRAWN = 24
_BAR_CELLS = 24
_SERVICE_CELLS = 18


@dataclass(frozen=True, slots=True)
class Details:
    """What is shown below each span."""

    attributes: bool = False
    events: bool = False


NO_DETAILS: Final = Details()


def detail_texts(layout: Layout, place: int, details: Details) -> list[str]:
    """``key = value`` for attributes, ``event NAME …`` for events, one line each."""
    table, row = layout.table(place), layout.row[place]
    texts: list[str] = []
    if details.attributes:
        texts += [f"{key} = {value_text(value)}" for key, value in table.attributes[row].items()]
    if details.events:
        for event in table.events[row]:
            facts = ", ".join(f"{key} = {value_text(value)}" for key, value in event.attributes.items())
            texts.append(f"event {event.name}{f': {facts}' if facts else ''}")
    return [one_line(text) for text in texts]


def heading(layout: Layout) -> str:
    """``42 spans, 2 services, 1 error, 41.2 ms``."""
    # Equal resources are shared objects, so that one look at each is enough.
    shared = {id(resource): resource for part in layout.parts for resource in part.table.resource}
    services = {resource.service for resource in shared.values()}
    errors = sum(map(layout.is_error, range(len(layout))))
    longest = max((layout.length_ns(part) for part in range(len(layout.parts))), default=0)
    words = [number_text(len(layout), "span"), number_text(len(services), "service")]
    if errors:
        words.append(number_text(errors, "error"))
    if any(layout.duration_ns(place) is not None for place in range(len(layout))):
        # Accepted traces have no times.
        words.append(duration_text(longest / 1e6))
    return ", ".join(words)


def tree_lines(
    layout: Layout,
    places: Sequence[int],
    *,
    signs: Signs = UNICODE,
    width: int = 100,
    details: Details = NO_DETAILS,
) -> list[Line]:
    """One line a span: tree, name, service, duration, status and a bar.

    Parameters
    ----------
    layout : Layout
    places : sequence of int
        What to show, in display order (see :meth:`Layout.window`).
    signs : Signs
    width : int
        Cells of a line.
    details : Details
        What is shown below each span.
    """
    lines: list[Line] = []
    guides = _guides(layout, places, signs)
    name_cells = max(width - _BAR_CELLS - _SERVICE_CELLS - 24, 24)
    shown_part = -1
    for place, guide in zip(places, guides, strict=True):
        if (part := layout.part[place]) != shown_part:
            shown_part = part
            if len(layout.parts) > 1:
                lines.append(line((one_line(layout.parts[part].test_id or "trace"), "bold")))
        lines.append(_span_line(layout, place, guide, signs, name_cells))
        indent = " " * (cell_len(guide) + 4)
        lines += [line((indent + text, "dim")) for text in detail_texts(layout, place, details)]
    if len(places) < len(layout):
        lines.append(line((f"showing {number_text(len(places))} of {number_text(len(layout))}", "dim")))
    return lines


def _span_line(layout: Layout, place: int, guide: str, signs: Signs, name_cells: int) -> Line:
    table, row = layout.table(place), layout.row[place]
    name = clipped(guide + one_line(table.name[row]), name_cells, signs.ellipsis)
    pad = " " * (name_cells - cell_len(name))
    service = clipped(one_line(table.resource[row].service), _SERVICE_CELLS, signs.ellipsis)
    service += " " * (_SERVICE_CELLS - cell_len(service))
    duration_ns = layout.duration_ns(place)
    duration = duration_text(None if duration_ns is None else duration_ns / 1e6).rjust(11)
    status = STATUS_CODES[table.status_code[row]]
    style = "failed" if status == "error" else ("dim" if table.own[row] else "")
    bar = _bar(layout, place, signs)
    return line((name + pad, style), " ", (service, "dim"), duration, " ", (status.ljust(6), style), " ", bar)


def _bar(layout: Layout, place: int, signs: Signs) -> str:
    offset, duration = layout.offset_ns(place), layout.duration_ns(place)
    if offset is None or duration is None:
        return ""
    length = layout.length_ns(layout.part[place])
    left = min(int(_BAR_CELLS * offset / length), _BAR_CELLS - 1)
    size = min(max(round(_BAR_CELLS * duration / length), 1), _BAR_CELLS - left)
    return " " * left + signs.bar * size


def _guides(layout: Layout, places: Sequence[int], signs: Signs) -> list[str]:
    """The tree drawing before each name; deeper levels than anyone can follow are counted instead."""
    last_child: dict[int, int] = {}
    for place in places:
        last_child[layout.parent[place]] = place
    open_levels: list[bool] = []
    guides: list[str] = []
    for place in places:
        depth = layout.depth[place]
        is_last = last_child[layout.parent[place]] == place
        del open_levels[depth:]
        open_levels += [False] * (depth - len(open_levels))
        guides.append(_guide(open_levels, depth, signs, is_last=is_last))
        open_levels.append(not is_last)
    return guides


def _guide(open_levels: Sequence[bool], depth: int, signs: Signs, *, is_last: bool) -> str:
    if depth == 0:
        return ""
    if depth > _DEEPEST_DRAWN:
        return f"[{depth}] "
    # A root's own siblings need no guide: they stand at the margin.
    drawn = "".join(signs.through if is_open else signs.blank for is_open in open_levels[1:])
    return drawn + (signs.last if is_last else signs.branch)
