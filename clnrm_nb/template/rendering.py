"""Rendering a file: the text, and every finding at its place.

The way of one rendering: compile (cached) → read the variable tables (:mod:`clnrm_nb.template.preparation`)
→ render the whole. A fault ends the text but not the search: the template is rendered a second time by code
that goes on behind faults, so that one pass reports them all.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.errors import Diagnostic
from clnrm_nb.template.compiler import compile_unit
from clnrm_nb.template.faults import Fault
from clnrm_nb.template.findings import (
    finding_between,
    findings_of_fault,
    findings_of_markers,
    findings_of_problems,
)
from clnrm_nb.template.model import Dependencies, Rendered
from clnrm_nb.template.positions import Place, innermost_place
from clnrm_nb.template.preparation import Preparation, Prepared, scope_of
from clnrm_nb.template.sourcemap import Piece, SourceMap
from clnrm_nb.template.sources import is_library, is_templated, read_source
from clnrm_nb.template.tables import find_statements

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clnrm_nb.template.compiler import Unit
    from clnrm_nb.template.loader import TemplateFile
    from clnrm_nb.template.model import TemplateRequest

__all__ = ["is_library", "is_templated", "render"]

_MAX_FINDINGS: Final = 100


def render(request: TemplateRequest) -> Rendered:
    """Render a file. Never raises for what its text says: that becomes diagnostics.

    Parameters
    ----------
    request : TemplateRequest
        The file and everything its text may depend on.

    Returns
    -------
    Rendered
        ``text`` is None where rendering failed; ``diagnostics`` then holds at least one error.
    """
    source, unreadable = read_source(request)
    if unreadable is not None:
        return _unrendered(request, "", [unreadable], templated=False)
    job = _Job(request, source)
    if not is_templated(request, source):
        return job.verbatim()
    return job.rendered()


def _unrendered(
    request: TemplateRequest, source: str, diagnostics: list[Diagnostic], *, templated: bool
) -> Rendered:
    return Rendered(
        file=request.file,
        path=request.path,
        source=source,
        text=None,
        templated=templated,
        library=is_library(request.file),
        source_map=SourceMap(request.file, None, "", list),
        variables=[],
        dependencies=Dependencies(files={request.file: _digest(source)}),
        diagnostics=diagnostics,
        matrix=dict(request.matrix),
        again=lambda text: render(replace(request, text=text)),
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class _Job:
    """One request."""

    def __init__(self, request: TemplateRequest, source: str) -> None:
        self.request = request
        self.source = source
        self.preparation = Preparation(request)

    def verbatim(self) -> Rendered:
        """A file in which nothing is a marker."""
        request = self.request
        scope = scope_of(request)
        for statement in find_statements(self.source, []):
            if statement.values is not None:
                scope.add(statement.table, statement.inner, statement.values)
        rendered = _unrendered(request, self.source, [], templated=False)
        return replace(rendered, text=self.source, variables=scope.listed())

    # -- with template

    def rendered(self) -> Rendered:
        """Compile, read the tables, render, and say what is wrong."""
        request = self.request
        unit = compile_unit(self.source)
        diagnostics = [
            finding_between(request.file, unit, code, message, start=start, end=end)
            for code, message, start, end in unit.scan.warnings
        ]
        if unit.problems:
            diagnostics += findings_of_problems(unit, request.file)
            return _unrendered(request, self.source, _sorted(diagnostics), templated=True)
        prepared = self.preparation.prepared(unit)
        text: str | None = None
        try:
            text = prepared.run.collect(prepared.run.root(prepared.root))
        except Fault as fault:
            if is_library(request.file):
                text = ""  # never run: what it needs comes from the files that import it
            else:
                diagnostics += self._faults(unit, fault)
        except RecursionError:
            diagnostics.append(
                Diagnostic("CLN108", "the template nests too deeply", file=request.file, line=1, column=1)
            )
        self.preparation.keep_inputs(prepared.run)
        diagnostics += findings_of_markers(prepared.run)
        return Rendered(
            file=request.file,
            path=request.path,
            source=self.source,
            text=text,
            templated=True,
            library=is_library(request.file),
            source_map=SourceMap(request.file, unit, text or "", lambda: self._trace(unit)),
            variables=prepared.scope.listed(),
            dependencies=self._dependencies(prepared),
            diagnostics=_sorted(diagnostics),
            matrix=dict(request.matrix),
            again=lambda text: render(replace(request, text=text)),
        )

    def _dependencies(self, prepared: Prepared) -> Dependencies:
        run, request = prepared.run, self.request
        reads = run.reads
        environment = {
            **prepared.scope.environment_reads(sorted(reads.variables), request.environ),
            **reads.environment,
        }
        return Dependencies(
            files={request.file: _digest(self.source), **run.loader.files},
            missing_files=tuple(dict.fromkeys(run.loader.missing)),
            environment=environment,
            variables=frozenset(reads.variables),
            nondeterministic=reads.nondeterministic,
        )

    # -- findings

    def _faults(self, unit: Unit, first: Fault) -> list[Diagnostic]:
        """The first fault and all that do not follow from others."""
        found = findings_of_fault(first)
        if first.code == "CLN108":
            return found
        prepared = self.preparation.prepared(unit, recovering=True)
        run = prepared.run
        try:
            run.collect(run.root(prepared.root))
        except Fault as fault:
            run.faults.append(fault)
        except RecursionError:
            return found
        assigned = {name for file in run.loader.loaded for name in file.unit.parsed.assigned}
        for other in run.faults[: _MAX_FINDINGS * 10]:
            follows = other.code == "CLN108" or (other.name or "").partition(".")[0] in assigned
            if not follows:
                found += findings_of_fault(other)
        return found[:_MAX_FINDINGS]

    # -- source map

    def _trace(self, unit: Unit) -> list[Piece]:
        """Render once more and note where each piece comes from."""
        prepared = self.preparation.prepared(unit)
        run, root = prepared.run, prepared.root
        run.tracing = True
        pieces: list[Piece] = []
        offset = 0
        try:
            generator: Iterator[str] = run.root(root)
            for text in generator:
                place = innermost_place(generator)
                parts = run.last_call[1] if run.last_call[0] is text or run.last_call[0] == text else ()
                pieces.append(self._piece(unit, root, place, offset, parts if text else ()))
                run.last_call = ("", ())
                offset += len(text)
        except Fault:
            pass  # the finding was reported when the text was rendered; what came before it can be mapped
        # Pieces without text are left out, but for one that ends the text.
        starts = [piece.start for piece in pieces[1:]]
        return [piece for piece, start in zip_longest(pieces, starts) if start != piece.start]

    @staticmethod
    def _piece(
        unit: Unit, root: TemplateFile, place: Place | int | None, offset: int, parts: tuple[Any, ...]
    ) -> Piece:
        if isinstance(place, int):
            return Piece(offset, place)
        if place is None:
            return Piece(offset, 1)
        file, segment = place
        if file is root:
            return Piece(offset, segment, parts)
        # Text of a parent template: the marker in this file is its `extends`.
        extends = unit.parsed.extends
        return Piece(offset, extends[1] if extends else 1, ((0, file.display, file.unit, segment),))


def _sorted(diagnostics: list[Diagnostic]) -> list[Diagnostic]:
    unique = {(d.code, d.file, d.line, d.column, d.message): d for d in reversed(diagnostics)}
    return sorted(unique.values(), key=lambda d: d.sort_key)
