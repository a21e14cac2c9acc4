"""The rounds of ``lint --fix`` and ``migrate``: check, apply what does not overlap, check again.

A text is worth as much as the stage at which it first fails: a template error hides what the TOML would have
been told, a TOML error what the scenario would have been. So texts are compared by their numbers of errors
stage by stage, and no edit is kept that makes that worse. A fix that did no good is not tried twice.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from clnrm_nb.errors import Diagnostic, Fix, TextEdit

__all__ = ["Mended", "apply_edits", "mend"]

_Area = tuple[tuple[int, int], tuple[int, int]]
"""Start and end of an edit, each as line and column."""

_MAX_ROUNDS: Final = 25
_MAX_SINGLE: Final = 40
"""Fixes that are tried one by one in a round whose fixes together made the text worse."""


@dataclass(slots=True)
class Mended:
    """A text after its rounds.

    Parameters
    ----------
    text : str
        The best text found; the given one if nothing could be repaired.
    remaining : list of Diagnostic
        What is still to say about it.
    fixed : Counter
        Repairs applied, by code.
    refused : list of Diagnostic
        Findings whose fix would have made the text worse.
    """

    text: str
    remaining: list[Diagnostic]
    fixed: Counter[str] = field(default_factory=Counter)
    refused: list[Diagnostic] = field(default_factory=list)


def mend(
    text: str,
    diagnose: Callable[[str], list[Diagnostic]],
    wanted: Callable[[Diagnostic], bool],
) -> Mended:
    r"""Apply the wanted fixes until none is left.

    Parameters
    ----------
    text : str
        What the person edits; line breaks as ``\n``.
    diagnose : callable
        All findings of such a text.
    wanted : callable
        Whether the fix of a finding may be applied.

    Returns
    -------
    Mended
        Its text is never worse than `text`; mending it again changes nothing.
    """
    done = Mended(text, diagnose(text))
    tried: set[tuple[str, Fix]] = set()
    for _ in range(_MAX_ROUNDS):
        offers = [
            finding
            for finding in done.remaining
            if finding.fix is not None and wanted(finding) and (finding.code, finding.fix) not in tried
        ]
        chosen = _apart(offers)
        if not chosen:
            break
        if not _apply(done, chosen, diagnose):
            for finding in chosen[:_MAX_SINGLE]:
                # Positions are those of the text before any of them.
                if finding in done.remaining and not _apply(done, [finding], diagnose):
                    tried.add((finding.code, finding.fix))  # type: ignore[arg-type]  # Chosen for its fix.
                    done.refused.append(finding)
            if len(chosen) > _MAX_SINGLE:
                break
    return done


def _apply(done: Mended, chosen: Sequence[Diagnostic], diagnose: Callable[[str], list[Diagnostic]]) -> bool:
    """Apply the fixes of `chosen` if that does good; whether it did."""
    edits = {edit for finding in chosen if finding.fix for edit in finding.fix.edits}
    text = apply_edits(done.text, edits)
    if text == done.text:
        return False
    found = diagnose(text)
    if _errors(found) > _errors(done.remaining) or not _has_gone(chosen, found, done.remaining):
        return False
    done.text, done.remaining = text, found
    done.fixed.update(finding.code for finding in chosen)
    return True


def _errors(findings: Iterable[Diagnostic]) -> tuple[int, int, int]:
    """Errors of the template, of the TOML, of the scenario."""
    stages = Counter(finding.code[3] for finding in findings if finding.severity == "error")
    return stages["1"], stages["2"], sum(stages.values()) - stages["1"] - stages["2"]


def _has_gone(chosen: Sequence[Diagnostic], after: list[Diagnostic], before: list[Diagnostic]) -> bool:
    """Whether the repaired findings are fewer than they were, so that rounds come to an end."""
    said = {(finding.code, finding.message) for finding in chosen}

    def count(findings: list[Diagnostic]) -> int:
        return sum((finding.code, finding.message) in said for finding in findings)

    return count(after) < count(before) or _errors(after) < _errors(before)


def _apart(offers: Sequence[Diagnostic]) -> list[Diagnostic]:
    """Findings whose fixes do not touch each other's text, first come first served; equal fixes together."""
    chosen: list[Diagnostic] = []
    taken: list[_Area] = []
    fixes: set[Fix] = set()
    # An error ahead of the rest: others may follow from it.
    for finding in sorted(offers, key=lambda offer: (offer.severity != "error", offer.sort_key)):
        fix = finding.fix
        if fix is None:
            continue
        if fix in fixes:
            chosen.append(finding)
            continue
        areas = [((edit.line, edit.column), (edit.end_line, edit.end_column)) for edit in fix.edits]
        if not any(_touches(area, taken) for area in areas):
            chosen.append(finding)
            fixes.add(fix)
            for area in areas:
                insort(taken, area)
    return chosen


def _touches(area: _Area, taken: list[_Area]) -> bool:
    """Whether `area` has a place in common with one of `taken`, which are apart and in order."""
    following = bisect_right(taken, area)
    before = following > 0 and taken[following - 1][1] >= area[0]
    return before or (following < len(taken) and taken[following][0] <= area[1])


def apply_edits(text: str, edits: Iterable[TextEdit]) -> str:
    """`text` with all of `edits`, whose places are those of `text` and do not overlap."""
    starts = [0]
    while (at := text.find("\n", starts[-1])) >= 0:
        starts.append(at + 1)

    def offset(line: int, column: int) -> int:
        return (
            min(starts[min(line, len(starts)) - 1] + column - 1, len(text))
            if line <= len(starts)
            else len(text)
        )

    pieces: list[str] = []
    done = 0
    for start, end, new in sorted(
        (offset(e.line, e.column), offset(e.end_line, e.end_column), e.text) for e in edits
    ):
        pieces += (text[done:start], new)
        done = end
    return "".join((*pieces, text[done:]))
