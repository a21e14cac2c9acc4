"""``[expect.order]`` and ``[[expect.temporal]]`` (``format.md`` 7.6): what ended before what started.

The whole run counts, not one trace. A span never stands before itself, where both patterns match it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from clnrm_nb.expect.claim import NO_TIMESTAMPS, NOT_FOUND, Claim, Finding, failed, passed, plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clnrm_nb.expect.claim import Scope
    from clnrm_nb.expect.index import SpanIndex
    from clnrm_nb.scenario.model import NamePattern

__all__ = ["claims"]


def claims(scope: Scope) -> Iterator[Claim]:
    """One claim a pair."""
    for block in scope.expect.order:
        pairs = [("must_precede", position, a, b) for position, (a, b) in enumerate(block.must_precede)]
        pairs += [("must_follow", position, b, a) for position, (a, b) in enumerate(block.must_follow)]
        every = block.match == "all"
        for key, position, first, second in pairs:
            written = (first, second) if key == "must_precede" else (second, first)
            quantifier = f"for every `{second}` some" if every else "some"
            object_ = "it starts" if every else f"a `{second}` starts"
            yield Claim(
                f"order.{key}[{written[0]}→{written[1]}]",
                "order",
                (*block.source, key, position),
                f"{quantifier} `{first}` has ended when {object_}",
                partial(_judge, first, second, scope.index, every=every),
            )


def _judge(first: NamePattern, second: NamePattern, index: SpanIndex, *, every: bool) -> Finding:
    firsts, seconds = index.named(first), index.named(second)
    for pattern, rows in ((first, firsts), (second, seconds)):
        if not rows:
            return failed(f"no span `{pattern}` was received", None, reason=NOT_FOUND)
    ended = _by_end(firsts, index)
    started = [
        row for row in seconds if index.table.start_ns[row] is not None and _earliest(ended, row) is not None
    ]
    if not started:
        message = f"no `{first}` with an end and `{second}` with a start can be compared: no timestamps"
        return failed(message, None, [*firsts, *seconds], reason=NO_TIMESTAMPS)
    late = [row for row in started if not _is_after(row, ended, index)]
    if every and late:
        return failed(
            _late_text(late, started, ended, first, index), _gap(late[0], ended, index), _pair(late[0], ended)
        )
    if len(late) == len(started):
        latest = max(started, key=lambda row: (_start(index, row), -row))
        message = f"no `{second}` started after a `{first}` had ended; {_times_text(latest, ended, index)}"
        return failed(message, _gap(latest, ended, index), _pair(latest, ended))
    kept = next(row for row in started if _is_after(row, ended, index))
    return passed(
        _times_text(kept, ended, index), _gap(kept, ended, index), _pair(kept, ended), is_settled=not every
    )


def _by_end(rows: Sequence[int], index: SpanIndex) -> list[int]:
    """The two that end first: the second serves where the first is compared with itself."""
    known = [row for row in rows if index.table.end_ns[row] is not None]
    return sorted(known, key=lambda row: (_end(index, row), row))[:2]


def _earliest(ended: Sequence[int], row: int) -> int | None:
    return next((before for before in ended if before != row), None)


def _is_after(row: int, ended: Sequence[int], index: SpanIndex) -> bool:
    before = _earliest(ended, row)
    return before is not None and _end(index, before) <= _start(index, row)


def _pair(row: int, ended: Sequence[int]) -> list[int]:
    before = _earliest(ended, row)
    return [row] if before is None else [before, row]


def _late_text(
    late: Sequence[int], started: Sequence[int], ended: Sequence[int], first: NamePattern, index: SpanIndex
) -> str:
    of_how_many = f" ({len(late)} of {plural(len(started), 'span')})" if len(started) > 1 else ""
    return (
        f"no `{first}` had ended when {index.title(late[0])} started{of_how_many}; "
        f"{_times_text(late[0], ended, index)}"
    )


def _times_text(row: int, ended: Sequence[int], index: SpanIndex) -> str:
    before = _earliest(ended, row)
    assert before is not None
    return (
        f"the first `{index.table.name[before]}` ended at {index.offset_text(_end(index, before))}, "
        f"`{index.table.name[row]}` started at {index.offset_text(_start(index, row))}"
    )


def _gap(row: int, ended: Sequence[int], index: SpanIndex) -> str:
    """Time from the end of the first to the start of the second; negative when they overlap."""
    before = _earliest(ended, row)
    assert before is not None
    return f"{(_start(index, row) - _end(index, before)) / 1e6:+.3f} ms"


def _start(index: SpanIndex, row: int) -> int:
    start = index.table.start_ns[row]
    assert start is not None
    return start


def _end(index: SpanIndex, row: int) -> int:
    end = index.table.end_ns[row]
    assert end is not None
    return end
