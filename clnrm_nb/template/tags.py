"""Statement markers: ``if``, ``for``, ``set``, ``macro``, ``include`` and the others (``format.md`` 2.6).

Each word has a method that reads its marker, and those that open something a second one for its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn

from jinja2 import nodes

from clnrm_nb.template.cursor import Cursor
from clnrm_nb.template.expressions import ExpressionParser
from clnrm_nb.template.faults import Fault, closest
from clnrm_nb.template.nesting import CLOSING, OPENING, Open, function_of, output_merged
from clnrm_nb.template.operands import Operand, operation
from clnrm_nb.template.parsed import Macro, Parsed

if TYPE_CHECKING:
    from collections.abc import Callable

    from clnrm_nb.template.nesting import Nesting
    from clnrm_nb.template.signature import Registry

__all__ = ["TagParser"]

_WALLS: Final = ("macro", "block", "file", "statement")
"""What a `break` cannot leave."""


class TagParser:
    """Parses one marker after another into the innermost open statement.

    Parameters
    ----------
    source : str
        The text of the file.
    result : Parsed
        Where macros, blocks, imports and the like are noted.
    nesting : Nesting
        The open statements.
    registry : Registry
        The functions, filters and tests there are.
    """

    def __init__(self, source: str, result: Parsed, nesting: Nesting, registry: Registry) -> None:
        self.source = source
        self.result = result
        self.nesting = nesting
        self.registry = registry
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
        self.ends: dict[str, Callable[[Open], None]] = {
            "if": self._end_if,
            "for": self._end_for,
            "macro": self._end_macro,
            "block": self._end_block,
            "filter": self._end_filter,
        }

    def printed(self, cursor: Cursor, number: int) -> None:
        """``{{ … }}``."""
        operand = self._whole(cursor, number)
        node = operation("print", operand.node, at=number)
        self.nesting.add(nodes.Output([node], lineno=number))

    def tag(self, cursor: Cursor, number: int) -> None:
        """``{% … %}``."""
        keyword = cursor.expect_name("a statement")
        if keyword in CLOSING:
            if cursor.is_name() and keyword in ("endmacro", "endblock"):
                cursor.take()
            kind = CLOSING[keyword]
            self.ends[kind](self.nesting.close(kind, keyword))
            cursor.expect_end(keyword)
            return
        parser = self.parsers.get(keyword)
        if parser is None:
            self._refuse_keyword(keyword, number)
        parser(cursor, number)

    def _refuse_keyword(self, keyword: str, number: int) -> NoReturn:
        """An unknown statement; what it was meant to open or close is opened or closed."""
        meant = closest(keyword, [*self.parsers, *CLOSING, "raw", "endraw"])
        if meant in OPENING:
            self.nesting.stand_in(str(meant), number)
        elif self.nesting.innermost.kind in OPENING and (meant in CLOSING or keyword.startswith("end")):
            self.nesting.stack.pop()
        near = f"; did you mean `{meant}`?" if meant else ""
        raise Fault("CLN101", f"unknown statement `{keyword}`{near}")

    def _expression(self, cursor: Cursor, number: int) -> tuple[Operand, ExpressionParser]:
        parser = ExpressionParser(cursor, self.registry, number)
        block = next((o for o in reversed(self.nesting.stack) if o.kind in ("block", "macro")), None)
        if block and block.kind == "block":
            parser.super_block = block.head
        operand = parser.expression()
        self.nesting.use(parser.names)
        return operand, parser

    def _whole(self, cursor: Cursor, number: int) -> Operand:
        """One expression up to the end of the marker."""
        operand, _ = self._expression(cursor, number)
        cursor.expect_end()
        return operand

    def _condition(self, cursor: Cursor, number: int) -> nodes.Expr:
        operand, parser = self._expression(cursor, number)
        cursor.expect_end()
        return parser.make.truth(operand)

    # -- if

    def _if(self, cursor: Cursor, number: int) -> None:
        test = self._condition(cursor, number)
        opened = Open("if", number)
        opened.branches.append((test, number, opened.body))
        self.nesting.push(opened)

    def _elif(self, cursor: Cursor, number: int) -> None:
        opened = self.nesting.innermost
        if opened.kind != "if":
            raise Fault("CLN101", "`elif` without `if`")
        if opened.otherwise is not None:
            raise Fault("CLN101", "`elif` cannot stand behind `else`")
        opened.body = []
        test = self._condition(cursor, number)
        opened.branches.append((test, number, opened.body))

    def _else(self, cursor: Cursor, _number: int) -> None:
        cursor.expect_end("else")
        opened = self.nesting.innermost
        if opened.kind not in ("if", "for"):
            raise Fault("CLN101", "`else` without `if` or `for`")
        if opened.otherwise is not None:
            raise Fault("CLN101", f"a second `else` in the same `{opened.kind}`")
        if opened.kind == "for" and opened.head is not None:
            opened.head = (*opened.head, opened.body)
        opened.otherwise = opened.body = []

    def _end_if(self, opened: Open) -> None:
        if not opened.branches:
            return
        (test, at, body), *others = opened.branches
        elifs = [nodes.If(t, output_merged(b), [], [], lineno=n) for t, n, b in others]
        otherwise = output_merged(opened.otherwise or [])
        self.nesting.add(nodes.If(test, output_merged(body), elifs, otherwise, lineno=at))

    # -- for

    def _for(self, cursor: Cursor, number: int) -> None:
        first = cursor.expect_name("the name of a loop variable")
        second = cursor.expect_name("a second name") if cursor.accept_op(",") else None
        if not cursor.accept_name("in"):
            raise cursor.unexpected("`in`")
        container = self._whole(cursor, number)
        key = nodes.Const(first if second else None, lineno=number)
        value = nodes.Const(second or first, lineno=number)
        opened = Open("for", number)
        opened.head = (operation("loop_open", container.node, key, value, at=number),)
        self.nesting.push(opened)

    def _end_for(self, opened: Open) -> None:
        if opened.head is None:
            return
        test, body = opened.head[0], opened.head[1] if opened.otherwise is not None else opened.body
        at = opened.at
        turns = operation("loop_turns", at=at)
        target = nodes.Name("turn", "store", lineno=at)
        loop = nodes.For(target, turns, output_merged(body), [], None, False, lineno=at)
        closing = nodes.ExprStmt(operation("loop_close", at=at), lineno=at)
        self.nesting.add(
            nodes.If(test, [loop, closing], [], output_merged(opened.otherwise or []), lineno=at)
        )

    def _loop_control(self, cursor: Cursor, number: int) -> None:
        keyword = "break" if cursor.tokens[0].value == "break" else "continue"
        cursor.expect_end(keyword)
        for opened in reversed(self.nesting.stack):
            if opened.kind == "for":
                break
            if opened.kind in _WALLS:
                raise Fault("CLN101", f"`{keyword}` outside a loop")
        self.nesting.add(nodes.Break(lineno=number) if keyword == "break" else nodes.Continue(lineno=number))

    # -- set

    def _set(self, cursor: Cursor, number: int) -> None:
        everywhere = cursor.tokens[0].value == "set_global"
        name = cursor.expect_name()
        cursor.expect_op("=")
        value = self._whole(cursor, number)
        self.result.assigned.add(name)
        is_global = nodes.Const(everywhere, lineno=number)
        call = operation("assign", value.node, nodes.Const(name, lineno=number), is_global, at=number)
        self.nesting.add(nodes.ExprStmt(call, lineno=number))

    # -- macros, blocks, sections

    def _macro(self, cursor: Cursor, number: int) -> None:
        name = cursor.expect_name("the name of a macro")
        parameters, defaults = self._parameters(cursor, number)
        cursor.expect_end()
        if any(opened.kind != "file" for opened in self.nesting.stack):
            self.nesting.stand_in("macro", number)
            raise Fault("CLN101", "a macro can be defined at the top level only")
        if name in self.result.macros:
            raise Fault("CLN101", f"macro `{name}` is defined twice")
        macro = Macro(name, f"macro_{name}", tuple(parameters), defaults)
        self.result.macros[name] = macro
        opened = Open("macro", number)
        opened.head = macro
        self.nesting.push(opened)

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

    def _end_macro(self, opened: Open) -> None:
        if opened.head is not None:
            self.nesting.add(function_of(opened.head.block, opened.body, opened.at))

    def _block(self, cursor: Cursor, number: int) -> None:
        name = cursor.expect_name("the name of a block")
        cursor.expect_end(name)
        if any(opened.kind == "macro" for opened in self.nesting.stack):
            raise Fault("CLN101", "a block cannot stand inside a macro")
        if name in self.result.blocks:
            raise Fault("CLN101", f"block `{name}` is defined twice")
        self.result.blocks[name] = f"block_of_{name}"
        opened = Open("block", number)
        opened.head = name
        self.nesting.push(opened)

    def _end_block(self, opened: Open) -> None:
        if opened.head is not None:
            self.nesting.add(function_of(self.result.blocks[opened.head], opened.body, opened.at))

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
        self.nesting.use(parser.names)
        opened = Open("filter", number)
        opened.head = (parser, names)
        self.nesting.push(opened)

    def _end_filter(self, opened: Open) -> None:
        if opened.head is None:
            return
        parser, names = opened.head
        node = parser.make.section(names)
        self.nesting.add(nodes.FilterBlock(output_merged(opened.body), node, lineno=opened.at))

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
            for s in self.result.segments[: number - 1]
        )
        if text or len(self.nesting.stack) > 1:
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
        self.nesting.add(nodes.Output([node], lineno=number))


def _literal_value(node: nodes.Node) -> Any:
    """The value of a literal; as deep as the expression parser lets it be."""
    if isinstance(node, nodes.Const):
        return node.value
    if isinstance(node, nodes.List):
        return [_literal_value(item) for item in node.items]
    if isinstance(node, nodes.Dict):
        return {pair.key.value: _literal_value(pair.value) for pair in node.items}  # type: ignore[attr-defined]
    raise Fault("CLN101", "the default of a parameter must be a literal")
