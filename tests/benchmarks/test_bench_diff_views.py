"""How long a difference takes to be shown (``diff.md`` 10, goals 22, 23 and 26)."""

from __future__ import annotations

import json
import random
from time import perf_counter, process_time

import pytest

import diff_mutations as mutations
from clnrm_nb.diff import compare
from clnrm_nb.diff.text import tree
from clnrm_nb.report.diffs import TraceDiff

pytestmark = pytest.mark.bench

N_SPANS = 10_000
N_EDITS = 30
REPEATS = 7
TREE_S = 0.1
"""Goal 26: the text tree of 10,000 spans."""

OUTPUT_BYTES = 150_000
LARGE = ("subtree deleted", "subtree duplicated")


@pytest.fixture(scope="module")
def compared():
    """Two traces of 10,000 spans, 30 edits apart, none of which takes half of a trace with it."""
    rng = random.Random(3)
    base = mutations.random_tree(rng, N_SPANS)
    edited, done = dict(base), 0
    names = [name for name in mutations.EDITS if name not in LARGE]
    sites = sorted(base)[1:]
    while done < N_EDITS:
        site = rng.choice(sites)
        found = mutations.EDITS[rng.choice(names)](edited, site, rng) if site in edited else None
        if found is not None:
            edited, done = found, done + 1
    a, b = mutations.to_table(base), mutations.to_table(edited)
    return compare(a, b), a, b


def best(once):
    """Shortest of several times on the processor and on the clock, in seconds."""
    times = []
    for _ in range(REPEATS):
        cpu, wall = process_time(), perf_counter()
        once()
        times.append((process_time() - cpu, perf_counter() - wall))
    return min(cpu for cpu, _ in times), min(wall for _, wall in times)


@pytest.mark.parametrize("only_diffs", [True, False], ids=["only differences", "all"])
def test_the_text_tree_of_ten_thousand_spans_takes_less_than_a_tenth_of_a_second(compared, only_diffs):
    found, _, _ = compared

    cpu_s, wall_s = best(lambda: tree(found, only_diffs=only_diffs, max_depth=N_SPANS))

    lines = tree(found, only_diffs=only_diffs, max_depth=N_SPANS).count("\n")
    print(
        f"\ntree of {N_SPANS:,} spans, {lines:,} lines: {cpu_s * 1e3:.0f} ms cpu, {wall_s * 1e3:.0f} ms wall"
    )
    assert cpu_s < TREE_S


def test_what_a_notebook_keeps_of_ten_thousand_spans_is_small_and_soon_made(compared):
    found, a, b = compared
    diff = TraceDiff.of_tables(found, a, b, names=("a", "b"))

    cpu_s, wall_s = best(lambda: TraceDiff(diff.comparisons)._repr_mimebundle_())

    size = len(json.dumps(diff._repr_mimebundle_()))
    print(
        f"\noutput of {N_SPANS:,} spans: {size:,} bytes, {cpu_s * 1e3:.0f} ms cpu, {wall_s * 1e3:.0f} ms wall"
    )
    assert size <= OUTPUT_BYTES
    assert cpu_s < 0.5
