"""``[expect]`` as :class:`~clnrm_nb.scenario.model.Expect`: records in, one canonical model out.

Older forms (:mod:`clnrm_nb.scenario.older`) add to the same :class:`ExpectParts`, so that whoever evaluates
expectations never sees a second spelling of anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from clnrm_nb.scenario.model import (
    AssertionExpectation,
    CountsExpectation,
    Expect,
    GraphExpectation,
    HermeticityExpectation,
    NotEvaluated,
    OrderExpectation,
    ResourceExpectation,
    SpanExpectation,
    StatusExpectation,
    TraceExpectation,
    WindowExpectation,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.scenario.findings import Findings
    from clnrm_nb.scenario.model import KeyPath
    from clnrm_nb.scenario.records import Record

__all__ = ["ExpectParts", "block_of", "build_expect"]

_WINDOW_BOUNDS = ("min_duration_ms", "max_duration_ms", "min_span_count", "max_span_count")


@dataclass(slots=True)
class ExpectParts:
    """Expectations of one scope while they are gathered."""

    allowed_hosts: Sequence[str]
    findings: Findings
    spans: list[SpanExpectation] = field(default_factory=list)
    counts: list[CountsExpectation] = field(default_factory=list)
    graph: list[GraphExpectation] = field(default_factory=list)
    windows: list[WindowExpectation] = field(default_factory=list)
    order: list[OrderExpectation] = field(default_factory=list)
    status: list[StatusExpectation] = field(default_factory=list)
    hermeticity: list[HermeticityExpectation] = field(default_factory=list)
    resources: list[ResourceExpectation] = field(default_factory=list)
    traces: list[TraceExpectation] = field(default_factory=list)
    assertions: list[AssertionExpectation] = field(default_factory=list)
    required_events: list[str] = field(default_factory=list)
    should_have_parent_child_edges: bool = False
    not_evaluated: list[NotEvaluated] = field(default_factory=list)
    framework_spans: bool = True

    def freeze(self) -> Expect:
        """The model."""
        return Expect(
            spans=tuple(self.spans),
            counts=tuple(self.counts),
            graph=tuple(self.graph),
            windows=tuple(self.windows),
            order=tuple(self.order),
            status=tuple(self.status),
            hermeticity=tuple(self.hermeticity),
            resources=tuple(self.resources),
            traces=tuple(self.traces),
            assertions=tuple(self.assertions),
            required_events=tuple(self.required_events),
            should_have_parent_child_edges=self.should_have_parent_child_edges,
            not_evaluated=tuple(self.not_evaluated),
            framework_spans=self.framework_spans,
        )

    # Each `add_…` takes the record of one table of that kind, whatever table of the file it came from.

    def add_expect(self, record: Record) -> None:
        """Everything in one ``[expect]``."""
        for span in record.get("span", ()):
            self.add_span(span)
        for counts in record.get("counts", ()):
            self.add_counts(counts)
        for graph in record.get("graph", ()):
            self.add_graph(graph)
        for window in record.get("window", ()):
            self.add_window(window)
        for order in record.get("order", ()):
            self.add_order(order)
        for temporal in record.get("temporal", ()):
            self.add_temporal(temporal)
        for status in record.get("status", ()):
            self.add_status(status)
        if "hermeticity" in record.values:
            self.add_hermeticity(record["hermeticity"])
        for resource in record.get("resource", ()):
            if {"type", "name"} <= resource.values.keys():
                self.resources.append(
                    ResourceExpectation(**block_of(resource), **resource.some("type", "name", "exists"))
                )
        self.framework_spans = record.get("framework_spans", self.framework_spans)
        self.skip(record.not_evaluated)

    def skip(self, paths: Sequence[KeyPath], prefix: str = "") -> None:
        """Note what asks for something and is not evaluated; the id is `prefix` and the key."""
        for path in paths:
            name = f"{prefix}{path[-1]}"
            self.not_evaluated.append(NotEvaluated(id=name, reason="not implemented", source=path))

    def add_span(self, record: Record) -> None:
        """``[[expect.span]]``."""
        if "name" not in record.values:
            return
        attrs_all, attrs_any = record.get("attrs", ((), ()))
        events_all, events_any = record.get("events", ((), ()))
        self.spans.append(
            SpanExpectation(
                **block_of(record),
                **record.some("name", "parent", "kind", "status", "duration_ms", "count", "exists", "match"),
                attrs_all=attrs_all,
                attrs_any=attrs_any,
                events_all=events_all,
                events_any=events_any,
            )
        )

    def add_counts(self, record: Record) -> None:
        """``[expect.counts]``."""
        self.counts.append(CountsExpectation(**block_of(record), **record.some(*_fields(CountsExpectation))))

    def add_graph(self, record: Record) -> None:
        """``[expect.graph]``."""
        self.graph.append(GraphExpectation(**block_of(record), **record.some(*_fields(GraphExpectation))))

    def add_window(self, record: Record) -> None:
        """``[[expect.window]]``: CLN304 for halves of a pair and for a window that asks nothing."""
        needs = [
            (other, key)
            for key, other in (("contains", "outer"), ("start_span", "end_span"), ("end_span", "start_span"))
            if key in record and other not in record
        ]
        for other, key in needs:
            self._missing(record.path, f"`{other}` beside `{key}`")
        if not needs and "contains" not in record and not any(bound in record for bound in _WINDOW_BOUNDS):
            self._missing(record.path, "`contains` or a bound")
        for low, high in (("min_duration_ms", "max_duration_ms"), ("min_span_count", "max_span_count")):
            lower, upper = record.get(low), record.get(high)
            if lower is not None and upper is not None and lower > upper:
                self.findings.add(
                    "CLN319", record.at(low), f"`{low}` {lower:g} is greater than `{high}` {upper:g}"
                )
        self.windows.append(WindowExpectation(**block_of(record), **record.some(*_fields(WindowExpectation))))

    def add_order(self, record: Record) -> None:
        """``[expect.order]``."""
        self.order.append(
            OrderExpectation(**block_of(record), **record.some("must_precede", "must_follow", "match"))
        )

    def add_temporal(self, record: Record) -> None:
        """``[[expect.temporal]]``: one ``must_precede`` pair."""
        if {"before", "after"} <= record.values.keys():
            block = block_of(record) | {"written": {"must_precede": record.path}}
            self.order.append(OrderExpectation(**block, must_precede=((record["before"], record["after"]),)))

    def add_status(self, record: Record) -> None:
        """``[expect.status]``: ``all_ok``, ``errors_allowed`` and ``error_count`` are lowered."""
        values = record.some("all", "none", "by_name", "failed_spans", "cleanup_must_succeed")
        written = record.respelled
        for older, key, asks, word in (
            ("all_ok", "all", True, "ok"),
            ("errors_allowed", "none", False, "error"),
        ):
            if record.get(older) is not asks:
                continue
            if key in record:
                self.findings.add("CLN309", record.at(older), f"`{key}` and `{older}` both given", part="key")
            values[key] = word
            written[key] = record.at(older)
        self.status.append(StatusExpectation(**(block_of(record) | {"written": written}), **values))
        if "error_count" in record.values:
            block = block_of(record) | {"written": {"errors_total": record.at("error_count")}}
            self.counts.append(CountsExpectation(**block, errors_total=record["error_count"]))

    def add_hermeticity(self, record: Record) -> None:
        """``[expect.hermeticity]``."""
        values = record.some(
            "resource_attrs", "sdk_resource_attrs", "allowed_images", "no_container_leakage",
            "no_network_leakage", "no_volume_leakage", "no_process_leakage",
        )  # fmt: skip
        written = record.respelled
        for key, asks in (
            ("no_external_services", True),
            ("network_isolation", True),
            ("allow_network", False),
        ):
            if record.get(key) is asks and "no_external_services" not in values:
                values["no_external_services"] = True
                written["no_external_services"] = record.at(key)
        self.hermeticity.append(
            HermeticityExpectation(
                **(block_of(record) | {"written": written | {"forbid_keys": record.at("span_attrs")}}),
                **values,
                forbid_keys=record.get("span_attrs", ()),
                allow_hosts=(*record.get("allow_hosts", ()), *self.allowed_hosts),
            )
        )
        self.skip(record.not_evaluated, "hermeticity.")

    def _missing(self, path: KeyPath, what: str) -> None:
        self.findings.add("CLN304", path, f"`[[expect.window]]` needs {what}", part="header")


def build_expect(record: Record, allowed_hosts: Sequence[str], findings: Findings) -> Expect:
    """The expectations of one ``expect`` table; `allowed_hosts` are added to those of its hermeticity."""
    parts = ExpectParts(allowed_hosts, findings)
    parts.add_expect(record)
    return parts.freeze()


def block_of(record: Record) -> dict[str, Any]:
    """What every block of the model keeps of its record."""
    description = record.get("description")
    return {
        "source": record.path,
        "written": record.respelled,
        "description": description if isinstance(description, str) else None,
    }


def _fields(model: type[Any]) -> tuple[str, ...]:
    return tuple(name for name in model.model_fields if name not in ("source", "written", "description"))
