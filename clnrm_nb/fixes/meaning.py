"""What a file asks for, whatever it is written in: two files mean the same iff their meanings are equal.

The typed test keeps some older forms apart (``required_events``, whole traces) and knows in which table a
bound was written. Neither changes a verdict. So expectations are brought into one form here: one block for
each thing that gets a result of its own (``format.md`` 7.1), older forms as what they stand for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.scenario.model import (
    CountsExpectation,
    GraphExpectation,
    NamePattern,
    SpanExpectation,
    StatusExpectation,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from clnrm_nb.scenario.model import Edge, Expect, TestFile, TraceExpectation

__all__ = ["EVERY_NAME", "as_edge", "meaning", "one_name"]

EVERY_NAME: Final = "*"
"""The pattern that every span of the program under test matches, and none of the runner's own."""
_OWN: Final = "clnrm"
_PLACES: Final = frozenset(("source", "written", "description"))


def meaning(test: TestFile) -> Any:
    """Everything but places and words for people, as JSON values to compare."""
    whole = test.model_copy(
        update={
            "expect": _normal(test.expect),
            "scenarios": tuple(
                one.model_copy(update={"expect": _normal(one.expect)}) if one.expect is not None else one
                for one in test.scenarios
            ),
        }
    )
    return _without_places(whole.model_dump(mode="json"))


def _without_places(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_places(item) for key, item in value.items() if key not in _PLACES}
    return [_without_places(item) for item in value] if isinstance(value, list) else value


def one_name(trace: TraceExpectation) -> NamePattern | None:
    """The name, where all that is asked of a trace is one span of that name."""
    if not _is_plain(trace) or trace.parent_child or len(set(trace.span_names)) != 1:
        return None
    return NamePattern.of(trace.span_names[0])


def as_edge(trace: TraceExpectation) -> Edge | None:
    """The edge, where all that is asked of a trace is one edge; more has to hold in *one* trace."""
    if not _is_plain(trace) or len(trace.parent_child) != 1:
        return None
    ends = {end.text for end in trace.parent_child[0] if end.mode != "regex"}
    return trace.parent_child[0] if ends.issuperset(trace.span_names) else None


def _is_plain(trace: TraceExpectation) -> bool:
    asks_more = trace.complete or trace.is_tree or trace.trace_id or trace.trace_count is not None
    texts = [*trace.span_names, *(end.text for edge in trace.parent_child for end in edge)]
    # A trace is of spans of the program alone; a name of the runner's own means another thing in `[expect]`.
    is_own = any(text.startswith(_OWN) for text in texts)
    return not (asks_more or is_own or (trace.ordered and len(trace.span_names) > 1))


def _normal(expect: Expect) -> Expect:
    edges = [edge for trace in expect.traces if (edge := as_edge(trace)) is not None]
    if expect.should_have_parent_child_edges:
        edges.append((NamePattern.of(EVERY_NAME), NamePattern.of(EVERY_NAME)))
    more = [
        *(SpanExpectation(name=name) for trace in expect.traces if (name := one_name(trace)) is not None),
        *(
            SpanExpectation(name=NamePattern.of(EVERY_NAME), events_all=(NamePattern.of(event),))
            for event in expect.required_events
        ),
    ]
    return expect.model_copy(
        update={
            "spans": (*expect.spans, *more),
            "counts": _sorted(one for block in expect.counts for one in _each_count(block)),
            "graph": _sorted(
                [
                    *(one for block in expect.graph for one in _each_shape(block)),
                    *(GraphExpectation(must_include=(edge,)) for edge in edges),
                ]
            ),
            "status": _sorted(one for block in expect.status for one in _each_status(block)),
            "traces": tuple(one for one in expect.traces if one_name(one) is None and as_edge(one) is None),
            "required_events": (),
            "should_have_parent_child_edges": False,
        }
    )


def _sorted(blocks: Iterable[Any]) -> tuple[Any, ...]:
    """Blocks of one kind in an order of their own: their results have ids that do not count."""
    return tuple(sorted(blocks, key=lambda block: block.model_dump_json(exclude=set(_PLACES))))


def _each_count(block: CountsExpectation) -> Iterator[CountsExpectation]:
    for key in ("spans_total", "events_total", "errors_total"):
        if (bound := getattr(block, key)) is not None:
            yield CountsExpectation.model_validate({key: bound})
    for key in ("by_name", "by_kind", "by_service"):
        for name, bound in getattr(block, key).items():
            yield CountsExpectation.model_validate({key: {name: bound}})


def _each_shape(block: GraphExpectation) -> Iterator[GraphExpectation]:
    for edge in block.must_include:
        yield GraphExpectation(must_include=(edge,), descendant=block.descendant)
    for edge in block.must_not_cross:
        yield GraphExpectation(must_not_cross=(edge,), mode=block.mode, allow_missing=block.allow_missing)
    for key in ("acyclic", "max_depth", "must_be_connected"):
        if (value := getattr(block, key)) is not None:
            yield GraphExpectation.model_validate({key: value})


def _each_status(block: StatusExpectation) -> Iterator[StatusExpectation]:
    if block.all is not None:
        # Spans that `by_name` speaks of are left out of `all`.
        yield StatusExpectation(all=block.all, by_name=block.by_name)
    for name, word in block.by_name.items():
        yield StatusExpectation(by_name={name: word})
    for key in ("none", "failed_spans", "cleanup_must_succeed"):
        if (value := getattr(block, key)) is not None:
            yield StatusExpectation.model_validate({key: value})
