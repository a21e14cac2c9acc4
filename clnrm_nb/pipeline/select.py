"""Which of the tests found are run: ``--tag``, ``--only``, ``-k``, ``--shard`` (``format.md`` 5.5, 11.1)."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeVar, cast

from clnrm_nb.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Selectable", "Shard", "Words", "select"]


class Selectable(Protocol):
    """What a test must tell to be chosen."""

    @property
    def test_id(self) -> str:
        """Id of the test."""

    @property
    def tags(self) -> Sequence[str]:
        """Its tags."""

    @property
    def scenario_ids(self) -> Sequence[str]:
        """Ids of its scenarios."""


Test = TypeVar("Test", bound=Selectable)

# ------------------------------------------------------------------------------------------------- -k

_TOKEN: Final = re.compile(r"\s*(\(|\)|[^\s()]+)")
_BINDING: Final = {"or": 1, "and": 2, "not": 3}


class Words:
    """A ``-k`` expression: words joined by and, or, not and parentheses.

    A word holds if it is part of one of the texts, upper or lower case. Precedence as in Python. Evaluated
    by Dijkstra's two stacks, so that no nesting is too deep.

    Raises
    ------
    UsageError
        The expression is not well-formed.
    """

    def __init__(self, expression: str) -> None:
        self._expression = expression
        self._postfix = self._to_postfix(_TOKEN.findall(expression))

    def _to_postfix(self, tokens: list[str]) -> list[str]:
        output: list[str] = []
        stack: list[str] = []
        operand_next = True
        for token in tokens:
            starts_operand = token in ("(", "not") or (token not in _BINDING and token != ")")  # noqa: S105
            if starts_operand != operand_next:
                raise self._malformed()
            if token in ("(", "not"):
                stack.append(token)
            elif token == ")":  # noqa: S105
                while stack and stack[-1] != "(":
                    output.append(stack.pop())
                if not stack:
                    raise self._malformed()
                stack.pop()
            elif token in _BINDING:
                while stack and stack[-1] != "(" and _BINDING[stack[-1]] >= _BINDING[token]:
                    output.append(stack.pop())
                stack.append(token)
                operand_next = True
            else:
                output.append(token)
                operand_next = False
        if operand_next or "(" in stack:
            raise self._malformed()
        return output + stack[::-1]

    def _malformed(self) -> UsageError:
        return UsageError(
            f"-k {self._expression!r} is not an expression", hint="Join words by and, or, not and ( )."
        )

    def holds(self, texts: Sequence[str]) -> bool:
        """Whether the expression holds for these texts."""
        lowered = [text.lower() for text in texts]
        stack: list[bool] = []
        for token in self._postfix:
            if token == "not":  # noqa: S105
                stack.append(not stack.pop())
            elif token in _BINDING:
                right, left = stack.pop(), stack.pop()
                stack.append((left and right) if token == "and" else (left or right))  # noqa: S105
            else:
                stack.append(any(token.lower() in text for text in lowered))
        return stack.pop()


# ---------------------------------------------------------------------------------------------- --shard

_SHARD: Final = re.compile(r"(?:(slice|hash|time):)?([0-9]+)/([0-9]+)\Z")


@dataclass(frozen=True, slots=True)
class Shard:
    """Part ``index`` (from 1) of ``count``."""

    mode: Literal["slice", "hash", "time"]
    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read ``MODE:I/M``.

        Raises
        ------
        UsageError
            It is something else, or I is not within 1…M.
        """
        match = _SHARD.match(text)
        if match and 1 <= int(match[2]) <= int(match[3]):
            mode = cast("Literal['slice', 'hash', 'time']", match[1] or "slice")
            return cls(mode, int(match[2]), int(match[3]))
        raise UsageError(
            f"--shard {text!r} is not MODE:I/M", hint="For example hash:2/4; modes: slice, hash, time."
        )

    def take(self, ids: Sequence[str], durations_ms: Mapping[str, float]) -> set[str]:
        """The ids of this shard; every id is in exactly one of the ``count`` shards."""
        if self.mode == "hash":
            digests = {name: hashlib.sha256(name.encode()).digest()[:8] for name in ids}
            return {
                name for name in ids if int.from_bytes(digests[name], "big") % self.count == self.index - 1
            }
        if self.mode == "time" and any(name in durations_ms for name in ids):
            return self._lightest(ids, durations_ms)
        return set(ids[self.index - 1 :: self.count])

    def _lightest(self, ids: Sequence[str], durations_ms: Mapping[str, float]) -> set[str]:
        """Longest first onto the lightest shard; what was never run counts as the mean of what was."""
        known = [durations_ms[name] for name in ids if name in durations_ms]
        mean = sum(known) / len(known)
        loads = [0.0] * self.count
        mine: set[str] = set()
        for name in sorted(ids, key=lambda name: (-durations_ms.get(name, mean), name)):
            lightest = loads.index(min(loads))
            loads[lightest] += durations_ms.get(name, mean)
            if lightest == self.index - 1:
                mine.add(name)
        return mine


def select(
    tests: Sequence[Test],
    *,
    tags: Sequence[str] = (),
    only: Sequence[str] = (),
    expression: str | None = None,
    shard: str | None = None,
    durations_ms: Callable[[], Mapping[str, float]] = dict,
) -> list[Test]:
    """The chosen tests, in the order given.

    Parameters
    ----------
    tags : sequence of str
        Any of them must be a tag of the test.
    only : sequence of str
        Globs; any of them must match the test's id or that of one of its scenarios.
    expression : str, optional
        See :class:`Words`; its texts are the test's ids and tags.
    shard : str, optional
        See :class:`Shard`; taken last, of what the others left.
    durations_ms : callable
        Gives recorded durations by test id; asked only for ``time`` shards.

    Raises
    ------
    UsageError
        An expression or shard is malformed.
    """
    words = Words(expression) if expression is not None else None
    part = Shard.parse(shard) if shard else None
    chosen = [
        test
        for test in tests
        if (not tags or set(tags) & set(test.tags))
        and (
            not only
            or any(
                name == glob or fnmatchcase(name, glob)
                for glob in only
                for name in (test.test_id, *test.scenario_ids)
            )
        )
        and (words is None or words.holds([test.test_id, *test.scenario_ids, *test.tags]))
    ]
    if part is None:
        return chosen
    mine = part.take(sorted(test.test_id for test in chosen), durations_ms() if part.mode == "time" else {})
    return [test for test in chosen if test.test_id in mine]
