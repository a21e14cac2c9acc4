"""The mutation benchmark in small: noise gives no edit, each single edit is found exactly."""

from __future__ import annotations

import random

import diff_mutations as mutations
import pytest


@pytest.mark.parametrize("family", mutations.FAMILIES)
def test_noise_alone_gives_no_edit(family):
    for seed in range(3):
        rng = random.Random(f"{family} {seed}")
        base = mutations.FAMILIES[family](rng, 60)
        table, _ = mutations.noisy(base, rng)
        assert not mutations.compare(mutations.to_table(base), table).counted


@pytest.mark.parametrize("family", mutations.FAMILIES)
@pytest.mark.parametrize("name", mutations.EDITS)
def test_a_single_edit_is_found_exactly(name, family):
    for seed in range(2):
        outcome = mutations.case([name], family, 40, seed)
        if outcome is not None:
            assert outcome.kind == "exact", (seed, outcome.found.counted, outcome.truth.counted)


def test_three_edits_at_once_never_cost_more_than_the_truth_on_a_plain_tree():
    for seed in range(5):
        outcome = mutations.case(["attr changed", "leaf inserted", "rename"], "random", 60, seed, "disjoint")
        assert outcome.found.cost <= outcome.truth.cost
