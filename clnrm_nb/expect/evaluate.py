"""All expectations of a test against what happened: the one entry of this package.

The modules of the kinds say what is claimed and look; this one knows their order, the scope of each table
and nothing about any kind.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from clnrm_nb.expect import (
    assertions,
    counts,
    graph,
    hermeticity,
    order,
    resource,
    span,
    status,
    traces,
    window,
)
from clnrm_nb.expect.claim import Claim, Finding, Scope, not_evaluated, settle
from clnrm_nb.expect.index import SpanIndex
from clnrm_nb.spans.table import SpanTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from clnrm_nb.executor.outcome import ExpectationResult, TestOutcome
    from clnrm_nb.scenario.model import Expect, TestFile

__all__ = ["evaluate"]

_KINDS: Final[tuple[Callable[[Scope], Iterator[Claim]], ...]] = (
    span.claims,
    counts.claims,
    graph.claims,
    window.claims,
    order.claims,
    status.claims,
    hermeticity.claims,
    resource.claims,
    traces.claims,
    assertions.claims,
)
"""Every kind of expectation, in the order of results."""


def evaluate(test: TestFile, outcome: TestOutcome) -> list[ExpectationResult]:
    """Judge every expectation of a test.

    Parameters
    ----------
    test : TestFile
        What is expected.
    outcome : TestOutcome
        What happened; read only. ``spans`` holds the own spans too.

    Returns
    -------
    list of ExpectationResult
        One a block, bound, edge and pattern (``format.md`` 7.1): the test's, then those of its scenarios in
        file order; within a table by kind, then in file order. Equal spans give equal results, in whatever
        order they arrived.
    """
    table = outcome.spans if outcome.spans is not None else SpanTable()
    results = _judge(_scope(test.expect, test, outcome, table, range(len(table))))
    for scenario in test.scenarios:
        if scenario.expect is not None:
            rows = [row for row, name in enumerate(table.scenario) if name == scenario.name]
            scope = _scope(scenario.expect, test, outcome, table, rows)
            results += _judge(replace(scope, scenario=scenario.name))
    return results


def _scope(
    expect: Expect, test: TestFile, outcome: TestOutcome, table: SpanTable, rows: range | list[int]
) -> Scope:
    return Scope(expect, SpanIndex(table, rows, framework_spans=expect.framework_spans), test, outcome)


def _judge(scope: Scope) -> list[ExpectationResult]:
    claims = [claim for kind in _KINDS for claim in kind(scope)]
    if _was_skipped(scope):
        claims = [replace(claim, look=_never_started, about_spans=False) for claim in claims]
    claims += _without_judge(scope)
    return [settle(claim, scope) for claim in _with_distinct_ids(claims)]


def _was_skipped(scope: Scope) -> bool:
    return any(s.name == scope.scenario and s.status == "skipped" for s in scope.outcome.scenarios)


def _never_started() -> Finding:
    return not_evaluated("the scenario was not started", "scenario skipped")


def _without_judge(scope: Scope) -> list[Claim]:
    """What a file may ask for and nobody evaluates: said, never passed."""
    return [
        Claim(
            id=block.id,
            kind=block.id.removeprefix("expect.").partition(".")[0].partition("[")[0],
            source=block.source,
            expected=None,
            look=partial(not_evaluated, f"`{block.id}` is not evaluated: {block.reason}", block.reason),
            about_spans=False,
        )
        for block in scope.expect.not_evaluated
    ]


def _with_distinct_ids(claims: list[Claim]) -> list[Claim]:
    """The second claim of an id, from a second table of its kind, becomes ``id#1``."""
    seen: Counter[str] = Counter()
    distinct: list[Claim] = []
    for claim in claims:
        number = seen[claim.id]
        seen[claim.id] += 1
        distinct.append(replace(claim, id=f"{claim.id}#{number}") if number else claim)
    return distinct
