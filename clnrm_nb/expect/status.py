"""``[expect.status]`` (``format.md`` 7.7): statuses of all spans, of some, and a clean teardown."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from clnrm_nb.expect.claim import (
    NOT_FOUND,
    NOT_HERMETIC,
    Claim,
    Finding,
    failed,
    not_evaluated,
    passed,
    plural,
)
from clnrm_nb.expect.values import shown
from clnrm_nb.scenario.model import NamePattern
from clnrm_nb.spans.model import STATUS_CODES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clnrm_nb.executor.outcome import TestOutcome
    from clnrm_nb.expect.claim import Scope
    from clnrm_nb.expect.index import SpanIndex
    from clnrm_nb.scenario.model import StatusExpectation, StatusWord

__all__ = ["claims"]


def claims(scope: Scope) -> Iterator[Claim]:
    """One claim a key, one a pattern of ``by_name``."""
    index = scope.index
    for block in scope.expect.status:
        if block.all is not None:
            look = partial(_all, block, block.all, index)
            yield Claim("status.all", "status", (*block.source, "all"), block.all, look)
        if block.none is not None:
            look = partial(_none, block.none, index)
            yield Claim("status.none", "status", (*block.source, "none"), f"no {block.none}", look)
        for name, word in block.by_name.items():
            look = partial(_by_name, NamePattern.of(name), word, index)
            yield Claim(f"status.by_name[{name}]", "status", (*block.source, "by_name", name), word, look)
        if block.failed_spans is not None:
            look = partial(_failed_spans, block.failed_spans, index)
            source = (*block.source, "failed_spans")
            yield Claim("status.failed_spans", "status", source, sorted(set(block.failed_spans)), look)
        if block.cleanup_must_succeed:
            look = partial(_cleanup, scope.outcome)
            source = (*block.source, "cleanup_must_succeed")
            yield Claim("status.cleanup_must_succeed", "status", source, [], look, about_spans=False)


def _all(block: StatusExpectation, word: StatusWord, index: SpanIndex) -> Finding:
    excepted = {row for name in block.by_name for row in index.named(NamePattern.of(name))}
    return _every([row for row in index.program if row not in excepted], word, index, "")


def _by_name(pattern: NamePattern, word: StatusWord, index: SpanIndex) -> Finding:
    rows = index.named(pattern)
    if not rows:
        return failed(f"no span `{pattern}` was received", None, reason=NOT_FOUND)
    return _every(rows, word, index, f" `{pattern}`")


def _every(rows: Sequence[int], word: StatusWord, index: SpanIndex, of_what: str) -> Finding:
    code, codes = STATUS_CODES.index(word), index.table.status_code
    others = [row for row in rows if codes[row] != code]
    total = plural(len(rows), "span")
    if not others:
        return passed(f"all of {total}{of_what} have status {word}", word, rows)
    found = sorted({STATUS_CODES[codes[row]] for row in others})
    verb = "has" if len(others) == 1 else "have"
    message = (
        f"{len(others)} of {total}{of_what} {verb} another status than {word}: {_titles_text(others, index)}"
    )
    return failed(message, " and ".join(found), others, is_settled=True)


def _none(word: StatusWord, index: SpanIndex) -> Finding:
    code, codes = STATUS_CODES.index(word), index.table.status_code
    bad = [row for row in index.program if codes[row] == code]
    if not bad:
        return passed(f"none of {plural(len(index.program), 'span')} has status {word}", 0)
    message = f"{plural(len(bad), 'span')} with status {word}: {_titles_text(bad, index)}"
    return failed(message, len(bad), bad, is_settled=True)


def _titles_text(rows: Sequence[int], index: SpanIndex) -> str:
    first = rows[0]
    word, text = STATUS_CODES[index.table.status_code[first]], index.table.status_message[first]
    detail = f"{index.title(first)} is {word}" + (f" ({shown(text)})" if text else "")
    return detail if len(rows) == 1 else f"{detail}; in all {index.names_text(rows)}"


def _failed_spans(wanted: Sequence[str], index: SpanIndex) -> Finding:
    code = STATUS_CODES.index("error")
    rows = [row for row in index.program if index.table.status_code[row] == code]
    expected, actual = set(wanted), {index.table.name[row] for row in rows}
    if expected == actual:
        return passed(
            f"exactly the expected spans failed: {index.names_text(rows) or 'none'}", sorted(actual), rows
        )
    parts = [
        f"{label}: {', '.join(f'`{name}`' for name in sorted(names))}"
        for label, names in (("failed unexpectedly", actual - expected), ("did not fail", expected - actual))
        if names
    ]
    return failed("; ".join(parts), sorted(actual), rows)


def _cleanup(outcome: TestOutcome) -> Finding:
    left = [f"{kind} `{name}`" for kind, name in sorted(outcome.leftovers)]
    if left:
        return failed(f"left behind by the test: {', '.join(left)}", left)
    if outcome.replayed:
        return not_evaluated("a replay starts nothing that could be left behind", NOT_HERMETIC)
    return passed("nothing was left behind", [])
