"""Expressions of the language → Jinja2 nodes.

Jinja2 compiles, but no operator, attribute access or call of Jinja2 is used: every operation of a
template becomes a call of one registered operation (:mod:`clnrm_nb.template.operations`), written as a
Jinja2 filter node because such calls compile to plain Python calls. What is not registered cannot be
reached.

Precedence is Tera's (``format.md`` 2.3). Its one surprise: a filter chain applies to the whole
arithmetic or ``~`` expression on its left, and each stretch between two chains is one operand of what
follows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from jinja2 import nodes

from clnrm_nb.template.faults import Fault
from clnrm_nb.template.signature import ABSENT
from clnrm_nb.template.values import float_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.template.lexer import Token
    from clnrm_nb.template.signature import Operation, Registry

__all__ = ["Arguments", "Cursor", "ExpressionParser", "Operand", "operation"]

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
_BINDING: Final = {"~": 0, "+": 1, "-": 1, "*": 2, "/": 2, "//": 2, "%": 2, "**": 3}
_RESERVED: Final = frozenset({"and", "or", "not", "in", "is", "if", "else"})


def operation(name: str, *arguments: nodes.Expr, at: int) -> nodes.Filter:
    """A call of the registered operation `name`, as the node Jinja2 compiles to a plain call."""
    first, *rest = arguments or (nodes.Const(None, lineno=at),)
    return nodes.Filter(first, name, rest, [], None, None, lineno=at)


@dataclass(slots=True)
class Operand:
    """A parsed expression.

    Parameters
    ----------
    node : nodes.Expr
        Its value; evaluating it fails where it is undefined.
    lenient : nodes.Expr
        Its value where being undefined is no mistake (conditions, ``default``, tests).
    keeps_point : bool
        A variable or call, whose float keeps ``.0`` in ``~``.
    is_boolean : bool
        Known to be true or false.
    is_environment : bool
        A call of ``env``, which may also be compared while missing.
    """

    node: nodes.Expr
    lenient: nodes.Expr
    keeps_point: bool = False
    is_boolean: bool = False
    is_environment: bool = False

    @classmethod
    def of(cls, node: nodes.Expr, **flags: bool) -> Operand:
        """An expression whose value is always needed."""
        return cls(node, node, **flags)


@dataclass(slots=True)
class Arguments:
    """Arguments of a call as written."""

    positional: list[nodes.Expr]
    named: dict[str, nodes.Expr]


class Cursor:
    """A place in the tokens of one marker."""

    def __init__(self, tokens: Sequence[Token], closer: str) -> None:
        self.tokens = tokens
        self.index = 0
        self.closer = closer

    @property
    def current(self) -> Token | None:
        """The token ahead, None at the end of the marker."""
        return self.tokens[self.index] if self.index < len(self.tokens) else None

    def is_op(self, *values: str, ahead: int = 0) -> bool:
        """Whether one of these operators stands `ahead`."""
        index = self.index + ahead
        if index >= len(self.tokens):
            return False
        token = self.tokens[index]
        return token.kind == "op" and token.value in values

    def is_name(self, *values: str, ahead: int = 0) -> bool:
        """Whether one of these words (any word, without arguments) stands `ahead`."""
        index = self.index + ahead
        if index >= len(self.tokens) or self.tokens[index].kind != "name":
            return False
        return not values or self.tokens[index].value in values

    def take(self) -> Token:
        """The token ahead; moves on."""
        token = self.current
        if token is None:
            raise self.unexpected("an expression")
        self.index += 1
        return token

    def accept_op(self, value: str) -> bool:
        """Take this operator if it is ahead."""
        found = self.is_op(value)
        self.index += found
        return found

    def accept_name(self, value: str) -> bool:
        """Take this word if it is ahead."""
        found = self.is_name(value)
        self.index += found
        return found

    def expect_op(self, value: str) -> None:
        """Take this operator or fail."""
        if not self.accept_op(value):
            raise self.unexpected(f"`{value}`")

    def expect_name(self, wanted: str = "a name") -> str:
        """Take any word or fail."""
        token = self.current
        if token is None or token.kind != "name":
            raise self.unexpected(wanted)
        self.index += 1
        return str(token.value)

    def expect_end(self, after: str = "") -> None:
        """Fail unless the marker ends here."""
        if self.current is not None:
            raise self.unexpected(f"`{self.closer}`" + (f" after `{after}`" if after else ""))

    def unexpected(self, wanted: str) -> Fault:
        """What was wanted and what stands there instead."""
        token = self.current
        if token is None:
            return Fault("CLN101", f"expected {wanted} before `{self.closer}`")
        found = f'"{token.value}"' if token.kind == "string" else str(token.value)
        return Fault("CLN101", f"expected {wanted}, got `{found}`")


class ExpressionParser:
    """Parses one marker's expressions; `at` is the number of its segment."""

    def __init__(self, cursor: Cursor, registry: Registry, at: int) -> None:
        self.cursor = cursor
        self.registry = registry
        self.at = at
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
            other = self.expression()
            node = nodes.CondExpr(self.truth(condition), value.node, other.node, lineno=self.at)
            value = Operand.of(node)
        self.depth -= 1
        return value

    def truth(self, operand: Operand) -> nodes.Expr:
        """The operand as a condition: undefined is false."""
        return operand.lenient if operand.is_boolean else self._op("truth", operand.lenient)

    def _op(self, name: str, *arguments: nodes.Expr) -> nodes.Filter:
        return operation(name, *arguments, at=self.at)

    def _const(self, value: Any) -> nodes.Const:
        return nodes.Const(value, lineno=self.at)

    def _logic(self) -> Operand:
        """``or`` over ``and`` over ``not``; both short-circuit and yield a boolean."""
        groups: list[list[Operand]] = [[self._negation()]]
        while True:
            if self.cursor.accept_name("and"):
                groups[-1].append(self._negation())
            elif self.cursor.accept_name("or"):
                groups.append([self._negation()])
            else:
                break
        if len(groups) == 1 and len(groups[0]) == 1:
            return groups[0][0]
        joined = [self._balanced(nodes.And, [self.truth(o) for o in group]) for group in groups]
        return Operand.of(self._balanced(nodes.Or, joined), is_boolean=True)

    def _balanced(self, kind: type[nodes.And | nodes.Or], operands: list[nodes.Expr]) -> nodes.Expr:
        """A chain as a tree of logarithmic depth, so that long chains compile."""
        while len(operands) > 1:
            pairs = [operands[i : i + 2] for i in range(0, len(operands), 2)]
            operands = [kind(*pair, lineno=self.at) if len(pair) > 1 else pair[0] for pair in pairs]
        return operands[0]

    def _negation(self) -> Operand:
        count = 0
        while self.cursor.accept_name("not"):
            count += 1
        operand = self._comparison()
        if not count:
            return operand
        node = self.truth(operand)
        if count % 2:
            node = nodes.Not(node, lineno=self.at)
        return Operand.of(node, is_boolean=True)

    def _comparison(self) -> Operand:
        left = self._chain()
        cursor = self.cursor
        if cursor.is_op(*_COMPARISONS):
            symbol = str(cursor.take().value)
            right = self._chain()
            result = self._compared(symbol, left, right)
        elif cursor.is_name("in") or (cursor.is_name("not") and cursor.is_name("in", ahead=1)):
            name = "not_in" if cursor.accept_name("not") else "in"
            cursor.accept_name("in")
            result = Operand.of(self._op(name, left.node, self._chain().node), is_boolean=True)
        elif cursor.accept_name("is"):
            result = self._tested(left)
        else:
            return left
        if cursor.is_op(*_COMPARISONS) or cursor.is_name("in", "is"):
            raise Fault("CLN101", "comparisons cannot be chained", "write `a < b and b < c`")
        return result

    def _compared(self, symbol: str, left: Operand, right: Operand) -> Operand:
        # A missing environment variable may be compared for equality, an undefined name may not.
        if symbol in ("==", "!="):
            a = left.lenient if left.is_environment else left.node
            b = right.lenient if right.is_environment else right.node
            return Operand.of(self._op("eq" if symbol == "==" else "ne", a, b), is_boolean=True)
        node = self._op("order", left.node, self._const(symbol), right.node)
        return Operand.of(node, is_boolean=True)

    def _tested(self, subject: Operand) -> Operand:
        negated = self.cursor.accept_name("not")
        name = self.cursor.expect_name("the name of a test")
        arguments = self.arguments() if self.cursor.is_op("(") else Arguments([], {})
        node = self.called("test", name, arguments, subject.lenient)
        if negated:
            node = nodes.Not(node, lineno=self.at)
        return Operand.of(node, is_boolean=True)

    # -- arithmetic, concatenation and filter chains

    def _chain(self) -> Operand:
        """Stretches joined by the operators between them; each stretch is one operand."""
        operands = [self._stretch()]
        symbols: list[str] = []
        while self.cursor.is_op(*_BINDING):
            symbols.append(str(self.cursor.take().value))
            operands.append(self._stretch())
        return self._folded(operands, symbols)

    def _stretch(self) -> Operand:
        """Arithmetic or ``~``, then the filter chain that applies to all of it."""
        operands = [self._signed()]
        symbols: list[str] = []
        while self.cursor.is_op(*_BINDING):
            symbols.append(str(self.cursor.take().value))
            operands.append(self._signed())
        operand = self._folded(operands, symbols)
        while self.cursor.accept_op("|"):
            operand = self._filtered(operand)
        return operand

    def _folded(self, operands: list[Operand], symbols: list[str]) -> Operand:
        """Apply operators, strongest level first; a run of one level becomes one flat operation."""
        for level in (3, 2, 1, 0):
            if not any(_BINDING[symbol] == level for symbol in symbols):
                continue
            kept: list[Operand] = []
            kept_symbols: list[str] = []
            run = [operands[0]]
            run_symbols: list[str] = []
            for symbol, operand in zip(symbols, operands[1:], strict=True):
                if _BINDING[symbol] == level:
                    run.append(operand)
                    run_symbols.append(symbol)
                else:
                    kept.append(self._joined(level, run, run_symbols))
                    kept_symbols.append(symbol)
                    run, run_symbols = [operand], []
            kept.append(self._joined(level, run, run_symbols))
            operands, symbols = kept, kept_symbols
        return operands[0]

    def _joined(self, level: int, run: list[Operand], symbols: list[str]) -> Operand:
        if not symbols:
            return run[0]
        if level == 0:
            return Operand.of(self._op("concat", *(self._text_operand(operand) for operand in run)))
        first, *rest = (operand.node for operand in run)
        node = self._op("arithmetic", first, self._const(" ".join(symbols)), *rest)
        return Operand.of(node)

    def _text_operand(self, operand: Operand) -> nodes.Expr:
        node = operand.node
        if operand.keeps_point or (isinstance(node, nodes.Const) and not isinstance(node.value, float)):
            return node
        if isinstance(node, nodes.Const):
            return self._const(float_text(node.value))
        return self._op("plain", node)

    def _signed(self) -> Operand:
        negations = 0
        while self.cursor.accept_op("-"):
            negations += 1
        operand = self._postfix()
        if negations:
            operand = Operand.of(self._op("negate", operand.node, self._const(negations)))
        return operand

    def _filtered(self, subject: Operand) -> Operand:
        name = self.cursor.expect_name("the name of a filter")
        arguments = self.arguments() if self.cursor.is_op("(") else Arguments([], {})
        if name == "default":
            return Operand.of(self._default(subject, arguments), keeps_point=subject.keeps_point)
        return Operand.of(self.called("filter", name, arguments, subject.node), keeps_point=True)

    def _default(self, subject: Operand, arguments: Arguments) -> nodes.Expr:
        """``default`` evaluates its argument only if it is needed, so it becomes control flow."""
        filter_ = self.registry.filters["default"]
        try:
            (value,) = filter_.bind(arguments.positional, arguments.named, None)
        except Fault as fault:
            return self.failing(fault, subject.lenient)
        present = self._op("boxed_if_present", subject.lenient)
        other = self._op("boxed", value)
        return self._op("unboxed", nodes.Or(present, other, lineno=self.at))

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

    def called(
        self, role: str, name: str, arguments: Arguments, subject: nodes.Expr | None = None
    ) -> nodes.Expr:
        """A call of a function, filter or test; an unknown one fails when it is evaluated, as in Tera."""
        known: Operation | None = self.registry.of(role).get(name)
        if known is None:
            return self._op("unknown", subject or self._const(None), self._const(role), self._const(name))
        try:
            bound = known.bind(arguments.positional, arguments.named, None)
        except Fault as fault:
            return self.failing(fault, subject)
        values = [self._const(ABSENT) if value is None else value for value in bound]
        return self._op(f"{role}:{name}", *([subject] if subject is not None else []), *values)

    def section(self, names: Sequence[tuple[str, Arguments | None]]) -> nodes.Filter:
        """The filters of a ``filter`` section, applied to the text the section has collected."""
        # Jinja2 hands over the collected text where the innermost filter has no subject.
        node: nodes.Expr = nodes.Filter(None, "captured", [], [], None, None, lineno=self.at)
        for name, arguments in names:
            node = self.called("filter", name, arguments or Arguments([], {}), node)
        assert isinstance(node, nodes.Filter)
        return operation("print", node, at=self.at)

    def failing(self, fault: Fault, subject: nodes.Expr | None = None) -> nodes.Expr:
        """An expression that fails when it is evaluated."""
        text = [self._const(part) for part in (fault.code, fault.message, fault.hint)]
        return self._op("fail", subject or self._const(None), *text)

    def macro_call(self, namespace: str | None, name: str, arguments: Arguments) -> Operand:
        """``m::f(…)``, ``self::f(…)``, ``f(…)``."""
        pairs = [
            nodes.Pair(self._const(key), value, lineno=self.at) for key, value in arguments.named.items()
        ]
        node = self._op(
            "macro",
            self._const(namespace),
            self._const(name),
            nodes.List(arguments.positional, lineno=self.at),
            nodes.Dict(pairs, lineno=self.at),
        )
        return Operand.of(node, keeps_point=True)

    def _function_call(self, name: str) -> Operand:
        arguments = self.arguments()
        if name == "super":
            if self.super_block is None:
                return Operand.of(self.failing(Fault("CLN103", "`super()` has a meaning inside blocks only")))
            return Operand.of(self._op("super", self._const(self.super_block)))
        if name not in self.registry.functions:
            return self.macro_call(None, name, arguments)
        node = self.called("function", name, arguments)
        if not isinstance(node, nodes.Filter) or node.name != "function:env" or node.node is None:
            return Operand.of(node, keeps_point=True)
        lenient = self._op("function:env_or_missing", node.node, *node.args)
        return Operand(node, lenient, keeps_point=True, is_environment=True)

    # -- primaries and paths

    def _postfix(self) -> Operand:
        cursor = self.cursor
        token = cursor.current
        if token is not None and token.kind == "name" and token.value not in _CONSTANTS:
            return self._from_name()
        operand = self._primary()
        operand = self._subscripted(operand)
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
            operand = self.macro_call(name, macro, self.arguments())
        elif cursor.is_op("("):
            operand = self._function_call(name)
        elif cursor.is_op(".") and cursor.is_name(ahead=1) and cursor.is_op("(", ahead=2):
            cursor.take()
            macro = cursor.expect_name()
            operand = self.macro_call(f"{name}.", macro, self.arguments())
        else:
            return self._path(name)
        return self._subscripted(operand)

    def _subscripted(self, operand: Operand) -> Operand:
        keys = self._keys()
        if not keys:
            return operand
        node = self._op("subscript", operand.node, *(key.node for key in keys))
        return Operand.of(node, keeps_point=True)

    def _path(self, name: str) -> Operand:
        self.names.add(name)
        keys = self._keys()
        if self.cursor.is_op("("):
            raise Fault("CLN103", "methods of values are not available", "use a filter, as in `x | upper`")
        head = self._const(name)
        environment = name == "env" and bool(keys)
        return Operand(
            self._op("get", head, *(key.node for key in keys)),
            self._op("get_leniently", head, *(key.lenient for key in keys)),
            keeps_point=True,
            is_environment=environment,
        )

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
                keys.append(Operand.of(self._const(token.value)))
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
            return Operand.of(self._const(value), is_boolean=value is not None)
        if token.kind != "op":
            return Operand.of(self._const(token.value))
        if token.value == "[":
            return Operand.of(self._array())
        if token.value == "{":
            return Operand.of(self._object())
        inner = self.expression()
        cursor.expect_op(")")
        return inner

    def _array(self) -> nodes.List:
        items: list[nodes.Expr] = []
        while not self.cursor.accept_op("]"):
            items.append(self.expression().node)
            if not self.cursor.is_op("]"):
                self._expect_comma("]")
        return nodes.List(items, lineno=self.at)

    def _object(self) -> nodes.Dict:
        cursor = self.cursor
        pairs: list[nodes.Pair] = []
        while not cursor.accept_op("}"):
            token = cursor.take()
            if token.kind not in ("string", "name"):
                cursor.index -= 1
                raise cursor.unexpected("a string or a name as key")
            cursor.expect_op(":")
            pairs.append(nodes.Pair(self._const(token.value), self.expression().node, lineno=self.at))
            if not cursor.is_op("}"):
                self._expect_comma("}")
        return nodes.Dict(pairs, lineno=self.at)
