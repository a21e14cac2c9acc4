"""One regular expression, run by ``re`` where that must end soon, and by an automaton elsewhere.

Python's ``re`` takes exponential time on patterns such as ``(a+)+$``, polynomial time on ``.*a.*b``, and
nothing can stop it. So before it runs, the ways it might try on that very text are counted. What has too many
for it and is too large for the automaton is refused: a verdict never hangs, and never depends on a clock.
"""

from __future__ import annotations

import re
import warnings
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Final

from clnrm_nb.errors import ClnrmError
from clnrm_nb.patterns.automaton import MOST_VISITS, BeyondError, Program, Walk
from clnrm_nb.patterns.tree import is_regular, parsed
from clnrm_nb.patterns.ways import Ways

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["EndlessError", "Pattern", "compiled"]

_MOST_WAYS: Final = 10**8
"""What ``re`` is trusted with at once. A way takes it 0.1 to 0.4 ns (November 2026): less than 0.1 s."""

_LAST_WAYS: Final = 10**10
"""Where no automaton can do it: a few seconds at the worst, which real texts hardly come near."""

_LONGEST_SHOWN: Final = 60
"""Characters of a pattern that a message, one line of text, has room for."""


class EndlessError(ClnrmError):
    """A regular expression might never end on a text."""


def _endless(pattern: str, length: int) -> EndlessError:
    return EndlessError(
        f"the regular expression `{_short(pattern)}` might never end on a text of {length:,} characters",
        "CLN314",
        hint="let nothing repeat that repeats itself, and name the characters it means instead of `.*`",
    )


def _short(pattern: str) -> str:
    return pattern if len(pattern) <= _LONGEST_SHOWN else f"{pattern[:_LONGEST_SHOWN]}…"


@lru_cache(maxsize=512)
def compiled(pattern: str) -> Pattern:
    """A pattern, ready to run.

    Raises
    ------
    re.error, OverflowError, RecursionError
        It is no regular expression.
    """
    return Pattern(pattern)


class Pattern:
    """One regular expression.

    Parameters
    ----------
    text : str
        As Python's ``re`` reads it; :func:`compiled` keeps those that were used last.
    """

    def __init__(self, text: str) -> None:
        with warnings.catch_warnings():
            # What Python may one day read differently is no business of the person who runs the test.
            warnings.simplefilter("ignore")
            self._regex = re.compile(text)
            self._tree = parsed(text)
        self.text = text
        self._ways = Ways(self._tree, self._regex.flags)

    @property
    def is_regular(self) -> bool:
        """Whether it does without look-around, back-references, conditions and atomic groups."""
        return is_regular(self._tree)

    def search(self, text: str) -> bool:
        """Whether it matches anywhere in a text.

        Raises
        ------
        EndlessError
            CLN314: it might never end.
        """
        if self._is_quick(text):
            return self._regex.search(text) is not None
        return next(self._walked(text), None) is not None

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Start and end of its matches from left to right, but for empty ones.

        Raises
        ------
        EndlessError
            CLN314: it might never end.
        """
        found = (
            (match.span() for match in self._regex.finditer(text))
            if self._is_quick(text)
            else self._walked(text)
        )
        return [(start, end) for start, end in found if end > start]

    def _is_quick(self, text: str) -> bool:
        """Whether ``re`` may do it; else the automaton can."""
        if self._ways.of_length(len(text)) <= _MOST_WAYS:
            return True
        ways = self._ways.of(text)
        if ways <= _MOST_WAYS:
            return True
        program = self._program
        if program is not None and len(program.states) * (len(text) + 1) <= MOST_VISITS:
            return False
        if ways <= _LAST_WAYS:
            return True
        raise _endless(self.text, len(text))

    @cached_property
    def _program(self) -> Program | None:
        try:
            return Program(self._tree, self._regex.flags)
        except BeyondError:
            return None

    def _walked(self, text: str) -> Iterator[tuple[int, int]]:
        assert self._program is not None
        try:
            yield from Walk(self._program, text).matches()
        except BeyondError:
            raise _endless(self.text, len(text)) from None
