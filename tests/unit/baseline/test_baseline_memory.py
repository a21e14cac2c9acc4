"""What a process remembers between comparisons: told by the work that is done, not by time."""

from __future__ import annotations

import random
import threading
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clnrm_nb.baseline import memory as memory_module
from clnrm_nb.baseline import store as store_module
from clnrm_nb.baseline.files import write
from clnrm_nb.baseline.kept import Kept
from clnrm_nb.baseline.memory import Memory
from clnrm_nb.baseline.store import BaselineStore
from clnrm_nb.config.project import Project
from clnrm_nb.diff import DiffOptions, compare
from clnrm_nb.spans.canonical import canonical, trace_digest
from clnrm_nb.spans.model import Resource, Span
from clnrm_nb.spans.table import SpanTable

OPTIONS = DiffOptions()
TRACE = "a" * 32


def request(name, n_spans=40, seed=1):
    """One request of a test: a root of its own, and below it what every test calls."""
    rng = random.Random(seed)
    shop = Resource({"service.name": "shop"})
    made = [Span(TRACE, "0" * 15 + "1", name, resource=shop)]
    for number in range(2, n_spans + 1):
        parent = f"{1 if number == 2 else rng.randrange(2, number):016x}"
        attributes = {"n": rng.randrange(5), "path": f"/{rng.randrange(9)}"}
        made.append(Span(TRACE, f"{number:016x}", "call", parent, attributes=attributes, resource=shop))
    return made


def run_of(spans, seed):
    """The same in another run: other ids and another order."""
    rng = random.Random(seed)
    ids = {one.span_id: f"{rng.randrange(1, 2**64):016x}" for one in spans}
    again = [
        replace(one, span_id=ids[one.span_id], parent_span_id=ids.get(one.parent_span_id)) for one in spans
    ]
    rng.shuffle(again)
    return SpanTable(again)


def difference(memory, before, after):
    baseline = SpanTable(before)
    return memory.difference(baseline, memory.read(after), OPTIONS, trace_digest(baseline))


def test_a_baseline_is_read_once_for_all_runs(monkeypatch):
    memory, read = Memory(), []
    prepare = memory_module.prepare
    monkeypatch.setattr(memory_module, "prepare", lambda *given: read.append(1) or prepare(*given))
    spans = request("checkout")

    diffs = [difference(memory, spans, run_of(spans, seed)) for seed in range(5)]

    assert not any(diffs)
    assert len(read) == 1


def test_what_two_tests_of_a_run_have_in_common_is_known_when_the_second_is_compared():
    memory = Memory()
    difference(memory, request("checkout"), run_of(request("checkout"), 1))
    known = memory.n_known

    difference(memory, request("refund"), run_of(request("refund"), 2))

    # One content and one subtree: the root, which is all that the second test does not share.
    assert memory.n_known - known == 2


def test_a_repeated_run_with_one_change_costs_only_what_stands_above_the_change():
    memory, spans = Memory(), request("checkout")
    difference(memory, spans, run_of(spans, 1))
    known = memory.n_known
    last = spans[-1]
    changed = [*spans[:-1], replace(last, attributes={**last.attributes, "n": "other"})]
    by_id = {one.span_id: one for one in spans}
    depth = 1
    while (last := by_id.get(last.parent_span_id)) is not None:
        depth += 1

    diff = difference(memory, spans, run_of(changed, 2))

    assert len(diff.counted) == 1
    assert memory.n_known - known == 1 + depth


@given(st.integers(0, 10**6), st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_what_was_compared_before_changes_no_byte_of_a_diff(seed, other):
    memory = Memory()
    for number in range(3):
        difference(memory, request("x", 30, other + number), run_of(request("y", 30, other - number), number))
    before, after = request("checkout", 30, seed), request("checkout", 30, seed + 1)
    run = run_of(after, other)

    diff = difference(memory, before, run)

    first = compare(canonical(SpanTable(before)), run)
    assert diff.to_json() == first.to_json()
    assert diff.spans == first.spans


def test_memory_is_bounded_and_starts_over():
    memory = Memory(max_spans=100, max_contents=200)

    for seed in range(20):
        spans = request("checkout", 50, seed)
        assert not difference(memory, spans, run_of(spans, seed))
        # What one comparison needs may come on top.
        assert memory.n_known <= 200 + 2 * 50 * 2


def test_a_trace_that_was_read_before_all_was_forgotten_is_still_compared():
    memory = Memory(max_contents=50)
    early = request("checkout")
    read = memory.read(run_of(early, 1))
    for seed in range(3):
        memory.read(run_of(request("x", 60, seed), seed))

    diff = memory.difference(SpanTable(early), read, OPTIONS, trace_digest(SpanTable(early)))

    assert not diff


def test_threads_may_compare_at_the_same_time():
    memory, found = Memory(max_contents=500), []
    spans = request("checkout", 60)
    changed = [*spans[:-1], replace(spans[-1], name="renamed")]

    def work(seed):
        found.extend(len(difference(memory, spans, run_of(changed, seed + k)).counted) for k in range(10))

    threads = [threading.Thread(target=work, args=(100 * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert found == [1] * 40


def test_a_baseline_file_is_parsed_again_only_when_it_changes(tmp_path, monkeypatch):
    store, parsed = BaselineStore(Project(tmp_path, tmp_path / ".clnrm")), []
    parse = store_module.parse
    monkeypatch.setattr(store_module, "_parsed", Kept(max_spans=1000))
    monkeypatch.setattr(store_module, "parse", lambda *a, **k: parsed.append(1) or parse(*a, **k))
    path = store.path("t.clnrm.toml::s")
    path.parent.mkdir(parents=True)
    path.write_bytes(write("t.clnrm.toml::s", 1, canonical(SpanTable(request("one")))))

    first, again = store.load("t.clnrm.toml::s"), store.load("t.clnrm.toml::s")
    path.write_bytes(write("t.clnrm.toml::s", 2, canonical(SpanTable(request("two")))))
    other = store.load("t.clnrm.toml::s")

    assert first is again
    assert len(parsed) == 2
    assert (first.version, other.version) == (1, 2)


@pytest.mark.parametrize("n_spans", [0, 3])
def test_what_was_used_longest_ago_goes_first(n_spans):
    kept = Kept(max_spans=3 * (n_spans + 1))
    for key in "abc":
        kept.put(key, key, n_spans=n_spans)
    kept.get("a")

    kept.put("d", "d", n_spans=n_spans)
    kept.put("huge", "huge", n_spans=1000)

    assert [kept.get(key) for key in ("a", "b", "c", "d", "huge")] == ["a", None, "c", "d", None]
