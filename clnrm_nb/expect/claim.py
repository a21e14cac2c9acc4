"""The two shapes between an expectation and its verdict, and the rules that hold for all of them.

Each module of this package turns its blocks into :class:`Claim` objects: an id, what is expected, and a
function that looks. What it finds is a :class:`Finding`. Two rules of honesty are applied to every claim in
one place (:func:`settle`), so that no kind of expectation can forget them:

- without a single span from the program under test every claim about spans fails, own spans or not;
- on an incomplete trace a pass that further spans could overturn (something absent, an upper limit, "every
  span") is not a pass: it was not evaluated. A failure stays one and says that spans may be missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.executor.outcome import ExpectationResult
from clnrm_nb.patterns import EndlessError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from clnrm_nb.executor.outcome import TestOutcome, Verdict
    from clnrm_nb.expect.index import SpanIndex
    from clnrm_nb.scenario.model import Expect, KeyPath, TestFile

__all__ = [
    "ENDLESS",
    "INCOMPLETE",
    "NOT_FOUND",
    "NOT_HERMETIC",
    "NO_SPANS",
    "NO_TIMESTAMPS",
    "Claim",
    "Finding",
    "Scope",
    "failed",
    "not_evaluated",
    "passed",
    "plural",
    "settle",
]

NO_SPANS: Final = "no-spans"
NOT_FOUND: Final = "not found"
NO_TIMESTAMPS: Final = "no timestamps"
INCOMPLETE: Final = "trace incomplete"
NOT_HERMETIC: Final = "backend not hermetic"
ENDLESS: Final = "regular expression might never end"

# A verdict names the spans it rests on; beyond this many the list no longer helps anybody.
_SPANS_NAMED: Final = 100

# Exporters whose spans nobody collects (format.md 1.7): the most likely reason for none.
_SILENT_EXPORTERS: Final = frozenset({"none", "jaeger", "zipkin", "datadog", "newrelic", "file"})


@dataclass(frozen=True, slots=True)
class Scope:
    """What one ``expect`` table is judged against.

    Parameters
    ----------
    expect : Expect
        The table.
    index : SpanIndex
        The spans in scope: all of the test, or those of one scenario.
    test, outcome
        The whole test, for what is no span.
    scenario : str or None
        The scenario whose table it is; ``None`` for the test's.
    """

    expect: Expect
    index: SpanIndex
    test: TestFile
    outcome: TestOutcome
    scenario: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """What a claim came to. ``is_settled``: no further span could change it."""

    status: Verdict
    message: str
    actual: Any = None
    rows: Sequence[int] = ()
    reason: str | None = None
    is_settled: bool = False


def passed(
    message: str, actual: Any = None, rows: Sequence[int] = (), *, is_settled: bool = False
) -> Finding:
    """The claim holds."""
    return Finding("passed", message, actual, rows, None, is_settled)


def failed(
    message: str,
    actual: Any = None,
    rows: Sequence[int] = (),
    *,
    reason: str | None = None,
    is_settled: bool = False,
) -> Finding:
    """The claim does not hold."""
    return Finding("failed", message, actual, rows, reason, is_settled)


def not_evaluated(message: str, reason: str, actual: Any = None) -> Finding:
    """Nobody can tell."""
    return Finding("not-evaluated", message, actual, (), reason, is_settled=True)


@dataclass(frozen=True, slots=True)
class Claim:
    """One block, bound, edge or pattern that gets one result.

    Parameters
    ----------
    id, kind : str
        As in ``format.md`` 7.1.
    source : key path
        Where it stands in the file.
    expected : Any
        What was asked for, as JSON or in words.
    look : callable
        Finds out; called at most once, and not at all without spans.
    about_spans : bool
        Whether the two rules of the module apply.
    """

    id: str
    kind: str
    source: KeyPath
    expected: Any
    look: Callable[[], Finding]
    about_spans: bool = True


def settle(claim: Claim, scope: Scope) -> ExpectationResult:
    """The verdict on one claim, with the rules of the module applied."""
    finding = _look(claim, scope)
    index = scope.index
    return ExpectationResult(
        id=claim.id,
        kind=claim.kind,
        status=finding.status,
        message=finding.message,
        reason=finding.reason,
        expected=claim.expected,
        actual=finding.actual,
        spans=[index.ids(row) for row in finding.rows[:_SPANS_NAMED]],
        source=claim.source,
        scenario=scope.scenario,
    )


def _look(claim: Claim, scope: Scope) -> Finding:
    if claim.about_spans and not scope.index.program:
        return failed(_no_spans_message(scope), reason=NO_SPANS)
    try:
        finding = claim.look()
    except EndlessError as error:
        return not_evaluated(f"{error.code} {error.message}", ENDLESS)
    if not claim.about_spans or scope.outcome.complete or finding.is_settled:
        return finding
    if finding.status == "passed":
        message = f"cannot be told: the trace is incomplete, missing spans might break it ({finding.message})"
        return Finding("not-evaluated", message, finding.actual, finding.rows, INCOMPLETE)
    message = f"{finding.message}; the trace is incomplete, spans may be missing"
    return Finding(finding.status, message, finding.actual, finding.rows, finding.reason)


def _no_spans_message(scope: Scope) -> str:
    exporter = scope.test.otel.exporter
    if exporter in _SILENT_EXPORTERS:
        return (
            "no span was received from the program under test: none are collected "
            f"with `otel.exporter = {exporter!r}`"
        )
    elsewhere = scope.outcome.span_count if scope.scenario is not None else 0
    if elsewhere:
        return (
            f"no span was received from the program under test in scenario `{scope.scenario}` "
            f"({plural(elsewhere, 'span')} elsewhere in the test)"
        )
    return "no span was received from the program under test"


def plural(number: int, noun: str) -> str:
    """``1 span``, ``2 spans``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
