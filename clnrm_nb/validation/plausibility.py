"""Expectations that cannot come true, and names that nothing knows: CLN407, CLN414."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from clnrm_nb.config.nearest import nearest
from clnrm_nb.scenario.model import NamePattern
from clnrm_nb.scenario.offers import meant_word
from clnrm_nb.validation.walk import all_expects

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from clnrm_nb.scenario.findings import Findings
    from clnrm_nb.scenario.model import Bound, CountsExpectation, Expect, KeyPath, SpanExpectation, TestFile
    from clnrm_nb.scenario.parse import Parsed

__all__ = ["check_plausibility"]

_MAX_COMPARED: Final = 10_000
"""Pairs of names looked at for a slip (some 10 µs each, 2026-11)."""


def check_plausibility(
    test: TestFile, parsed: Parsed, findings: Findings, *, known_spans: Collection[str] = ()
) -> None:
    """Expectations that can never pass; names in graph, order and window that no expectation knows.

    Parameters
    ----------
    test, parsed
        The file, and its document (asked for places only where a name is unknown).
    findings : Findings
        Collects what is found.
    known_spans : collection of str
        Names in the accepted baseline or the last stored trace of the test.
    """
    for expect in all_expects(test):
        _check_possible(expect, findings)
    _check_names(test, parsed, findings, known_spans)


# --------------------------------------------------------------------------------------------- CLN407


def _check_possible(expect: Expect, findings: Findings) -> None:
    for counts in expect.counts:
        _check_counts(counts, findings)
    for span in expect.spans:
        _check_span(span, findings)
    for graph in expect.graph:
        if graph.max_depth == 0:
            _never(graph.path_of("max_depth"), "`max_depth = 0`", findings)
        for index, edge in enumerate(graph.must_include):
            if edge in graph.must_not_cross and all(end.mode == "exact" for end in edge):
                _never(
                    graph.path_of("must_include", index), "an edge that `must_not_cross` forbids", findings
                )
    for status in expect.status:
        if status.all is not None and status.all == status.none:
            _never(status.path_of("none"), f'`none` beside `all = "{status.all.upper()}"`', findings)


def _check_counts(counts: CountsExpectation, findings: Findings) -> None:
    # Zero spans fail every span expectation, so a total that allows only zero can never pass.
    for key, least in (("spans_total", 1), ("events_total", 0), ("errors_total", 0)):
        bound: Bound | None = getattr(counts, key)
        if bound is not None and not _allows(bound, least):
            _never(counts.path_of(key), _said(key, bound), findings)
    for table in ("by_name", "by_kind", "by_service"):
        for name, bound in getattr(counts, table).items():
            if not _allows(bound, 0):
                _never(counts.path_of(table, name), _said(name, bound), findings)


def _check_span(span: SpanExpectation, findings: Findings) -> None:
    if span.count is None:
        return
    if not _allows(span.count, 0):
        _never(span.path_of("count"), _said("count", span.count), findings)
    elif span.exists is False and not span.count.holds(0):
        _never(span.path_of("count"), f"`exists = false` with {_said('count', span.count)}", findings)


def _allows(bound: Bound, least: int) -> bool:
    """Whether some whole number of at least `least` keeps within `bound`."""
    lowest = max(
        least,
        math.ceil(bound.gte) if bound.gte is not None else least,
        math.floor(bound.gt) + 1 if bound.gt is not None else least,
    )
    return bound.holds(bound.eq if bound.eq is not None and bound.eq >= least else lowest)


def _said(key: str, bound: Bound) -> str:
    return f"`{key} {bound}`"


def _never(path: KeyPath, what: str, findings: Findings) -> None:
    findings.add("CLN407", path, f"{what} can never pass")


# --------------------------------------------------------------------------------------------- CLN414


def _check_names(test: TestFile, parsed: Parsed, findings: Findings, known_spans: Collection[str]) -> None:
    if not any(
        span.source[:1] != ("otel_validation",) for expect in all_expects(test) for span in expect.spans
    ):
        return
    known = dict.fromkeys((*_known_names(test), *(NamePattern(text=name) for name in known_spans)))
    wide = [name for name in known if name.mode != "exact"]
    unknown: dict[NamePattern, list[KeyPath]] = {}
    for pattern, path in _used_names(test):
        if not pattern.text.startswith("clnrm.") and not _is_known(pattern, known, wide):
            unknown.setdefault(pattern, []).append(path)
    names = [name.text for name in known] if len(known) * len(unknown) <= _MAX_COMPARED else []
    for pattern, paths in unknown.items():
        first = min(paths, key=parsed.positions.find)
        guess = nearest(pattern.text, names)
        meant = f"; did you mean `{guess}`?" if guess else ""
        message = f"no expectation or stored trace knows the span `{pattern.text}`{meant}"
        repair = meant_word(first, pattern.text, names)
        findings.add("CLN414", first, message, repair=repair)


def _is_known(pattern: NamePattern, known: Collection[NamePattern], wide: Collection[NamePattern]) -> bool:
    """Whether `pattern` is one of `known` or meets one; `wide` are those that match more than one name."""
    if pattern in known or any(name.matches(pattern.text) for name in wide):
        return True
    return pattern.mode != "exact" and any(pattern.matches(name.text) for name in known)


def _known_names(test: TestFile) -> Iterator[NamePattern]:
    for service in test.services.values():
        if service.wait_for_span is not None:
            yield service.wait_for_span
    for expect in all_expects(test):
        yield from (span.name for span in expect.spans)
        names = (name for block in expect.counts for name in block.by_name)
        yield from map(NamePattern.of, names)
        names = (name for block in expect.status for name in block.by_name)
        yield from map(NamePattern.of, names)


def _used_names(test: TestFile) -> Iterator[tuple[NamePattern, KeyPath]]:
    for expect in all_expects(test):
        for block in (*expect.graph, *expect.order):
            for key in ("must_include", "must_not_cross", "must_precede", "must_follow"):
                for index, edge in enumerate(getattr(block, key, ())):
                    for end, pattern in enumerate(edge):
                        yield pattern, block.path_of(key, index, end)
        for window in expect.windows:
            for key in ("outer", "start_span", "end_span"):
                pattern = getattr(window, key)
                if pattern is not None:
                    yield pattern, window.path_of(key)
            for index, pattern in enumerate(window.contains):
                yield pattern, window.path_of("contains", index)
