"""Sources → compiled units, cached by content; and compiled lines → segments.

Jinja2 generates the Python code. Its generator is cut down to the nodes our parser makes. None of them holds
a name: everything is a call of a registered operation. So the question that Jinja2's compiler spends most of
its time on, which name is read or assigned in which scope, does not arise, and compiling takes half as long
(4.2 → 2.1 ms for 60 lines, November 2026).

Every piece of output is a ``yield`` on a line of its own whose "template line" is the number of its segment,
so that a traceback or a suspended generator tells the exact marker or text. Macros, blocks and statements
rendered ahead are functions that are called through the rendering.

A second generator compiles the same tree so that rendering goes on behind a fault. It is used only when
the first rendering has failed, to report every independent mistake at once.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.environment import Template
from jinja2.nodes import EvalContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from clnrm_nb.template import fakes, filters_data, filters_text, functions, generators, predicates
from clnrm_nb.template.lexer import Scan, scan
from clnrm_nb.template.operations import OPERATIONS
from clnrm_nb.template.parsed import Parsed, Problem
from clnrm_nb.template.parser import TemplateParser
from clnrm_nb.template.signature import Registry
from clnrm_nb.template.tables import Statement, find_statements

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["PLAIN", "REGISTRY", "Unit", "compile_unit"]

_CACHED_UNITS: Final = 512


class _Generator(CodeGenerator):
    """One function for the file, one for each block; one ``yield`` a piece; one global an operation."""

    # Names of visitors are Jinja2's.
    def visit_Template(self, node: nodes.Template, frame: Frame | None = None) -> None:  # noqa: N802
        assert frame is None
        self._operations: dict[str, str] = {}
        self._function("root", node.body, node)
        written: set[str] = set()
        while waiting := [block for name, block in self.blocks.items() if name not in written]:
            for block in waiting:
                written.add(block.name)
                self._function(f"block_{block.name}", block.body, block)
        for name, identifier in self._operations.items():
            self.writeline(f"{identifier} = environment.filters[{name!r}]")
        self.writeline("name = None")
        self.writeline("blocks = {" + ", ".join(f"{name!r}: block_{name}" for name in self.blocks) + "}")
        self.writeline(f"debug_info = {'&'.join(f'{k}={v}' for k, v in self.debug_info)!r}")

    def _function(self, name: str, body: Sequence[nodes.Node], node: nodes.Node) -> None:
        self.writeline(f"def {name}(context):", node)
        self.indent()
        self.writeline("if 0: yield")  # a generator, even if it has nothing to say
        self.blockvisit(body, Frame(EvalContext(self.environment)))
        self.outdent()

    def visit_Block(self, node: nodes.Block, frame: Frame) -> None:  # noqa: N802
        self.blocks[node.name] = node
        if node.name.startswith("macro_"):
            return
        call = f"context.pieces({node.name!r})"
        self.writeline(
            f"yield from {call}" if frame.buffer is None else f"{frame.buffer}.extend({call})", node
        )

    def visit_Output(self, node: nodes.Output, frame: Frame) -> None:  # noqa: N802
        for child in node.nodes:
            self._piece(child, frame)

    def _piece(self, node: nodes.Node, frame: Frame) -> None:
        self.start_write(frame, node)
        self._evaluated(node, frame, "''")
        self.end_write(frame)

    def _evaluated(self, node: nodes.Node, frame: Frame, instead: str) -> None:  # noqa: ARG002 - see below
        self.visit(node, frame)

    def visit_TemplateData(self, node: nodes.TemplateData, frame: Frame) -> None:  # noqa: ARG002, N802
        self.write(repr(node.data))

    def visit_ExprStmt(self, node: nodes.ExprStmt, frame: Frame) -> None:  # noqa: N802
        self.newline(node)
        self._evaluated(node.node, frame, "None")

    def visit_FilterBlock(self, node: nodes.FilterBlock, frame: Frame) -> None:  # noqa: N802
        section = frame.soft()
        self.buffer(section)
        self.blockvisit(node.body, section)
        self.start_write(frame, node)
        self.visit_Filter(node.filter, section)
        self.end_write(frame)

    def visit_Filter(self, node: nodes.Filter, frame: Frame) -> None:  # noqa: N802
        identifier = self._operations.setdefault(node.name, f"operation_{len(self._operations)}")
        self.write(f"{identifier}(context, ")
        if node.node is None:
            self.write(f"''.join({frame.buffer})")  # innermost in a `filter` section: the section's text
        else:
            self.visit(node.node, frame)
        for argument in node.args:
            self.write(", ")
            self.visit(argument, frame)
        self.write(")")

    def visit_If(self, node: nodes.If, frame: Frame) -> None:  # noqa: N802
        keyword = "if "
        for branch in (node, *node.elif_):
            self.writeline(keyword, branch)
            self._evaluated(branch.test, frame, "False")
            self._suite(branch.body, frame)
            keyword = "elif "
        if node.else_:
            self.writeline("else")
            self._suite(node.else_, frame)

    def visit_For(self, node: nodes.For, frame: Frame) -> None:  # noqa: N802
        self.writeline("for _ in ", node)
        self.visit(node.iter, frame)
        self._suite(node.body, frame)

    def _suite(self, body: Sequence[nodes.Node], frame: Frame) -> None:
        self.write(":")
        self.indent()
        self.blockvisit(body, frame)
        self.outdent()


class _RecoveringGenerator(_Generator):
    """Every fault is noted and rendering goes on behind it."""

    def _evaluated(self, node: nodes.Node, frame: Frame, instead: str) -> None:
        if isinstance(node, nodes.TemplateData):
            self.visit(node, frame)
            return
        # The number makes the lambdas differ: Python compiles many equal ones in quadratic time.
        self.write(f"context.attempt(lambda: ({node.lineno}, ")
        self.visit(node, frame)
        self.write(f")[1], {instead})")


def _registry() -> Registry:
    registry = Registry()
    for module in (filters_text, filters_data, functions, generators, fakes, predicates):
        module.register(registry)
    return registry


REGISTRY: Final = _registry()


def _operations() -> dict[str, Callable[..., Any]]:
    """Everything a compiled template can call, each taking the active file as first argument."""
    table: dict[str, Callable[..., Any]] = {}
    for role in ("function", "filter", "test"):
        for name, operation in REGISTRY.of(role).items():
            table[f"{role}:{name}"] = operation if operation.parameters else _without_subject(operation)
    return table | OPERATIONS  # `env` is in both: as an operation it knows what is missing


def _without_subject(operation: Callable[..., Any]) -> Callable[..., Any]:
    # A call node always has a first argument; a function without parameters has no use for it.
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
        # The tree is let go: hundreds of them kept cost much memory, and the garbage collector much time.
        tree = self.parsed.tree or TemplateParser(self.scan, self.statements, REGISTRY).parse().tree
        assert tree is not None
        self.parsed.tree = None
        code = environment.compile(tree, filename="<template>")
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
