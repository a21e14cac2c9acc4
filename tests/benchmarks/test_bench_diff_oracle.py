"""The product's cost against the least cost of any script, for pairs of at most 12 spans (goal 7)."""

from __future__ import annotations

from collections import Counter

import diff_measure as measure
import diff_small
import pytest


def against_the_oracle(n: int) -> None:
    verdicts = measure.on_all_cores(diff_small.verdict, range(n))
    dearer = [one for one in verdicts if one.cost > one.least]
    sizes = Counter(one.least for one in verdicts)
    print(
        f"\nleast cost reached: {measure.wilson(n - len(dearer), n)}; the search took at most "
        f"{max(one.steps for one in verdicts):,} steps, costs up to {max(sizes)}"
    )
    assert not dearer, "\n".join(diff_small.told(one.seed) for one in dearer[:5])


@pytest.mark.bench
def test_the_script_is_minimal_in_400_pairs_of_at_most_12_spans():
    against_the_oracle(400)


@pytest.mark.bench_full
def test_the_script_is_minimal_in_6000_pairs_of_at_most_12_spans():
    against_the_oracle(6_000)
