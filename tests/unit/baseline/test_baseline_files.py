"""Laws of baseline files: what is written is read back, what is the same stays the same byte for byte."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from clnrm_nb.baseline.files import parse, scenario_of, write
from clnrm_nb.baseline.latest import Latest
from clnrm_nb.baseline.proposal import Session
from clnrm_nb.diff import compare
from clnrm_nb.errors import ClnrmError
from clnrm_nb.spans.canonical import canonical, canonical_bytes, trace_digest
from clnrm_nb.spans.loaders import load
from clnrm_nb.spans.model import KINDS, STATUS_CODES, Event, Link, Resource, Scope, Span
from clnrm_nb.spans.table import SpanTable
from clnrm_nb.state.reviews import PendingReview

ID = "tests/api.clnrm.toml[db=redis]::checkout"

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=4)
values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.floats(),
        texts,
        st.binary(max_size=4),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(st.one_of(texts, st.just("bytesValue")), inner, max_size=2),
    ),
    max_leaves=4,
)
keys = st.one_of(
    st.sampled_from(["otel.status_code", "network.peer.port", "exception.stacktrace", "a", "b"]), texts
)
attributes = st.dictionaries(
    keys, st.one_of(values, st.sampled_from(["error", "line 7 0xff", "40000"])), max_size=3
)
names = st.sampled_from(["GET /", "SELECT", "checkout", "pay", ""])


@st.composite
def tables(draw, min_size=0, max_size=8):
    """Forests with twins, unknown parents and links inside and outside."""
    size = draw(st.integers(min_size, max_size))
    ids = [f"{number + 1:016x}" for number in range(size)]
    pool = draw(
        st.lists(st.tuples(attributes.map(Resource), st.builds(Scope, texts, texts)), min_size=1, max_size=3)
    )
    table = SpanTable()
    for index, span_id in enumerate(ids):
        resource, scope = draw(st.sampled_from(pool))
        table.append(
            Span(
                trace_id="1" * 32,
                span_id=span_id,
                name=draw(names),
                parent_span_id=draw(st.sampled_from([None, "f" * 16, *ids[:index]])),
                kind=draw(st.sampled_from(KINDS)),
                start_ns=draw(st.integers(0, 100)),
                end_ns=draw(st.integers(0, 100)),
                status_code=draw(st.sampled_from(STATUS_CODES)),
                status_message=draw(texts),
                attributes=draw(attributes),
                events=tuple(draw(st.lists(st.builds(Event, texts, st.just(5), attributes), max_size=2))),
                links=tuple(
                    Link("1" * 32, draw(st.sampled_from([*ids, "e" * 16])), draw(attributes))
                    for _ in range(draw(st.integers(0, 1)))
                ),
                resource=resource,
                scope=scope,
            )
        )
    return table


def rerun(table, seed):
    """The same trace of a later run: fresh ids, other times, shuffled rows."""
    rng = random.Random(seed)
    trace = f"{rng.randrange(1, 2**128):032x}"
    names = {old: f"{rng.randrange(1, 2**64):016x}" for old in table.span_id}
    spans = [
        replace(
            span,
            trace_id=trace,
            span_id=names[span.span_id],
            parent_span_id=names.get(span.parent_span_id, span.parent_span_id),
            start_ns=span.start_ns + 1_000,
            end_ns=span.end_ns + rng.randrange(2_000),
            links=tuple(
                Link(trace, names.get(link.span_id, link.span_id), link.attributes) for link in span.links
            ),
        )
        for span in table.spans()
    ]
    rng.shuffle(spans)
    return SpanTable(spans)


def file_of(table, *, version=1, before=None, composed=False):
    return write(ID, version, canonical(table), before=before, composed=composed)


def lines_changed(before, after):
    """Lines taken out and put in, the header aside."""
    # As git has them: not at every character that Unicode calls a line break.
    old, new = before.decode().split("\n")[1:], after.decode().split("\n")[1:]
    gone = [line.rstrip(",") for line in old]
    came = []
    for line in (line.rstrip(",") for line in new):
        if line in gone:
            gone.remove(line)
        else:
            came.append(line)
    return gone, came


@given(tables())
def test_a_file_reads_back_with_the_digest_of_the_run(table):
    found = parse(file_of(table), ID, name="x.json")

    assert found.digest == trace_digest(table)
    assert canonical_bytes(found.table) == canonical_bytes(table)


@given(tables(), st.integers())
def test_recording_an_unchanged_run_again_gives_the_same_bytes(table, seed):
    first = file_of(table)

    again = file_of(rerun(table, seed), before=parse(first, ID, name="x.json").table)

    assert again == first
    assert file_of(rerun(table, seed)) == first


def span_id_of(line):
    return json.loads(line.strip().rstrip(","))["spanId"]


@given(tables(min_size=1), st.data())
def test_one_changed_attribute_is_one_changed_line(table, data):
    first = file_of(table)
    row = data.draw(st.integers(0, len(table) - 1))
    spans = rerun(table, 7).spans()
    spans[row] = replace(spans[row], attributes={**spans[row].attributes, "new.key": "new value"})
    changed = SpanTable(spans)

    again = file_of(changed, version=2, before=parse(first, ID, name="x.json").table)

    gone, came = lines_changed(first, again)
    assert (len(gone), len(came)) == (1, 1)
    assert "new value" in came[0]
    assert span_id_of(gone[0]) == span_id_of(came[0])
    lines = [content.decode().split("\n") for content in (first, again)]
    assert [i for i, (a, b) in enumerate(zip(*lines, strict=True)) if a != b and i] == [
        lines[1].index(next(line for line in lines[1] if line.rstrip(",") == came[0]))
    ]


@given(tables(min_size=1), st.data())
def test_an_inserted_leaf_is_one_new_line_and_every_other_span_keeps_its_id(table, data):
    first = file_of(table)
    parent = data.draw(st.sampled_from([None, *table.span_id]))
    fresh = Span("1" * 32, "a" * 16, "brand new", parent_span_id=parent, start_ns=0, end_ns=0)
    grown = SpanTable([*table.spans(), replace(fresh, resource=table.resource[0], scope=table.scope[0])])

    again = file_of(rerun(grown, 3), version=2, before=parse(first, ID, name="x.json").table)

    gone, came = lines_changed(first, again)
    assert gone == []
    assert len(came) == 1
    assert "brand new" in came[0]


def session_of(base, run, accepted, current):
    review = PendingReview(
        ID, "t", "checkout", "01", "", trace_digest(run), "", len(run), "passed", True, accepted=accepted
    )
    latest = Latest(ID, run, review.digest, "01", "", "passed", True)
    return Session.of(review, latest, current, base)


@settings(max_examples=40)
@given(tables(), tables(min_size=1), st.randoms(use_true_random=False))
def test_edits_accepted_one_by_one_in_any_order_give_the_trace_of_the_run(before, run, chance):
    base = current = parse(file_of(before), ID, name="x.json")
    accepted = ()
    while (session := session_of(base, run, accepted, current)).open:
        assert not session.is_fresh

        proposal = session.propose([chance.choice(session.open)], current.version + 1, force=False)

        accepted = proposal.accepted
        if proposal.is_new:
            current = parse(proposal.content, ID, name="x.json")
        assert proposal.left == len(session.open) - len(set(proposal.edits) & set(session.open))

    assert current.digest == trace_digest(run)
    assert not current.composed


@given(tables(min_size=1))
def test_rows_by_number_are_the_canonical_form(table):
    found = parse(file_of(table), ID, name="x.json")

    numbered = found.by_number()

    assert canonical_bytes(numbered) == canonical_bytes(table)
    assert [
        pair.name for pair in sorted(compare(canonical(table), table).spans, key=lambda p: p.baseline)
    ] == numbered.name


@given(tables(min_size=1))
def test_other_readers_of_otlp_json_find_every_span(table):
    loaded, report = load(file_of(table))

    assert len(loaded) == len(table)
    assert report.skipped == 0
    assert {value.attributes.get("clnrm.scenario") for value in loaded.resource} == {"checkout"}
    assert {value.attributes.get("clnrm.test.id") for value in loaded.resource} == {
        "tests/api.clnrm.toml[db=redis]"
    }
    assert set(loaded.start_ns) == {None}


def test_a_file_is_laid_out_for_people():
    resource, scope = Resource({"service.name": "api"}), Scope("flask", "2")
    table = SpanTable(
        [
            Span("1" * 32, "1" * 16, "GET /", kind="server", resource=resource, scope=scope),
            Span(
                "1" * 32, "2" * 16, "SELECT", "1" * 16, resource=resource, scope=scope, attributes={"rows": 2}
            ),
        ]
    )

    lines = file_of(table).decode().splitlines()

    assert lines[0].startswith(
        '{"clnrm":{"format":"clnrm-trace/1","id":"tests/api.clnrm.toml[db=redis]::checkout"'
    )
    assert '"version":1' in lines[0]
    assert '"composed":false' in lines[0]
    assert [line for line in lines if '"spanId"' in line] == lines[4:6]
    assert '"name":"GET /"' in lines[4]
    assert '"rows","value":{"intValue":"2"}' in lines[5]
    assert lines[-1] == "]}"


def test_a_deep_chain_is_written_and_read_without_recursion():
    depth = 5_000
    spans = [
        Span("1" * 32, f"{n + 1:016x}", "call", f"{n:016x}" if n else None, start_ns=0, end_ns=1)
        for n in range(depth)
    ]
    table = SpanTable(spans)

    assert parse(file_of(table), ID, name="x.json").digest == trace_digest(table)


def test_thousands_of_siblings_of_one_name_are_written_in_no_time():
    root = Span("1" * 32, "f" * 16, "root")
    calls = [
        Span("1" * 32, f"{n + 1:016x}", "call", "f" * 16, attributes={"n": n % 50}) for n in range(5_000)
    ]
    first = file_of(SpanTable([root, *calls]))

    gone, came = lines_changed(
        first, file_of(SpanTable([root, *calls[1:]]), before=parse(first, ID, name="x").table)
    )

    assert (len(gone), len(came)) == (1, 0)


def test_a_moved_subtree_keeps_its_ids():
    def chain(parent_of_pay):
        parents = {"root": None, "cart": "root", "pay": parent_of_pay, "bank": "pay"}
        ids = {name: f"{n + 1:016x}" for n, name in enumerate(parents)}
        return SpanTable(
            [Span("1" * 32, ids[name], name, ids.get(parent)) for name, parent in parents.items()]
        )

    first = file_of(chain("root"))

    gone, came = lines_changed(first, file_of(chain("cart"), before=parse(first, ID, name="x.json").table))

    assert len(gone) == len(came) == 1
    assert '"name":"pay"' in came[0]


def test_a_renamed_root_keeps_all_ids_below_it():
    def trace(root):
        return SpanTable([Span("1" * 32, "1" * 16, root), Span("1" * 32, "2" * 16, "below", "1" * 16)])

    first = file_of(trace("old"))

    gone, came = lines_changed(first, file_of(trace("new"), before=parse(first, ID, name="x.json").table))

    assert len(gone) == len(came) == 1


@pytest.mark.parametrize(
    ("damage", "code", "says"),
    [
        (lambda content: b"", "CLN702", "is empty"),
        (lambda content: content[:-20], "CLN702", "cut off"),
        (lambda content: b"<<<<<<< HEAD\n" + content, "CLN702", "merge conflict"),
        (lambda content: content.replace(b'"intValue":"2"', b'"intValue":"3"'), "CLN702", "own digest"),
        (lambda content: content.replace(b"clnrm-trace/1", b"clnrm-trace/2"), "CLN703", "clnrm-trace/2"),
        (lambda content: content.replace(b"clnrm-trace/1", b"otherwise/1"), "CLN702", "not whole"),
        (lambda content: content.replace(b'"version":1', b'"version":"1"'), "CLN702", "not whole"),
        (lambda content: content.replace(b"::checkout", b"::other"), "CLN702", "is the baseline of"),
        (lambda content: b"[1, 2]", "CLN702", "is no baseline"),
        (lambda content: content.replace(b'"spanId":', b'"spanID":'), "CLN702", "cannot be read"),
    ],
)
def test_a_damaged_file_is_told_in_one_sentence(damage, code, says):
    content = file_of(SpanTable([Span("1" * 32, "1" * 16, "GET", attributes={"rows": 2})]))

    with pytest.raises(ClnrmError) as caught:
        parse(damage(content), ID, name=".clnrm/baselines/x.json")

    assert caught.value.code == code
    assert says in caught.value.message
    assert "was not touched" in (caught.value.hint or "")


def test_ids_fall_apart_into_test_and_scenario():
    assert scenario_of("a.clnrm.toml[x=1]::b::c") == ("a.clnrm.toml[x=1]", "b::c")
    assert scenario_of("a.clnrm.toml[ip=::1]::b[0]") == ("a.clnrm.toml[ip=::1]", "b[0]")
    assert scenario_of("a.clnrm.toml") == ("a.clnrm.toml", None)
