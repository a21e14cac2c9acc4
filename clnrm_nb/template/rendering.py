"""Rendering a file: reading, variables, the text, and every finding at its place.

The way of one rendering: compile (cached) → read the statements of the variable tables, in file order,
rendering those that hold markers with what is known so far → render the whole. A fault ends the text but
not the search: the template is rendered a second time by code that goes on behind faults, so that one
pass reports them all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.errors import Diagnostic, Location, Related
from clnrm_nb.template.compiler import REGISTRY, Unit, compile_unit
from clnrm_nb.template.dates import nanoseconds
from clnrm_nb.template.faults import Fault
from clnrm_nb.template.loader import FaultyFileError, Loader, TemplateFile
from clnrm_nb.template.matrix import Expansion, MatrixProblem, expand
from clnrm_nb.template.model import Dependencies, Rendered, TemplateRequest
from clnrm_nb.template.positions import Place, innermost_place, places
from clnrm_nb.template.runtime import Inputs, Rendering
from clnrm_nb.template.sourcemap import Piece, SourceMap
from clnrm_nb.template.tables import Statement, find_statements, parse_statement
from clnrm_nb.template.variables import Scope, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["combinations", "is_library", "is_templated", "render"]

_MAX_FINDINGS: Final = 100
_PRAGMA: Final = "# clnrm: no-template"
_MARKERS: Final = ("{{", "{%", "{#")


def is_library(file: str) -> bool:
    """Whether a file is a template library, by its name."""
    return file.rpartition("/")[2].startswith("_")


def is_templated(request: TemplateRequest, source: str) -> bool:
    """Whether markers mean something in this file (``format.md`` 2.1)."""
    if request.file.endswith(".tera"):
        return True
    first_line = source.partition("\n")[0].rstrip()
    if request.no_template or first_line == _PRAGMA:
        return False
    return any(marker in source for marker in _MARKERS)


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
    source, unreadable = _read(request)
    if unreadable is not None:
        return _unrendered(request, "", [unreadable], templated=False)
    job = _Job(request, source)
    if not is_templated(request, source):
        return job.verbatim()
    return job.rendered()


def combinations(request: TemplateRequest) -> tuple[list[dict[str, Any]], list[Diagnostic]]:
    """The combinations of a file's ``[matrix]``; one empty combination where it has none.

    A matrix that cannot be expanded gives its finding (CLN113) and one combination to stand in, so that the
    rest of the file can be checked.
    """
    source, unreadable = _read(request)
    if unreadable is not None or "matrix" not in source:
        return [{}], []
    return _Job(request, source).combinations()


def _read(request: TemplateRequest) -> tuple[str, Diagnostic | None]:
    if request.text is not None:
        return request.text.removeprefix("\ufeff"), None
    try:
        content = request.path.read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        reason = {"no such file or directory": "no such file"}.get(reason, reason)
        return "", Diagnostic("CLN001", f"cannot read `{request.file}`: {reason}", file=request.file)
    try:
        return content.decode("utf-8").removeprefix("\ufeff"), None
    except UnicodeDecodeError as error:
        return "", _not_utf8(request.file, content, error)


def _not_utf8(file: str, content: bytes, error: UnicodeDecodeError) -> Diagnostic:
    before = content[: error.start].decode("utf-8", "replace")
    line = before.count("\n") + 1
    column = len(before) - (before.rfind("\n") + 1) + 1
    message = f"byte 0x{content[error.start]:02x} at offset {error.start} is not UTF-8"
    return Diagnostic("CLN002", message, file=file, line=line, column=column, hint="save the file as UTF-8")


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


@dataclass(slots=True)
class _Prepared:
    """A rendering whose variable tables have been read."""

    run: Rendering
    scope: Scope
    root: TemplateFile
    values: dict[int, dict[str, Any]] = field(default_factory=dict)
    """What each statement says, by index."""


class _Job:
    """One request; keeps what makes a second rendering equal to the first."""

    def __init__(self, request: TemplateRequest, source: str) -> None:
        self.request = request
        self.source = source
        self.entropy = ""
        self.clock_ns = 0

    # -- without template

    def verbatim(self) -> Rendered:
        """A file in which nothing is a marker."""
        request = self.request
        scope = self._scope(None)
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
            self._diagnostic(unit, code, message, start, end)
            for code, message, start, end in unit.scan.warnings
        ]
        if unit.problems:
            diagnostics += _problem_diagnostics(unit, request.file)
            return _unrendered(request, self.source, _sorted(diagnostics), templated=True)
        prepared = self._prepare(unit)
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
        self._keep_inputs(prepared.run)
        diagnostics += _marked_diagnostics(prepared.run)
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

    def _diagnostic(self, unit: Unit, code: str, message: str, start: int, end: int) -> Diagnostic:
        line, column = unit.position(start)
        end_line, end_column = unit.position(end)
        return Diagnostic(code, message, self.request.file, line, column, end_line, end_column)

    def _scope(self, matrix: Mapping[str, Any] | None) -> Scope:
        request = self.request
        combination = request.matrix if matrix is None else matrix
        return Scope(request.variables, request.parameters, request.environ, combination)

    def _keep_inputs(self, run: Rendering) -> None:
        self.entropy, self.clock_ns = run.inputs.entropy, run.inputs.clock_ns

    def _dependencies(self, prepared: _Prepared) -> Dependencies:
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

    # -- variable tables

    def _prepare(self, unit: Unit, *, recovering: bool = False) -> _Prepared:
        """Read the tables; once more if they set seed or clock after something had already used them."""
        determinism: dict[str, Any] = {}
        for statement in unit.statements:
            if statement.table == ("determinism",) and statement.values:
                determinism.update(statement.values)
        prepared = self._read_tables(unit, determinism, recovering=recovering)
        found = prepared.scope.determinism
        if found != determinism and (prepared.run.calls or prepared.run.reads.nondeterministic):
            prepared = self._read_tables(unit, found, recovering=recovering)
        _determine(prepared.run.inputs, found)
        return prepared

    def _read_tables(self, unit: Unit, determinism: dict[str, Any], *, recovering: bool) -> _Prepared:
        request = self.request
        scope = self._scope(None)
        names, spaces = scope.names, scope.spaces
        if request.context is not None:
            names, spaces = {name: plain(value) for name, value in request.context.items()}, {}
        inputs = Inputs(names, spaces, request.environ, entropy=self.entropy, clock_ns=self.clock_ns)
        _determine(inputs, determinism)
        loader = Loader(request.project_root, request.library_files)
        run = Rendering(inputs, loader, REGISTRY, recovering=recovering)
        run.current_file = request.file
        prepared = _Prepared(run, scope, TemplateFile(request.path, request.file, unit))
        loader.adopt(prepared.root)
        for index, statement in enumerate(unit.statements if request.context is None else ()):
            values = statement.values
            if statement.is_dynamic:
                values = _rendered_ahead(prepared, f"statement_{index}")
            if values is not None:
                prepared.values[index] = values
                scope.add(statement.table, statement.inner, values)
        return prepared

    # -- findings

    def _faults(self, unit: Unit, first: Fault) -> list[Diagnostic]:
        """The first fault and all that do not follow from others."""
        found = _fault_diagnostics(first)
        if first.code == "CLN108":
            return found
        prepared = self._prepare(unit, recovering=True)
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
                found += _fault_diagnostics(other)
        return found[:_MAX_FINDINGS]

    # -- source map

    def _trace(self, unit: Unit) -> list[Piece]:
        """Render once more and note where each piece comes from."""
        prepared = self._prepare(unit)
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

    # -- matrix

    def combinations(self) -> tuple[list[dict[str, Any]], list[Diagnostic]]:
        """Expand the matrix that the tables of the file hold."""
        request = self.request
        templated = is_templated(request, self.source)
        unit = compile_unit(self.source) if templated else None
        statements = unit.statements if unit else find_statements(self.source, [])
        if not any(statement.table == ("matrix",) for statement in statements):
            return [{}], []
        if unit and not unit.problems:
            prepared = self._prepare(unit)
            scope, values = prepared.scope, prepared.values
        else:
            scope, values = self._scope(None), {}
            for index, statement in enumerate(statements):
                if statement.values is not None:
                    values[index] = statement.values
                    scope.add(statement.table, statement.inner, statement.values)
        positions = unit or Unit(self.source)
        if not scope.matrix_table:
            return [{}], []
        try:
            expansion = expand(scope.matrix_table, _seed(scope.determinism))
        except MatrixProblem as problem:
            statement = _matrix_statement(statements, values, problem.key)
            finding = self._diagnostic(positions, "CLN113", problem.message, statement.start, statement.end)
            return [_stand_in(scope.matrix_table)], [finding]
        return expansion, self._size_warning(positions, statements, values, expansion)

    def _size_warning(
        self, unit: Unit, statements: list[Statement], values: dict[int, Any], expansion: Expansion
    ) -> list[Diagnostic]:
        if not expansion.is_large:
            return []
        statement = _matrix_statement(statements, values, None)
        message = f"matrix has {len(expansion)} combinations"
        finding = self._diagnostic(unit, "CLN114", message, statement.start, statement.end)
        return [replace(finding, hint="`max = N` in [matrix] runs a stable subset")]


def _rendered_ahead(prepared: _Prepared, function: str) -> dict[str, Any] | None:
    """Render a statement with what is known so far; None leaves it to the main rendering."""
    run, root = prepared.run, prepared.root
    if function not in root.unit.parsed.statements:
        return None
    calls, counters, marked = dict(run.calls), dict(run.counters), dict(run.marked)
    pieces: list[tuple[str, int]] = []
    values: dict[str, Any] | None = None
    template = root.unit.code  # never recovering: a fault belongs to the main rendering
    try:
        generator: Iterator[str] = template.blocks[function](run.active(root))  # type: ignore[arg-type]
        for text in generator:
            place = innermost_place(generator)
            pieces.append((text, place[1] if isinstance(place, tuple) else 1))
        values = parse_statement("".join(text for text, _ in pieces))
    except (Fault, RecursionError):
        pass
    if values is None:
        run.calls, run.counters, run.marked = calls, counters, marked
        run.frames[:] = run.frames[:1]
        return None
    run.statements[root.path, function] = pieces
    return values


def _determine(inputs: Inputs, determinism: Mapping[str, Any]) -> None:
    inputs.seed = _seed(determinism)
    clock = determinism.get("freeze_clock")
    inputs.frozen_ns = nanoseconds(clock) if isinstance(clock, str) else None


def _seed(determinism: Mapping[str, Any]) -> int | None:
    seed = determinism.get("seed")
    return seed if isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0 else None


def _matrix_statement(statements: list[Statement], values: Mapping[int, Any], key: str | None) -> Statement:
    """The statement that defines a key of the matrix; the first one of it for none."""
    of_matrix = [(i, s) for i, s in enumerate(statements) if s.table == ("matrix",)]
    for index, statement in of_matrix:
        if key is not None and key in values.get(index, {}):
            return statement
    return of_matrix[0][1]


def _stand_in(table: Mapping[str, Any]) -> dict[str, Any]:
    axes = ((name, value) for name, value in table.items() if name not in ("include", "exclude", "max"))
    return {
        name: value[0]
        if isinstance(value, list) and value and isinstance(value[0], (str, int, float))
        else ""
        for name, value in axes
    }


# -- findings at their places


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


def _problem_diagnostics(unit: Unit, file: str, related: tuple[Related, ...] = ()) -> list[Diagnostic]:
    holder = TemplateFile(Path(file), file, unit)
    return [
        Diagnostic(p.code, p.message, hint=p.hint, related=related).at(_location((holder, p.segment)))
        for p in unit.problems
    ]


def _fault_diagnostics(fault: Fault) -> list[Diagnostic]:
    """A fault at the innermost place a person can edit, with the calls that led there."""
    chain = list(dict.fromkeys([*fault.callers, *places(fault.__traceback__)]))
    if fault.place is not None and (not chain or chain[-1] != fault.place):
        chain.append(fault.place)
    own = [place for place in chain if not place[0].is_builtin]
    if isinstance(fault, FaultyFileError):
        caller = tuple(_related(place, "loaded here") for place in own[-1:])
        return _problem_diagnostics(fault.file.unit, fault.file.display, caller)
    diagnostic = Diagnostic(fault.code, fault.message, hint=fault.hint)
    if not own:
        return [diagnostic]
    related = tuple(_related(place, "called from here") for place in reversed(own[:-1]))
    return [replace(diagnostic.at(_location(own[-1])), related=related)]


def _marked_diagnostics(run: Rendering) -> list[Diagnostic]:
    return [
        Diagnostic(
            "CLN112",
            f"rendered value still contains `{marker}`",
            hint="text is rendered once; what an expression yields is not rendered again",
        ).at(_location(place))
        for place, marker in run.marked.items()
    ]


def _sorted(diagnostics: list[Diagnostic]) -> list[Diagnostic]:
    unique = {(d.code, d.file, d.line, d.column, d.message): d for d in reversed(diagnostics)}
    return sorted(unique.values(), key=lambda d: d.sort_key)
