"""Segments → one Jinja2 template: statements, their nesting, and what a file offers to others.

One pass over the segments with a stack of open statements. A marker that cannot be parsed is reported
and skipped, so that all independent mistakes of a file come out at once. Macros, blocks and the
statements that are rendered ahead (:mod:`clnrm_nb.template.tables`) become Jinja2 blocks: each compiles
to a function of its own, which the rendering calls when it needs it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NoReturn

from jinja2 import nodes

from clnrm_nb.template.expressions import Cursor, ExpressionParser, Operand, operation
from clnrm_nb.template.faults import Fault, closest
from clnrm_nb.template.lexer import Segment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from clnrm_nb.template.lexer import Scan
    from clnrm_nb.template.signature import Registry
    from clnrm_nb.template.tables import Statement

__all__ = ["Macro", "Parsed", "Problem", "TemplateParser"]

_MAX_OPEN: Final = 64
_MAX_PROBLEMS: Final = 100
_MAX_OPEN_LOOPS: Final = 16
"""Python compiles at most 20 nested loops in one function (CPython 3.11)."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A mistake in one marker."""

    code: str
    message: str
    segment: int
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Macro:
    """A macro's name, the function it compiled to, and its parameters with literal defaults."""

    name: str
    block: str
    parameters: tuple[str, ...]
    defaults: dict[str, Any]


@dataclass(slots=True)
class Parsed:
    """What a source says, ready to be compiled.

    Parameters
    ----------
    tree : nodes.Template
        Line numbers are segment numbers; None once it has been compiled.
    segments : list of Segment
        Number n is ``segments[n - 1]``.
    macros, blocks : dict
        By name; a block's value is the function it compiled to.
    imports : dict
        Alias → file name and number of the ``import`` segment.
    extends : tuple, optional
        File name and number of the ``extends`` segment.
    statements : dict
        Function name → index in the statements given.
    assigned : set of str
        Every name a ``set`` statement assigns.
    problems : list of Problem
        Mistakes; the tree is of use only where there are none.
    """

    tree: nodes.Template | None
    segments: list[Segment]
    macros: dict[str, Macro] = field(default_factory=dict)
    blocks: dict[str, str] = field(default_factory=dict)
    imports: dict[str, tuple[str, int]] = field(default_factory=dict)
    extends: tuple[str, int] | None = None
    statements: dict[str, int] = field(default_factory=dict)
    assigned: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)


@dataclass(slots=True)
class _Open:
    """A statement whose end has not come yet."""

    kind: str
    at: int
    body: list[nodes.Node] = field(default_factory=list)
    branches: list[tuple[nodes.Expr, int, list[nodes.Node]]] = field(default_factory=list)
    otherwise: list[nodes.Node] | None = None
    head: Any = None
    names: set[str] = field(default_factory=set)


_CLOSING: Final = {
    "endif": "if",
    "endfor": "for",
    "endmacro": "macro",
    "endblock": "block",
    "endfilter": "filter",
}
_OPENING: Final = {kind: end for end, kind in _CLOSING.items()}


