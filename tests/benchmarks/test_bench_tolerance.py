"""Tolerance rules must cost little beside the diff they act on (`make bench`): 2,000 edits, 100 rules."""

from __future__ import annotations

import gc
import platform
import time
import tracemalloc

import pytest

from clnrm_nb.diff import DiffOptions, compare
from clnrm_nb.diff.rules import Rule
from clnrm_nb.spans.model import Resource, Scope, Span
from clnrm_nb.spans.table import SpanTable

SPANS, GROUP, RULES, REPEATS = 1_000, 20, 100, 5
MOST_SHARE = 1.0
"""Of the time of the diff without rules; the two together stay within the time of two diffs."""


def trace(version: int) -> SpanTable:
    """Groups of leaves below spans that stay as they are."""
    shared = {"resource": Resource({"service.name": "api"}), "scope": Scope("lib")}
    heads = [
        Span("t", f"h{n}", f"op0 {n}", start_ns=n, end_ns=n + 9, **shared) for n in range(SPANS // GROUP)
    ]
    leaves = [
        Span(
            "t",
            f"s{n}",
            f"op{n % (RULES // 2)} {n}",
            parent_span_id=f"h{n // GROUP}",
            start_ns=n,
            end_ns=n + 5,
            attributes={"n": n, "value": version, "id": f"req-{version}"},
            **shared,
        )
        for n in range(SPANS)
    ]
    return SpanTable([*heads, *leaves])


def rules() -> tuple[Rule, ...]:
    words = (("value", "range", [1, 9]), ("i*", "template", "req-[0-9]+"))
    return tuple(
        Rule(f"r{n}", "bench", {"service": "a*", "span": f"op{n}*", "path": "op0*", "key": key}, word, value)
        for n in range(RULES // 2)
        for key, word, value in words
    )


def cpu_ms(options: DiffOptions) -> float:
    before, after = trace(1), trace(2)
    times = []
    for _ in range(REPEATS):
        gc.collect()
        started = time.process_time()
        compare(before, after, options=options)
        times.append((time.process_time() - started) * 1e3)
    return min(times)


@pytest.mark.bench
def test_a_hundred_rules_cost_less_than_the_diff_they_act_on():
    plain, ruled = cpu_ms(DiffOptions()), cpu_ms(DiffOptions(rules=rules()))
    tracemalloc.start()
    diff = compare(trace(1), trace(2), options=DiffOptions(rules=rules()))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    print(f"\n{platform.processor() or platform.machine()}, Python {platform.python_version()}")
    print(f"  {len(diff.edits):,} edits, {RULES} rules: {ruled:.1f} ms CPU, without rules {plain:.1f} ms")
    print(f"  peak {peak / 2**20:.1f} MiB")
    assert len(diff.edits) == 2 * SPANS
    assert diff.is_same
    assert ruled - plain <= MOST_SHARE * plain
