"""``[[expect.span]]`` and ``required_events`` (``format.md`` 7.2, 7.9).

A block is a list of checks on the spans of one name. By default *one* candidate must meet them all; the
failure then tells of the candidate that came closest, and what it lacks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from clnrm_nb.expect.claim import (
    NO_TIMESTAMPS,
    NOT_FOUND,
    Claim,
    Finding,
    failed,
    not_evaluated,
    passed,
    plural,
)
from clnrm_nb.expect.index import name_test
from clnrm_nb.expect.values import (
    attribute_test,
    bound_text,
    comparison_text,
    describe_attribute,
    has_upper_limit,
    shown,
)
from clnrm_nb.scenario.model import NamePattern
from clnrm_nb.spans.model import KINDS, STATUS_CODES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from clnrm_nb.expect.claim import Scope
    from clnrm_nb.expect.index import SpanIndex
    from clnrm_nb.scenario.model import AttributeCheck, Bound, SpanExpectation

__all__ = ["claims"]

_EVENTS_SHOWN = 8


@dataclass(frozen=True, slots=True)
class _Check:
    """One thing a candidate must be, in words and as tests of a row."""

    text: str
    holds: Callable[[int], bool]
    actual: Callable[[int], str]
    is_duration: bool = False


def claims(scope: Scope) -> Iterator[Claim]:
    """One claim a block; one a required event."""
    for position, block in enumerate(scope.expect.spans):
        checks = _checks(block, scope.index)
        yield Claim(
            id=f"span[{block.name}]#{position}",
            kind="span",
            source=block.source,
            expected=_expected_text(block, checks),
            look=partial(_look, block, checks, scope.index),
        )
    for name in scope.expect.required_events:
        yield Claim(
            id=f"required_events[{name}]",
            kind="span",
            source=("otel_expectations", "required_events"),
            expected=f"some span with an event `{name}`",
            look=partial(_required_event, NamePattern.of(name), scope.index),
        )


def _expected_text(block: SpanExpectation, checks: Sequence[_Check]) -> str:
    wanted = f"`{block.name}`" + (f" with {', '.join(check.text for check in checks)}" if checks else "")
    if block.count is not None:
        return f"{bound_text(block.count)} spans {wanted}"
    if block.exists is False:
        return f"no span {wanted}"
    return f"every span {wanted}" if block.match == "all" else f"a span {wanted}"


def _look(block: SpanExpectation, checks: Sequence[_Check], index: SpanIndex) -> Finding:
    candidates = index.named(block.name)
    if not candidates and not block.required:
        return not_evaluated(f"no span is named `{block.name}`; it is not required", NOT_FOUND)
    if block.count is not None or block.exists is False:
        return _judge_number(block, checks, candidates, index)
    if not candidates:
        return failed(f"no span is named `{block.name}`{_hint(block.name, index)}", None, reason=NOT_FOUND)
    if block.match == "all":
        return _judge_every(block, checks, candidates, index)
    for row in candidates:
        if all(check.holds(row) for check in checks):
            message = f"{index.title(row)} meets {plural(len(checks), 'check')}"
            return passed(message, index.table.name[row], [row], is_settled=True)
    return _nothing_fits(block, checks, candidates, index)


# ------------------------------------------------------------------------------------------- findings


def _hint(name: NamePattern, index: SpanIndex) -> str:
    near = index.nearest_name(name)
    guess = f"; did you mean `{near}`?" if near else ""
    return f" among {plural(len(index.program), 'span')} received{guess}"


def _nothing_fits(
    block: SpanExpectation, checks: Sequence[_Check], candidates: Sequence[int], index: SpanIndex
) -> Finding:
    best, unmet = _best(checks, candidates)
    met = f"meets {len(checks) - len(unmet)} of {len(checks)}, unmet: {_unmet_text(best, unmet)}"
    if len(candidates) == 1:
        message = f"the only span named {index.title(best)} {met}"
    else:
        message = (
            f"none of {len(candidates)} spans named `{block.name}` meets all {plural(len(checks), 'check')}; "
            f"closest: {index.title(best)} {met}"
        )
    return failed(message, _unmet_text(best, unmet), [best], reason=_reason(best, unmet, index))


def _judge_every(
    block: SpanExpectation, checks: Sequence[_Check], candidates: Sequence[int], index: SpanIndex
) -> Finding:
    bad = [row for row in candidates if not all(check.holds(row) for check in checks)]
    if not bad:
        message = f"all {plural(len(candidates), 'span')} named `{block.name}` meet all checks"
        return passed(message, len(candidates), candidates)
    worst = bad[0]
    unmet = [check for check in checks if not check.holds(worst)]
    message = (
        f"{len(bad)} of {plural(len(candidates), 'span')} named `{block.name}` "
        f"{'does' if len(bad) == 1 else 'do'} not meet all checks; first: "
        f"{index.title(worst)}: {_unmet_text(worst, unmet)}"
    )
    return failed(
        message, _unmet_text(worst, unmet), bad, reason=_reason(worst, unmet, index), is_settled=True
    )


def _judge_number(
    block: SpanExpectation, checks: Sequence[_Check], candidates: Sequence[int], index: SpanIndex
) -> Finding:
    """The block passes on the number of fitting candidates alone.

    A candidate whose duration is unknown, and that meets everything else, may or may not count: the block
    fails with ``no timestamps`` unless the verdict is the same either way.
    """
    fitting = [row for row in candidates if all(check.holds(row) for check in checks)]
    undecided = _undecided(block, checks, candidates, index)
    holds = _number_test(block)
    number = len(fitting)
    possible = [holds(number + more) for more in range(len(undecided) + 1)]
    subject = f"{plural(number, 'span')} named `{block.name}`" + (" with all checks met" if checks else "")
    if any(possible) and not all(possible):
        message = f"{subject}, and {plural(len(undecided), 'more')} of unknown duration: no timestamps"
        return failed(message, number, undecided, reason=NO_TIMESTAMPS)
    wanted = bound_text(block.count) if block.count is not None else "none"
    if holds(number):
        is_settled = (
            block.exists is not False and block.count is not None and not has_upper_limit(block.count)
        )
        return passed(f"{subject}, expected {wanted}", number, fitting, is_settled=is_settled)
    details = "".join(f"; {index.title(row)}" for row in fitting[:1])
    others = [row for row in candidates if row not in set(fitting)]
    if others and _is_too_few(block.count, number):
        best, unmet = _best(checks, others)
        details = f"; closest of the others: {index.title(best)}, unmet: {_unmet_text(best, unmet)}"
    return failed(f"{subject}, expected {wanted}{details}", number, fitting or others[:1])


def _undecided(
    block: SpanExpectation, checks: Sequence[_Check], candidates: Sequence[int], index: SpanIndex
) -> list[int]:
    if block.duration_ms is None:
        return []
    unknown = [row for row in candidates if index.duration_ms(row) is None]
    others = [check for check in checks if not check.is_duration]
    return [row for row in unknown if all(check.holds(row) for check in others)]


def _number_test(block: SpanExpectation) -> Callable[[int], bool]:
    def holds(number: int) -> bool:
        if block.exists is not None and block.exists != (number > 0):
            return False
        return block.count is None or block.count.holds(number)

    return holds


def _is_too_few(bound: Bound | None, number: int) -> bool:
    if bound is None:
        return False
    least = [limit for limit in (bound.eq, bound.gt, bound.gte) if limit is not None]
    return any(number <= limit for limit in least)


def _best(checks: Sequence[_Check], candidates: Sequence[int]) -> tuple[int, list[_Check]]:
    """The candidate that meets most checks (the earliest of equals), and those it does not meet."""
    met = [0] * len(candidates)
    for check in checks:
        met = [number + check.holds(row) for number, row in zip(met, candidates, strict=True)]
    best = candidates[met.index(max(met))]
    return best, [check for check in checks if not check.holds(best)]


def _unmet_text(row: int, unmet: Sequence[_Check]) -> str:
    return ", ".join(f"{check.text} (is {check.actual(row)})" for check in unmet)


def _reason(row: int, unmet: Sequence[_Check], index: SpanIndex) -> str | None:
    is_timeless = any(check.is_duration for check in unmet) and index.duration_ms(row) is None
    return NO_TIMESTAMPS if is_timeless else None


# --------------------------------------------------------------------------------------------- checks


def _checks(block: SpanExpectation, index: SpanIndex) -> list[_Check]:
    checks = list(_structure_checks(block, index))
    checks += [_attribute_check(check, index) for check in block.attrs_all]
    if block.attrs_any:
        checks.append(_any_attribute_check(block.attrs_any, index))
    checks += [_event_check("events.all", [pattern], index) for pattern in block.events_all]
    if block.events_any:
        checks.append(_event_check("events.any", block.events_any, index))
    if block.duration_ms is not None:
        checks.append(_duration_check(block.duration_ms, index))
    return checks


def _structure_checks(block: SpanExpectation, index: SpanIndex) -> Iterator[_Check]:
    table = index.table
    if block.parent is not None:
        yield _parent_check(block.parent, index)
    if block.is_root is not None:
        is_root = block.is_root

        def actual_root(row: int) -> str:
            return f"a child of {table.parent_span_id[row]}" if table.parent_span_id[row] else "a root"

        yield _Check(
            "a root" if is_root else "not a root",
            lambda row: (_program_parent(index, row) is None) is is_root,
            actual_root,
        )
    if block.kind is not None:
        kind = KINDS.index(block.kind)
        yield _Check(
            f"kind {block.kind}", lambda row: table.kind[row] == kind, lambda row: KINDS[table.kind[row]]
        )
    if block.status is not None:
        code = STATUS_CODES.index(block.status)
        yield _Check(
            f"status {block.status}",
            lambda row: table.status_code[row] == code,
            lambda row: _status_text(index, row),
        )


def _program_parent(index: SpanIndex, row: int) -> str | None:
    """The parent's id; ``None`` for a root, and below the span the runner injected by ``TRACEPARENT``."""
    above = index.parent[row]
    is_injected = above is not None and index.table.own[above] and not index.table.own[row]
    return None if is_injected else index.table.parent_span_id[row]


