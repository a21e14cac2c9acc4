"""Tables read column by column: what one row says has no influence on how another one is read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from clnrm_nb.diff import compare
from clnrm_nb.spans.canonical import trace_digest
from clnrm_nb.spans.model import Event, Span
from clnrm_nb.spans.table import SpanTable
from clnrm_nb.spans.volatile import TEMPLATED, VOLATILE, fate, keep

KEYS = ["a", "thread.id", "net.peer.port", "exception.stacktrace", "host.name"]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=3),
    st.binary(max_size=2),
    st.lists(st.integers(0, 2), max_size=2),
    st.sampled_from([80, 40_000, "40000", "at 0x1f line 3", 1.0, 2**53]),
)
ATTRIBUTES = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=3)


@given(st.lists(st.tuples(ATTRIBUTES, st.lists(ATTRIBUTES, max_size=2)), max_size=4))
def test_a_table_read_by_columns_has_the_digest_of_its_rows(rows):
    table = SpanTable(
        Span(
            "t",
            f"s{number}",
            "n",
            attributes=attributes,
            events=tuple(Event("e", None, inner) for inner in events),
        )
        for number, (attributes, events) in enumerate(rows)
    )

    assert compare(table, table).trace_digest == trace_digest(table)


def test_dropped_values_are_counted_by_key_over_spans_and_events():
    attributes = {"thread.id": 1, "net.peer.port": 40_000, "kept": 1}
    table = SpanTable(
        [
            Span("t", "s", "n", attributes=attributes, events=(Event("e", None, {"thread.id": 2}),)),
            Span("t", "u", "n", attributes={"net.peer.port": 80, "half": 0.5}),
        ]
    )

    assert compare(table, SpanTable()).ignored == {"thread.id": 2, "net.peer.port": 1}


@given(st.sampled_from(["resource", "attribute"]), VALUES)
def test_the_fate_of_a_key_is_what_happens_to_its_values(where, value):
    listed = [entry.pattern.replace("*", "x") for entry in VOLATILE]
    for key in [*KEYS, *listed, *TEMPLATED]:
        kept = keep(where, {key: value})
        if fate(where, key) == "kept":
            assert kept[key] is value
        elif fate(where, key) == "dropped":
            assert not kept
