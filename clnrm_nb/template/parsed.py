"""What parsing a source yields: a tree to compile, what the file offers to others, and its mistakes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import nodes

    from clnrm_nb.template.lexer import Segment

__all__ = ["Macro", "Parsed", "Problem"]


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
