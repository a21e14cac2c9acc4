"""Which segment a frame of compiled code stands at.

Compiled templates carry segment numbers where Jinja2 keeps template lines. A frame, of a traceback or of a
suspended generator, therefore tells the exact marker or piece of text; templates that render pay nothing.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2.environment import Template

    from clnrm_nb.template.loader import TemplateFile

__all__ = ["Place", "calling_places", "innermost_place", "places"]

Place = tuple["TemplateFile", int]
"""A file and the number of a segment in it."""


def _segment_of_line(template: Template, line: int) -> int:
    lines: list[tuple[int, int]] | None = getattr(template, "_clnrm_lines", None)
    if lines is None:
        lines = sorted((code_line, segment) for segment, code_line in template.debug_info)
        template._clnrm_lines = lines  # type: ignore[attr-defined]  # noqa: SLF001 - a memo on what it describes
    index = bisect_right(lines, (line, sys.maxsize)) - 1
    return lines[index][1] if index >= 0 else 1


def _place_of(frame: FrameType, line: int) -> Place | None:
    template = frame.f_globals.get("__jinja_template__")
    active = frame.f_locals.get("context") if template is not None else None
    if template is None or active is None:
        return None
    return active.file, _segment_of_line(template, line)


def places(traceback: TracebackType | None) -> list[Place]:
    """Every template place a traceback passes, outermost first."""
    found: list[Place] = []
    while traceback is not None:
        place = _place_of(traceback.tb_frame, traceback.tb_lineno)
        if place is not None and (not found or found[-1] != place):
            found.append(place)
        traceback = traceback.tb_next
    return found


def calling_places(*, skipped: int = 0) -> tuple[Place, ...]:
    """The template places that led to the running operation, outermost first.

    `skipped` frames next to the caller are left out.
    """
    found: list[Place] = []
    frame: FrameType | None = sys._getframe(1 + skipped)  # noqa: SLF001 - the way to the calling frame
    while frame is not None:
        place = _place_of(frame, frame.f_lineno)
        if place is not None and (not found or found[-1] != place):
            found.append(place)
        frame = frame.f_back
    return tuple(reversed(found))


def innermost_place(generator: Iterator[str]) -> Place | int | None:
    """Where a suspended generator of output stands; the segment alone for replayed statements."""
    inner: Any = generator
    while (nested := getattr(inner, "gi_yieldfrom", None)) is not None:
        inner = nested
    segment = getattr(inner, "segment", None)
    if segment is not None:
        return int(segment)
    frame = getattr(inner, "gi_frame", None)
    return _place_of(frame, frame.f_lineno) if frame is not None else None
