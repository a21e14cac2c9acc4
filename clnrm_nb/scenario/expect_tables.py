"""What the expectation tables may hold, as data (``format.md`` 7), the older forms of 7.9 included."""

from __future__ import annotations

from typing import Final

from clnrm_nb.scenario.expect_kinds import (
    BOUND_WORDS,
    GLOB,
    Assertions,
    AttributeChecks,
    Attributes,
    BoundOf,
    ByName,
    EdgeOf,
    EventChecks,
    ForbiddenKeys,
    MustMatch,
)
from clnrm_nb.scenario.kinds import ArrayOf, Flag, Num, Pattern, Text, Whole, Word
from clnrm_nb.scenario.records import NOTES, Ignored, Key, Table, TableOf, TablesOf

__all__ = ["ASSERTIONS", "EXPECT", "OTEL_EXPECTATIONS", "OTEL_VALIDATION"]

UINT: Final = Whole(minimum=0)
NAMES: Final = ArrayOf(Text(blank=False), expected="array of strings")
PATTERNS: Final = ArrayOf(Pattern(), expected="array of strings")
EDGES: Final = ArrayOf(EdgeOf(), expected="array of edges")
COUNT: Final = BoundOf(Whole())
STATUS_WORD: Final = Word(("unset", "ok", "error"), "status", any_case=True, preferred=str.upper)
KIND_WORD: Final = Word(
    ("internal", "server", "client", "producer", "consumer", "unspecified"), "span kind", any_case=True
)
ANY_OR_ALL: Final = Word(("any", "all"), "match rule")


def _table(
    title: str, *keys: Key, ignored: tuple[Ignored, ...] = (), exclusive: tuple[tuple[str, ...], ...] = ()
) -> Table:
    """An expectation table: `keys`, and the notes that every such table may carry."""
    names = {key.name for key in keys}
    return Table(title, (*keys, *(note for note in NOTES if note.name not in names)), ignored, exclusive)


SPAN: Final = _table(
    "expect.span",
    Key("name", Pattern(), required=True),
    Key("parent", Pattern()),
    Key("kind", KIND_WORD),
    Key("status", STATUS_WORD),
    Key("attrs", Attributes(), aliases=("attributes",)),
    Key("events", EventChecks()),
    Key("duration_ms", BoundOf(Num())),
    Key("count", COUNT),
    Key("exists", Flag()),
    Key("match", ANY_OR_ALL),
)
COUNTS: Final = _table(
    "expect.counts",
    Key("spans_total", COUNT, aliases=("spans",)),
    Key("events_total", COUNT),
    Key("errors_total", COUNT),
    Key("by_name", ByName(COUNT, GLOB, BOUND_WORDS)),
    Key("by_kind", ByName(COUNT, KIND_WORD, BOUND_WORDS), aliases=("spans_by_kind", "spans_per_kind")),
    Key("by_service", ByName(COUNT, Text(blank=False), BOUND_WORDS), aliases=("spans_per_service",)),
)
GRAPH: Final = _table(
    "expect.graph",
    Key("must_include", EDGES, aliases=("edges", "parent_child")),
    Key("descendant", Flag()),
    Key("must_not_cross", EDGES),
    Key("mode", Word(("path", "edge"), "mode")),
    Key("allow_missing", Flag()),
    Key("acyclic", Flag()),
    Key("max_depth", UINT),
    Key("must_be_connected", Flag()),
)
WINDOW: Final = _table(
    "expect.window",
    Key("outer", Pattern()),
    Key("contains", ArrayOf(Pattern(), expected="array of strings", filled=True)),
    Key("start_span", Pattern()),
    Key("end_span", Pattern()),
    Key("min_duration_ms", Num(minimum=0)),
    Key("max_duration_ms", Num(minimum=0)),
    Key("min_span_count", UINT),
    Key("max_span_count", UINT),
    exclusive=(("outer", "start_span"),),
)
ORDER: Final = _table(
    "expect.order",
    Key("must_precede", EDGES),
    Key("must_follow", EDGES),
    Key("match", ANY_OR_ALL),
)
TEMPORAL: Final = _table(
    "expect.temporal",
    Key("before", Pattern(), required=True),
    Key("after", Pattern(), required=True),
)
STATUS: Final = _table(
    "expect.status",
    Key("all", STATUS_WORD),
    Key("by_name", ByName(STATUS_WORD, GLOB)),
    Key("none", STATUS_WORD),
    Key("all_ok", Flag()),
    Key("errors_allowed", Flag()),
    Key("error_count", COUNT),
    Key("failed_spans", NAMES),
    Key("cleanup_must_succeed", Flag()),
)
HERMETICITY: Final = _table(
    "expect.hermeticity",
    Key("no_external_services", Flag()),
    Key("network_isolation", Flag()),
    Key("allow_network", Flag()),
    Key("allow_hosts", ArrayOf(GLOB, expected="array of strings")),
    Key("resource_attrs", MustMatch(), aliases=("resource_attrs_must_match",)),
    Key("sdk_resource_attrs", MustMatch(), aliases=("sdk_resource_attrs_must_match",)),
    Key("span_attrs", ForbiddenKeys(), aliases=("span_attrs_forbid_keys",)),
    Key("no_container_leakage", Flag()),
    Key("no_network_leakage", Flag()),
    Key("no_volume_leakage", Flag()),
    Key("no_process_leakage", Flag()),
    Key("allowed_images", ArrayOf(GLOB, expected="array of strings")),
    ignored=(
        Ignored(
            (
                "allow_filesystem_read", "allow_filesystem_write", "allowed_env_vars", "forbidden_syscalls",
                "no_resource_leakage",
            ),
            expected=True,
        ),
    ),
)  # fmt: skip
RESOURCE: Final = _table(
    "expect.resource",
    Key("type", Word(("container", "network", "volume", "service"), "resource type"), required=True),
    Key("name", Pattern(), required=True),
    Key("exists", Flag()),
)
EXPECT: Final = _table(
    "expect",
    Key("span", TablesOf(SPAN)),
    Key("counts", TablesOf(COUNTS, single=True), aliases=("count",)),
    Key("graph", TablesOf(GRAPH, single=True)),
    Key("window", TablesOf(WINDOW, single=True)),
    Key("order", TablesOf(ORDER, single=True)),
    Key("temporal", TablesOf(TEMPORAL, single=True)),
    Key("status", TablesOf(STATUS, single=True)),
    Key("hermeticity", TableOf(HERMETICITY)),
    Key("resource", TablesOf(RESOURCE, single=True)),
    Key("framework_spans", Flag()),
    ignored=(Ignored(("chaos", "concurrent", "isolation", "timeouts"), expected=True),),
)

