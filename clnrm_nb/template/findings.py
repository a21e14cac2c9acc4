"""Faults and mistakes as findings: each at the marker a person can edit, with the calls that led there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from clnrm_nb.errors import Diagnostic, Location, Related
from clnrm_nb.template.loader import FaultyFileError, TemplateFile
from clnrm_nb.template.positions import places

if TYPE_CHECKING:
    from clnrm_nb.template.compiler import Unit
    from clnrm_nb.template.faults import Fault
    from clnrm_nb.template.positions import Place
    from clnrm_nb.template.runtime import Rendering

__all__ = ["finding_between", "findings_of_fault", "findings_of_markers", "findings_of_problems"]


def finding_between(file: str, unit: Unit, code: str, message: str, *, start: int, end: int) -> Diagnostic:
    """A finding about the text between two offsets."""
    line, column = unit.position(start)
    end_line, end_column = unit.position(end)
    return Diagnostic(code, message, file, line, column, end_line, end_column)


def _location(place: Place) -> Location:
    file, number = place
    unit = file.unit
    segments = unit.parsed.segments
    segment = segments[min(number, len(segments)) - 1] if segments else None
    if segment is None:
        return Location(file.display)
    line, column = unit.position(segment.start)
    end_line, end_column = unit.position(segment.end)
    return Location(file.display, line, column, end_line, end_column)


def _related(place: Place, message: str) -> Related:
    location = _location(place)
    return Related(location.file, location.line, location.column, message)


def findings_of_problems(unit: Unit, file: str, related: tuple[Related, ...] = ()) -> list[Diagnostic]:
    """The mistakes found without rendering."""
    holder = TemplateFile(Path(file), file, unit)
    return [
        Diagnostic(p.code, p.message, hint=p.hint, related=related).at(_location((holder, p.segment)))
        for p in unit.problems
    ]


def findings_of_fault(fault: Fault) -> list[Diagnostic]:
    """A fault at the innermost place a person can edit, with the calls that led there."""
    chain = list(dict.fromkeys([*fault.callers, *places(fault.__traceback__)]))
    if fault.place is not None and (not chain or chain[-1] != fault.place):
        chain.append(fault.place)
    own = [place for place in chain if not place[0].is_builtin]
    if isinstance(fault, FaultyFileError):
        caller = tuple(_related(place, "loaded here") for place in own[-1:])
        return findings_of_problems(fault.file.unit, fault.file.display, caller)
    diagnostic = Diagnostic(fault.code, fault.message, hint=fault.hint)
    if not own:
        return [diagnostic]
    related = tuple(_related(place, "called from here") for place in reversed(own[:-1]))
    return [replace(diagnostic.at(_location(own[-1])), related=related)]


def findings_of_markers(run: Rendering) -> list[Diagnostic]:
    """Outputs of expressions that still hold a marker."""
    return [
        Diagnostic(
            "CLN112",
            f"rendered value still contains `{marker}`",
            hint="text is rendered once; what an expression yields is not rendered again",
        ).at(_location(place))
        for place, marker in run.marked.items()
    ]
