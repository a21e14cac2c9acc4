"""Statements that are open: what they hold so far, and which end each of them waits for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from jinja2 import nodes

from clnrm_nb.template.faults import Fault
from clnrm_nb.template.parsed import Problem

__all__ = ["CLOSING", "OPENING", "Nesting", "Open", "function_of", "output_merged"]

_MAX_OPEN: Final = 64
_MAX_OPEN_LOOPS: Final = 16
"""Python compiles at most 20 nested loops in one function (CPython 3.11)."""
CLOSING: Final = {
    "endif": "if",
    "endfor": "for",
    "endmacro": "macro",
    "endblock": "block",
    "endfilter": "filter",
}
OPENING: Final = {kind: end for end, kind in CLOSING.items()}


@dataclass(slots=True)
class Open:
    """A statement whose end has not come yet."""

    kind: str
    at: int
    body: list[nodes.Node] = field(default_factory=list)
    branches: list[tuple[nodes.Expr, int, list[nodes.Node]]] = field(default_factory=list)
    otherwise: list[nodes.Node] | None = None
    head: Any = None
    names: set[str] = field(default_factory=set)


class Nesting:
    """The stack of open statements; at its bottom stands the file.

    Parameters
    ----------
    problems : list of Problem
        Where ends that are missing are reported.
    """

    def __init__(self, problems: list[Problem]) -> None:
        self.stack = [Open("file", 0)]
        self.problems = problems

    @property
    def innermost(self) -> Open:
        """The statement that what comes next stands in."""
        return self.stack[-1]

    @property
    def is_too_deep(self) -> bool:
        """Whether mistakes have opened more than anybody means."""
        return len(self.stack) > _MAX_OPEN

    def add(self, *added: nodes.Node) -> None:
        """Append to the body of the innermost statement."""
        self.stack[-1].body.extend(added)

    def use(self, names: set[str]) -> None:
        """Note names as read by every open statement."""
        for opened in self.stack:
            opened.names |= names

    def push(self, opened: Open) -> None:
        """Open a statement, within the limits on nesting.

        Raises
        ------
        Fault
            CLN108.
        """
        loops = sum(o.kind == "for" for o in self.stack) + (opened.kind == "for")
        if len(self.stack) >= _MAX_OPEN or loops > _MAX_OPEN_LOOPS:
            limit = _MAX_OPEN_LOOPS if loops > _MAX_OPEN_LOOPS else _MAX_OPEN
            raise Fault("CLN108", f"statements are nested deeper than {limit}")
        self.stack.append(opened)

    def stand_in(self, kind: str, at: int) -> None:
        """Open a statement whose marker could not be parsed, so that its end finds it."""
        self.stack.append(Open(kind, at))

    def close(self, kind: str, keyword: str) -> Open:
        """Take the innermost statement of a kind; those inside that were never closed are reported.

        Raises
        ------
        Fault
            CLN101 if there is none.
        """
        if self.stack[-1].kind != kind:
            if not any(opened.kind == kind for opened in self.stack):
                self._refuse_closing(keyword)
            expected = OPENING.get(self.stack[-1].kind)
            # The inner one was never closed: say so once, and go on with the outer one.
            while self.stack[-1].kind != kind:
                self.report_unclosed(self.stack.pop(), expected)
        return self.stack.pop()

    def _refuse_closing(self, keyword: str) -> NoReturn:
        """An end that nothing here has: taken for the wrong end of the innermost open statement."""
        opened = self.stack[-1]
        if opened.kind in OPENING:
            self.stack.pop()
            raise Fault("CLN101", f"expected `{OPENING[opened.kind]}`, got `{keyword}`")
        raise Fault("CLN101", f"`{keyword}` without `{CLOSING[keyword]}`")

    def report_unclosed(self, opened: Open, expected: str | None) -> None:
        """Note that a statement has no end; a part that is rendered ahead needs none."""
        if opened.kind != "statement":
            message = f"`{opened.kind}` is never closed; expected `{expected}`"
            self.problems.append(Problem("CLN101", message, opened.at))

    def finish(self) -> list[nodes.Node]:
        """The body of the file, at its end; what is still open is reported."""
        for opened in self.stack[1:]:
            self.report_unclosed(opened, OPENING.get(opened.kind))
        return output_merged(self.stack[0].body)

    def give_up(self) -> None:
        """Forget all that is open: what follows would be said of a file that nobody means."""
        del self.stack[1:]


def function_of(name: str, body: list[nodes.Node], at: int) -> nodes.Block:
    """A part of the file that compiles to a function of its own."""
    return nodes.Block(name, output_merged(body), False, False, lineno=at)


def output_merged(body: list[nodes.Node]) -> list[nodes.Node]:
    """Neighbouring outputs as one node, which compiles faster."""
    merged: list[nodes.Node] = []
    for node in body:
        last = merged[-1] if merged else None
        if isinstance(node, nodes.Output) and isinstance(last, nodes.Output):
            last.nodes += node.nodes
        else:
            merged.append(node)
    return merged
