"""Sources → compiled units, cached by content; and compiled lines → segments.

Jinja2 generates the Python code. Two things are changed in its generator: every piece of output is a
``yield`` on a line of its own whose "template line" is the number of its segment, so that a traceback or
a suspended generator tells the exact marker or text; and macros, blocks and statements rendered ahead
are called through the rendering instead of through Jinja2's inheritance.

A second generator compiles the same tree so that rendering goes on behind a fault. It is used only when
the first rendering has failed, to report every independent mistake at once.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final

from jinja2 import nodes, pass_context
from jinja2.compiler import CodeGenerator
from jinja2.environment import Template
from jinja2.sandbox import ImmutableSandboxedEnvironment

from clnrm_nb.template import filters_data, filters_text, functions, generators, predicates
from clnrm_nb.template.lexer import Scan, scan
from clnrm_nb.template.operations import OPERATIONS
from clnrm_nb.template.parser import Parsed, Problem, TemplateParser
from clnrm_nb.template.signature import Registry
from clnrm_nb.template.tables import Statement, find_statements

if TYPE_CHECKING:
    from collections.abc import Callable

    from jinja2.compiler import Frame

__all__ = ["PLAIN", "REGISTRY", "Unit", "compile_unit"]

_CACHED_UNITS: Final = 512


class _Generator(CodeGenerator):
    """One ``yield`` a piece; functions of a file are called through the rendering."""

    # Names of visitors are Jinja2's.
    def visit_Output(self, node: nodes.Output, frame: Frame) -> None:  # noqa: N802
        for child in node.nodes:
            if frame.buffer is None:
                self.writeline("yield ", child)
                self._piece(child, frame)
            else:
                self.writeline(f"{frame.buffer}.append(", child)
                self._piece(child, frame)
                self.write(")")

    def _piece(self, child: nodes.Node, frame: Frame) -> None:
        self.visit(child, frame)

    def visit_TemplateData(self, node: nodes.TemplateData, frame: Frame) -> None:  # noqa: ARG002, N802
        self.write(repr(node.data))

    def visit_Block(self, node: nodes.Block, frame: Frame) -> None:  # noqa: N802
        if node.name.startswith("macro_"):
            return
        call = f"context.pieces({node.name!r})"
        if frame.buffer is None:
            self.writeline(f"yield from {call}", node)
        else:
            self.writeline(f"{frame.buffer}.extend({call})", node)


class _RecoveringGenerator(_Generator):
    """Every fault is noted and rendering goes on behind it."""

    def _piece(self, child: nodes.Node, frame: Frame) -> None:
        if isinstance(child, nodes.TemplateData):
            super()._piece(child, frame)
        else:
            self._attempt(child, frame, "''")

    def _attempt(self, node: nodes.Node, frame: Frame, instead: str) -> None:
        self.write("context.attempt(lambda: ")
        self.visit(node, frame)
        self.write(f", {instead})")

    def visit_ExprStmt(self, node: nodes.ExprStmt, frame: Frame) -> None:  # noqa: N802
        self.newline(node)
        self._attempt(node.node, frame, "None")

    def visit_If(self, node: nodes.If, frame: Frame) -> None:  # noqa: N802
        # The chain of Jinja2's own method, with each test attempted.
        keyword = "if "
        for branch in (node, *node.elif_):
            self.writeline(keyword, branch)
            self._attempt(branch.test, frame, "False")
            self.write(":")
            self.indent()
            self.blockvisit(branch.body, frame)
            self.outdent()
            keyword = "elif "
        if node.else_:
            self.writeline("else:")
            self.indent()
            self.blockvisit(node.else_, frame)
            self.outdent()


def _registry() -> Registry:
    registry = Registry()
    for module in (filters_text, filters_data, functions, generators, predicates):
        module.register(registry)
    return registry


REGISTRY: Final = _registry()


def _operations() -> dict[str, Callable[..., Any]]:
    """Everything a compiled template can call, each taking the rendering as first argument."""
    table: dict[str, Callable[..., Any]] = {name: pass_context(body) for name, body in OPERATIONS.items()}
    for role in ("function", "filter", "test"):
        for name, operation in REGISTRY.of(role).items():
            table[f"{role}:{name}"] = pass_context(_callable(operation))
    return table


def _callable(operation: Any) -> Callable[..., Any]:
    # Jinja2 marks functions by an attribute, which neither a frozen dataclass nor a bound method takes.
    if operation.parameters:
        return partial(operation)
    return lambda active, _nothing: operation(active)


def _environment(generator: type[CodeGenerator]) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(optimized=False, autoescape=False, cache_size=0)
    environment.code_generator_class = generator
    environment.globals.clear()
    environment.tests.clear()
    environment.filters.clear()
    environment.filters.update(_operations())
    return environment


PLAIN: Final = _environment(_Generator)
_RECOVERING: Final = _environment(_RecoveringGenerator)


class Unit:
    """A compiled source. Knows nothing of files, variables or renderings, and is shared between them.

    Parameters
    ----------
    source : str
        The text.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.scan: Scan = scan(source)
        self.statements: list[Statement] = find_statements(source, self.scan.opaque)
        self.parsed: Parsed = TemplateParser(self.scan, self.statements, REGISTRY).parse()

    @property
    def problems(self) -> list[Problem]:
        """Mistakes found without rendering."""
        if not self.parsed.problems:
            try:
                _ = self.code
            except (RecursionError, SyntaxError, MemoryError):
                # Python's own limits on nesting; the parser's limits are below them for all but odd shapes.
                return [Problem("CLN108", "the template is nested too deeply to be compiled", 1)]
        return self.parsed.problems

    @cached_property
    def code(self) -> Template:
        """The compiled template."""
        return self._compiled(PLAIN)

    @cached_property
    def recovering(self) -> Template:
        """The same, going on behind faults."""
        return self._compiled(_RECOVERING)

    def _compiled(self, environment: ImmutableSandboxedEnvironment) -> Template:
        code = environment.compile(self.parsed.tree, filename="<template>")
        return Template.from_code(environment, code, {})

    @cached_property
    def line_starts(self) -> list[int]:
        """Offset of the start of each line."""
        starts = [0]
        find = self.source.find
        position = find("\n")
        while position >= 0:
            starts.append(position + 1)
            position = find("\n", position + 1)
        return starts

    def position(self, offset: int) -> tuple[int, int]:
        """1-based line and column of an offset."""
        line = bisect_right(self.line_starts, offset)
        return line, offset - self.line_starts[line - 1] + 1


_units: OrderedDict[str, Unit] = OrderedDict()
_units_lock: Final = threading.Lock()


def compile_unit(source: str) -> Unit:
    """The unit of a source, compiled at most once while it is among the latest used."""
    with _units_lock:
        unit = _units.get(source)
        if unit is not None:
            _units.move_to_end(source)
            return unit
    unit = Unit(source)
    with _units_lock:
        _units[source] = unit
        while len(_units) > _CACHED_UNITS:
            _units.popitem(last=False)
    return unit
