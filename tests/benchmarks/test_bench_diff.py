"""The diff's benchmark (`make bench`; `make bench-full` for the full numbers of cases).

Noise alone must give no edit, each single edit must be found exactly, 1,000 spans with one edit must take no
longer than the goal; each prints its figures with the machine. Mixed edits are printed beside, with no goal.
"""

from __future__ import annotations

import gc
import math
import platform
import random
import statistics
import time
import tracemalloc
from collections import Counter

import diff_mutations as mutations
import pytest

from clnrm_nb.diff import compare, prepare
from clnrm_nb.spans.canonical import trace_digest

GOAL_P95_MS = 30.0
REPEATS = 3
SIZES = (12, 40, 90)


def wilson(hits: int, n: int) -> str:
    """A share with its 95 % interval."""
    z, share = 1.96, hits / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return f"{share:.4f} [{max(middle - half, 0):.4f}, {min(middle + half, 1):.4f}] of {n}"


def noise_alarms(n: int) -> int:
    alarms = 0
    for seed in range(n):
        rng = random.Random(f"noise {seed}")
        family = list(mutations.FAMILIES.values())[seed % len(mutations.FAMILIES)]
        base = family(rng, rng.choice(SIZES))
        table, _ = mutations.noisy(base, rng)
        alarms += bool(compare(mutations.to_table(base), table))
    return alarms


def outcomes(names: list[str], n: int) -> Counter:
    """Outcomes of n cases of these edits over all families and sizes."""
    found, seed = Counter(), 0
    families = list(mutations.FAMILIES)
    while found.total() < n:
        outcome = mutations.case(names, families[seed % len(families)], SIZES[seed % len(SIZES)], seed)
        seed += 1
        if outcome is not None:
            found[outcome.kind] += 1
    return found


@pytest.mark.bench
def test_noise_alone_gives_no_edit_in_100_pairs():
    assert noise_alarms(100) == 0


@pytest.mark.bench_full
def test_noise_alone_gives_no_edit_in_1000_pairs():
    assert noise_alarms(1_000) == 0


@pytest.mark.bench
@pytest.mark.parametrize("name", mutations.EDITS)
def test_each_single_edit_is_found_exactly_in_20_cases(name):
    assert outcomes([name], 20) == {"exact": 20}


@pytest.mark.bench_full
@pytest.mark.parametrize("name", mutations.EDITS)
def test_each_single_edit_is_found_exactly_in_200_cases(name):
    found = outcomes([name], 200)
    judged = found.total() - found["cheaper"]
    print(f"\n{name}: exact {wilson(found['exact'], judged)}, {dict(found)}")
    assert found["exact"] == judged
    assert found["cheaper"] <= 0.05 * found.total()


@pytest.mark.bench_full
@pytest.mark.parametrize("k", [2, 3, 5, 10])
def test_mixed_edits_never_fail_their_certificate(k):
    total: Counter = Counter()
    for seed in range(20):
        rng = random.Random(f"mixed {k} {seed}")
        total += outcomes([rng.choice(list(mutations.EDITS)) for _ in range(k)], 5)
    judged = total.total() - total["cheaper"]
    print(f"\n{k} mixed edits: exact {wilson(total['exact'], max(judged, 1))}, {dict(total)}")
    assert total.total() == 100


@pytest.mark.bench
def test_a_thousand_spans_with_one_edit():
    """The goal is for a session: the baseline was read before, the run is a table nobody has looked at.

    Timed is all of ``compare``: reading the run's table, matching, deriving, the certificate, both digests,
    causes, and the merged tree. The figures of a first diff, which reads both tables, stand beside; and those
    of reading one trace for its digest alone, the least that any comparison must do.
    """
    cases = []
    for number, name in enumerate([*mutations.EDITS, *mutations.EDITS]):
        rng = random.Random(f"speed {number}")
        base = mutations.FAMILIES["random"](rng, 1_000)
        change = mutations.EDITS[name](base, rng.choice(list(base)), rng)
        edited = change.spans if change else base
        before = mutations.to_table(base)
        cases.append((prepare(before), before, mutations.noisy(edited, rng)[0]))
    warm, cold, digest = ([math.inf] * len(cases) for _ in range(3))
    # A full collection of what other benchmarks left in this process costs 100 ms, and is not ours.
    gc.collect()
    gc.freeze()
    for _ in range(REPEATS):
        for place, (read, before, after) in enumerate(cases):
            warm[place] = min(warm[place], cpu_ms(lambda: compare(read, after)))  # noqa: B023  # called at once
            cold[place] = min(cold[place], cpu_ms(lambda: compare(before, after)))  # noqa: B023  # called at once
            digest[place] = min(digest[place], cpu_ms(lambda: trace_digest(after)))  # noqa: B023  # called at once
    gc.unfreeze()
    tracemalloc.start()
    compare(cases[0][1], cases[0][2])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    print(
        f"\n1,000 spans, one edit, CPU: {spread(warm)} (goal: p95 {GOAL_P95_MS:.0f} ms); both tables read: "
        f"{spread(cold)}; one trace digest: {spread(digest)}; peak {peak / 2**20:.1f} MiB; {len(cases)} "
        f"cases, best of {REPEATS}, {platform.machine()}, CPython {platform.python_version()}"
    )
    assert p95(warm) <= GOAL_P95_MS


def cpu_ms(call) -> float:
    started = time.process_time()
    call()
    return (time.process_time() - started) * 1_000


def p95(times: list[float]) -> float:
    return statistics.quantiles(times, n=20)[-1]


def spread(times: list[float]) -> str:
    return f"p50 {statistics.median(times):.1f}, p95 {p95(times):.1f} ms"


@pytest.mark.bench_full
@pytest.mark.parametrize("size", [10_000, 100_000])
def test_large_traces_are_compared_in_near_linear_time(size):
    rng = random.Random("large")
    base = mutations.FAMILIES["random"](rng, size)
    edited = mutations.EDITS["attr changed"](base, f"{size // 2:016x}", rng).spans
    after, _ = mutations.noisy(edited, rng)
    started = time.process_time()
    diff = compare(mutations.to_table(base), after)
    print(f"\n{size:,} spans, one edit: {time.process_time() - started:.1f} s CPU")
    assert len(diff.counted) == 1
