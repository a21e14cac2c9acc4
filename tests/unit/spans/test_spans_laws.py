"""Laws of spans: writing and loading, canonical form, identity, ownership."""

from __future__ import annotations

import math
import os
import random
import subprocess
import sys
from dataclasses import replace

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from clnrm_nb.spans.canonical import canonical, canonical_bytes, trace_digest
from clnrm_nb.spans.content import canonical_json
from clnrm_nb.spans.identity import Identities
from clnrm_nb.spans.intake import status_of
from clnrm_nb.spans.loaders import load, write_otlp_json
from clnrm_nb.spans.model import KINDS, STATUS_CODES, Event, Link, Resource, Scope, Span
from clnrm_nb.spans.owner import Owners
from clnrm_nb.spans.table import SpanTable

law = settings(deadline=None, max_examples=60)

# ------------------------------------------------------------------------------------------- strategies

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=5)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    texts,
    st.binary(max_size=8),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)
attributes = st.dictionaries(texts, values, max_size=4).filter(lambda table: status_of(table) == 0)
times = st.one_of(st.none(), st.integers(0, 2**64 - 1))
span_ids = st.integers(1, 2**64 - 1).map(lambda number: f"{number:016x}")
trace_ids = st.integers(1, 2**128 - 1).map(lambda number: f"{number:032x}")
resources = attributes.map(Resource)
scopes = st.builds(Scope, texts, texts)


@st.composite
def tables(draw, max_size=5):
    """Forests: each span's parent is an earlier one, none, or unknown."""
    ids = draw(st.lists(span_ids, max_size=max_size, unique=True))
    trace_id = draw(trace_ids)
    pool = draw(st.lists(st.tuples(resources, scopes), min_size=1, max_size=3))
    table = SpanTable()
    for index, span_id in enumerate(ids):
        resource, scope = draw(st.sampled_from(pool))
        parents = st.sampled_from([None, "f" * 16, *ids[:index]]) if index else st.none()
        span = Span(
            trace_id=trace_id,
            span_id=span_id,
            name=draw(texts),
            parent_span_id=draw(parents),
            kind=draw(st.sampled_from(KINDS)),
            start_ns=draw(times),
            end_ns=draw(times),
            status_code=draw(st.sampled_from(STATUS_CODES)),
            status_message=draw(texts),
            attributes=draw(attributes),
            events=tuple(draw(st.lists(st.builds(Event, texts, times, attributes), max_size=2))),
            links=tuple(
                draw(
                    st.lists(
                        st.builds(Link, trace_ids, st.sampled_from([*ids, "e" * 16]), attributes), max_size=2
                    )
                )
            ),
            resource=resource,
            scope=scope,
            own=draw(st.booleans()),
        )
        table.append(span, draw(st.one_of(st.none(), texts)))
    return table


def by_id(table):
    return table.select(sorted(range(len(table)), key=lambda row: table.span_id[row]))


def shuffled(table, seed):
    rows = list(range(len(table)))
    random.Random(seed).shuffle(rows)
    return table.select(rows)


# ------------------------------------------------------------------------------------------ write and load


@law
@given(tables().filter(len))
def test_what_is_written_is_loaded_again_row_by_row(table):
    loaded, report = load(write_otlp_json(table))

    assert by_id(loaded) == by_id(table)
    assert report.spans == len(table)
    assert report.skipped == 0


@law
@given(tables().filter(len), st.integers())
def test_the_written_form_does_not_depend_on_the_order_of_rows(table, seed):
    assert write_otlp_json(shuffled(table, seed)) == write_otlp_json(table)


@law
@given(tables().filter(len))
def test_loading_and_writing_again_changes_no_byte(table):
    written = write_otlp_json(table)

    assert write_otlp_json(load(written)[0]) == written


# --------------------------------------------------------------------------------------------- the digest


