"""What explains many edits and is none itself: other versions of a library or a schema, calls made at once.

Read from the tables that were compared; what has no times or no scopes to tell has no notes. A baseline keeps
neither, so that comparing with it costs nothing here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from clnrm_nb.diff.side import Side
    from clnrm_nb.spans.model import Scope
    from clnrm_nb.spans.table import SpanTable

__all__ = ["concurrency_notes", "schema_step", "scope_notes"]

_MOST_NOTES: Final = 5


def schema_step(baseline: Side, current: Side) -> str | None:
    """``1.20.0 → 1.26.0`` where both sides name the one schema they follow, and it is not the same."""
    if baseline.table is None or current.table is None:
        return None
    urls = [
        {scope.schema_url for scope in _scopes(table)} - {""} for table in (baseline.table, current.table)
    ]
    if any(len(told) != 1 for told in urls) or urls[0] == urls[1]:
        return None
    return " → ".join(_last(told.pop()) for told in urls)


def scope_notes(baseline: Side, current: Side) -> Iterator[str]:
    """Instrumentation scopes whose version or schema is another one.

    Examples: ``scope redis: version 1.0 → 1.1``, ``scope redis: schema 1.20.0 → 1.26.0``.
    """
    if baseline.table is None or current.table is None:
        return
    before, after = (
        {(scope.name, scope.version, scope.schema_url) for scope in _scopes(table)}
        for table in (baseline.table, current.table)
    )
    found = []
    for name in sorted({name for name, _, _ in before} & {name for name, _, _ in after}):
        for place, word in ((1, "version"), (2, "schema")):
            old, new = ({one[place] for one in told if one[0] == name} for told in (before, after))
            if old != new and "" not in old | new:
                ends = (", ".join(sorted(map(_last, told))) for told in (old, new))
                found.append(f"scope {name or '(no name)'}: {word} {' → '.join(ends)}")
    yield from found[:_MOST_NOTES]
    if len(found) > _MOST_NOTES:
        yield f"and {len(found) - _MOST_NOTES} more scopes of another version or schema"


def _scopes(table: SpanTable) -> Iterable[Scope]:
    """The scopes of a table, each object once, without reading its content."""
    return {id(scope): scope for scope in table.scope}.values()


def _last(text: str) -> str:
    """Of the address of a schema its version, which stands at its end."""
    return text.rstrip("/").rpartition("/")[2] or text


def concurrency_notes(baseline: Side, current: Side, forth: Sequence[int]) -> Iterator[str]:
    """Spans whose children ran one after the other on one side and at once on the other: no difference."""
    if baseline.table is None or current.table is None:
        return
    mine, theirs = _overlaps(baseline), _overlaps(current)
    for is_now, told in (
        (True, "run at once that ran one after the other"),
        (False, "no longer run at once"),
    ):
        here = [
            number
            for number, was in mine.items()
            if theirs.get(forth[number]) is is_now and was is not is_now
        ]
        if here:
            spans = "1 span" if len(here) == 1 else f"{len(here):,} spans"
            name = baseline.name(here[0]) if here[0] != baseline.n else "the top"
            yield f"children of {spans} {told} (the first is {name})"


def _overlaps(side: Side) -> dict[int, bool]:
    """For spans with several children whether two of these ran at once for half of the shorter one's time.

    Spans whose children overlap by less than that are left out: they are neither.
    """
    assert side.table is not None
    rows = [row for row in side.row[:-1] if row is not None]
    starts, ends = [side.table.start_ns[row] for row in rows], [side.table.end_ns[row] for row in rows]
    if len(rows) < side.n or None in starts or None in ends:
        return {}
    found: dict[int, bool] = {}
    for parent, children in enumerate(side.children):
        if len(children) > 1:
            at_once = _run_at_once(sorted((starts[child] or 0, ends[child] or 0) for child in children))
            if at_once is not None:
                found[parent] = at_once
    return found


def _run_at_once(times: Sequence[tuple[int, int]]) -> bool | None:
    """Whether two of these spans do; ``None`` if they overlap by too little to say."""
    is_doubtful = False
    until = times[0][1]
    for start, end in times[1:]:
        if 2 * (until - start) > end - start:
            return True
        is_doubtful |= until > start
        until = max(until, end)
    return None if is_doubtful else False
