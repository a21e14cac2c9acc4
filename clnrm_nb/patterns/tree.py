"""A regular expression as the tree that ``re`` parses it to, which nothing public gives."""

from __future__ import annotations

import re
from typing import Any, Final

__all__ = ["CHARACTERS", "LOOKS", "NODES", "REPEATS", "alone", "is_regular", "parsed", "within"]

_parser: Any = re._parser  # type: ignore[attr-defined]  # noqa: SLF001 - no public way to a parsed pattern
NODES: Final[Any] = re._constants  # type: ignore[attr-defined]  # noqa: SLF001 - the names of its nodes
REPEATS: Final = (NODES.MAX_REPEAT, NODES.MIN_REPEAT, NODES.POSSESSIVE_REPEAT)
LOOKS: Final = (NODES.ASSERT, NODES.ASSERT_NOT)
CHARACTERS: Final = (NODES.LITERAL, NODES.NOT_LITERAL, NODES.ANY, NODES.IN)
"""Nodes that take one character."""


def parsed(pattern: str) -> Any:
    """The tree of a pattern that ``re`` has compiled before."""
    return _parser.parse(pattern)


def alone(op: Any, argument: Any, flags: int, *, is_repeated: bool = False) -> re.Pattern[str]:
    """A node without others in it as a pattern of its own, or one or more of it."""
    from re import _compiler  # type: ignore[attr-defined]

    state = _parser.State()
    state.flags = flags
    tree = _parser.SubPattern(state, [(op, argument)])
    if is_repeated:
        tree = _parser.SubPattern(state, [(NODES.MAX_REPEAT, (1, NODES.MAXREPEAT, tree))])
    made: re.Pattern[str] = _compiler.compile(tree, flags)
    return made


def within(flags: int, argument: Any) -> int:
    """The flags inside a group."""
    _, added, removed, _ = argument
    return int((flags | added) & ~removed)


def is_regular(tree: Any) -> bool:
    """Whether a pattern does without look-around, back-references, conditions and atomic groups."""
    for op, argument in tree:
        inner: list[Any] = []
        if op in (NODES.MAX_REPEAT, NODES.MIN_REPEAT):
            inner = [argument[2]]
        elif op is NODES.SUBPATTERN:
            inner = [argument[3]]
        elif op is NODES.BRANCH:
            inner = argument[1]
        elif op not in CHARACTERS and op is not NODES.AT:
            return False
        if not all(map(is_regular, inner)):
            return False
    return True