def fresh(table, seed, shift_ns):
    """The same trace of another run: other ids, other times, another order of arrival."""
    rng = random.Random(seed)
    span_id = {old: f"{rng.randrange(1, 2**64):016x}" for old in table.span_id}
    trace_id = f"{rng.randrange(1, 2**128):032x}"
    traces = set(table.trace_id)

    def moved(time_ns):
        return None if time_ns is None else min(time_ns + shift_ns, 2**64 - 1)

    again = SpanTable()
    for row in range(len(table)):
        old = table.span(row)
        span = Span(
            trace_id=trace_id,
            span_id=span_id[old.span_id],
            name=old.name,
            parent_span_id=span_id.get(old.parent_span_id, old.parent_span_id),
            kind=old.kind,
            start_ns=moved(old.start_ns),
            end_ns=moved(old.end_ns),
            status_code=old.status_code,
            status_message=old.status_message,
            attributes=dict(reversed(old.attributes.items())),
            events=tuple(event._replace(time_ns=moved(event.time_ns)) for event in old.events[::-1]),
            links=tuple(
                link._replace(trace_id=trace_id, span_id=span_id.get(link.span_id, link.span_id))
                if link.trace_id in traces
                else link
                for link in old.links[::-1]
            ),
            resource=Resource(dict(reversed(old.resource.attributes.items()))),
            scope=Scope(old.scope.name, "another version"),
            own=old.own,
        )
        again.append(span, table.scenario[row])
    return shuffled(again, seed)


@law
@given(tables(), st.integers(), st.integers(0, 10**18))
def test_the_digest_does_not_see_ids_times_or_order(table, seed, shift_ns):
    again = fresh(table, seed, shift_ns)

    assert trace_digest(again) == trace_digest(table)
    assert canonical_bytes(again) == canonical_bytes(table)


@law
@given(tables(), texts.filter(bool))
def test_the_digest_sees_one_new_attribute_on_any_span(table, key):
    rows = [row for row in range(len(table)) if not table.own[row]]
    before = trace_digest(table)
    for row in rows:
        had = table.attributes[row]
        table.attributes[row] = had | {f"x-{key}": "was not there"}
        assert trace_digest(table) != before
        table.attributes[row] = had


@law
@given(tables())
def test_canonical_children_and_traces_are_sorted_by_their_text(table):
    document = canonical(table)

    todo = [document["traces"]]
    while todo:
        siblings = todo.pop()
        written = [canonical_json(node) for node in siblings]
        assert written == sorted(written)
        todo.extend(node["children"] for node in siblings)
    assert canonical_json(document).encode() == canonical_bytes(table)


@law
@given(st.integers(-(2**70), 2**70))
def test_a_number_has_one_text_whether_it_is_written_as_int_or_float(number):
    near = float(number)

    assert canonical_json(near) == canonical_json(int(near))


def test_numbers_that_are_none_are_written_as_words():
    assert canonical_json([math.nan, math.inf, -math.inf, -0.0, 1.0]) == '["NaN","Infinity","-Infinity",0,1]'


