"""What is known before a file is rendered: variables, matrix, seed and clock (``format.md`` 3.3).

The statements of the variable tables are read in file order. Those that hold markers are rendered with what
is known so far, and that text is kept: it is what appears in the output.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from clnrm_nb.template.compiler import REGISTRY
from clnrm_nb.template.dates import nanoseconds
from clnrm_nb.template.faults import Fault
from clnrm_nb.template.loader import Loader, TemplateFile
from clnrm_nb.template.positions import innermost_place
from clnrm_nb.template.runtime import Inputs, Rendering
from clnrm_nb.template.tables import parse_statement
from clnrm_nb.template.variables import Scope, plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clnrm_nb.template.compiler import Unit
    from clnrm_nb.template.model import TemplateRequest

__all__ = ["Preparation", "Prepared", "scope_of", "seed_of"]


@dataclass(slots=True)
class Prepared:
    """A rendering whose variable tables have been read."""

    run: Rendering
    scope: Scope
    root: TemplateFile
    values: dict[int, dict[str, Any]] = field(default_factory=dict)
    """What each statement says, by index."""


def scope_of(request: TemplateRequest) -> Scope:
    """The variables a request brings along, before the file adds its own."""
    return Scope(request.variables, request.parameters, request.environ, request.matrix)


class Preparation:
    """Prepares renderings of one request; keeps what makes a second one equal to the first."""

    def __init__(self, request: TemplateRequest) -> None:
        self.request = request
        self.entropy = ""
        self.clock_ns = 0

    def keep_inputs(self, run: Rendering) -> None:
        """Give later renderings the entropy and the clock this one has used."""
        self.entropy, self.clock_ns = run.inputs.entropy, run.inputs.clock_ns

    def prepared(self, unit: Unit, *, recovering: bool = False) -> Prepared:
        """Read the tables; once more if they set seed or clock after something had already used them."""
        determinism: dict[str, Any] = {}
        for statement in unit.statements:
            if statement.table == ("determinism",) and statement.values:
                determinism.update(statement.values)
        determinism.update(self.request.determinism)
        prepared = self._read_tables(unit, determinism, recovering=recovering)
        found = {**prepared.scope.determinism, **self.request.determinism}
        if found != determinism and (prepared.run.calls or prepared.run.reads.nondeterministic):
            prepared = self._read_tables(unit, found, recovering=recovering)
        _determine(prepared.run.inputs, found)
        return prepared

    def _read_tables(self, unit: Unit, determinism: dict[str, Any], *, recovering: bool) -> Prepared:
        request = self.request
        scope = scope_of(request)
        names, spaces = scope.names, scope.spaces
        if request.context is not None:
            names, spaces = {name: plain(value) for name, value in request.context.items()}, {}
        inputs = Inputs(names, spaces, request.environ, entropy=self.entropy, clock_ns=self.clock_ns)
        _determine(inputs, determinism)
        loader = Loader(request.project_root, request.library_files)
        run = Rendering(inputs, loader, REGISTRY, recovering=recovering)
        run.current_file = request.file
        prepared = Prepared(run, scope, TemplateFile(request.path, request.file, unit))
        loader.adopt(prepared.root)
        for index, statement in enumerate(unit.statements if request.context is None else ()):
            values = statement.values
            if statement.is_dynamic:
                values = _rendered_ahead(prepared, f"statement_{index}")
            if values is not None:
                prepared.values[index] = values
                scope.add(statement.table, statement.inner, values)
        return prepared


def _rendered_ahead(prepared: Prepared, function: str) -> dict[str, Any] | None:
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
    inputs.seed = seed_of(determinism)
    clock = determinism.get("freeze_clock")
    inputs.frozen_ns = nanoseconds(clock) if isinstance(clock, str) else None


def seed_of(determinism: Mapping[str, Any]) -> int | None:
    """``determinism.seed``, if it is one."""
    seed = determinism.get("seed")
    return seed if isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0 else None
