"""Differences beside the canonical form: volatile items, durations, sibling order.

None of these takes part in matching or in the certificate. Volatile differences are listed, not counted, so
that nothing is lost; a key that one side never carries, as in a stored baseline, is counted as ignored only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from clnrm_nb.diff.drafts import Draft
from clnrm_nb.diff.model import COSTS
from clnrm_nb.spans.volatile import TEMPLATED, fate, keep

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clnrm_nb.diff.options import DiffOptions
    from clnrm_nb.diff.quieting import Quieting
    from clnrm_nb.diff.side import Side
    from clnrm_nb.spans.table import SpanTable

__all__ = ["extras"]

_Where = Literal["resource", "attribute"]
_What = Literal["resource", "attr"]

_WHERE: Final[dict[_What, _Where]] = {"resource": "resource", "attr": "attribute"}

_Difference = tuple[int, int, Any, Any]
"""One span in both sides, its old and its new value."""


class _Holders(NamedTuple):
    """Spans in both sides, what they or their resources said, and what they say."""

    pairs: Sequence[tuple[int, int]]
    old: Sequence[dict[str, Any]]
    new: Sequence[dict[str, Any]]


def extras(
    baseline: Side, current: Side, forth: Sequence[int], options: DiffOptions, quieting: Quieting
) -> list[Draft]:
    """Drafts of what the canonical form does not hold; needs both sides as tables."""
    if baseline.table is None or current.table is None:
        return []
    found = _volatile(baseline, current, baseline.table, current.table, forth)
    for draft in found:
        draft.counted = not options.volatile_defaults
    if not options.ignore_timestamps or quieting.asks("duration"):
        found.extend(_durations(baseline, current, forth, options, quieting))
    if options.order_sensitive or quieting.asks("order"):
        found.extend(_orders(baseline, current, forth, options, quieting))
    return found


def _rows(baseline: Side, current: Side, forth: Sequence[int]) -> Iterator[tuple[int, int, int, int]]:
    for i, j in enumerate(forth[:-1]):
        if j >= 0:
            row, row_b = baseline.row[i], current.row[j]
            assert row is not None
            assert row_b is not None
            yield i, j, row, row_b


def _volatile(baseline: Side, current: Side, a: SpanTable, b: SpanTable, forth: Sequence[int]) -> list[Draft]:
    """One draft a key, over all spans where it differs: where many do, they say nothing one by one."""
    keys = sorted(baseline.ignored.keys() & current.ignored.keys() | TEMPLATED.keys())
    pairs = [(i, j) for i, j in enumerate(forth[:-1]) if j >= 0]
    rows = [(baseline.row[i] or 0, current.row[j] or 0) for i, j in pairs]
    spans = _Holders(pairs, [a.attributes[row] for row, _ in rows], [b.attributes[row] for _, row in rows])
    old, new = [a.resource[row] for row, _ in rows], [b.resource[row] for _, row in rows]
    # Each two resources that paired spans have, at the first of those spans.
    both = list(zip(map(id, old), map(id, new), strict=True))
    first = sorted(dict(zip(reversed(both), range(len(both) - 1, -1, -1), strict=True)).values())
    resources = _Holders(
        [pairs[k] for k in first], [old[k].attributes for k in first], [new[k].attributes for k in first]
    )
    return [*_drafts("attr", keys, spans), *_drafts("resource", keys, resources)]


def _drafts(what: _What, keys: Sequence[str], holders: _Holders) -> Iterator[Draft]:
    where = _WHERE[what]
    for key in keys:
        rule = fate(where, key)
        if rule == "kept":
            continue
        old, new = [said.get(key) for said in holders.old], [said.get(key) for said in holders.new]
        if old == new:
            continue
        differences = [
            (*pair, before, after)
            for pair, before, after, was, now in zip(holders.pairs, old, new, *holders[1:], strict=True)
            if before != after and (rule == "dropped" or _is_alike(where, key, was, now))
        ]
        if differences:
            yield _volatile_draft(what, key, differences)


def _is_alike(where: _Where, key: str, old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether nothing is left of a difference once both sides are read as they are compared."""
    before, after = ({key: values[key]} if key in values else {} for values in (old, new))
    return keep(where, before) == keep(where, after)


def _volatile_draft(what: str, key: str, differences: Sequence[_Difference]) -> Draft:
    i, j, old, new = differences[0]
    is_new = all(before is None for _, _, before, _ in differences)
    is_gone = all(after is None for _, _, _, after in differences)
    op = f"{what}+" if is_new else f"{what}-" if is_gone else f"{what}~"
    if any((before, after) != (old, new) for _, _, before, after in differences):
        old = new = None
    return Draft(
        op=op,
        at=i,
        at_b=j,
        cost=COSTS[op],
        key=key,
        old=old,
        new=new,
        spans=tuple(i for i, _, _, _ in differences),
        spans_b=tuple(j for _, j, _, _ in differences),
        rule="volatile",
        reason="listed as differing from run to run with nothing changed",
        whole="" if len(differences) > 1 else None,
    )


def _durations(
    baseline: Side, current: Side, forth: Sequence[int], options: DiffOptions, quieting: Quieting
) -> Iterator[Draft]:
    a, b = baseline.table, current.table
    assert a is not None
    assert b is not None
    for i, j, row, row_b in _rows(baseline, current, forth):
        rule = quieting.check("duration", (i, j)) if quieting.asks("duration") else None
        if rule is None and options.ignore_timestamps:
            continue
        old, new = _duration_ms(a, row), _duration_ms(b, row_b)
        if old is None or new is None:
            continue
        floor_ms, ratio = options.duration_ms, options.duration_ratio
        if rule is not None:
            floor_ms, ratio = rule.value.get("floor_ms", 0.0), rule.value.get("ratio", 1.0)
        if abs(new - old) > floor_ms and max(old, new) > ratio * min(old, new):
            yield Draft(
                op="duration",
                at=i,
                at_b=j,
                cost=COSTS["duration"],
                old=round(old, 3),
                new=round(new, 3),
                spans=(i,),
                spans_b=(j,),
                rule=rule.id if rule else "duration",
                reason=rule.reason if rule else "it differs by more than both tolerances",
            )


def _duration_ms(table: SpanTable, row: int) -> float | None:
    """As :attr:`Span.duration_ms <clnrm_nb.spans.model.Span.duration_ms>`, without making the span."""
    start, end = table.start_ns[row], table.end_ns[row]
    return None if start is None or end is None or end < start else (end - start) / 1e6


def _orders(
    baseline: Side, current: Side, forth: Sequence[int], options: DiffOptions, quieting: Quieting
) -> Iterator[Draft]:
    for i, j in enumerate(forth):
        if j < 0 or len(baseline.children[i]) < 2 or i == baseline.n:  # noqa: PLR2004  # one has no order
            continue
        rule = quieting.check("order", (i, j)) if quieting.asks("order") else None
        if rule is None and not options.order_sensitive:
            continue
        stayed = [
            child
            for child in sorted(baseline.children[i], key=baseline.start.__getitem__)
            if forth[child] >= 0 and current.parent[forth[child]] == j
        ]
        mates = sorted((forth[child] for child in stayed), key=current.start.__getitem__)
        old = [baseline.name(child) for child in stayed]
        new = [current.name(child) for child in mates]
        if [forth[child] for child in stayed] != mates and old != new:
            yield Draft(
                op="order",
                at=i,
                at_b=j,
                cost=COSTS["order"],
                old=old,
                new=new,
                spans=(i,),
                spans_b=(j,),
                rule=rule.id if rule else "order",
                reason=rule.reason if rule else "its children start in another order",
            )