def _status_text(index: SpanIndex, row: int) -> str:
    word, message = STATUS_CODES[index.table.status_code[row]], index.table.status_message[row]
    return f"{word}: {shown(message)}" if message else word


def _parent_check(pattern: NamePattern, index: SpanIndex) -> _Check:
    matching = set(index.named(pattern))

    def actual(row: int) -> str:
        above = index.parent[row]
        if above is not None:
            return f"`{index.table.name[above]}`"
        return "not received" if index.table.parent_span_id[row] else "a root"

    return _Check(f"parent `{pattern}`", lambda row: index.parent[row] in matching, actual)


def _attribute_check(check: AttributeCheck, index: SpanIndex) -> _Check:
    test, attributes = attribute_test(check), index.table.attributes
    return _Check(
        describe_attribute(check),
        lambda row: test(attributes[row]),
        lambda row: _attribute_text(index, row, check.key),
    )


def _any_attribute_check(checks: Sequence[AttributeCheck], index: SpanIndex) -> _Check:
    tests, attributes = [attribute_test(check) for check in checks], index.table.attributes
    keys = sorted({check.key for check in checks})
    return _Check(
        f"any of [{', '.join(map(describe_attribute, checks))}]",
        lambda row: any(test(attributes[row]) for test in tests),
        lambda row: ", ".join(f"{key} {_attribute_text(index, row, key)}" for key in keys),
    )


