"""How a template says that it cannot go on: a code, one sentence, what to do.

A :class:`Fault` carries no place. The compiled template is asked for it when the fault has already happened
(:mod:`clnrm_nb.template.compiler` maps lines of compiled code to markers), so that templates which render
pay nothing for positions.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Fault", "Unfindable", "closest", "did_you_mean"]


class Fault(Exception):  # noqa: N818 - a finding in the making, not an error of ours
    """Rendering stops here.

    Parameters
    ----------
    code : str
        A code CLN101–CLN109.
    message : str
        One sentence: what is wrong.
    hint : str, optional
        What to do next.
    name : str, optional
        The undefined name behind a CLN102, which tells consequences from causes.
    """

    def __init__(self, code: str, message: str, hint: str | None = None, *, name: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.name = name
        self.place: Any = None
        """File and segment, where no compiled code was running (imports, ``extends``)."""
        self.callers: tuple[Any, ...] = ()
        """Places outside of where the fault was caught, outermost first."""


class Unfindable(Fault):
    """A template file that is not there or may not be read (CLN107)."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__("CLN107", message, hint)


def closest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate a person most likely meant, if one is near enough."""
    known = [c for c in candidates if c != word]
    matches = get_close_matches(word, known, n=1, cutoff=0.7)
    if matches:
        return matches[0]
    lowered = {c.lower(): c for c in known}
    return lowered.get(word.lower())


def did_you_mean(word: str, candidates: Iterable[str], prefix: str = "") -> str:
    """``; did you mean `x`?`` or nothing."""
    match = closest(word, candidates)
    return f"; did you mean `{prefix}{match}`?" if match else ""
