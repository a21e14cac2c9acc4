"""A regular expression as an automaton that is at no place of a text twice in one state.

Backtracking with a memory: what led nowhere from a place before leads nowhere again, wherever a match began.
It tries in the order of ``re`` and so finds the same. (R. Cox, "Regular Expression Matching: the Virtual
Machine Approach", 2009.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.patterns.tree import CHARACTERS, LOOKS, NODES, alone, within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["MOST_VISITS", "BeyondError", "Program", "Walk"]

MOST_VISITS: Final = 8_000_000
"""Places times states of one text: a few seconds at the worst."""

_MOST_STATES: Final = 20_000


class BeyondError(Exception):
    """No automaton can do it, or none that is small enough."""


class _Character(dict[str, bool]):
    """Which characters a class has, by ``re`` itself, which is safe for one of them."""

    def __init__(self, op: Any, argument: Any, flags: int) -> None:
        super().__init__()
        self._match = alone(op, argument, flags).fullmatch

    def __missing__(self, char: str) -> bool:
        found = self[char] = self._match(char) is not None
        return found


class Program:
    """A pattern as states: each consumes one character, forks, or checks a place."""

    def __init__(self, tree: Any, flags: int) -> None:
        self.states: list[tuple[str, Any]] = []
        self._emit_sequence(tree, flags)
        self._add("match")

    def _add(self, kind: str, argument: Any = None) -> int:
        if len(self.states) >= _MOST_STATES:
            raise BeyondError
        self.states.append((kind, argument))
        return len(self.states) - 1

    def _emit_sequence(self, sequence: Any, flags: int) -> None:
        # Recursion is bounded: the parser of `re` has recursed over the same tree before.
        for op, argument in sequence:
            if op in (NODES.MAX_REPEAT, NODES.MIN_REPEAT):
                self._emit_repeat(argument, flags, is_lazy=op is NODES.MIN_REPEAT)
            elif op is NODES.SUBPATTERN:
                self._emit_sequence(argument[3], within(flags, argument))
            elif op is NODES.BRANCH:
                self._emit_branch(argument[1], flags)
            elif op is NODES.AT:
                self._add("at", _place(argument, flags))
            elif op in LOOKS:
                direction, inner = argument
                back = inner.getwidth()[0] if direction < 0 else 0
                self._add("look", (Program(inner, flags), back, op is NODES.ASSERT))
            elif op in CHARACTERS:
                self._add("char", _Character(op, argument, flags))
            else:
                raise BeyondError

    def _emit_repeat(self, argument: Any, flags: int, *, is_lazy: bool) -> None:
        low, high, body = argument
        for _ in range(low):
            self._emit_sequence(body, flags)
        if high is NODES.MAXREPEAT:
            fork = self._add("fork")
            self._emit_sequence(body, flags)
            self._add("jump", fork)
            self._fork(fork, len(self.states), is_lazy=is_lazy)
            return
        forks = []
        for _ in range(high - low):
            forks.append(self._add("fork"))
            self._emit_sequence(body, flags)
        for fork in forks:
            self._fork(fork, len(self.states), is_lazy=is_lazy)

    def _fork(self, fork: int, end: int, *, is_lazy: bool) -> None:
        self.states[fork] = ("fork", (end, fork + 1) if is_lazy else (fork + 1, end))

    def _emit_branch(self, branches: list[Any], flags: int) -> None:
        jumps = []
        for branch in branches[:-1]:
            fork = self._add("fork")
            self._emit_sequence(branch, flags)
            jumps.append(self._add("jump"))
            self._fork(fork, len(self.states), is_lazy=False)
        self._emit_sequence(branches[-1], flags)
        for jump in jumps:
            self.states[jump] = ("jump", len(self.states))


def _place(place: Any, flags: int) -> Callable[[str, int], bool]:
    """Whether a place of a text is the one an anchor means: by ``re`` itself, which looks at no more."""
    match = alone(NODES.AT, place, flags).match
    return lambda text, position: match(text, position) is not None


class Walk:
    """A program at work on one text."""

    def __init__(self, program: Program, text: str) -> None:
        self._program, self._text = program, text
        self._left = MOST_VISITS

    def matches(self) -> Iterator[tuple[int, int]]:
        """As ``re.finditer`` gives them."""
        start, least, size = 0, 0, len(self._text) + 1
        seen = bytearray(len(self._program.states) * size)
        while start < size:
            end = self._end(self._program, start, least, seen)
            if end is None:
                start += 1
                least = start
                continue
            yield start, end
            # After an empty match another one may begin at the same place that is not.
            least = end + (end == start)
            start = end
            seen = bytearray(len(seen))

    def _end(self, program: Program, start: int, least: int, seen: bytearray | set[int]) -> int | None:
        """Where the match at `start` ends, no earlier than `least`; what led nowhere before leads nowhere."""
        states, size = program.states, len(self._text) + 1
        pending = [(0, start)]
        while pending:
            index, position = pending.pop()
            if _visited(seen, index * size + position):
                continue
            self._left -= 1
            if self._left < 0:
                raise BeyondError
            kind, argument = states[index]
            if kind == "match":
                if position >= least:
                    return position
            elif kind == "fork":
                pending.append((argument[1], position))
                pending.append((argument[0], position))
            elif kind == "jump":
                pending.append((argument, position))
            elif kind == "char":
                if position + 1 < size and argument[self._text[position]]:
                    pending.append((index + 1, position + 1))
            elif self._holds(kind, argument, position):
                pending.append((index + 1, position))
        return None

    def _holds(self, kind: str, argument: Any, position: int) -> bool:
        """Whether a place is the right one."""
        if kind == "at":
            return bool(argument(self._text, position))
        program, back, wanted = argument
        start = position - back
        found = start >= 0 and self._end(program, start, start, set()) is not None
        return bool(found == wanted)


def _visited(seen: bytearray | set[int], here: int) -> bool:
    """Whether a state was at a place before; from now on it was."""
    if isinstance(seen, set):
        known = here in seen
        seen.add(here)
        return known
    if seen[here]:
        return True
    seen[here] = 1
    return False