def _attribute_text(index: SpanIndex, row: int, key: str) -> str:
    attributes = index.table.attributes[row]
    return shown(attributes[key]) if key in attributes else "absent"


def _event_check(key: str, patterns: Sequence[NamePattern], index: SpanIndex) -> _Check:
    tests, events = [name_test(pattern) for pattern in patterns], index.table.events

    def holds(row: int) -> bool:
        return any(test(event.name) for event in events[row] for test in tests)

    def actual(row: int) -> str:
        names = sorted({event.name for event in events[row]})
        more = ", …" if len(names) > _EVENTS_SHOWN else ""
        return f"events {', '.join(names[:_EVENTS_SHOWN])}{more}" if names else "without events"

    return _Check(f"{key} {' or '.join(f'`{pattern}`' for pattern in patterns)}", holds, actual)


def _duration_check(bound: Bound, index: SpanIndex) -> _Check:
    def holds(row: int) -> bool:
        duration_ms = index.duration_ms(row)
        return duration_ms is not None and bound.holds(duration_ms)

    def actual(row: int) -> str:
        duration_ms = index.duration_ms(row)
        return "unknown: no timestamps" if duration_ms is None else comparison_text(duration_ms)

    return _Check(f"duration_ms {bound_text(bound)}", holds, actual, is_duration=True)


def _required_event(pattern: NamePattern, index: SpanIndex) -> Finding:
    check = _event_check("event", [pattern], index)
    for row in index.program:
        if check.holds(row):
            return passed(f"{index.title(row)} has an event `{pattern}`", None, [row], is_settled=True)
    received = sorted({event.name for row in index.program for event in index.table.events[row]})
    names = (
        f"the events received are {', '.join(received[:_EVENTS_SHOWN])}"
        if received
        else "no event was received"
    )
    return failed(f"no span has an event `{pattern}`; {names}", received[:_EVENTS_SHOWN], reason=NOT_FOUND)