# ---------------------------------------------------------------------------------------- older forms

EXPECTED_SPAN: Final = _table(
    "otel_validation.expected_spans",
    Key("name", Pattern(), required=True),
    Key("attributes", AttributeChecks()),
    Key("required", Flag()),
    Key("min_duration_ms", Num(minimum=0)),
    Key("max_duration_ms", Num(minimum=0)),
    Key("count", COUNT),
    Key("parent", Pattern()),
    Key("is_root", Flag()),
    Key("min_count", UINT),
    Key("required_attributes", NAMES),
)
EXPECTED_TRACE: Final = _table(
    "otel_validation.expected_traces",
    Key("span_names", NAMES, required=True),
    Key("parent_child", EDGES),
    Key("complete", Flag()),
    Key("is_tree", Flag()),
    Key("ordered", Flag()),
    Key("trace_id", Text(blank=False)),
    Key("trace_count", COUNT),
)
OTEL_VALIDATION: Final = _table(
    "otel_validation",
    Key("enabled", Flag()),
    Key("expected_spans", TablesOf(EXPECTED_SPAN)),
    Key("expected_traces", TablesOf(EXPECTED_TRACE)),
    Key("expect_graph", TablesOf(GRAPH, single=True)),
    Key("expect_counts", TablesOf(COUNTS, single=True)),
    Key("expect_windows", TablesOf(WINDOW, single=True)),
    Key("expect_hermeticity", TableOf(HERMETICITY)),
    Key("expect_order", TablesOf(ORDER, single=True)),
    Key("expect_status", TablesOf(STATUS, single=True)),
    ignored=(
        # Switches and addresses ask for nothing; the rest does.
        Ignored(("validate_*", "collector_url")),
        Ignored(("*_constraints", "resource_attributes", "tree_structure", "max_overhead_ms"), expected=True),
    ),
)
OTEL_EXPECTATIONS: Final = Table(
    "otel_expectations",
    (
        Key("minimum_spans", UINT),
        Key("expected_minimum_spans", UINT),
        Key("required_events", NAMES),
        Key("should_have_parent_child_edges", Flag()),
        Key("expected_status", STATUS_WORD),
    ),
    is_open=True,
)
ASSERTIONS: Final = Assertions()
