"""Expressions of the language: their syntax.

Precedence is Tera's (``format.md`` 2.3). Its one surprise: a filter chain applies to the whole
arithmetic or ``~`` expression on its left, and each stretch between two chains is one operand of what
follows. What is read becomes :mod:`clnrm_nb.template.operands`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.template.faults import Fault
from clnrm_nb.template.operands import BINDING, Arguments, Operand, OperandMaker

if TYPE_CHECKING:
    from clnrm_nb.template.cursor import Cursor
    from clnrm_nb.template.signature import Registry

__all__ = ["ExpressionParser"]

_MAX_NESTING: Final = 64
_CONSTANTS: Final = {
    "true": True,
    "True": True,
    "false": False,
    "False": False,
    "none": None,
    "None": None,
    "null": None,
}
_COMPARISONS: Final = frozenset({"==", "!=", "<", "<=", ">", ">="})
_RESERVED: Final = frozenset({"and", "or", "not", "in", "is", "if", "else"})


class ExpressionParser:
    """Parses one marker's expressions; `at` is the number of its segment."""

    def __init__(self, cursor: Cursor, registry: Registry, at: int) -> None:
        self.cursor = cursor
        self.make = OperandMaker(registry, at)
        self.depth = 0
        self.names: set[str] = set()
        self.super_block: str | None = None

    # -- the layers, weakest first

    def expression(self) -> Operand:
        """``a if c else b`` and everything stronger."""
        self.depth += 1
        if self.depth > _MAX_NESTING:
            raise Fault("CLN108", f"an expression is nested deeper than {_MAX_NESTING}")
        value = self._logic()
        if self.cursor.accept_name("if"):
            condition = self._logic()
            if not self.cursor.accept_name("else"):
                raise self.cursor.unexpected("`else`")
            value = self.make.chosen(condition, value, self.expression())
        self.depth -= 1
        return value

    def _logic(self) -> Operand:
        """``or`` over ``and`` over ``not``."""
        groups: list[list[Operand]] = [[self._negation()]]
        while True:
            if self.cursor.accept_name("and"):
                groups[-1].append(self._negation())
            elif self.cursor.accept_name("or"):
                groups.append([self._negation()])
            else:
                return self.make.any_of(groups)

    def _negation(self) -> Operand:
        count = 0
        while self.cursor.accept_name("not"):
            count += 1
        operand = self._comparison()
        return self.make.negated(operand, count) if count else operand

    def _comparison(self) -> Operand:
        left = self._chain()
        cursor = self.cursor
        if cursor.is_op(*_COMPARISONS):
            symbol = str(cursor.take().value)
            right = self._chain()
            result = self.make.compared(symbol, left, right)
        elif cursor.is_name("in") or (cursor.is_name("not") and cursor.is_name("in", ahead=1)):
            name = "not_in" if cursor.accept_name("not") else "in"
            cursor.accept_name("in")
            result = Operand.of(self.make.op(name, left.node, self._chain().node), is_boolean=True)
        elif cursor.accept_name("is"):
            result = self._tested(left)
        else:
            return left
        if cursor.is_op(*_COMPARISONS) or cursor.is_name("in", "is"):
            raise Fault("CLN101", "comparisons cannot be chained", "write `a < b and b < c`")
        return result

    def _tested(self, subject: Operand) -> Operand:
        negated = self.cursor.accept_name("not")
        name = self.cursor.expect_name("the name of a test")
        node = self.make.called("test", name, self._arguments_if_any(), subject.lenient)
        operand = Operand.of(node, is_boolean=True)
        return self.make.negated(operand, 1) if negated else operand

    # -- arithmetic, concatenation and filter chains

    def _chain(self) -> Operand:
        """Stretches joined by the operators between them; each stretch is one operand."""
        operands = [self._stretch()]
        symbols: list[str] = []
        while self.cursor.is_op(*BINDING):
            symbols.append(str(self.cursor.take().value))
            operands.append(self._stretch())
        return self.make.folded(operands, symbols)

    def _stretch(self) -> Operand:
        """Arithmetic or ``~``, then the filter chain that applies to all of it."""
        operands = [self._signed()]
        symbols: list[str] = []
        while self.cursor.is_op(*BINDING):
            symbols.append(str(self.cursor.take().value))
            operands.append(self._signed())
        operand = self.make.folded(operands, symbols)
        while self.cursor.accept_op("|"):
            operand = self._filtered(operand)
        return operand

    def _signed(self) -> Operand:
        negations = 0
        while self.cursor.accept_op("-"):
            negations += 1
        operand = self._postfix()
        if negations:
            operand = self.make.negative(operand, negations)
        return operand

    def _filtered(self, subject: Operand) -> Operand:
        name = self.cursor.expect_name("the name of a filter")
        arguments = self._arguments_if_any()
        if name == "default":
            return self.make.default(subject, arguments)
        return Operand.of(self.make.called("filter", name, arguments, subject.node), keeps_point=True)

    # -- calls

    def arguments(self) -> Arguments:
        """``( … )`` behind the name of a function, filter, test or macro."""
        cursor = self.cursor
        cursor.expect_op("(")
        result = Arguments([], {})
        while not cursor.accept_op(")"):
            if cursor.is_name() and cursor.is_op("=", ahead=1):
                name = cursor.expect_name()
                cursor.take()
                if name in result.named:
                    raise Fault("CLN104", f"argument `{name}` is given twice")
                result.named[name] = self.expression().node
            elif result.named:
                raise Fault("CLN101", "a positional argument cannot stand behind a named one")
            else:
                result.positional.append(self.expression().node)
            if not cursor.is_op(")"):
                self._expect_comma(")")
        return result

    def _expect_comma(self, closer: str) -> None:
        if not self.cursor.accept_op(","):
            raise self.cursor.unexpected(f"`,` or `{closer}`")

    def _arguments_if_any(self) -> Arguments:
        return self.arguments() if self.cursor.is_op("(") else Arguments([], {})

    def _function_call(self, name: str) -> Operand:
        arguments = self.arguments()
        if name == "super":
            return self._super()
        if name not in self.make.registry.functions:
            return self.make.macro_call(None, name, arguments)
        return self.make.function_call(name, arguments)

    def _super(self) -> Operand:
        if self.super_block is None:
            fault = Fault("CLN103", "`super()` has a meaning inside blocks only")
            return Operand.of(self.make.failing(fault))
        return Operand.of(self.make.op("super", self.make.const(self.super_block)))

    # -- primaries and paths

    def _postfix(self) -> Operand:
        cursor = self.cursor
        token = cursor.current
        if token is not None and token.kind == "name" and token.value not in _CONSTANTS:
            return self._from_name()
        operand = self.make.subscripted(self._primary(), self._keys())
        if cursor.is_op("("):
            raise Fault("CLN103", "only functions and macros can be called, by their name")
        return operand

    def _from_name(self) -> Operand:
        """A variable path, or a call of a function or macro."""
        cursor = self.cursor
        if cursor.is_name(*_RESERVED):
            raise cursor.unexpected("an expression")
        name = cursor.expect_name()
        if cursor.accept_op("::"):
            macro = cursor.expect_name("the name of a macro")
            if not cursor.is_op("("):
                raise cursor.unexpected(f"`(` after `{name}::{macro}`")
            operand = self.make.macro_call(name, macro, self.arguments())
        elif cursor.is_op("("):
            operand = self._function_call(name)
        elif cursor.is_op(".") and cursor.is_name(ahead=1) and cursor.is_op("(", ahead=2):
            cursor.take()
            macro = cursor.expect_name()
            operand = self.make.macro_call(f"{name}.", macro, self.arguments())
        else:
            return self._path(name)
        return self.make.subscripted(operand, self._keys())

    def _path(self, name: str) -> Operand:
        self.names.add(name)
        keys = self._keys()
        if self.cursor.is_op("("):
            raise Fault("CLN103", "methods of values are not available", "use a filter, as in `x | upper`")
        return self.make.path(name, keys)

    def _keys(self) -> list[Operand]:
        """``.name``, ``.0`` and ``[expression]`` behind a value."""
        cursor = self.cursor
        keys: list[Operand] = []
        while True:
            if cursor.accept_op("."):
                token = cursor.take()
                if token.kind not in ("name", "int"):
                    cursor.index -= 1
                    raise cursor.unexpected("a name or an index after `.`")
                keys.append(Operand.of(self.make.const(token.value)))
            elif cursor.accept_op("["):
                keys.append(self.expression())
                cursor.expect_op("]")
            else:
                return keys

    def _primary(self) -> Operand:
        cursor = self.cursor
        token = cursor.current
        if token is None or (token.kind == "op" and token.value not in ("(", "[", "{")):
            raise cursor.unexpected("an expression")
        cursor.take()
        if token.kind == "name":
            value = _CONSTANTS[str(token.value)]
            return Operand.of(self.make.const(value), is_boolean=value is not None)
        if token.kind != "op":
            return Operand.of(self.make.const(token.value))
        if token.value == "[":
            return self._array()
        if token.value == "{":
            return self._object()
        inner = self.expression()
        cursor.expect_op(")")
        return inner

    def _array(self) -> Operand:
        items: list[Operand] = []
        while not self.cursor.accept_op("]"):
            items.append(self.expression())
            if not self.cursor.is_op("]"):
                self._expect_comma("]")
        return self.make.array(items)

    def _object(self) -> Operand:
        cursor = self.cursor
        entries: list[tuple[Any, Operand]] = []
        while not cursor.accept_op("}"):
            token = cursor.take()
            if token.kind not in ("string", "name"):
                cursor.index -= 1
                raise cursor.unexpected("a string or a name as key")
            cursor.expect_op(":")
            entries.append((token.value, self.expression()))
            if not cursor.is_op("}"):
                self._expect_comma("}")
        return self.make.object(entries)
