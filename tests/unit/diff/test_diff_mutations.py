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


COPIED = (
    "leaf inserted,rename,unwrapped,subtree moved,event,subtree duplicated,event,event,wrapped,leaf inserted"
)
"""One of the spans was wrapped in the copy, another one unwrapped in the original."""


def test_a_large_copy_is_told_from_its_original_as_a_whole():
    outcome = mutations.case(COPIED.split(","), "twigs", 300, 55)

    assert outcome.kind == "exact", (outcome.found.cost, outcome.truth.cost, len(outcome.found.counted))


def test_a_copy_is_counted_and_its_sibling_that_went_is_not_taken_for_it():
    edits = "unwrapped,subtree deleted,event,subtree duplicated,link,attr changed,attr removed,unwrapped"
    outcome = mutations.case(f"{edits},attr removed,unwrapped".split(","), "fan-outs", 300, 237)

    assert outcome.kind == "exact", (outcome.found.cost, outcome.truth.cost, len(outcome.found.counted))


def test_a_deleted_subtree_and_an_inserted_one_are_not_paired_span_by_span_for_more():
    """One attribute of every pair is another one, and nearly every pair brings a subtree of its own."""
    edits = "subtree moved,rename,link,event,kind,subtree deleted,attr changed,subtree duplicated"
    outcome = mutations.case(f"{edits},unwrapped,leaf inserted".split(","), "twigs", 300, 85)

    assert outcome.found.cost <= 1.01 * outcome.truth.cost


BESIDE_A_LARGE_SUBTREE = {
    "a root that went and one that came beside a copy": (
        "service,unwrapped,subtree moved,attr added,subtree moved,status,subtree duplicated,wrapped,link,kind",
        ("chain", 150, 314),
    ),
    "a span renamed above one that went": (
        "subtree deleted,rename,attr added,kind,link,subtree deleted,subtree moved,kind,service,status",
        ("typed", 90, 99),
    ),
    "a leaf changed below a span that came between": (
        "event,service,service,attr removed,attr changed,link,wrapped,attr added,kind,link",
        ("fan-out", 150, 226),
    ),
}


@pytest.mark.parametrize("what", BESIDE_A_LARGE_SUBTREE)
def test_a_pair_beside_what_came_or_went_is_not_taken_for_two(what):
    """One pair was missing from the script: it hung below, or above, more spans than a window holds."""
    edits, words = BESIDE_A_LARGE_SUBTREE[what]
    outcome = mutations.case(edits.split(","), *words)

    assert outcome.kind == "exact", (outcome.found.cost, outcome.truth.cost, len(outcome.found.counted))


def test_a_copy_changed_in_its_turn_is_not_patched_together_from_two():
    """The largest equal part was taken first, and the rest came twice and moved."""
    edits = "subtree duplicated,attr removed,attr removed,wrapped,status,subtree moved,subtree moved,rename"
    outcome = mutations.case(f"{edits},attr removed,unwrapped".split(","), "twigs", 150, 45)

    assert outcome.found.cost <= outcome.truth.cost
