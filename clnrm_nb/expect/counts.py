"""``[expect.counts]`` (``format.md`` 7.3): numbers of spans, events and errors.

Totals, kinds and services count the program under test only; ``by_name`` may name own spans.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from clnrm_nb.expect.claim import Claim, Finding, failed, passed, plural
from clnrm_nb.expect.values import bound_text, has_upper_limit
from clnrm_nb.scenario.model import NamePattern
from clnrm_nb.spans.model import KINDS, STATUS_CODES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from clnrm_nb.expect.claim import Scope
    from clnrm_nb.expect.index import SpanIndex
    from clnrm_nb.scenario.model import Bound, CountsExpectation

__all__ = ["claims"]

_ERROR = STATUS_CODES.index("error")


@dataclass(frozen=True, slots=True)
class _Number:
    """One number with a bound. ``rows`` gives a row for each thing counted."""

    key: tuple[str, ...]
    bound: Bound
    rows: Callable[[], Sequence[int]]
    noun: str = "span"
    of_what: str = ""
    is_detailed: bool = False
    """Whether a failure lists the names of what was counted."""


def claims(scope: Scope) -> Iterator[Claim]:
    """One claim a bound."""
    for block in scope.expect.counts:
        for number in (*_totals(block, scope.index), *_groups(block, scope.index)):
            name, *inner = number.key
            yield Claim(
                id=f"counts.{name}" + "".join(f"[{part}]" for part in inner),
                kind="counts",
                source=(*block.source, *number.key),
                expected=bound_text(number.bound),
                look=partial(_judge, number, scope.index),
            )


def _totals(block: CountsExpectation, index: SpanIndex) -> Iterator[_Number]:
    if block.spans_total is not None:
        yield _Number(("spans_total",), block.spans_total, lambda: index.program, is_detailed=True)
    if block.events_total is not None:
        yield _Number(("events_total",), block.events_total, partial(_event_rows, index), "event")
    if block.errors_total is not None:
        rows = partial(_error_rows, index)
        yield _Number(("errors_total",), block.errors_total, rows, "error", is_detailed=True)


def _groups(block: CountsExpectation, index: SpanIndex) -> Iterator[_Number]:
    for text, bound in block.by_name.items():
        rows = partial(index.named, NamePattern.of(text))
        yield _Number(("by_name", text), bound, rows, of_what=f" named `{text}`")
    for kind, bound in block.by_kind.items():
        rows = partial(_kind_rows, index, kind)
        yield _Number(("by_kind", kind), bound, rows, of_what=f" of kind {kind}", is_detailed=True)
    for service, bound in block.by_service.items():
        rows = partial(_service_rows, index, service)
        yield _Number(
            ("by_service", service), bound, rows, of_what=f" of service `{service}`", is_detailed=True
        )


def _judge(number: _Number, index: SpanIndex) -> Finding:
    rows, bound = number.rows(), number.bound
    message = f"{plural(len(rows), number.noun)}{number.of_what}, expected {bound_text(bound)}"
    if bound.holds(len(rows)):
        return passed(message, len(rows), rows, is_settled=not has_upper_limit(bound))
    if number.is_detailed and rows:
        message += f"; counted: {index.names_text(rows)}"
    elif not rows and (near := _nearest(number, index)):
        message += f"; did you mean `{near}`?"
    return failed(message, len(rows), rows)


def _nearest(number: _Number, index: SpanIndex) -> str | None:
    """What was probably meant by a name or service that nothing has."""
    if number.key[0] == "by_name":
        return index.nearest_name(NamePattern.of(number.key[1]))
    return None


def _event_rows(index: SpanIndex) -> list[int]:
    return [row for row in index.program for _ in index.table.events[row]]


def _error_rows(index: SpanIndex) -> list[int]:
    codes = index.table.status_code
    return [row for row in index.program if codes[row] == _ERROR]


def _kind_rows(index: SpanIndex, kind: str) -> list[int]:
    number, kinds = KINDS.index(kind), index.table.kind
    return [row for row in index.program if kinds[row] == number]


def _service_rows(index: SpanIndex, service: str) -> list[int]:
    resources = index.table.resource
    return [row for row in index.program if resources[row].service == service]
