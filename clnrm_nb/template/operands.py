"""What an expression becomes: Jinja2 nodes that call registered operations.

Jinja2 compiles, but no operator, attribute access or call of Jinja2 is used: every operation of a
template becomes a call of one registered operation (:mod:`clnrm_nb.template.operations`), written as a
Jinja2 filter node because such calls compile to plain Python calls. What is not registered cannot be
reached.

Syntax is not known here; :mod:`clnrm_nb.template.expressions` reads it and says which operand to make.
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

    from clnrm_nb.template.signature import Operation, Registry

__all__ = ["BINDING", "Arguments", "Operand", "OperandMaker", "operation"]

BINDING: Final = {"~": 0, "+": 1, "-": 1, "*": 2, "/": 2, "//": 2, "%": 2, "**": 3}
"""How strongly each operator between two operands binds."""


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
    number : nodes.Expr, optional
        What further arithmetic takes in place of `node`: the result before NaN has become text.
    """

    node: nodes.Expr
    lenient: nodes.Expr
    keeps_point: bool = False
    is_boolean: bool = False
    is_environment: bool = False
    number: nodes.Expr | None = None

    @property
    def as_number(self) -> nodes.Expr:
        """Its value as part of arithmetic."""
        return self.number or self.node

    @classmethod
    def of(cls, node: nodes.Expr, *, keeps_point: bool = False, is_boolean: bool = False) -> Operand:
        """An expression whose value is always needed."""
        return cls(node, node, keeps_point, is_boolean)


@dataclass(slots=True)
class Arguments:
    """Arguments of a call as written."""

    positional: list[nodes.Expr]
    named: dict[str, nodes.Expr]


