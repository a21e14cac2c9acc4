"""Regular expressions that a template may use: always in linear time.

Python's ``re`` takes exponential time on patterns such as ``(a+)+$``, and nothing can stop it. Patterns
in which repetitions are nested or may overlap are therefore run by a small simulation of the automaton,
which visits each character once for each state; all others by ``re``. Look-around and back-references
are refused, as in Tera.
"""

from __future__ import annotations

import re
import warnings
from functools import lru_cache
from typing import Any, Final

from clnrm_nb.template.faults import Fault

__all__ = ["search"]

_MAX_PATTERN: Final = 2_000
_MAX_STATES: Final = 20_000


def search(pattern: str, text: str) -> bool:
    """Whether a pattern matches anywhere in a text.

    Raises
    ------
    Fault
        CLN105 for a pattern that is no regular expression.
    """
    compiled, program = _compiled(pattern)
    if program is None:
        return compiled.search(text) is not None
    return program.search(text)


@lru_cache(maxsize=128)
def _compiled(pattern: str) -> tuple[re.Pattern[str], _Program | None]:
    if len(pattern) > _MAX_PATTERN:
        raise Fault("CLN105", f"a regular expression of more than {_MAX_PATTERN} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compiled = re.compile(pattern)
            tree = _parser.parse(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise Fault("CLN105", f"`matching` needs a regular expression: {error}") from error
    return compiled, (_Program(tree, compiled.flags) if _choices(tree) > 1 else None)


# The parser behind `re`, whose tree is what both checks below walk over.
_parser: Any = re._parser  # type: ignore[attr-defined]  # noqa: SLF001 - no public way to a parsed pattern
_C: Any = re._constants  # type: ignore[attr-defined]  # noqa: SLF001 - the names of its nodes
_REPEATS: Final = (_C.MAX_REPEAT, _C.MIN_REPEAT)


def _children(op: Any, argument: Any) -> list[Any]:
    if op in _REPEATS:
        return [argument[2]]
    if op is _C.SUBPATTERN:
        return [argument[3]]
    if op is _C.BRANCH:
        return list(argument[1])
    if op in (_C.LITERAL, _C.NOT_LITERAL, _C.ANY, _C.IN, _C.AT):
        return []
    raise Fault("CLN105", "`matching` knows no look-around, back-references or atomic groups")


def _choices(tree: Any) -> int:
    """How many places of a pattern leave `re` a choice; with two, it may try exponentially many ways."""
    count = 0
    pending = [(tree, False)]
    while pending:
        sequence, is_repeated = pending.pop()
        for op, argument in sequence:
            repeats = op in _REPEATS and argument[1] > 1
            varies = op in _REPEATS and argument[0] != argument[1]
            # A branch is harmless alone, but not where it can be taken again and again.
            count += varies + (2 if op is _C.BRANCH and is_repeated else 0)
            pending.extend((child, is_repeated or repeats) for child in _children(op, argument))
    return count


class _Program:
    """A pattern as states: each consumes one character, forks, or checks a place."""

    def __init__(self, tree: Any, flags: int) -> None:
        self.ignore_case = bool(flags & re.IGNORECASE)
        self.flags = flags
        self.states: list[tuple[str, Any]] = []
        self._emit_sequence(tree)
        self.states.append(("match", None))

    def _add(self, kind: str, argument: Any = None) -> int:
        if len(self.states) >= _MAX_STATES:
            raise Fault("CLN105", "a regular expression with too many repetitions")
        self.states.append((kind, argument))
        return len(self.states) - 1

    def _emit_sequence(self, sequence: Any) -> None:
        # Recursion is bounded: the parser of `re` has recursed over the same tree before.
        for op, argument in sequence:
            if op in _REPEATS:
                self._emit_repeat(argument)
            elif op is _C.SUBPATTERN:
                self._emit_sequence(argument[3])
            elif op is _C.BRANCH:
                self._emit_branch(argument[1])
            elif op is _C.AT:
                self._add("at", argument)
            else:
                self._add("char", _character_test(op, argument, self.flags))

    def _emit_repeat(self, argument: Any) -> None:
        low, high, body = argument
        for _ in range(low):
            self._emit_sequence(body)
        if high is _C.MAXREPEAT:
            fork = self._add("fork")
            self._emit_sequence(body)
            self._add("jump", fork)
            self.states[fork] = ("fork", (fork + 1, len(self.states)))
            return
        forks = []
        for _ in range(high - low):
            forks.append(self._add("fork"))
            self._emit_sequence(body)
        for fork in forks:
            self.states[fork] = ("fork", (fork + 1, len(self.states)))

    def _emit_branch(self, branches: list[Any]) -> None:
        jumps = []
        for branch in branches[:-1]:
            fork = self._add("fork")
            self._emit_sequence(branch)
            jumps.append(self._add("jump"))
            self.states[fork] = ("fork", (fork + 1, len(self.states)))
        self._emit_sequence(branches[-1])
        for jump in jumps:
            self.states[jump] = ("jump", len(self.states))

    def search(self, text: str) -> bool:
        """Run all possibilities side by side."""
        if len(text) * len(self.states) > 4_000_000:  # noqa: PLR2004 - some two seconds
            raise Fault("CLN108", "a regular expression over too long a text")
        current: set[int] = set()
        for position in range(len(text) + 1):
            if self._spread(current, text, position):
                return True
            if position < len(text):
                char = text[position]
                current = {s + 1 for s in current if self.states[s][0] == "char" and self.states[s][1](char)}
        return False

    def _spread(self, current: set[int], text: str, position: int) -> bool:
        """Add a fresh start and everything reachable without a character; true at a match."""
        pending = [*current, 0]
        current.add(0)
        while pending:
            index = pending.pop()
            kind, argument = self.states[index]
            if kind == "match":
                return True
            following: tuple[int, ...] = ()
            if kind == "fork":
                following = argument
            elif kind == "jump":
                following = (argument,)
            elif kind == "at" and _holds(argument, text, position, self.flags):
                following = (index + 1,)
            for state in following:
                if state not in current:
                    current.add(state)
                    pending.append(state)
        return False


def _character_test(op: Any, argument: Any, flags: int) -> Any:
    """A single-character class, tested by `re` itself, which is safe for one character."""
    state = _parser.State()
    state.flags = flags
    sub = _parser.SubPattern(state, [(op, argument)])
    from re import _compiler  # type: ignore[attr-defined]

    matches = _compiler.compile(sub, flags).fullmatch
    return lambda char: matches(char) is not None


def _holds(place: Any, text: str, position: int, flags: int) -> bool:
    size = len(text)
    if place in (_C.AT_BEGINNING, _C.AT_BEGINNING_STRING, _C.AT_BEGINNING_LINE):
        multiline = flags & re.MULTILINE and place is _C.AT_BEGINNING
        return position == 0 or bool(multiline and text[position - 1] == "\n")
    if place in (_C.AT_END, _C.AT_END_STRING, _C.AT_END_LINE):
        multiline = flags & re.MULTILINE and place is _C.AT_END
        return position == size or bool(multiline and text[position] == "\n")
    before = position > 0 and (text[position - 1].isalnum() or text[position - 1] == "_")
    after = position < size and (text[position].isalnum() or text[position] == "_")
    return (before != after) == (place is _C.AT_BOUNDARY)
