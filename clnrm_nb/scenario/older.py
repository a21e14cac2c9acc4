"""The older forms of expectations, lowered onto ``expect`` (``format.md`` 7.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clnrm_nb.scenario.expectations import block_of
from clnrm_nb.scenario.model import (
    AssertionExpectation,
    AttributeCheck,
    Bound,
    CountsExpectation,
    NotEvaluated,
    SpanExpectation,
    StatusExpectation,
    TraceExpectation,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clnrm_nb.scenario.expectations import ExpectParts
    from clnrm_nb.scenario.model import KeyPath
    from clnrm_nb.scenario.records import Record

__all__ = ["add_assertions", "add_otel_expectations", "add_otel_validation"]


def add_otel_validation(record: Record, parts: ExpectParts) -> None:
    """``[otel_validation]``; ``enabled = false`` takes all of it out."""
    if record.get("enabled") is False:
        return
    for span in record.get("expected_spans", ()):
        _add_expected_span(span, parts)
    for trace in record.get("expected_traces", ()):
        _add_expected_trace(trace, parts)
    for graph in record.get("expect_graph", ()):
        parts.add_graph(graph)
    for counts in record.get("expect_counts", ()):
        parts.add_counts(counts)
    for window in record.get("expect_windows", ()):
        parts.add_window(window)
    for order in record.get("expect_order", ()):
        parts.add_order(order)
    for status in record.get("expect_status", ()):
        parts.add_status(status)
    if "expect_hermeticity" in record.values:
        parts.add_hermeticity(record["expect_hermeticity"])
    parts.skip(record.not_evaluated, "otel_validation.")


def _add_expected_span(record: Record, parts: ExpectParts) -> None:
    if "name" not in record.values:
        return
    required_attributes = (
        AttributeCheck(key=key, exists=True) for key in record.get("required_attributes", ())
    )
    parts.spans.append(
        SpanExpectation(
            **block_of(record),
            **record.some("name", "parent", "is_root", "required"),
            attrs_all=(*record.get("attributes", ()), *required_attributes),
            duration_ms=_duration(record, parts),
            count=_count(record),
        )
    )


def _duration(record: Record, parts: ExpectParts) -> Bound | None:
    lower, upper = record.get("min_duration_ms"), record.get("max_duration_ms")
    if lower is None and upper is None:
        return None
    if lower is not None and upper is not None and lower > upper:
        parts.findings.add(
            "CLN319",
            record.at("min_duration_ms"),
            f"`min_duration_ms` {lower:g} is greater than `max_duration_ms` {upper:g}",
        )
    return Bound(gte=lower, lte=upper)


def _count(record: Record) -> Bound | None:
    """``count`` and ``min_count`` together."""
    count: Bound | None = record.get("count")
    at_least: int | None = record.get("min_count")
    if at_least is None:
        return count
    limits: dict[str, Any] = count.model_dump(exclude_none=True) if count else {}
    limits["gte"] = max(at_least, limits.get("gte", at_least))
    return Bound(**limits)


def _add_expected_trace(record: Record, parts: ExpectParts) -> None:
    parts.traces.append(
        TraceExpectation(
            **block_of(record),
            span_names=record.get("span_names", ()),
            **record.some("parent_child", "complete", "is_tree", "ordered", "trace_id", "trace_count"),
        )
    )


def add_otel_expectations(record: Record, parts: ExpectParts) -> None:
    """``[otel_expectations]``; keys it does not know are notes."""
    for key in ("minimum_spans", "expected_minimum_spans"):
        if key in record.values:
            block = block_of(record) | {"written": {"spans_total": record.at(key)}}
            parts.counts.append(CountsExpectation(**block, spans_total=Bound(gte=record[key])))
    if "expected_status" in record.values:
        block = block_of(record) | {"written": {"all": record.at("expected_status")}}
        parts.status.append(StatusExpectation(**block, all=record["expected_status"]))
    parts.required_events.extend(record.get("required_events", ()))
    parts.should_have_parent_child_edges |= record.get("should_have_parent_child_edges", False)


def add_assertions(entries: Iterable[tuple[str, Any, KeyPath]], parts: ExpectParts) -> None:
    """``[assertions]``: two keys are evaluated, every other one is reported as not evaluated."""
    for key, value, path in entries:
        if key == "container_should_have_executed_commands":
            parts.assertions.append(
                AssertionExpectation(key="container_should_have_executed_commands", value=value, source=path)
            )
        elif key == "execution_should_be_hermetic":
            # False asks for nothing.
            if value:
                parts.assertions.append(
                    AssertionExpectation(key="execution_should_be_hermetic", value=True, source=path)
                )
        else:
            name = f"assertions.{key}"
            parts.not_evaluated.append(NotEvaluated(id=name, reason="not implemented", source=path))