class OperandMaker:
    """Makes the operands of one marker.

    Parameters
    ----------
    registry : Registry
        The functions, filters and tests there are.
    at : int
        The number of the marker's segment.
    """

    def __init__(self, registry: Registry, at: int) -> None:
        self.registry = registry
        self.at = at

    # -- parts

    def op(self, name: str, *arguments: nodes.Expr) -> nodes.Filter:
        """A call of a registered operation."""
        return operation(name, *arguments, at=self.at)

    def const(self, value: Any) -> nodes.Const:
        """A value that is known now."""
        return nodes.Const(value, lineno=self.at)

    def truth(self, operand: Operand) -> nodes.Expr:
        """The operand as a condition: undefined is false."""
        return operand.lenient if operand.is_boolean else self.op("truth", operand.lenient)

    # -- logic

    def chosen(self, condition: Operand, value: Operand, other: Operand) -> Operand:
        """``value if condition else other``."""
        node = nodes.CondExpr(self.truth(condition), value.node, other.node, lineno=self.at)
        return Operand.of(node)

    def any_of(self, groups: list[list[Operand]]) -> Operand:
        """``or`` over ``and``: both short-circuit and yield a boolean."""
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

    def negated(self, operand: Operand, count: int) -> Operand:
        """That many ``not`` before an operand."""
        node = self.truth(operand)
        if count % 2:
            node = nodes.Not(node, lineno=self.at)
        return Operand.of(node, is_boolean=True)

    def compared(self, symbol: str, left: Operand, right: Operand) -> Operand:
        """``== != < <= > >=`` between two operands."""
        # A missing environment variable may be compared for equality, an undefined name may not.
        if symbol in ("==", "!="):
            a = left.lenient if left.is_environment else left.node
            b = right.lenient if right.is_environment else right.node
            return Operand.of(self.op("eq" if symbol == "==" else "ne", a, b), is_boolean=True)
        node = self.op("order", left.as_number, self.const(symbol), right.as_number)
        return Operand.of(node, is_boolean=True)

    # -- arithmetic and concatenation

    def folded(self, operands: list[Operand], symbols: list[str]) -> Operand:
        """Apply operators, strongest level first; a run of one level becomes one flat operation."""
        for level in (3, 2, 1, 0):
            if not any(BINDING[symbol] == level for symbol in symbols):
                continue
            kept: list[Operand] = []
            kept_symbols: list[str] = []
            run = [operands[0]]
            run_symbols: list[str] = []
            for symbol, operand in zip(symbols, operands[1:], strict=True):
                if BINDING[symbol] == level:
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
            return Operand.of(self.op("concat", *(self._text_operand(operand) for operand in run)))
        first, *rest = (operand.as_number for operand in run)
        return self.calculated(self.op("arithmetic", first, self.const(" ".join(symbols)), *rest))

    def negative(self, operand: Operand, count: int) -> Operand:
        """That many ``-`` before an operand."""
        return self.calculated(self.op("negate", operand.as_number, self.const(count)))

    def calculated(self, number: nodes.Expr) -> Operand:
        """The result of arithmetic. As in Tera, a NaN is false, and handed on it is the text ``NaN``."""
        return Operand(self.op("calculated", number), number, number=number)

    def _text_operand(self, operand: Operand) -> nodes.Expr:
        node = operand.node
        if operand.keeps_point or (isinstance(node, nodes.Const) and not isinstance(node.value, float)):
            return node
        if isinstance(node, nodes.Const):
            return self.const(float_text(node.value))
        return self.op("plain", node)

    # -- calls

    def default(self, subject: Operand, arguments: Arguments) -> Operand:
        """``default`` evaluates its argument only if it is needed, so it becomes control flow."""
        filter_ = self.registry.filters["default"]
        try:
            (value,) = filter_.bind(arguments.positional, arguments.named, None)
        except Fault as fault:
            return Operand.of(self.failing(fault, subject.lenient), keeps_point=subject.keeps_point)
        value_of = subject.node if subject.number else subject.lenient  # a result is never undefined
        present = self.op("boxed_if_present", value_of)
        other = self.op("boxed", value)
        node = self.op("unboxed", nodes.Or(present, other, lineno=self.at))
        return Operand.of(node, keeps_point=subject.keeps_point)

    def called(
        self, role: str, name: str, arguments: Arguments, subject: nodes.Expr | None = None
    ) -> nodes.Expr:
        """A call of a function, filter or test; an unknown one fails when it is evaluated, as in Tera."""
        known: Operation | None = self.registry.of(role).get(name)
        if known is None:
            return self.op("unknown", subject or self.const(None), self.const(role), self.const(name))
        try:
            bound = known.bind(arguments.positional, arguments.named, None)
        except Fault as fault:
            return self.failing(fault, subject)
        values = [self.const(ABSENT) if value is None else value for value in bound]
        return self.op(f"{role}:{name}", *([subject] if subject is not None else []), *values)

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
        text = [self.const(part) for part in (fault.code, fault.message, fault.hint)]
        return self.op("fail", subject or self.const(None), *text)

    def macro_call(self, namespace: str | None, name: str, arguments: Arguments) -> Operand:
        """``m::f(…)``, ``self::f(…)``, ``f(…)``."""
        pairs = [nodes.Pair(self.const(key), value, lineno=self.at) for key, value in arguments.named.items()]
        node = self.op(
            "macro",
            self.const(namespace),
            self.const(name),
            nodes.List(arguments.positional, lineno=self.at),
            nodes.Dict(pairs, lineno=self.at),
        )
        return Operand.of(node, keeps_point=True)

    def function_call(self, name: str, arguments: Arguments) -> Operand:
        """``f(…)`` of a registered function; ``env`` may also be compared while missing."""
        node = self.called("function", name, arguments)
        if not isinstance(node, nodes.Filter) or node.name != "function:env" or node.node is None:
            return Operand.of(node, keeps_point=True)
        lenient = self.op("function:env_or_missing", node.node, *node.args)
        return Operand(node, lenient, keeps_point=True, is_environment=True)

    # -- paths and literals

    def path(self, name: str, keys: list[Operand]) -> Operand:
        """A variable and what is reached through it."""
        head = self.const(name)
        return Operand(
            self.op("get", head, *(key.node for key in keys)),
            self.op("get_leniently", head, *(key.lenient for key in keys)),
            keeps_point=True,
            is_environment=name == "env" and bool(keys),
        )

    def subscripted(self, operand: Operand, keys: list[Operand]) -> Operand:
        """Parts of a value that is no variable."""
        if not keys:
            return operand
        node = self.op("subscript", operand.node, *(key.node for key in keys))
        return Operand.of(node, keeps_point=True)

    def array(self, items: list[Operand]) -> Operand:
        """``[…]``."""
        return Operand.of(nodes.List([item.node for item in items], lineno=self.at))

    def object(self, entries: list[tuple[Any, Operand]]) -> Operand:
        """``{…}``."""
        pairs = [nodes.Pair(self.const(key), value.node, lineno=self.at) for key, value in entries]
        return Operand.of(nodes.Dict(pairs, lineno=self.at))
