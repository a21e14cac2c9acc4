"""How many ways ``re`` may try on a text before it gives up: a bound, by what each repetition leaves open."""

from __future__ import annotations

import math
import re
from typing import Any

from clnrm_nb.patterns.tree import CHARACTERS, LOOKS, NODES, REPEATS, alone, within

__all__ = ["Ways"]


class Ways:
    """The ways of one pattern.

    Parameters
    ----------
    tree, flags
        The pattern as ``re`` parses it, and its flags.
    """

    def __init__(self, tree: Any, flags: int) -> None:
        self._tree, self._flags = tree, flags
        self._runs: dict[int, re.Pattern[str]] = {}
        self._degree = 1 + _degree(tree)

    def of_length(self, length: int) -> float:
        """For any text of so many characters; infinite where repetitions are nested."""
        return float((length + 1) ** self._degree)

    def of(self, text: str) -> float:
        """For one text, whose characters say how far each repetition can reach."""
        return float(self._starts(text)) * self._sequence(self._tree, self._flags, text)

    def _starts(self, text: str) -> int:
        op, argument = self._tree[0] if len(self._tree) else (None, 0)
        if op is NODES.AT and (
            argument is NODES.AT_BEGINNING_STRING
            or (argument is NODES.AT_BEGINNING and not self._flags & re.MULTILINE)
        ):
            return 1
        if op is NODES.LITERAL and not self._flags & re.IGNORECASE:
            return text.count(chr(argument)) + 1
        return len(text) + 1

    def _sequence(self, tree: Any, flags: int, text: str) -> float:
        ways = 1.0
        for op, argument in tree:
            ways *= self._node(op, argument, flags, text)
        return ways

    def _node(self, op: Any, argument: Any, flags: int, text: str) -> float:
        if op in REPEATS:
            return self._repeat(argument, flags, text)
        if op in (NODES.BRANCH, NODES.GROUPREF_EXISTS):
            branches = argument[1] if op is NODES.BRANCH else filter(None, argument[1:])
            return sum(self._sequence(branch, flags, text) for branch in branches)
        if op is NODES.GROUPREF:
            return len(text) + 1
        if op is NODES.SUBPATTERN:
            return self._sequence(argument[3], within(flags, argument), text)
        if op in LOOKS or op is NODES.ATOMIC_GROUP:
            return self._sequence(argument[1] if op in LOOKS else argument, flags, text)
        return 1

    def _repeat(self, argument: Any, flags: int, text: str) -> float:
        low, high, body = argument
        ways = self._sequence(body, flags, text)
        least, _ = body.getwidth()
        if len(body) == 1 and body[0][0] in CHARACTERS:
            return float(1 + min(high - low, self._longest(body[0], flags, text)))
        times: int = min(high, low + len(text) // max(least, 1))
        if ways > 1:
            # Each time it may go another way. What matches nothing may be passed again at every place.
            many = times * math.log(ways)
            return math.exp(many) * (times - low + 1) if many < 100 else math.inf  # noqa: PLR2004  # e^100
        return float(times - low + 1)

    def _longest(self, node: Any, flags: int, text: str) -> int:
        """How many characters of one class stand together at the most."""
        run = self._runs.get(id(node))
        if run is None:
            run = self._runs[id(node)] = alone(node[0], node[1], flags, is_repeated=True)
        return max((match.end() - match.start() for match in run.finditer(text)), default=0)


def _degree(tree: Any) -> float:
    """The power of a text's length that bounds the ways; infinite where repetitions are nested."""
    degree = 0.0
    for op, argument in tree:
        if op in REPEATS:
            low, high, body = argument
            inner = _degree(body)
            if inner or (low != high and body.getwidth()[0] == 0):
                return math.inf if high > 1 else degree + inner + 1
            degree += low != high
        elif op is NODES.BRANCH:
            degree += 1 + max(map(_degree, argument[1]))
        elif op is NODES.SUBPATTERN:
            degree += _degree(argument[3])
        elif op is NODES.ATOMIC_GROUP:
            degree += _degree(argument)
        elif op in LOOKS:
            degree += _degree(argument[1])
        elif op in (NODES.GROUPREF, NODES.GROUPREF_EXISTS):
            return math.inf
    return degree