def test_the_digest_is_the_same_in_other_processes_with_other_hash_seeds(tmp_path):
    code = (
        "import sys;"
        "from clnrm_nb.spans.loaders import load;"
        "from clnrm_nb.baseline.difference import read;"
        "from clnrm_nb.spans.canonical import canonical_bytes, trace_digest;"
        "table = load(sys.argv[1])[0];"
        "print(trace_digest(table), read(table).digest, canonical_bytes(table).hex())"
    )
    table = SpanTable(
        Span(
            "a" * 32,
            f"{i:016x}",
            f"n{i % 3}",
            f"{i // 2:016x}" if i > 1 else None,
            attributes={
                "b": i % 5,
                "a": [i % 2, {"z": math.nan, "y": -0.0}],
                "raw": bytes([i]),
                "big": 2**63 + i,
            },
            events=tuple(Event(name, None, {"k": i % 2, "é": None}) for name in ("x", "y")),
            links=(Link("a" * 32, f"{i % 7 + 1:016x}", {"why": True}), Link("f" * 32, "e" * 16, {})),
            resource=Resource({"service.name": f"s{i % 2}", "b": 1, "a": "2"}),
        )
        for i in range(1, 40)
    )
    path = tmp_path / "spans.json"
    path.write_bytes(write_otlp_json(table))

    digests = {
        subprocess.run(
            [sys.executable, "-c", code, str(path)],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("0", "1", "4242")
    }

    digest = trace_digest(table)
    assert digests == {f"{digest} {digest} {canonical_bytes(table).hex()}"}


# ----------------------------------------------------------------------------------------------- identity


@law
@given(tables().filter(len), st.randoms(use_true_random=False), st.integers(1, 5))
def test_repeats_in_any_order_and_any_batches_leave_each_span_once(table, rng, n_batches):
    rows = list(range(len(table))) * 2
    rng.shuffle(rows)
    collected = SpanTable()
    identities = Identities(collected)

    for part in range(n_batches):
        identities.add(table.select(rows[part::n_batches]))

    assert by_id(collected) == by_id(table)
    assert identities.n_repeats == len(table)
    assert identities.conflicts == []


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"end_ns": 9}, ("call", "call")),
        ({"attributes": {"n": 2}}, ("call", "call")),
        ({"name": "else"}, ("else", "call")),
        ({"kind": "server"}, ("call unknown_service server", "call unknown_service internal")),
        ({"scope": Scope("lib")}, ("call unknown_service lib internal", "call unknown_service internal")),
        (
            {"resource": Resource({"service.name": "shop"})},
            ("call shop internal", "call unknown_service internal"),
        ),
    ],
    ids=["end", "attribute", "name", "kind", "scope", "service"],
)
def test_one_id_for_two_spans_is_told_with_what_tells_them_apart(other, told):
    """Only where the labels differ are they two spans; else one was sent twice, and grew."""
    one = Span("a" * 32, "b" * 16, "call", end_ns=1)
    versions = [one, replace(one, **{"end_ns": 2, **other})]

    for order in (versions, versions[::-1]):
        table = SpanTable()
        identities = Identities(table)
        for version in order:
            identities.add(SpanTable([version]))

        assert table.spans() == [versions[1]]
        assert identities.conflicts == [told]


@law
@given(st.permutations(range(4)))
def test_of_several_versions_the_later_end_wins_in_any_order(order):
    versions = [
        Span("a" * 32, "b" * 16, "work", start_ns=1, end_ns=10 + number // 2, attributes={"n": number})
        for number in range(4)
    ]
    collected = SpanTable()
    identities = Identities(collected)

    for number in order:
        identities.add(SpanTable([versions[number]]))

    assert len(collected) == 1
    assert collected.attributes == [{"n": 3}]
    assert len(identities.conflicts) == 3


# ---------------------------------------------------------------------------------------------- ownership

intervals = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), max_size=4)


@law
@given(intervals, st.integers(0, 80))
def test_an_interval_decides_only_where_exactly_one_scenario_was_running(spans, at):
    owners = Owners()
    for index, (start, length) in enumerate(spans):
        owners.open(f"s{index}", f"token{index}", f"trace{index}", start)
        owners.close(f"s{index}", start + length)

    running = [f"s{index}" for index, (start, length) in enumerate(spans) if start <= at <= start + length]

    assert owners.of_time(at) == (running[0] if len(running) == 1 else None)


@law
@given(intervals.filter(bool), st.integers(0, 80))
def test_the_trace_id_of_a_scenario_goes_before_its_interval(spans, at):
    owners = Owners()
    for index, (start, length) in enumerate(spans):
        owners.open(f"s{index}", f"token{index}", f"trace{index}", start)
        owners.close(f"s{index}", start + length)

    assert owners.of_spans(["trace0", "other"], [at, at]) == [("s0", False), (owners.of_time(at), True)]


def test_two_attempts_of_one_scenario_that_overlap_are_still_one_scenario():
    owners = Owners()
    owners.open("s", "one", "a", 0)
    owners.open("s", "two", "b", 5)

    assert owners.of_time(7) == "s"


@pytest.mark.parametrize("at", [None, 4])
def test_a_span_without_start_or_before_all_scenarios_belongs_to_the_test(at):
    owners = Owners()
    owners.open("s", "token", "trace", 5)

    assert owners.of_time(at) is None