class TemplateParser:
    """Parses one scanned source."""

    def __init__(self, scan: Scan, statements: Sequence[Statement], registry: Registry) -> None:
        self.source = scan.source
        self.registry = registry
        self.statements = statements
        self.segments = _split(scan.segments, [s for s in statements if s.is_dynamic])
        self.result = Parsed(nodes.Template([], lineno=1), self.segments)
        self.stack = [_Open("file", 0)]
        self.parsers: dict[str, Callable[[Cursor, int], None]] = {
            "if": self._if,
            "elif": self._elif,
            "else": self._else,
            "for": self._for,
            "set": self._set,
            "set_global": self._set,
            "macro": self._macro,
            "block": self._block,
            "filter": self._filter,
            "import": self._import,
            "extends": self._extends,
            "include": self._include,
            "break": self._loop_control,
            "continue": self._loop_control,
        }

    def parse(self) -> Parsed:
        """Parse everything; mistakes are in ``problems``."""
        pending = [(i, s) for i, s in enumerate(self.statements) if s.is_dynamic]
        pending.reverse()
        ahead: tuple[int, Statement] | None = None
        for number, segment in enumerate(self.segments, 1):
            if ahead and segment.start >= ahead[1].end:
                self._close_statement(ahead[0])
                ahead = None
            while pending and pending[-1][1].end <= segment.start:
                pending.pop()
            if (
                not ahead
                and pending
                and pending[-1][1].start <= segment.start
                and segment.start < segment.end
            ):
                ahead = self._open_statement(pending.pop(), number)
            self._segment(segment, number)
            if len(self.stack) > _MAX_OPEN or len(self.result.problems) >= _MAX_PROBLEMS:
                del self.stack[1:]  # what follows would be said of a file that nobody means
                ahead = None
                break
        if ahead:
            self._close_statement(ahead[0])
        for opened in self.stack[1:]:
            if opened.kind != "statement":
                self._problem(
                    opened.at, f"`{opened.kind}` is never closed; expected `{_OPENING[opened.kind]}`"
                )
        assert self.result.tree is not None
        self.result.tree.body = _output_merged(self.stack[0].body)
        self._keep_one_limit()
        return self.result

    def _keep_one_limit(self) -> None:
        """Beyond a limit on nesting one finding says it all."""
        problems = self.result.problems
        limits = [problem for problem in problems if problem.code == "CLN108"]
        self.result.problems = [p for p in problems if p.code != "CLN108" or p is limits[0]]

    # -- statements rendered ahead

    def _open_statement(self, entry: tuple[int, Statement], number: int) -> tuple[int, Statement] | None:
        """Give a statement a function of its own, where it stands for itself."""
        inside = {opened.kind for opened in self.stack[1:]}
        if inside - {"if", "block"} or not self._is_balanced(entry[1], number):
            return None
        self.stack.append(_Open("statement", number))
        return entry

    def _is_balanced(self, statement: Statement, number: int) -> bool:
        depth = 0
        for segment in self.segments[number - 1 :]:
            if segment.start >= statement.end:
                break
            if segment.problem or segment.keyword in (
                "import",
                "extends",
                "macro",
                "block",
                "break",
                "continue",
            ):
                return False
            depth += (segment.keyword in _OPENING) - (segment.keyword in _CLOSING)
            if depth < 0 or (depth == 0 and segment.keyword in ("else", "elif")):
                return False
        return depth == 0

    def _close_statement(self, index: int) -> None:
        while self.stack[-1].kind != "statement":  # a marker inside could not be parsed
            self.stack.pop()
        opened = self.stack.pop()
        self._names_used(opened.names)
        if opened.names & self.result.assigned:
            # A `set` before it may have changed what it says: it is rendered in its place only.
            self._add(*opened.body)
            return
        name = f"statement_{index}"
        self.result.statements[name] = index
        self._add(self._function(name, opened.body, opened.at))

    def _names_used(self, names: set[str]) -> None:
        for opened in self.stack:
            opened.names |= names

    @staticmethod
    def _function(name: str, body: list[nodes.Node], at: int) -> nodes.Block:
        return nodes.Block(name, _output_merged(body), False, False, lineno=at)

    # -- segments

    def _segment(self, segment: Segment, number: int) -> None:
        if segment.problem:
            self.result.problems.append(Problem(*segment.problem, number))
            return
        if segment.kind == "text":
            if text := self.source[segment.start : segment.end]:
                self._add(nodes.Output([nodes.TemplateData(text, lineno=number)], lineno=number))
            return
        cursor = Cursor(segment.tokens, "}}" if segment.kind == "print" else "%}")
        try:
            if segment.kind == "print":
                operand = self._whole(cursor, number)
                printed = operation("print", operand.node, at=number)
                self._add(nodes.Output([printed], lineno=number))
            else:
                self._statement(cursor, number)
        except Fault as fault:
            self.result.problems.append(Problem(fault.code, fault.message, number, fault.hint))
            self._stand_in(segment, number)

    def _stand_in(self, segment: Segment, number: int) -> None:
        """Keep the nesting right behind an opening marker that could not be parsed."""
        if segment.keyword in _OPENING and (self.stack[-1].at != number):
            self.stack.append(_Open(segment.keyword, number))

    def _statement(self, cursor: Cursor, number: int) -> None:
        keyword = cursor.expect_name("a statement")
        if keyword in _CLOSING:
            if cursor.is_name() and keyword in ("endmacro", "endblock"):
                cursor.take()
            self._close(_CLOSING[keyword], keyword)
            cursor.expect_end(keyword)
            return
        parser = self.parsers.get(keyword)
        if parser is None:
            self._refuse_keyword(keyword, number)
        parser(cursor, number)

    def _refuse_keyword(self, keyword: str, number: int) -> NoReturn:
        """An unknown statement; what it was meant to open or close is opened or closed."""
        meant = closest(keyword, [*self.parsers, *_CLOSING, "raw", "endraw"])
        if meant in _OPENING:
            self.stack.append(_Open(str(meant), number))
        elif self.stack[-1].kind in _OPENING and (meant in _CLOSING or keyword.startswith("end")):
            self.stack.pop()
        near = f"; did you mean `{meant}`?" if meant else ""
        raise Fault("CLN101", f"unknown statement `{keyword}`{near}")

    def _problem(self, segment: int, message: str) -> None:
        self.result.problems.append(Problem("CLN101", message, segment))

    def _add(self, *added: nodes.Node) -> None:
        self.stack[-1].body.extend(added)

    def _expression(self, cursor: Cursor, number: int) -> tuple[Operand, ExpressionParser]:
        parser = ExpressionParser(cursor, self.registry, number)
        block = next((o for o in reversed(self.stack) if o.kind in ("block", "macro")), None)
        if block and block.kind == "block":
            parser.super_block = block.head
        operand = parser.expression()
        self._names_used(parser.names)
        return operand, parser

    def _whole(self, cursor: Cursor, number: int) -> Operand:
        """One expression up to the end of the marker."""
        operand, _ = self._expression(cursor, number)
        cursor.expect_end()
        return operand

    def _condition(self, cursor: Cursor, number: int) -> nodes.Expr:
        operand, parser = self._expression(cursor, number)
        cursor.expect_end()
        return parser.truth(operand)

    # -- nesting

    def _push(self, opened: _Open) -> None:
        loops = sum(o.kind == "for" for o in self.stack) + (opened.kind == "for")
        if len(self.stack) >= _MAX_OPEN or loops > _MAX_OPEN_LOOPS:
            limit = _MAX_OPEN_LOOPS if loops > _MAX_OPEN_LOOPS else _MAX_OPEN
            raise Fault("CLN108", f"statements are nested deeper than {limit}")
        self.stack.append(opened)

    def _close(self, kind: str, keyword: str) -> None:
        opened = self.stack[-1]
        if opened.kind != kind:
            if not any(o.kind == kind for o in self.stack):
                self._refuse_closing(keyword)
            expected = _OPENING.get(opened.kind)
            # The inner one was never closed: say so once, and go on with the outer one.
            while self.stack[-1].kind != kind:
                inner = self.stack.pop()
                if inner.kind != "statement":
                    self._problem(inner.at, f"`{inner.kind}` is never closed; expected `{expected}`")
            opened = self.stack[-1]
        self.stack.pop()
        finish = getattr(self, f"_end_{kind}")
        finish(opened)

    def _refuse_closing(self, keyword: str) -> NoReturn:
        """An end that nothing here has: taken for the wrong end of the innermost open statement."""
        opened = self.stack[-1]
        if opened.kind in _OPENING:
            self.stack.pop()
            raise Fault("CLN101", f"expected `{_OPENING[opened.kind]}`, got `{keyword}`")
        raise Fault("CLN101", f"`{keyword}` without `{_CLOSING[keyword]}`")

    # -- if

    def _if(self, cursor: Cursor, number: int) -> None:
        test = self._condition(cursor, number)
        opened = _Open("if", number)
        opened.branches.append((test, number, opened.body))
        self._push(opened)

    def _elif(self, cursor: Cursor, number: int) -> None:
        opened = self.stack[-1]
        if opened.kind != "if":
            raise Fault("CLN101", "`elif` without `if`")
        if opened.otherwise is not None:
            raise Fault("CLN101", "`elif` cannot stand behind `else`")
        opened.body = []
        test = self._condition(cursor, number)
        opened.branches.append((test, number, opened.body))

    def _else(self, cursor: Cursor, _number: int) -> None:
        cursor.expect_end("else")
        opened = self.stack[-1]
        if opened.kind not in ("if", "for"):
            raise Fault("CLN101", "`else` without `if` or `for`")
        if opened.otherwise is not None:
            raise Fault("CLN101", f"a second `else` in the same `{opened.kind}`")
        if opened.kind == "for" and opened.head is not None:
            opened.head = (*opened.head, opened.body)
        opened.otherwise = opened.body = []

    def _end_if(self, opened: _Open) -> None:
        if not opened.branches:
            return
        (test, at, body), *others = opened.branches
        elifs = [nodes.If(t, _output_merged(b), [], [], lineno=n) for t, n, b in others]
        otherwise = _output_merged(opened.otherwise or [])
        self._add(nodes.If(test, _output_merged(body), elifs, otherwise, lineno=at))

    # -- for

    def _for(self, cursor: Cursor, number: int) -> None:
        first = cursor.expect_name("the name of a loop variable")
        second = cursor.expect_name("a second name") if cursor.accept_op(",") else None
        if not cursor.accept_name("in"):
            raise cursor.unexpected("`in`")
        container = self._whole(cursor, number)
        key = nodes.Const(first if second else None, lineno=number)
        value = nodes.Const(second or first, lineno=number)
        opened = _Open("for", number)
        opened.head = (operation("loop_open", container.node, key, value, at=number),)
        self._push(opened)

    def _end_for(self, opened: _Open) -> None:
        if opened.head is None:
            return
        test, body = opened.head[0], opened.head[1] if opened.otherwise is not None else opened.body
        at = opened.at
        turns = operation("loop_turns", at=at)
        target = nodes.Name("turn", "store", lineno=at)
        loop = nodes.For(target, turns, _output_merged(body), [], None, False, lineno=at)
        closing = nodes.ExprStmt(operation("loop_close", at=at), lineno=at)
        self._add(nodes.If(test, [loop, closing], [], _output_merged(opened.otherwise or []), lineno=at))

    def _loop_control(self, cursor: Cursor, number: int) -> None:
        keyword = "break" if cursor.tokens[0].value == "break" else "continue"
        cursor.expect_end(keyword)
        for opened in reversed(self.stack):
            if opened.kind == "for":
                break
            if opened.kind in ("macro", "block", "file", "statement"):
                raise Fault("CLN101", f"`{keyword}` outside a loop")
        self._add(nodes.Break(lineno=number) if keyword == "break" else nodes.Continue(lineno=number))

    # -- set

    def _set(self, cursor: Cursor, number: int) -> None:
        everywhere = cursor.tokens[0].value == "set_global"
        name = cursor.expect_name()
        cursor.expect_op("=")
        value = self._whole(cursor, number)
        self.result.assigned.add(name)
        is_global = nodes.Const(everywhere, lineno=number)
        call = operation("assign", value.node, nodes.Const(name, lineno=number), is_global, at=number)
        self._add(nodes.ExprStmt(call, lineno=number))

    # -- macros, blocks, sections

    def _macro(self, cursor: Cursor, number: int) -> None:
        name = cursor.expect_name("the name of a macro")
        parameters, defaults = self._parameters(cursor, number)
        cursor.expect_end()
        if any(opened.kind != "file" for opened in self.stack):
            self.stack.append(_Open("macro", number))
            raise Fault("CLN101", "a macro can be defined at the top level only")
        if name in self.result.macros:
            raise Fault("CLN101", f"macro `{name}` is defined twice")
        macro = Macro(name, f"macro_{name}", tuple(parameters), defaults)
        self.result.macros[name] = macro
        opened = _Open("macro", number)
        opened.head = macro
        self._push(opened)

    def _parameters(self, cursor: Cursor, number: int) -> tuple[list[str], dict[str, Any]]:
        parameters: list[str] = []
        defaults: dict[str, Any] = {}
        cursor.expect_op("(")
        while not cursor.accept_op(")"):
            name = cursor.expect_name("the name of a parameter")
            if name in parameters:
                raise Fault("CLN101", f"parameter `{name}` is given twice")
            parameters.append(name)
            if cursor.accept_op("="):
                defaults[name] = self._literal(cursor, number)
            if not cursor.is_op(")") and not cursor.accept_op(","):
                raise cursor.unexpected("`,` or `)`")
        return parameters, defaults

    def _literal(self, cursor: Cursor, number: int) -> Any:
        operand, _ = self._expression(cursor, number)
        return _literal_value(operand.node)

    def _end_macro(self, opened: _Open) -> None:
        if opened.head is not None:
            self._add(self._function(opened.head.block, opened.body, opened.at))

    def _block(self, cursor: Cursor, number: int) -> None:
        name = cursor.expect_name("the name of a block")
        cursor.expect_end(name)
        if any(opened.kind == "macro" for opened in self.stack):
            raise Fault("CLN101", "a block cannot stand inside a macro")
        if name in self.result.blocks:
            raise Fault("CLN101", f"block `{name}` is defined twice")
        self.result.blocks[name] = f"block_of_{name}"
        opened = _Open("block", number)
        opened.head = name
        self._push(opened)

    def _end_block(self, opened: _Open) -> None:
        if opened.head is not None:
            self._add(self._function(self.result.blocks[opened.head], opened.body, opened.at))

    def _filter(self, cursor: Cursor, number: int) -> None:
        """``filter f(…)``: the section's text becomes the subject of the chain."""
        parser = ExpressionParser(cursor, self.registry, number)
        names: list[tuple[str, Any]] = []
        while True:
            name = cursor.expect_name("the name of a filter")
            names.append((name, parser.arguments() if cursor.is_op("(") else None))
            if not cursor.accept_op("|"):
                break
        cursor.expect_end(name)
        self._names_used(parser.names)
        opened = _Open("filter", number)
        opened.head = (parser, names)
        self._push(opened)

    def _end_filter(self, opened: _Open) -> None:
        if opened.head is None:
            return
        parser, names = opened.head
        node = parser.section(names)
        self._add(nodes.FilterBlock(_output_merged(opened.body), node, lineno=opened.at))

    # -- other files

    def _import(self, cursor: Cursor, number: int) -> None:
        name = self._file_name(cursor)
        if not cursor.accept_name("as"):
            raise cursor.unexpected("`as`")
        alias = cursor.expect_name("a name for the macros")
        cursor.expect_end(alias)
        if alias == "self":
            raise Fault("CLN101", "`self` names this file's own macros")
        self.result.imports[alias] = (name, number)

    def _extends(self, cursor: Cursor, number: int) -> None:
        name = self._file_name(cursor)
        cursor.expect_end()
        text = any(
            s.kind == "print" or (s.kind == "text" and self.source[s.start : s.end].strip())
            for s in self.segments[: number - 1]
        )
        if text or len(self.stack) > 1:
            raise Fault("CLN101", "`extends` must stand before everything else")
        if self.result.extends:
            raise Fault("CLN101", "a second `extends` in the same file")
        self.result.extends = (name, number)

    @staticmethod
    def _file_name(cursor: Cursor) -> str:
        token = cursor.current
        if token is None or token.kind != "string":
            raise cursor.unexpected("a file name in quotes")
        cursor.take()
        return str(token.value)

    def _include(self, cursor: Cursor, number: int) -> None:
        operand, _ = self._expression(cursor, number)
        ignores = cursor.accept_name("ignore")
        if ignores and not cursor.accept_name("missing"):
            raise cursor.unexpected("`missing`")
        cursor.expect_end()
        node = operation("include", operand.node, nodes.Const(ignores, lineno=number), at=number)
        self._add(nodes.Output([node], lineno=number))


