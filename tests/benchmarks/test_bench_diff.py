"""The diff's mutation benchmark (`diff.md` 9 and 10): noise, single edits, mixes, laws.

`make bench` runs a bounded part, `make bench-full` all of it. Seeds are fixed, so a figure is the same every
time; every rate is printed with its 95 % interval, and the share of cases in which the product found a cheaper
story than the truth stands beside it.
"""

from __future__ import annotations

import functools
import os
import platform
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import diff_corpus
import diff_laws
import diff_measure as measure
import pytest
from diff_edits import apply_edits
from diff_families import Spans
from diff_mutations import ALIKE, EDITS, FAMILIES, judge, make_case, noisy, to_table
from diff_noise import forms_for

from clnrm_nb.diff import compare

SITES = ("disjoint", "unrestricted")
MACHINE = f"{os.cpu_count()} cores {platform.machine()}, CPython {platform.python_version()}"


# Noise alone.


def alarm(seed: int) -> str | None:
    """The form through which noise alone made an alarm."""
    rng = random.Random(f"noise {seed}")
    families = list(FAMILIES)
    family = families[seed % len(families)]
    base = FAMILIES[family](rng, rng.choice(measure.SIZES))
    forms = forms_for(base)
    form = forms[seed // len(families) % len(forms)]
    table, _ = noisy(base, rng, form)
    # Every other baseline comes through a format as well.
    before = to_table(base) if seed % 2 else noisy(base, rng, rng.choice(forms))[0]
    return f"{family} as {form}, seed {seed}" if compare(before, table) else None


def noise(n: int) -> None:
    alarms = [found for found in measure.on_all_cores(alarm, range(n)) if found]
    print(f"\nnoise alone: alarms {measure.wilson(len(alarms), n)}; {MACHINE}")
    assert alarms == []


@pytest.mark.bench
def test_noise_alone_gives_no_edit_in_600_pairs():
    noise(600)


@pytest.mark.bench_full
def test_noise_alone_gives_no_edit_in_12000_pairs():
    noise(12_000)


# Single edits.


def single_edits(n: int) -> None:
    """Every class; all are measured before any is judged."""
    records = measure.on_all_cores(
        measure.record, [one for name in EDITS for one in measure.singles(name, n)]
    )
    wrong = []
    print(f"\none edit, {n} cases a class; {MACHINE}")
    for name in EDITS:
        found = measure.Figures(one for one in records if one.words.edits == (name,))
        print(f"  {name}: {found.line}\n    {found.rest}")
        wrong.extend(one.text for one in found.judged if one.kind != "exact")
        assert found.cheaper <= 0.05, f"{name}: the mutation or a cost is wrong"
    every = measure.Figures(records)
    print(f"  all: {every.line}\n    {every.rest}")
    assert not wrong, "\n".join(wrong)
    assert every.precision == every.recall == every.items_shown == 1.0
    assert not every.unproved
    assert not every.unexplained
    assert every.on_top >= 0.95 * len(every.judged)


@pytest.mark.bench
def test_each_single_edit_is_found_exactly_in_60_cases_a_class():
    single_edits(60)


@pytest.mark.bench_full
def test_each_single_edit_is_found_exactly_in_3400_cases_a_class():
    single_edits(3_400)


def chains(n: int) -> None:
    """Goal 5."""
    words = [
        measure.Words((name,), "chain", size, seed, "unrestricted")
        for name in EDITS
        for size in (40, 60, 120)
        for seed in range(n)
    ]
    found = measure.Figures(measure.on_all_cores(measure.record, words))
    print(f"\nself-similar chains of 40 to 120 levels, one edit: {found.line}; {MACHINE}")
    assert found.exact == 1.0, "\n".join(one.text for one in found.judged if one.text)


@pytest.mark.bench
def test_one_edit_of_a_self_similar_chain_is_found_exactly():
    chains(4)


@pytest.mark.bench_full
def test_one_edit_of_a_self_similar_chain_is_found_exactly_in_2000_cases():
    chains(45)


@pytest.mark.bench
@pytest.mark.parametrize("family", ALIKE)
def test_where_levels_are_all_alike_one_edit_costs_no_more_than_the_truth(family):
    """Which of several equal levels went cannot be said; what it costs can."""
    words = [
        measure.Words((name,), family, size, seed, "unrestricted")
        for name in EDITS
        for size in (12, 40)
        for seed in range(5)
    ]
    records = measure.on_all_cores(measure.record, words)
    assert [one.text for one in records if one.kind == "worse"] == []


# Several edits at once.


def mixed(k: int, n: int, sites: str) -> measure.Figures:
    found = measure.Figures(measure.on_all_cores(measure.record, measure.mixes(k, n, sites)))
    print(f"\n{k} mixed edits, {sites} sites: {found.line}\n  {found.rest}; {MACHINE}")
    assert not found.unproved
    assert not found.unexplained
    return found


EXACT = {2: 0.97, 3: 0.97}
CASES = {2: 3_000, 3: 3_000, 5: 1_500, 10: 1_000}


def as_asked(k: int, n: int, sites: str) -> None:
    """Goals 3, 4 and 6. At any sites many edits overlap, which has other stories: there only costs are asked."""
    found = mixed(k, n, sites)
    worse = "\n".join(one.text for one in found.judged if one.kind == "worse")
    assert measure.quantile(found.cost_ratios, 0.95) <= 1.10, worse
    if k > 3 and sites == "unrestricted":
        return
    assert found.exact >= EXACT.get(k, 0.0), worse
    least = 0.97 if k > 3 else 0.99
    assert found.precision >= least, worse
    assert found.recall >= least, worse
    assert found.worse <= 0.01 or k > 3, worse
    assert found.items_shown <= 1.05, worse


@pytest.mark.bench
@pytest.mark.parametrize("sites", SITES)
@pytest.mark.parametrize(("k", "n"), [(3, 200), (10, 66)])
def test_mixed_edits_are_found_in_some_hundred_cases(k, n, sites):
    as_asked(k, n, sites)


@pytest.mark.bench_full
@pytest.mark.parametrize("sites", SITES)
@pytest.mark.parametrize("k", CASES)
def test_mixed_edits_are_found_in_thousands_of_cases(k, sites):
    as_asked(k, CASES[k], sites)


# Real traces.


def real_case(task: tuple[str, str, int]) -> tuple[str, str]:
    """How one edit of a real trace comes out, or noise alone."""
    name, edit, seed = task
    rng = random.Random(f"real {name} {edit} {seed}")
    base = real_bases()[name]
    if edit == "noise only":
        return edit, "alarm" if compare(to_table(base), noisy(base, rng)[0]) else "exact"
    edited = apply_edits([edit], base, rng, disjoint=True)
    return edit, "no site" if edited is None else judge(base, edited.spans, rng).kind


@functools.cache
def real_bases() -> dict[str, Spans]:
    return diff_corpus.bases()


def real_traces(n: int) -> None:
    if not real_bases():
        pytest.skip("no real traces here: neither the corpus (set CLNRM_CORPUS) nor recordings")
    tasks = [
        (name, edit, seed) for name in real_bases() for edit in ("noise only", *EDITS) for seed in range(n)
    ]
    found = Counter(measure.on_all_cores(real_case, tasks))
    judged = sum(count for (_, kind), count in found.items() if kind in {"exact", "alarm", "tied", "worse"})
    exact = sum(count for (_, kind), count in found.items() if kind == "exact")
    others = {key: count for key, count in found.items() if key[1] not in {"exact", "no site"}}
    print(
        f"\n{len(real_bases())} real traces, noise or one edit: exact {measure.wilson(exact, judged)}, {others}"
    )
    assert not any(kind in {"alarm", "worse"} for _, kind in found)


@pytest.mark.bench
def test_real_traces_raise_no_alarm_and_one_edit_costs_no_more_than_the_truth():
    real_traces(1)


@pytest.mark.bench_full
def test_real_traces_raise_no_alarm_and_one_edit_costs_no_more_than_the_truth_in_many_cases():
    real_traces(20)


# Laws.


def laws(n: int) -> None:
    words = [one for k in (2, 5) for sites in SITES for one in measure.mixes(k, n, sites)]
    broken = [text for found in measure.on_all_cores(diff_laws.broken_laws, words) for text in found]
    print(f"\nsymmetric, order-free, repeatable: broken {measure.wilson(len(broken), len(words))}")
    assert broken == []


@pytest.mark.bench
def test_diffs_are_symmetric_and_free_of_order():
    laws(40)


@pytest.mark.bench_full
def test_diffs_are_symmetric_and_free_of_order_in_4000_cases():
    laws(1_000)


def other_processes(n: int) -> None:
    program = Path(diff_laws.__file__)
    said = {
        subprocess.run(
            [sys.executable, program, "5", str(n), "unrestricted"],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout.strip()
        for seed in ("1", "2", "77")
    }
    print(f"\n{n} diffs in four processes of different hash seeds: {len(said)} answer")
    assert said == {diff_laws.digest(measure.mixes(5, n, "unrestricted"))}


@pytest.mark.bench
def test_another_process_with_another_hash_seed_gives_the_same_bytes():
    other_processes(40)


@pytest.mark.bench_full
def test_other_processes_give_the_same_bytes_in_1000_cases():
    other_processes(1_000)


def test_a_case_is_the_same_whenever_it_is_made():
    words = measure.Words(("wrapped", "rename"), "requests", 40, 7, "disjoint")
    one, other = make_case(*words), make_case(*words)
    assert one.current == other.current
    assert one.edited.sites == other.edited.sites
