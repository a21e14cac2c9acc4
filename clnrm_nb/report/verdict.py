"""The exit status of a run and the sentence that goes with it.

Statuses and findings come in, the table of :mod:`clnrm_nb.codes` decides (``format.md`` 11.2). Of several
causes 130 wins, then 3, 2, 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.codes import CODES, EXIT_INTERRUPTED, STATUSES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["NO_LEAVE", "Leave", "exit_code_of", "first_code", "headline", "summary_of"]

_INTERNAL = 3


@dataclass(frozen=True, slots=True)
class Leave:
    """What the person lets pass."""

    not_evaluated: bool = False
    """``--allow-not-evaluated``: incomplete tests fail nothing."""
    flaky: bool = True
    """False: ``--flaky fail``."""
    warnings: bool = True
    """False: ``--deny-warnings``."""


NO_LEAVE: Final = Leave()


def summary_of(tests: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """``total`` and the number of tests of each status."""
    counts: dict[str, int] = dict.fromkeys(STATUSES, 0)
    for test in tests:
        counts[test["status"]] += 1
    return {"total": len(tests), **counts}


def exit_code_of(
    tests: Sequence[Mapping[str, Any]],
    findings: Iterable[Mapping[str, Any]],
    leave: Leave = NO_LEAVE,
    *,
    is_interrupted: bool = False,
) -> int:
    """The exit status of a command that ran `tests` and found `findings`.

    Parameters
    ----------
    tests, findings
        JSON forms of tests and of findings that belong to no test.
    leave : Leave
    is_interrupted : bool
        Whether the command was stopped, whatever its tests say.
    """
    causes = {EXIT_INTERRUPTED} if is_interrupted else set()
    for test in tests:
        causes |= _causes_of(test, leave)
    for finding in findings:
        if finding["severity"] == "error":
            causes.add(CODES[finding["code"]].exit_code)
        elif finding["severity"] == "warning" and not leave.warnings:
            causes.add(1)
    return max(causes, default=0)


def _causes_of(test: Mapping[str, Any], leave: Leave) -> set[int]:
    errors = {CODES[f["code"]].exit_code for f in test["diagnostics"] if f["severity"] == "error"}
    denied = not leave.warnings and any(f["severity"] == "warning" for f in test["diagnostics"])
    causes = {1} if denied else set()
    match test["status"]:
        case "interrupted":
            causes.add(EXIT_INTERRUPTED)
        case "error":
            causes |= errors or {_INTERNAL}
        case "failed":
            causes |= errors | {1}
        case "incomplete" if not leave.not_evaluated:
            causes.add(1)
        case "flaky" if not leave.flaky:
            causes.add(1)
    return causes - {0}


def first_code(
    tests: Sequence[Mapping[str, Any]], findings: Sequence[Mapping[str, Any]], exit_code: int
) -> str:
    """The code of the first error that gives this exit status; of a failed expectation where none does."""
    everything = [*(finding for test in tests for finding in test["diagnostics"]), *findings]
    errors = [finding["code"] for finding in everything if finding["severity"] == "error"]
    deciding = [code for code in errors if CODES[code].exit_code == exit_code]
    if deciding or errors:
        return str((deciding or errors)[0])
    return "CLN612" if any(test["status"] == "incomplete" for test in tests) else "CLN608"


def headline(tests: Sequence[Mapping[str, Any]], findings: Sequence[Mapping[str, Any]]) -> str:
    """One sentence: how many tests, which of them not well."""
    bad = [test for test in tests if test["status"] in {"interrupted", "error", "failed", "incomplete"}]
    if not bad:
        errors = [finding["message"] for finding in findings if finding["severity"] == "error"]
        if errors:
            return str(errors[0])
        return "no test was run" if not tests else f"{_tests(len(tests))} passed"
    words = {test["status"] for test in bad}
    word = words.pop() if len(words) == 1 else "not passed"
    names = ", ".join(test["id"] for test in bad[:3])
    more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""  # noqa: PLR2004  # three are named
    return f"{len(bad)} of {_tests(len(tests))} {word}: {names}{more}"


def _tests(number: int) -> str:
    return f"{number} test" if number == 1 else f"{number} tests"