def _literal_value(node: nodes.Node) -> Any:
    """The value of a literal; as deep as the expression parser lets it be."""
    if isinstance(node, nodes.Const):
        return node.value
    if isinstance(node, nodes.List):
        return [_literal_value(item) for item in node.items]
    if isinstance(node, nodes.Dict):
        return {pair.key.value: _literal_value(pair.value) for pair in node.items}  # type: ignore[attr-defined]
    raise Fault("CLN101", "the default of a parameter must be a literal")


def _split(segments: Sequence[Segment], statements: Sequence[Statement]) -> list[Segment]:
    """Cut text segments where a statement that is rendered ahead starts or ends."""
    if not statements:
        return list(segments)
    cuts = sorted({offset for s in statements for offset in (s.start, s.end)})
    result: list[Segment] = []
    for segment in segments:
        if segment.kind == "text":
            start = segment.start
            for cut in cuts:
                if start < cut < segment.end:
                    result.append(Segment("text", start, cut))
                    start = cut
            result.append(Segment("text", start, segment.end))
        else:
            result.append(segment)
    return result


def _output_merged(body: list[nodes.Node]) -> list[nodes.Node]:
    """Neighbouring outputs as one node, which compiles faster."""
    merged: list[nodes.Node] = []
    for node in body:
        last = merged[-1] if merged else None
        if isinstance(node, nodes.Output) and isinstance(last, nodes.Output):
            last.nodes += node.nodes
        else:
            merged.append(node)
    return merged
