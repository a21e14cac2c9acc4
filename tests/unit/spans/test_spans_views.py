"""Canonical form, volatile items, topology and frames of given traces."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pandas as pd
import pytest

from clnrm_nb.spans.canonical import canonical, canonical_bytes, of_scenario, trace_digest
from clnrm_nb.spans.frame import EVENT_COLUMNS, SPAN_COLUMNS, events_frame, frame
from clnrm_nb.spans.model import Event, Link, Resource, Scope, Span
from clnrm_nb.spans.table import SpanTable
from clnrm_nb.spans.topology import depths, tree_parents
from clnrm_nb.spans.volatile import TEMPLATED, VOLATILE, keep, template

TRACE = "a" * 32
FORMAT = (
    Path(os.environ.get("CLNRM_CORPUS") or Path(__file__).parents[4] / "shared" / "corpus").parent
    / "format.md"
)


def span(number, parent=None, **fields):
    name = fields.pop("name", f"n{number}")
    return Span(TRACE, f"{number:016x}", name, None if parent is None else f"{parent:016x}", **fields)


# --------------------------------------------------------------------------------------- canonical form


def test_the_canonical_form_of_a_small_trace():
    table = SpanTable(
        [
            span(
                1,
                start_ns=1,
                resource=Resource({"service.name": "shop", "host.name": "h"}),
                scope=Scope("lib", "1"),
            ),
            span(
                2,
                1,
                kind="client",
                status_code="error",
                status_message="no",
                attributes={"n": 2.0, "code.lineno": 7},
                events=(Event("b", 1, {}), Event("a", 2, {"k": b"\0"})),
                links=(Link(TRACE, f"{1:016x}", {}), Link("f" * 32, "f" * 16, {"x": 1})),
            ),
        ]
    )

    (root,) = canonical(table)["traces"]
    (child,) = root.pop("children")

    assert root == {
        "attributes": {},
        "events": [],
        "kind": "internal",
        "links": [],
        "name": "n1",
        "resource": {"service.name": "shop"},
        "scope": "lib",
        "status": {"code": "unset", "message": ""},
    }
    assert child["attributes"] == {"n": 2}
    assert child["events"] == [
        {"attributes": {"k": {"bytesValue": "AA=="}}, "name": "a"},
        {"attributes": {}, "name": "b"},
    ]
    assert [link["target"].partition("#")[0] for link in child["links"]] == ["external", "n1"]
    assert (child["kind"], child["status"]) == ("client", {"code": "error", "message": "no"})


def test_nothing_at_all_has_a_form_and_a_digest():
    assert canonical_bytes(SpanTable()) == b'{"format":"clnrm-trace/1","traces":[]}'
    assert trace_digest(SpanTable()).startswith("sha256:")


def test_own_spans_are_left_out_and_their_children_are_roots():
    with_own = SpanTable([span(9, own=True, name="clnrm.scenario:s"), span(1, 9), span(2, 1)])
    without = SpanTable([span(1), span(2, 1)])

    assert trace_digest(with_own) == trace_digest(without)


def test_a_scenario_is_compared_by_its_own_rows():
    table = SpanTable()
    table.append(span(1), "first")
    table.append(span(2, 1), "second")
    table.append(span(3), None)

    assert of_scenario(table, "second").name == ["n2"]
    assert of_scenario(table, None).name == ["n3"]
    assert trace_digest(of_scenario(table, "second")) == trace_digest(SpanTable([span(2)]))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"attributes": {"a": "1"}}, {"attributes": {"a": 1}}),
        ({"attributes": {"a": True}}, {"attributes": {"a": 1}}),
        ({"attributes": {}}, {"attributes": {"a": None}}),
        ({"attributes": {"a": []}}, {"attributes": {"a": {}}}),
        ({"events": (Event("a", 1, {}), Event("b", 1, {}))}, {"events": (Event("a", 1, {}),)}),
        ({"kind": "client"}, {"kind": "server"}),
        ({"scope": Scope("a")}, {"scope": Scope("b")}),
        ({"resource": Resource({"service.name": "a"})}, {"resource": Resource({"service.name": "b"})}),
    ],
)
def test_what_differs_has_another_digest(one, other):
    assert trace_digest(SpanTable([span(1, **one)])) != trace_digest(SpanTable([span(1, **other)]))


def test_moving_a_span_to_another_parent_is_seen():
    tree = [span(1), span(2, 1), span(3, 1), span(4, 2)]

    assert trace_digest(SpanTable(tree)) != trace_digest(SpanTable([*tree[:3], span(4, 3)]))


@pytest.mark.parametrize("n_chains", [1, 2])
def test_chains_as_deep_as_the_table_are_no_trouble(n_chains):
    """Two chains that differ at their very end make the longest comparison there is."""
    depth = 100_000 // n_chains
    table = SpanTable([span(1)])
    for chain in range(n_chains):
        base = 10 + chain * depth
        for level in range(depth):
            name = "step" if level < depth - 1 else f"end-{chain}"
            table.append(span(base + level, base + level - 1 if level else 1, name=name))

    began_s = time.process_time()
    digest = trace_digest(table)
    framed = frame(table)

    assert digest == trace_digest(table.select(range(len(table) - 1, -1, -1)))
    assert framed["depth"].max() == depth
    assert framed["path"].str.len().max() < 1000
    assert time.process_time() - began_s < 30


# --------------------------------------------------------------------------------------------- volatile


@pytest.mark.parametrize(
    ("where", "key", "value", "stays"),
    [
        ("resource", "host.name", "h", False),
        ("resource", "service.name", "s", True),
        ("resource", "thread.id", 1, True),
        ("attribute", "thread.id", 1, False),
        ("attribute", "host.name", "h", True),
        ("attribute", "network.peer.port", 40000, False),
        ("attribute", "network.peer.port", "40000", False),
        ("attribute", "network.peer.port", 8080, True),
        ("attribute", "net.sock.host.port", 32768, False),
        ("attribute", "net.sock.host.port", 32767, True),
        ("attribute", "server.port", 50000, True),
    ],
)
def test_what_varies_with_nothing_changed_is_dropped(where, key, value, stays):
    assert keep(where, {key: value}) == ({key: value} if stays else {})


def test_a_stack_trace_is_compared_as_a_template():
    one = 'File "a.py", line 12, in f\n  at Main.java:42\n<object at 0x7f00aa>'
    other = 'File "a.py", line 99, in f\n  at Main.java:7\n<object at 0x7f00bb>'

    assert template(one) == template(other) != template(one.replace("a.py", "b.py"))


def test_every_volatile_entry_has_a_reason():
    assert all(entry.reason for entry in VOLATILE)


@pytest.mark.skipif(not FORMAT.is_file(), reason="the specification is not at hand beside the corpus")
def test_the_volatile_list_is_that_of_the_specification():
    sentence = re.search(r"^Volatile by default.*$", FORMAT.read_text(), re.MULTILINE).group()
    resource, attributes = re.findall(r"`([^`]+)`", sentence)[:2]
    ports = re.search(r"and `([^`]+)` from (\d+) up", sentence)

    assert [v.pattern for v in VOLATILE if v.where == "resource"] == resource.split()
    assert [
        v.pattern for v in VOLATILE if v.where == "attribute" and v.from_value is None
    ] == attributes.split()
    assert [v.pattern for v in VOLATILE if v.from_value == int(ports[2])] == ports[1].split()
    assert all(f"`{key}` is compared as a template" in sentence for key in TEMPLATED)


# --------------------------------------------------------------------------------------------- topology


def test_a_circle_of_parents_is_cut_at_its_earliest_span():
    table = SpanTable([span(1, 3, start_ns=30), span(2, 1, start_ns=10), span(3, 2, start_ns=20), span(4, 3)])

    parents, n_cycles = tree_parents(table)

    assert parents == [2, None, 1, 2]
    assert n_cycles == 1
    assert depths(parents) == [2, 0, 1, 2]


def test_a_span_that_is_its_own_parent_is_a_root():
    assert tree_parents(SpanTable([span(1, 1)])) == ([None], 1)


def test_a_parent_is_found_by_its_span_id_alone_where_that_is_unique():
    other = Span("b" * 32, "2" * 16, "child", f"{1:016x}")

    assert SpanTable([span(1), other]).parent_rows() == [None, 0]
    assert SpanTable([span(1), Span("c" * 32, f"{1:016x}", "twin"), other]).parent_rows() == [
        None,
        None,
        None,
    ]


def test_a_parent_with_a_twin_in_another_trace_is_found_in_its_own():
    twins = [span(1), Span("b" * 32, f"{1:016x}", "twin"), Span("b" * 32, "2" * 16, "child", f"{1:016x}")]

    assert SpanTable(twins).parent_rows() == [None, None, 1]


# ----------------------------------------------------------------------------------------------- frames


def dtypes(framed):
    return {name: str(dtype) for name, dtype in framed.dtypes.items()}


@pytest.mark.parametrize("spans", [[], [span(1, start_ns=1, end_ns=2, events=(Event("e", 1, {}),))]])
def test_frames_have_the_documented_columns_and_types_even_without_spans(spans):
    table = SpanTable(spans)

    assert dtypes(frame(table, "t")) == SPAN_COLUMNS
    assert dtypes(events_frame(table, "t")) == EVENT_COLUMNS


@pytest.mark.skipif(not FORMAT.is_file(), reason="the specification is not at hand beside the corpus")
@pytest.mark.parametrize(("row", "columns"), [("Trace", SPAN_COLUMNS), ("events", EVENT_COLUMNS)])
def test_the_columns_are_those_of_the_specification(row, columns):
    words = {"dt": "datetime64[ns, UTC]", "cat": "category"}
    cell = re.search(rf"^\| `{row}` \| (test_id .*) \|$", FORMAT.read_text(), re.MULTILINE).group(1)

    assert {n: words.get(t, t) for n, t in (part.split() for part in cell.split(", "))} == columns


def test_a_frame_says_what_its_spans_say():
    table = SpanTable()
    table.append(
        span(
            2,
            1,
            kind="client",
            start_ns=1_700_000_000_123_456_789,
            end_ns=1_700_000_000_125_456_789,
            status_code="error",
            status_message="no",
            attributes={"a": [1]},
            events=(Event("e", 1_700_000_000_123_456_790, {"k": 1}), Event("f", None, {})),
            resource=Resource({"service.name": "shop"}),
            scope=Scope("lib"),
        ),
        "buy",
    )
    table.append(span(1, start_ns=1_700_000_000_000_000_000), "buy")

    framed = frame(table, "t.toml")
    root, child = framed.iloc[0], framed.iloc[1]

    assert (child["test_id"], child["scenario"], child["name"], child["kind"]) == (
        "t.toml",
        "buy",
        "n2",
        "client",
    )
    assert (child["service"], child["scope"], child["status"], child["status_message"]) == (
        "shop",
        "lib",
        "error",
        "no",
    )
    assert child["start"].value == 1_700_000_000_123_456_789
    assert child["duration_ms"] == 2.0
    assert child["error"]
    assert (child["depth"], child["path"], child["n_events"]) == (1, "n1 / n2", 2)
    assert (child["attributes"], child["resource"]) == ({"a": [1]}, {"service.name": "shop"})
    assert pd.isna(root["parent_span_id"])
    assert pd.isna(root["end"])
    assert pd.isna(root["duration_ms"])
    events = events_frame(table, "t.toml")
    assert list(events["name"]) == ["e", "f"]
    assert events["time"][0].value == 1_700_000_000_123_456_790
    assert pd.isna(events["time"][1])
    assert events["attributes"][0] == {"k": 1}


def test_categories_are_the_full_lists_in_the_order_of_the_specification():
    framed = frame(SpanTable())

    assert list(framed["kind"].cat.categories) == [
        "internal",
        "server",
        "client",
        "producer",
        "consumer",
        "unspecified",
    ]
    assert list(framed["status"].cat.categories) == ["unset", "ok", "error"]


def test_rows_are_sorted_by_scenario_then_start_parents_first():
    table = SpanTable()
    for scenario, number, parent, start_ns in (
        ("b", 1, None, 5),
        ("a", 2, None, 9),
        (None, 3, None, 99),
        ("b", 4, None, None),
        ("b", 6, 5, 3),
        ("b", 5, None, 3),
    ):
        table.append(span(number, parent, start_ns=start_ns), scenario)

    assert list(frame(table)["name"]) == ["n3", "n5", "n6", "n1", "n4", "n2"]
    assert list(frame(table, scenarios=["a", "b"])["name"]) == ["n3", "n2", "n5", "n6", "n1", "n4"]


def test_times_beyond_the_range_of_a_frame_are_missing_not_wrong():
    framed = frame(SpanTable([span(1, start_ns=2**64 - 1, end_ns=2**63 - 1)]))

    assert framed["start"].isna().all()
    assert framed["end"][0].value == 2**63 - 1


def test_a_growing_table_is_framed_as_far_as_it_is_whole():
    table = SpanTable([span(1)])
    table.trace_id.append(TRACE)  # As between two columns of an append on another thread.

    assert len(frame(table)) == len(events_frame(table)) + 1 == 1
