"""Regular expressions that a template may use: the regular ones, as in Tera, and always in bounded time."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from clnrm_nb.patterns import EndlessError, Pattern
from clnrm_nb.template.faults import Fault

__all__ = ["search"]

_MAX_PATTERN: Final = 2_000


def search(pattern: str, text: str) -> bool:
    """Whether a pattern matches anywhere in a text.

    Raises
    ------
    Fault
        CLN105 for a pattern that is no regular expression, CLN108 for one that might never end on that text.
    """
    try:
        return _compiled(pattern).search(text)
    except EndlessError as error:
        raise Fault("CLN108", error.message, error.hint) from None


@lru_cache(maxsize=128)
def _compiled(pattern: str) -> Pattern:
    if len(pattern) > _MAX_PATTERN:
        raise Fault("CLN105", f"a regular expression of more than {_MAX_PATTERN} characters")
    try:
        made = Pattern(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise Fault("CLN105", f"`matching` needs a regular expression: {error}") from error
    if not made.is_regular:
        raise Fault("CLN105", "`matching` knows no look-around, back-references or atomic groups")
    return made
