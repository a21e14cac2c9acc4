"""Differences beside the canonical form: volatile items, durations, sibling order; and what does not count.

None of these takes part in matching or in the certificate. Volatile differences are listed, not counted, so
that nothing is lost; a key that one side never carries, as in a stored baseline, is counted as ignored only.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final, Literal

from clnrm_nb.diff.derive import Draft
from clnrm_nb.diff.model import COSTS
from clnrm_nb.spans.volatile import TEMPLATED, keep

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from collections.abc import Set as AbstractSet

    from clnrm_nb.diff.options import DiffOptions
    from clnrm_nb.diff.side import Side
    from clnrm_nb.spans.table import SpanTable

__all__ = ["extras", "quiet"]

_ATTRIBUTE_OPS: Final = frozenset({"attr~", "attr+", "attr-", "event~"})


def extras(baseline: Side, current: Side, forth: Sequence[int], options: DiffOptions) -> list[Draft]:
    """Drafts of what the canonical form does not hold; needs both sides as tables."""
    if baseline.table is None or current.table is None:
        return []
    found = _volatile(baseline, current, baseline.table, current.table, forth)
    for draft in found:
        draft.counted = not options.volatile_defaults
    if not options.ignore_timestamps:
        found.extend(_durations(baseline, current, forth, options))
    if options.order_sensitive:
        found.extend(_orders(baseline, current, forth))
    return found


def quiet(drafts: Sequence[Draft], options: DiffOptions) -> None:
    """Mark drafts that a setting takes out of the count."""
    if not options.ignore_attributes and not options.attributes:
        return
    for draft in drafts:
        if draft.op in _ATTRIBUTE_OPS and draft.key is not None:
            key = draft.key
            if draft.op != "event~" and any(fnmatchcase(key, glob) for glob in options.ignore_attributes):
                draft.counted, draft.rule = False, "ignore_attributes"
            elif draft.op == "attr~" and _tolerated(key, draft.old, draft.new, options):
                draft.counted, draft.rule = False, "tolerance"


def _tolerated(key: str, old: Any, new: Any, options: DiffOptions) -> bool:
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in (old, new)):
        return False
    for glob, (absolute, relative) in options.attributes.items():
        if fnmatchcase(key, glob):
            return bool(abs(new - old) <= max(absolute, relative * abs(old)))
    return False


def _rows(baseline: Side, current: Side, forth: Sequence[int]) -> Iterator[tuple[int, int, int, int]]:
    for i, j in enumerate(forth[:-1]):
        if j >= 0:
            row, row_b = baseline.row[i], current.row[j]
            assert row is not None
            assert row_b is not None
            yield i, j, row, row_b


def _volatile(baseline: Side, current: Side, a: SpanTable, b: SpanTable, forth: Sequence[int]) -> list[Draft]:
    """One draft a key, over all spans where it differs: where many do, they say nothing one by one."""
    shared = baseline.ignored.keys() & current.ignored.keys() | TEMPLATED.keys()
    found: dict[tuple[str, str], Draft] = {}
    pairs: dict[tuple[str, str], list[tuple[int, int]]] = {}
    seen: set[tuple[int, int]] = set()
    for i, j, row, row_b in _rows(baseline, current, forth):
        old, new = a.attributes[row], b.attributes[row_b]
        if old != new:
            for key, before, after in _dropped(old, new, "attribute", shared):
                pairs.setdefault(("attr", key), []).append((i, j))
                _note(found, ("attr", key), old=before, new=after)
        resource, resource_b = a.resource[row], b.resource[row_b]
        if resource is not resource_b and (id(resource), id(resource_b)) not in seen:
            seen.add((id(resource), id(resource_b)))
            old, new = resource.attributes, resource_b.attributes
            for key, before, after in _dropped(old, new, "resource", shared):
                pairs.setdefault(("resource", key), []).append((i, j))
                _note(found, ("resource", key), old=before, new=after)
    for name, draft in found.items():
        draft.at, draft.at_b = pairs[name][0]
        draft.spans, draft.spans_b = tuple(i for i, _ in pairs[name]), tuple(j for _, j in pairs[name])
        draft.whole = "" if len(draft.spans) > 1 else None
    return [found[name] for name in sorted(found)]


def _dropped(
    old: dict[str, Any],
    new: dict[str, Any],
    where: Literal["resource", "attribute"],
    shared: AbstractSet[str],
) -> Iterator[tuple[str, Any, Any]]:
    keys = [key for key in shared if (key in old or key in new) and old.get(key) != new.get(key)]
    if keys:
        kept = keep(where, {key: old[key] for key in keys if key in old})
        kept_b = keep(where, {key: new[key] for key in keys if key in new})
        for key in keys:
            if kept.get(key) == kept_b.get(key):
                yield key, old.get(key), new.get(key)


def _note(
    found: dict[tuple[str, str], Draft],
    name: tuple[str, str],
    *,
    old: Any,
    new: Any,
) -> None:
    what, key = name
    draft = found.get(name)
    op = f"{what}+" if old is None else f"{what}-" if new is None else f"{what}~"
    if draft is None:
        found[name] = Draft(
            op=op,
            at=None,
            at_b=None,
            cost=COSTS[op],
            key=key,
            old=old,
            new=new,
            rule="volatile",
            reason="listed as differing from run to run with nothing changed",
        )
        return
    draft.op = draft.op if draft.op == op else f"{what}~"
    if (draft.old, draft.new) != (old, new):
        draft.old = draft.new = None


def _durations(baseline: Side, current: Side, forth: Sequence[int], options: DiffOptions) -> Iterator[Draft]:
    a, b = baseline.table, current.table
    assert a is not None
    assert b is not None
    for i, j, row, row_b in _rows(baseline, current, forth):
        old, new = a.span(row).duration_ms, b.span(row_b).duration_ms
        if old is None or new is None:
            continue
        far = abs(new - old) > options.duration_ms
        if far and max(old, new) > options.duration_ratio * min(old, new):
            yield Draft(
                op="duration",
                at=i,
                at_b=j,
                cost=COSTS["duration"],
                old=round(old, 3),
                new=round(new, 3),
                spans=(i,),
                spans_b=(j,),
                rule="duration",
                reason="it differs by more than both tolerances",
            )


def _orders(baseline: Side, current: Side, forth: Sequence[int]) -> Iterator[Draft]:
    for i, j in enumerate(forth):
        if j < 0 or len(baseline.children[i]) < 2 or i == baseline.n:  # noqa: PLR2004
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
                rule="order",
                reason="its children start in another order",
            )
